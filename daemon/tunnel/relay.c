#include "tunnel/relay.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SET_UP_US      (10 * USEC_PER_SEC)
#define OUT_MAX        (64 * 1024) /* ciphertext waiting before no more is made */
#define READ_SIZE      (16 * 1024)
#define READ_ROUNDS    8
#define NOT_SENT_LOWAT (64 * 1024)
#define USER_TIMEOUT   20000 /* milliseconds */
#define KEEPALIVE      30    /* seconds */
#define PIN_PREFIX     "sha256-raw:"
#define META_PREFIX    "derpkey"

static void __attribute__ ((format (printf, 3, 4)))
fail (Relay *r, PathRelayClosed why, const char *format, ...)
{
  va_list arguments;

  if (r->state == RELAY_FAILED)
    return;
  r->state = RELAY_FAILED;
  r->failure = why;
  va_start (arguments, format);
  vsnprintf (r->text, sizeof r->text, format, arguments);
  va_end (arguments);
}

/* ---- dialling ---- */

static int
dial (Relay *r, const IpAddr *address)
{
  IpPort to = {*address, r->port};
  struct sockaddr_storage name;
  socklen_t length = ip_port_to_sockaddr (&to, &name);
  int fd = socket (name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct epoll_event event = {.events = EPOLLOUT, .data.ptr = r};
  int saved;

  if (fd < 0)
    return -1;
  if ((r->context->mark == NULL || ip_is_loopback (address) || r->context->mark (fd))
      && (connect (fd, (struct sockaddr *)&name, length) == 0 || errno == EINPROGRESS)
      && epoll_ctl (r->context->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
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
start_tls (Relay *r)
{
  TlsClientOptions options = {.server_name = r->host, .verify = TLS_VERIFY_FULL};

  if (parse_pin (r->cert_name, options.pin))
    options.verify = TLS_VERIFY_PIN;
  else if (r->cert_name != NULL)
    options.check_name = r->cert_name;
  else if (r->insecure)
    options.verify = TLS_VERIFY_NONE;
  r->tls = tls_client_new (r->context->tls, &options);
  r->state = RELAY_TLS;
}

static void
adopt (Relay *r, int index)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = r};

  r->fd = r->dialling[index];
  r->dialling[index] = -1;
  if (r->dialling[1 - index] >= 0)
    close (r->dialling[1 - index]);
  r->dialling[1 - index] = -1;
  set_option (r->fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option (r->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT_LOWAT);
  set_option (r->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT);
  set_option (r->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option (r->fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE);
  set_option (r->fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE);
  epoll_ctl (r->context->epoll, EPOLL_CTL_MOD, r->fd, &event);
  start_tls (r);
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
drive_dialling (Relay *r, int64_t now_us)
{
  int error = ETIMEDOUT;
  bool waiting = false;

  for (int i = 0; i < 2; i++) {
    if (r->dialling[i] < 0 && r->addresses[i].family != 0 && r->dial_at_us[i] <= now_us) {
      r->dialling[i] = dial (r, &r->addresses[i]);
      r->addresses[i].family = 0;
      if (r->dialling[i] < 0)
        error = errno;
    }
    if (r->dialling[i] >= 0) {
      int result = connect_result (r->dialling[i], &error);

      if (result > 0) {
        adopt (r, i);
        return;
      }
      if (result < 0) {
        close (r->dialling[i]);
        r->dialling[i] = -1;
        /* The other family need not wait any longer. */
        r->dial_at_us[1 - i] = now_us;
        if (i == 1 && r->addresses[0].family != 0)
          i = -1;
      }
    }
  }
  for (int i = 0; i < 2; i++)
    waiting = waiting || r->dialling[i] >= 0 || r->addresses[i].family != 0;
  if (!waiting)
    fail (r, RELAY_CLOSED_TCP, "could not connect to %s: %s", r->host, strerror (error));
}

/* ---- TLS and frames ---- */

/* Looks for the certificate whose name tells the relay's own key (spec/derp.md §3.4). */
static bool
meta_key (const Tls *tls, DerpPublic *key)
{
  char name[128];

  for (size_t i = 0; i < tls_peer_certificates (tls); i++) {
    X509 *certificate = tls_peer_certificate (tls, i);
    const ASN1_INTEGER *serial = X509_get0_serialNumber (certificate);
    X509_NAME *subject = X509_get_subject_name (certificate);
    int length = X509_NAME_get_text_by_NID (subject, NID_commonName, name, sizeof name);
    size_t prefix = strlen (META_PREFIX);

    if (length == (int)(prefix + 2 * KEY_SIZE) && strncmp (name, META_PREFIX, prefix) == 0
        && ASN1_STRING_length (serial) == 1 && ASN1_STRING_get0_data (serial)[0] != 0
        && hex_decode (name + prefix, 2 * KEY_SIZE, key->bytes, KEY_SIZE))
      return true;
  }
  return false;
}

static void
say_connected (Relay *r, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};

  r->state = RELAY_OPEN;
  event.connected.fast_start
      = tls_version (r->tls) >= TLS1_3_VERSION && meta_key (r->tls, &event.connected.server_key);
  derp_client_input (r->client, &event, now_us);
}

static void
watch_writing (Relay *r)
{
  bool wanted = r->out.size > 0;
  struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = r};

  if (wanted == r->want_write || r->fd < 0)
    return;
  r->want_write = wanted;
  epoll_ctl (r->context->epoll, EPOLL_CTL_MOD, r->fd, &event);
}

static void
write_out (Relay *r)
{
  tls_take (r->tls, &r->out);
  while (r->out.size > 0) {
    ssize_t n = send (r->fd, r->out.data, r->out.size, MSG_NOSIGNAL);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno != EAGAIN)
      fail (r, r->up ? RELAY_CLOSED_LOST : RELAY_CLOSED_LOGIN, "%s: %s", r->host, strerror (errno));
    if (n <= 0)
      break;
    buffer_consume (&r->out, (size_t)n);
  }
}

void
relay_push (Relay *r, int64_t now_us)
{
  uint8_t record[DERP_RECORD_SIZE];

  if (r->state != RELAY_TLS && r->state != RELAY_OPEN)
    return;
  while (r->state == RELAY_OPEN && r->out.size < OUT_MAX && derp_client_wants_write (r->client)) {
    size_t n = derp_client_pull (r->client, record, sizeof record, now_us);

    if (n == 0 || !tls_write (r->tls, record, n))
      break;
    write_out (r);
  }
  if (r->state != RELAY_FAILED)
    write_out (r);
  if (r->out.size == 0)
    buffer_free (&r->out);
  watch_writing (r);
}

static void
feed_plain (Relay *r, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES};

  if (r->plain.size == 0)
    return;
  event.bytes.data = r->plain.data;
  event.bytes.size = r->plain.size;
  derp_client_input (r->client, &event, now_us);
  buffer_free (&r->plain);
}

static void
judge_tls (Relay *r, TlsState state, int64_t now_us)
{
  PathRelayClosed lost = r->up ? RELAY_CLOSED_LOST : RELAY_CLOSED_LOGIN;

  if (state == TLS_OPEN && r->state == RELAY_TLS)
    say_connected (r, now_us);
  if (r->state == RELAY_OPEN)
    feed_plain (r, now_us);
  if (state == TLS_FAILED)
    fail (r, r->state == RELAY_TLS ? RELAY_CLOSED_TLS : lost, "%s: %s", r->host,
          tls_error (r->tls));
  else if (state == TLS_CLOSED)
    fail (r, lost, "%s closed the connection", r->host);
}

static void
read_in (Relay *r, int64_t now_us)
{
  uint8_t bytes[READ_SIZE];

  for (int i = 0; i < READ_ROUNDS && r->state != RELAY_FAILED; i++) {
    ssize_t n = recv (r->fd, bytes, sizeof bytes, 0);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0) {
      fail (r, r->up ? RELAY_CLOSED_LOST : RELAY_CLOSED_LOGIN, "%s: %s", r->host,
            n < 0 ? strerror (errno) : "connection closed");
      return;
    }
    tls_feed (r->tls, bytes, (size_t)n);
    judge_tls (r, tls_read (r->tls, &r->plain), now_us);
  }
}

/* ---- the face ---- */

static char *
copy_text (const char *text)
{
  return text == NULL ? NULL : mem_strndup (text, strlen (text));
}

Relay *
relay_new (const RelayContext *context, uint32_t connection, const PathRelayNode *node, bool home,
           const uint8_t node_private[32], int64_t now_us, bool *resolve)
{
  Relay *r = mem_new (sizeof *r);
  DerpClientConfig config = {.node_private = node_private,
                             .host = node->host,
                             .port = node->port,
                             .ideal_node = node->ideal_node,
                             .user_agent = context->user_agent,
                             .home = home};

  r->context = context;
  r->connection = connection;
  r->region = node->region;
  r->home = home;
  r->host = copy_text (node->host);
  r->cert_name = copy_text (node->cert_name);
  r->port = node->port;
  r->insecure = node->insecure;
  r->fd = r->dialling[0] = r->dialling[1] = -1;
  r->addresses[0] = node->addr6;
  r->addresses[1] = node->addr4;
  r->dial_at_us[0] = now_us;
  r->dial_at_us[1] = now_us + node->ipv4_delay_us;
  r->deadline_us = now_us + SET_UP_US;
  r->client = derp_client_new (&config, context->random);
  *resolve
      = (node->resolve4 && node->addr4.family == 0) || (node->resolve6 && node->addr6.family == 0);
  /* Literals are enough to begin with: a name server that is slow must not delay them. */
  if (r->addresses[0].family != 0 || r->addresses[1].family != 0)
    *resolve = false;
  r->state = *resolve ? RELAY_RESOLVING : RELAY_DIALLING;
  if (!*resolve)
    relay_io (r, now_us);
  return r;
}

void
relay_free (Relay *r)
{
  if (r == NULL)
    return;
  if (r->tls != NULL && r->fd >= 0 && r->state == RELAY_OPEN) {
    tls_close (r->tls);
    write_out (r);
  }
  for (int i = 0; i < 2; i++)
    if (r->dialling[i] >= 0)
      close (r->dialling[i]);
  if (r->fd >= 0)
    close (r->fd);
  tls_free (r->tls);
  derp_client_free (r->client);
  buffer_free (&r->out);
  buffer_free (&r->plain);
  free (r->host);
  free (r->cert_name);
  free (r);
}

void
relay_resolved (Relay *r, const IpAddr *addresses, size_t n, int64_t now_us)
{
  if (r->state != RELAY_RESOLVING)
    return;
  for (size_t i = n; i > 0; i--)
    r->addresses[addresses[i - 1].family == 6 ? 0 : 1] = addresses[i - 1];
  r->dial_at_us[0] = now_us;
  r->dial_at_us[1] = r->addresses[0].family == 0 ? now_us : r->dial_at_us[1];
  r->state = RELAY_DIALLING;
  if (n == 0)
    fail (r, RELAY_CLOSED_DNS, "the name %s could not be resolved", r->host);
  else
    relay_io (r, now_us);
}

void
relay_io (Relay *r, int64_t now_us)
{
  DerpClientEvent tick = {.type = DERP_CLIENT_EVENT_TICK};

  if (r->state == RELAY_DIALLING)
    drive_dialling (r, now_us);
  if (r->state == RELAY_TLS || r->state == RELAY_OPEN) {
    read_in (r, now_us);
    if (r->state != RELAY_FAILED && derp_client_next_deadline (r->client) <= now_us)
      derp_client_input (r->client, &tick, now_us);
    relay_push (r, now_us);
  }
  if (!r->up && r->state != RELAY_FAILED && now_us >= r->deadline_us)
    fail (r, r->state <= RELAY_DIALLING ? RELAY_CLOSED_TCP : RELAY_CLOSED_LOGIN,
          "%s did not answer in time", r->host);
}

bool
relay_next (Relay *r, DerpClientAction *action, int64_t now_us)
{
  if (!derp_client_next_action (r->client, action, now_us))
    return false;
  if (action->type == DERP_CLIENT_ACTION_UP)
    r->up = true;
  else if (action->type == DERP_CLIENT_ACTION_CLOSE)
    fail (r, r->up ? RELAY_CLOSED_LOST : RELAY_CLOSED_LOGIN, "%s: %s", r->host, action->close.text);
  return true;
}

bool
relay_failed (const Relay *r)
{
  return r->state == RELAY_FAILED;
}

static void
input (Relay *r, DerpClientEvent event, int64_t now_us)
{
  derp_client_input (r->client, &event, now_us);
}

void
relay_send (Relay *r, const NodePublic *peer, const void *data, size_t size, int64_t now_us)
{
  input (r,
         (DerpClientEvent){.type = DERP_CLIENT_EVENT_SEND,
                           .send = {.peer = *peer, .data = data, .size = size}},
         now_us);
}

void
relay_set_home (Relay *r, bool home, int64_t now_us)
{
  r->home = home;
  input (r, (DerpClientEvent){.type = DERP_CLIENT_EVENT_HOME, .home = home}, now_us);
}

void
relay_ping (Relay *r, int64_t now_us)
{
  input (r, (DerpClientEvent){.type = DERP_CLIENT_EVENT_PING}, now_us);
}

int64_t
relay_deadline (const Relay *r)
{
  int64_t deadline = derp_client_next_deadline (r->client);

  if (r->state == RELAY_FAILED)
    return TIME_NEVER;
  if (!r->up)
    deadline = time_min (deadline, r->deadline_us);
  if (r->state == RELAY_DIALLING)
    for (int i = 0; i < 2; i++)
      if (r->addresses[i].family != 0 && r->dialling[i] < 0)
        deadline = time_min (deadline, r->dial_at_us[i]);
  return deadline;
}

IpAddr
relay_local_address (const Relay *r)
{
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  IpPort local = {0};

  if (r->fd >= 0 && getsockname (r->fd, (struct sockaddr *)&name, &length) == 0)
    ip_port_from_sockaddr ((struct sockaddr *)&name, length, &local);
  return local.addr;
}
