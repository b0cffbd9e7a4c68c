/* Login, frames and the end of a relay connection: spec/derp.md §4, §14. */
#include "client-rig.h"

#include <string.h>

static void
test_first_flight (void)
{
  Rig *rig = rig_new (true);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  connected (rig, true);
  pull (rig);
  g_assert_cmpuint (rig->n_written, ==, 240);
  g_checksum_update (sum, rig->written, 240);
  g_assert_cmpstr (g_checksum_get_string (sum), ==,
                   "6689d230f0df9dba0effec36dab50622ab06cdfe22d4544d3d0c4b14411f5f37");
  rig_free (rig);
}

static void
test_fast_start (void)
{
  Rig *rig = rig_new (true);
  DerpClientAction action;
  uint8_t key[DERP_SERVER_KEY_SIZE];
  DerpClientStatus status;

  connected (rig, true);
  derp_server_key_encode (&rig->server_public, key);
  feed (rig, key, sizeof key);
  assert_nothing (rig);
  feed_server_info (rig, SERVER_JSON);
  expect (rig, DERP_CLIENT_ACTION_UP, &action);
  feed (rig, key, sizeof key); /* later ones are skipped too */
  assert_nothing (rig);
  derp_client_status (rig->client, &status);
  g_assert_true (status.up);
  g_assert_cmpint (status.last_frame_us, ==, START);
  rig_free (rig);
}

static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
                                "Connection: Upgrade\r\nDerp-Version: 2\r\n\r\n";

static void
test_slow_start (void)
{
  Rig *rig = rig_new (false);
  DerpClientAction action;
  uint8_t key[DERP_SERVER_KEY_SIZE];
  g_autoptr (GByteArray) both = g_byte_array_new ();

  connected (rig, false);
  pull (rig);
  rig->written[rig->n_written] = '\0';
  g_assert_null (strstr ((char *)rig->written, "Derp-Fast-Start"));
  g_assert_true (g_str_has_suffix ((char *)rig->written, "Upgrade: DERP\r\n\r\n"));
  /* head and ServerKey in one record */
  derp_server_key_encode (&rig->server_public, key);
  g_byte_array_append (both, (const uint8_t *)switching, strlen (switching));
  g_byte_array_append (both, key, sizeof key);
  feed (rig, both->data, both->len);
  assert_nothing (rig);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_CLIENT_INFO, NULL), ==, 1);
  g_assert_cmpuint (count_frames (rig, DERP_NOTE_PREFERRED, NULL), ==, 0);
  feed_server_info (rig, SERVER_JSON);
  expect (rig, DERP_CLIENT_ACTION_UP, &action);
  rig_free (rig);
}

static void
test_byte_by_byte (void)
{
  Rig *rig = rig_new (false);
  DerpClientAction action;
  uint8_t key[DERP_SERVER_KEY_SIZE];

  connected (rig, false);
  for (const char *c = switching; *c; c++) {
    feed (rig, c, 1);
    assert_nothing (rig);
  }
  derp_server_key_encode (&rig->server_public, key);
  for (size_t i = 0; i < sizeof key; i++) {
    feed (rig, key + i, 1);
    assert_nothing (rig);
  }
  feed_server_info (rig, SERVER_JSON);
  expect (rig, DERP_CLIENT_ACTION_UP, &action);
  rig_free (rig);
}

static void
test_http_error (void)
{
  Rig *rig = rig_new (false);
  DerpClientAction action;
  static const char answer[] = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 32\r\n\r\n"
                               "DERP requires connection upgrade";

  connected (rig, false);
  feed (rig, answer, strlen (answer));
  expect (rig, DERP_CLIENT_ACTION_CLOSE, &action);
  g_assert_cmpint (action.close.reason, ==, DERP_CLOSE_UPGRADE);
  g_assert_nonnull (strstr (action.close.text, "426"));
  g_assert_nonnull (strstr (action.close.text, "DERP requires connection upgrade"));
  rig_free (rig);
}

static void
test_bad_server_key (void)
{
  uint8_t key[DERP_SERVER_KEY_SIZE];

  for (int kind = 0; kind < 3; kind++) {
    Rig *rig = rig_new (false);
    connected (rig, false);
    feed (rig, switching, strlen (switching));
    derp_server_key_encode (&rig->server_public, key);
    if (kind == 0)
      key[5] ^= 1; /* magic */
    else if (kind == 1)
      key[0] = DERP_KEEP_ALIVE;
    else
      derp_header_encode (DERP_SERVER_KEY, 39, key);
    feed (rig, key, sizeof key);
    expect_close (rig, DERP_CLOSE_LOGIN);
    rig_free (rig);
  }
}

static void
test_bad_server_info (void)
{
  Rig *rig = rig_new (false);
  uint8_t body[64] = {1};

  connected (rig, true);
  feed_frame (rig, DERP_SERVER_INFO, body, sizeof body);
  expect_close (rig, DERP_CLOSE_LOGIN);
  rig_free (rig);
}

static void
test_refused (void)
{
  Rig *rig = rig_new (true);

  connected (rig, true);
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_END});
  expect_close (rig, DERP_CLOSE_REFUSED);
  rig_free (rig);

  rig = rig_new (true);
  log_in (rig);
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_END});
  expect_close (rig, DERP_CLOSE_LOST);
  rig_free (rig);
}

static void
test_login_time_out (void)
{
  Rig *rig = rig_new (true);

  connected (rig, true);
  g_assert_cmpint (derp_client_next_deadline (rig->client), ==, START + DERP_LOGIN_US);
  rig->now += DERP_LOGIN_US;
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
  expect_close (rig, DERP_CLOSE_LOGIN);
  rig_free (rig);
}

static void
test_unknown_frames (void)
{
  Rig *rig = rig_new (true);
  DerpClientAction action;
  g_autofree uint8_t *body = g_malloc0 (DERP_BODY_MAX + 1);
  static const uint8_t types[] = {0x0b, 0x7f, 0xff, DERP_WATCH_CONNS, DERP_CLIENT_INFO};

  log_in (rig);
  for (size_t i = 0; i < sizeof types; i++)
    feed_frame (rig, types[i], body, 10);
  feed_frame (rig, 0x7f, body, DERP_BODY_MAX);
  memcpy (body, rig->peer.bytes, 32);
  feed_frame (rig, DERP_RECV_PACKET, body, 40);
  expect (rig, DERP_CLIENT_ACTION_PACKET, &action);
  assert_nothing (rig);
  feed_frame (rig, 0x7f, body, DERP_BODY_MAX + 1);
  expect_close (rig, DERP_CLOSE_LOST);
  rig_free (rig);
}

static void
test_ping (void)
{
  Rig *rig = rig_new (true);
  DerpFrame frame;

  log_in (rig);
  feed_frame (rig, DERP_PING, "12345678 and more", 17);
  feed_frame (rig, DERP_PING, "1234567", 7);
  assert_nothing (rig);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_PONG, &frame), ==, 1);
  g_assert_cmpmem (frame.body, frame.size, "12345678", 8);

  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_PING});
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_PING, &frame), ==, 1);
  g_assert_cmpint (derp_client_next_deadline (rig->client), ==, rig->now + DERP_PING_TIMEOUT_US);
  feed_frame (rig, DERP_PONG, frame.body, 8);
  assert_nothing (rig);
  rig->now += DERP_PING_TIMEOUT_US;
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
  assert_nothing (rig);
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_PING});
  rig->now += DERP_PING_TIMEOUT_US;
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
  expect_close (rig, DERP_CLOSE_LOST);
  rig_free (rig);
}

static void
test_silence (void)
{
  Rig *rig = rig_new (true);

  log_in (rig);
  feed_frame (rig, DERP_KEEP_ALIVE, NULL, 0);
  assert_nothing (rig);
  g_assert_cmpint (derp_client_next_deadline (rig->client), ==, rig->now + DERP_SILENCE_US);
  rig->now += DERP_SILENCE_US - 1;
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
  assert_nothing (rig);
  rig->now += 1;
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
  expect_close (rig, DERP_CLOSE_LOST);
  rig_free (rig);
}

static void
test_own_probing (void)
{
  Rig *rig = rig_new (true);

  log_in (rig);
  send_packet (rig, "hello", 5);
  pull (rig);
  int64_t written = rig->now;
  g_assert_cmpint (derp_client_next_deadline (rig->client), ==, written + DERP_PROBE_AFTER_US);
  rig->now = written + DERP_PROBE_AFTER_US;
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_PING, NULL), ==, 1);
  rig->now += DERP_PING_TIMEOUT_US;
  input (rig, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
  expect_close (rig, DERP_CLOSE_LOST);
  rig_free (rig);
}

static void
test_health (void)
{
  Rig *rig = rig_new (true);
  DerpClientAction action;

  log_in (rig);
  feed_frame (rig, DERP_HEALTH, "duplicate\nkey", 13);
  feed_frame (rig, DERP_HEALTH, NULL, 0);
  expect (rig, DERP_CLIENT_ACTION_HEALTH, &action);
  g_assert_cmpstr (action.health, ==, "duplicate key");
  expect (rig, DERP_CLIENT_ACTION_HEALTH, &action);
  g_assert_cmpstr (action.health, ==, "");
  rig_free (rig);
}

static void
test_restarting (void)
{
  Rig *rig = rig_new (true);
  DerpClientAction action;

  log_in (rig);
  feed_frame (rig, DERP_RESTARTING, "\0\0\x07\xd0\0\0\x27", 7); /* too short */
  feed_frame (rig, DERP_RESTARTING, "\0\0\x07\xd0\0\0\x27\x10", 8);
  expect (rig, DERP_CLIENT_ACTION_RESTARTING, &action);
  g_assert_cmpint (action.restart_us, ==, 2 * USEC_PER_SEC);
  assert_nothing (rig);
  rig_free (rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/derp/client/first-flight-is-byte-exact", test_first_flight);
  g_test_add_func ("/derp/client/fast-start-ignores-the-server-key", test_fast_start);
  g_test_add_func ("/derp/client/waits-for-101-and-server-key", test_slow_start);
  g_test_add_func ("/derp/client/takes-any-fragmentation", test_byte_by_byte);
  g_test_add_func ("/derp/client/quotes-an-http-error", test_http_error);
  g_test_add_func ("/derp/client/refuses-a-bad-server-key", test_bad_server_key);
  g_test_add_func ("/derp/client/refuses-a-bad-server-info", test_bad_server_info);
  g_test_add_func ("/derp/client/tells-refusal-from-loss", test_refused);
  g_test_add_func ("/derp/client/login-has-a-limit", test_login_time_out);
  g_test_add_func ("/derp/client/skips-unknown-frames-and-closes-on-huge-ones",
                   test_unknown_frames);
  g_test_add_func ("/derp/client/answers-and-sends-pings", test_ping);
  g_test_add_func ("/derp/client/closes-after-120-s-of-silence", test_silence);
  g_test_add_func ("/derp/client/pings-when-nothing-comes-back", test_own_probing);
  g_test_add_func ("/derp/client/passes-on-health", test_health);
  g_test_add_func ("/derp/client/passes-on-that-the-relay-restarts", test_restarting);
  return g_test_run ();
}
