#include "wire/proxy-layer.h"

#include "base/bytes.h"
#include "base/ip.h"
#include "base/memory.h"
#include "wire/http1.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOCKS_VERSION        5
#define SOCKS_NO_PASSWORD    0
#define SOCKS_PASSWORD       2
#define SOCKS_NONE_WILL_DO   0xff
#define SOCKS_CONNECT        1
#define SOCKS_IPV4           1
#define SOCKS_NAME           3
#define SOCKS_IPV6           4
#define SOCKS_SIGN_IN        1 /* version of RFC 1929 */
#define SOCKS_REQUEST_MAX    (4 + 1 + 255 + 2)
#define SOCKS_SIGN_IN_MAX    (3 + 255 + 255)
#define SOCKS_ANSWER_MIN     4 /* before the address */
#define PROXY_LAYER_TEXT_MAX (HTTP_HOST_MAX + 180)

/* What the proxy's next bytes are. */
typedef enum
{
  STAGE_TLS,
  STAGE_CONNECT,       /* the answer to CONNECT */
  STAGE_SOCKS_METHOD,  /* how to sign in */
  STAGE_SOCKS_SIGN_IN, /* whether that went well */
  STAGE_SOCKS_ANSWER,
  STAGE_OPEN,
  STAGE_FAILED,
} Stage;

struct ProxyLayer
{
  Stage stage;
  Proxy proxy;
  bool whole_urls;
  char host[HTTP_HOST_MAX];
  uint16_t port;
  Tls *tls;   /* to the proxy, or NULL */
  Buffer in;  /* from the proxy, until it has answered */
  Buffer out; /* for the socket */
  char text[PROXY_LAYER_TEXT_MAX];
};

/* --- Sending ------------------------------------------------------------------------------- */

static void
send_bytes (ProxyLayer *l, const void *data, size_t size)
{
  if (l->tls)
    tls_write_to (l->tls, data, size, &l->out);
  else
    buffer_append (&l->out, data, size);
}

static void __attribute__ ((format (printf, 2, 3))) fail (ProxyLayer *l, const char *format, ...)
{
  char why[160];
  va_list args;

  va_start (args, format);
  vsnprintf (why, sizeof why, format, args);
  va_end (args);
  snprintf (l->text, sizeof l->text, "the proxy %s %s", l->proxy.host, why);
  l->stage = STAGE_FAILED;
}

static void
ask_to_connect (ProxyLayer *l)
{
  Buffer request = {0};
  char target[HTTP_HOST_MAX + 10], authorization[PROXY_AUTHORIZATION_MAX];

  snprintf (target, sizeof target, strchr (l->host, ':') ? "[%s]:%u" : "%s:%u", l->host, l->port);
  buffer_append_format (&request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target);
  proxy_authorization (&l->proxy, authorization);
  if (authorization[0] != '\0')
    buffer_append_format (&request, "Proxy-Authorization: %s\r\n", authorization);
  buffer_append_text (&request, "\r\n");
  send_bytes (l, request.data, request.size);
  explicit_bzero (request.data, request.size);
  explicit_bzero (authorization, sizeof authorization);
  buffer_free (&request);
  l->stage = STAGE_CONNECT;
}

static void
offer_methods (ProxyLayer *l)
{
  uint8_t offer[4] = {SOCKS_VERSION, l->proxy.has_user ? 2 : 1, SOCKS_NO_PASSWORD, SOCKS_PASSWORD};

  send_bytes (l, offer, l->proxy.has_user ? 4 : 3);
  l->stage = STAGE_SOCKS_METHOD;
}

static void
sign_in (ProxyLayer *l)
{
  uint8_t bytes[SOCKS_SIGN_IN_MAX];
  ByteWriter w = byte_writer (bytes, sizeof bytes);

  byte_writer_u8 (&w, SOCKS_SIGN_IN);
  byte_writer_u8 (&w, (uint8_t)strlen (l->proxy.user));
  byte_writer_copy (&w, l->proxy.user, strlen (l->proxy.user));
  byte_writer_u8 (&w, (uint8_t)strlen (l->proxy.password));
  byte_writer_copy (&w, l->proxy.password, strlen (l->proxy.password));
  send_bytes (l, bytes, w.pos);
  explicit_bzero (bytes, sizeof bytes);
  l->stage = STAGE_SOCKS_SIGN_IN;
}

/* Names are the proxy's to resolve: it may know more than we do here. */
static void
ask_socks (ProxyLayer *l)
{
  uint8_t bytes[SOCKS_REQUEST_MAX];
  ByteWriter w = byte_writer (bytes, sizeof bytes);
  size_t length = strlen (l->host);
  IpAddr ip = {0};

  byte_writer_u8 (&w, SOCKS_VERSION);
  byte_writer_u8 (&w, SOCKS_CONNECT);
  byte_writer_u8 (&w, 0);
  if (ip_parse (l->host, length, &ip)) {
    byte_writer_u8 (&w, ip_bits (&ip) == 32 ? SOCKS_IPV4 : SOCKS_IPV6);
    byte_writer_copy (&w, ip.bytes, ip_bits (&ip) / 8);
  } else {
    byte_writer_u8 (&w, SOCKS_NAME);
    byte_writer_u8 (&w, (uint8_t)length);
    byte_writer_copy (&w, l->host, length);
  }
  byte_writer_be16 (&w, l->port);
  send_bytes (l, bytes, w.pos);
  l->stage = STAGE_SOCKS_ANSWER;
}

/* The way to the proxy is there. */
static void
begin (ProxyLayer *l)
{
  if (l->whole_urls)
    l->stage = STAGE_OPEN;
  else if (l->proxy.kind == PROXY_SOCKS5)
    offer_methods (l);
  else
    ask_to_connect (l);
}

/* --- What the proxy says. Each: false when it must say more --------------------------------- */

static bool
read_connect (ProxyLayer *l)
{
  Http1Head head;

  http1_head_init (&head, false);
  Http1Result result = http1_head_parse (&head, l->in.data, l->in.size);
  if (result == HTTP1_MORE)
    return false;
  if (result == HTTP1_BAD)
    fail (l, "does not speak HTTP");
  else if (head.status == 407)
    fail (l, l->proxy.has_user ? "refused the user name or the password (HTTP status 407)"
                               : "wants a user name and a password (HTTP status 407)");
  else if (head.status < 200 || head.status > 299)
    fail (l, "refused: HTTP status %d", head.status);
  else {
    buffer_consume (&l->in, head.body_offset);
    l->stage = STAGE_OPEN;
  }
  return true;
}

static bool
read_method (ProxyLayer *l)
{
  if (l->in.size < 2)
    return false;
  uint8_t version = l->in.data[0], method = l->in.data[1];
  buffer_consume (&l->in, 2);
  if (version != SOCKS_VERSION)
    fail (l, "does not speak SOCKS5");
  else if (method == SOCKS_NO_PASSWORD)
    ask_socks (l);
  else if (method == SOCKS_PASSWORD && l->proxy.has_user)
    sign_in (l);
  else
    fail (l, method == SOCKS_NONE_WILL_DO && !l->proxy.has_user ? "wants a user name and a password"
                                                                : "wants another way to sign in");
  return true;
}

static bool
read_sign_in (ProxyLayer *l)
{
  if (l->in.size < 2)
    return false;
  bool passed = l->in.data[1] == 0;
  buffer_consume (&l->in, 2);
  if (passed)
    ask_socks (l);
  else
    fail (l, "refused the user name or the password");
  return true;
}

static const char *
socks_reason (uint8_t code)
{
  static const char *const reasons[] = {
      NULL,
      "failed",
      "does not allow this connection",
      "finds no way to the server's network",
      "finds no way to the server",
      "was refused by the server",
      "found the server too far away",
      "knows no such command",
      "knows no such kind of address",
  };

  return code < sizeof reasons / sizeof *reasons ? reasons[code] : "failed for a reason of its own";
}

static bool
read_answer (ProxyLayer *l)
{
  size_t address;

  if (l->in.size < SOCKS_ANSWER_MIN + 1)
    return false;
  const uint8_t *in = l->in.data;
  if (in[0] != SOCKS_VERSION) {
    fail (l, "does not speak SOCKS5");
    return true;
  }
  if (in[1] != 0) {
    fail (l, "%s", socks_reason (in[1]));
    return true;
  }
  switch (in[3]) {
    case SOCKS_IPV4:
      address = 4;
      break;
    case SOCKS_IPV6:
      address = 16;
      break;
    case SOCKS_NAME:
      address = 1 + (size_t)in[4];
      break;
    default:
      fail (l, "does not speak SOCKS5");
      return true;
  }
  if (l->in.size < SOCKS_ANSWER_MIN + address + 2)
    return false;
  buffer_consume (&l->in, SOCKS_ANSWER_MIN + address + 2);
  l->stage = STAGE_OPEN;
  return true;
}

static bool
read_next (ProxyLayer *l)
{
  switch (l->stage) {
    case STAGE_CONNECT:
      return read_connect (l);
    case STAGE_SOCKS_METHOD:
      return read_method (l);
    case STAGE_SOCKS_SIGN_IN:
      return read_sign_in (l);
    case STAGE_SOCKS_ANSWER:
      return read_answer (l);
    case STAGE_TLS:
    case STAGE_OPEN:
    case STAGE_FAILED:
      break;
  }
  return false;
}

static void
read_tls (ProxyLayer *l, const void *data, size_t size)
{
  TlsState state = tls_receive (l->tls, data, size, &l->in);

  tls_take (l->tls, &l->out);
  if (state == TLS_OPEN && l->stage == STAGE_TLS) {
    begin (l);
    tls_read (l->tls, &l->in);
  } else if (state == TLS_FAILED) {
    fail (l, l->stage == STAGE_TLS ? "cannot be trusted: %s" : "broke off: %s", tls_error (l->tls));
  }
}

/* --- Outside ------------------------------------------------------------------------------- */

ProxyLayer *
proxy_layer_new (const Proxy *proxy, TlsContext *tls, const char *host, uint16_t port)
{
  ProxyLayer *l = mem_new (sizeof *l);

  l->proxy = *proxy;
  l->port = port;
  l->whole_urls = host == NULL;
  if (host)
    snprintf (l->host, sizeof l->host, "%s", host);
  if (proxy->kind == PROXY_HTTPS) {
    TlsClientOptions options = {.server_name = l->proxy.host, .verify = TLS_VERIFY_FULL};
    l->stage = STAGE_TLS;
    l->tls = tls_client_new (tls, &options);
    tls_take (l->tls, &l->out);
  } else {
    begin (l);
  }
  return l;
}

void
proxy_layer_free (ProxyLayer *l)
{
  if (!l)
    return;
  tls_free (l->tls);
  buffer_free (&l->in);
  buffer_free (&l->out);
  explicit_bzero (&l->proxy, sizeof l->proxy);
  free (l);
}

ProxyLayerState
proxy_layer_feed (ProxyLayer *l, const void *data, size_t size, Buffer *in)
{
  if (l->stage == STAGE_FAILED)
    return PROXY_LAYER_FAILED;
  if (l->tls)
    read_tls (l, data, size);
  else
    buffer_append (l->stage == STAGE_OPEN ? in : &l->in, data, size);
  while (read_next (l))
    continue;
  if (l->stage == STAGE_OPEN && l->in.size > 0) {
    buffer_append (in, l->in.data, l->in.size);
    buffer_reset (&l->in);
  }
  return proxy_layer_state (l);
}

void
proxy_layer_send (ProxyLayer *l, const void *data, size_t size)
{
  if (l->stage == STAGE_OPEN)
    send_bytes (l, data, size);
}

void
proxy_layer_take (ProxyLayer *l, Buffer *out)
{
  buffer_append (out, l->out.data, l->out.size);
  buffer_reset (&l->out);
}

ProxyLayerState
proxy_layer_state (const ProxyLayer *l)
{
  if (l->stage == STAGE_FAILED)
    return PROXY_LAYER_FAILED;
  return l->stage == STAGE_OPEN ? PROXY_LAYER_OPEN : PROXY_LAYER_OPENING;
}

const char *
proxy_layer_error (const ProxyLayer *l)
{
  return l->text;
}
