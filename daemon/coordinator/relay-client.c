#include "coordinator/relay-client.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "coordinator/relay-http.h"
#include "coordinator/relay-info.h"
#include "wire/web-socket.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_HERE_BURST  3
#define NOT_HERE_US     (1 * USEC_PER_SEC) /* until one more notice of absence may be sent */
#define KEEP_ALIVE_US   (60 * USEC_PER_SEC)
#define KEEP_ALIVE_SPAN (5 * USEC_PER_SEC)
#define PING_MAX        1000
#define RUN_MAX         65536       /* bytes after which a run of packets ends */
#define OWN_MAX         (256 << 10) /* bytes of our own frames that may wait */
#define OWN_BODY_MAX    256         /* of one of them */
#define MESSAGE_MAX     16384       /* bytes that go into one WebSocket message */

void
relay_client_init (RelayClient *client, const RelayIdentity *identity)
{
  *client = (RelayClient){
      .identity = identity,
      .not_here = NOT_HERE_BURST,
      .keep_alive_us = TIME_NEVER,
  };
}

void
relay_client_clear (RelayClient *client)
{
  relay_queue_free (client->queue);
  free (client->web_socket);
  buffer_free (&client->rest);
  buffer_free (&client->out);
  sodium_memzero (client->shared, sizeof client->shared);
}

/* ---- bytes from the peer ---- */

void
relay_client_rest (RelayClient *client, Buffer *plain)
{
  client->kept = client->rest.size;
  buffer_append (plain, client->rest.data, client->rest.size);
  buffer_free (&client->rest);
}

void
relay_client_feed (RelayClient *client, uint8_t *data, size_t size)
{
  size_t kept = client->kept, carried;

  client->data = data;
  client->size = size;
  client->kept = 0;
  if (client->stage == RELAY_OVER)
    client->size = 0;
  if (!client->web_socket || size <= kept || client->stage == RELAY_OVER)
    return;
  if (!web_socket_open (client->web_socket, data + kept, size - kept, NULL, &carried, &client->out))
    client->stage = RELAY_OVER;
  client->size = kept + carried;
}

static void
consume (RelayClient *client, size_t size)
{
  client->data += size;
  client->size -= size;
}

/* ---- HTTP ---- */

/* Frames of our own, as a message of their own where there are messages. */
static void
put (RelayClient *client, const void *data, size_t size)
{
  uint8_t head[10];

  if (client->web_socket)
    buffer_append (&client->out, head, web_socket_head (size, head));
  buffer_append (&client->out, data, size);
}

static void
start_web_socket (RelayClient *client)
{
  uint8_t frame[DERP_SERVER_KEY_SIZE];
  size_t carried;

  client->web_socket = mem_new (sizeof *client->web_socket);
  client->web_socket->server = true;
  derp_server_key_encode (&client->identity->server_key, frame);
  put (client, frame, sizeof frame);
  /* What came behind the request is in messages already. */
  if (!web_socket_open (client->web_socket, client->data, client->size, NULL, &carried,
                        &client->out))
    client->stage = RELAY_OVER;
  client->size = carried;
}

/* True when it made progress. */
static bool
read_head (RelayClient *client)
{
  size_t used = 0;

  if (client->size == 0)
    return false;
  RelayHttpResult result = relay_http_answer (client->identity, client->data, client->size, false,
                                              &client->out, &used, &client->not_ideal);
  consume (client, used);
  switch (result) {
    case RELAY_HTTP_MORE:
      return false;
    case RELAY_HTTP_NEXT:
      if (++client->requests >= RELAY_REQUESTS)
        client->stage = RELAY_OVER;
      return true;
    case RELAY_HTTP_OVER:
      client->stage = RELAY_OVER;
      return true;
    case RELAY_HTTP_WEB_SOCKET:
      client->stage = RELAY_LOGIN;
      start_web_socket (client);
      return true;
    case RELAY_HTTP_DERP:
      client->stage = RELAY_LOGIN;
      return true;
  }
  return false;
}

/* ---- login ---- */

static bool
read_info (RelayClient *client, const DerpFrame *frame)
{
  const RelayIdentity *identity = client->identity;
  const uint8_t *nonce, *box;
  uint8_t json[RELAY_INFO_MAX];
  RelayClientInfo info;
  size_t size;

  if (!derp_client_info_parse (frame, &client->key, &nonce, &box, &size) || size <= BOX_TAG_SIZE
      || size > sizeof json
      || !box_shared (identity->private_key, client->key.bytes, client->shared)
      || !box_open (client->shared, nonce, box, size, json)
      || !relay_client_info_parse (json, size - BOX_TAG_SIZE, &info))
    return false;
  client->mesh = info.has_mesh_key && !sodium_is_zero (identity->mesh_key, KEY_SIZE)
                 && sodium_memcmp (identity->mesh_key, info.mesh_key, KEY_SIZE) == 0;
  client->takes_news = info.can_ack_pings;
  client->prober = info.prober;
  return true;
}

static RelayEventType
log_in (RelayClient *client, const DerpFrame *frame)
{
  if (read_info (client, frame))
    return RELAY_EVENT_LOGIN;
  relay_client_refuse (client);
  return RELAY_EVENT_NONE;
}

void
relay_client_refuse (RelayClient *client)
{
  client->refused = true;
  client->stage = RELAY_OVER;
}

void
relay_client_accept (RelayClient *client, int64_t now_us)
{
  static const char json[] = "{\"version\":2}";
  Random *random = client->identity->random;
  uint8_t nonce[BOX_NONCE_SIZE], frame[256];

  random_fill (random, nonce, sizeof nonce);
  size_t n
      = derp_server_info_encode (client->shared, nonce, json, sizeof json - 1, frame, sizeof frame);
  sodium_memzero (client->shared, sizeof client->shared);
  put (client, frame, n);
  client->stage = RELAY_UP;
  client->not_here_us = now_us;
  client->keep_alive_every_us = KEEP_ALIVE_US + random_between (random, 0, KEEP_ALIVE_SPAN);
  client->keep_alive_us = now_us + client->keep_alive_every_us;
}

/* ---- frames ---- */

static void
write_frame (RelayClient *client, DerpFrameType type, const void *body, size_t size)
{
  uint8_t frame[DERP_HEADER_SIZE + OWN_BODY_MAX];

  /* A client that reads nothing has its connection closed soon; until then it costs little. */
  if (client->out.size > OWN_MAX || size > OWN_BODY_MAX)
    return;
  derp_header_encode (type, size, frame);
  if (size > 0)
    memcpy (frame + DERP_HEADER_SIZE, body, size);
  put (client, frame, DERP_HEADER_SIZE + size);
}

static void
answer_ping (RelayClient *client, const DerpFrame *frame)
{
  if (!client->pong_waits)
    write_frame (client, DERP_PONG, frame->body, DERP_PING_SIZE);
  client->pong_waits = true;
}

/* The most and the least that the body of a frame may have; false: a type that is skipped. */
static bool
limits_of (const RelayClient *client, uint8_t type, size_t *least, size_t *most)
{
  *least = 0;
  switch (type) {
    case DERP_SEND_PACKET:
      *least = KEY_SIZE;
      *most = KEY_SIZE + DERP_PACKET_MAX;
      return true;
    case DERP_FORWARD_PACKET:
      *least = 2 * KEY_SIZE;
      *most = client->mesh ? 2 * KEY_SIZE + DERP_PACKET_MAX : 0;
      return true;
    case DERP_NOTE_PREFERRED:
      *least = *most = 1;
      return true;
    case DERP_PING:
      *least = DERP_PING_SIZE;
      *most = PING_MAX;
      return true;
    case DERP_WATCH_CONNS:
      *least = client->mesh ? 0 : 1; /* for other relays only */
      *most = 0;
      return true;
    case DERP_CLOSE_PEER:
      *least = KEY_SIZE;
      *most = client->mesh ? KEY_SIZE : 0;
      return true;
    default:
      *most = DERP_BODY_MAX;
      return false;
  }
}

static void
skip (RelayClient *client)
{
  size_t n = client->skip < client->size ? (size_t)client->skip : client->size;

  client->skip -= n;
  consume (client, n);
}

/* Looks at the head of the next frame. True: a whole frame to be read. False: more bytes are
 * needed, what there was has been skipped, or the connection is over. */
static bool
next_frame (RelayClient *client, DerpFrame *frame)
{
  size_t least, most, body;

  skip (client);
  if (client->size < DERP_HEADER_SIZE)
    return false;
  frame->type = client->data[0];
  body = frame->size = load_be32 (client->data + 1);
  bool known = client->stage == RELAY_LOGIN || limits_of (client, frame->type, &least, &most);
  if (client->stage == RELAY_LOGIN) {
    least = KEY_SIZE + BOX_NONCE_SIZE;
    most = frame->type == DERP_CLIENT_INFO ? RELAY_INFO_MAX : 0;
  }
  if (body > most || body < least || (!known && ++client->unknown > RELAY_UNKNOWN_MAX)) {
    client->refused = client->stage == RELAY_LOGIN;
    client->stage = RELAY_OVER;
    return false;
  }
  if (!known) {
    client->skip = DERP_HEADER_SIZE + body;
    return next_frame (client, frame);
  }
  frame->body = client->data + DERP_HEADER_SIZE;
  return client->size - DERP_HEADER_SIZE >= body;
}

static void
pay (RelayClient *client, size_t size, int64_t now_us)
{
  uint64_t rate = client->identity->rate, burst = client->identity->rate_burst;

  if (rate == 0 || client->mesh)
    return;
  burst = burst > RELAY_RATE_BURST ? burst : RELAY_RATE_BURST;
  int64_t earliest = now_us - (int64_t)(burst * USEC_PER_SEC / rate);
  if (client->paid_us < earliest)
    client->paid_us = earliest;
  client->paid_us += (int64_t)(size * USEC_PER_SEC / rate);
}

int64_t
relay_client_pause (const RelayClient *client, int64_t now_us)
{
  return client->paid_us > now_us ? client->paid_us : 0;
}

/* SendPacket frames to one receiver that follow each other become RecvPacket frames. */
static RelayEventType
read_packets (RelayClient *client, DerpFrame *frame, RelayEvent *event, int64_t now_us)
{
  event->type = RELAY_EVENT_PACKETS;
  event->source = client->key;
  memcpy (event->destination.bytes, frame->body, KEY_SIZE);
  event->frames = client->data;
  event->size = event->n = 0;
  do {
    uint8_t *start = client->data;
    size_t size = DERP_HEADER_SIZE + frame->size;
    derp_recv_packet_head (&client->key, frame->size - KEY_SIZE, start);
    pay (client, frame->size, now_us);
    consume (client, size);
    event->size += size;
    event->n++;
  } while (event->size < RUN_MAX && client->size >= DERP_SEND_OVERHEAD
           && client->data[0] == DERP_SEND_PACKET
           && memcmp (client->data + DERP_HEADER_SIZE, event->destination.bytes, KEY_SIZE) == 0
           && next_frame (client, frame));
  return RELAY_EVENT_PACKETS;
}

/* One packet from another relay: its frame for the receiver begins behind the second key's begin.
 */
static RelayEventType
read_forward (RelayClient *client, const DerpFrame *frame, RelayEvent *event)
{
  uint8_t *start = client->data + KEY_SIZE;

  event->type = RELAY_EVENT_FORWARD;
  memcpy (event->source.bytes, frame->body, KEY_SIZE);
  memcpy (event->destination.bytes, frame->body + KEY_SIZE, KEY_SIZE);
  derp_recv_packet_head (&event->source, frame->size - 2 * KEY_SIZE, start);
  event->frames = start;
  event->size = DERP_HEADER_SIZE + frame->size - KEY_SIZE;
  event->n = 1;
  consume (client, DERP_HEADER_SIZE + frame->size);
  return RELAY_EVENT_FORWARD;
}

static RelayEventType
read_frame (RelayClient *client, DerpFrame *frame, RelayEvent *event, int64_t now_us)
{
  RelayEventType type = RELAY_EVENT_NONE;

  if (client->stage == RELAY_LOGIN)
    type = log_in (client, frame);
  else if (frame->type == DERP_SEND_PACKET)
    return read_packets (client, frame, event, now_us);
  else if (frame->type == DERP_FORWARD_PACKET)
    return read_forward (client, frame, event);
  else if (frame->type == DERP_NOTE_PREFERRED)
    client->preferred = frame->body[0] != 0;
  else if (frame->type == DERP_PING)
    answer_ping (client, frame);
  else if (frame->type == DERP_WATCH_CONNS)
    type = RELAY_EVENT_WATCH;
  else if (frame->type == DERP_CLOSE_PEER) {
    memcpy (event->destination.bytes, frame->body, KEY_SIZE);
    type = RELAY_EVENT_CLOSE;
  }
  pay (client, frame->size, now_us);
  consume (client, DERP_HEADER_SIZE + frame->size);
  return event->type = type;
}

RelayEventType
relay_client_next (RelayClient *client, RelayEvent *event, int64_t now_us)
{
  DerpFrame frame;

  while (client->stage == RELAY_HEAD && read_head (client))
    continue;
  while ((client->stage == RELAY_LOGIN || client->stage == RELAY_UP)
         && next_frame (client, &frame)) {
    RelayEventType type = read_frame (client, &frame, event, now_us);
    if (type != RELAY_EVENT_NONE)
      return type;
  }
  if (client->stage != RELAY_OVER)
    buffer_append (&client->rest, client->data, client->size);
  client->data = NULL;
  client->size = 0;
  return RELAY_EVENT_NONE;
}

/* ---- for this client ---- */

static RelayQueue *
queue_of (RelayClient *client)
{
  if (!client->queue)
    client->queue = relay_queue_new (client->identity->budget);
  return client->queue;
}

unsigned
relay_client_deliver (RelayClient *client, const NodePublic *source, const uint8_t *frames,
                      size_t size)
{
  unsigned dropped = 0;

  while (size >= DERP_SEND_OVERHEAD) {
    size_t n = DERP_HEADER_SIZE + load_be32 (frames + 1);
    bool disco = derp_packet_is_disco (frames + DERP_SEND_OVERHEAD, n - DERP_SEND_OVERHEAD);
    dropped += relay_queue_push (queue_of (client), source, disco, frames, n);
    frames += n;
    size -= n;
  }
  return dropped;
}

unsigned
relay_client_forward (RelayClient *client, const NodePublic *source, const NodePublic *to,
                      const uint8_t *packet, size_t size)
{
  size_t total = DERP_HEADER_SIZE + 2 * KEY_SIZE + size;
  uint8_t *frame = mem_resize (NULL, total);

  derp_header_encode (DERP_FORWARD_PACKET, total - DERP_HEADER_SIZE, frame);
  memcpy (frame + DERP_HEADER_SIZE, source->bytes, KEY_SIZE);
  memcpy (frame + DERP_HEADER_SIZE + KEY_SIZE, to->bytes, KEY_SIZE);
  memcpy (frame + DERP_HEADER_SIZE + 2 * KEY_SIZE, packet, size);
  unsigned dropped = relay_queue_push (queue_of (client), source,
                                       derp_packet_is_disco (packet, size), frame, total);
  free (frame);
  return dropped;
}

static void
tell_gone (RelayClient *client, const NodePublic *key, DerpGoneReason reason)
{
  uint8_t frame[DERP_PEER_GONE_SIZE];

  derp_peer_gone_encode (key, reason, frame);
  write_frame (client, DERP_PEER_GONE, frame + DERP_HEADER_SIZE, sizeof frame - DERP_HEADER_SIZE);
}

void
relay_client_not_here (RelayClient *client, const NodePublic *key, int64_t now_us)
{
  int64_t grown = (now_us - client->not_here_us) / NOT_HERE_US;

  if (grown > 0) {
    client->not_here_us += grown * NOT_HERE_US;
    client->not_here = client->not_here + grown < NOT_HERE_BURST
                           ? (uint8_t)(client->not_here + grown)
                           : NOT_HERE_BURST;
  }
  if (client->not_here == 0)
    return;
  client->not_here--;
  tell_gone (client, key, DERP_GONE_NOT_HERE);
}

void
relay_client_gone (RelayClient *client, const NodePublic *key)
{
  tell_gone (client, key, DERP_GONE_DISCONNECTED);
}

void
relay_client_present (RelayClient *client, const NodePublic *key, const IpPort *at, uint8_t flags)
{
  uint8_t frame[DERP_PEER_PRESENT_SIZE];

  if (!client->mesh)
    return;
  derp_peer_present_encode (key, at, flags, frame);
  write_frame (client, DERP_PEER_PRESENT, frame + DERP_HEADER_SIZE,
               sizeof frame - DERP_HEADER_SIZE);
}

void
relay_client_health (RelayClient *client, const char *text)
{
  if (client->stage == RELAY_UP && client->takes_news)
    write_frame (client, DERP_HEALTH, text, strlen (text));
}

void
relay_client_restarting (RelayClient *client, uint32_t reconnect_ms)
{
  uint8_t frame[DERP_RESTARTING_SIZE];

  derp_restarting_encode (reconnect_ms, RELAY_TRY_MS, frame);
  if (client->stage == RELAY_UP && client->takes_news)
    write_frame (client, DERP_RESTARTING, frame + DERP_HEADER_SIZE,
                 sizeof frame - DERP_HEADER_SIZE);
}

bool
relay_client_idle (const RelayClient *client)
{
  return client->out.size == 0 && (!client->queue || relay_queue_bytes (client->queue) == 0)
         && !client->web_socket && client->stage == RELAY_UP;
}

/* ---- bytes for the peer ---- */

static void
wrap (Buffer *out, const Buffer *plain)
{
  uint8_t head[10];

  for (size_t at = 0; at < plain->size;) {
    size_t left = plain->size - at;
    size_t n = left < MESSAGE_MAX ? left : MESSAGE_MAX;
    buffer_append (out, head, web_socket_head (n, head));
    buffer_append (out, plain->data + at, n);
    at += n;
  }
}

void
relay_client_take (RelayClient *client, Buffer *out, size_t limit)
{
  Buffer plain = {0};

  client->pong_waits = false;
  buffer_append (out, client->out.data, client->out.size);
  buffer_free (&client->out);
  if (!client->queue)
    return;
  relay_queue_take (client->queue, client->web_socket ? &plain : out, limit);
  if (client->web_socket)
    wrap (out, &plain);
  buffer_free (&plain);
  if (relay_queue_bytes (client->queue) == 0) {
    relay_queue_free (client->queue);
    client->queue = NULL;
  }
}

int64_t
relay_client_tick (RelayClient *client, int64_t now_us)
{
  if (client->stage == RELAY_UP && client->keep_alive_us <= now_us) {
    write_frame (client, DERP_KEEP_ALIVE, NULL, 0);
    client->keep_alive_us = now_us + client->keep_alive_every_us;
    client->unknown = 0;
  }
  return client->keep_alive_us;
}
