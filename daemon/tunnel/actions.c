/* What the cores of the net thread ask for, carried out. */
#include "tunnel/net.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

void
net_feed_path (Net *net, const PathEvent *event)
{
  path_input (net->path, event, net->now_us);
}

void
net_feed_device (Net *net, const WgEvent *event)
{
  if (net->device != NULL)
    wg_device_input (net->device, event, net->now_us);
}

void
net_send_udp (Net *net, const IpPort *to, const void *data, size_t size)
{
  PathEvent event = {.type = PATH_EVENT_SEND_ERROR};
  uint32_t side = net_side_to (net, to);
  int error;

  if (side != 0) {
    net_side_send (net, side, to, data, size);
    return;
  }
  if (net->sockets == NULL
      || udp_send (sockets_for (net->sockets, 0, to->addr.family), to, data, size, &error)
             != UDP_UNUSABLE)
    return;
  event.send_error.destination = *to;
  event.send_error.error = error;
  net_feed_path (net, &event);
}

void
net_send_peer (Net *net, const NodePublic *peer, const void *data, size_t size)
{
  PathDestination to;

  if (!path_destination (net->path, peer, &to))
    return;
  if (to.udp.addr.family != 0 && to.side != 0)
    net_side_send (net, to.side, &to.udp, data, size);
  else if (to.udp.addr.family != 0)
    net_send_udp (net, &to.udp, data, size);
  if (to.region != 0)
    net_relay_send (net, to.region, peer, data, size);
}

/* ---- wireguard/device.h ---- */

static LivePeer *
live_peer (const Net *net, const NodePublic *key)
{
  return view_peer (net->view, key);
}

static void
say_sent (Net *net, const NodePublic *peer)
{
  PathEvent event = {.type = PATH_EVENT_SENT};

  event.sent.peer = *peer;
  net_feed_path (net, &event);
}

static void run_path_actions (Net *net);

static void
send_handshake (Net *net, const WgAction *action)
{
  const WgSource *source = &action->send.source;

  if (!action->send.to_source) {
    say_sent (net, &action->peer);
    run_path_actions (net);
    net_send_peer (net, &action->peer, action->send.bytes, action->send.size);
  } else if (source->kind == WG_SOURCE_UDP) {
    net_send_udp (net, &source->addr, action->send.bytes, action->send.size);
  } else {
    net_relay_send (net, source->region, &source->derp_key, action->send.bytes, action->send.size);
  }
}

static void
order_peer (Net *net, const WgAction *action, OrderType type)
{
  Order order = {.type = type, .peer = live_peer (net, &action->peer)};

  if (order.peer == NULL)
    return;
  if (type == ORDER_INSTALL)
    order.keys = action->install;
  net_order (net, order.peer->owner, &order);
  sodium_memzero (&order, sizeof order);
}

static void
say_authentic (Net *net, const WgAction *action)
{
  PathEvent event = {.type = PATH_EVENT_RECEIVED};

  event.received.peer = action->peer;
  if (action->authentic.kind == WG_SOURCE_UDP)
    event.received.source = action->authentic.addr;
  net_feed_path (net, &event);
}

static void
say_no_answer (Net *net, const NodePublic *peer)
{
  PathEvent event = {.type = PATH_EVENT_NO_ANSWER};

  event.no_answer.peer = *peer;
  net_feed_path (net, &event);
}

static void
run_device_action (Net *net, const WgAction *action)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_TIMESTAMP};

  switch (action->type) {
    case WG_ACTION_SEND:
      send_handshake (net, action);
      break;
    case WG_ACTION_INSTALL:
      order_peer (net, action, ORDER_INSTALL);
      break;
    case WG_ACTION_ERASE:
      order_peer (net, action, ORDER_ERASE);
      break;
    case WG_ACTION_GIVE_UP:
      order_peer (net, action, ORDER_GIVE_UP);
      break;
    case WG_ACTION_AUTHENTIC:
      say_authentic (net, action);
      break;
    case WG_ACTION_RETRY:
      say_no_answer (net, &action->peer);
      break;
    case WG_ACTION_SAVE_TIMESTAMP:
      memcpy (net->timestamp, action->timestamp, sizeof net->timestamp);
      memcpy (event.timestamp, action->timestamp, sizeof event.timestamp);
      net_event (net, &event);
      break;
  }
}

static bool
run_device_actions (Net *net)
{
  WgAction action;
  bool any = false;

  while (net->device != NULL && wg_device_next_action (net->device, &action)) {
    run_device_action (net, &action);
    wg_action_clear (&action);
    any = true;
  }
  return any;
}

/* ---- path/path.h ---- */

static void
tell_endpoints (Net *net, const PathAction *action)
{
  static const TunnelEndpointType types[] = {
      [ENDPOINT_LOCAL] = TUNNEL_ENDPOINT_LOCAL,
      [ENDPOINT_STUN] = TUNNEL_ENDPOINT_STUN,
      [ENDPOINT_PORTMAPPED] = TUNNEL_ENDPOINT_PORT_MAPPED,
      [ENDPOINT_STUN4_LOCAL_PORT] = TUNNEL_ENDPOINT_STUN_LOCAL_PORT,
      [ENDPOINT_EXPLICIT] = TUNNEL_ENDPOINT_EXPLICIT,
  };
  TunnelEvent event = {.type = TUNNEL_EVENT_ENDPOINTS};

  for (size_t i = 0; i < action->endpoints.count && i < TUNNEL_ENDPOINTS_MAX; i++)
    event.endpoints.list[event.endpoints.n++] = (TunnelEndpoint){
        action->endpoints.list[i].at,
        types[action->endpoints.list[i].type],
    };
  net_event (net, &event);
}

static TunnelTristate
yes_no (bool value)
{
  return value ? TUNNEL_YES : TUNNEL_NO;
}

static TunnelTristate
three_ways (Tristate value)
{
  return value == TRISTATE_UNSET ? TUNNEL_UNKNOWN : yes_no (value == TRISTATE_TRUE);
}

static void
add_latency (TunnelNetReport *out, uint16_t region, uint8_t family, bool https, int64_t us)
{
  if (us != NETCHECK_NO_LATENCY && out->n_latencies < TUNNEL_LATENCIES_MAX)
    out->latencies[out->n_latencies++] = (TunnelLatency){region, family, https, us};
}

static void
convert_report (const NetcheckReport *in, uint16_t home, TunnelNetReport *out)
{
  *out = (TunnelNetReport){
      .udp = yes_no (in->udp),
      .ipv4 = yes_no (in->ipv4),
      .ipv6 = yes_no (in->ipv6),
      .os_has_ipv6 = yes_no (in->os_has_ipv6),
      .mapping_varies_by_dest = three_ways (in->mapping_varies),
      .icmpv4 = yes_no (in->icmp4),
      .upnp = TUNNEL_UNKNOWN,
      .pmp = three_ways (in->pmp),
      .pcp = three_ways (in->pcp),
      .port_mapped = in->port_mapped,
      .captive_portal = TUNNEL_UNKNOWN,
      .preferred_derp = home,
      .global4 = in->global4,
      .global6 = in->global6,
  };
  for (size_t i = 0; i < in->n_regions; i++) {
    const RegionLatency *r = &in->regions[i];

    add_latency (out, r->region, 4, false, r->latency4_us);
    add_latency (out, r->region, 6, false, r->latency6_us);
    if (r->latency4_us == NETCHECK_NO_LATENCY && r->latency6_us == NETCHECK_NO_LATENCY)
      add_latency (out, r->region, 4, true, r->latency_us);
  }
}

static uint16_t
home_region (const Net *net)
{
  PathRelayStatus status;

  path_relay_status (net->path, &status);
  return status.home_region;
}

static void
tell_report (Net *net, const PathAction *action)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_NET_INFO};

  if (action->type == PATH_ACTION_NETCHECK_RESULT) {
    event.type = TUNNEL_EVENT_NETCHECK;
    event.netcheck.id = action->netcheck_result.id;
    convert_report (action->netcheck_result.report, home_region (net), &event.netcheck.report);
  } else {
    convert_report (action->net_info.report, action->net_info.home_region, &event.net_info);
  }
  net_event (net, &event);
}

static void
ask_resolve (Net *net, const PathAction *action)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_RESOLVE};

  event.resolve.id = action->resolve.query;
  snprintf (event.resolve.name, sizeof event.resolve.name, "%s", action->resolve.host);
  net_event (net, &event);
}

static void
set_destination (Net *net, const PathAction *action)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_PATH};

  net_publish_destination (net, &action->set_destination.peer,
                           &action->set_destination.destination);
  event.path.peer = action->set_destination.peer;
  if (action->set_destination.destination.trusted)
    event.path.udp = action->set_destination.destination.udp;
  event.path.region = action->set_destination.destination.region;
  net_event (net, &event);
}

static void
peer_restarted (Net *net, const NodePublic *key)
{
  Order order = {.type = ORDER_HANDSHAKE_ON_DATA, .peer = live_peer (net, key)};

  if (order.peer != NULL)
    net_order (net, order.peer->owner, &order);
}

/* Probes by ICMP are not made: the answer is that there was none. */
static void
refuse_icmp (Net *net, const PathAction *action)
{
  PathEvent event = {.type = PATH_EVENT_ICMP_LATENCY};

  event.icmp_latency.probe = action->icmp_ping.probe;
  event.icmp_latency.latency_us = NETCHECK_NO_LATENCY;
  net_feed_path (net, &event);
}

static void
run_relay_action (Net *net, const PathAction *action)
{
  Relay *relay;

  switch (action->type) {
    case PATH_ACTION_RELAY_CONNECT:
      net_relay_connect (net, action->relay_connect.connection, &action->relay_connect.node,
                         action->relay_connect.home);
      break;
    case PATH_ACTION_RELAY_CLOSE:
      net_relay_close (net, action->relay_close);
      break;
    case PATH_ACTION_RELAY_HOME:
      relay = net_relay_find (net, action->relay_home.connection);
      if (relay != NULL)
        relay_set_home (relay, action->relay_home.home, net->now_us);
      break;
    default:
      relay = net_relay_find (net, action->relay_ping);
      if (relay != NULL)
        relay_ping (relay, net->now_us);
      break;
  }
}

static void
run_path_action (Net *net, const PathAction *action)
{
  switch (action->type) {
    case PATH_ACTION_SEND_UDP:
      if (action->send_udp.side != 0)
        net_side_send (net, action->send_udp.side, &action->send_udp.destination,
                       action->send_udp.data, action->send_udp.size);
      else
        net_send_udp (net, &action->send_udp.destination, action->send_udp.data,
                      action->send_udp.size);
      break;
    case PATH_ACTION_SEND_RELAY:
      net_relay_send (net, action->send_relay.region, &action->send_relay.peer,
                      action->send_relay.data, action->send_relay.size);
      break;
    case PATH_ACTION_SET_DESTINATION:
      set_destination (net, action);
      break;
    case PATH_ACTION_PEER_RESTARTED:
      peer_restarted (net, &action->peer_restarted);
      break;
    case PATH_ACTION_RELAY_CONNECT:
    case PATH_ACTION_RELAY_CLOSE:
    case PATH_ACTION_RELAY_HOME:
    case PATH_ACTION_RELAY_PING:
      run_relay_action (net, action);
      break;
    case PATH_ACTION_REBIND:
      net_open_sockets (net, action->rebind.port);
      break;
    case PATH_ACTION_ENDPOINTS:
      tell_endpoints (net, action);
      break;
    case PATH_ACTION_NET_INFO:
    case PATH_ACTION_NETCHECK_RESULT:
      tell_report (net, action);
      break;
    case PATH_ACTION_PING_RESULT:
      net_ping_path_result (net, &action->ping_result);
      break;
    case PATH_ACTION_RESOLVE:
      ask_resolve (net, action);
      break;
    case PATH_ACTION_HTTPS_PROBE:
      net_probe_start (net, action->https_probe.probe, &action->https_probe.node);
      break;
    case PATH_ACTION_ICMP_PING:
      refuse_icmp (net, action);
      break;
    case PATH_ACTION_SIDE_OPEN:
      net_side_open (net, action->side_open.first, action->side_open.count, action->side_open.raw);
      break;
    case PATH_ACTION_SIDE_CLOSE:
      net_side_close (net, action->side_close.first, action->side_close.count);
      break;
  }
}

static void
run_path_actions (Net *net)
{
  PathAction action;

  while (path_next_action (net->path, &action)) {
    run_path_action (net, &action);
    path_action_clear (&action);
  }
}

void
net_run_actions (Net *net)
{
  do
    run_path_actions (net);
  while (run_device_actions (net));
}
