#include "wg-pair.h"

#include <glib.h>
#include <string.h>

#define DATA_SIZE 100

WgSource
wg_pair_source (uint32_t address, uint16_t port)
{
  return (WgSource){.kind = WG_SOURCE_UDP, .addr = {ip_from_v4 (address), port}};
}

static void handle_todo (WgPair *pair, int i, WgTodo todo);

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
transmit (WgPair *pair, int from, const uint8_t *bytes, size_t size, bool keepalive)
{
  WgTransport transport;

  g_assert_cmpuint (pair->n_log, <, WG_PAIR_LOG);
  WgPairLog *entry = &pair->log[pair->n_log++];
  *entry = (WgPairLog){.time_us = pair->now_us, .from = from, .size = size, .keepalive = keepalive};
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

/* What tunnel does with a run of one packet; SIZE 0 is a keepalive. False: no session. */
static bool
seal_and_send (WgPair *pair, int i, size_t size)
{
  WgPairNode *node = &pair->nodes[i];
  uint8_t message[WG_TRANSPORT_OVERHEAD + 256] = {0}, plain[256] = {0}, nonce[12] = {0};
  WgSession *session = wg_peer_current (&node->peer, pair->now_us);
  uint64_t counter;

  if (!session || wg_session_reserve (session, pair->now_us, 1, &counter) != 1)
    return false;
  if (size > 0) {
    plain[0] = 0x45;
    store_be16 (plain + 2, (uint16_t)size);
  }
  size_t padded = wg_padded_size (size, 1280);
  wg_transport_write (message, session->remote_index, counter);
  store_le64 (nonce + 4, counter);
  aead_seal (session->send_key, nonce, NULL, 0, plain, padded, message + 16);
  transmit (pair, i, message, padded + WG_TRANSPORT_OVERHEAD, size == 0);
  handle_todo (pair, i, wg_peer_sent (&node->peer, session, size > 0, pair->now_us));
  return true;
}

static void
device_event (WgPair *pair, int i, const WgEvent *event)
{
  WgPairNode *node = &pair->nodes[i];
  WgAction action;

  wg_device_input (node->device, event, pair->now_us);
  while (wg_device_next_action (node->device, &action)) {
    switch (action.type) {
      case WG_ACTION_SEND:
        transmit (pair, i, action.send.bytes, action.send.size, false);
        break;
      case WG_ACTION_INSTALL:
        if (!node->peer_exists)
          wg_peer_init (&node->peer, &node->context, 0);
        node->peer_exists = true;
        node->installed++;
        handle_todo (pair, i, wg_peer_install (&node->peer, &action.install, pair->now_us));
        break;
      case WG_ACTION_ERASE:
        if (node->peer_exists)
          handle_todo (pair, i, wg_peer_erase (&node->peer));
        break;
      case WG_ACTION_GIVE_UP:
        node->gave_up++;
        node->dropped += node->staged;
        node->staged = 0;
        if (node->peer_exists)
          handle_todo (pair, i, wg_peer_give_up (&node->peer));
        break;
      case WG_ACTION_AUTHENTIC:
        node->authentic++;
        node->last_authentic = action.authentic;
        break;
      case WG_ACTION_RETRY:
        node->retries++;
        break;
      case WG_ACTION_SAVE_TIMESTAMP:
        memcpy (node->saved_timestamp, action.timestamp, WG_TIMESTAMP_SIZE);
        break;
    }
    wg_action_clear (&action);
  }
}

static void
handle_todo (WgPair *pair, int i, WgTodo todo)
{
  WgPairNode *node = &pair->nodes[i];

  if (todo & WG_TODO_RETIRED) {
    WgSession *session;
    while ((session = wg_peer_take_retired (&node->peer))) {
      WgEvent event = {.type = WG_EVENT_SESSION_ERASED, .local_index = session->local_index};
      wg_session_free (session);
      device_event (pair, i, &event);
    }
  }
  if (todo & WG_TODO_CONFIRMED) {
    WgEvent event = {.type = WG_EVENT_SESSION_CONFIRMED};
    event.local_index = wg_peer_current (&node->peer, pair->now_us)->local_index;
    device_event (pair, i, &event);
  }
  bool sent = false;
  if (todo & WG_TODO_SESSION_READY) {
    while (node->staged > 0 && seal_and_send (pair, i, DATA_SIZE)) {
      node->staged--;
      sent = true;
    }
  }
  if (todo & WG_TODO_KEEPALIVE && !sent)
    seal_and_send (pair, i, 0);
  if (todo & WG_TODO_HANDSHAKE) {
    WgEvent event
        = {.type = WG_EVENT_WANT_HANDSHAKE, .want = {pair->nodes[!i].public_key, pair->now_us}};
    device_event (pair, i, &event);
  }
  if (todo & WG_TODO_PATH_SUSPECT)
    node->path_suspect++;
  if (todo & WG_TODO_IDLE) {
    node->idle++;
    node->dropped += node->staged;
    node->staged = 0;
    wg_peer_clear (&node->peer);
    node->peer_exists = false;
  }
}

void
wg_pair_send (WgPair *pair, int i)
{
  WgPairNode *node = &pair->nodes[i];

  if (!node->peer_exists)
    wg_peer_init (&node->peer, &node->context, 0);
  node->peer_exists = true;
  if (seal_and_send (pair, i, DATA_SIZE))
    return;
  if (node->staged < WG_PAIR_MAX_STAGED)
    node->staged++;
  handle_todo (pair, i, wg_peer_no_session (&node->peer, pair->now_us));
}

static void
receive_data (WgPair *pair, int i, const uint8_t *bytes, size_t size)
{
  WgPairNode *node = &pair->nodes[i];
  uint8_t plain[256], nonce[12] = {0};
  WgTransport t;

  g_assert_true (wg_transport_parse (bytes, size, &t));
  WgSession *session = wg_index_table_get (node->sessions, t.receiver);
  store_le64 (nonce + 4, t.counter);
  if (!session || wg_session_check (session, t.counter, pair->now_us) != WG_RECEIVE_OK
      || !aead_open (session->receive_key, nonce, NULL, 0, bytes + t.sealed_offset, t.sealed_size,
                     plain)
      || !wg_session_accept (session, t.counter)) {
    node->refused++;
    return;
  }
  size_t plain_size = t.sealed_size - AEAD_TAG_SIZE;
  if (plain_size > 0) {
    g_assert_cmpint (wg_inner_size (plain, plain_size), ==, DATA_SIZE);
    node->received++;
  } else {
    node->keepalives++;
  }
  handle_todo (pair, i, wg_peer_received (&node->peer, session, plain_size > 0, pair->now_us));
}

void
wg_pair_inject (WgPair *pair, int i, const void *bytes, size_t size, const WgSource *source)
{
  if (wg_message_classify (bytes, size) == WG_MESSAGE_DATA) {
    receive_data (pair, i, bytes, size);
    return;
  }
  WgEvent event = {.type = WG_EVENT_DATAGRAM, .datagram = {bytes, size, *source}};
  device_event (pair, i, &event);
}

static int64_t
node_deadline (WgPairNode *node)
{
  if (node->suspended)
    return TIME_NEVER;
  return time_min (wg_device_next_deadline (node->device), timer_wheel_next (&node->wheel));
}

static void
run_timers (WgPair *pair, int i)
{
  WgPairNode *node = &pair->nodes[i];
  TimerNode *timer;

  if (node_deadline (node) > pair->now_us)
    return;
  node->wake_ups++;
  while ((timer = timer_wheel_expire (&node->wheel, pair->now_us)))
    handle_todo (pair, i, wg_peer_tick (wg_peer_from_timer (timer), pair->now_us));
  device_event (pair, i, &(WgEvent){.type = WG_EVENT_TICK});
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
  WgPeerChange change = {.key = pair->nodes[!node].public_key, .op = op};
  WgEvent event = {.type = WG_EVENT_PEERS, .peers = {&change, 1}};

  device_event (pair, node, &event);
}

static void
start_node (WgPair *pair, int i, WallTime wall, const uint8_t *floor)
{
  WgPairNode *node = &pair->nodes[i];
  WgDeviceConfig config = {.private_key = node->private_key, .n_workers = 1};

  config.wall_time = wall_time_add_us (wall, pair->now_us);
  config.now_us = pair->now_us;
  if (floor)
    memcpy (config.timestamp_floor, floor, WG_TIMESTAMP_SIZE);
  node->device = wg_device_new (&config, &node->random.base);
  node->sessions = wg_index_table_new (0);
  timer_wheel_init (&node->wheel, pair->now_us);
  node->context = (WgPeerContext){&node->wheel, node->sessions, &node->random.base};
  node->staged = 0;
  wg_pair_change_peer (pair, i, WG_PEER_ALLOW);
}

static void
stop_node (WgPairNode *node)
{
  if (node->peer_exists)
    wg_peer_clear (&node->peer);
  node->peer_exists = false;
  wg_device_free (node->device);
  wg_index_table_free (node->sessions);
}

void
wg_pair_restart (WgPair *pair, int node, WallTime wall, const uint8_t floor[WG_TIMESTAMP_SIZE])
{
  stop_node (&pair->nodes[node]);
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
    stop_node (&pair->nodes[i]);
  g_free (pair);
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
