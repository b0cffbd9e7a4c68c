/* Looking names up at relays, with relays of this test on loopback. */
#include "host/bootstrap-dns.h"

#include "base/bytes.h"
#include "certificates.h"
#include "wire/tls.h"

#include <gio/gio.h>
#include <string.h>

static GMainLoop *loop;
static TlsContext *server_context;
static TestCertificate certificate;
static GSocketService *service;
static uint16_t port;
static unsigned connections;
static const char *answer; /* NULL: each connection is closed at once */
static char request[1024];

typedef struct
{
  GSocketConnection *connection;
  Tls *tls;
} Client;

static gboolean
serve (GSocket *socket, GIOCondition condition, void *data)
{
  Client *client = data;
  GOutputStream *stream = g_io_stream_get_output_stream (G_IO_STREAM (client->connection));
  Buffer out = {0}, plain = {0};
  char bytes[4096];
  gssize n = g_socket_receive (socket, bytes, sizeof bytes, NULL, NULL);

  if (n > 0) {
    tls_feed (client->tls, bytes, (size_t)n);
    tls_read (client->tls, &plain);
  }
  if (plain.size > 0) {
    g_strlcpy (request, (char *)plain.data, MIN (sizeof request, plain.size + 1));
    tls_write (client->tls, answer, strlen (answer));
    tls_close (client->tls);
  }
  tls_take (client->tls, &out);
  g_output_stream_write_all (stream, out.data, out.size, NULL, NULL, NULL);
  bool over = n <= 0 || plain.size > 0;
  buffer_free (&out);
  buffer_free (&plain);
  if (!over)
    return G_SOURCE_CONTINUE;
  tls_free (client->tls);
  g_object_unref (client->connection);
  g_free (client);
  return G_SOURCE_REMOVE;
}

static gboolean
incoming (GSocketService *self, GSocketConnection *connection, GObject *source, void *data)
{
  connections++;
  if (!answer)
    return TRUE;
  Client *client = g_new0 (Client, 1);
  client->connection = g_object_ref (connection);
  client->tls = tls_server_new (server_context);
  GSocket *socket = g_socket_connection_get_socket (connection);
  GSource *watch = g_socket_create_source (socket, G_IO_IN, NULL);
  g_source_set_callback (watch, G_SOURCE_FUNC (serve), client, NULL);
  g_source_attach (watch, NULL);
  g_source_unref (watch);
  return TRUE;
}

static void
done (GArray *addresses, void *data)
{
  *(GArray **)data = addresses;
  g_main_loop_quit (loop);
}

static GPtrArray *
relays_here (unsigned n, const char *pin)
{
  GPtrArray *relays = g_ptr_array_new_with_free_func (bootstrap_relay_free);

  for (unsigned i = 0; i < n; i++) {
    BootstrapRelay *relay = g_new0 (BootstrapRelay, 1);
    relay->host = g_strdup ("relay.example.org");
    relay->cert_name = g_strdup (pin);
    relay->ip4 = ip_from_v4 (0x7f000001);
    relay->port = port;
    g_ptr_array_add (relays, relay);
  }
  return relays;
}

static GArray *
look_up (unsigned n_relays, const uint8_t digest[32])
{
  char pin[80] = "sha256-raw:";
  GArray *addresses = NULL;

  hex_encode (digest, 32, pin + strlen (pin));
  g_autoptr (GPtrArray) relays = relays_here (n_relays, pin);
  connections = 0;
  BootstrapDns *lookup
      = bootstrap_dns_new (relays, "control.example.org", random_system (), done, &addresses);
  g_main_loop_run (loop);
  bootstrap_dns_free (lookup);
  return addresses;
}

static void
test_answer (void)
{
  answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
           "{\"other.example.org\":[\"192.0.2.1\"],"
           "\"control.example.org\":[\"192.0.2.7\",\"nonsense\",\"2001:db8::7\"]}";
  g_autoptr (GArray) addresses = look_up (1, certificate.digest);
  char text[IP_TEXT_MAX];

  g_assert_nonnull (addresses);
  g_assert_cmpuint (addresses->len, ==, 2);
  ip_format (&g_array_index (addresses, IpAddr, 0), text);
  g_assert_cmpstr (text, ==, "192.0.2.7");
  g_assert_true (g_str_has_prefix (request, "GET /bootstrap-dns?q=control.example.org HTTP/1.1\r\n"
                                            "Host: relay.example.org\r\n"));
}

static void
test_six (void)
{
  answer = NULL;
  g_assert_null (look_up (10, certificate.digest));
  g_assert_cmpuint (connections, ==, BOOTSTRAP_TRIES_MAX);
}

static void
test_unknown (void)
{
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
  g_assert_null (look_up (2, certificate.digest));
  g_assert_cmpuint (connections, ==, 2);
  answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  g_assert_null (look_up (1, certificate.digest));
}

static void
test_impostor (void)
{
  uint8_t other[32] = {1};

  answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  request[0] = '\0';
  g_assert_null (look_up (1, other));
  g_assert_cmpstr (request, ==, "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  loop = g_main_loop_new (NULL, FALSE);
  certificate = test_certificate_new ("relay.example.org", NULL, false, -1, 30);
  server_context = tls_server_context_new (certificate.certificate, certificate.key, NULL);
  service = g_socket_service_new ();
  port = g_socket_listener_add_any_inet_port (G_SOCKET_LISTENER (service), NULL, NULL);
  g_signal_connect (service, "incoming", G_CALLBACK (incoming), NULL);
  g_test_add_func ("/host/bootstrap-dns/gives-what-a-relay-knows", test_answer);
  g_test_add_func ("/host/bootstrap-dns/asks-six-relays-at-most", test_six);
  g_test_add_func ("/host/bootstrap-dns/goes-on-when-a-relay-does-not-know", test_unknown);
  g_test_add_func ("/host/bootstrap-dns/asks-nobody-whose-certificate-is-wrong", test_impostor);
  int result = g_test_run ();
  g_object_unref (service);
  tls_context_free (server_context);
  test_certificate_clear (&certificate);
  g_main_loop_unref (loop);
  return result;
}
