#include "harness.h"

#include <string.h>

#define MS  USEC_PER_MSEC
#define S   USEC_PER_SEC
#define URL HARNESS_URL

/* --- Refresh, expiry, rotation ------------------------------------------------------------- */

static void
test_refresh (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  harness_start (h);
  g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
  HarnessRegistration decoded = harness_decode (&request);
  NodePublic key;
  key_public (h->disk.node_key.bytes, key.bytes);
  g_assert_true (key_same (&decoded.request.node_key, &key));
  arena_clear (&decoded.arena);
  harness_reply (h, &request, 200, harness_registered);
  harness_assert_log (h, "state off\nstate connecting\nregistered 7 hazel@burrow\n"
                         "state synchronising\n");
}

static void
test_expired_at_start (void)
{
  g_autoptr (Harness) h = harness_new_known ();
  NodePublic old;

  key_public (h->disk.node_key.bytes, old.bytes);
  harness_start (h);
  g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
  harness_reply (h, &request, 200, "{\"NodeKeyExpired\":true}");
  g_auto (HarnessRequest) second = harness_take (h, "/machine/register");
  HarnessRegistration decoded = harness_decode (&second);
  g_assert_true (key_same (&decoded.request.old_node_key, &old));
  g_assert_false (key_same (&decoded.request.node_key, &old));
  arena_clear (&decoded.arena);
  g_assert_nonnull (second.request.hints[1]);
  harness_reply_url (h, &second, harness_urls[0]);
  harness_assert_log (h, "state off\nstate connecting\nproblem key-expired: \nstate needs-login\n"
                         "url " URL "/register/one\n");
  g_auto (HarnessRequest) wait = harness_take (h, "/machine/register");
  harness_reply (h, &wait, 200, harness_registered);
  g_assert_true (key_same (&h->disk.old_node_key, &old));
}

static void
test_rotation (void)
{
  g_autoptr (Harness) h = harness_new_known ();
  NodePublic old;

  key_public (h->disk.node_key.bytes, old.bytes);
  harness_start (h);
  g_auto (HarnessRequest) map = harness_bring_up (h);
  harness_forget (h);
  harness_login (h, NULL, true);
  g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
  harness_reply_url (h, &request, harness_urls[0]);
  g_auto (HarnessRequest) wait = harness_take (h, "/machine/register");
  /* the old key goes on until the new one is accepted */
  harness_assert_log (h, "url " URL "/register/one by-user\n");
  harness_map (h, &map, "{\"KeepAlive\":true}");
  g_assert_cmpint (fake_control_next_reset (map.server), ==, 0);
  harness_reply (h, &wait, 200, harness_registered);
  harness_assert_log (h, "url -\nregistered 7 hazel@burrow new-key\nstate running\n");
  g_assert_cmpint (fake_control_next_reset (map.server), ==, map.request.stream);
  g_assert_true (key_same (&h->disk.old_node_key, &old));
  g_auto (HarnessRequest) map2 = harness_take (h, "/machine/map");
  harness_expect (h, "/machine/map");
  harness_open_map (h, &map2, harness_first_map);
  harness_assert_log (h, "state running online\n");
}

static void
test_bad_rotation (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  harness_start (h);
  g_auto (HarnessRequest) map = harness_bring_up (h);
  harness_forget (h);
  harness_login (h, "bad", true);
  g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
  harness_reply (h, &request, 200, "{\"Error\":\"invalid authkey\"}");
  harness_assert_log (h, "problem auth-key-invalid: invalid authkey\n");
  g_assert_cmpint (fake_control_next_reset (map.server), ==, 0);
  g_assert_true (key_zero (&h->disk.pending_key));
}

/* Lets time pass, with keep-alives on MAP, until the node asks whether it still exists. */
static HarnessRequest
await_refresh (Harness *h, const HarnessRequest *map)
{
  int64_t start = h->now;

  harness_run (h, 119 * S);
  harness_map (h, map, "{\"KeepAlive\":true}");
  harness_run (h, 119 * S);
  harness_quiet (h);
  while (!harness_has_request (h) && h->now < start + 400 * S) {
    harness_map (h, map, "{\"KeepAlive\":true}");
    harness_run (h, 10 * S);
  }
  g_assert_cmpint (h->now - start, <=, 370 * S);
  return harness_take (h, "/machine/register");
}

static void
test_refresh_finds_removal (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  harness_start (h);
  g_auto (HarnessRequest) map = harness_bring_up (h);
  harness_forget (h);
  g_auto (HarnessRequest) refresh = await_refresh (h, &map);
  harness_reply_url (h, &refresh, harness_urls[0]);
  harness_assert_log (h, "problem node-removed: \nstate needs-login\n");
  harness_run (h, 600 * S);
  harness_quiet (h);
  harness_login (h, NULL, false);
  g_auto (HarnessRequest) again = harness_take (h, "/machine/register");
  g_assert_null (strstr (again.body, "register/one"));
}

static void
test_refresh_refused (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  harness_start (h);
  g_auto (HarnessRequest) map = harness_bring_up (h);
  harness_forget (h);
  g_auto (HarnessRequest) refresh = await_refresh (h, &map);
  harness_reply (h, &refresh, 200, "{\"Error\":\"invalid authkey\"}");
  harness_assert_log (h, "");
}

static void
test_map_404 (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  harness_start (h);
  g_auto (HarnessRequest) reg = harness_take (h, "/machine/register");
  harness_reply (h, &reg, 200, harness_registered);
  g_auto (HarnessRequest) map = harness_take (h, "/machine/map");
  harness_forget (h);
  harness_reply (h, &map, 404, "node not found\n");
  harness_run (h, 20 * MS);
  g_auto (HarnessRequest) again = harness_take (h, "/machine/register");
  g_assert_null (strstr (again.body, "AuthKey"));
  harness_reply_url (h, &again, harness_urls[0]);
  harness_assert_log (h, "state connecting\nproblem node-removed: \nstate needs-login\n");
  harness_run (h, 600 * S);
  harness_quiet (h);
}

static void
test_map_404_twice (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  harness_start (h);
  for (int i = 0; i < 2; i++) {
    g_auto (HarnessRequest) reg = harness_take (h, "/machine/register");
    harness_reply (h, &reg, 200, harness_registered);
    g_auto (HarnessRequest) map = harness_take (h, "/machine/map");
    harness_reply (h, &map, 404, "node not found\n");
    harness_run (h, 50 * MS);
  }
  harness_run (h, 600 * S);
  harness_quiet (h);
  g_autofree char *log = harness_log (h);
  g_assert_true (g_str_has_suffix (log, "problem node-removed: \nstate needs-login\n"));
}

/* --- Logout -------------------------------------------------------------------------------- */

static void
test_logout (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  harness_start (h);
  harness_bring_up_only (h);
  harness_forget (h);
  harness_event (h, CONTROL_EVENT_LOGOUT);
  g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
  g_assert_nonnull (strstr (request.body, "\"Expiry\":\"1970-01-01T00:02:03Z\""));
  harness_reply (h, &request, 200, "{\"NodeKeyExpired\":true,\"MachineAuthorized\":true}");
  harness_assert_log (h, "state running\nlogged-out told\nstate off\n");
  g_assert_true (key_zero (&h->disk.node_key) && key_zero (&h->disk.old_node_key)
                 && key_zero (&h->disk.lock_key));
  g_assert_false (key_zero (&h->disk.server_key));
  g_assert_null (control_netmap (h->control));
  g_assert_cmpuint (h->connections->len, ==, 0);
}

static void
test_logout_alone (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  h->plain = NET_HANG;
  harness_start (h);
  harness_forget (h);
  harness_event (h, CONTROL_EVENT_LOGOUT);
  harness_run (h, 4 * S);
  g_assert_false (key_zero (&h->disk.node_key));
  harness_run (h, 2 * S);
  harness_assert_log (h, "logged-out\nstate off\n");
  g_assert_true (key_zero (&h->disk.node_key));
}

static void
test_pause (void)
{
  g_autoptr (Harness) h = harness_new_known ();

  harness_start (h);
  harness_bring_up_only (h);
  harness_forget (h);
  harness_event (h, CONTROL_EVENT_PAUSE);
  harness_assert_log (h, "state off\n");
  g_assert_cmpuint (h->connections->len, ==, 0);
  g_assert_nonnull (control_netmap (h->control));
  harness_run (h, 3600 * S);
  harness_event (h, CONTROL_EVENT_RESUME);
  harness_expect (h, "/machine/register");
  harness_assert_log (h, "state running\n");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/control/login/refreshes-with-the-profiles-key", test_refresh);
  g_test_add_func ("/control/login/an-expired-key-is-replaced-once", test_expired_at_start);
  g_test_add_func ("/control/login/rotation-does-not-interrupt", test_rotation);
  g_test_add_func ("/control/login/a-bad-key-does-not-log-out", test_bad_rotation);
  g_test_add_func ("/control/login/refresh-finds-out-removal", test_refresh_finds_removal);
  g_test_add_func ("/control/login/a-refused-refresh-changes-nothing", test_refresh_refused);
  g_test_add_func ("/control/login/404-on-map-leads-to-one-registration", test_map_404);
  g_test_add_func ("/control/login/404-again-means-removed", test_map_404_twice);
  g_test_add_func ("/control/logout/tells-the-server-and-forgets-the-keys", test_logout);
  g_test_add_func ("/control/logout/gives-up-telling-after-5-s", test_logout_alone);
  g_test_add_func ("/control/login/pause-lets-go-and-keeps-the-map", test_pause);
  return g_test_run ();
}
