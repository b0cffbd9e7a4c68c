/* Packets through a relay connection: spec/derp.md §5.4. */
#include "client-rig.h"

#include <string.h>

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

/* A burst goes out whole when the relay takes it; when it does not, little is left standing. */
static void
test_burst (void)
{
  Rig *rig = rig_new (true);
  DerpFrame frame;

  log_in (rig);
  for (unsigned i = 0; i < DERP_QUEUE_PACKETS; i++)
    send_packet (rig, &i, sizeof i);
  rig->now += DERP_QUEUE_BURST_US - 1;
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, &frame), ==, DERP_QUEUE_PACKETS);
  for (unsigned i = 0; i < DERP_QUEUE_PACKETS; i++)
    send_packet (rig, &i, sizeof i);
  rig->now += DERP_QUEUE_BURST_US;
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, &frame), ==, DERP_QUEUE_STANDING);
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
  for (int i = 0; i < 30; i++)
    send_packet (rig, packet, 30000);
  pull (rig);
  g_assert_cmpuint (count_frames (rig, DERP_SEND_PACKET, NULL), ==, DERP_QUEUE_BYTES / 30037);
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/derp/client/packets-pass-both-ways", test_packets);
  g_test_add_func ("/derp/client/tells-when-home-changes", test_home);
  g_test_add_func ("/derp/client/queue-drops-the-oldest-and-prefers-disco", test_queue);
  g_test_add_func ("/derp/client/a-burst-passes-but-does-not-stand", test_burst);
  g_test_add_func ("/derp/client/large-packets-go-in-parts", test_large);
  g_test_add_func ("/derp/client/packs-frames-into-records", test_records);
  g_test_add_func ("/derp/client/keeps-the-relay-s-rate-limit", test_rate_limit);
  return g_test_run ();
}
