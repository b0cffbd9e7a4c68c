/* The way to a relay through an HTTP proxy (spec/derp.md §3.2), and how long a relay's answer takes
 * (§3.7). */
#include "tunnel/probe.h"

#include "base/bytes.h"
#include "certificates.h"

#include <glib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_US (30 * USEC_PER_SEC)

/* A proxy on loopback that answers one CONNECT and is the relay behind itself. */
typedef struct
{
  SeededRandom random;
  StreamContext context;
  TestCertificate certificate;
  TlsContext *server_context;
  Tls *server;
  int listener, fd;
  char *setting;
  PathRelayNode node;
  Stream stream;
  Buffer request, plain;
  const char *answer; /* to CONNECT */
} Rig;

static void
rig_init (Rig *rig, const char *answer)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  char pin[100] = "sha256-raw:", *error = NULL;

  *rig = (Rig){.answer = answer, .fd = -1};
  seeded_random_init (&rig->random, 20261123);
  rig->certificate = test_certificate_new ("relay.lab", NULL, false, -1, 10);
  rig->server_context
      = tls_server_context_new (rig->certificate.certificate, rig->certificate.key, &error);
  g_assert_nonnull (rig->server_context);
  rig->listener = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  g_assert_cmpint (bind (rig->listener, (struct sockaddr *)&address, size), ==, 0);
  g_assert_cmpint (listen (rig->listener, 1), ==, 0);
  getsockname (rig->listener, (struct sockaddr *)&address, &size);
  rig->setting = g_strdup_printf ("http://ann:secret@127.0.0.1:%u", ntohs (address.sin_port));
  rig->context = (StreamContext){.epoll = epoll_create1 (0),
                                 .tls = tls_client_context_new (NULL, &error),
                                 .random = &rig->random.base,
                                 .user_agent = "test",
                                 .proxies = {.https_proxy = rig->setting}};
  hex_encode (rig->certificate.digest, 32, pin + strlen (pin));
  rig->node = (PathRelayNode){.region = 1,
                              .host = g_strdup ("relay.lab"),
                              .cert_name = g_strdup (pin),
                              .port = 8443,
                              .addr4 = ip_from_v4 (0xc0000201)};
}

static void
rig_clear (Rig *rig)
{
  stream_clear (&rig->stream);
  tls_free (rig->server);
  tls_context_free (rig->server_context);
  tls_context_free (rig->context.tls);
  test_certificate_clear (&rig->certificate);
  buffer_free (&rig->request);
  buffer_free (&rig->plain);
  close (rig->context.epoll);
  close (rig->listener);
  if (rig->fd >= 0)
    close (rig->fd);
  g_free (rig->setting);
  g_free (rig->node.host);
  g_free (rig->node.cert_name);
}

/* The proxy takes what came and answers. */
static void
serve (Rig *rig)
{
  uint8_t bytes[4096];
  Buffer out = {0};

  if (rig->fd < 0)
    rig->fd = accept4 (rig->listener, NULL, NULL, SOCK_NONBLOCK);
  ssize_t n = rig->fd < 0 ? -1 : recv (rig->fd, bytes, sizeof bytes, 0);
  if (n <= 0)
    return;
  if (rig->server) {
    tls_receive (rig->server, bytes, (size_t)n, &rig->plain);
    tls_take (rig->server, &out);
  } else {
    buffer_append (&rig->request, bytes, (size_t)n);
    if (!memmem (rig->request.data, rig->request.size, "\r\n\r\n", 4))
      return;
    rig->server = tls_server_new (rig->server_context);
    buffer_append_text (&out, rig->answer);
  }
  if (out.size > 0)
    g_assert_cmpint (send (rig->fd, out.data, out.size, 0), ==, (ssize_t)out.size);
  buffer_free (&out);
}

static void
run_until (Rig *rig, StreamState state)
{
  int64_t until = clock_now_us () + LIMIT_US;
  struct epoll_event event;

  while (rig->stream.state != state && clock_now_us () < until) {
    serve (rig);
    if (epoll_wait (rig->context.epoll, &event, 1, 5) > 0)
      stream_io (&rig->stream, clock_now_us ());
  }
  g_assert_cmpint (rig->stream.state, ==, state);
}

static void
test_through (void)
{
  Rig rig;

  rig_init (&rig, "HTTP/1.1 200 Connection established\r\nVia: 1.1 lab\r\n\r\n");
  g_assert_false (
      stream_init (&rig.stream, &rig.context, STREAM_OF_RELAY, &rig, &rig.node, clock_now_us ()));
  run_until (&rig, STREAM_OPEN);
  buffer_append (&rig.request, "", 1);
  /* the relay's own port, by its name and not by its address */
  g_assert_cmpstr ((const char *)rig.request.data, ==,
                   "CONNECT relay.lab:8443 HTTP/1.1\r\nHost: relay.lab:8443\r\n"
                   "Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n");
  stream_write (&rig.stream, "hello", 5);
  stream_flush (&rig.stream);
  for (int64_t until = clock_now_us () + LIMIT_US; rig.plain.size < 5 && clock_now_us () < until;)
    serve (&rig);
  g_assert_cmpmem (rig.plain.data, rig.plain.size, "hello", 5);
  rig_clear (&rig);
}

static void
test_refused (void)
{
  static const struct
  {
    const char *answer, *text;
  } cases[] = {
      {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
       "relay.lab: the proxy 127.0.0.1 refused the user name or the password (HTTP status 407)"},
      {"HTTP/1.1 302 Found\r\n\r\n", "relay.lab: the proxy 127.0.0.1 refused: HTTP status 302"},
      {"SSH-2.0-x\r\n\r\n", "relay.lab: the proxy 127.0.0.1 does not speak HTTP"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    Rig rig;
    rig_init (&rig, cases[i].answer);
    stream_init (&rig.stream, &rig.context, STREAM_OF_RELAY, &rig, &rig.node, clock_now_us ());
    run_until (&rig, STREAM_FAILED);
    g_assert_cmpint (rig.stream.failure, ==, RELAY_CLOSED_TCP);
    g_assert_cmpstr (rig.stream.text, ==, cases[i].text);
    rig_clear (&rig);
  }
}

/* The name of a proxy is resolved instead of the relay's; a setting that is none is told. */
static void
test_names (void)
{
  Rig rig;

  rig_init (&rig, "");
  rig.context.proxies.https_proxy = "http://proxy.lab:3128";
  g_assert_true (stream_init (&rig.stream, &rig.context, STREAM_OF_RELAY, &rig, &rig.node, 1));
  g_assert_cmpstr (stream_name (&rig.stream), ==, "proxy.lab");
  stream_resolved (&rig.stream, NULL, 0, 1);
  g_assert_cmpint (rig.stream.failure, ==, RELAY_CLOSED_DNS);
  g_assert_cmpstr (rig.stream.text, ==, "the name proxy.lab could not be resolved");
  stream_clear (&rig.stream);
  rig.context.proxies.https_proxy = "socks4://proxy.lab";
  g_assert_false (stream_init (&rig.stream, &rig.context, STREAM_OF_RELAY, &rig, &rig.node, 1));
  g_assert_cmpint (rig.stream.state, ==, STREAM_FAILED);
  stream_clear (&rig.stream);
  rig.context.proxies.no_proxy = "relay.lab";
  rig.node.addr4.family = 0;
  rig.node.resolve4 = true;
  g_assert_true (stream_init (&rig.stream, &rig.context, STREAM_OF_RELAY, &rig, &rig.node, 1));
  g_assert_cmpstr (stream_name (&rig.stream), ==, "relay.lab");
  rig_clear (&rig);
}

/* Runs until DONE; time stands still at NOW. */
static void
run_probe (Rig *rig, Probe *probe, int64_t now_us, const bool *done)
{
  struct epoll_event event;

  for (int64_t until = clock_now_us () + LIMIT_US; !*done && clock_now_us () < until;) {
    serve (rig);
    if (epoll_wait (rig->context.epoll, &event, 1, 5) > 0)
      stream_io (&probe->stream, now_us);
    probe_drive (probe, now_us);
  }
  g_assert_true (*done);
}

/* Only the answer is timed, not the way to it; and it has to be the relay's own. */
static void
test_latency (void)
{
  static const struct
  {
    const char *answer;
    bool good;
  } cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
      {"HTTP/1.1 204 No Content\r\n\r\n", true},
      {"HTTP/1.1 302 Found\r\nLocation: http://portal.lab/\r\n\r\n", false},
      {"HTTP/1.1 404 Not Found\r\n\r\n", false},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    int64_t now_us = 1000 * USEC_PER_SEC;
    bool resolve;
    Rig rig;

    rig_init (&rig, "HTTP/1.1 200 OK\r\n\r\n");
    Probe *probe = probe_new (&rig.context, 1, &rig.node, now_us, &resolve);
    now_us += 900 * USEC_PER_MSEC; /* spent on the way */
    run_probe (&rig, probe, now_us, &probe->asked);
    for (int64_t until = clock_now_us () + LIMIT_US;
         (rig.plain.size == 0 || !memmem (rig.plain.data, rig.plain.size, "\r\n\r\n", 4))
         && clock_now_us () < until;)
      serve (&rig);
    Buffer out = {0};
    tls_write_to (rig.server, cases[i].answer, strlen (cases[i].answer), &out);
    g_assert_cmpint (send (rig.fd, out.data, out.size, 0), ==, (ssize_t)out.size);
    buffer_free (&out);
    run_probe (&rig, probe, now_us + 42 * USEC_PER_MSEC, &probe->done);
    g_assert_cmpint (probe->latency_us, ==,
                     cases[i].good ? 42 * USEC_PER_MSEC : NETCHECK_NO_LATENCY);
    probe_free (probe);
    rig_clear (&rig);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tunnel/stream/leads-through-a-proxy-to-the-relay", test_through);
  g_test_add_func ("/tunnel/stream/tells-what-a-proxy-answered", test_refused);
  g_test_add_func ("/tunnel/stream/resolves-the-proxy-unless-excepted", test_names);
  g_test_add_func ("/tunnel/probe/times-the-answer-alone", test_latency);
  return g_test_run ();
}
