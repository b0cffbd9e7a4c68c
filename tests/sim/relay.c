#include "relay.h"

#include "derp/frame.h"
#include "network.h"
#include "path/stun.h"
#include "stream.h"
#include "wire/buffer.h"

#include <glib.h>
#include <string.h>

#define RELAY_NET     0x0c000000u /* 12.0.0.0/24 */
#define KEEP_ALIVE_US (60 * USEC_PER_SEC)
#define HTTP_HEAD_MAX 2048
#define SOURCES_WORDS (SIM_MAX_NODES / 64)

typedef enum
{
  CLIENT_HTTP,  /* the head of the request is awaited */
  CLIENT_LOGIN, /* ClientInfo is awaited */
  CLIENT_UP,
} ClientState;

/* What a relay keeps for a stream. */
typedef struct
{
  ClientState state;
  uint32_t node;
  Buffer in; /* not parsed yet */
  NodePublic key;
  uint8_t shared[32];
  uint64_t heard_from[SOURCES_WORDS]; /* nodes whose packets went down here */
} Client;

struct SimRelay
{
  Sim *sim;
  unsigned index;
  double x, y;
  bool up;
  int64_t changed_us;
  uint8_t private_key[32];
  DerpPublic public_key;
  SeededRandom random;
};

SimRelay *
sim_relay_new (Sim *sim, unsigned i)
{
  SimRelay *relay = g_new0 (SimRelay, 1);

  relay->sim = sim;
  relay->index = i;
  relay->x = 10.0 + 20.0 * i;
  relay->y = 30.0;
  relay->up = true;
  seeded_random_init (&relay->random, sim->options.seed ^ (0xde00 + i));
  key_generate (&relay->random.base, relay->private_key);
  key_public (relay->private_key, relay->public_key.bytes);
  sim_plan (sim, SIM_RELAY_TICK, i, 0, KEEP_ALIVE_US);
  return relay;
}

void
sim_relay_free (SimRelay *relay)
{
  g_free (relay);
}

IpAddr
sim_relay_address (unsigned i)
{
  return ip_from_v4 (RELAY_NET + 1 + i);
}

int
sim_relay_at (const Sim *sim, const IpAddr *address)
{
  uint32_t n = ip_v4 (address) - RELAY_NET - 1;

  return n < SIM_RELAYS ? (int)n : -1;
}

int64_t
sim_relay_delay_us (const SimRelay *relay, const SimSite *site)
{
  return sim_network_delay_us (site, relay->x, relay->y);
}

const uint8_t *
sim_relay_public_key (const SimRelay *relay)
{
  return relay->public_key.bytes;
}

bool
sim_relay_is_up (const SimRelay *relay)
{
  return relay->up;
}

int64_t
sim_relay_changed_us (const SimRelay *relay)
{
  return relay->changed_us;
}

void
sim_relay_datagram (Sim *sim, unsigned i, const SimEvent *event)
{
  uint8_t answer[STUN_RESPONSE_MAX];
  StunTxId id;

  if (!sim->relays[i]->up || event->to.port != SIM_STUN_PORT
      || !stun_parse_request (event->data, event->size, &id))
    return;
  size_t size = stun_encode_response (&id, &event->from, answer);
  sim_network_send_from_relay (sim, i, &event->from, answer, size);
}

bool
sim_relay_fast_start (uint32_t id)
{
  return id % 4 != 0;
}

bool
sim_relay_accept (Sim *sim, unsigned i, uint32_t id)
{
  if (!sim->relays[i]->up)
    return false;
  Client *client = g_new0 (Client, 1);
  client->node = sim_stream_node (sim, id);
  sim_stream_set_data (sim, id, client);
  return true;
}

/* The newest stream of the node with KEY, or UINT32_MAX. */
static uint32_t
active_stream (const Sim *sim, unsigned relay, const NodePublic *key, uint32_t except)
{
  for (unsigned n = sim_streams_open (sim, relay); n > 0; n--) {
    uint32_t id = sim_streams_at (sim, relay, n - 1);
    const Client *client = sim_stream_data (sim, id);
    if (id != except && client && client->state == CLIENT_UP
        && memcmp (client->key.bytes, key->bytes, KEY_SIZE) == 0)
      return id;
  }
  return UINT32_MAX;
}

/* The client is gone: those who had packets from it are told. */
void
sim_relay_ended (Sim *sim, unsigned relay, uint32_t id)
{
  Client *client = sim_stream_data (sim, id);
  uint64_t bit = UINT64_C (1) << client->node % 64;
  uint8_t frame[DERP_PEER_GONE_SIZE];

  derp_peer_gone_encode (&client->key, DERP_GONE_DISCONNECTED, frame);
  bool last
      = client->state == CLIENT_UP && active_stream (sim, relay, &client->key, id) == UINT32_MAX;
  for (unsigned n = 0; last && n < sim_streams_open (sim, relay); n++) {
    uint32_t other_id = sim_streams_at (sim, relay, n);
    Client *other = sim_stream_data (sim, other_id);
    if (other_id == id || !other || !(other->heard_from[client->node / 64] & bit))
      continue;
    other->heard_from[client->node / 64] &= ~bit;
    sim_stream_reply (sim, other_id, frame, sizeof frame);
  }
  buffer_free (&client->in);
  g_free (client);
}

static void
relay_packet (Sim *sim, unsigned relay, uint32_t id, const DerpFrame *frame)
{
  const Client *client = sim_stream_data (sim, id);
  uint8_t out[DERP_SEND_OVERHEAD + SIM_DATAGRAM_MAX], gone[DERP_PEER_GONE_SIZE];
  const uint8_t *packet;
  NodePublic key;
  size_t size;

  if (!derp_packet_parse (frame, &key, &packet, &size) || size > SIM_DATAGRAM_MAX)
    return;
  uint32_t to = active_stream (sim, relay, &key, UINT32_MAX);
  if (to == UINT32_MAX) {
    derp_peer_gone_encode (&key, DERP_GONE_NOT_HERE, gone);
    if (derp_packet_is_disco (packet, size))
      sim_stream_reply (sim, id, gone, sizeof gone);
    return;
  }
  Client *receiver = sim_stream_data (sim, to);
  receiver->heard_from[client->node / 64] |= UINT64_C (1) << client->node % 64;
  derp_recv_packet_head (&client->key, size, out);
  memcpy (out + DERP_SEND_OVERHEAD, packet, size);
  sim_stream_reply (sim, to, out, DERP_SEND_OVERHEAD + size);
}

static void
relay_login (Sim *sim, SimRelay *relay, uint32_t id, const DerpFrame *frame)
{
  static const char json[] = "{\"version\":2}";
  Client *client = sim_stream_data (sim, id);
  const uint8_t *nonce, *box;
  uint8_t out[256], fresh[BOX_NONCE_SIZE];
  char text[512];
  size_t box_size;

  if (!derp_client_info_parse (frame, &client->key, &nonce, &box, &box_size)
      || !box_shared (relay->private_key, client->key.bytes, client->shared)
      || box_size > sizeof text || !box_open (client->shared, nonce, box, box_size, text)) {
    sim_fail (sim, "node %u: the relay cannot read its login", client->node);
    return;
  }
  random_fill (&relay->random.base, fresh, sizeof fresh);
  size_t size
      = derp_server_info_encode (client->shared, fresh, json, sizeof json - 1, out, sizeof out);
  client->state = CLIENT_UP;
  sim_stream_reply (sim, id, out, size);
}

static void
relay_frame (Sim *sim, SimRelay *relay, uint32_t id, const DerpFrame *frame)
{
  const Client *client = sim_stream_data (sim, id);
  uint8_t pong[DERP_HEADER_SIZE + DERP_PING_SIZE];

  if (client->state == CLIENT_LOGIN) {
    if (frame->type == DERP_CLIENT_INFO)
      relay_login (sim, relay, id, frame);
    return;
  }
  if (frame->type == DERP_SEND_PACKET) {
    relay_packet (sim, relay->index, id, frame);
  } else if (frame->type == DERP_PING && frame->size == DERP_PING_SIZE) {
    derp_header_encode (DERP_PONG, DERP_PING_SIZE, pong);
    memcpy (pong + DERP_HEADER_SIZE, frame->body, DERP_PING_SIZE);
    sim_stream_reply (sim, id, pong, sizeof pong);
  }
}

/* The request's head, once it is complete: 101 unless the client asked for a fast start. */
static bool
relay_http (Sim *sim, SimRelay *relay, uint32_t id)
{
  Client *client = sim_stream_data (sim, id);
  const char *end = memmem (client->in.data, client->in.size, "\r\n\r\n", 4);
  uint8_t key[DERP_SERVER_KEY_SIZE];
  Buffer out = {0};

  if (!end) {
    if (client->in.size > HTTP_HEAD_MAX)
      sim_fail (sim, "node %u: endless head of a request to the relay", client->node);
    return false;
  }
  size_t head = (size_t)((const uint8_t *)end - client->in.data) + 4;
  bool fast = memmem (client->in.data, head, "Derp-Fast-Start: 1", 18) != NULL;
  if (fast != sim_relay_fast_start (id) || memcmp (client->in.data, "GET /derp ", 10) != 0)
    sim_fail (sim, "node %u: not the request that a relay expects", client->node);
  if (!fast)
    buffer_append_text (&out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
                              "Connection: Upgrade\r\nDerp-Version: 2\r\n\r\n");
  derp_server_key_encode (&relay->public_key, key);
  buffer_append (&out, key, sizeof key);
  sim_stream_reply (sim, id, out.data, out.size);
  buffer_free (&out);
  buffer_consume (&client->in, head);
  client->state = CLIENT_LOGIN;
  return true;
}

void
sim_relay_bytes (Sim *sim, unsigned i, uint32_t id, const uint8_t *bytes, size_t size)
{
  Client *client = sim_stream_data (sim, id);
  SimRelay *relay = sim->relays[i];
  DerpReadResult result;
  DerpFrame frame;
  size_t used;

  buffer_append (&client->in, bytes, size);
  if (client->state == CLIENT_HTTP && !relay_http (sim, relay, id))
    return;
  while ((result = derp_frame_read (client->in.data, client->in.size, DERP_BODY_MAX, &frame, &used))
         == DERP_READ_FRAME) {
    relay_frame (sim, relay, id, &frame);
    buffer_consume (&client->in, used);
  }
  if (result == DERP_READ_ERROR)
    sim_fail (sim, "node %u sends the relay what is no frame", client->node);
}

/* Once a minute: keep-alives, and an end for clients that take nothing. */
static void
relay_tick (Sim *sim, unsigned i)
{
  uint8_t frame[DERP_HEADER_SIZE];

  derp_header_encode (DERP_KEEP_ALIVE, 0, frame);
  for (unsigned n = sim_streams_open (sim, i); n > 0; n--) {
    uint32_t id = sim_streams_at (sim, i, n - 1);
    const Client *client = sim_stream_data (sim, id);
    if (sim_stream_is_stuck (sim, id))
      sim_stream_hang_up (sim, id);
    else if (client->state == CLIENT_UP)
      sim_stream_reply (sim, id, frame, sizeof frame);
  }
  sim_plan (sim, SIM_RELAY_TICK, i, 0, KEEP_ALIVE_US);
}

void
sim_relay_event (Sim *sim, const SimEvent *event)
{
  SimRelay *relay = sim->relays[event->target];
  bool up = event->type == SIM_RELAY_UP;

  if (event->type == SIM_RELAY_TICK) {
    relay_tick (sim, event->target);
    return;
  }
  if (relay->up == up)
    return;
  relay->up = up;
  relay->changed_us = sim->now_us;
  for (unsigned n = sim_streams_open (sim, event->target); n > 0; n--)
    sim_stream_hang_up (sim, sim_streams_at (sim, event->target, n - 1));
}
