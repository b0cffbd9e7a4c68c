#include "node-internal.h"

#include "flows.h"
#include "network.h"

#include <string.h>

/* The side socket that leads to an address, 0: none. */
static uint32_t
side_to (const SimNode *node, const IpPort *udp)
{
  for (unsigned i = 0; i < node->sim->options.n_nodes; i++)
    if (node->peers[i].destination.side != 0
        && ip_port_equal (&node->peers[i].destination.udp, udp))
      return node->peers[i].destination.side;
  return 0;
}

static void
send_on (SimNode *node, const NodePublic *peer, const PathDestination *to, const uint8_t *bytes,
         size_t size)
{
  if (to->udp.addr.family != 0)
    sim_network_send (node->sim, node, node_side_port (node, to->side), &to->udp, bytes, size);
  if (to->region != 0)
    node_relay_send (node, to->region, peer, bytes, size);
}

static void
on_send (void *data, const NodePublic *key, const WgSource *source, const uint8_t *bytes,
         size_t size)
{
  SimNode *node = data;

  if (!key) {
    PathDestination back = {0};
    if (source->kind == WG_SOURCE_DERP)
      back.region = source->region;
    else
      back = (PathDestination){.udp = source->addr, .side = side_to (node, &source->addr)};
    send_on (node, &source->derp_key, &back, bytes, size);
    return;
  }
  PeerState *peer = &node->peers[node_peer_index (node, key)];
  if (!peer->sent_noted_us || node_now (node) - peer->sent_noted_us >= PATH_ACTIVITY_US) {
    PathEvent event = {.type = PATH_EVENT_SENT};
    peer->sent_noted_us = node_now (node);
    event.sent.peer = *key;
    node_feed_path (node, &event);
  }
  PathDestination to = peer->destination;
  if (!peer->published && !path_destination (node->path, key, &to))
    return;
  send_on (node, key, &to, bytes, size);
}

static void
note_received (SimNode *node, const NodePublic *key, const WgSource *source)
{
  PeerState *peer = &node->peers[node_peer_index (node, key)];
  IpPort from = source->kind == WG_SOURCE_UDP ? source->addr : (IpPort){0};
  PathEvent event = {.type = PATH_EVENT_RECEIVED};

  if (peer->received_noted_us && ip_port_equal (&peer->received_from, &from)
      && node_now (node) - peer->received_noted_us < PATH_ACTIVITY_US)
    return;
  peer->received_noted_us = node_now (node);
  peer->received_from = from;
  event.received.peer = *key;
  event.received.source = from;
  node_feed_path (node, &event);
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
      node_feed_path (node, &event);
      break;
    case WG_HOST_GIVE_UP:
    case WG_HOST_ESTABLISHED:
    case WG_HOST_IDLE:
      break;
  }
}

static void
on_receive (void *data, const NodePublic *key, const uint8_t *packet, size_t size)
{
  SimNode *node = data;

  sim_flows_packet (node->sim, node, node_peer_index (node, key), packet, size);
}

static void
on_save (void *data, const uint8_t timestamp[WG_TIMESTAMP_SIZE])
{
  SimNode *node = data;

  memcpy (node->timestamp, timestamp, WG_TIMESTAMP_SIZE);
}

const WgHostCallbacks node_wireguard_callbacks = {
    .send = on_send,
    .receive = on_receive,
    .notice = on_notice,
    .save_timestamp = on_save,
};
