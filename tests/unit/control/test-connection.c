#include "control/connection.h"

#include "certificates.h"
#include "host/tcp-race.h"

#include <errno.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- A server of one connection, in the same main loop -------------------------------------- */

typedef struct
{
  GSocketService *service;
  uint16_t port;
  GSocketConnection *connection;
  guint watch;
  GString *received;  /* in clear */
  const char *answer; /* to the first bytes, when they hold a blank line */
  bool answered;
  bool use_tls; /* after the answer, or at once without one */
  TlsContext *context;
  Tls *tls;
} Server;

static void
server_flush (Server *s)
{
  Buffer out = {0};
  GOutputStream *stream = g_io_stream_get_output_stream (G_IO_STREAM (s->connection));

  tls_take (s->tls, &out);
  g_output_stream_write_all (stream, out.data, out.size, NULL, NULL, NULL);
  buffer_free (&out);
}

static void
server_take (Server *s, const char *data, size_t size)
{
  if (s->answer && !s->answered) {
    g_string_append_len (s->received, data, (gssize)size);
    if (!strstr (s->received->str, "\r\n\r\n"))
      return;
    s->answered = true;
    g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (s->connection)),
                               s->answer, strlen (s->answer), NULL, NULL, NULL);
    return;
  }
  if (!s->use_tls) {
    g_string_append_len (s->received, data, (gssize)size);
    return;
  }
  if (!s->tls)
    s->tls = tls_server_new (s->context);
  Buffer plain = {0};
  tls_feed (s->tls, data, size);
  tls_read (s->tls, &plain);
  g_string_append_len (s->received, (char *)plain.data, (gssize)plain.size);
  if (plain.size > 0)
    tls_write (s->tls, "pong", 4);
  buffer_free (&plain);
  server_flush (s);
}

static gboolean
server_readable (GSocket *socket, GIOCondition condition, void *data)
{
  Server *s = data;
  char buffer[4096];
  gssize n = g_socket_receive (socket, buffer, sizeof buffer, NULL, NULL);

  if (n <= 0) {
    s->watch = 0;
    return G_SOURCE_REMOVE;
  }
  server_take (s, buffer, (size_t)n);
  return G_SOURCE_CONTINUE;
}

static gboolean
server_accepted (GSocketService *service, GSocketConnection *connection, GObject *source,
                 void *data)
{
  Server *s = data;

  s->connection = g_object_ref (connection);
  g_autoptr (GSource) watch
      = g_socket_create_source (g_socket_connection_get_socket (connection), G_IO_IN, NULL);
  g_source_set_callback (watch, G_SOURCE_FUNC (server_readable), s, NULL);
  s->watch = g_source_attach (watch, NULL);
  return TRUE;
}

static Server *
server_new (const TestCertificate *certificate, const char *answer)
{
  Server *s = g_new0 (Server, 1);
  g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new (loopback, 0);
  g_autoptr (GSocketAddress) effective = NULL;

  s->received = g_string_new (NULL);
  s->answer = answer;
  s->use_tls = certificate != NULL;
  if (certificate)
    s->context = tls_server_context_new (certificate->certificate, certificate->key, NULL);
  s->service = g_socket_service_new ();
  g_assert_true (g_socket_listener_add_address (G_SOCKET_LISTENER (s->service), address,
                                                G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL,
                                                &effective, NULL));
  s->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (effective));
  g_signal_connect (s->service, "incoming", G_CALLBACK (server_accepted), s);
  return s;
}

static void
server_free (Server *s)
{
  g_clear_handle_id (&s->watch, g_source_remove);
  g_socket_service_stop (s->service);
  g_socket_listener_close (G_SOCKET_LISTENER (s->service));
  g_clear_object (&s->service);
  g_clear_object (&s->connection);
  tls_free (s->tls);
  tls_context_free (s->context);
  g_string_free (s->received, TRUE);
  g_free (s);
}

/* --- A client ------------------------------------------------------------------------------ */

typedef struct
{
  Connection *connection;
  GString *log;
  bool free_when_dialed;
} Client;

static void
on_event (ControlEvent *event, void *data)
{
  Client *c = data;

  switch (event->type) {
    case CONTROL_EVENT_DIALED:
      g_string_append_printf (
          c->log, "dialed%s%s%s%s\n", event->dialed.absolute_form ? " absolute" : "",
          event->dialed.proxy_authorization ? " " : "",
          event->dialed.proxy_authorization ? event->dialed.proxy_authorization : "",
          event->dialed.warning ? " warning" : "");
      if (c->free_when_dialed)
        g_clear_pointer (&c->connection, connection_free);
      else
        connection_send (c->connection, (const uint8_t *)"ping", 4);
      break;
    case CONTROL_EVENT_DIAL_FAILED:
      g_string_append_printf (c->log, "failed %d %s\n", event->dial_failed.failure,
                              event->dial_failed.text);
      break;
    case CONTROL_EVENT_BYTES:
      g_string_append_printf (c->log, "bytes %.*s\n", (int)event->bytes.size, event->bytes.data);
      break;
    case CONTROL_EVENT_CLOSED:
      g_string_append_printf (c->log, "closed %s\n", event->closed.text ? event->closed.text : "");
      break;
    default:
      g_assert_not_reached ();
  }
}

/* Until nothing has happened for a while. */
static void
settle (void)
{
  for (int quiet = 0; quiet < 40; quiet++) {
    while (g_main_context_iteration (NULL, FALSE))
      quiet = 0;
    g_usleep (2000);
  }
}

/* Dials, lets the main loop run, returns what was told. */
static char *
try_dial (const char *host, uint16_t port, bool use_tls, bool strict, const ProxySettings *settings,
          bool free_when_dialed)
{
  static const ProxySettings none;
  Resolver *resolver = resolver_new (NULL);
  TlsContext *tls = tls_client_context_new (NULL, NULL);
  Client client = {.log = g_string_new (NULL), .free_when_dialed = free_when_dialed};
  ControlAction action = {.type = CONTROL_ACTION_DIAL};

  action.dial.connection = 1;
  action.dial.host = host;
  action.dial.port = port;
  action.dial.tls = use_tls;
  action.dial.strict = strict;
  client.connection
      = connection_new (&action, resolver, tls, settings ? settings : &none, on_event, &client);
  settle ();
  connection_free (client.connection);
  settle ();
  resolver_free (resolver);
  tls_context_free (tls);
  return g_string_free (client.log, FALSE);
}

static TestCertificate certificate;

static void
test_plain (void)
{
  Server *server = server_new (NULL, NULL);
  g_autofree char *log = try_dial ("127.0.0.1", server->port, false, false, NULL, false);

  g_assert_cmpstr (log, ==, "dialed\n");
  g_assert_cmpstr (server->received->str, ==, "ping");
  server_free (server);
}

static void
test_refused (void)
{
  Server *server = server_new (NULL, NULL);
  uint16_t port = server->port;
  server_free (server);
  g_autofree char *log = try_dial ("127.0.0.1", port, true, false, NULL, false);
  g_autofree char *expected
      = g_strdup_printf ("failed %d connection refused\n", CONTROL_DIAL_REFUSED);

  g_assert_cmpstr (log, ==, expected);
}

static void
test_certificates (void)
{
  Server *server = server_new (&certificate, NULL);
  g_autofree char *tolerant = try_dial ("127.0.0.1", server->port, true, false, NULL, false);
  g_assert_cmpstr (tolerant, ==, "dialed warning\nbytes pong\n");
  g_assert_cmpstr (server->received->str, ==, "ping");
  server_free (server);

  server = server_new (&certificate, NULL);
  g_autofree char *strict = try_dial ("127.0.0.1", server->port, true, true, NULL, false);
  g_autofree char *prefix = g_strdup_printf ("failed %d ", CONTROL_DIAL_TLS_UNTRUSTED);
  g_assert_true (g_str_has_prefix (strict, prefix));
  g_assert_cmpstr (server->received->str, ==, "");
  server_free (server);
}

static void
test_not_tls (void)
{
  Server *server = server_new (NULL, NULL);
  server->answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
  g_string_append (server->received, "\r\n\r\n"); /* answer whatever comes */
  g_autofree char *log = try_dial ("127.0.0.1", server->port, true, true, NULL, false);
  g_autofree char *prefix = g_strdup_printf ("failed %d ", CONTROL_DIAL_TLS);

  g_assert_true (g_str_has_prefix (log, prefix));
  server_free (server);
}

static void
test_connect_proxy (void)
{
  Server *server = server_new (&certificate, "HTTP/1.1 200 OK\r\n\r\n");
  g_autofree char *url = g_strdup_printf ("http://user:password@127.0.0.1:%u", server->port);
  ProxySettings settings = {.https_proxy = url};
  g_autofree char *log = try_dial ("control.example", 443, true, false, &settings, false);

  g_assert_cmpstr (log, ==, "dialed warning\nbytes pong\n");
  g_assert_cmpstr (server->received->str, ==,
                   "CONNECT control.example:443 HTTP/1.1\r\nHost: control.example:443\r\n"
                   "Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n\r\nping");
  server_free (server);

  server = server_new (NULL, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  g_autofree char *open_url = g_strdup_printf ("127.0.0.1:%u", server->port);
  settings.https_proxy = open_url;
  g_autofree char *refused = try_dial ("control.example", 443, true, false, &settings, false);
  g_autofree char *expected
      = g_strdup_printf ("failed %d the proxy 127.0.0.1 wants a user name and a password "
                         "(HTTP status 407)\n",
                         CONTROL_DIAL_PROXY);
  g_assert_cmpstr (refused, ==, expected);
  g_assert_null (strstr (server->received->str, "Proxy-Authorization"));
  server_free (server);
}

static void
test_plain_proxy (void)
{
  Server *server = server_new (NULL, NULL);
  g_autofree char *url = g_strdup_printf ("http://user:password@127.0.0.1:%u", server->port);
  ProxySettings settings = {.http_proxy = url};
  g_autofree char *log = try_dial ("control.example", 80, false, false, &settings, false);

  g_assert_cmpstr (log, ==, "dialed absolute Basic dXNlcjpwYXNzd29yZA==\n");
  server_free (server);
  settings.http_proxy = "socks4://127.0.0.1:1080";
  g_autofree char *bad = try_dial ("control.example", 80, false, false, &settings, false);
  g_autofree char *expected
      = g_strdup_printf ("failed %d the proxy setting is not the address of a proxy\n",
                         CONTROL_DIAL_PROXY);
  g_assert_cmpstr (bad, ==, expected);
}

static void
test_closed (void)
{
  Server *server = server_new (NULL, "HTTP/1.1 200 OK\r\n\r\n");
  g_string_append (server->received, "\r\n\r\n");
  Resolver *resolver = resolver_new (NULL);
  static const ProxySettings none;
  Client client = {.log = g_string_new (NULL)};
  ControlAction action = {.type = CONTROL_ACTION_DIAL};

  action.dial.connection = 1;
  action.dial.host = "127.0.0.1";
  action.dial.port = server->port;
  client.connection = connection_new (&action, resolver, NULL, &none, on_event, &client);
  settle ();
  g_io_stream_close (G_IO_STREAM (server->connection), NULL, NULL);
  settle ();
  g_assert_cmpstr (client.log->str, ==, "dialed\nbytes HTTP/1.1 200 OK\r\n\r\n\nclosed \n");
  connection_free (client.connection);
  g_string_free (client.log, TRUE);
  resolver_free (resolver);
  server_free (server);
}

static void
test_freed_inside (void)
{
  Server *server = server_new (&certificate, NULL);
  g_autofree char *log = try_dial ("127.0.0.1", server->port, true, false, NULL, true);

  g_assert_cmpstr (log, ==, "dialed warning\n");
  server_free (server);
  server = server_new (NULL, NULL);
  g_autofree char *plain = try_dial ("127.0.0.1", server->port, false, false, NULL, true);
  g_assert_cmpstr (plain, ==, "dialed\n");
  server_free (server);
}

/* --- Happy eyeballs ------------------------------------------------------------------------ */

typedef struct
{
  int fd, error;
  bool done;
  int64_t at;
} Outcome;

static void
on_race (int fd, int error, void *data)
{
  *(Outcome *)data = (Outcome){fd, error, true, g_get_monotonic_time ()};
}

static Outcome
race (uint16_t port, const char *const *texts, size_t n)
{
  g_autoptr (GArray) addresses = g_array_new (FALSE, FALSE, sizeof (IpAddr));
  Outcome outcome = {.fd = -1};
  int64_t start = g_get_monotonic_time ();

  for (size_t i = 0; i < n; i++) {
    IpAddr address;
    g_assert_true (ip_parse (texts[i], strlen (texts[i]), &address));
    g_array_append_val (addresses, address);
  }
  TcpRace *tcp = tcp_race_new (addresses, port, on_race, &outcome);
  while (!outcome.done && g_get_monotonic_time () < start + 3 * G_USEC_PER_SEC)
    g_main_context_iteration (NULL, TRUE);
  tcp_race_free (tcp);
  outcome.at -= start;
  return outcome;
}

static void
test_next_at_once (void)
{
  static const char *const addresses[] = {"127.0.0.2", "127.0.0.1"};
  Server *server = server_new (NULL, NULL);
  Outcome outcome = {.at = INT64_MAX};

  for (int i = 0; i < 5 && outcome.at > 250000; i++) { /* the machine may be busy */
    outcome = race (server->port, addresses, 2);
    g_assert_cmpint (outcome.fd, >=, 0);
    close (outcome.fd);
  }
  g_assert_cmpint (outcome.at, <=, 250000);
  server_free (server);
  outcome = race (1, addresses, 2);
  g_assert_cmpint (outcome.fd, ==, -1);
  g_assert_cmpint (outcome.error, ==, ECONNREFUSED);
  outcome = race (1, addresses, 0);
  g_assert_cmpint (outcome.fd, ==, -1);
}

/* A listener whose queue is full does not answer. */
static void
test_next_after_a_while (void)
{
  static const char *const addresses[] = {"127.0.0.3", "127.0.0.1"};
  Server *server = server_new (NULL, NULL);
  struct sockaddr_in deaf = {.sin_family = AF_INET, .sin_port = htons (server->port)};
  int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[4];

  deaf.sin_addr.s_addr = htonl (0x7f000003);
  g_assert_cmpint (bind (listener, (struct sockaddr *)&deaf, sizeof deaf), ==, 0);
  g_assert_cmpint (listen (listener, 0), ==, 0);
  for (size_t i = 0; i < G_N_ELEMENTS (fill); i++) {
    fill[i] = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)!connect (fill[i], (struct sockaddr *)&deaf, sizeof deaf);
  }
  Outcome outcome = race (server->port, addresses, 2);
  g_assert_cmpint (outcome.fd, >=, 0);
  g_assert_cmpint (outcome.at, >=, 290000);
  g_assert_cmpint (outcome.at, <, 2000000);
  close (outcome.fd);
  close (listener);
  for (size_t i = 0; i < G_N_ELEMENTS (fill); i++)
    close (fill[i]);
  server_free (server);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  certificate = test_certificate_new ("127.0.0.1", NULL, false, -1, 10);
  g_test_add_func ("/control/connection/carries-plain-bytes", test_plain);
  g_test_add_func ("/control/connection/says-that-it-was-refused", test_refused);
  g_test_add_func ("/control/connection/warns-or-fails-for-a-wrong-certificate", test_certificates);
  g_test_add_func ("/control/connection/fails-where-there-is-no-tls", test_not_tls);
  g_test_add_func ("/control/connection/goes-through-a-connect-proxy-with-a-password",
                   test_connect_proxy);
  g_test_add_func ("/control/connection/tells-of-a-plain-proxy", test_plain_proxy);
  g_test_add_func ("/control/connection/tells-that-the-peer-has-closed", test_closed);
  g_test_add_func ("/control/connection/may-be-freed-inside-its-event", test_freed_inside);
  g_test_add_func ("/control/tcp-race/tries-the-next-address-at-once-after-a-failure",
                   test_next_at_once);
  g_test_add_func ("/control/tcp-race/tries-the-next-address-after-300-ms",
                   test_next_after_a_while);
  int result = g_test_run ();
  test_certificate_clear (&certificate);
  return result;
}
