#include "wg-pair.h"

#include <glib.h>
#include <string.h>

#define DATA_SIZE 100

WgSource
wg_pair_source (uint32_t address, uint16_t port)
{
  return (WgSource){.kind = WG_SOURCE_UDP, .addr = {ip_from_v4 (address), port}};
}

static WgPairDatagram *
launch (WgPair *pair, int from, const uint8_t *bytes, size_t size)
{
  g_assert_cmpuint (pair->n_flight, <, WG_PAIR_FLIGHT);
  g_assert_cmpuint (size, <=, sizeof pair->flight[0].bytes);
  WgPairDatagram *d = &pair->flight[pair->n_flight++];
  *d = (WgPairDatagram){.arrives_us = pair->now_us + pair->latency_us, .to = !from, .size = size};
  d->source = wg_pair_source (0x0a000001u + (uint32_t)from, 41641);
  memcpy (d->bytes, bytes, size);
  return d;
}

static void
transmit (WgPair *pair, int from, const uint8_t *bytes, size_t size)
{
  WgTransport transport;

  g_assert_cmpuint (pair->n_log, <, WG_PAIR_LOG);
  WgPairLog *entry = &pair->log[pair->n_log++];
  *entry = (WgPairLog){.time_us = pair->now_us,
                       .from = from,
                       .size = size,
                       .keepalive = size == WG_TRANSPORT_MIN_SIZE};
  entry->type = wg_message_classify (bytes, size);
  if (entry->type != WG_MESSAGE_DATA)
    memcpy (entry->bytes, bytes, size);
  if (wg_transport_parse (bytes, size, &transport)) {
    entry->receiver = transport.receiver;
    entry->counter = transport.counter;
  }
  if (pair->blocked[from])
    return;
  launch (pair, from, bytes, size);
  if (!pair->duplicate)
    return;
  WgPairDatagram *copy = launch (pair, from, bytes, size);
  copy->arrives_us += 1500;
  copy->source
      = (WgSource){.kind = WG_SOURCE_DERP, .region = 1, .derp_key = pair->nodes[from].public_key};
}

static void
on_send (void *data, const NodePublic *peer, const WgSource *source, const uint8_t *bytes,
         size_t size)
{
  WgPairNode *node = data;

  transmit (node->pair, node == &node->pair->nodes[1], bytes, size);
}

static void
on_receive (void *data, const NodePublic *peer, const uint8_t *packet, size_t size)
{
  WgPairNode *node = data;

  g_assert_cmpuint (size, ==, DATA_SIZE);
  node->received++;
}

static void
on_notice (void *data, WgHostNotice notice, const NodePublic *peer, const WgSource *source)
{
  WgPairNode *node = data;

  switch (notice) {
    case WG_HOST_AUTHENTIC:
      node->authentic++;
      node->last_authentic = *source;
      break;
    case WG_HOST_RETRY:
      node->retries++;
      break;
    case WG_HOST_PATH_SUSPECT:
      node->path_suspect++;
      break;
    case WG_HOST_GIVE_UP:
      node->gave_up++;
      break;
    case WG_HOST_IDLE:
      node->idle++;
      break;
    case WG_HOST_ESTABLISHED:
      break;
  }
}

static void
on_save (void *data, const uint8_t timestamp[WG_TIMESTAMP_SIZE])
{
  WgPairNode *node = data;

  memcpy (node->saved_timestamp, timestamp, WG_TIMESTAMP_SIZE);
}

void
wg_pair_send (WgPair *pair, int i)
{
  uint8_t packet[DATA_SIZE] = {0x45};

  store_be16 (packet + 2, DATA_SIZE);
  wg_host_send (pair->nodes[i].host, &pair->nodes[!i].public_key, packet, sizeof packet,
                pair->now_us);
}

void
wg_pair_inject (WgPair *pair, int i, const void *bytes, size_t size, const WgSource *source)
{
  wg_host_datagram (pair->nodes[i].host, bytes, size, source, pair->now_us);
}

static int64_t
node_deadline (WgPairNode *node)
{
  if (node->suspended)
    return TIME_NEVER;
  return wg_host_next_deadline (node->host);
}

static void
run_timers (WgPair *pair, int i)
{
  WgPairNode *node = &pair->nodes[i];

  if (node_deadline (node) > pair->now_us)
    return;
  node->wake_ups++;
  wg_host_tick (node->host, pair->now_us);
}

/* The next thing that happens, no later than UNTIL_US; false when there is none. */
static bool
step (WgPair *pair, int64_t until_us)
{
  size_t first = pair->n_flight;
  int64_t next = time_min (node_deadline (&pair->nodes[0]), node_deadline (&pair->nodes[1]));

  for (size_t i = 0; i < pair->n_flight; i++)
    if (first == pair->n_flight || pair->flight[i].arrives_us < pair->flight[first].arrives_us)
      first = i;
  bool arrival = first < pair->n_flight && pair->flight[first].arrives_us <= next;
  if (arrival)
    next = pair->flight[first].arrives_us;
  if (next > until_us)
    return false;
  if (next > pair->now_us)
    pair->now_us = next;
  if (arrival) {
    WgPairDatagram d = pair->flight[first];
    memmove (&pair->flight[first], &pair->flight[first + 1],
             (pair->n_flight - first - 1) * sizeof d);
    pair->n_flight--;
    if (!pair->nodes[d.to].suspended)
      wg_pair_inject (pair, d.to, d.bytes, d.size, &d.source);
    return true;
  }
  for (int i = 0; i < 2; i++)
    run_timers (pair, i);
  return true;
}

void
wg_pair_run (WgPair *pair, int64_t duration_us)
{
  int64_t until_us = pair->now_us + duration_us;

  while (step (pair, until_us))
    ;
  pair->now_us = until_us;
}

void
wg_pair_settle (WgPair *pair)
{
  while (pair->n_flight > 0)
    g_assert_true (step (pair, pair->now_us + pair->latency_us + 2000));
}

void
wg_pair_change_peer (WgPair *pair, int node, WgPeerOp op)
{
  wg_host_change_peer (pair->nodes[node].host, &pair->nodes[!node].public_key, op, pair->now_us);
}

static void
start_node (WgPair *pair, int i, WallTime wall, const uint8_t *floor)
{
  WgPairNode *node = &pair->nodes[i];
  WgDeviceConfig config = {.private_key = node->private_key, .n_workers = 1};
  WgHostCallbacks callbacks
      = {.send = on_send, .receive = on_receive, .notice = on_notice, .save_timestamp = on_save};

  config.wall_time = wall_time_add_us (wall, pair->now_us);
  config.now_us = pair->now_us;
  if (floor)
    memcpy (config.timestamp_floor, floor, WG_TIMESTAMP_SIZE);
  node->pair = pair;
  callbacks.data = node;
  node->host = wg_host_new (&config, &node->random.base, &callbacks);
  node->device = wg_host_device (node->host);
  wg_pair_change_peer (pair, i, WG_PEER_ALLOW);
}

void
wg_pair_restart (WgPair *pair, int node, WallTime wall, const uint8_t floor[WG_TIMESTAMP_SIZE])
{
  wg_host_free (pair->nodes[node].host);
  start_node (pair, node, wall, floor);
}

WgPair *
wg_pair_new (uint64_t seed)
{
  WgPair *pair = g_new0 (WgPair, 1);

  pair->now_us = USEC_PER_SEC;
  pair->latency_us = 5 * USEC_PER_MSEC;
  pair->wall = (WallTime){1767225600, 0};
  for (int i = 0; i < 2; i++) {
    WgPairNode *node = &pair->nodes[i];
    seeded_random_init (&node->random, seed * 2 + (uint64_t)i);
    key_generate (&node->random.base, node->private_key.bytes);
    key_public (node->private_key.bytes, node->public_key.bytes);
  }
  for (int i = 0; i < 2; i++)
    start_node (pair, i, pair->wall, NULL);
  return pair;
}

void
wg_pair_free (WgPair *pair)
{
  for (int i = 0; i < 2; i++)
    wg_host_free (pair->nodes[i].host);
  g_free (pair);
}

WgPeer *
wg_pair_peer (WgPair *pair, int node)
{
  return wg_host_peer (pair->nodes[node].host, &pair->nodes[!node].public_key);
}

WgSession *
wg_pair_session (WgPair *pair, int node)
{
  WgPeer *peer = wg_pair_peer (pair, node);

  return peer ? wg_peer_current (peer, pair->now_us) : NULL;
}

unsigned
wg_pair_refused (const WgPair *pair, int node)
{
  const WgHostStats *stats = wg_host_stats (pair->nodes[node].host);

  return (unsigned)(stats->unknown_index + stats->expired + stats->replayed + stats->not_authentic);
}

unsigned
wg_pair_installed (const WgPair *pair, int node)
{
  return (unsigned)wg_device_stats (pair->nodes[node].device).sessions;
}

unsigned
wg_pair_keepalives (const WgPair *pair, int node)
{
  return (unsigned)wg_host_stats (pair->nodes[node].host)->keepalives_received;
}

unsigned
wg_pair_dropped (const WgPair *pair, int node)
{
  return (unsigned)wg_host_stats (pair->nodes[node].host)->dropped_staged;
}

unsigned
wg_pair_count (const WgPair *pair, int from, WgMessageType type, int64_t since_us, int64_t until_us)
{
  unsigned count = 0;

  for (size_t i = 0; i < pair->n_log; i++)
    if (pair->log[i].from == from && (type == WG_MESSAGE_NONE || pair->log[i].type == type)
        && pair->log[i].time_us >= since_us && pair->log[i].time_us <= until_us)
      count++;
  return count;
}

const WgPairLog *
wg_pair_last (const WgPair *pair, int from, WgMessageType type)
{
  for (size_t i = pair->n_log; i > 0; i--)
    if (pair->log[i - 1].from == from && pair->log[i - 1].type == type)
      return &pair->log[i - 1];
  return NULL;
}
