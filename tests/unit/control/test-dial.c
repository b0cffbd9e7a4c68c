#include "control/backoff.h"
#include "harness.h"

#include <string.h>

#define MS USEC_PER_MSEC
#define S  USEC_PER_SEC

/* Starts a session at URL with a key, so that it has a reason to dial. */
static Harness *
begin (const char *url, NetBehaviour plain, NetBehaviour tls)
{
  Harness *h = harness_new (url);

  h->plain = plain;
  h->tls = tls;
  key_generate (&h->random.base, h->disk.node_key.bytes);
  lock_key_generate (&h->random.base, &h->disk.lock_key);
  return h;
}

/* The same, with the server's key known already, so that the dials are those of /ts2021. */
static Harness *
begin_pinned (const char *url, NetBehaviour plain, NetBehaviour tls)
{
  Harness *h = begin (url, plain, tls);

  key_public (h->server.key.bytes, h->disk.server_key.bytes);
  return h;
}

static void
test_key_first (void)
{
  g_autoptr (Harness) h = begin ("https://control.example", NET_SERVER, NET_SERVER);

  harness_start (h);
  harness_assert_dials (h, "tls:443! plain:80");
  g_assert_true (!key_zero (&h->disk.server_key));
  harness_restart (h);
  harness_assert_dials (h, "plain:80");
}

static void
test_key_untrusted (void)
{
  g_autoptr (Harness) h = begin ("https://control.example", NET_SERVER, NET_UNTRUSTED);

  harness_start (h);
  harness_assert_dials (h, "tls:443!");
  harness_assert_log (h, "state off\nstate connecting\nproblem tls-untrusted retrying: could not "
                         "reach control server control.example: self-signed certificate\n");
  h->tls = NET_SERVER;
  harness_run (h, 30 * MS);
  harness_assert_dials (h, "tls:443! plain:80");
}

static void
test_untrusted_session (void)
{
  g_autoptr (Harness) h = begin_pinned ("https://control.example", NET_REFUSE, NET_UNTRUSTED);

  harness_start (h);
  harness_bring_up_only (h);
  harness_assert_dials (h, "plain:80 tls:443");
}

static void
test_race (void)
{
  /* plain first, TLS half a second later; the plain attempt still wins when it wakes up */
  g_autoptr (Harness) h = begin_pinned ("https://control.example", NET_HANG, NET_HANG);

  harness_start (h);
  harness_run (h, 499 * MS);
  harness_assert_dials (h, "plain:80");
  harness_run (h, 1 * MS);
  harness_assert_dials (h, "tls:443");
  harness_run (h, 9400 * MS);
  harness_assert_dials (h, "");
  harness_run (h, 200 * MS);
  g_autofree char *log = harness_log (h);
  g_assert_nonnull (strstr (log, "problem server-unreachable retrying: could not reach control "
                                 "server control.example: no answer in time\n"));
}

static void
test_tls_at_once (void)
{
  g_autoptr (Harness) h = begin_pinned ("https://control.example", NET_REFUSE, NET_SERVER);

  harness_start (h);
  harness_assert_dials (h, "plain:80 tls:443");
  harness_bring_up_only (h);
}

static void
test_loser_closed (void)
{
  g_autoptr (Harness) h = begin_pinned ("https://control.example", NET_HANG, NET_SERVER);

  harness_start (h);
  harness_run (h, 500 * MS);
  harness_bring_up_only (h);
  g_assert_cmpuint (h->connections->len, ==, 1);
}

static void
test_two_minutes (void)
{
  g_autoptr (Harness) h = begin_pinned ("http://control.example:8080", NET_SERVER, NET_SERVER);
  ControlEvent event = {.type = CONTROL_EVENT_LINK, .link.major = true};

  harness_start (h);
  harness_assert_dials (h, "plain:8080");
  harness_bring_up_only (h);
  harness_run (h, 60 * S);
  harness_send (h, &event);
  harness_assert_dials (h, "tls:443");
  /* the plain port stays the fallback: at once when TLS is refused … */
  h->tls = NET_REFUSE;
  harness_send (h, &event);
  harness_assert_dials (h, "tls:443 plain:8080");
  /* … and after a while when it is met with silence */
  h->tls = NET_HANG;
  harness_send (h, &event);
  harness_assert_dials (h, "tls:443");
  harness_run (h, 3 * S);
  harness_assert_dials (h, "plain:8080");
  g_auto (HarnessRequest) again = harness_take (h, "/machine/map");
  harness_open_map (h, &again, harness_first_map);
  harness_run (h, 60 * S);
  harness_map (h, &again, "{\"KeepAlive\":true}");
  harness_run (h, 60 * S);
  harness_assert_dials (h, "");
  h->tls = NET_SERVER;
  harness_send (h, &event);
  harness_assert_dials (h, "plain:8080");
}

static void
test_loopback (void)
{
  g_autoptr (Harness) h = begin_pinned ("http://127.0.0.1:3000", NET_REFUSE, NET_SERVER);

  harness_start (h);
  harness_run (h, 60 * S);
  g_autofree char *dials = harness_dials (h);
  g_assert_nonnull (strstr (dials, "plain:3000"));
  g_assert_null (strstr (dials, "443"));
}

static void
test_redirect (void)
{
  g_autoptr (Harness) h = begin_pinned ("https://control.example", NET_SERVER, NET_REFUSE);

  h->server.upgrade_status = 301;
  harness_start (h);
  /* then once more, as a WebSocket */
  harness_assert_dials (h, "plain:80 tls:443 plain:80 tls:443");
  g_autofree char *log = harness_log (h);
  g_assert_nonnull (strstr (log, "problem not-a-control-server retrying: could not reach control "
                                 "server control.example: HTTP status 301"));
}

/* Response, early payload and SETTINGS in one piece and byte by byte, with and without payload. */
static void
test_over_read (void)
{
  for (int variant = 0; variant < 4; variant++) {
    g_autoptr (Harness) h = begin_pinned ("http://127.0.0.1:3000", NET_SERVER, NET_REFUSE);
    h->byte_by_byte = variant & 1;
    h->server.early_payload = variant & 2;
    harness_start (h);
    harness_bring_up_only (h);
    harness_assert_log (h, "state off\nstate connecting\nregistered 7 hazel@burrow\n"
                           "state synchronising\nnetmap 0\nstate running online\n");
  }
}

static void
test_other_key_https (void)
{
  g_autoptr (Harness) h = begin ("https://control.example", NET_SERVER, NET_SERVER);

  memset (h->disk.server_key.bytes, 9, KEY_SIZE);
  harness_start (h);
  harness_assert_dials (h, "plain:80 tls:443 tls:443! tls:443");
  harness_bring_up_only (h);
  uint8_t right[KEY_SIZE];
  key_public (h->server.key.bytes, right);
  g_assert_cmpmem (h->disk.server_key.bytes, KEY_SIZE, right, KEY_SIZE);
}

static void
test_other_key_http (void)
{
  g_autoptr (Harness) h = begin ("http://127.0.0.1:3000", NET_SERVER, NET_REFUSE);

  memset (h->disk.server_key.bytes, 9, KEY_SIZE);
  harness_start (h);
  harness_assert_dials (h, "plain:3000 plain:3000!");
  harness_assert_log (h, "state off\nstate connecting\n"
                         "problem server-key-changed: 127.0.0.1:3000\n");
  harness_run (h, 600 * S);
  harness_assert_dials (h, "");
  harness_event (h, CONTROL_EVENT_ACCEPT_KEY);
  harness_bring_up_only (h);
}

static void
test_version_refused (void)
{
  g_autoptr (Harness) h = begin_pinned ("http://127.0.0.1:3000", NET_SERVER, NET_REFUSE);

  h->server.close_after_101 = true;
  harness_start (h);
  harness_assert_log (h, "state off\nstate connecting\nproblem version-refused retrying: the "
                         "server closed the connection during the handshake\n");
  harness_assert_dials (h, "plain:3000 plain:3000!");
  harness_run (h, 10 * S);
  g_autofree char *dials = harness_dials (h);
  g_assert_cmpuint (strlen (dials), <, 40 * strlen ("plain:3000 plain:3000! "));
}

static void
test_bad_key_answers (void)
{
  static const char *bodies[] = {
      "",
      "[]",
      "nothing like JSON",
      "{\"publicKey\":\"nodekey:00\"}",
      "{\"publicKey\":\"mkey:0000000000000000000000000000000000000000000000000000000000000000\"}",
      "d89e3bad79437dbed9f843418304f460ff05c7fe81fe4a9577a804cb9367ff66",
  };

  for (size_t i = 0; i < G_N_ELEMENTS (bodies); i++) {
    g_autoptr (Harness) h = begin ("http://127.0.0.1:3000", NET_SERVER, NET_REFUSE);
    h->server.key_body = bodies[i];
    harness_start (h);
    g_autofree char *log = harness_log (h);
    g_assert_nonnull (strstr (log, "problem not-a-control-server retrying: "));
    g_assert_true (key_zero (&h->disk.server_key));
  }
}

static void
test_plan (void)
{
  g_autoptr (Harness) h = begin_pinned ("http://control.example", NET_SERVER, NET_SERVER);
  ControlEvent event = {.type = CONTROL_EVENT_LINK, .link.major = true};

  harness_start (h);
  g_auto (HarnessRequest) map = harness_bring_up (h);
  harness_map (h, &map,
               "{\"ControlDialPlan\":{\"Candidates\":["
               "{\"IP\":\"192.0.2.7\",\"DialStartDelaySec\":0.2,\"DialTimeoutSec\":2},"
               "{\"IP\":\"192.0.2.8\",\"DialTimeoutSec\":1},"
               "{\"IP\":\"192.0.2.10\"},"
               "{\"IP\":\"192.0.2.9\",\"ACEHost\":\"ace.example\",\"DialTimeoutSec\":2}]}}");
  harness_forget (h);
  harness_run (h, 65 * S);
  harness_map (h, &map, "{\"KeepAlive\":true}");
  harness_run (h, 65 * S);
  h->plain = h->tls = NET_HANG;
  harness_forget (h);
  harness_send (h, &event);
  harness_assert_dials (h, "192.0.2.8/plain:80");
  harness_run (h, 200 * MS);
  harness_assert_dials (h, "192.0.2.7/plain:80");
  harness_run (h, 300 * MS);
  harness_assert_dials (h, "192.0.2.8/tls:443");
  harness_run (h, 200 * MS);
  harness_assert_dials (h, "192.0.2.7/tls:443");
  /* when every candidate has failed, the name is resolved after all */
  h->plain = NET_SERVER;
  harness_run (h, 2 * S);
  harness_assert_dials (h, "plain:80");
  harness_expect (h, "/machine/map");
}

static void
test_path_prefix (void)
{
  static const char *paths[] = {"/prefix/ts2021", "/ts2021"};

  for (size_t i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autoptr (Harness) h = begin_pinned ("http://127.0.0.1:3000/prefix", NET_SERVER, NET_REFUSE);
    h->server.upgrade_path = paths[i];
    harness_start (h);
    harness_run (h, 20 * MS);
    harness_expect (h, "/prefix/machine/register");
  }
}

static void
test_goaway (void)
{
  g_autoptr (Harness) h = begin_pinned ("http://127.0.0.1:3000", NET_SERVER, NET_REFUSE);

  harness_start (h);
  g_auto (HarnessRequest) map = harness_bring_up (h);
  harness_forget (h);
  fake_control_goaway (map.server);
  harness_run (h, 20 * MS);
  harness_assert_dials (h, "plain:3000");
  harness_expect (h, "/machine/map");
  harness_quiet (h);
}

static void
test_lost_address (void)
{
  g_autoptr (Harness) h = begin_pinned ("http://127.0.0.1:3000", NET_SERVER, NET_REFUSE);
  ControlEvent event = {.type = CONTROL_EVENT_LINK};
  IpAddr addresses[2];

  ip_parse ("192.168.1.5", 11, &addresses[0]); /* what the harness says our end is */
  ip_parse ("10.0.0.5", 8, &addresses[1]);
  harness_start (h);
  harness_bring_up_only (h);
  harness_forget (h);
  event.link.addresses = addresses;
  event.link.n_addresses = 2;
  harness_send (h, &event);
  harness_assert_dials (h, "");
  event.link.addresses = &addresses[1];
  event.link.n_addresses = 1;
  harness_send (h, &event);
  harness_run (h, 20 * MS);
  harness_assert_dials (h, "plain:3000");
}

static void
test_resume_ping (void)
{
  g_autoptr (Harness) h = begin_pinned ("http://127.0.0.1:3000", NET_SERVER, NET_REFUSE);
  ControlEvent event = {.type = CONTROL_EVENT_LINK, .link.woke = true};

  harness_start (h);
  g_auto (HarnessRequest) map = harness_bring_up (h);
  harness_forget (h);
  harness_send (h, &event); /* the server answers the ping */
  harness_run (h, 10 * S);
  harness_assert_dials (h, "");
  fake_control_vanish (map.server);
  harness_send (h, &event);
  harness_run (h, 4900 * MS);
  harness_assert_dials (h, "");
  harness_run (h, 200 * MS);
  harness_assert_dials (h, "plain:3000");
}

static void
test_silence_ping (void)
{
  g_autoptr (Harness) h = begin_pinned ("http://127.0.0.1:3000", NET_SERVER, NET_REFUSE);

  harness_start (h);
  g_auto (HarnessRequest) map = harness_bring_up (h);
  harness_forget (h);
  fake_control_vanish (map.server);
  harness_run (h, 89 * S);
  harness_assert_dials (h, "");
  harness_run (h, 2 * S);
  harness_assert_dials (h, "plain:3000");
}

static void
test_backoff (void)
{
  SeededRandom random;

  seeded_random_init (&random, 3);
  for (int64_t n = 1; n < 200; n++) {
    Backoff backoff = {.failures = (unsigned)n - 1};
    int64_t delay = MIN (n * n * 10, 30000) * MS;
    backoff_fail (&backoff, &random.base, 5 * S);
    g_assert_cmpint (backoff.retry_at - 5 * S, >=, delay / 2);
    g_assert_cmpint (backoff.retry_at - 5 * S, <, delay / 2 * 3);
    backoff_reset (&backoff);
    g_assert_cmpint (backoff.retry_at, ==, 0);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/control/dial/fetches-the-key-once-and-pins-it", test_key_first);
  g_test_add_func ("/control/dial/refuses-a-key-from-an-untrusted-server", test_key_untrusted);
  g_test_add_func ("/control/dial/runs-over-an-untrusted-certificate", test_untrusted_session);
  g_test_add_func ("/control/dial/starts-plain-and-tls-500-ms-later", test_race);
  g_test_add_func ("/control/dial/starts-tls-at-once-when-plain-fails", test_tls_at_once);
  g_test_add_func ("/control/dial/closes-the-loser", test_loser_closed);
  g_test_add_func ("/control/dial/goes-to-tls-within-two-minutes-and-back-to-plain",
                   test_two_minutes);
  g_test_add_func ("/control/dial/never-dials-443-for-loopback", test_loopback);
  g_test_add_func ("/control/dial/does-not-follow-a-redirect", test_redirect);
  g_test_add_func ("/control/dial/uses-over-read-bytes-with-and-without-early-payload",
                   test_over_read);
  g_test_add_func ("/control/dial/takes-a-new-server-key-over-https", test_other_key_https);
  g_test_add_func ("/control/dial/asks-about-a-new-server-key-over-http", test_other_key_http);
  g_test_add_func ("/control/dial/reports-a-refused-version", test_version_refused);
  g_test_add_func ("/control/dial/reports-what-is-not-a-control-server", test_bad_key_answers);
  g_test_add_func ("/control/dial/follows-the-dial-plan-then-dns", test_plan);
  g_test_add_func ("/control/dial/puts-the-urls-path-in-front", test_path_prefix);
  g_test_add_func ("/control/dial/goaway-leads-to-a-new-connection", test_goaway);
  g_test_add_func ("/control/dial/a-lost-address-ends-its-connection", test_lost_address);
  g_test_add_func ("/control/dial/pings-after-resume-and-reconnects", test_resume_ping);
  g_test_add_func ("/control/dial/pings-after-75-s-of-silence", test_silence_ping);
  g_test_add_func ("/control/backoff/grows-with-the-square-up-to-30-s", test_backoff);
  return g_test_run ();
}
