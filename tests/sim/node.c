#include "node-internal.h"

#include "network.h"
#include "path/classify.h"

#include <glib.h>
#include <string.h>

/* --- timers --- */

static int64_t
node_deadline (SimNode *node)
{
  int64_t deadline
      = time_min (path_next_deadline (node->path), sim_session_deadline (node->session));

  if (node->wg)
    deadline = time_min (deadline, wg_host_next_deadline (node->wg));
  return time_min (deadline, node_relay_deadline (node));
}

/* Plans the tick for the earliest deadline, unless one is planned that is early enough. */
void
node_plan_tick (SimNode *node)
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
    node_relay_tick (node);
    if (node->wg)
      wg_host_tick (node->wg, node_now (node));
    sim_session_tick (node->session, node_now (node));
    node_feed_path (node, &(PathEvent){.type = PATH_EVENT_TICK});
    node->stuck = node_deadline (node) <= node_now (node) ? node->stuck + 1 : 0;
    if (node->stuck > MAX_STUCK)
      sim_fail (node->sim, "node %u: a deadline stays in the past", node->id);
  }
  node_plan_tick (node);
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
  node_feed_path (node, &answer);
  node_plan_tick (node);
}

void
sim_node_datagram (SimNode *node, uint16_t port, const IpPort *from, const uint8_t *bytes,
                   size_t size)
{
  PathEvent event = {.type = PATH_EVENT_DATAGRAM, .datagram = {bytes, size, *from, 0}};
  WgSource source = {.kind = WG_SOURCE_UDP, .addr = *from};

  event.datagram.side = node_side_at (node, port);
  if (!sim_node_running (node) || event.datagram.side == UINT32_MAX)
    return;
  if (packet_classify (bytes, size) != PACKET_WIREGUARD)
    node_feed_path (node, &event);
  else if (node->wg)
    wg_host_datagram (node->wg, bytes, size, &source, node_now (node));
  node_plan_tick (node);
}

/* --- what the session says --- */

void
sim_node_online (SimNode *node, bool online)
{
  sim_log (node->sim, "node %u: control %s", node->id, online ? "online" : "offline");
  node_feed_path (node, &(PathEvent){.type = PATH_EVENT_CONTROL, .control_connected = online});
}

void
sim_node_identity (SimNode *node, const NodePrivate *key)
{
  WgDeviceConfig config = {.private_key = *key, .n_workers = 1};
  WgHostCallbacks callbacks = node_wireguard_callbacks;
  PathEvent event = {.type = PATH_EVENT_IDENTITY};

  if (node->wg && memcmp (key->bytes, node->private_key.bytes, KEY_SIZE) == 0)
    return;
  if (node->wg) {
    sim_fail (node->sim, "node %u: the key changed by itself", node->id);
    return;
  }
  node->private_key = *key;
  key_public (key->bytes, node->public_key.bytes);
  callbacks.data = node;
  config.now_us = node_now (node);
  config.wall_time = wall_time_add_us (node->sim->wall, node->sim->now_us + node->wall_error_us);
  memcpy (config.timestamp_floor, node->timestamp, WG_TIMESTAMP_SIZE);
  node->wg = wg_host_new (&config, &node->random.base, &callbacks);
  event.identity.disco_private = node->disco_private;
  event.identity.node_key = node->public_key;
  node_feed_path (node, &event);
}

static void
learn_peer (SimNode *node, const NetmapPeerChange *change)
{
  const Node *peer = change->after ? change->after : change->before;
  PeerState *state = &node->peers[peer->id - 1];
  PathPeer path_peer = {.key = peer->key, .disco_key = peer->disco_key};
  PathEvent event = {.type = PATH_EVENT_PEERS};

  if (change->before && change->after
      && memcmp (change->before->key.bytes, peer->key.bytes, KEY_SIZE) != 0)
    sim_fail (node->sim, "node %u: the key of a peer changed by itself", node->id);
  path_peer.home_region = (uint16_t)peer->home_derp;
  path_peer.endpoints = peer->endpoints;
  path_peer.n_endpoints = peer->n_endpoints;
  if (change->after) {
    event.peers.peers = &path_peer;
    event.peers.n_peers = 1;
  } else {
    event.peers.removed = &peer->key;
    event.peers.n_removed = 1;
  }
  state->known = change->after != NULL;
  wg_host_change_peer (node->wg, &peer->key, state->known ? WG_PEER_ALLOW : WG_PEER_REMOVE,
                       node_now (node));
  node_feed_path (node, &event);
}

void
sim_node_netmap (SimNode *node, const Netmap *netmap)
{
  NetmapChanges changes;

  netmap_changes_init (&changes);
  netmap_diff (node->netmap, netmap, &changes);
  sim_log (node->sim, "node %u: a map with %zu peers, %zu changed", node->id,
           netmap_n_peers (netmap), changes.n_peers);
  if (!node->netmap || changes.flags & NETMAP_CHANGED_DERP_MAP)
    node_feed_path (node, &(PathEvent){.type = PATH_EVENT_DERP_MAP,
                                       .derp_map = netmap_derp_map (netmap)});
  for (size_t i = 0; i < changes.n_peers && node->wg; i++)
    learn_peer (node, &changes.peers[i]);
  netmap_changes_clear (&changes);
  if (node->netmap)
    netmap_unref (node->netmap);
  node->netmap = netmap_ref (netmap);
}

void
sim_node_send (SimNode *node, unsigned to, const uint8_t *packet, size_t size)
{
  if (!sim_node_running (node) || !node->peers[to].known)
    return;
  wg_host_send (node->wg, &node->sim->nodes[to]->public_key, packet, size, node_now (node));
  node_plan_tick (node);
}

/* --- life --- */

static void
tell_link (SimNode *node, bool major)
{
  PathAddress address = {.prefix = {node->address, 24}, .interface = "eth0", .default_route = true};
  PathEvent event = {.type = PATH_EVENT_LINK};

  event.link.link = (PathLink){.addresses = &address, .n_addresses = 1, .up = true};
  event.link.major = major;
  node_feed_path (node, &event);
}

void
sim_node_start (SimNode *node)
{
  if (node->started)
    return;
  node->started = true;
  node->suspended_us = 0;
  node->generation++;
  node->changed_us = node->sim->now_us;
  node->tick_us = TIME_NEVER;
  memset (node->peers, 0, sizeof node->peers);
  key_generate (&node->random.base, node->disco_private);
  key_public (node->disco_private, node->disco_key.bytes);
  node->n_endpoints = 0;
  node->home_region = 0;
  node->path = path_new (&node->random.base);
  tell_link (node, false);
  node_rebind (node, SIM_NODE_PORT);
  node_drain_path (node);
  node_announce (node);
  sim_session_start (node->session, node_now (node), node->wall_error_us);
  node_plan_tick (node);
}

void
sim_node_stop (SimNode *node)
{
  if (!node->started)
    return;
  node_relay_close_all (node);
  sim_session_stop (node->session);
  path_free (node->path);
  wg_host_free (node->wg);
  if (node->netmap)
    netmap_unref (node->netmap);
  node->netmap = NULL;
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
  if (node->wg)
    wg_host_woke (node->wg);
  node_feed_path (node, &event);
  sim_session_link (node->session, node_now (node), true);
  node_plan_tick (node);
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
  sim_session_link (node->session, node_now (node), false);
  node_plan_tick (node);
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
  node->session = sim_session_new (sim, id, &node->random.base);
  return node;
}

void
sim_node_free (SimNode *node)
{
  sim_node_stop (node);
  sim_session_free (node->session);
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

int64_t
sim_node_now (const SimNode *node)
{
  return node_now (node);
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

int64_t
sim_node_session_age_us (const SimNode *node, unsigned to)
{
  WgPeer *peer = node->wg ? wg_host_peer (node->wg, &node->sim->nodes[to]->public_key) : NULL;
  WgSession *session = peer ? wg_peer_current (peer, node_now (node)) : NULL;

  return session ? node_now (node) - session->created_us : -1;
}

char *
sim_node_describe_path (const SimNode *node, unsigned to)
{
  PathPeerStatus status = {0};
  char udp[IP_PORT_TEXT_MAX] = "none";

  if (!path_peer_status (node->path, &node->sim->nodes[to]->public_key, &status))
    return g_strdup ("unknown peer");
  if (status.destination.udp.addr.family)
    ip_port_format (&status.destination.udp, udp);
  return g_strdup_printf ("NAT %d, home %u, udp %s%s, relay %u, %u candidates of %zu, reason %d",
                          (int)node->site->nat, node->home_region, udp,
                          status.destination.trusted ? " trusted" : "", status.destination.region,
                          status.n_candidates, node->sim->nodes[to]->n_endpoints,
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
  if (!node->started || !node->wg)
    return;
  out->known_peers = wg_device_stats (wg_host_device (node->wg)).known_peers;
  out->peers = wg_host_n_peers (node->wg);
  out->staged = wg_host_n_staged (node->wg);
  out->indices = wg_device_stats (wg_host_device (node->wg)).indices;
  out->relay_connections = node_relay_count (node);
  out->wireguard_deadline_us = world_time (node, wg_host_next_deadline (node->wg));
  out->path_deadline_us = world_time (node, path_next_deadline (node->path));
}
