#include "wg-pair.h"

#include <glib.h>
#include <string.h>

#define SEC USEC_PER_SEC

static uint64_t seed = 1;

static void
establish (WgPair *pair, int initiator)
{
  wg_pair_send (pair, initiator);
  wg_pair_settle (pair);
  g_assert_nonnull (wg_pair_session (pair, 0));
  g_assert_nonnull (wg_pair_session (pair, 1));
}

/* A packet every INTERVAL from the nodes in MASK (bit 0, bit 1). */
static void
traffic (WgPair *pair, unsigned mask, int64_t duration_us, int64_t interval_us)
{
  int64_t end = pair->now_us + duration_us;

  while (pair->now_us < end) {
    for (int i = 0; i < 2; i++)
      if (mask & 1u << i)
        wg_pair_send (pair, i);
    wg_pair_run (pair, time_min (interval_us, end - pair->now_us));
  }
}

static void
test_first_packet (void)
{
  for (int initiator = 0; initiator < 2; initiator++) {
    WgPair *pair = wg_pair_new (seed);
    for (int i = 0; i < 10; i++)
      wg_pair_send (pair, initiator);
    wg_pair_settle (pair);
    g_assert_cmpuint (pair->nodes[!initiator].received, ==, 10);
    g_assert_cmpuint (wg_pair_keepalives (pair, !initiator), ==, 0);
    g_assert_cmpuint (pair->n_log, ==, 12);
    /* Initiation, response, and the data right behind the response. */
    g_assert_cmpint (pair->log[2].time_us, ==, pair->log[0].time_us + 2 * pair->latency_us);
    wg_pair_send (pair, !initiator);
    wg_pair_settle (pair);
    g_assert_cmpuint (pair->nodes[initiator].received, ==, 1);
    g_assert_cmpuint (pair->n_log, ==, 13);
    g_assert_cmpuint (wg_pair_installed (pair, 0), ==, 1);
    g_assert_cmpuint (wg_pair_installed (pair, 1), ==, 1);
    wg_pair_free (pair);
  }
}

/* The responder has nothing it may send with until the initiator's first packet. */
static void
test_responder_waits (void)
{
  WgPair *pair = wg_pair_new (seed);

  wg_pair_send (pair, 0);
  wg_pair_run (pair, pair->latency_us); /* message 1 has arrived, message 2 is out */
  g_assert_nonnull (wg_pair_peer (pair, 1)->next);
  wg_pair_send (pair, 1);
  g_assert_cmpuint (wg_host_n_staged (pair->nodes[1].host), ==, 1);
  g_assert_cmpuint (wg_pair_count (pair, 1, WG_MESSAGE_DATA, 0, TIME_NEVER), ==, 0);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[0].received, ==, 1);
  g_assert_cmpuint (pair->nodes[1].received, ==, 1);
  /* Its own wish for a handshake was fulfilled by ours: none follows. */
  wg_pair_run (pair, 9 * SEC);
  g_assert_cmpuint (wg_pair_count (pair, 1, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 0);
  wg_pair_free (pair);
}

/* An initiator with nothing to send says so at once, else the responder would stay mute. */
static void
test_initiator_keepalive (void)
{
  WgPair *pair = wg_pair_new (seed);

  wg_pair_send (pair, 0);
  wg_host_drop_staged (pair->nodes[0].host, &pair->nodes[1].public_key);
  wg_pair_settle (pair);
  const WgPairLog *data = wg_pair_last (pair, 0, WG_MESSAGE_DATA);
  g_assert_nonnull (data);
  g_assert_true (data->keepalive);
  g_assert_cmpint (data->time_us, ==, pair->log[0].time_us + 2 * pair->latency_us);
  g_assert_cmpuint (wg_pair_keepalives (pair, 1), ==, 1);
  g_assert_nonnull (wg_pair_session (pair, 1));
  wg_pair_free (pair);
}

static void
test_simultaneous (void)
{
  WgPair *pair = wg_pair_new (seed);

  wg_pair_send (pair, 0);
  wg_pair_send (pair, 1);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[0].received, ==, 1);
  g_assert_cmpuint (pair->nodes[1].received, ==, 1);
  g_assert_cmpint (pair->now_us, <, 1 * SEC + 5 * pair->latency_us);
  traffic (pair, 3, 20 * SEC, SEC / 2);
  g_assert_cmpuint (pair->nodes[0].received, ==, 41);
  g_assert_cmpuint (pair->nodes[1].received, ==, 41);
  g_assert_cmpuint (wg_pair_count (pair, 0, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 1);
  g_assert_cmpuint (wg_pair_count (pair, 1, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 1);
  wg_pair_free (pair);
}

/* While no path is trusted every message comes over UDP and over a relay. */
static void
test_duplicates (void)
{
  WgPair *pair = wg_pair_new (seed);

  pair->duplicate = true;
  establish (pair, 0);
  traffic (pair, 3, 130 * SEC, SEC);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[1].received, ==, 131);
  g_assert_cmpuint (pair->nodes[0].received, ==, 130);
  for (int i = 0; i < 2; i++) {
    WgDeviceStats stats = wg_device_stats (pair->nodes[i].device);
    g_assert_cmpuint (stats.dropped_replay, ==, 2);
    g_assert_cmpuint (stats.dropped_bad + stats.dropped_mac1 + stats.dropped_unknown, ==, 0);
    g_assert_cmpuint (wg_pair_installed (pair, i), ==, 2);
    g_assert_cmpuint (stats.indices, <=, 3);
  }
  wg_pair_free (pair);
}

static void
test_initiator_rekeys (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  int64_t created = wg_pair_session (pair, 0)->created_us;
  traffic (pair, 1, 125 * SEC, SEC / 4);
  /* At the first packet after 120 s, and not before. */
  const WgPairLog *initiation = wg_pair_last (pair, 0, WG_MESSAGE_INITIATION);
  g_assert_cmpuint (wg_pair_count (pair, 0, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 2);
  g_assert_cmpint (initiation->time_us - created, >=, 120 * SEC);
  g_assert_cmpint (initiation->time_us - created, <=, 120 * SEC + SEC / 4);
  g_assert_cmpuint (wg_pair_count (pair, 1, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 0);
  wg_pair_settle (pair);
  g_assert_cmpuint (wg_pair_refused (pair, 1), ==, 0);
  wg_pair_free (pair);
}

/* Only the responder sends: the initiator notices the age on receive, at 165 s. */
static void
test_receiver_rekeys (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  int64_t created = wg_pair_session (pair, 0)->created_us;
  int64_t until = created + 165 * SEC - SEC / 8;
  /* Keepalives are sending, too: keep the initiator silent, then the 120 s rule cannot apply. */
  while (pair->now_us < until) {
    wg_pair_send (pair, 1);
    wg_pair_run (pair, SEC);
    atomic_store (&wg_pair_peer (pair, 0)->unacknowledged_us, 0);
    atomic_store (&wg_pair_peer (pair, 1)->unanswered_us, 0);
  }
  g_assert_cmpuint (wg_pair_count (pair, 0, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 1);
  traffic (pair, 2, 2 * SEC, SEC / 8);
  const WgPairLog *initiation = wg_pair_last (pair, 0, WG_MESSAGE_INITIATION);
  g_assert_cmpuint (wg_pair_count (pair, 0, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 2);
  g_assert_cmpint (initiation->time_us - created, >=, 165 * SEC);
  g_assert_cmpint (initiation->time_us - created, <=, 166 * SEC);
  g_assert_cmpuint (wg_pair_count (pair, 1, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 0);
  wg_pair_free (pair);
}

/* Two hours of traffic both ways: nothing lost, the responder never rekeys by time. */
static void
test_long_run (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  for (int round = 0; round < 120; round++) {
    traffic (pair, 3, 60 * SEC, 5 * SEC);
    wg_pair_settle (pair);
    pair->n_log = 0;
  }
  g_assert_cmpuint (pair->nodes[0].received, ==, 120 * 12);
  g_assert_cmpuint (pair->nodes[1].received, ==, 120 * 12 + 1);
  g_assert_cmpuint (wg_device_stats (pair->nodes[1].device).initiations_sent, ==, 0);
  g_assert_cmpuint (wg_device_stats (pair->nodes[0].device).initiations_sent, >=, 55);
  g_assert_cmpuint (wg_device_stats (pair->nodes[0].device).initiations_sent, <=, 61);
  for (int i = 0; i < 2; i++) {
    g_assert_cmpuint (wg_pair_refused (pair, i), ==, 0);
    g_assert_cmpuint (wg_device_stats (pair->nodes[i].device).indices, <=, 3);
    g_assert_cmpuint (wg_device_stats (pair->nodes[i].device).active_peers, ==, 1);
  }
  wg_pair_free (pair);
}

/* Point 10: what travels while keys change is taken on the previous session until it is 180 s old.
 */
static void
test_previous_session (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  WgSession *old = wg_pair_session (pair, 0);
  WgSessionKeys keys = {.remote_index = old->remote_index, .created_us = old->created_us};
  memcpy (keys.send_key, old->send_key, sizeof keys.send_key);
  WgSession *copy = wg_session_new (&keys, NULL);
  traffic (pair, 1, 125 * SEC, SEC);
  wg_pair_settle (pair);
  unsigned received = wg_pair_keepalives (pair, 1);
  uint8_t message[32], nonce[12] = {0};
  for (uint64_t counter = 1000; counter < 1002; counter++) {
    wg_transport_write (message, copy->remote_index, counter);
    store_le64 (nonce + 4, counter);
    aead_seal (copy->send_key, nonce, NULL, 0, NULL, 0, message + 16);
    WgSource source = wg_pair_source (1, 1);
    wg_pair_inject (pair, 1, message, sizeof message, &source);
    g_assert_cmpuint (wg_pair_keepalives (pair, 1), ==, received + 1);
    g_assert_cmpuint (wg_pair_refused (pair, 1), ==, counter - 1000);
    pair->now_us = copy->created_us + 181 * SEC;
  }
  wg_session_free (copy);
  wg_pair_free (pair);
}

static void
test_keepalive (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  int64_t received_us = pair->now_us;
  wg_pair_run (pair, 9 * SEC);
  g_assert_cmpuint (wg_pair_count (pair, 1, WG_MESSAGE_DATA, 0, TIME_NEVER), ==, 0);
  wg_pair_run (pair, 60 * SEC);
  const WgPairLog *keepalive = wg_pair_last (pair, 1, WG_MESSAGE_DATA);
  g_assert_true (keepalive->keepalive);
  g_assert_cmpint (keepalive->time_us, >=, received_us + 10 * SEC);
  g_assert_cmpint (keepalive->time_us, <=, received_us + 10 * SEC + 250 * USEC_PER_MSEC);
  /* Keepalives are not answered by keepalives, and nothing else happened in that minute. */
  g_assert_cmpuint (pair->n_log, ==, 4);
  wg_pair_free (pair);
}

static void
test_no_keepalive_after_answer (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  wg_pair_run (pair, 8 * SEC);
  wg_pair_send (pair, 1);
  wg_pair_run (pair, 9 * SEC); /* node 0 now owes an answer, node 1 none */
  g_assert_cmpuint (wg_pair_keepalives (pair, 0), ==, 0);
  wg_pair_run (pair, 60 * SEC);
  g_assert_cmpuint (wg_pair_keepalives (pair, 0), ==, 0);
  g_assert_cmpuint (wg_pair_keepalives (pair, 1), ==, 1);
  wg_pair_free (pair);
}

/* Data that comes behind the data that the keepalive answers gets a keepalive of its own. */
static void
test_second_keepalive (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  traffic (pair, 1, 30 * SEC, SEC);
  g_assert_cmpuint (wg_pair_keepalives (pair, 0), >=, 2);
  g_assert_cmpuint (wg_pair_keepalives (pair, 0), <=, 3);
  g_assert_cmpuint (wg_pair_count (pair, 0, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 1);
  g_assert_cmpuint (pair->nodes[0].path_suspect, ==, 0);
  wg_pair_free (pair);
}

static void
test_unanswered_data (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  wg_pair_run (pair, 20 * SEC);
  pair->blocked[1] = true;
  wg_pair_send (pair, 0);
  int64_t sent_us = pair->now_us;
  wg_pair_run (pair, 17 * SEC);
  const WgPairLog *initiation = wg_pair_last (pair, 0, WG_MESSAGE_INITIATION);
  g_assert_cmpint (initiation->time_us - sent_us, >=, 15 * SEC);
  g_assert_cmpint (initiation->time_us - sent_us, <=, 15 * SEC + 334000 + 250000);
  g_assert_cmpuint (pair->nodes[0].path_suspect, ==, 1);
  wg_pair_free (pair);
}

static void
test_retries (void)
{
  WgPair *pair = wg_pair_new (seed);
  int64_t last = 0;
  unsigned n = 0;
  GHashTable *seen = g_hash_table_new (NULL, NULL);

  pair->blocked[0] = true;
  wg_pair_send (pair, 0);
  int64_t start = pair->now_us;
  wg_pair_run (pair, 200 * SEC);
  for (size_t i = 0; i < pair->n_log; i++) {
    const WgPairLog *entry = &pair->log[i];
    g_assert_cmpint (entry->type, ==, WG_MESSAGE_INITIATION);
    if (last) {
      g_assert_cmpint (entry->time_us - last, >=, 5 * SEC);
      g_assert_cmpint (entry->time_us - last, <, 5 * SEC + 334 * USEC_PER_MSEC);
    }
    last = entry->time_us;
    n++;
    /* Fresh ephemeral and index each time. */
    g_assert_true (g_hash_table_add (seen, GSIZE_TO_POINTER (load_le64 (entry->bytes + 8))));
    g_assert_true (g_hash_table_add (seen, GSIZE_TO_POINTER ((gsize)load_le32 (entry->bytes + 4))));
  }
  g_assert_cmpint (last - start, <=, 90 * SEC);
  g_assert_cmpuint (n, >=, 17);
  g_assert_cmpuint (n, <=, 18);
  g_assert_cmpuint (pair->nodes[0].gave_up, ==, 1);
  g_assert_cmpuint (pair->nodes[0].retries, ==, n - 1);
  g_assert_cmpuint (wg_pair_dropped (pair, 0), ==, 1);
  g_assert_cmpuint (pair->nodes[0].idle, ==, 1);
  g_assert_cmpuint (wg_device_stats (pair->nodes[0].device).active_peers, ==, 0);
  g_assert_cmpuint (wg_device_stats (pair->nodes[0].device).indices, ==, 0);
  g_assert_cmpint (wg_device_next_deadline (pair->nodes[0].device), ==, TIME_NEVER);
  /* A new packet starts again, at once. */
  pair->blocked[0] = false;
  wg_pair_send (pair, 0);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[1].received, ==, 1);
  g_hash_table_unref (seen);
  wg_pair_free (pair);
}

/* Somebody goes on trying: 90 s count from the last packet, and never two initiations in 5 s. */
static void
test_retries_go_on (void)
{
  WgPair *pair = wg_pair_new (seed);
  int64_t last = 0;

  pair->blocked[1] = true;
  traffic (pair, 1, 300 * SEC, SEC);
  g_assert_cmpuint (pair->nodes[0].gave_up, ==, 0);
  for (size_t i = 0; i < pair->n_log; i++) {
    if (pair->log[i].from != 0)
      continue;
    if (last)
      g_assert_cmpint (pair->log[i].time_us - last, >=, 5 * SEC);
    last = pair->log[i].time_us;
  }
  wg_pair_free (pair);
}

/* Having just answered, we may not start for 5 s; the wish is kept. */
static void
test_deferred (void)
{
  WgPair *pair = wg_pair_new (seed);

  wg_pair_send (pair, 0);
  wg_pair_run (pair, pair->latency_us);
  int64_t answered_us = pair->now_us;
  pair->blocked[0] = true; /* the confirming packet never comes */
  wg_pair_send (pair, 1);
  wg_pair_run (pair, 4 * SEC);
  g_assert_cmpuint (wg_pair_count (pair, 1, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 0);
  pair->blocked[0] = false;
  wg_pair_run (pair, 2 * SEC);
  const WgPairLog *initiation = wg_pair_last (pair, 1, WG_MESSAGE_INITIATION);
  g_assert_cmpint (initiation->time_us - answered_us, >=, 5 * SEC);
  g_assert_cmpint (initiation->time_us - answered_us, <, 5 * SEC + 334 * USEC_PER_MSEC);
  g_assert_cmpuint (pair->nodes[0].received, ==, 1);
  wg_pair_free (pair);
}

static void
test_idle (void)
{
  WgPair *pair = wg_pair_new (seed);

  wg_pair_run (pair, 3600 * SEC);
  g_assert_cmpuint (pair->nodes[0].wake_ups + pair->nodes[1].wake_ups, ==, 0);
  establish (pair, 0);
  traffic (pair, 3, 30 * SEC, SEC);
  wg_pair_settle (pair);
  for (int i = 0; i < 2; i++)
    pair->nodes[i].wake_ups = 0;
  wg_pair_run (pair, 600 * SEC);
  for (int i = 0; i < 2; i++) {
    g_assert_cmpuint (pair->nodes[i].wake_ups, <=, 3);
    g_assert_cmpuint (pair->nodes[i].idle, ==, 1);
    g_assert_null (wg_pair_peer (pair, i));
    WgDeviceStats stats = wg_device_stats (pair->nodes[i].device);
    g_assert_cmpuint (stats.active_peers, ==, 0);
    g_assert_cmpuint (stats.indices, ==, 0);
    g_assert_cmpuint (stats.known_peers, ==, 1);
    g_assert_cmpint (wg_host_next_deadline (pair->nodes[i].host), ==, TIME_NEVER);
  }
  establish (pair, 1);
  wg_pair_free (pair);
}

static void
test_removed (void)
{
  static const WgPeerOp ops[] = {WG_PEER_BLOCK, WG_PEER_REMOVE};

  for (size_t i = 0; i < G_N_ELEMENTS (ops); i++) {
    WgPair *pair = wg_pair_new (seed);
    establish (pair, 0);
    wg_pair_change_peer (pair, 1, ops[i]);
    g_assert_null (wg_pair_peer (pair, 1));
    g_assert_cmpuint (wg_device_stats (pair->nodes[1].device).active_peers, ==, 0);
    g_assert_cmpuint (wg_device_stats (pair->nodes[1].device).indices, ==, 0);
    size_t before = pair->n_log;
    unsigned received = pair->nodes[1].received;
    traffic (pair, 1, 60 * SEC, SEC);
    for (size_t k = before; k < pair->n_log; k++)
      g_assert_cmpint (pair->log[k].from, ==, 0); /* not a word from node 1 */
    g_assert_cmpuint (pair->nodes[1].received, ==, received);
    g_assert_cmpuint (wg_device_stats (pair->nodes[1].device).dropped_unknown, >=, 1);
    g_assert_cmpuint (wg_device_stats (pair->nodes[1].device).active_peers, ==, 0);
    /* Our own packets to it are dropped at once. */
    wg_pair_send (pair, 1);
    g_assert_cmpuint (pair->nodes[1].gave_up, ==, 1);
    g_assert_null (wg_pair_peer (pair, 1));
    /* Back again. */
    wg_pair_change_peer (pair, 1, WG_PEER_ALLOW);
    traffic (pair, 1, 10 * SEC, SEC);
    g_assert_cmpuint (pair->nodes[1].received, >, received);
    wg_pair_free (pair);
  }
}

static void
test_restart (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  traffic (pair, 3, 20 * SEC, SEC);
  /* Node 1 starts anew, as after a crash; its clock is a year behind, its stored timestamp saves
   * it. */
  traffic (pair, 2, 100 * SEC, SEC);
  uint8_t floor[WG_TIMESTAMP_SIZE];
  memcpy (floor, pair->nodes[1].saved_timestamp, sizeof floor);
  WallTime wrong = wall_time_add_us (pair->wall, -86400 * 365 * SEC);
  wg_pair_restart (pair, 1, wrong, floor);
  unsigned received = pair->nodes[0].received;
  wg_pair_send (pair, 1);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[0].received, ==, received + 1);
  wg_pair_free (pair);
}

/* The initiator restarted: without a floor, a clock set back locks it out; with one it does not. */
static void
test_clock_set_back (void)
{
  WallTime wrong;
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  wrong = wall_time_add_us (pair->wall, -86400 * SEC);
  wg_pair_restart (pair, 0, wrong, NULL);
  traffic (pair, 1, 8 * SEC, SEC);
  g_assert_cmpuint (pair->nodes[1].received, ==, 1);
  g_assert_cmpuint (wg_device_stats (pair->nodes[1].device).dropped_replay, >=, 1);
  uint8_t stored[WG_TIMESTAMP_SIZE];
  WallTime reserve = wall_time_add_us (pair->wall, 3600 * SEC);
  store_be64 (stored, UINT64_C (0x400000000000000a) + (uint64_t)reserve.seconds);
  store_be32 (stored + 8, 0);
  wg_pair_restart (pair, 0, wrong, stored);
  wg_pair_send (pair, 0);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[1].received, ==, 2);
  wg_pair_free (pair);
}

/* A clean stop stores what was really sent last. */
static void
test_clean_stop (void)
{
  WgPair *pair = wg_pair_new (seed);
  uint8_t stored[WG_TIMESTAMP_SIZE];

  establish (pair, 0);
  for (int i = 0; i < 20; i++) {
    wg_device_timestamp (pair->nodes[0].device, stored);
    wg_pair_restart (pair, 0, wall_time_add_us (pair->wall, -1000 * i * SEC), stored);
    wg_pair_run (pair, 25 * USEC_PER_MSEC);
    wg_pair_send (pair, 0);
    wg_pair_settle (pair);
    g_assert_cmpuint (pair->nodes[1].received, ==, 2 + (unsigned)i);
  }
  wg_pair_free (pair);
}

/* Suspend: node 0 sleeps for ten minutes. Its first packet goes through within a handshake. */
static void
test_suspend (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  traffic (pair, 3, 20 * SEC, SEC);
  pair->nodes[0].suspended = true;
  wg_pair_run (pair, 600 * SEC);
  pair->nodes[0].suspended = false;
  g_assert_nonnull (wg_pair_peer (pair, 0));
  g_assert_null (wg_pair_session (pair, 0));
  g_assert_cmpint (wg_peer_state (wg_pair_peer (pair, 0), pair->now_us), ==, WG_STATE_EXPIRED);
  unsigned received = pair->nodes[1].received;
  int64_t start = pair->now_us;
  wg_pair_send (pair, 0);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[1].received, ==, received + 1);
  g_assert_cmpint (pair->now_us - start, <=, 3 * pair->latency_us + 2000);
  wg_pair_free (pair);
}

/* A short sleep: the peer may have dropped its keys. The mark set after resume costs no packet. */
static void
test_short_suspend (void)
{
  WgPair *pair = wg_pair_new (seed);

  establish (pair, 0);
  wg_pair_run (pair, 60 * SEC);
  wg_pair_restart (pair, 1, pair->wall, NULL);
  wg_peer_handshake_on_data (wg_pair_peer (pair, 0));
  unsigned received = pair->nodes[1].received;
  wg_pair_send (pair, 0);
  wg_pair_settle (pair);
  wg_pair_send (pair, 0);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[1].received, ==, received + 1); /* the first met an unknown key */
  g_assert_cmpuint (wg_pair_count (pair, 0, WG_MESSAGE_INITIATION, 0, TIME_NEVER), ==, 2);
  wg_pair_free (pair);
}

/* Random loss and restarts: whatever happens, packets pass again within seconds. */
static void
test_chaos (void)
{
  for (uint64_t s = 0; s < 30; s++) {
    WgPair *pair = wg_pair_new (seed * 1000 + s);
    SeededRandom *random = &pair->nodes[0].random;
    for (int round = 0; round < 60; round++) {
      for (int i = 0; i < 2; i++) {
        pair->blocked[i] = random_below (&random->base, 3) == 0;
        if (random_below (&random->base, 12) == 0)
          wg_pair_restart (pair, i, pair->wall, pair->nodes[i].saved_timestamp);
      }
      pair->duplicate = random_below (&random->base, 2);
      traffic (pair, (unsigned)random_below (&random->base, 4), 7 * SEC, SEC / 3);
      pair->n_log = 0;
    }
    pair->blocked[0] = pair->blocked[1] = false;
    traffic (pair, 3, 22 * SEC, SEC);
    unsigned received[] = {pair->nodes[0].received, pair->nodes[1].received};
    traffic (pair, 3, 5 * SEC, SEC / 2);
    wg_pair_settle (pair);
    if (pair->nodes[0].received != received[0] + 10 || pair->nodes[1].received != received[1] + 10)
      g_error ("seed %" G_GUINT64_FORMAT ": traffic does not pass (WARREN_SEED=%" G_GUINT64_FORMAT
               ")",
               seed * 1000 + s, seed);
    for (int i = 0; i < 2; i++)
      g_assert_cmpuint (wg_device_stats (pair->nodes[i].device).indices, <=, 4);
    wg_pair_free (pair);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (g_getenv ("WARREN_SEED"))
    seed = g_ascii_strtoull (g_getenv ("WARREN_SEED"), NULL, 10);
#define TEST(name, function) g_test_add_func ("/wireguard/pair/" name, function)
  TEST ("first-packet-opens-a-session", test_first_packet);
  TEST ("responder-sends-nothing-before-it-is-confirmed", test_responder_waits);
  TEST ("initiator-sends-right-behind-message-2", test_initiator_keepalive);
  TEST ("calling-each-other-at-once-succeeds-at-once", test_simultaneous);
  TEST ("second-copies-vanish", test_duplicates);
  TEST ("initiator-rekeys-on-send-after-120-seconds", test_initiator_rekeys);
  TEST ("initiator-rekeys-on-receive-after-165-seconds", test_receiver_rekeys);
  TEST ("two-hours-lose-nothing-and-responder-never-rekeys", test_long_run);
  TEST ("previous-session-receives-until-180-seconds", test_previous_session);
  TEST ("keepalive-comes-10-seconds-after-unanswered-data", test_keepalive);
  TEST ("no-keepalive-when-something-was-sent", test_no_keepalive_after_answer);
  TEST ("later-data-gets-a-keepalive-of-its-own", test_second_keepalive);
  TEST ("handshake-15-seconds-after-unanswered-sending", test_unanswered_data);
  TEST ("retries-every-5-seconds-for-90-seconds", test_retries);
  TEST ("new-packets-prolong-the-attempt", test_retries_go_on);
  TEST ("wish-within-5-seconds-is-kept", test_deferred);
  TEST ("idle-nodes-sleep-and-forget-after-540-seconds", test_idle);
  TEST ("removed-or-blocked-peer-gets-no-answer", test_removed);
  TEST ("restart-with-a-wrong-clock-connects", test_restart);
  TEST ("clock-set-back-is-bridged-by-the-stored-timestamp", test_clock_set_back);
  TEST ("clean-stops-lose-no-timestamp", test_clean_stop);
  TEST ("first-packet-passes-after-suspend", test_suspend);
  TEST ("mark-after-resume-renews-keys", test_short_suspend);
  TEST ("traffic-passes-again-after-loss-and-restarts", test_chaos);
#undef TEST
  return g_test_run ();
}
