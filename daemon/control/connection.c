#include "control/connection.h"

#include "host/tcp-race.h"
#include "wire/proxy-layer.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE   65536
#define READS_A_RUN 16 /* then other sources have their turn */

typedef enum
{
  STAGE_RESOLVING,
  STAGE_CONNECTING,
  STAGE_PROXY, /* it is asked for the way */
  STAGE_TLS,
  STAGE_OPEN,
  STAGE_OVER, /* nothing more is told */
} Stage;

struct Connection
{
  int references; /* the owner's, and one for whatever is under way on the stack or elsewhere */
  uint32_t id;
  char *host;
  uint16_t port;
  bool use_tls;
  bool strict;
  bool by_name;      /* its addresses are a name server's */
  bool bootstrapped; /* the name was looked up at the relays */
  Stage stage;
  Resolver *resolver;
  GCancellable *cancellable;
  int tcp_error;     /* why none of the name server's addresses would do; 0: not tried */
  GArray *addresses; /* of IpAddr: raced for */
  TcpRace *race;
  ProxyChoice proxied;
  Proxy proxy;
  char authorization[PROXY_AUTHORIZATION_MAX];
  TlsContext *context;
  Tls *tls;
  int fd;
  guint in_watch, out_watch;
  ProxyLayer *layer; /* below TLS, if there is a proxy */
  Buffer carried;    /* ciphertext on its way through the proxy's layer */
  Buffer out;        /* ciphertext (or plaintext without TLS) not yet taken by the kernel */
  Buffer plain;      /* from TLS */
  ConnectionEvent event;
  void *user_data;
};

static void
unref (Connection *c)
{
  if (--c->references > 0)
    return;
  tls_free (c->tls);
  proxy_layer_free (c->layer);
  explicit_bzero (&c->proxy, sizeof c->proxy);
  explicit_bzero (c->authorization, sizeof c->authorization);
  buffer_free (&c->carried);
  buffer_free (&c->out);
  buffer_free (&c->plain);
  g_clear_pointer (&c->addresses, g_array_unref);
  g_object_unref (c->cancellable);
  g_free (c->host);
  g_free (c);
}

/* After any of these the owner may have freed the connection: then its stage is STAGE_OVER. */

static void
dial_failed (Connection *c, ControlDialFailure failure, const char *text)
{
  ControlEvent event = {.type = CONTROL_EVENT_DIAL_FAILED,
                        .dial_failed = {.connection = c->id, .failure = failure, .text = text}};

  c->stage = STAGE_OVER;
  c->event (&event, c->user_data);
}

/* A failure before and after the connection was announced are different events. */
static void
broken (Connection *c, ControlDialFailure failure, const char *text)
{
  ControlEvent event
      = {.type = CONTROL_EVENT_CLOSED, .closed = {.connection = c->id, .text = text}};

  if (c->stage != STAGE_OPEN) {
    dial_failed (c, failure, text ? text : "the connection was closed");
    return;
  }
  c->stage = STAGE_OVER;
  c->event (&event, c->user_data);
}

static void
broken_by (Connection *c, ControlDialFailure failure, int error)
{
  g_autofree char *text = g_ascii_strdown (g_strerror (error), -1);

  broken (c, failure, text);
}

/* A plain HTTP request needs no tunnel through an HTTP proxy. */
static bool
asks_with_whole_urls (const Connection *c)
{
  return c->proxied == PROXY_USE && !c->use_tls && c->proxy.kind != PROXY_SOCKS5;
}

static void
announce (Connection *c)
{
  struct sockaddr_storage local;
  socklen_t size = sizeof local;
  IpPort address = {0};
  ControlEvent event = {.type = CONTROL_EVENT_DIALED, .dialed = {.connection = c->id}};

  if (getsockname (c->fd, (struct sockaddr *)&local, &size) == 0
      && ip_port_from_sockaddr ((struct sockaddr *)&local, size, &address))
    event.dialed.local = address.addr;
  if (asks_with_whole_urls (c)) {
    event.dialed.absolute_form = true;
    proxy_authorization (&c->proxy, c->authorization);
    if (c->authorization[0] != '\0')
      event.dialed.proxy_authorization = c->authorization;
  }
  if (c->tls && tls_certificate_problem (c->tls) != TLS_CERT_OK)
    event.dialed.warning = tls_error (c->tls);
  c->stage = STAGE_OPEN;
  c->event (&event, c->user_data);
}

/* --- Writing ------------------------------------------------------------------------------- */

static gboolean writable (int fd, GIOCondition condition, void *data);

/* Moves what TLS and the proxy's layer have to say to OUT. */
static void
collect (Connection *c)
{
  if (c->tls)
    tls_take (c->tls, c->layer ? &c->carried : &c->out);
  if (!c->layer)
    return;
  proxy_layer_send (c->layer, c->carried.data, c->carried.size);
  buffer_reset (&c->carried);
  proxy_layer_take (c->layer, &c->out);
}

/* False: the connection broke; the caller tells. */
static bool
flush (Connection *c)
{
  collect (c);
  while (c->out.size > 0) {
    ssize_t n = send (c->fd, c->out.data, c->out.size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN) {
      if (c->out_watch == 0)
        c->out_watch = g_unix_fd_add (c->fd, G_IO_OUT, writable, c);
      return true;
    }
    if (n < 0)
      return false;
    buffer_consume (&c->out, (size_t)n);
  }
  return true;
}

static gboolean
writable (int fd, GIOCondition condition, void *data)
{
  Connection *c = data;

  c->references++;
  c->out_watch = 0;
  if (!flush (c))
    broken_by (c, CONTROL_DIAL_REFUSED, errno);
  unref (c);
  return G_SOURCE_REMOVE;
}

void
connection_send (Connection *c, const uint8_t *data, size_t size)
{
  if (c->stage != STAGE_OPEN)
    return;
  if (c->tls)
    tls_write (c->tls, data, size);
  else if (c->layer)
    proxy_layer_send (c->layer, data, size);
  else
    buffer_append (&c->out, data, size);
  flush (c); /* a failure shows as soon as the socket is read */
}

/* --- TLS ----------------------------------------------------------------------------------- */

static ControlDialFailure
tls_failure (const Tls *tls)
{
  switch (tls_certificate_problem (tls)) {
    case TLS_CERT_OK:
      return CONTROL_DIAL_TLS;
    case TLS_CERT_EXPIRED:
      return CONTROL_DIAL_TLS_EXPIRED;
    case TLS_CERT_UNTRUSTED:
    case TLS_CERT_WRONG_NAME:
    case TLS_CERT_WRONG_PIN:
      break;
  }
  return CONTROL_DIAL_TLS_UNTRUSTED;
}

static void
start_tls (Connection *c)
{
  TlsClientOptions options = {
      .server_name = c->host,
      .verify = c->strict ? TLS_VERIFY_FULL : TLS_VERIFY_WARN,
  };

  c->stage = STAGE_TLS;
  c->tls = tls_client_new (c->context, &options);
  if (!flush (c))
    broken_by (c, CONTROL_DIAL_REFUSED, errno);
}

/* --- Reading ------------------------------------------------------------------------------- */

static void
give (Connection *c, const uint8_t *data, size_t size)
{
  ControlEvent event
      = {.type = CONTROL_EVENT_BYTES, .bytes = {.connection = c->id, .data = data, .size = size}};

  if (size > 0 && c->stage == STAGE_OPEN)
    c->event (&event, c->user_data);
}

static void
read_tls (Connection *c, const uint8_t *data, size_t size)
{
  tls_feed (c->tls, data, size);
  TlsState state = tls_read (c->tls, &c->plain);
  if (!flush (c)) {
    broken_by (c, CONTROL_DIAL_REFUSED, errno);
    return;
  }
  if (state == TLS_OPEN && c->stage == STAGE_TLS) {
    announce (c);
    tls_read (c->tls, &c->plain); /* what came in the same breath as the handshake's end */
  }
  give (c, c->plain.data, c->plain.size);
  buffer_reset (&c->plain);
  if (c->stage == STAGE_OVER)
    return;
  if (state == TLS_FAILED)
    broken (c, tls_failure (c->tls), tls_error (c->tls));
  else if (state == TLS_CLOSED)
    broken (c, CONTROL_DIAL_TLS, NULL);
}

/* What is sent from now on reaches the server. */
static void
open_way (Connection *c)
{
  if (c->use_tls)
    start_tls (c);
  else
    announce (c);
}

static void
read_clear (Connection *c, const uint8_t *data, size_t size)
{
  if (c->tls)
    read_tls (c, data, size);
  else
    give (c, data, size);
}

static void
read_proxy (Connection *c, const uint8_t *data, size_t size)
{
  Buffer in = {0};
  ProxyLayerState state = proxy_layer_feed (c->layer, data, size, &in);

  if (!flush (c))
    broken_by (c, CONTROL_DIAL_PROXY, errno);
  else if (state == PROXY_LAYER_FAILED)
    broken (c, CONTROL_DIAL_PROXY, proxy_layer_error (c->layer));
  else if (state == PROXY_LAYER_OPEN && c->stage == STAGE_PROXY)
    open_way (c);
  if (in.size > 0 && c->stage != STAGE_OVER)
    read_clear (c, in.data, in.size);
  buffer_free (&in);
}

/* False: nothing more can be read now. */
static bool
read_some (Connection *c, uint8_t *buffer)
{
  ssize_t n = recv (c->fd, buffer, READ_SIZE, 0);

  if (n < 0 && errno == EINTR)
    return true;
  if (n < 0 && errno == EAGAIN)
    return false;
  if (n < 0)
    broken_by (c, CONTROL_DIAL_REFUSED, errno);
  else if (n == 0)
    broken (c, CONTROL_DIAL_REFUSED, NULL);
  else if (c->layer)
    read_proxy (c, buffer, (size_t)n);
  else
    read_clear (c, buffer, (size_t)n);
  return c->stage != STAGE_OVER;
}

static gboolean
readable (int fd, GIOCondition condition, void *data)
{
  Connection *c = data;
  g_autofree uint8_t *buffer = g_malloc (READ_SIZE);

  c->references++;
  for (int i = 0; i < READS_A_RUN && read_some (c, buffer); i++)
    continue;
  bool over = c->stage == STAGE_OVER;
  if (over)
    c->in_watch = 0;
  unref (c);
  return over ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

/* --- Getting there ------------------------------------------------------------------------- */

static void tcp_done (int fd, int error, void *data);

/* The socket is there: what comes first on it? */
static void
begin (Connection *c)
{
  bool whole_urls = asks_with_whole_urls (c);

  if (c->proxied != PROXY_USE || (whole_urls && c->proxy.kind == PROXY_HTTP)) {
    open_way (c);
    return;
  }
  c->stage = STAGE_PROXY;
  c->layer = proxy_layer_new (&c->proxy, c->context, whole_urls ? NULL : c->host, c->port);
  if (!flush (c))
    broken_by (c, CONTROL_DIAL_PROXY, errno);
}

static void
race_for (Connection *c, GArray *addresses)
{
  c->stage = STAGE_CONNECTING;
  g_array_ref (addresses);
  g_clear_pointer (&c->addresses, g_array_unref);
  c->addresses = addresses;
  c->race
      = tcp_race_new (addresses, c->proxied == PROXY_USE ? c->proxy.port : c->port, tcp_done, c);
}

static void
tcp_failed (Connection *c, int error)
{
  broken_by (c, error == ETIMEDOUT ? CONTROL_DIAL_TIMEOUT : CONTROL_DIAL_REFUSED, error);
}

static void
resolved (GObject *source, GAsyncResult *result, void *data)
{
  Connection *c = data;
  g_autoptr (GError) error = NULL;

  if (c->stage == STAGE_RESOLVING) {
    g_autoptr (GArray) addresses = resolver_lookup_finish (c->resolver, result, &error);
    if (addresses)
      race_for (c, addresses);
    else if (c->tcp_error != 0)
      tcp_failed (c, c->tcp_error);
    else
      dial_failed (c, CONTROL_DIAL_RESOLVE, error->message);
  }
  unref (c);
}

/* Addresses that nobody answers at, and nobody ever did: the name server may be wrong. */
static void
ask_relays (Connection *c, int error)
{
  c->tcp_error = error;
  c->bootstrapped = true;
  c->stage = STAGE_RESOLVING;
  c->references++;
  resolver_bootstrap_async (c->resolver, c->host, c->cancellable, resolved, c);
}

static bool
may_ask_relays (const Connection *c)
{
  IpAddr literal;

  return !c->bootstrapped && c->proxied != PROXY_USE && c->by_name
         && !ip_parse (c->host, strlen (c->host), &literal)
         && !resolver_has_reached (c->resolver, c->addresses);
}

static void
note_reached (Connection *c)
{
  struct sockaddr_storage peer;
  socklen_t size = sizeof peer;
  IpPort address;

  if (getpeername (c->fd, (struct sockaddr *)&peer, &size) == 0
      && ip_port_from_sockaddr ((struct sockaddr *)&peer, size, &address))
    resolver_note_reached (c->resolver, &address.addr);
}

static void
tcp_done (int fd, int error, void *data)
{
  Connection *c = data;

  tcp_race_free (g_steal_pointer (&c->race));
  c->references++;
  if (fd < 0 && may_ask_relays (c))
    ask_relays (c, error);
  else if (fd < 0)
    tcp_failed (c, error);
  else {
    c->fd = fd;
    note_reached (c);
    c->in_watch = g_unix_fd_add (fd, G_IO_IN | G_IO_ERR | G_IO_HUP, readable, c);
    begin (c);
  }
  unref (c);
}

static gboolean
bad_proxy (void *data)
{
  Connection *c = data;

  if (c->stage == STAGE_RESOLVING)
    dial_failed (c, CONTROL_DIAL_PROXY, "the proxy setting is not the address of a proxy");
  unref (c);
  return G_SOURCE_REMOVE;
}

Connection *
connection_new (const ControlAction *action, Resolver *resolver, TlsContext *tls,
                const ProxySettings *proxies, ConnectionEvent event, void *user_data)
{
  Connection *c = g_new0 (Connection, 1);

  c->references = 1;
  c->id = action->dial.connection;
  c->host = g_strdup (action->dial.host);
  c->port = action->dial.port;
  c->use_tls = action->dial.tls;
  c->strict = action->dial.strict;
  c->resolver = resolver;
  c->context = tls;
  c->cancellable = g_cancellable_new ();
  c->fd = -1;
  c->event = event;
  c->user_data = user_data;
  c->proxied = proxy_choose (proxies, c->use_tls, c->host, c->port, &c->proxy);
  if (c->proxied == PROXY_BAD) {
    c->references++;
    g_idle_add (bad_proxy, c);
  } else if (action->dial.ip.family != 0 && c->proxied == PROXY_DIRECT) {
    g_autoptr (GArray) one = g_array_new (FALSE, FALSE, sizeof (IpAddr));
    g_array_append_val (one, action->dial.ip);
    race_for (c, one);
  } else {
    c->references++;
    c->by_name = true;
    resolver_lookup_async (resolver, c->proxied == PROXY_USE ? c->proxy.host : c->host,
                           c->cancellable, resolved, c);
  }
  return c;
}

void
connection_free (Connection *c)
{
  if (!c)
    return;
  c->stage = STAGE_OVER;
  g_cancellable_cancel (c->cancellable);
  tcp_race_free (g_steal_pointer (&c->race));
  g_clear_handle_id (&c->in_watch, g_source_remove);
  g_clear_handle_id (&c->out_watch, g_source_remove);
  if (c->fd >= 0) {
    if (c->tls) {
      tls_close (c->tls);
      flush (c);
      g_clear_handle_id (&c->out_watch, g_source_remove);
    }
    close (c->fd);
  }
  c->fd = -1;
  unref (c);
}
