#include "tunnel/stream.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE      (64 * 1024)
#define READ_ROUNDS    4
#define NOT_SENT_LOWAT (64 * 1024)
#define USER_TIMEOUT   20000 /* milliseconds */
#define KEEPALIVE      30    /* seconds */
#define PIN_PREFIX     "sha256-raw:"

void
stream_fail (Stream *s, PathRelayClosed why, const char *format, ...)
{
  va_list arguments;

  if (s->state == STREAM_FAILED)
    return;
  s->state = STREAM_FAILED;
  s->failure = why;
  va_start (arguments, format);
  vsnprintf (s->text, sizeof s->text, format, arguments);
  va_end (arguments);
}

/* ---- dialling ---- */

static int
dial (Stream *s, const IpAddr *address)
{
  IpPort to = {*address, s->proxy ? s->proxy->port : s->port};
  struct sockaddr_storage name;
  socklen_t length = ip_port_to_sockaddr (&to, &name);
  int fd = socket (name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct epoll_event event = {.events = EPOLLOUT, .data.ptr = s};
  int saved;

  if (fd < 0)
    return -1;
  if ((s->context->mark == NULL || ip_is_loopback (address) || s->context->mark (fd))
      && (connect (fd, (struct sockaddr *)&name, length) == 0 || errno == EINPROGRESS)
      && epoll_ctl (s->context->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
    return fd;
  saved = errno;
  close (fd);
  errno = saved;
  return -1;
}

static void
set_option (int fd, int level, int option, int value)
{
  setsockopt (fd, level, option, &value, sizeof value);
}

static bool
parse_pin (const char *cert_name, uint8_t pin[TLS_PIN_SIZE])
{
  size_t prefix = strlen (PIN_PREFIX);

  return cert_name != NULL && strncmp (cert_name, PIN_PREFIX, prefix) == 0
         && hex_decode (cert_name + prefix, strlen (cert_name + prefix), pin, TLS_PIN_SIZE);
}

static void
start_tls (Stream *s)
{
  TlsClientOptions options = {.server_name = s->host, .verify = TLS_VERIFY_FULL};

  if (parse_pin (s->cert_name, options.pin))
    options.verify = TLS_VERIFY_PIN;
  else if (s->cert_name != NULL)
    options.check_name = s->cert_name;
  else if (s->insecure)
    options.verify = TLS_VERIFY_NONE;
  s->tls = tls_client_new (s->context->tls, &options);
  s->state = STREAM_TLS;
}

static void
adopt (Stream *s, int index)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};

  s->fd = s->dialling[index];
  s->dialling[index] = -1;
  if (s->dialling[1 - index] >= 0)
    close (s->dialling[1 - index]);
  s->dialling[1 - index] = -1;
  set_option (s->fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option (s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT_LOWAT);
  set_option (s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT);
  set_option (s->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option (s->fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE);
  set_option (s->fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE);
  epoll_ctl (s->context->epoll, EPOLL_CTL_MOD, s->fd, &event);
  if (s->proxy == NULL) {
    start_tls (s);
    return;
  }
  s->layer = proxy_layer_new (s->proxy, s->context->tls, s->host, s->port);
  s->state = STREAM_PROXY;
}

/* 1: connected, 0: not yet, -1: failed with *ERROR. */
static int
connect_result (int fd, int *error)
{
  socklen_t length = sizeof *error;
  struct sockaddr_storage name;
  socklen_t name_length = sizeof name;

  if (getsockopt (fd, SOL_SOCKET, SO_ERROR, error, &length) != 0)
    *error = errno;
  if (*error != 0)
    return -1;
  return getpeername (fd, (struct sockaddr *)&name, &name_length) == 0 ? 1 : 0;
}

static void
drive_dialling (Stream *s, int64_t now_us)
{
  int error = ETIMEDOUT;
  bool waiting = false;

  for (int i = 0; i < 2; i++) {
    if (s->dialling[i] < 0 && s->addresses[i].family != 0 && s->dial_at_us[i] <= now_us) {
      s->dialling[i] = dial (s, &s->addresses[i]);
      s->addresses[i].family = 0;
      if (s->dialling[i] < 0)
        error = errno;
    }
    if (s->dialling[i] >= 0) {
      int result = connect_result (s->dialling[i], &error);

      if (result > 0) {
        adopt (s, i);
        return;
      }
      if (result < 0) {
        close (s->dialling[i]);
        s->dialling[i] = -1;
        /* The other family need not wait any longer. */
        s->dial_at_us[1 - i] = now_us;
        if (i == 1 && s->addresses[0].family != 0)
          i = -1;
      }
    }
  }
  for (int i = 0; i < 2; i++)
    waiting = waiting || s->dialling[i] >= 0 || s->addresses[i].family != 0;
  if (!waiting)
    stream_fail (s, RELAY_CLOSED_TCP, "could not connect to %s%s: %s", s->proxy ? "the proxy " : "",
                 stream_name (s), strerror (error));
}

/* ---- TLS and frames ---- */

static void
watch_writing (Stream *s)
{
  bool wanted = s->out.size > 0;
  struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = s};

  if (wanted == s->want_write || s->fd < 0)
    return;
  s->want_write = wanted;
  epoll_ctl (s->context->epoll, EPOLL_CTL_MOD, s->fd, &event);
}

/* Where ciphertext for the host goes. */
static Buffer *
sink (Stream *s)
{
  return s->layer != NULL ? &s->carried : &s->out;
}

static void
write_out (Stream *s)
{
  if (s->tls != NULL)
    tls_take (s->tls, sink (s));
  if (s->layer != NULL) {
    proxy_layer_send (s->layer, s->carried.data, s->carried.size);
    buffer_free (&s->carried);
    proxy_layer_take (s->layer, &s->out);
  }
  while (s->out.size > 0) {
    ssize_t n = send (s->fd, s->out.data, s->out.size, MSG_NOSIGNAL);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno != EAGAIN)
      stream_fail (s, s->up ? RELAY_CLOSED_LOST : RELAY_CLOSED_LOGIN, "%s: %s", s->host,
                   strerror (errno));
    if (n <= 0)
      break;
    buffer_consume (&s->out, (size_t)n);
  }
  if (s->out.size == 0)
    buffer_free (&s->out);
}

static void
judge_tls (Stream *s, TlsState state)
{
  PathRelayClosed lost = s->up ? RELAY_CLOSED_LOST : RELAY_CLOSED_LOGIN;

  if (state == TLS_OPEN && s->state == STREAM_TLS)
    s->state = STREAM_OPEN;
  if (state == TLS_FAILED)
    stream_fail (s, s->state == STREAM_TLS ? RELAY_CLOSED_TLS : lost, "%s: %s", s->host,
                 tls_error (s->tls));
  else if (state == TLS_CLOSED)
    stream_fail (s, lost, "%s closed the connection", s->host);
}

/* The way through the proxy is open. What there is no TLS around needs no layer any more. */
static void
proxy_opened (Stream *s)
{
  start_tls (s);
  if (s->proxy->kind == PROXY_HTTPS)
    return;
  proxy_layer_take (s->layer, &s->out);
  proxy_layer_free (s->layer);
  s->layer = NULL;
}

static void
take_from_proxy (Stream *s, const uint8_t *bytes, size_t size)
{
  Buffer in = {0};
  ProxyLayerState state = proxy_layer_feed (s->layer, bytes, size, &in);

  if (state == PROXY_LAYER_FAILED)
    stream_fail (s, RELAY_CLOSED_TCP, "%s: %s", s->host, proxy_layer_error (s->layer));
  else if (state == PROXY_LAYER_OPEN && s->state == STREAM_PROXY)
    proxy_opened (s);
  if (in.size > 0 && s->state != STREAM_FAILED)
    judge_tls (s, tls_receive (s->tls, in.data, in.size, &s->plain));
  buffer_free (&in);
}

static void
take_bytes (Stream *s, const uint8_t *bytes, size_t size)
{
  if (s->layer != NULL)
    take_from_proxy (s, bytes, size);
  else
    judge_tls (s, tls_receive (s->tls, bytes, size, &s->plain));
}

static void
read_in (Stream *s)
{
  uint8_t bytes[READ_SIZE];

  for (int i = 0; i < READ_ROUNDS && s->state != STREAM_FAILED; i++) {
    ssize_t n = recv (s->fd, bytes, sizeof bytes, 0);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0) {
      stream_fail (s, s->up ? RELAY_CLOSED_LOST : RELAY_CLOSED_LOGIN, "%s: %s", s->host,
                   n < 0 ? strerror (errno) : "connection closed");
      return;
    }
    take_bytes (s, bytes, (size_t)n);
    if (n < READ_SIZE)
      return;
  }
}

/* ---- the face ---- */

static char *
copy_text (const char *text)
{
  return text == NULL ? NULL : mem_strndup (text, strlen (text));
}

/* Sets the proxy, if one leads to the host; false when the setting makes no sense. */
static bool
choose_proxy (Stream *s)
{
  Proxy proxy;

  switch (proxy_choose (&s->context->proxies, true, s->host, s->port, &proxy)) {
    case PROXY_DIRECT:
      return true;
    case PROXY_USE:
      s->proxy = mem_dup (&proxy, sizeof proxy);
      return true;
    case PROXY_BAD:
      stream_fail (s, RELAY_CLOSED_TCP, "the proxy setting is not the address of a proxy");
      return false;
  }
  return false;
}

/* What is dialled; true when a name is to be resolved before. */
static bool
choose_addresses (Stream *s, const PathRelayNode *node)
{
  IpAddr literal;

  if (s->proxy == NULL) {
    s->addresses[0] = node->addr6;
    s->addresses[1] = node->addr4;
    /* Literals are enough to begin with: a name server that is slow must not delay them. */
    return node->addr4.family == 0 && node->addr6.family == 0 && (node->resolve4 || node->resolve6);
  }
  s->dial_at_us[1] = s->dial_at_us[0];
  if (!ip_parse (s->proxy->host, strlen (s->proxy->host), &literal))
    return true;
  s->addresses[literal.family == 6 ? 0 : 1] = literal;
  return false;
}

bool
stream_init (Stream *s, const StreamContext *context, StreamOwner owner, void *data,
             const PathRelayNode *node, int64_t now_us)
{
  *s = (Stream){
      .context = context,
      .owner = owner,
      .data = data,
      .state = STREAM_DIALLING,
      .host = copy_text (node->host),
      .cert_name = copy_text (node->cert_name),
      .port = node->port,
      .insecure = node->insecure,
      .dialling = {-1, -1},
      .dial_at_us = {now_us, now_us + node->ipv4_delay_us},
      .deadline_us = now_us + STREAM_SET_UP_US,
      .fd = -1,
  };
  if (!choose_proxy (s))
    return false;
  if (choose_addresses (s, node)) {
    s->state = STREAM_RESOLVING;
    return true;
  }
  stream_io (s, now_us);
  return false;
}

const char *
stream_name (const Stream *s)
{
  return s->proxy ? s->proxy->host : s->host;
}

void
stream_clear (Stream *s)
{
  if (s->tls != NULL && s->fd >= 0 && s->state == STREAM_OPEN) {
    tls_close (s->tls);
    write_out (s);
  }
  for (int i = 0; i < 2; i++)
    if (s->dialling[i] >= 0)
      close (s->dialling[i]);
  if (s->fd >= 0)
    close (s->fd);
  tls_free (s->tls);
  proxy_layer_free (s->layer);
  buffer_free (&s->carried);
  buffer_free (&s->out);
  buffer_free (&s->plain);
  free (s->host);
  free (s->cert_name);
  if (s->proxy != NULL)
    sodium_memzero (s->proxy, sizeof *s->proxy);
  free (s->proxy);
}

void
stream_resolved (Stream *s, const IpAddr *addresses, size_t n, int64_t now_us)
{
  if (s->state != STREAM_RESOLVING)
    return;
  for (size_t i = n; i > 0; i--)
    s->addresses[addresses[i - 1].family == 6 ? 0 : 1] = addresses[i - 1];
  if (s->addresses[0].family == 0)
    s->dial_at_us[1] = now_us;
  s->state = STREAM_DIALLING;
  if (n == 0)
    stream_fail (s, RELAY_CLOSED_DNS, "the name %s could not be resolved", stream_name (s));
  else
    stream_io (s, now_us);
}

void
stream_io (Stream *s, int64_t now_us)
{
  if (s->state == STREAM_DIALLING)
    drive_dialling (s, now_us);
  if (s->fd >= 0 && s->state != STREAM_FAILED) {
    /* The handshake's first flight, and what the socket did not take before. */
    if (s->state == STREAM_TLS)
      judge_tls (s, tls_read (s->tls, &s->plain));
    write_out (s);
    read_in (s);
    if (s->state != STREAM_FAILED)
      write_out (s);
    watch_writing (s);
  }
  if (!s->up && s->state != STREAM_FAILED && now_us >= s->deadline_us)
    stream_fail (s, s->state <= STREAM_PROXY ? RELAY_CLOSED_TCP : RELAY_CLOSED_LOGIN,
                 "%s did not answer in time", s->host);
}

void
stream_write (Stream *s, const void *data, size_t size)
{
  if (s->state == STREAM_OPEN)
    tls_write_to (s->tls, data, size, sink (s));
}

void
stream_flush (Stream *s)
{
  if (s->state != STREAM_OPEN)
    return;
  write_out (s);
  watch_writing (s);
}

int64_t
stream_deadline (const Stream *s)
{
  int64_t deadline = s->up ? TIME_NEVER : s->deadline_us;

  if (s->state == STREAM_FAILED)
    return 0;

  if (s->state == STREAM_DIALLING)
    for (int i = 0; i < 2; i++)
      if (s->addresses[i].family != 0 && s->dialling[i] < 0)
        deadline = time_min (deadline, s->dial_at_us[i]);
  return deadline;
}

size_t
stream_waiting (const Stream *s)
{
  return s->out.size + s->carried.size;
}

IpAddr
stream_local_address (const Stream *s)
{
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  IpPort local = {0};

  if (s->fd >= 0 && getsockname (s->fd, (struct sockaddr *)&name, &length) == 0)
    ip_port_from_sockaddr ((struct sockaddr *)&name, length, &local);
  return local.addr;
}
