#include "base/bytes.h"
#include "base/memory.h"
#include "derp/client.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define ROOM        (2 * DERP_BODY_MAX)
#define SECOND      USEC_PER_SEC
#define START       (1000 * SECOND)
#define SERVER_JSON "{\"version\":2}"

/* A client and the relay's end of its stream. */
typedef struct
{
  DerpClient *client;
  SeededRandom random;
  Random fixed; /* gives 00, 01, 02… for byte-exact tests */
  uint8_t server_private[32];
  DerpPublic server_public;
  uint8_t node_private[32];
  NodePublic node_public;
  uint8_t shared[32];
  NodePublic peer;
  int64_t now;
  uint8_t written[ROOM];
  size_t n_written;
} Rig;

static void
ascending_fill (Random *random, void *out, size_t size)
{
  for (size_t i = 0; i < size; i++)
    ((uint8_t *)out)[i] = (uint8_t)i;
}

static void
from_hex (const char *text, uint8_t *out)
{
  g_assert_true (hex_decode (text, strlen (text), out, strlen (text) / 2));
}

static Rig *
rig_new (bool home)
{
  Rig *rig = g_new0 (Rig, 1);

  rig->now = START;
  rig->fixed.fill = ascending_fill;
  from_hex ("c804316cc342926197514ee20f88ffb4ed4980cf0ec6a62f44baf6ffeb3c9154",
            rig->server_private);
  from_hex ("0031a851a816d8ece5367a26f6b393c460670ffd1d7ff759abba09d53555e97d", rig->node_private);
  from_hex ("f401e8ca72886a1f087a5bd8f20a3af7f7bfd9144f0b38ccf8b61c86330b0332", rig->peer.bytes);
  key_public (rig->server_private, rig->server_public.bytes);
  key_public (rig->node_private, rig->node_public.bytes);
  g_assert_true (box_shared (rig->server_private, rig->node_public.bytes, rig->shared));
  rig->client = derp_client_new (&(DerpClientConfig){.node_private = rig->node_private,
                                                     .host = "relay.example.net",
                                                     .port = 443,
                                                     .user_agent = "warren/1",
                                                     .home = home},
                                 &rig->fixed);
  return rig;
}

static void
rig_free (Rig *rig)
{
  derp_client_free (rig->client);
  g_free (rig);
}

static void
input (Rig *rig, const DerpClientEvent *event)
{
  derp_client_input (rig->client, event, rig->now);
}

static void
connected (Rig *rig, bool fast_start)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};

  event.connected.fast_start = fast_start;
  if (fast_start)
    event.connected.server_key = rig->server_public;
  input (rig, &event);
}

static void
feed (Rig *rig, const void *data, size_t size)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES};

  event.bytes.data = data;
  event.bytes.size = size;
  input (rig, &event);
}

static void
feed_frame (Rig *rig, uint8_t type, const void *body, size_t size)
{
  g_autofree uint8_t *frame = g_malloc (size + DERP_HEADER_SIZE);

  derp_header_encode (type, size, frame);
  if (size > 0)
    memcpy (frame + DERP_HEADER_SIZE, body, size);
  feed (rig, frame, size + DERP_HEADER_SIZE);
}

static void
feed_server_info (Rig *rig, const char *json)
{
  uint8_t frame[512], nonce[24] = {9};
  size_t size = derp_server_info_encode (rig->shared, nonce, json, strlen (json), frame, 512);

  feed (rig, frame, size);
}

static bool
next (Rig *rig, DerpClientAction *action)
{
  return derp_client_next_action (rig->client, action, rig->now);
}

static void
assert_nothing (Rig *rig)
{
  DerpClientAction action;

  g_assert_false (next (rig, &action));
}

static void
expect (Rig *rig, DerpClientActionType type, DerpClientAction *action)
{
  g_assert_true (next (rig, action));
  g_assert_cmpint (action->type, ==, type);
}

static void
expect_close (Rig *rig, DerpCloseReason reason)
{
  DerpClientAction action;

  expect (rig, DERP_CLIENT_ACTION_CLOSE, &action);
  g_assert_cmpint (action.close.reason, ==, reason);
  g_assert_cmpuint (strlen (action.close.text), >, 0);
  assert_nothing (rig);
  g_assert_cmpint (derp_client_next_deadline (rig->client), ==, TIME_NEVER);
}

/* Everything the client has to write. */
static void
pull (Rig *rig)
{
  rig->n_written = 0;
  while (derp_client_wants_write (rig->client)) {
    size_t n
        = derp_client_pull (rig->client, rig->written + rig->n_written, DERP_RECORD_SIZE, rig->now);
    if (n == 0)
      break;
    rig->n_written += n;
    g_assert_cmpuint (rig->n_written, <, ROOM - DERP_RECORD_SIZE);
  }
}

static void
log_in (Rig *rig)
{
  DerpClientAction action;

  connected (rig, true);
  pull (rig);
  feed_server_info (rig, SERVER_JSON);
  expect (rig, DERP_CLIENT_ACTION_UP, &action);
  assert_nothing (rig);
}

static void
send_packet (Rig *rig, const void *data, size_t size)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_SEND};

  event.send.peer = rig->peer;
  event.send.data = data;
  event.send.size = size;
  input (rig, &event);
}

/* Number of frames of TYPE among what was written; the body of the last one in *LAST. */
static unsigned
count_frames (Rig *rig, uint8_t type, DerpFrame *last)
{
  size_t pos = 0, used;
  unsigned count = 0;
  DerpFrame frame;

  while (derp_frame_read (rig->written + pos, rig->n_written - pos, DERP_BODY_MAX, &frame, &used)
         == DERP_READ_FRAME) {
    pos += used;
    if (frame.type == type) {
      count++;
      if (last)
        *last = frame;
    }
  }
  g_assert_cmpuint (pos, ==, rig->n_written);
  return count;
}

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
  g_assert_cmpint (action.close.reason, ==, DERP_CLOSE_LOGIN);
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
test_packets (void)
{
  Rig *rig = rig_new (true);
  DerpClientAction action;
  DerpFrame frame;
  uint8_t body[32 + 5] = {0};

  log_in (rig);
  send_packet (rig, "hello", 5);
  send_packet (rig, "", 0);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, &frame), ==, 2);
  g_assert_cmpuint (frame.size, ==, 32);
  g_assert_cmpmem (frame.body, 32, rig->peer.bytes, 32);

  memcpy (body, rig->peer.bytes, 32);
  memcpy (body + 32, "world", 5);
  feed_frame (rig, DERP_RECV_PACKET, body, sizeof body);
  feed_frame (rig, DERP_RECV_PACKET, body, 32);
  feed_frame (rig, DERP_RECV_PACKET, body, 31); /* ignored */
  feed_frame (rig, DERP_PEER_GONE, body, 33);
  expect (rig, DERP_CLIENT_ACTION_PACKET, &action);
  g_assert_true (key_same (&action.packet.source, &rig->peer));
  g_assert_cmpmem (action.packet.data, action.packet.size, "world", 5);
  expect (rig, DERP_CLIENT_ACTION_PACKET, &action);
  g_assert_cmpuint (action.packet.size, ==, 0);
  expect (rig, DERP_CLIENT_ACTION_PEER_GONE, &action);
  g_assert_cmpint (action.peer_gone.reason, ==, 'w');
  assert_nothing (rig);
  rig_free (rig);
}

static void
test_unknown_frames (void)
{
  Rig *rig = rig_new (true);
  DerpClientAction action;
  g_autofree uint8_t *body = g_malloc0 (DERP_BODY_MAX + 1);
  static const uint8_t types[] = {0x0b, 0x7f, 0xff, DERP_RESTARTING, DERP_CLIENT_INFO};

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
test_home (void)
{
  Rig *rig = rig_new (true);
  DerpFrame frame;
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_HOME, .home = false};

  log_in (rig);
  input (rig, &event);
  input (rig, &event);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_NOTE_PREFERRED, &frame), ==, 1);
  g_assert_cmpint (frame.body[0], ==, 0);
  rig_free (rig);
}

static void
test_queue (void)
{
  Rig *rig = rig_new (true);
  uint8_t disco[100] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
  DerpFrame frame;
  DerpClientStatus status;
  size_t used;

  /* packets wait for the login */
  send_packet (rig, "early", 5);
  g_assert_false (derp_client_wants_write (rig->client));
  log_in (rig);
  g_assert_cmpuint (rig->n_written, >, 240); /* behind the login at once */

  for (unsigned i = 0; i < DERP_QUEUE_PACKETS + 10; i++) {
    send_packet (rig, &i, sizeof i);
    if (i == 5)
      send_packet (rig, disco, sizeof disco);
  }
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, &frame), ==, DERP_QUEUE_PACKETS + 1);
  unsigned last;
  memcpy (&last, frame.body + 32, sizeof last);
  g_assert_cmpuint (last, ==, DERP_QUEUE_PACKETS + 9); /* the newest is kept */
  derp_frame_read (rig->written, rig->n_written, DERP_BODY_MAX, &frame, &used);
  g_assert_cmpuint (frame.size, ==, 132); /* disco first */
  derp_client_status (rig->client, &status);
  g_assert_cmpuint (status.dropped, ==, 10);

  send_packet (rig, "old", 3);
  rig->now += DERP_QUEUE_AGE_US;
  send_packet (rig, "new!", 4);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, &frame), ==, 1);
  g_assert_cmpuint (frame.size, ==, 36);
  rig_free (rig);
}

static void
test_large (void)
{
  Rig *rig = rig_new (true);
  g_autofree uint8_t *packet = g_malloc0 (DERP_PACKET_MAX + 1);
  DerpFrame frame;

  log_in (rig);
  send_packet (rig, packet, DERP_PACKET_MAX + 1);
  g_assert_false (derp_client_wants_write (rig->client));
  send_packet (rig, packet, DERP_PACKET_MAX);
  send_packet (rig, packet, 10);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, &frame), ==, 2);
  g_assert_cmpuint (frame.size, ==, 42);
  /* bytes are limited, not only packets */
  for (int i = 0; i < 10; i++)
    send_packet (rig, packet, 30000);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, NULL), ==, 4);
  rig_free (rig);
}

static void
test_records (void)
{
  Rig *rig = rig_new (true);
  uint8_t packet[1312] = {4};

  log_in (rig);
  for (int i = 0; i < 20; i++)
    send_packet (rig, packet, sizeof packet);
  size_t n = derp_client_pull (rig->client, rig->written, DERP_RECORD_SIZE, rig->now);
  g_assert_cmpuint (n, ==, 12 * 1349); /* as many as fit, none cut */
  rig_free (rig);
}

static void
test_rate_limit (void)
{
  Rig *rig = rig_new (true);
  DerpClientAction action;
  uint8_t packet[963] = {4};

  connected (rig, true);
  pull (rig);
  feed_server_info (rig, "{\"version\":2,\"TokenBucketBytesPerSecond\":1000,"
                         "\"TokenBucketBytesBurst\":2000}");
  expect (rig, DERP_CLIENT_ACTION_UP, &action);
  for (int i = 0; i < 5; i++)
    send_packet (rig, packet, sizeof packet);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, NULL), ==, 2);
  rig->now += SECOND;
  for (int i = 0; i < 5; i++)
    send_packet (rig, packet, sizeof packet);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, NULL), ==, 1);
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
  g_test_add_func ("/derp/client/packets-pass-both-ways", test_packets);
  g_test_add_func ("/derp/client/skips-unknown-frames-and-closes-on-huge-ones",
                   test_unknown_frames);
  g_test_add_func ("/derp/client/answers-and-sends-pings", test_ping);
  g_test_add_func ("/derp/client/closes-after-120-s-of-silence", test_silence);
  g_test_add_func ("/derp/client/pings-when-nothing-comes-back", test_own_probing);
  g_test_add_func ("/derp/client/tells-when-home-changes", test_home);
  g_test_add_func ("/derp/client/queue-drops-the-oldest-and-prefers-disco", test_queue);
  g_test_add_func ("/derp/client/large-packets-go-in-parts", test_large);
  g_test_add_func ("/derp/client/packs-frames-into-records", test_records);
  g_test_add_func ("/derp/client/keeps-the-relay-s-rate-limit", test_rate_limit);
  g_test_add_func ("/derp/client/passes-on-health", test_health);
  return g_test_run ();
}
