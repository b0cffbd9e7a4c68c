#include "node-internal.h"

#include "coordinator.h"
#include "network.h"
#include "relay.h"

#include <glib.h>

#define SIDE_PORT  10000
#define SIDE_PORTS 8192

uint16_t
node_side_port (const SimNode *node, uint32_t side)
{
  return side == 0 ? node->port : (uint16_t)(SIDE_PORT + side % SIDE_PORTS);
}

uint32_t
node_side_at (const SimNode *node, uint16_t port)
{
  if (port == node->port)
    return 0;
  uint32_t behind = (node->last_side - (port - SIDE_PORT)) % SIDE_PORTS;
  bool side = port >= SIDE_PORT && port < SIDE_PORT + SIDE_PORTS && behind < node->last_side;
  return side ? node->last_side - behind : UINT32_MAX;
}

unsigned
node_peer_index (const SimNode *node, const NodePublic *key)
{
  int i = sim_node_by_key (node->sim, key);

  g_assert (i >= 0);
  return (unsigned)i;
}

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

void
node_rebind (SimNode *node, uint16_t wanted)
{
  PathEvent event = {.type = PATH_EVENT_SOCKETS};

  node->port = wanted ? wanted : (uint16_t)random_between (&node->random.base, 20000, 60000);
  event.sockets.port4 = node->port;
  path_input (node->path, &event, node_now (node));
}

void
node_announce (SimNode *node)
{
  sim_session_announce (node->session, &node->disco_key, node->endpoints, node->endpoint_types,
                        node->n_endpoints, node->home_region);
}

static void
announce_endpoints (SimNode *node, const Endpoint *list, size_t count)
{
  node->n_endpoints = MIN (count, G_N_ELEMENTS (node->endpoints));
  for (size_t i = 0; i < node->n_endpoints; i++) {
    node->endpoints[i] = list[i].at;
    node->endpoint_types[i] = (uint8_t)list[i].type;
  }
  node_announce (node);
}

static void
set_destination (SimNode *node, const PathAction *action)
{
  PeerState *peer = &node->peers[node_peer_index (node, &action->set_destination.peer)];

  peer->destination = action->set_destination.destination;
  peer->published = true;
}

/* A peer that is gone from path was not told of another way. */
static void
close_sides (SimNode *node, uint32_t first, uint32_t count)
{
  for (unsigned i = 0; i < node->sim->options.n_nodes; i++)
    if (node->peers[i].destination.side - first < count)
      node->peers[i].destination.side = 0;
}

static void
run_path_action (SimNode *node, const PathAction *action)
{
  switch (action->type) {
    case PATH_ACTION_SEND_UDP:
      if (action->send_udp.side != 0 && action->send_udp.side > node->last_side)
        break; /* it was not opened */
      sim_network_send (node->sim, node, node_side_port (node, action->send_udp.side),
                        &action->send_udp.destination, action->send_udp.data,
                        action->send_udp.size);
      break;
    case PATH_ACTION_SEND_RELAY:
      node_relay_send (node, action->send_relay.region, &action->send_relay.peer,
                       action->send_relay.data, action->send_relay.size);
      break;
    case PATH_ACTION_SET_DESTINATION:
      set_destination (node, action);
      break;
    case PATH_ACTION_PEER_RESTARTED:
      wg_host_handshake_on_data (node->wg, &action->peer_restarted);
      break;
    case PATH_ACTION_RELAY_CONNECT:
      node_relay_connect (node, action);
      break;
    case PATH_ACTION_RELAY_CLOSE:
      node_relay_close (node, action->relay_close);
      break;
    case PATH_ACTION_RELAY_HOME:
      node_relay_verb (node, action->relay_home.connection,
                       &(DerpClientEvent){.type = DERP_CLIENT_EVENT_HOME,
                                          .home = action->relay_home.home});
      break;
    case PATH_ACTION_RELAY_PING:
      node_relay_verb (node, action->relay_ping,
                       &(DerpClientEvent){.type = DERP_CLIENT_EVENT_PING});
      break;
    case PATH_ACTION_REBIND:
      node_rebind (node, action->rebind.port);
      break;
    case PATH_ACTION_ENDPOINTS:
      announce_endpoints (node, action->endpoints.list, action->endpoints.count);
      break;
    case PATH_ACTION_NET_INFO:
      if (node->home_region != action->net_info.home_region) {
        node->home_region = action->net_info.home_region;
        node_announce (node);
      }
      break;
    case PATH_ACTION_SIDE_OPEN:
      if (node->sim->options.guess)
        node->last_side = action->side_open.first + action->side_open.count - 1;
      break;
    case PATH_ACTION_SIDE_CLOSE:
      close_sides (node, action->side_close.first, action->side_close.count);
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

void
node_drain_path (SimNode *node)
{
  PathAction action;

  while (path_next_action (node->path, &action)) {
    run_path_action (node, &action);
    path_action_clear (&action);
  }
}

void
node_feed_path (SimNode *node, const PathEvent *event)
{
  path_input (node->path, event, node_now (node));
  node_drain_path (node);
}
