/* The path core under random events: four peers of which two share a disco key, authentic and
 * forged disco messages, relays that come and go, errors, commands, clocks that jump.
 *
 * Each step is an opcode and up to 16 bytes of operand. Nothing may crash, no queue may grow
 * without bound, and no deadline may be left behind. */
#include "netmap/derp-map.h"
#include "path/candidates.h"
#include "path/disco.h"
#include "path/path.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define PEERS         4
#define ACTIONS_LIMIT 4000 /* of one event */

typedef struct
{
  uint8_t disco_private[32];
  uint8_t shared[32];
  PathPeer peer;
  IpPort endpoints[3];
} Peer;

typedef struct
{
  DiscoTxId tx_id;
  IpPort to;
  size_t peer;
} Ping;

typedef struct
{
  Path *path;
  SeededRandom random;
  int64_t now;
  DerpMap *maps[2];
  uint8_t own_private[32];
  Peer peers[PEERS];
  uint32_t connection; /* the newest */
  Ping pings[8];       /* the newest ones that the core sent */
  unsigned n_pings;
  uint8_t stun[STUN_REQUEST_SIZE];
  IpPort stun_server;
  uint32_t probe;
  uint32_t query;
  uint32_t side; /* first of the newest side sockets */
} World;

static DerpMap *
make_map (const char *json)
{
  JsonReader r;

  json_reader_init (&r, json, strlen (json));
  DerpMap *map = derp_map_decode (&r);
  json_reader_clear (&r);
  assert (map);
  return map;
}

static void
look_at (World *w, const PathAction *a)
{
  uint8_t inner[2048];
  DiscoMessage m;

  switch (a->type) {
    case PATH_ACTION_SEND_UDP:
      if (a->send_udp.size == STUN_REQUEST_SIZE) {
        memcpy (w->stun, a->send_udp.data, STUN_REQUEST_SIZE);
        w->stun_server = a->send_udp.destination;
      }
      for (size_t i = 0; i < PEERS && a->send_udp.size < sizeof inner; i++) {
        size_t n = disco_open (a->send_udp.data, a->send_udp.size, w->peers[i].shared, inner);
        if (n > 0 && disco_parse (inner, n, &m) && m.type == DISCO_PING)
          w->pings[w->n_pings++ % 8] = (Ping){m.tx_id, a->send_udp.destination, i};
      }
      break;
    case PATH_ACTION_RELAY_CONNECT:
      w->connection = a->relay_connect.connection;
      break;
    case PATH_ACTION_HTTPS_PROBE:
      w->probe = a->https_probe.probe;
      break;
    case PATH_ACTION_ICMP_PING:
      w->probe = a->icmp_ping.probe;
      break;
    case PATH_ACTION_RESOLVE:
      w->query = a->resolve.query;
      break;
    case PATH_ACTION_SIDE_OPEN:
      w->side = a->side_open.first;
      break;
    default:
      break;
  }
}

static void
input (World *w, const PathEvent *event)
{
  PathAction action;
  unsigned count = 0;

  path_input (w->path, event, w->now);
  while (path_next_action (w->path, &action)) {
    look_at (w, &action);
    path_action_clear (&action);
    assert (++count < ACTIONS_LIMIT);
  }
}

/* Serves deadlines until W->now + SPAN. */
static void
pass_time (World *w, int64_t span_us)
{
  int64_t end = w->now + span_us;
  unsigned steps = 0;

  for (int64_t next; (next = path_next_deadline (w->path)) <= end;) {
    w->now = next > w->now ? next : w->now;
    input (w, &(PathEvent){.type = PATH_EVENT_TICK});
    assert (path_next_deadline (w->path) > w->now || ++steps < 1000);
  }
  w->now = end;
}

static IpPort
some_address (const uint8_t b[4])
{
  IpPort at = {ip_from_v4 (0xcb007100u | b[0] % 8), (uint16_t)(1000 + b[1] % 8)};

  if (b[2] % 8 == 1) {
    at.addr = (IpAddr){.family = 6};
    at.addr.bytes[0] = b[2] % 16 < 8 ? 0x20 : 0xfe;
    at.addr.bytes[1] = b[2] % 16 < 8 ? 0x01 : 0x80;
    at.addr.bytes[15] = b[0] % 8;
  }
  return at;
}

static void
tell_peers (World *w, uint8_t which, bool whole)
{
  PathPeer list[PEERS];
  PathEvent event = {.type = PATH_EVENT_PEERS};

  event.peers.whole = whole;
  event.peers.peers = list;
  for (size_t i = 0; i < PEERS; i++)
    if (which & 1u << i)
      list[event.peers.n_peers++] = w->peers[i].peer;
  event.peers.removed = &w->peers[which >> 4 & 3].peer.key;
  event.peers.n_removed = !whole && which >> 6 == 3;
  input (w, &event);
}

static void
change_peer (World *w, const uint8_t *b)
{
  Peer *p = &w->peers[b[0] % PEERS];

  p->peer.home_region = b[1] % 4;
  p->peer.expired = b[2] % 8 == 0;
  p->peer.wireguard_only = b[3] % 8 == 0;
  p->peer.n_endpoints = b[4] % 4;
  for (size_t i = 0; i < 3; i++)
    p->endpoints[i] = some_address (b + 5 + i);
  if (b[9] % 8 == 0)
    p->peer.disco_key = (DiscoPublic){0};
  else
    key_public (p->disco_private, p->peer.disco_key.bytes);
  tell_peers (w, (uint8_t)(1u << b[0] % PEERS), false);
}

/* A disco message, sealed by a peer, over UDP or relay. */
static void
disco (World *w, const uint8_t *b)
{
  const Ping *ping = &w->pings[b[12] % 8];
  bool pong = b[1] % 9 + 1 == DISCO_PONG;
  Peer *p = &w->peers[pong ? ping->peer : b[0] % PEERS];
  IpPort list[8], source = some_address (b + 8);
  uint8_t packet[1024], nonce[24] = {b[4], b[5]};
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};
  DiscoMessage m = {.type = 1 + b[1] % 9, .tx_id = ping->tx_id, .source = source};

  for (size_t i = 0; i < 8; i++)
    list[i] = some_address (b + 4 + i);
  m.encode_endpoints = list;
  m.n_endpoints = b[2] % 9;
  m.node_key = w->peers[b[3] % PEERS].peer.key;
  if (b[6] & 1)
    m.tx_id.bytes[0] = b[7];
  size_t n = disco_seal (&m, &p->peer.disco_key, p->shared, nonce, packet, sizeof packet);
  if (b[6] & 2) {
    event.type = PATH_EVENT_RELAY_PACKET;
    event.relay_packet.connection = w->connection;
    event.relay_packet.source = w->peers[b[3] % PEERS].peer.key;
    event.relay_packet.data = packet;
    event.relay_packet.size = n;
  } else {
    event.datagram.data = packet;
    event.datagram.size = n;
    event.datagram.source = pong ? ping->to : source;
    event.datagram.side = b[6] & 4 ? w->side + b[7] : 0;
  }
  input (w, &event);
}

static void
stun (World *w, const uint8_t *b)
{
  uint8_t answer[STUN_RESPONSE_MAX];
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};
  IpPort mapped = some_address (b);
  StunTxId tx_id;

  if (!stun_parse_request (w->stun, sizeof w->stun, &tx_id))
    return;
  event.datagram.size = stun_encode_response (&tx_id, &mapped, answer);
  event.datagram.data = answer;
  event.datagram.source = w->stun_server;
  event.datagram.side = b[3] & 1 ? w->side + b[4] : 0;
  input (w, &event);
}

static void
relay (World *w, const uint8_t *b)
{
  PathEvent event = {.type = PATH_EVENT_RELAY_UP};

  if (b[0] % 4 == 0) {
    event.type = PATH_EVENT_RELAY_CLOSED;
    event.relay_closed.connection = w->connection;
    event.relay_closed.reason = b[1] % (RELAY_CLOSED_LOST + 1);
    event.relay_closed.text = "fuzz";
  } else if (b[0] % 4 == 1) {
    event.type = PATH_EVENT_RELAY_PEER_GONE;
    event.relay_peer_gone.connection = w->connection;
    event.relay_peer_gone.peer = w->peers[b[1] % PEERS].peer.key;
  } else {
    event.relay_up.connection = w->connection;
    event.relay_up.local = some_address (b).addr;
  }
  input (w, &event);
}

static void
environment (World *w, const uint8_t *b)
{
  static const int errors[] = {EPERM, EHOSTUNREACH, ENETUNREACH, EPIPE};
  PathAddress address = {.interface = "eth0", .default_route = b[1] & 1};
  PathEvent event = {.type = PATH_EVENT_SOCKETS};

  switch (b[0] % 8) {
    case 0:
      event.sockets.port4 = b[1];
      event.sockets.port6 = b[2];
      break;
    case 1:
      event.type = PATH_EVENT_LINK;
      address.prefix = ip_single (&(IpAddr){.family = 4, .bytes = {10, 0, 0, b[2]}});
      event.link.link = (PathLink){.addresses = &address, .n_addresses = b[3] & 1, .up = b[4] & 3};
      event.link.major = b[5] & 1;
      break;
    case 2:
      event.type = PATH_EVENT_SEND_ERROR;
      event.send_error.destination = some_address (b + 1);
      event.send_error.error = errors[b[5] % 4];
      event.send_error.data = b[6] & 1;
      break;
    case 3:
      event.type = PATH_EVENT_KNOBS;
      event.knobs = (PathKnobs){.only_tcp_443 = b[1] % 4 == 0,
                                .silent_disco = b[2] % 4 == 0,
                                .randomize_client_port = b[3] & 1,
                                .debug_always_stun = b[4] & 1,
                                .homeless = b[5] % 4 == 0,
                                .fixed_port = b[6]};
      break;
    case 4:
      event.type = PATH_EVENT_DERP_MAP;
      event.derp_map = b[1] % 4 == 3 ? NULL : w->maps[b[1] & 1];
      break;
    case 5:
      event.type = PATH_EVENT_IDENTITY;
      event.identity.disco_private = b[1] % 8 == 0 ? NULL : w->own_private;
      event.identity.node_key.bytes[0] = b[2] & 1;
      break;
    case 6:
      w->now += b[1] * USEC_PER_SEC;
      event.type = PATH_EVENT_SUSPENDED;
      event.slept_us = b[1] * USEC_PER_SEC;
      break;
    default:
      event.type = PATH_EVENT_CONTROL;
      event.control_connected = b[1] & 1;
  }
  input (w, &event);
}

static void
use (World *w, const uint8_t *b)
{
  const NodePublic *key = &w->peers[b[0] % PEERS].peer.key;
  PathEvent event = {.type = PATH_EVENT_SENT};

  event.sent.peer = *key;
  if (b[1] % 8 == 0) {
    event.type = PATH_EVENT_RECEIVED;
    event.received.peer = *key;
    event.received.source = b[2] & 1 ? some_address (b + 3) : (IpPort){0};
  } else if (b[1] % 8 == 1) {
    event.type = PATH_EVENT_NO_ANSWER;
    event.no_answer.peer = *key;
  } else if (b[1] % 8 == 2) {
    event.type = PATH_EVENT_PING;
    event.ping.id = b[2];
    event.ping.peer = *key;
    event.ping.size = b[3] * 300u;
  } else if (b[1] % 8 == 3) {
    event.type = PATH_EVENT_DISCO_KEY;
    event.disco_key.peer = *key;
    event.disco_key.key = w->peers[b[2] % PEERS].peer.disco_key;
  }
  input (w, &event);
}

static void
answer (World *w, const uint8_t *b)
{
  IpAddr addr = some_address (b + 2).addr;
  PathEvent event = {.type = PATH_EVENT_HTTPS_LATENCY};

  event.https_latency.probe = w->probe;
  event.https_latency.latency_us = b[1] % 4 ? b[1] * 1000 : -1;
  if (b[0] % 4 == 1) {
    event.type = PATH_EVENT_ICMP_LATENCY;
    event.icmp_latency.probe = w->probe;
    event.icmp_latency.latency_us = b[1] * 1000;
  } else if (b[0] % 4 == 2) {
    event.type = PATH_EVENT_RESOLVED;
    event.resolved.query = w->query;
    event.resolved.addresses = &addr;
    event.resolved.n_addresses = b[1] & 1;
  } else if (b[0] % 4 == 3) {
    event.type = PATH_EVENT_NETCHECK;
    event.netcheck = b[1];
  }
  input (w, &event);
}

static void
check (World *w)
{
  for (size_t i = 0; i < PEERS; i++) {
    PathPeerStatus status;
    PathDestination destination;
    if (path_peer_status (w->path, &w->peers[i].peer.key, &status))
      assert (status.n_candidates <= CANDIDATES_LEARNED_MAX + CANDIDATES_CALLED_MAX + 3);
    (void)path_destination (w->path, &w->peers[i].peer.key, &destination);
  }
}

static void
step (World *w, uint8_t opcode, const uint8_t *b)
{
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};

  switch (opcode % 10) {
    case 0:
      tell_peers (w, b[0], b[1] & 1);
      break;
    case 1:
      change_peer (w, b);
      break;
    case 2:
      disco (w, b);
      break;
    case 3:
      stun (w, b);
      break;
    case 4:
      relay (w, b);
      break;
    case 5:
      environment (w, b);
      break;
    case 6:
    case 7:
      use (w, b);
      break;
    case 8:
      answer (w, b);
      break;
    default:
      event.datagram.data = b;
      event.datagram.size = 16;
      event.datagram.source = some_address (b);
      input (w, &event);
  }
  pass_time (w, (opcode >> 4) * 400 * USEC_PER_MSEC);
}

static void
world_init (World *w)
{
  DiscoPublic own;

  memset (w, 0, sizeof *w);
  seeded_random_init (&w->random, 1);
  w->now = 1000 * USEC_PER_SEC;
  w->path = path_new (&w->random.base);
  w->maps[0] = make_map ("{\"Regions\":{\"1\":{\"RegionID\":1,\"RegionCode\":\"a\",\"Nodes\":[{"
                         "\"Name\":\"1a\",\"HostName\":\"a.test\",\"IPv4\":\"198.51.100.1\"}]}}}");
  w->maps[1] = make_map (
      "{\"Regions\":{\"1\":{\"RegionID\":1,\"RegionCode\":\"a\",\"Nodes\":[{\"Name\":\"1a\","
      "\"HostName\":\"a.test\"},{\"Name\":\"1b\",\"HostName\":\"b.test\",\"IPv4\":\"198.51.100."
      "2\",\"IPv6\":\"2001:db8::2\"}]},\"2\":{\"RegionID\":2,\"RegionCode\":\"b\",\"Nodes\":[{"
      "\"Name\":\"2a\",\"HostName\":\"198.51.100.3\"}]}}}");
  w->own_private[0] = 8;
  w->own_private[31] = 0x40;
  key_public (w->own_private, own.bytes);
  for (size_t i = 0; i < PEERS; i++) {
    Peer *p = &w->peers[i];
    p->disco_private[0] = (uint8_t)(16 + 8 * (i == 3 ? 2 : i)); /* 2 and 3 share theirs */
    p->disco_private[31] = 0x40;
    key_public (p->disco_private, p->peer.disco_key.bytes);
    assert (box_shared (p->disco_private, own.bytes, p->shared));
    p->peer.key.bytes[0] = (uint8_t)(i + 1);
    p->peer.endpoints = p->endpoints;
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static World w;
  uint8_t operand[16];

  world_init (&w);
  step (&w, 5, (const uint8_t[16]){5, 1, 1});
  step (&w, 5, (const uint8_t[16]){0, 41, 41});
  for (size_t pos = 0; pos < size && pos < 680;) {
    uint8_t opcode = data[pos++];
    size_t n = size - pos < sizeof operand ? size - pos : sizeof operand;
    memset (operand, 0, sizeof operand);
    memcpy (operand, data + pos, n);
    pos += n;
    step (&w, opcode, operand);
    check (&w);
  }
  path_free (w.path);
  derp_map_unref (w.maps[0]);
  derp_map_unref (w.maps[1]);
  return 0;
}
