#include "rig.h"

#include "netmap/derp-map.h"
#include "path/stun.h"

#include <string.h>

typedef struct
{
  int64_t due_us;
  IpPort server;
  uint32_t side;
  uint8_t bytes[STUN_RESPONSE_MAX];
  size_t size;
} StunAnswer;

IpPort
rig_address (const char *text)
{
  IpPort at;

  g_assert_true (ip_port_parse (text, strlen (text), &at));
  return at;
}

DerpMap *
rig_map (const unsigned *ids, size_t n_ids)
{
  g_autoptr (GString) json = g_string_new ("{\"Regions\":{");
  JsonReader r;

  for (size_t i = 0; i < n_ids; i++)
    g_string_append_printf (json,
                            "%s\"%u\":{\"RegionID\":%u,\"RegionCode\":\"r%u\",\"RegionName\":"
                            "\"R\",\"Nodes\":[{\"Name\":\"%ua\",\"RegionID\":%u,\"HostName\":"
                            "\"derp%u.test\",\"IPv4\":\"198.51.100.%u\",\"IPv6\":\"none\"}]}",
                            i ? "," : "", ids[i], ids[i], ids[i], ids[i], ids[i], ids[i], ids[i]);
  g_string_append (json, "}}");
  json_reader_init (&r, json->str, json->len);
  DerpMap *map = derp_map_decode (&r);
  json_reader_clear (&r);
  g_assert_nonnull (map);
  return map;
}

static void
drain (Rig *rig)
{
  PathAction action;

  while (path_next_action (rig->path, &action)) {
    StunTxId tx_id;
    if (action.type == PATH_ACTION_SEND_UDP && rig->stun_answers
        && action.send_udp.destination.addr.bytes[3] != rig->stun_down
        && stun_parse_request (action.send_udp.data, action.send_udp.size, &tx_id)) {
      StunAnswer answer = {.due_us = rig->now + rig->stun_latency,
                           .server = action.send_udp.destination,
                           .side = action.send_udp.side};
      IpPort mapped = rig->reflexive;
      if (rig->reflexive_per_server)
        mapped.port += answer.server.addr.bytes[3];
      if (answer.side != 0)
        mapped.port = rig->side_port != 0
                          ? (uint16_t)(rig->side_port + answer.side)
                          : (uint16_t)random_between (&rig->random.base, 1024, 65536);
      answer.size = stun_encode_response (&tx_id, &mapped, answer.bytes);
      g_array_append_val (rig->stun_due, answer);
    }
    g_array_append_val (rig->actions, action);
  }
}

void
rig_input (Rig *rig, const PathEvent *event)
{
  path_input (rig->path, event, rig->now);
  drain (rig);
}

void
rig_tick (Rig *rig)
{
  rig_input (rig, &(PathEvent){.type = PATH_EVENT_TICK});
}

Rig *
rig_new (void)
{
  Rig *rig = g_new0 (Rig, 1);
  PathEvent event = {.type = PATH_EVENT_IDENTITY};
  PathAddress address = {.interface = "eth0", .default_route = true};

  rig->now = START;
  seeded_random_init (&rig->random, 7);
  rig->actions = g_array_new (FALSE, TRUE, sizeof (PathAction));
  rig->stun_due = g_array_new (FALSE, TRUE, sizeof (StunAnswer));
  rig->peers = g_ptr_array_new ();
  rig->reflexive = rig_address ("203.0.113.1:41641");
  rig->stun_answers = true;
  rig->stun_latency = 10 * MSEC;
  rig->path = path_new (&rig->random.base);
  key_generate (&rig->random.base, rig->disco_private);
  key_public (rig->disco_private, rig->disco.bytes);
  memset (rig->node.bytes, 0xaa, 32);
  event.identity.disco_private = rig->disco_private;
  event.identity.node_key = rig->node;
  rig_input (rig, &event);
  g_assert_true (ip_prefix_parse ("192.168.1.20/24", 15, &address.prefix));
  event = (PathEvent){.type = PATH_EVENT_LINK};
  event.link.link = (PathLink){.addresses = &address, .n_addresses = 1, .up = true};
  rig_input (rig, &event);
  event = (PathEvent){.type = PATH_EVENT_SOCKETS};
  event.sockets.port4 = event.sockets.port6 = 41641;
  rig_input (rig, &event);
  rig_input (rig, &(PathEvent){.type = PATH_EVENT_CONTROL, .control_connected = true});
  return rig;
}

void
rig_clear (Rig *rig)
{
  for (guint i = 0; i < rig->actions->len; i++)
    path_action_clear (&g_array_index (rig->actions, PathAction, i));
  g_array_set_size (rig->actions, 0);
}

void
rig_free (Rig *rig)
{
  path_free (rig->path);
  rig_clear (rig);
  for (guint i = 0; i < rig->peers->len; i++) {
    RigPeer *peer = g_ptr_array_index (rig->peers, i);
    g_array_unref (peer->endpoints);
    g_free (peer);
  }
  g_ptr_array_unref (rig->peers);
  g_array_unref (rig->actions);
  g_array_unref (rig->stun_due);
  if (rig->map)
    derp_map_unref (rig->map);
  g_free (rig);
}

void
rig_set_map (Rig *rig, DerpMap *map)
{
  if (rig->map)
    derp_map_unref (rig->map);
  rig->map = map;
  rig_input (rig, &(PathEvent){.type = PATH_EVENT_DERP_MAP, .derp_map = map});
}

RigPeer *
rig_add_peer (Rig *rig, const char *endpoint, uint16_t home)
{
  RigPeer *peer = g_new0 (RigPeer, 1);

  peer->endpoints = g_array_new (FALSE, FALSE, sizeof (IpPort));
  key_generate (&rig->random.base, peer->disco_private);
  key_public (peer->disco_private, peer->disco.bytes);
  random_fill (&rig->random.base, peer->key.bytes, 32);
  peer->home = home;
  if (endpoint)
    rig_peer_endpoint (peer, endpoint);
  g_ptr_array_add (rig->peers, peer);
  return peer;
}

void
rig_peer_endpoint (RigPeer *peer, const char *endpoint)
{
  IpPort at = rig_address (endpoint);

  g_array_append_val (peer->endpoints, at);
}

static PathPeer
describe (const RigPeer *peer)
{
  return (PathPeer){.key = peer->key,
                    .disco_key = peer->disco,
                    .home_region = peer->home,
                    .endpoints = (const IpPort *)peer->endpoints->data,
                    .n_endpoints = peer->endpoints->len,
                    .wireguard_only = peer->wireguard_only,
                    .expired = peer->expired};
}

void
rig_tell_peers (Rig *rig)
{
  g_autofree PathPeer *list = g_new0 (PathPeer, rig->peers->len);
  PathEvent event = {.type = PATH_EVENT_PEERS};

  for (guint i = 0; i < rig->peers->len; i++)
    list[i] = describe (g_ptr_array_index (rig->peers, i));
  event.peers.whole = true;
  event.peers.peers = list;
  event.peers.n_peers = rig->peers->len;
  rig_input (rig, &event);
}

void
rig_tell_peer (Rig *rig, RigPeer *peer)
{
  PathPeer one = describe (peer);
  PathEvent event = {.type = PATH_EVENT_PEERS};

  event.peers.peers = &one;
  event.peers.n_peers = 1;
  rig_input (rig, &event);
}

void
rig_sent (Rig *rig, const RigPeer *peer)
{
  PathEvent event = {.type = PATH_EVENT_SENT};

  event.sent.peer = peer->key;
  rig_input (rig, &event);
}

static int64_t
next_stun (const Rig *rig, guint *index)
{
  int64_t due = TIME_NEVER;

  for (guint i = 0; i < rig->stun_due->len; i++) {
    const StunAnswer *answer = &g_array_index (rig->stun_due, StunAnswer, i);
    if (answer->due_us < due) {
      due = answer->due_us;
      *index = i;
    }
  }
  return due;
}

static void
answer_stun (Rig *rig, guint index)
{
  StunAnswer answer = g_array_index (rig->stun_due, StunAnswer, index);
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};

  g_array_remove_index (rig->stun_due, index);
  event.datagram.data = answer.bytes;
  event.datagram.size = answer.size;
  event.datagram.source = answer.server;
  event.datagram.side = answer.side;
  rig_input (rig, &event);
}

void
rig_run (Rig *rig, int64_t span_us)
{
  int64_t end = rig->now + span_us;
  guint index = 0;

  for (unsigned steps = 0;; steps++) {
    int64_t deadline = path_next_deadline (rig->path);
    int64_t stun = next_stun (rig, &index);
    g_assert_cmpuint (steps, <, STEPS_MAX);
    if (MIN (deadline, stun) > end)
      break;
    rig->now = MAX (rig->now, MIN (deadline, stun));
    if (stun <= deadline)
      answer_stun (rig, index);
    else
      rig_tick (rig);
  }
  rig->now = end;
}

void
rig_run_sending (Rig *rig, const RigPeer *peer, int64_t span_us)
{
  for (int64_t left = span_us; left > 0; left -= SECOND) {
    rig_sent (rig, peer);
    rig_run (rig, MIN (left, SECOND));
  }
}

unsigned
rig_count (const Rig *rig, PathActionType type)
{
  unsigned n = 0;

  for (guint i = 0; i < rig->actions->len; i++)
    n += g_array_index (rig->actions, PathAction, i).type == type;
  return n;
}

const PathAction *
rig_last (const Rig *rig, PathActionType type)
{
  for (guint i = rig->actions->len; i-- > 0;)
    if (g_array_index (rig->actions, PathAction, i).type == type)
      return &g_array_index (rig->actions, PathAction, i);
  return NULL;
}

static bool
open_for (const Rig *rig, const RigPeer *peer, const uint8_t *data, size_t size, DiscoMessage *out)
{
  static uint8_t inner[DISCO_PACKET_MAX];
  uint8_t shared[32];

  if (!disco_looks_like (data, size) || !box_shared (peer->disco_private, rig->disco.bytes, shared))
    return false;
  size_t n = disco_open (data, size, shared, inner);
  return n > 0 && disco_parse (inner, n, out);
}

unsigned
rig_disco (const Rig *rig, const RigPeer *peer, DiscoType type, bool relay, DiscoMessage *last,
           const PathAction **action)
{
  unsigned count = 0;

  for (guint i = 0; i < rig->actions->len; i++) {
    const PathAction *a = &g_array_index (rig->actions, PathAction, i);
    DiscoMessage m;
    bool opened = false;
    if (a->type == PATH_ACTION_SEND_UDP && !relay)
      opened = open_for (rig, peer, a->send_udp.data, a->send_udp.size, &m);
    else if (a->type == PATH_ACTION_SEND_RELAY && relay)
      opened = open_for (rig, peer, a->send_relay.data, a->send_relay.size, &m);
    if (!opened || m.type != type)
      continue;
    count++;
    if (last)
      *last = m;
    if (action)
      *action = a;
  }
  return count;
}

static size_t
seal_from (Rig *rig, const RigPeer *peer, const DiscoMessage *message, uint8_t *out)
{
  uint8_t shared[32], nonce[24];

  g_assert_true (box_shared (peer->disco_private, rig->disco.bytes, shared));
  random_fill (&rig->random.base, nonce, sizeof nonce);
  return disco_seal (message, &peer->disco, shared, nonce, out, DISCO_PACKET_MAX);
}

void
rig_from_udp (Rig *rig, const RigPeer *peer, const DiscoMessage *message, const IpPort *source)
{
  g_autofree uint8_t *packet = g_malloc (DISCO_PACKET_MAX);
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};

  event.datagram.data = packet;
  event.datagram.size = seal_from (rig, peer, message, packet);
  event.datagram.source = *source;
  event.datagram.side = rig->side;
  rig_input (rig, &event);
}

void
rig_from_relay (Rig *rig, const RigPeer *peer, const DiscoMessage *message, uint32_t connection)
{
  g_autofree uint8_t *packet = g_malloc (DISCO_PACKET_MAX);
  PathEvent event = {.type = PATH_EVENT_RELAY_PACKET};

  event.relay_packet.connection = connection;
  event.relay_packet.source = peer->key;
  event.relay_packet.data = packet;
  event.relay_packet.size = seal_from (rig, peer, message, packet);
  rig_input (rig, &event);
}

bool
rig_pong (Rig *rig, const RigPeer *peer, const IpPort *at)
{
  DiscoMessage m, pong = {.type = DISCO_PONG, .source = rig->reflexive};

  for (guint i = rig->actions->len; i-- > 0;) {
    const PathAction *a = &g_array_index (rig->actions, PathAction, i);
    if (a->type != PATH_ACTION_SEND_UDP || (at && !ip_port_equal (at, &a->send_udp.destination))
        || !open_for (rig, peer, a->send_udp.data, a->send_udp.size, &m) || m.type != DISCO_PING)
      continue;
    IpPort source = a->send_udp.destination;
    pong.tx_id = m.tx_id;
    rig_from_udp (rig, peer, &pong, &source);
    return true;
  }
  return false;
}

void
rig_ping (Rig *rig, const RigPeer *peer, const IpPort *source, uint8_t tx_id)
{
  DiscoMessage m = {.type = DISCO_PING, .node_key = peer->key};

  memset (&m.tx_id, tx_id, sizeof m.tx_id);
  rig_from_udp (rig, peer, &m, source);
}

uint32_t
rig_relay_up (Rig *rig)
{
  const PathAction *connect = rig_last (rig, PATH_ACTION_RELAY_CONNECT);
  PathEvent event = {.type = PATH_EVENT_RELAY_UP};

  g_assert_nonnull (connect);
  event.relay_up.connection = connect->relay_connect.connection;
  event.relay_up.local = rig_address ("192.168.1.20:1").addr;
  rig_input (rig, &event);
  return event.relay_up.connection;
}

PathDestination
rig_destination (const Rig *rig, const RigPeer *peer)
{
  PathDestination destination;

  (void)path_destination (rig->path, &peer->key, &destination);
  return destination;
}
