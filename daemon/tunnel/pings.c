/* Questions through the tunnel and their answers: pings by TSMP and ICMP, and what else peers'
 * clients tell by TSMP. spec/netmap-and-policy.md B.8. */
#include "tunnel/net.h"

#include "base/ip-packet.h"

#include <stdio.h>
#include <string.h>

#define ICMP_PAYLOAD 8

static void
answer (Net *net, PendingPing *p, const char *error)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_PING};

  event.ping.id = p->id;
  event.ping.peer = p->peer;
  event.ping.answered = error == NULL;
  event.ping.latency_us = net->now_us - p->sent_us;
  if (error != NULL)
    snprintf (event.ping.error, sizeof event.ping.error, "%s", error);
  net_event (net, &event);
  p->used = false;
}

static bool
any_icmp (const Net *net)
{
  for (size_t i = 0; i < NET_PINGS_MAX; i++)
    if (net->pings[i].used && net->pings[i].type == TUNNEL_PING_ICMP)
      return true;
  return false;
}

static void
update_echo_id (Net *net)
{
  atomic_store (&net->shared->echo_id, any_icmp (net) ? net->echo_id : 0);
}

static PendingPing *
new_ping (Net *net, const Command *command)
{
  for (size_t i = 0; i < NET_PINGS_MAX; i++) {
    PendingPing *p = &net->pings[i];

    if (p->used)
      continue;
    *p = (PendingPing){.used = true,
                       .id = command->id,
                       .peer = command->ping.peer,
                       .type = command->ping.type,
                       .sent_us = net->now_us,
                       .deadline_us = net->now_us + command->ping.timeout_us};
    return p;
  }
  return NULL;
}

/* The address by which we reach PEER, and ours of the same family. */
static bool
addresses (const Net *net, const LivePeer *peer, IpAddr *own, IpAddr *its)
{
  const TunnelPeer *config = atomic_load (&peer->config);
  const TunnelSettings *s = &net->view->settings;

  if (s->address4.family != 0 && config->address4.family != 0) {
    *own = config->masquerade4.family != 0 ? config->masquerade4 : s->address4;
    *its = config->address4;
  } else if (s->address6.family != 0 && config->address6.family != 0) {
    *own = config->masquerade6.family != 0 ? config->masquerade6 : s->address6;
    *its = config->address6;
  } else {
    return false;
  }
  return true;
}

static void
send_inner (Net *net, PendingPing *p, LivePeer *peer)
{
  uint8_t packet[TSMP_PACKET_MAX];
  Order order = {.type = ORDER_INJECT, .peer = peer};
  IpAddr own, its;

  if (!addresses (net, peer, &own, &its)) {
    answer (net, p, "no common address family with the peer");
    return;
  }
  random_fill (net->random, p->token, sizeof p->token);
  if (p->type == TUNNEL_PING_TSMP) {
    order.size = (uint32_t)tsmp_build_ping (&own, &its, p->token, packet);
  } else {
    uint16_t sequence = ++net->echo_sequence;

    memcpy (p->token, &sequence, sizeof sequence);
    order.size
        = (uint32_t)ip_packet_build_echo (&own, &its, net->echo_id, sequence, ICMP_PAYLOAD, packet);
  }
  update_echo_id (net);
  if (!net_order_packet (net, peer->owner, &order, packet, order.size))
    answer (net, p, "busy");
}

void
net_ping (Net *net, const Command *command)
{
  PendingPing *p = new_ping (net, command);
  LivePeer *peer = view_peer (net->view, &command->ping.peer);
  PathEvent event = {.type = PATH_EVENT_PING};
  PendingPing refused = {.id = command->id, .peer = command->ping.peer, .sent_us = net->now_us};

  if (p == NULL) {
    answer (net, &refused, "too many pings at once");
  } else if (peer == NULL) {
    answer (net, p, "no such peer");
  } else if (p->type != TUNNEL_PING_DISCO) {
    send_inner (net, p, peer);
  } else {
    /* Asking for the path is using it: status shows the peer as active, as official nodes do. */
    atomic_store_explicit (&peer->last_send_us, net->now_us, memory_order_relaxed);
    event.ping.id = (uint32_t)(p - net->pings);
    event.ping.peer = command->ping.peer;
    event.ping.size = command->ping.size;
    net_feed_path (net, &event);
  }
}

static const char *
outcome_text (PathPingOutcome outcome)
{
  switch (outcome) {
    case PING_BY_DIRECT:
    case PING_BY_RELAY:
      return NULL;
    case PING_NO_PEER:
      return "no such peer, or it cannot be pinged";
    case PING_EXPIRED:
      return "the peer's key has expired";
    case PING_TOO_LARGE:
      return "the ping is too large";
    case PING_STOPPED:
      return "not connected";
    case PING_TIMED_OUT:
      break;
  }
  return "timed out";
}

void
net_ping_path_result (Net *net, const PathPingResult *result)
{
  PendingPing *p = result->id < NET_PINGS_MAX ? &net->pings[result->id] : NULL;
  const char *error = outcome_text (result->outcome);
  TunnelEvent event = {.type = TUNNEL_EVENT_PING};

  if (p == NULL || !p->used || p->type != TUNNEL_PING_DISCO)
    return;
  if (error != NULL) {
    answer (net, p, error);
    return;
  }
  event.ping.id = p->id;
  event.ping.peer = p->peer;
  event.ping.answered = true;
  event.ping.latency_us = result->latency_us;
  if (result->outcome == PING_BY_DIRECT)
    event.ping.udp = result->endpoint;
  else
    event.ping.region = result->region;
  net_event (net, &event);
  p->used = false;
}

static void
answered_inner (Net *net, PendingPing *p, uint16_t peerapi_port)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_PING};
  PathDestination to;

  event.ping.id = p->id;
  event.ping.peer = p->peer;
  event.ping.answered = true;
  event.ping.latency_us = net->now_us - p->sent_us;
  event.ping.peerapi_port = peerapi_port;
  if (path_destination (net->path, &p->peer, &to)) {
    event.ping.udp = to.trusted ? to.udp : (IpPort){0};
    event.ping.region = to.region;
  }
  net_event (net, &event);
  p->used = false;
  update_echo_id (net);
}

static void
echo_reply (Net *net, const LivePeer *peer, const IpPacket *packet, const uint8_t *data)
{
  uint16_t sequence = load_be16 (data + packet->header_size + 6);

  for (size_t i = 0; i < NET_PINGS_MAX; i++) {
    PendingPing *p = &net->pings[i];
    uint16_t wanted;

    memcpy (&wanted, p->token, sizeof wanted);
    if (p->used && p->type == TUNNEL_PING_ICMP && wanted == sequence
        && key_same (&p->peer, &peer->key))
      answered_inner (net, p, 0);
  }
}

static void
tell_rejected (Net *net, const LivePeer *peer, const TsmpMessage *m)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_REJECTED};

  event.rejected.peer = peer->key;
  event.rejected.protocol = m->protocol;
  event.rejected.reason = m->reason;
  event.rejected.maybe_broken = m->maybe_broken;
  event.rejected.local = (IpPort){m->dst, m->flow_src_port};
  event.rejected.remote = (IpPort){m->src, m->flow_dst_port};
  net_event (net, &event);
}

static void
tell_disco_key (Net *net, const LivePeer *peer, const DiscoPublic *key)
{
  PathEvent path_event = {.type = PATH_EVENT_DISCO_KEY};
  TunnelEvent event = {.type = TUNNEL_EVENT_DISCO_KEY};

  path_event.disco_key.peer = event.disco_key.peer = peer->key;
  path_event.disco_key.key = event.disco_key.key = *key;
  net_feed_path (net, &path_event);
  net_event (net, &event);
}

void
net_inner (Net *net, LivePeer *peer, const uint8_t *data, size_t size)
{
  IpPacket packet;
  TsmpMessage m;

  ip_packet_parse (&packet, data, size);
  if (packet.protocol != IP_PROTO_TSMP) {
    echo_reply (net, peer, &packet, data);
    return;
  }
  tsmp_parse (&packet, data, &m);
  if (m.type == TSMP_DISCO)
    tell_disco_key (net, peer, &m.disco_key);
  else if (m.type == TSMP_REJECT)
    tell_rejected (net, peer, &m);
  if (m.type != TSMP_PONG)
    return;
  for (size_t i = 0; i < NET_PINGS_MAX; i++) {
    PendingPing *p = &net->pings[i];

    if (p->used && p->type == TUNNEL_PING_TSMP && memcmp (p->token, m.data, sizeof m.data) == 0
        && key_same (&p->peer, &peer->key))
      answered_inner (net, p, m.peerapi_port);
  }
}

void
net_ping_tick (Net *net)
{
  for (size_t i = 0; i < NET_PINGS_MAX; i++)
    if (net->pings[i].used && net->pings[i].deadline_us <= net->now_us)
      answer (net, &net->pings[i], "timed out");
  update_echo_id (net);
}

int64_t
net_ping_deadline (const Net *net)
{
  int64_t deadline = TIME_NEVER;

  for (size_t i = 0; i < NET_PINGS_MAX; i++)
    if (net->pings[i].used)
      deadline = time_min (deadline, net->pings[i].deadline_us);
  return deadline;
}
