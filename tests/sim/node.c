#include "node.h"

#include "coordinator.h"
#include "flows.h"
#include "network.h"
#include "relay.h"

#include "derp/client.h"
#include "path/classify.h"

#include <glib.h>
#include <string.h>

#define MAX_CONNECTIONS 16
#define MAX_STUCK       4
#define ANSWER_HTTPS    1
#define ANSWER_ICMP     2

typedef struct
{
  uint32_t connection; /* path's number; 0: free */
  uint32_t stream;
  uint16_t region;
  bool open;
  DerpClient *client;
} Connection;

/* What this node keeps about each other node. */
typedef struct
{
  PathDestination destination;
  bool published; /* destination was told by path */
  bool known;     /* in our map */
  int64_t sent_noted_us;
  int64_t received_noted_us;
  IpPort received_from;
} PeerState;

struct SimNode
{
  Sim *sim;
  uint32_t id;
  uint32_t generation;
  SimSite *site;
  IpAddr address;
  uint16_t port;
  bool started;
  int64_t suspended_us; /* since when it sleeps; 0: awake */
  int64_t changed_us;
  int64_t epoch_us; /* of its clock in the world's time, at most 0 */
  int64_t wall_error_us;
  SeededRandom random;
  NodePrivate private_key;
  uint8_t disco_private[KEY_SIZE];
  uint8_t timestamp[WG_TIMESTAMP_SIZE]; /* on its disk */
  SimNodeRecord record;
  Path *path;
  WgHost *wg;
  Connection connections[MAX_CONNECTIONS];
  PeerState peers[SIM_MAX_NODES];
  bool pulling; /* inside the loop over a relay client's actions */
  uint32_t tick_serial;
  int64_t tick_us; /* planned, in the world's time */
  unsigned stuck;  /* ticks in a row that left a deadline behind */
  uint64_t wake_ups;
};

static int64_t
node_now (const SimNode *node)
{
  return node->sim->now_us - node->epoch_us;
}

static void drain_path (SimNode *node);
static void pump (SimNode *node, uint32_t connection);

static void
feed_path (SimNode *node, const PathEvent *event)
{
  path_input (node->path, event, node_now (node));
  drain_path (node);
}

static unsigned
peer_index (const SimNode *node, const NodePublic *key)
{
  int i = sim_node_by_key (node->sim, key);

  g_assert (i >= 0);
  return (unsigned)i;
}

/* --- relay connections --- */

static Connection *
find_connection (SimNode *node, uint32_t connection)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (connection != 0 && node->connections[i].connection == connection)
      return &node->connections[i];
  return NULL;
}

static void
drop_connection (SimNode *node, Connection *c)
{
  sim_stream_close (node->sim, c->stream);
  derp_client_free (c->client);
  *c = (Connection){0};
}

static void
connect_relay (SimNode *node, const PathAction *action)
{
  const PathRelayNode *relay = &action->relay_connect.node;
  DerpClientConfig config = {.node_private = node->private_key.bytes, .port = relay->port};
  Connection *c = NULL;

  for (int i = 0; i < MAX_CONNECTIONS && !c; i++)
    if (node->connections[i].connection == 0)
      c = &node->connections[i];
  if (!c) {
    sim_fail (node->sim, "node %u has more than %d relay connections", node->id, MAX_CONNECTIONS);
    return;
  }
  config.host = relay->host;
  config.ideal_node = relay->ideal_node;
  config.user_agent = "warren/sim";
  config.home = action->relay_connect.home;
  c->connection = action->relay_connect.connection;
  c->region = relay->region;
  c->client = derp_client_new (&config, &node->random.base);
  c->stream = sim_stream_dial (node->sim, node, relay->region - 1u);
}

static void
relay_closed (SimNode *node, Connection *c, PathRelayClosed reason)
{
  PathEvent event = {.type = PATH_EVENT_RELAY_CLOSED};

  event.relay_closed.connection = c->connection;
  event.relay_closed.reason = reason;
  event.relay_closed.text = "closed";
  drop_connection (node, c);
  feed_path (node, &event);
}

static void
relay_packet (SimNode *node, Connection *c, const DerpClientAction *action)
{
  uint8_t copy[SIM_DATAGRAM_MAX];
  size_t size = action->packet.size;
  PathEvent event = {.type = PATH_EVENT_RELAY_PACKET};
  WgSource source = {.kind = WG_SOURCE_DERP, .region = c->region};

  g_assert (size <= sizeof copy);
  memcpy (copy, action->packet.data, size);
  source.derp_key = action->packet.source;
  event.relay_packet.connection = c->connection;
  event.relay_packet.source = action->packet.source;
  event.relay_packet.data = copy;
  event.relay_packet.size = size;
  feed_path (node, &event);
  if (packet_classify (copy, size) == PACKET_WIREGUARD)
    wg_host_datagram (node->wg, copy, size, &source, node_now (node));
}

static void
relay_action (SimNode *node, uint32_t connection, const DerpClientAction *action)
{
  Connection *c = find_connection (node, connection);
  PathEvent event = {0};

  switch (action->type) {
    case DERP_CLIENT_ACTION_UP:
      event.type = PATH_EVENT_RELAY_UP;
      event.relay_up.connection = connection;
      event.relay_up.local = node->address;
      feed_path (node, &event);
      break;
    case DERP_CLIENT_ACTION_PACKET:
      relay_packet (node, c, action);
      break;
    case DERP_CLIENT_ACTION_PEER_GONE:
      event.type = PATH_EVENT_RELAY_PEER_GONE;
      event.relay_peer_gone.connection = connection;
      event.relay_peer_gone.peer = action->peer_gone.peer;
      feed_path (node, &event);
      break;
    case DERP_CLIENT_ACTION_HEALTH:
      break;
    case DERP_CLIENT_ACTION_CLOSE:
      relay_closed (node, c,
                    action->close.reason == DERP_CLOSE_LOST ? RELAY_CLOSED_LOST
                                                            : RELAY_CLOSED_LOGIN);
      break;
  }
}

/* Takes what the client of CONNECTION wants done and what it wants written. */
static void
pump (SimNode *node, uint32_t connection)
{
  uint8_t out[DERP_RECORD_SIZE];
  DerpClientAction action;
  Connection *c;

  /* Packets that are answered while actions are taken only add to the queue of what is written. */
  bool outer = !node->pulling;
  node->pulling = true;
  while (outer && (c = find_connection (node, connection))
         && derp_client_next_action (c->client, &action, node_now (node)))
    relay_action (node, connection, &action);
  node->pulling = !outer;
  c = find_connection (node, connection);
  while (c && c->open && derp_client_wants_write (c->client)) {
    size_t size = derp_client_pull (c->client, out, sizeof out, node_now (node));
    if (size == 0)
      break;
    sim_stream_send (node->sim, c->stream, out, size);
  }
}

static void
feed_relay (SimNode *node, Connection *c, const DerpClientEvent *event)
{
  uint32_t connection = c->connection;

  derp_client_input (c->client, event, node_now (node));
  pump (node, connection);
}

static void
send_relay (SimNode *node, uint16_t region, const NodePublic *peer, const uint8_t *bytes,
            size_t size)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_SEND, .send = {*peer, bytes, size}};

  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (node->connections[i].connection != 0 && node->connections[i].region == region) {
      feed_relay (node, &node->connections[i], &event);
      return;
    }
}

/* --- path --- */

static void
answer_probe (SimNode *node, uint32_t probe, unsigned relay, uint16_t kind)
{
  SimEvent event = {.type = SIM_NODE_ANSWER, .target = node->id, .serial = probe};
  int64_t round_trip = 2 * sim_relay_delay_us (node->sim->relays[relay], node->site);
  bool up = sim_relay_is_up (node->sim->relays[relay]);

  event.to.port = kind;
  event.from.port = (uint16_t)node->generation;
  event.value = up ? round_trip : NETCHECK_NO_LATENCY;
  event.time_us = node->sim->now_us + (up ? 3 * round_trip : USEC_PER_SEC);
  sim_events_add (&node->sim->events, &event, NULL, 0);
}

static void
rebind (SimNode *node, uint16_t wanted)
{
  PathEvent event = {.type = PATH_EVENT_SOCKETS};

  node->port = wanted ? wanted : (uint16_t)random_between (&node->random.base, 20000, 60000);
  event.sockets.port4 = node->port;
  path_input (node->path, &event, node_now (node));
}

static void
announce (SimNode *node)
{
  node->record.version++;
  sim_coordinator_changed (node->sim, node);
}

static void
announce_endpoints (SimNode *node, const Endpoint *list, size_t count)
{
  node->record.n_endpoints = MIN (count, G_N_ELEMENTS (node->record.endpoints));
  for (size_t i = 0; i < node->record.n_endpoints; i++)
    node->record.endpoints[i] = list[i].at;
  announce (node);
}

static void
set_destination (SimNode *node, const PathAction *action)
{
  PeerState *peer = &node->peers[peer_index (node, &action->set_destination.peer)];

  peer->destination = action->set_destination.destination;
  peer->published = true;
}

static void
relay_verb (SimNode *node, uint32_t connection, const DerpClientEvent *event)
{
  Connection *c = find_connection (node, connection);

  if (c)
    feed_relay (node, c, event);
}

static void
run_path_action (SimNode *node, const PathAction *action)
{
  Connection *c;

  switch (action->type) {
    case PATH_ACTION_SEND_UDP:
      sim_network_send (node->sim, node, node->port, &action->send_udp.destination,
                        action->send_udp.data, action->send_udp.size);
      break;
    case PATH_ACTION_SEND_RELAY:
      send_relay (node, action->send_relay.region, &action->send_relay.peer,
                  action->send_relay.data, action->send_relay.size);
      break;
    case PATH_ACTION_SET_DESTINATION:
      set_destination (node, action);
      break;
    case PATH_ACTION_PEER_RESTARTED:
      wg_host_handshake_on_data (node->wg, &action->peer_restarted);
      break;
    case PATH_ACTION_RELAY_CONNECT:
      connect_relay (node, action);
      break;
    case PATH_ACTION_RELAY_CLOSE:
      if ((c = find_connection (node, action->relay_close)))
        drop_connection (node, c);
      break;
    case PATH_ACTION_RELAY_HOME:
      relay_verb (node, action->relay_home.connection,
                  &(DerpClientEvent){.type = DERP_CLIENT_EVENT_HOME,
                                     .home = action->relay_home.home});
      break;
    case PATH_ACTION_RELAY_PING:
      relay_verb (node, action->relay_ping, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_PING});
      break;
    case PATH_ACTION_REBIND:
      rebind (node, action->rebind.port);
      break;
    case PATH_ACTION_ENDPOINTS:
      announce_endpoints (node, action->endpoints.list, action->endpoints.count);
      break;
    case PATH_ACTION_NET_INFO:
      if (node->record.home_region != action->net_info.home_region) {
        node->record.home_region = action->net_info.home_region;
        announce (node);
      }
      break;
    case PATH_ACTION_HTTPS_PROBE:
      answer_probe (node, action->https_probe.probe, action->https_probe.node.region - 1u,
                    ANSWER_HTTPS);
      break;
    case PATH_ACTION_ICMP_PING: {
      int relay = sim_relay_at (node->sim, &action->icmp_ping.destination);
      if (relay >= 0)
        answer_probe (node, action->icmp_ping.probe, (unsigned)relay, ANSWER_ICMP);
      break;
    }
    case PATH_ACTION_PING_RESULT:
    case PATH_ACTION_NETCHECK_RESULT:
    case PATH_ACTION_RESOLVE:
      break;
  }
}

static void
drain_path (SimNode *node)
{
  PathAction action;

  while (path_next_action (node->path, &action)) {
    run_path_action (node, &action);
    path_action_clear (&action);
  }
}

/* --- WireGuard --- */

static void
send_on (SimNode *node, const NodePublic *peer, const IpPort *udp, uint16_t region,
         const uint8_t *bytes, size_t size)
{
  if (udp->addr.family != 0)
    sim_network_send (node->sim, node, node->port, udp, bytes, size);
  if (region != 0)
    send_relay (node, region, peer, bytes, size);
}

static void
on_send (void *data, const NodePublic *key, const WgSource *source, const uint8_t *bytes,
         size_t size)
{
  SimNode *node = data;

  if (!key) {
    bool relayed = source->kind == WG_SOURCE_DERP;
    send_on (node, &source->derp_key, relayed ? &(IpPort){0} : &source->addr,
             relayed ? source->region : 0, bytes, size);
    return;
  }
  PeerState *peer = &node->peers[peer_index (node, key)];
  if (!peer->sent_noted_us || node_now (node) - peer->sent_noted_us >= PATH_ACTIVITY_US) {
    PathEvent event = {.type = PATH_EVENT_SENT};
    peer->sent_noted_us = node_now (node);
    event.sent.peer = *key;
    feed_path (node, &event);
  }
  PathDestination to = peer->destination;
  if (!peer->published && !path_destination (node->path, key, &to))
    return;
  send_on (node, key, &to.udp, to.region, bytes, size);
}

static void
note_received (SimNode *node, const NodePublic *key, const WgSource *source)
{
  PeerState *peer = &node->peers[peer_index (node, key)];
  IpPort from = source->kind == WG_SOURCE_UDP ? source->addr : (IpPort){0};
  PathEvent event = {.type = PATH_EVENT_RECEIVED};

  if (peer->received_noted_us && ip_port_equal (&peer->received_from, &from)
      && node_now (node) - peer->received_noted_us < PATH_ACTIVITY_US)
    return;
  peer->received_noted_us = node_now (node);
  peer->received_from = from;
  event.received.peer = *key;
  event.received.source = from;
  feed_path (node, &event);
}

static void
on_notice (void *data, WgHostNotice notice, const NodePublic *key, const WgSource *source)
{
  SimNode *node = data;
  PathEvent event = {.type = PATH_EVENT_NO_ANSWER};

  switch (notice) {
    case WG_HOST_AUTHENTIC:
      note_received (node, key, source);
      break;
    case WG_HOST_RETRY:
    case WG_HOST_PATH_SUSPECT:
      event.no_answer.peer = *key;
      feed_path (node, &event);
      break;
    case WG_HOST_GIVE_UP:
    case WG_HOST_ESTABLISHED:
      break;
  }
}

static void
on_receive (void *data, const NodePublic *key, const uint8_t *packet, size_t size)
{
  SimNode *node = data;

  sim_flows_packet (node->sim, node, peer_index (node, key), packet, size);
}

static void
on_save (void *data, const uint8_t timestamp[WG_TIMESTAMP_SIZE])
{
  SimNode *node = data;

  memcpy (node->timestamp, timestamp, WG_TIMESTAMP_SIZE);
}

/* --- timers --- */

static int64_t
node_deadline (SimNode *node)
{
  int64_t deadline = time_min (path_next_deadline (node->path), wg_host_next_deadline (node->wg));

  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (node->connections[i].connection && node->connections[i].open)
      deadline = time_min (deadline, derp_client_next_deadline (node->connections[i].client));
  return deadline;
}

/* Plans the tick for the earliest deadline, unless one is planned that is early enough. */
static void
plan_tick (SimNode *node)
{
  int64_t deadline = node_deadline (node);

  if (deadline == TIME_NEVER)
    return;
  int64_t at = deadline + node->epoch_us;
  if (at < node->sim->now_us)
    at = node->sim->now_us;
  if (node->tick_us <= at)
    return;
  node->tick_us = at;
  sim_plan (node->sim, SIM_NODE_TICK, node->id, ++node->tick_serial, at - node->sim->now_us);
}

void
sim_node_tick (SimNode *node, uint32_t serial)
{
  if (!sim_node_running (node) || serial != node->tick_serial)
    return;
  node->tick_us = TIME_NEVER;
  if (node_deadline (node) <= node_now (node)) {
    node->wake_ups++;
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
      Connection *c = &node->connections[i];
      if (c->connection && c->open && derp_client_next_deadline (c->client) <= node_now (node))
        feed_relay (node, c, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
    }
    wg_host_tick (node->wg, node_now (node));
    feed_path (node, &(PathEvent){.type = PATH_EVENT_TICK});
    node->stuck = node_deadline (node) <= node_now (node) ? node->stuck + 1 : 0;
    if (node->stuck > MAX_STUCK)
      sim_fail (node->sim, "node %u: a deadline stays in the past", node->id);
  }
  plan_tick (node);
}

/* --- what comes from the world --- */

void
sim_node_answer (SimNode *node, const SimEvent *event)
{
  PathEvent answer = {0};

  if (!sim_node_running (node) || event->from.port != (uint16_t)node->generation)
    return;
  if (event->to.port == ANSWER_HTTPS) {
    answer.type = PATH_EVENT_HTTPS_LATENCY;
    answer.https_latency.probe = event->serial;
    answer.https_latency.latency_us = event->value;
  } else {
    answer.type = PATH_EVENT_ICMP_LATENCY;
    answer.icmp_latency.probe = event->serial;
    answer.icmp_latency.latency_us = event->value;
  }
  feed_path (node, &answer);
  plan_tick (node);
}

void
sim_node_datagram (SimNode *node, uint16_t port, const IpPort *from, const uint8_t *bytes,
                   size_t size)
{
  PathEvent event = {.type = PATH_EVENT_DATAGRAM, .datagram = {bytes, size, *from}};
  WgSource source = {.kind = WG_SOURCE_UDP, .addr = *from};

  if (!sim_node_running (node) || port != node->port)
    return;
  if (packet_classify (bytes, size) == PACKET_WIREGUARD)
    wg_host_datagram (node->wg, bytes, size, &source, node_now (node));
  else
    feed_path (node, &event);
  plan_tick (node);
}

static Connection *
connection_of_stream (SimNode *node, uint32_t stream)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (node->connections[i].connection && node->connections[i].stream == stream)
      return &node->connections[i];
  return NULL;
}

void
sim_node_stream_open (SimNode *node, uint32_t stream, bool ok, bool fast_start)
{
  Connection *c = connection_of_stream (node, stream);
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED, .connected = {fast_start, {{0}}}};

  if (!c || !sim_node_running (node))
    return;
  if (!ok) {
    relay_closed (node, c, RELAY_CLOSED_TCP);
  } else {
    c->open = true;
    memcpy (event.connected.server_key.bytes,
            sim_relay_public_key (node->sim->relays[c->region - 1]), KEY_SIZE);
    feed_relay (node, c, &event);
  }
  plan_tick (node);
}

void
sim_node_stream_bytes (SimNode *node, uint32_t stream, const uint8_t *bytes, size_t size)
{
  Connection *c = connection_of_stream (node, stream);
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES, .bytes = {bytes, size}};

  if (!c || !sim_node_running (node))
    return;
  feed_relay (node, c, &event);
  plan_tick (node);
}

void
sim_node_stream_end (SimNode *node, uint32_t stream)
{
  Connection *c = connection_of_stream (node, stream);

  if (!c || !sim_node_running (node))
    return;
  feed_relay (node, c, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_END});
  plan_tick (node);
}

void
sim_node_control (SimNode *node, bool connected, DerpMap *map)
{
  PathEvent event = {.type = PATH_EVENT_CONTROL, .control_connected = connected};

  if (!sim_node_running (node))
    return;
  feed_path (node, &event);
  if (map)
    feed_path (node, &(PathEvent){.type = PATH_EVENT_DERP_MAP, .derp_map = map});
  plan_tick (node);
}

void
sim_node_learn (SimNode *node, const SimNodeRecord *records, size_t n)
{
  g_autofree PathPeer *peers = g_new0 (PathPeer, n);
  PathEvent event = {.type = PATH_EVENT_PEERS, .peers = {.peers = peers, .n_peers = n}};

  if (!sim_node_running (node))
    return;
  for (size_t i = 0; i < n; i++) {
    PeerState *state = &node->peers[peer_index (node, &records[i].key)];
    peers[i].key = records[i].key;
    peers[i].disco_key = records[i].disco_key;
    peers[i].home_region = records[i].home_region;
    peers[i].endpoints = records[i].endpoints;
    peers[i].n_endpoints = records[i].n_endpoints;
    if (!state->known)
      wg_host_change_peer (node->wg, &records[i].key, WG_PEER_ALLOW, node_now (node));
    state->known = true;
  }
  feed_path (node, &event);
  plan_tick (node);
}

void
sim_node_send (SimNode *node, unsigned to, const uint8_t *packet, size_t size)
{
  if (!sim_node_running (node) || !node->peers[to].known)
    return;
  wg_host_send (node->wg, &node->sim->nodes[to]->record.key, packet, size, node_now (node));
  plan_tick (node);
}

/* --- life --- */

static void
tell_link (SimNode *node, bool major)
{
  PathAddress address = {.prefix = {node->address, 24}, .interface = "eth0", .default_route = true};
  PathEvent event = {.type = PATH_EVENT_LINK, .link = {{&address, 1, true}, major}};

  feed_path (node, &event);
}

void
sim_node_start (SimNode *node)
{
  WgHostCallbacks callbacks = {node, on_send, on_receive, on_notice, on_save};
  WgDeviceConfig config = {.private_key = node->private_key, .n_workers = 1};

  if (node->started)
    return;
  node->started = true;
  node->suspended_us = 0;
  node->generation++;
  node->changed_us = node->sim->now_us;
  node->tick_us = TIME_NEVER;
  memset (node->peers, 0, sizeof node->peers);
  key_generate (&node->random.base, node->disco_private);
  key_public (node->disco_private, node->record.disco_key.bytes);
  node->record.n_endpoints = 0;
  node->record.home_region = 0;
  config.now_us = node_now (node);
  config.wall_time = wall_time_add_us (node->sim->wall, node->sim->now_us + node->wall_error_us);
  memcpy (config.timestamp_floor, node->timestamp, WG_TIMESTAMP_SIZE);
  node->wg = wg_host_new (&config, &node->random.base, &callbacks);
  node->path = path_new (&node->random.base);
  PathEvent event = {.type = PATH_EVENT_IDENTITY};
  event.identity.disco_private = node->disco_private;
  event.identity.node_key = node->record.key;
  feed_path (node, &event);
  tell_link (node, false);
  rebind (node, SIM_NODE_PORT);
  drain_path (node);
  announce (node);
  sim_coordinator_joined (node->sim, node);
  plan_tick (node);
}

void
sim_node_stop (SimNode *node)
{
  if (!node->started)
    return;
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (node->connections[i].connection)
      drop_connection (node, &node->connections[i]);
  path_free (node->path);
  wg_host_free (node->wg);
  node->path = NULL;
  node->wg = NULL;
  node->started = false;
  node->generation++;
  node->changed_us = node->sim->now_us;
  /* Now and then the clock is wrong after a start, in either direction. */
  node->wall_error_us
      = sim_one_in (node->sim, 4) ? sim_random_us (node->sim, -2 * 3600, 3600) * USEC_PER_SEC : 0;
}

void
sim_node_suspend (SimNode *node)
{
  if (!sim_node_running (node))
    return;
  node->suspended_us = node->sim->now_us;
  node->changed_us = node->sim->now_us;
}

void
sim_node_resume (SimNode *node)
{
  PathEvent event = {.type = PATH_EVENT_SUSPENDED};

  if (!node->started || node->suspended_us == 0)
    return;
  event.slept_us = node->sim->now_us - node->suspended_us;
  node->suspended_us = 0;
  node->changed_us = node->sim->now_us;
  node->tick_us = TIME_NEVER;
  wg_host_woke (node->wg);
  feed_path (node, &event);
  sim_coordinator_joined (node->sim, node);
  plan_tick (node);
}

void
sim_node_roam (SimNode *node, SimSite *site)
{
  node->site = site;
  node->address = sim_network_join (node->sim, site);
  node->changed_us = node->sim->now_us;
  if (!sim_node_running (node))
    return;
  tell_link (node, true);
  sim_coordinator_joined (node->sim, node);
  plan_tick (node);
}

SimNode *
sim_node_new (Sim *sim, unsigned id, SimSite *site)
{
  SimNode *node = g_new0 (SimNode, 1);

  node->sim = sim;
  node->id = id;
  node->site = site;
  node->address = sim_network_join (sim, site);
  seeded_random_init (&node->random, sim->options.seed * 1000 + id);
  node->epoch_us = -random_between (&node->random.base, USEC_PER_SEC, 86400 * USEC_PER_SEC);
  key_generate (&node->random.base, node->private_key.bytes);
  key_public (node->private_key.bytes, node->record.key.bytes);
  return node;
}

void
sim_node_free (SimNode *node)
{
  sim_node_stop (node);
  g_free (node);
}

/* --- questions --- */

uint32_t
sim_node_id (const SimNode *node)
{
  return node->id;
}

uint32_t
sim_node_generation (const SimNode *node)
{
  return node->generation;
}

SimSite *
sim_node_site (const SimNode *node)
{
  return node->site;
}

IpAddr
sim_node_address (const SimNode *node)
{
  return node->address;
}

bool
sim_node_suspended (const SimNode *node)
{
  return node->suspended_us != 0;
}

bool
sim_node_running (const SimNode *node)
{
  return node->started && node->suspended_us == 0;
}

const SimNodeRecord *
sim_node_record (const SimNode *node)
{
  return &node->record;
}

int64_t
sim_node_changed_us (const SimNode *node)
{
  return node->changed_us;
}

bool
sim_node_is_direct (const SimNode *node, unsigned to)
{
  const PeerState *peer = &node->peers[to];

  return peer->published && peer->destination.trusted && peer->destination.udp.addr.family != 0;
}

char *
sim_node_describe_path (const SimNode *node, unsigned to)
{
  PathPeerStatus status = {0};
  char udp[IP_PORT_TEXT_MAX] = "none";

  if (!path_peer_status (node->path, &node->sim->nodes[to]->record.key, &status))
    return g_strdup ("unknown peer");
  if (status.destination.udp.addr.family)
    ip_port_format (&status.destination.udp, udp);
  return g_strdup_printf ("NAT %d, home %u, udp %s%s, relay %u, %u candidates of %zu, reason %d",
                          (int)node->site->nat, node->record.home_region, udp,
                          status.destination.trusted ? " trusted" : "", status.destination.region,
                          status.n_candidates, node->sim->nodes[to]->record.n_endpoints,
                          (int)status.relayed);
}

static int64_t
world_time (const SimNode *node, int64_t node_time)
{
  return node_time == TIME_NEVER ? TIME_NEVER : node_time + node->epoch_us;
}

void
sim_node_status (SimNode *node, SimNodeStatus *out)
{
  *out = (SimNodeStatus){.wake_ups = node->wake_ups,
                         .wireguard_deadline_us = TIME_NEVER,
                         .path_deadline_us = TIME_NEVER};
  if (!node->started)
    return;
  out->peers = wg_host_n_peers (node->wg);
  out->staged = wg_host_n_staged (node->wg);
  out->indices = wg_device_stats (wg_host_device (node->wg)).indices;
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    out->relay_connections += node->connections[i].connection != 0;
  out->wireguard_deadline_us = world_time (node, wg_host_next_deadline (node->wg));
  out->path_deadline_us = world_time (node, path_next_deadline (node->path));
}
