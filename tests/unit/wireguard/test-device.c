#include "wg-pair.h"
#include "wireguard/cookie.h"
#include "wireguard/load.h"

#include <glib.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SEC USEC_PER_SEC

/* Sanitizers keep copies of freed memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEPS_FREED_MEMORY true
#else
#define KEEPS_FREED_MEMORY false
#endif

static WgPair *
new_pair (void)
{
  return wg_pair_new (3);
}

/* A fresh message 1 from node 0 that node 1 has not seen. */
static void
make_initiation (WgPair *pair, WgInitiation *out)
{
  bool was = pair->blocked[0];

  pair->blocked[0] = true;
  wg_pair_run (pair, 6 * SEC);
  wg_pair_send (pair, 0);
  const WgPairLog *entry = wg_pair_last (pair, 0, WG_MESSAGE_INITIATION);
  g_assert_nonnull (entry);
  memcpy (out, entry->bytes, sizeof *out);
  pair->blocked[0] = was;
}

static WgDeviceStats
stats_of (WgPair *pair, int node)
{
  return wg_device_stats (pair->nodes[node].device);
}

static const WgSource *
source_at (uint32_t address, uint16_t port)
{
  static WgSource source;

  source = wg_pair_source (address, port);
  return &source;
}

static void
test_malformed (void)
{
  WgPair *pair = new_pair ();
  WgInitiation message;
  uint8_t longer[200] = {0};

  make_initiation (pair, &message);
  size_t before = pair->n_log;
  memcpy (longer, &message, sizeof message);
  wg_pair_inject (pair, 1, longer, 149, source_at (1, 1));
  wg_pair_inject (pair, 1, longer, 147, source_at (1, 1));
  longer[2] = 1;
  wg_pair_inject (pair, 1, longer, 148, source_at (1, 1));
  longer[2] = 0;
  longer[0] = 5;
  wg_pair_inject (pair, 1, longer, 148, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 1).dropped_malformed, ==, 4);
  g_assert_cmpuint (pair->n_log, ==, before);
  wg_pair_free (pair);
}

/* A wrong mac1 costs one hash: it is not even counted as load, and nothing comes back. */
static void
test_mac1 (void)
{
  WgPair *pair = new_pair ();
  WgInitiation message;

  make_initiation (pair, &message);
  size_t before = pair->n_log;
  message.mac1[0] ^= 1;
  for (int i = 0; i < 1000; i++)
    wg_pair_inject (pair, 1, &message, sizeof message, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 1).dropped_mac1, ==, 1000);
  g_assert_cmpuint (stats_of (pair, 1).dropped_load, ==, 0);
  g_assert_cmpuint (pair->n_log, ==, before);
  message.mac1[0] ^= 1;
  wg_pair_inject (pair, 1, &message, sizeof message, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 1);
  wg_pair_free (pair);
}

/* Brings node 1 under load with messages from somewhere else. */
static void
flood (WgPair *pair, const WgInitiation *message)
{
  WgInitiation copy = *message;

  memset (copy.sealed_timestamp, 7, sizeof copy.sealed_timestamp);
  WgRemote node1;
  WgIdentity node0;
  WgCookieJar jar = {0};
  wg_identity_init (&node0, &pair->nodes[0].private_key);
  wg_remote_init (&node1, &node0, &pair->nodes[1].public_key);
  wg_macs_add (&node1, &jar, (uint8_t *)&copy, sizeof copy, pair->now_us);
  for (int i = 0; i < WG_LOAD_BURST + 1; i++)
    wg_pair_inject (pair, 1, &copy, sizeof copy, source_at (0x01010101, 9));
}

static void
test_cookie_mode (void)
{
  WgPair *pair = new_pair ();
  WgInitiation message;

  make_initiation (pair, &message);
  g_assert_true (sodium_is_zero (message.mac2, 16));
  flood (pair, &message);
  wg_pair_run (pair, USEC_PER_MSEC);
  pair->n_log = 0;
  /* Valid mac1, no mac2: a cookie and nothing else, to where the message came from. */
  wg_pair_inject (pair, 1, &message, sizeof message, source_at (0x0a000001, 41641));
  g_assert_cmpuint (pair->n_log, ==, 1);
  g_assert_cmpint (pair->log[0].type, ==, WG_MESSAGE_COOKIE);
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 0);
  wg_pair_settle (pair); /* the reply reaches node 0, which does not resend at once */
  g_assert_cmpuint (wg_pair_count (pair, 0, WG_MESSAGE_NONE, 0, TIME_NEVER), ==, 0);
  /* Its next regular try carries mac2 and succeeds although node 1 is under load. */
  wg_pair_run (pair, 4 * SEC);
  pair->blocked[1] = true;
  flood (pair, &message);
  pair->blocked[1] = false;
  pair->n_log = 0;
  pair->blocked[0] = true;
  while (!wg_pair_last (pair, 0, WG_MESSAGE_INITIATION)) {
    flood (pair, &message);
    pair->n_log = 0;
    wg_pair_run (pair, 50 * USEC_PER_MSEC);
  }
  WgInitiation second;
  memcpy (&second, wg_pair_last (pair, 0, WG_MESSAGE_INITIATION)->bytes, sizeof second);
  g_assert_false (sodium_is_zero (second.mac2, 16));
  /* From elsewhere the same mac2 is worth nothing. */
  pair->blocked[1] = true;
  flood (pair, &message);
  uint64_t cookies = stats_of (pair, 1).cookies_sent;
  wg_pair_inject (pair, 1, &second, sizeof second, source_at (0x0a000001, 41642));
  wg_pair_inject (pair, 1, &second, sizeof second, source_at (0x0a000003, 41641));
  g_assert_cmpuint (stats_of (pair, 1).cookies_sent, ==, cookies + 2);
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 0);
  pair->blocked[0] = pair->blocked[1] = false;
  wg_pair_inject (pair, 1, &second, sizeof second, source_at (0x0a000001, 41641));
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 1);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[1].received, ==, 1);
  wg_pair_free (pair);
}

/* Over a relay the sender's node key stands for the address. */
static void
test_cookie_over_relay (void)
{
  WgPair *pair = new_pair ();
  WgInitiation message;
  WgSource relay = {.kind = WG_SOURCE_DERP, .region = 3, .derp_key = pair->nodes[0].public_key};
  WgSource other = relay;

  make_initiation (pair, &message);
  other.derp_key.bytes[0] ^= 1;
  flood (pair, &message);
  wg_pair_inject (pair, 1, &message, sizeof message, &relay);
  wg_pair_settle (pair);
  WgInitiation second;
  pair->blocked[0] = true;
  wg_pair_run (pair, 6 * SEC);
  memcpy (&second, wg_pair_last (pair, 0, WG_MESSAGE_INITIATION)->bytes, sizeof second);
  g_assert_false (sodium_is_zero (second.mac2, 16));
  pair->blocked[1] = true;
  flood (pair, &message);
  wg_pair_inject (pair, 1, &second, sizeof second, &other);
  wg_pair_inject (pair, 1, &second, sizeof second, source_at (0x0a000001, 41641));
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 0);
  relay.region = 4; /* which relay it was does not matter */
  wg_pair_inject (pair, 1, &second, sizeof second, &relay);
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 1);
  wg_pair_free (pair);
}

static void
test_cookie_ages (void)
{
  WgPair *pair = new_pair ();
  WgInitiation message;

  make_initiation (pair, &message);
  flood (pair, &message);
  wg_pair_inject (pair, 1, &message, sizeof message, source_at (0x0a000001, 41641));
  wg_pair_settle (pair);
  int64_t received = pair->now_us;
  pair->blocked[0] = true;
  for (int i = 0; i < 140; i++) {
    wg_pair_send (pair, 0);
    wg_pair_run (pair, SEC);
  }
  unsigned with = 0, without = 0;
  for (size_t i = 0; i < pair->n_log; i++) {
    const WgPairLog *entry = &pair->log[i];
    if (entry->from != 0 || entry->type != WG_MESSAGE_INITIATION || entry->time_us <= received)
      continue;
    bool zero = sodium_is_zero (entry->bytes + 132, 16);
    g_assert_true (zero == (entry->time_us - received >= 120 * SEC));
    with += !zero;
    without += zero;
  }
  g_assert_cmpuint (with, >=, 20);
  g_assert_cmpuint (without, >=, 2);
  wg_pair_free (pair);
}

static void
test_timestamps (void)
{
  WgPair *pair = new_pair ();
  WgInitiation first, second;

  make_initiation (pair, &first);
  make_initiation (pair, &second);
  wg_pair_inject (pair, 1, &second, sizeof second, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 1);
  /* Older, and equal. */
  wg_pair_run (pair, SEC);
  wg_pair_inject (pair, 1, &first, sizeof first, source_at (1, 1));
  wg_pair_inject (pair, 1, &second, sizeof second, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 1).dropped_replay, ==, 2);
  /* The memory of it outlives the session. */
  pair->blocked[0] = pair->blocked[1] = true;
  wg_pair_run (pair, 600 * SEC);
  g_assert_cmpuint (stats_of (pair, 1).active_peers, ==, 0);
  wg_pair_inject (pair, 1, &second, sizeof second, source_at (1, 1));
  wg_pair_change_peer (pair, 1, WG_PEER_BLOCK);
  wg_pair_change_peer (pair, 1, WG_PEER_ALLOW);
  wg_pair_inject (pair, 1, &second, sizeof second, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 1).dropped_replay, ==, 4);
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 1);
  g_assert_cmpuint (stats_of (pair, 1).active_peers, ==, 0);
  wg_pair_free (pair);
}

static void
test_rate (void)
{
  WgPair *pair = new_pair ();
  WgInitiation a, b;

  make_initiation (pair, &a);
  make_initiation (pair, &b);
  wg_pair_inject (pair, 1, &a, sizeof a, source_at (1, 1));
  wg_pair_run (pair, 19 * USEC_PER_MSEC);
  wg_pair_inject (pair, 1, &b, sizeof b, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 1).dropped_rate, ==, 1);
  wg_pair_run (pair, 1 * USEC_PER_MSEC);
  wg_pair_inject (pair, 1, &b, sizeof b, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 1).responses_sent, ==, 2);
  wg_pair_free (pair);
}

/* Keys for handshakes are made when nobody waits, but none as long as there was no handshake. */
static void
test_spare_keys (void)
{
  WgPair *pair = new_pair ();
  WgDevice *device = pair->nodes[0].device;
  const WgEvent idle = {.type = WG_EVENT_IDLE};
  GHashTable *seen
      = g_hash_table_new_full (g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);

  g_assert_false (wg_device_wants_idle (device));
  for (unsigned i = 0; i < 40; i++) {
    WgInitiation message;

    make_initiation (pair, &message);
    g_hash_table_add (seen, g_bytes_new (message.ephemeral, sizeof message.ephemeral));
    g_assert_true (wg_device_wants_idle (device));
    for (unsigned k = 0; k < i % 20 && wg_device_wants_idle (device); k++)
      wg_device_input (device, &idle, pair->now_us);
    wg_device_input (device, &idle, pair->now_us);
  }
  g_assert_cmpuint (g_hash_table_size (seen), ==, 40);
  for (int i = 0; i < 16; i++)
    wg_device_input (device, &idle, pair->now_us);
  g_assert_false (wg_device_wants_idle (device));
  g_hash_table_unref (seen);
  wg_pair_free (pair);
}

/* Anybody can write a known node's public key into message 1; that alone makes no state. */
static void
test_claimed_identity (void)
{
  WgPair *pair = new_pair ();
  NodePrivate mallory;
  WgIdentity identity;
  WgRemote node1;
  WgInitiation message;
  WgInitiator state;
  WgCookieJar jar = {0};
  WgEphemeral pair_of_keys;
  uint8_t ephemeral[32], timestamp[12];
  SeededRandom random;

  seeded_random_init (&random, 9);
  key_generate (&random.base, mallory.bytes);
  key_generate (&random.base, ephemeral);
  wg_ephemeral_init (&pair_of_keys, ephemeral);
  memset (timestamp, 0x50, sizeof timestamp);
  wg_identity_init (&identity, &mallory);
  wg_remote_init (&node1, &identity, &pair->nodes[1].public_key);
  for (int claim = 0; claim < 2; claim++) {
    if (claim)
      identity.public_key = pair->nodes[0].public_key;
    wg_initiation_create (&identity, &node1, &pair_of_keys, timestamp, 1, &message, &state);
    wg_macs_add (&node1, &jar, (uint8_t *)&message, sizeof message, pair->now_us);
    wg_pair_inject (pair, 1, &message, sizeof message, source_at (1, 1));
    g_assert_cmpuint (stats_of (pair, 1).dropped_unknown, ==, 1);
    g_assert_cmpuint (stats_of (pair, 1).dropped_bad, ==, claim);
    g_assert_cmpuint (stats_of (pair, 1).active_peers, ==, 0);
    g_assert_cmpuint (pair->n_log, ==, 0);
  }
  wg_pair_free (pair);
}

/* An answer that is forged, late or for nobody changes nothing; the right one still completes. */
static void
test_forged_answer (void)
{
  WgPair *pair = new_pair ();
  WgResponse response;

  wg_pair_send (pair, 0);
  wg_pair_run (pair, pair->latency_us);
  memcpy (&response, wg_pair_last (pair, 1, WG_MESSAGE_RESPONSE)->bytes, sizeof response);
  WgIdentity identity;
  WgRemote node0;
  WgCookieJar jar = {0};
  wg_identity_init (&identity, &pair->nodes[1].private_key);
  wg_remote_init (&node0, &identity, &pair->nodes[0].public_key);
  WgResponse forged = response;
  forged.ephemeral[4] ^= 1;
  wg_macs_add (&node0, &jar, (uint8_t *)&forged, sizeof forged, pair->now_us);
  wg_pair_inject (pair, 0, &forged, sizeof forged, source_at (1, 1));
  forged = response;
  store_le32 (&forged.receiver, load_le32 (&response.receiver) ^ 0x100000);
  wg_macs_add (&node0, &jar, (uint8_t *)&forged, sizeof forged, pair->now_us);
  wg_pair_inject (pair, 0, &forged, sizeof forged, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 0).dropped_bad, ==, 1);
  g_assert_cmpuint (stats_of (pair, 0).dropped_unknown, ==, 1);
  g_assert_cmpuint (wg_pair_installed (pair, 0), ==, 0);
  wg_pair_settle (pair);
  g_assert_cmpuint (wg_pair_installed (pair, 0), ==, 1);
  g_assert_cmpuint (pair->nodes[1].received, ==, 1);
  wg_pair_inject (pair, 0, &response, sizeof response, source_at (1, 1));
  g_assert_cmpuint (stats_of (pair, 0).dropped_replay, ==, 1);
  g_assert_cmpuint (wg_pair_installed (pair, 0), ==, 1);
  wg_pair_free (pair);
}

/* The path finder is told where an authentic message came from; nothing follows the source by
 * itself.
 */
static void
test_source_is_reported (void)
{
  WgPair *pair = new_pair ();
  WgInitiation message;

  make_initiation (pair, &message);
  wg_pair_inject (pair, 1, &message, sizeof message, source_at (0x05060708, 99));
  g_assert_cmpuint (pair->nodes[1].authentic, ==, 1);
  g_assert_cmpuint (pair->nodes[1].last_authentic.addr.port, ==, 99);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[0].authentic, ==, 1);
  wg_pair_free (pair);
}

static void
test_new_private_key (void)
{
  WgPair *pair = new_pair ();
  NodePrivate fresh;
  NodePublic old_key = pair->nodes[0].public_key;

  wg_pair_send (pair, 0);
  wg_pair_settle (pair);
  key_generate (&pair->nodes[0].random.base, fresh.bytes);
  WgEvent event = {.type = WG_EVENT_PRIVATE_KEY, .private_key = {.key = &fresh}};
  wg_device_input (pair->nodes[0].device, &event, pair->now_us);
  key_public (fresh.bytes, pair->nodes[0].public_key.bytes);
  wg_pair_inject (pair, 0, "", 0, source_at (1, 1));
  g_assert_null (wg_pair_peer (pair, 0));
  g_assert_cmpuint (stats_of (pair, 0).indices, ==, 0);
  g_assert_cmpuint (stats_of (pair, 0).active_peers, ==, 0);
  /* Node 1 learns the new key from the netmap. */
  WgPeerChange changes[] = {{old_key, WG_PEER_REMOVE}, {pair->nodes[0].public_key, WG_PEER_ALLOW}};
  event = (WgEvent){.type = WG_EVENT_PEERS, .peers = {changes, 2}};
  wg_device_input (pair->nodes[1].device, &event, pair->now_us);
  wg_pair_inject (pair, 1, "", 0, source_at (1, 1));
  g_assert_null (wg_pair_peer (pair, 1));
  wg_pair_send (pair, 0);
  wg_pair_settle (pair);
  g_assert_cmpuint (pair->nodes[1].received, ==, 2);
  wg_pair_free (pair);
}

/* How often the 32 bytes whose complement is INVERTED stand in writable memory. */
static unsigned
scan_memory (const uint8_t inverted[32])
{
  FILE *maps = fopen ("/proc/self/maps", "r");
  char line[512];
  unsigned found = 0;

  g_assert_nonnull (maps);
  while (fgets (line, sizeof line, maps)) {
    unsigned long start, end;
    char flags[5];
    if (sscanf (line, "%lx-%lx %4s", &start, &end, flags) != 3 || flags[0] != 'r' || flags[1] != 'w'
        || end - start > 64u << 20)
      continue;
    for (const uint8_t *p = (const uint8_t *)start; p + 32 <= (const uint8_t *)end; p += 4) {
      int i = 0;
      while (i < 32 && (p[i] ^ inverted[i]) == 0xff)
        i++;
      found += i == 32;
    }
  }
  fclose (maps);
  return found;
}

/* OpenSSL's context of this thread holds the key of its last packet; so do registers spilled by it.
 * In the daemon this is a worker's context, which is given a zero key when the worker parks. */
static __attribute__ ((noinline)) void
use_other_keys (void)
{
  uint8_t key[32] = {0}, nonce[12] = {0}, out[64 + 16], in[64] = {0};
  volatile uint8_t stack[16384];

  aead_seal (key, nonce, NULL, 0, in, sizeof in, out);
  for (size_t i = 0; i < sizeof stack; i++)
    stack[i] = 0;
}

static void
test_keys_are_wiped (void)
{
  for (int way = 0; way < 3; way++) {
    WgPair *pair = new_pair ();
    uint8_t inverted[2][32];
    wg_pair_send (pair, 0);
    wg_pair_settle (pair);
    WgSession *session = wg_pair_session (pair, 0);
    for (int i = 0; i < 32; i++) {
      inverted[0][i] = (uint8_t)~session->send_key[i];
      inverted[1][i] = (uint8_t)~session->receive_key[i];
    }
    use_other_keys ();
    /* Each key once in each node's session, nowhere else: not in queues, handshakes, buffers. */
    g_assert_cmpuint (scan_memory (inverted[0]), ==, 2);
    g_assert_cmpuint (scan_memory (inverted[1]), ==, 2);
    if (way == 0) {
      wg_pair_run (pair, 541 * SEC);
    } else if (way == 1) {
      wg_pair_change_peer (pair, 0, WG_PEER_REMOVE);
      wg_pair_change_peer (pair, 1, WG_PEER_BLOCK);
    } else {
      for (int i = 0; i < 2; i++) {
        NodePrivate fresh;
        key_generate (&pair->nodes[i].random.base, fresh.bytes);
        WgEvent event = {.type = WG_EVENT_PRIVATE_KEY, .private_key = {.key = &fresh}};
        wg_device_input (pair->nodes[i].device, &event, pair->now_us);
        wg_pair_inject (pair, i, "", 0, source_at (1, 1));
      }
    }
    use_other_keys ();
    g_assert_cmpuint (scan_memory (inverted[0]), ==, 0);
    g_assert_cmpuint (scan_memory (inverted[1]), ==, 0);
    wg_pair_free (pair);
  }
}

/* 10,000 nodes of a netmap cost little until somebody talks; asking for status makes nothing. */
static void
test_many_peers (void)
{
  enum
  {
    N = 10000
  };
  WgPair *pair = new_pair ();
  WgPeerChange *changes = g_new (WgPeerChange, N);
  SeededRandom random;

  seeded_random_init (&random, 1);
  for (int i = 0; i < N; i++) {
    random_fill (&random.base, changes[i].key.bytes, KEY_SIZE);
    changes[i].op = WG_PEER_ALLOW;
  }
  WgEvent event = {.type = WG_EVENT_PEERS, .peers = {changes, N}};
  wg_device_input (pair->nodes[0].device, &event, pair->now_us);
  g_assert_cmpuint (stats_of (pair, 0).known_peers, ==, N + 1);
  g_assert_cmpuint (stats_of (pair, 0).active_peers, ==, 0);
  g_assert_cmpint (wg_device_next_deadline (pair->nodes[0].device), ==, TIME_NEVER);
  for (int i = 0; i < N; i++)
    changes[i].op = WG_PEER_REMOVE;
  wg_device_input (pair->nodes[0].device, &event, pair->now_us);
  g_assert_cmpuint (stats_of (pair, 0).known_peers, ==, 1);
  g_free (changes);
  wg_pair_free (pair);
}

/* Handshakes of many peers at once spread over workers by key; each index names its worker. */
static void
test_workers (void)
{
  WgDeviceConfig config = {.n_workers = 4, .wall_time = {1767225600, 0}, .now_us = SEC};
  SeededRandom random;
  WgAction action;
  unsigned per_worker[4] = {0};

  seeded_random_init (&random, 1);
  key_generate (&random.base, config.private_key.bytes);
  WgDevice *device = wg_device_new (&config, &random.base);
  for (int i = 0; i < 100; i++) {
    NodePrivate private_key;
    WgPeerChange change = {.op = WG_PEER_ALLOW};
    key_generate (&random.base, private_key.bytes);
    key_public (private_key.bytes, change.key.bytes);
    WgEvent event = {.type = WG_EVENT_PEERS, .peers = {&change, 1}};
    wg_device_input (device, &event, SEC);
    event = (WgEvent){.type = WG_EVENT_WANT_HANDSHAKE, .want = {change.key, SEC}};
    wg_device_input (device, &event, SEC);
  }
  while (wg_device_next_action (device, &action)) {
    if (action.type == WG_ACTION_SEND) {
      g_assert_cmpuint (action.worker, ==, wg_peer_worker (&action.peer, 4));
      g_assert_cmpuint (wg_index_worker (load_le32 (action.send.bytes + 4)), ==, action.worker);
      per_worker[action.worker]++;
    }
    wg_action_clear (&action);
  }
  for (int i = 0; i < 4; i++)
    g_assert_cmpuint (per_worker[i], >=, 10);
  g_assert_cmpint (wg_device_next_deadline (device), <, 7 * SEC);
  wg_device_free (device);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define TEST(name, function) g_test_add_func ("/wireguard/device/" name, function)
  TEST ("malformed-messages-get-no-reply", test_malformed);
  TEST ("wrong-mac1-gets-no-reply", test_mac1);
  TEST ("under-load-a-cookie-comes-first", test_cookie_mode);
  TEST ("cookie-over-a-relay-is-bound-to-the-node-key", test_cookie_over_relay);
  TEST ("cookie-is-used-for-120-seconds", test_cookie_ages);
  TEST ("older-or-equal-timestamp-is-dropped-for-ever", test_timestamps);
  TEST ("one-initiation-in-20-milliseconds", test_rate);
  TEST ("keys-are-made-ahead-and-used-once", test_spare_keys);
  TEST ("claimed-identity-makes-no-state", test_claimed_identity);
  TEST ("forged-answer-spoils-nothing", test_forged_answer);
  TEST ("source-of-an-authentic-message-is-reported", test_source_is_reported);
  TEST ("new-private-key-erases-everything", test_new_private_key);
  if (!KEEPS_FREED_MEMORY)
    TEST ("erased-keys-are-nowhere-in-memory", test_keys_are_wiped);
  TEST ("many-known-peers-cost-nothing", test_many_peers);
  TEST ("peers-spread-over-workers", test_workers);
#undef TEST
  return g_test_run ();
}
