#include "control/core.h"
#include "harness.h"

#include <string.h>

#define S   USEC_PER_SEC
#define URL HARNESS_URL

static Harness *
start (HarnessRequest *map)
{
  Harness *h = harness_new (URL);

  h->tls = NET_REFUSE;
  key_generate (&h->random.base, h->disk.node_key.bytes);
  lock_key_generate (&h->random.base, &h->disk.lock_key);
  key_public (h->server.key.bytes, h->disk.server_key.bytes);
  harness_start (h);
  *map = harness_bring_up (h);
  harness_forget (h);
  return h;
}

static void
test_liveness (void)
{
  g_auto (HarnessRequest) map = {0};
  g_autoptr (Harness) h = start (&map);

  harness_map (h, &map, "{\"PingRequest\":{\"URL\":\"" URL "/machine/ping-response?id=1\"}}");
  harness_assert_dials (h, "plain:3000!");
  harness_map (h, &map, "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"" URL "/ping?id=2\"}}");
  harness_assert_dials (h, "plain:3000!");
  /* the same again, none at all, and what is no URL */
  harness_map (h, &map, "{\"PingRequest\":{\"URL\":\"" URL "/ping?id=2\"}}");
  harness_map (h, &map, "{\"PingRequest\":{\"URL\":\"\"}}");
  harness_map (h, &map, "{\"PingRequest\":{\"URL\":\"file:///etc/passwd\"}}");
  harness_assert_dials (h, "");
  harness_quiet (h);
}

static void
test_liveness_noise (void)
{
  g_auto (HarnessRequest) map = {0};
  g_autoptr (Harness) h = start (&map);

  harness_map (h, &map, "{\"PingRequest\":{\"URL\":\"https://unused/a?b=c\",\"URLIsNoise\":true}}");
  g_auto (HarnessRequest) head = harness_take (h, "/a?b=c");
  g_assert_cmpstr (head.request.method, ==, "HEAD");
  harness_assert_dials (h, "");
}

static void
test_c2n (void)
{
  g_auto (HarnessRequest) map = {0};
  g_autoptr (Harness) h = start (&map);

  harness_map (h, &map,
               "{\"PingRequest\":{\"URL\":\"https://unused/c2n/42\",\"Types\":\"c2n\",\"Payload\":"
               "\"R0VUIC9lY2hvIEhUVFAvMS4xDQpIb3N0OiBub2RlDQpDb250ZW50LUxlbmd0aDogNA0KDQpwaW5n"
               "\"}}");
  g_auto (HarnessRequest) post = harness_take (h, "/c2n/42");
  g_assert_cmpstr (post.request.method, ==, "POST");
  g_assert_cmpstr (post.body, ==, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nping");
  harness_reply (h, &post, 200, "");
  harness_assert_dials (h, "");
}

static void
test_c2n_handlers (void)
{
  static const struct
  {
    const char *request, *status, *body;
  } cases[] = {
      {"GET /echo HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", ""},
      {"POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\n", "abc"},
      {"GET /update HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n",
       "{\"Enabled\":false,\"Supported\":false,\"Started\":false}"},
      {"POST /update?x=y HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n",
       "{\"Enabled\":false,\"Supported\":false,\"Started\":false}"},
      {"GET /posture/identity HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n",
       "{\"PostureDisabled\":true}"},
      {"GET /vip-services HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "{\"ServicesHash\":\"\"}"},
      {"POST /vip-services HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "bad method"},
      {"GET /debug/prefs HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "unknown c2n path"},
      {"GET /echo/more HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "unknown c2n path"},
      {"POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", "HTTP/1.1 400 Bad Request\r\n",
       "bad request"},
      {"nonsense", "HTTP/1.1 400 Bad Request\r\n", "bad request"},
      {"", "HTTP/1.1 400 Bad Request\r\n", "bad request"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    Buffer out = {0};
    c2n_answer ((const uint8_t *)cases[i].request, strlen (cases[i].request), &out);
    g_autofree char *text = g_strndup ((char *)out.data, out.size);
    const char *body = strstr (text, "\r\n\r\n");
    g_assert_true (g_str_has_prefix (text, cases[i].status));
    g_assert_nonnull (body);
    g_assert_cmpstr (body + 4, ==, cases[i].body);
    buffer_free (&out);
  }
}

static void
test_disco_ping (void)
{
  static const char result[] = "{\"Type\":\"disco\",\"LatencySeconds\":0.01}";
  g_auto (HarnessRequest) map = {0};
  g_autoptr (Harness) h = start (&map);
  ControlEvent event = {.type = CONTROL_EVENT_PING_RESULT};

  harness_map (h, &map,
               "{\"PingRequest\":{\"URL\":\"https://unused/pong\",\"URLIsNoise\":true,"
               "\"Types\":\"disco,TSMP\",\"IP\":\"100.64.0.2\"}}");
  harness_assert_log (h, "ping disco,TSMP\n");
  harness_quiet (h);
  event.ping_result.ping = h->last_ping;
  event.ping_result.json = (const uint8_t *)result;
  event.ping_result.size = sizeof result - 1;
  harness_send (h, &event);
  g_auto (HarnessRequest) post = harness_take (h, "/pong");
  g_assert_cmpstr (post.body, ==, result);
  harness_send (h, &event); /* once is enough */
  harness_quiet (h);
  /* nothing is sent when the ping could not be run */
  harness_map (h, &map,
               "{\"PingRequest\":{\"URL\":\"https://unused/pong2\",\"URLIsNoise\":true,"
               "\"Types\":\"ICMP\",\"IP\":\"100.64.0.2\"}}");
  event.ping_result.ping = h->last_ping;
  event.ping_result.json = NULL;
  harness_send (h, &event);
  harness_quiet (h);
}

static void
test_flood (void)
{
  g_auto (HarnessRequest) map = {0};
  g_autoptr (Harness) h = start (&map);

  for (int i = 0; i < 30; i++) {
    g_autofree char *json = g_strdup_printf ("{\"PingRequest\":{\"URL\":\"https://unused/p%d\","
                                             "\"Types\":\"disco\",\"IP\":\"100.64.0.2\"}}",
                                             i);
    harness_map (h, &map, json);
  }
  g_autofree char *log = harness_log (h);
  g_assert_cmpuint (strlen (log), ==, PINGS_MAX * strlen ("ping disco\n"));
  harness_run (h, 16 * S);
  harness_map (h, &map,
               "{\"PingRequest\":{\"URL\":\"https://unused/q\",\"Types\":\"disco\","
               "\"IP\":\"100.64.0.2\"}}");
  harness_assert_log (h, "ping disco\n");
}

static void
test_pop_url (void)
{
  static const char *bad[] = {"javascript:alert(1)", "file:///x", "https://a@b/", ""};
  g_auto (HarnessRequest) map = {0};
  g_autoptr (Harness) h = start (&map);

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *json = g_strdup_printf ("{\"PopBrowserURL\":\"%s\"}", bad[i]);
    harness_map (h, &map, json);
  }
  harness_assert_log (h, "");
  harness_map (h, &map, "{\"PopBrowserURL\":\"https://one.example/\"}");
  harness_map (h, &map, "{\"PopBrowserURL\":\"https://one.example/\"}");
  harness_map (h, &map, "{\"KeepAlive\":true,\"PopBrowserURL\":\"https://two.example/\"}");
  harness_assert_log (h, "pop https://one.example/\npop https://two.example/\n");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/control/ping/proves-liveness-once-per-url", test_liveness);
  g_test_add_func ("/control/ping/proves-liveness-over-noise-where-told", test_liveness_noise);
  g_test_add_func ("/control/c2n/answers-the-echo-vector-over-noise", test_c2n);
  g_test_add_func ("/control/c2n/knows-its-paths-and-refuses-the-rest", test_c2n_handlers);
  g_test_add_func ("/control/ping/posts-what-session-found", test_disco_ping);
  g_test_add_func ("/control/ping/is-bounded", test_flood);
  g_test_add_func ("/control/ping/opens-allowed-pages-once", test_pop_url);
  return g_test_run ();
}
