#include "relay.h"

#include "derp/frame.h"
#include "network.h"
#include "node.h"
#include "path/stun.h"
#include "wire/buffer.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#define RELAY_NET     0x0c000000u /* 12.0.0.0/24 */
#define KEEP_ALIVE_US (60 * USEC_PER_SEC)
#define UNREACHABLE_US                                                                             \
  (120 * USEC_PER_SEC)     /* a relay gives up a client that acknowledges nothing */
#define DIAL_ROUND_TRIPS 2 /* TCP and TLS 1.3 */
#define HTTP_HEAD_MAX    2048
#define HELD_MAX         (256 * 1024)
#define SOURCES_WORDS    (SIM_MAX_NODES / 64)

typedef enum
{
  STREAM_DIALING,
  STREAM_HTTP,  /* the head of the request is awaited */
  STREAM_LOGIN, /* ClientInfo is awaited */
  STREAM_UP,
  STREAM_ENDED,
} StreamState;

typedef struct
{
  StreamState state;
  unsigned relay;
  uint32_t node;
  uint32_t generation; /* of the node when it dialled */
  const SimSite *site;
  bool fast_start;
  Buffer in;     /* what the relay has not parsed yet */
  Buffer held;   /* for a node that sleeps */
  int64_t up_us; /* arrival of the last bytes in each direction: streams keep their order */
  int64_t down_us;
  int64_t unreachable_us; /* since when the node takes nothing; 0: it does */
  NodePublic key;
  uint8_t shared[32];
  uint64_t heard_from[SOURCES_WORDS]; /* nodes whose packets went down here */
} SimStream;

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
  GArray *streams; /* of SimStream *; of all relays, in relay 0 */
  GArray *live;    /* numbers of streams of this relay that have not ended, oldest first */
};

static GArray *
streams (const Sim *sim)
{
  return sim->relays[0]->streams;
}

static SimStream *
stream_get (const Sim *sim, uint32_t id)
{
  return g_array_index (streams (sim), SimStream *, id);
}

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
  relay->live = g_array_new (FALSE, FALSE, sizeof (uint32_t));
  if (i == 0)
    relay->streams = g_array_new (FALSE, FALSE, sizeof (SimStream *));
  sim_plan (sim, SIM_RELAY_TICK, i, 0, KEEP_ALIVE_US);
  return relay;
}

static void
stream_free_buffers (SimStream *stream)
{
  buffer_free (&stream->in);
  buffer_free (&stream->held);
}

static void
stream_release (Sim *sim, uint32_t id)
{
  SimStream *stream = stream_get (sim, id);
  GArray *live = sim->relays[stream->relay]->live;

  stream_free_buffers (stream);
  stream->state = STREAM_ENDED;
  for (guint i = 0; i < live->len; i++)
    if (g_array_index (live, uint32_t, i) == id) {
      g_array_remove_index (live, i);
      return;
    }
}

void
sim_relay_free (SimRelay *relay)
{
  if (relay->streams) {
    for (guint i = 0; i < relay->streams->len; i++) {
      SimStream *stream = g_array_index (relay->streams, SimStream *, i);
      stream_free_buffers (stream);
      g_free (stream);
    }
    g_array_unref (relay->streams);
  }
  g_array_unref (relay->live);
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

/* Plans TYPE for stream ID one way from now, behind everything that is already under way. */
static void
stream_plan (Sim *sim, uint32_t id, SimEventType type, const void *bytes, size_t size)
{
  SimStream *stream = stream_get (sim, id);
  bool to_relay = type == SIM_STREAM_UP || type == SIM_STREAM_END_UP;
  int64_t *last = to_relay ? &stream->up_us : &stream->down_us;
  SimEvent event = {.type = type, .target = id};

  event.time_us = sim->now_us + sim_relay_delay_us (sim->relays[stream->relay], stream->site)
                  + sim_random_us (sim, 0, 2000);
  if (event.time_us <= *last)
    event.time_us = *last + 1;
  *last = event.time_us;
  sim_events_add (&sim->events, &event, bytes, size);
}

uint32_t
sim_stream_dial (Sim *sim, SimNode *node, unsigned i)
{
  SimStream *stream = g_new0 (SimStream, 1);
  uint32_t id = streams (sim)->len;

  stream->relay = i;
  stream->node = sim_node_id (node);
  stream->generation = sim_node_generation (node);
  stream->site = sim_node_site (node);
  g_array_append_val (streams (sim), stream);
  g_array_append_val (sim->relays[i]->live, id);
  int64_t delay_us = sim_relay_delay_us (sim->relays[i], stream->site);
  sim_plan (sim, SIM_STREAM_OPEN, id, 0, 2 * DIAL_ROUND_TRIPS * delay_us);
  return id;
}

void
sim_stream_send (Sim *sim, uint32_t id, const uint8_t *bytes, size_t size)
{
  if (stream_get (sim, id)->state != STREAM_ENDED)
    stream_plan (sim, id, SIM_STREAM_UP, bytes, size);
}

void
sim_stream_close (Sim *sim, uint32_t id)
{
  SimStream *stream = stream_get (sim, id);

  if (stream->state != STREAM_ENDED) {
    stream->generation = UINT32_MAX; /* the node wants to hear nothing more of it */
    stream_plan (sim, id, SIM_STREAM_END_UP, NULL, 0);
  }
}

/* The newest stream of the node with KEY, or UINT32_MAX. */
static uint32_t
active_stream (const Sim *sim, unsigned relay, const NodePublic *key)
{
  const GArray *live = sim->relays[relay]->live;

  for (guint i = live->len; i > 0; i--) {
    uint32_t id = g_array_index (live, uint32_t, i - 1);
    const SimStream *stream = stream_get (sim, id);
    if (stream->state == STREAM_UP && memcmp (stream->key.bytes, key->bytes, KEY_SIZE) == 0)
      return id;
  }
  return UINT32_MAX;
}

/* The client is gone for the relay: those who had packets from it are told. */
static void
relay_drops (Sim *sim, uint32_t id)
{
  SimStream *stream = stream_get (sim, id);
  uint8_t frame[DERP_PEER_GONE_SIZE];
  bool was_up = stream->state == STREAM_UP;

  stream_release (sim, id);
  if (!was_up || active_stream (sim, stream->relay, &stream->key) != UINT32_MAX)
    return;
  derp_peer_gone_encode (&stream->key, DERP_GONE_DISCONNECTED, frame);
  const GArray *live = sim->relays[stream->relay]->live;
  for (guint i = 0; i < live->len; i++) {
    uint32_t other_id = g_array_index (live, uint32_t, i);
    SimStream *other = stream_get (sim, other_id);
    uint64_t bit = UINT64_C (1) << stream->node % 64;
    if (other->state == STREAM_UP && other->heard_from[stream->node / 64] & bit) {
      other->heard_from[stream->node / 64] &= ~bit;
      stream_plan (sim, other_id, SIM_STREAM_DOWN, frame, sizeof frame);
    }
  }
}

static void
relay_packet (Sim *sim, uint32_t id, const DerpFrame *frame)
{
  SimStream *stream = stream_get (sim, id);
  uint8_t out[DERP_SEND_OVERHEAD + SIM_DATAGRAM_MAX], gone[DERP_PEER_GONE_SIZE];
  const uint8_t *packet;
  NodePublic key;
  size_t size;

  if (!derp_packet_parse (frame, &key, &packet, &size) || size > SIM_DATAGRAM_MAX)
    return;
  uint32_t to = active_stream (sim, stream->relay, &key);
  if (to == UINT32_MAX) {
    derp_peer_gone_encode (&key, DERP_GONE_NOT_HERE, gone);
    if (derp_packet_is_disco (packet, size))
      stream_plan (sim, id, SIM_STREAM_DOWN, gone, sizeof gone);
    return;
  }
  stream_get (sim, to)->heard_from[stream->node / 64] |= UINT64_C (1) << stream->node % 64;
  derp_recv_packet_head (&stream->key, size, out);
  memcpy (out + DERP_SEND_OVERHEAD, packet, size);
  stream_plan (sim, to, SIM_STREAM_DOWN, out, DERP_SEND_OVERHEAD + size);
}

static void
relay_login (Sim *sim, uint32_t id, const DerpFrame *frame)
{
  static const char json[] = "{\"version\":2}";
  SimStream *stream = stream_get (sim, id);
  SimRelay *relay = sim->relays[stream->relay];
  const uint8_t *nonce, *box;
  uint8_t out[256], fresh[BOX_NONCE_SIZE];
  char text[512];
  size_t box_size;

  if (!derp_client_info_parse (frame, &stream->key, &nonce, &box, &box_size)
      || !box_shared (relay->private_key, stream->key.bytes, stream->shared)
      || box_size > sizeof text || !box_open (stream->shared, nonce, box, box_size, text)) {
    sim_fail (sim, "node %u: the relay cannot read its login", stream->node);
    return;
  }
  random_fill (&relay->random.base, fresh, sizeof fresh);
  size_t size
      = derp_server_info_encode (stream->shared, fresh, json, sizeof json - 1, out, sizeof out);
  stream->state = STREAM_UP;
  stream_plan (sim, id, SIM_STREAM_DOWN, out, size);
}

static void
relay_frame (Sim *sim, uint32_t id, const DerpFrame *frame)
{
  SimStream *stream = stream_get (sim, id);
  uint8_t pong[DERP_HEADER_SIZE + DERP_PING_SIZE];

  if (stream->state == STREAM_LOGIN) {
    if (frame->type == DERP_CLIENT_INFO)
      relay_login (sim, id, frame);
    return;
  }
  switch (frame->type) {
    case DERP_SEND_PACKET:
      relay_packet (sim, id, frame);
      break;
    case DERP_PING:
      if (frame->size != DERP_PING_SIZE)
        break;
      derp_header_encode (DERP_PONG, DERP_PING_SIZE, pong);
      memcpy (pong + DERP_HEADER_SIZE, frame->body, DERP_PING_SIZE);
      stream_plan (sim, id, SIM_STREAM_DOWN, pong, sizeof pong);
      break;
    default:
      break;
  }
}

/* The request's head, once it is complete: 101 unless the client asked for a fast start. */
static bool
relay_http (Sim *sim, uint32_t id)
{
  SimStream *stream = stream_get (sim, id);
  SimRelay *relay = sim->relays[stream->relay];
  const char *end = memmem (stream->in.data, stream->in.size, "\r\n\r\n", 4);
  uint8_t key[DERP_SERVER_KEY_SIZE];
  Buffer out = {0};

  if (!end) {
    if (stream->in.size > HTTP_HEAD_MAX)
      sim_fail (sim, "node %u: endless head of a request to the relay", stream->node);
    return false;
  }
  size_t head = (size_t)((const uint8_t *)end - stream->in.data) + 4;
  bool fast = memmem (stream->in.data, head, "Derp-Fast-Start: 1", 18) != NULL;
  if (fast != stream->fast_start || memcmp (stream->in.data, "GET /derp ", 10) != 0)
    sim_fail (sim, "node %u: not the request that a relay expects", stream->node);
  if (!fast)
    buffer_append_text (&out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
                              "Connection: Upgrade\r\nDerp-Version: 2\r\n\r\n");
  derp_server_key_encode (&relay->public_key, key);
  buffer_append (&out, key, sizeof key);
  stream_plan (sim, id, SIM_STREAM_DOWN, out.data, out.size);
  buffer_free (&out);
  buffer_consume (&stream->in, head);
  stream->state = STREAM_LOGIN;
  return true;
}

static void
relay_bytes (Sim *sim, uint32_t id, const uint8_t *bytes, size_t size)
{
  SimStream *stream = stream_get (sim, id);
  DerpFrame frame;
  size_t used;

  if (stream->state == STREAM_ENDED || stream->state == STREAM_DIALING)
    return;
  buffer_append (&stream->in, bytes, size);
  if (stream->state == STREAM_HTTP && !relay_http (sim, id))
    return;
  while (stream->state != STREAM_ENDED) {
    DerpReadResult result
        = derp_frame_read (stream->in.data, stream->in.size, DERP_BODY_MAX, &frame, &used);
    if (result == DERP_READ_ERROR)
      sim_fail (sim, "node %u sends the relay what is no frame", stream->node);
    if (result != DERP_READ_FRAME)
      break;
    relay_frame (sim, id, &frame);
    buffer_consume (&stream->in, used);
  }
}

/* The node that has stream ID, unless it restarted, closed it, or moved to another network. */
static SimNode *
stream_node (Sim *sim, const SimStream *stream)
{
  SimNode *node = sim->nodes[stream->node];

  return sim_node_generation (node) == stream->generation ? node : NULL;
}

static void
stream_open (Sim *sim, uint32_t id)
{
  SimStream *stream = stream_get (sim, id);
  SimRelay *relay = sim->relays[stream->relay];
  SimNode *node = stream_node (sim, stream);

  if (!node || stream->state == STREAM_ENDED) {
    stream_release (sim, id);
    return;
  }
  bool ok = relay->up && sim_node_site (node) == stream->site && !sim_node_suspended (node);
  if (ok)
    stream->state = STREAM_HTTP;
  else
    stream_release (sim, id);
  stream->fast_start = id % 4 != 0;
  sim_node_stream_open (node, id, ok, stream->fast_start);
}

/* Bytes for a node that cannot take them wait, as in a kernel's send buffer, until the relay gives
 * it up. */
static void
stream_down (Sim *sim, uint32_t id, const uint8_t *bytes, size_t size)
{
  SimStream *stream = stream_get (sim, id);
  SimNode *node = stream_node (sim, stream);

  if (!node || stream->state == STREAM_ENDED)
    return;
  bool reachable = sim_node_site (node) == stream->site && !sim_node_suspended (node);
  if (reachable && stream->held.size == 0) {
    stream->unreachable_us = 0;
    sim_node_stream_bytes (node, id, bytes, size);
    return;
  }
  if (!stream->unreachable_us)
    stream->unreachable_us = sim->now_us;
  if (stream->held.size + size <= HELD_MAX)
    buffer_append (&stream->held, bytes, size);
  if (!reachable)
    return;
  uint8_t *held;
  size = buffer_steal (&stream->held, &held);
  stream->unreachable_us = 0;
  sim_node_stream_bytes (node, id, held, size);
  free (held);
}

/* Once a minute: keep-alives, and an end for clients that take nothing. */
static void
relay_tick (Sim *sim, unsigned i)
{
  uint8_t frame[DERP_HEADER_SIZE];

  derp_header_encode (DERP_KEEP_ALIVE, 0, frame);
  const GArray *live = sim->relays[i]->live;
  for (guint n = live->len; n > 0; n--) {
    uint32_t id = g_array_index (live, uint32_t, n - 1);
    SimStream *stream = stream_get (sim, id);
    if (stream->state != STREAM_UP)
      continue;
    if (stream->unreachable_us && sim->now_us - stream->unreachable_us > UNREACHABLE_US)
      relay_drops (sim, id);
    else
      stream_plan (sim, id, SIM_STREAM_DOWN, frame, sizeof frame);
  }
  sim_plan (sim, SIM_RELAY_TICK, i, 0, KEEP_ALIVE_US);
}

static void
relay_set_up (Sim *sim, unsigned i, bool up)
{
  SimRelay *relay = sim->relays[i];

  if (relay->up == up)
    return;
  relay->up = up;
  relay->changed_us = sim->now_us;
  for (guint n = up ? 0 : relay->live->len; n > 0; n--) {
    uint32_t id = g_array_index (relay->live, uint32_t, n - 1);
    if (stream_get (sim, id)->state == STREAM_DIALING)
      continue;
    stream_plan (sim, id, SIM_STREAM_END_DOWN, NULL, 0);
    stream_release (sim, id);
  }
}

void
sim_relay_event (Sim *sim, const SimEvent *event)
{
  SimNode *node;

  switch (event->type) {
    case SIM_STREAM_OPEN:
      stream_open (sim, event->target);
      break;
    case SIM_STREAM_UP:
      relay_bytes (sim, event->target, event->data, event->size);
      break;
    case SIM_STREAM_DOWN:
      stream_down (sim, event->target, event->data, event->size);
      break;
    case SIM_STREAM_END_UP:
      relay_drops (sim, event->target);
      break;
    case SIM_STREAM_END_DOWN:
      node = stream_node (sim, stream_get (sim, event->target));
      if (node)
        sim_node_stream_end (node, event->target);
      break;
    case SIM_RELAY_TICK:
      relay_tick (sim, event->target);
      break;
    case SIM_RELAY_DOWN:
    case SIM_RELAY_UP:
      relay_set_up (sim, event->target, event->type == SIM_RELAY_UP);
      break;
    default:
      break;
  }
}

size_t
sim_streams_held (const Sim *sim)
{
  size_t held = 0;

  for (unsigned i = 0; i < SIM_RELAYS; i++)
    for (guint n = 0; n < sim->relays[i]->live->len; n++)
      held += stream_get (sim, g_array_index (sim->relays[i]->live, uint32_t, n))->held.size;
  return held;
}
