#include "derp/client.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "derp/bucket.h"
#include "derp/carrier.h"
#include "derp/login.h"
#include "derp/queue.h"
#include "wire/buffer.h"
#include "wire/http1.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX         512
#define BODY_QUOTE_MAX   200   /* of an HTTP error, in texts */
#define CONTROL_MAX      4096  /* pongs are not queued behind more than this */
#define PACKET_TAKEN_MAX 65535 /* larger ones cannot be WireGuard's */
#define FRAME_KEPT_MAX   (KEY_SIZE + DERP_PACKET_MAX)

typedef enum
{
  STATE_NEW,        /* no byte stream yet: packets are queued */
  STATE_HTTP,       /* request written, waiting for 101 */
  STATE_SERVER_KEY, /* waiting for ServerKey */
  STATE_LOGGING_IN, /* ClientInfo written: sending is allowed */
  STATE_UP,         /* ServerInfo was right */
  STATE_CLOSING,    /* the CLOSE action has yet to be taken */
  STATE_CLOSED,
} State;

struct DerpClient
{
  State state;
  Random *random;
  uint8_t *node_private; /* secret memory */
  uint8_t *mesh_key;     /* secret memory, NULL: none */
  NodePublic node_public;
  char *host;
  char *ideal_node;
  char *user_agent;
  uint16_t port;
  bool home;
  bool fast_start;
  DerpPublic server_key;
  uint8_t shared[32]; /* with the server's key */
  Http1Head head;
  DerpCarrier carrier;
  Buffer in;
  size_t consumed; /* bytes of IN that the last action borrowed */
  size_t skip;     /* bytes of a frame that is not wanted, still to come */
  Buffer control;  /* bytes that go out before queued packets; may hold a part of a frame */
  DerpQueue queue;
  DerpBucket bucket;
  int64_t login_deadline_us;
  int64_t heard_us;         /* last frame, or when the stream opened */
  int64_t unanswered_us;    /* first write since the last frame, 0: none */
  int64_t ping_deadline_us; /* TIME_NEVER: no ping is out */
  uint8_t ping[DERP_PING_SIZE];
  int64_t last_frame_us;
  int64_t last_queued_us;
  uint64_t sent;
  uint64_t received;
  uint64_t dropped;
  DerpCloseReason close_reason;
  char text[TEXT_MAX];
};

static char *
copy_text (const char *text)
{
  return text ? mem_strndup (text, strlen (text)) : NULL;
}

DerpClient *
derp_client_new (const DerpClientConfig *config, Random *random)
{
  DerpClient *c = mem_new (sizeof *c);

  c->random = random;
  c->node_private = secret_new (KEY_SIZE);
  memcpy (c->node_private, config->node_private, KEY_SIZE);
  key_public (c->node_private, c->node_public.bytes);
  if (config->mesh_key) {
    c->mesh_key = secret_new (KEY_SIZE);
    memcpy (c->mesh_key, config->mesh_key, KEY_SIZE);
  }
  c->host = copy_text (config->host);
  c->ideal_node = copy_text (config->ideal_node);
  c->user_agent = copy_text (config->user_agent);
  c->port = config->port;
  c->home = config->home;
  c->carrier.wanted = config->web_socket;
  c->login_deadline_us = TIME_NEVER;
  c->ping_deadline_us = TIME_NEVER;
  derp_queue_init (&c->queue);
  return c;
}

void
derp_client_free (DerpClient *c)
{
  if (!c)
    return;
  secret_free (c->node_private);
  secret_free (c->mesh_key);
  sodium_memzero (c->shared, sizeof c->shared);
  free (c->host);
  free (c->ideal_node);
  free (c->user_agent);
  derp_carrier_clear (&c->carrier);
  buffer_free (&c->in);
  buffer_free (&c->control);
  derp_queue_clear (&c->queue);
  free (c);
}

static bool
is_open (const DerpClient *c)
{
  return c->state >= STATE_HTTP && c->state <= STATE_UP;
}

static void
give_up (DerpClient *c, DerpCloseReason reason, const char *text)
{
  if (c->state >= STATE_CLOSING)
    return;
  c->close_reason = c->state == STATE_UP ? DERP_CLOSE_LOST : reason;
  if (text != c->text)
    snprintf (c->text, sizeof c->text, "%s", text);
  c->state = STATE_CLOSING;
}

/* ---- login ---- */

static void
write_home (DerpClient *c)
{
  uint8_t frame[DERP_HEADER_SIZE + 1];

  derp_header_encode (DERP_NOTE_PREFERRED, 1, frame);
  frame[DERP_HEADER_SIZE] = c->home;
  buffer_append (&c->control, frame, sizeof frame);
}

static void
write_login (DerpClient *c)
{
  uint8_t frame[DERP_LOGIN_FRAME_MAX];
  uint8_t nonce[BOX_NONCE_SIZE];

  if (!box_shared (c->node_private, c->server_key.bytes, c->shared)) {
    give_up (c, DERP_CLOSE_LOGIN, "the relay's key is not valid");
    return;
  }
  random_fill (c->random, nonce, sizeof nonce);
  buffer_append (&c->control, frame,
                 derp_login_encode (&c->node_public, c->shared, nonce, c->mesh_key, frame,
                                    sizeof frame));
  if (c->home)
    write_home (c);
  if (c->mesh_key) {
    derp_header_encode (DERP_WATCH_CONNS, 0, frame);
    buffer_append (&c->control, frame, DERP_HEADER_SIZE);
  }
  c->state = STATE_LOGGING_IN;
}

static void
write_request (DerpClient *c)
{
  buffer_append_format (&c->control, "GET /derp HTTP/1.1\r\nHost: %s", c->host);
  if (c->port != 443)
    buffer_append_format (&c->control, ":%u", c->port);
  buffer_append_format (&c->control, "\r\nUser-Agent: %s\r\nConnection: Upgrade\r\n",
                        c->user_agent);
  if (c->fast_start)
    buffer_append_text (&c->control, "Derp-Fast-Start: 1\r\n");
  if (c->ideal_node)
    buffer_append_format (&c->control, "Ideal-Node: %s\r\n", c->ideal_node);
  derp_carrier_ask (&c->carrier, c->random, &c->control);
}

static void
on_connected (DerpClient *c, const DerpClientEvent *event, int64_t now_us)
{
  if (c->state != STATE_NEW)
    return;
  c->fast_start = event->connected.fast_start && !c->carrier.wanted;
  c->server_key = event->connected.server_key;
  c->login_deadline_us = now_us + DERP_LOGIN_US;
  c->heard_us = now_us;
  c->state = STATE_HTTP;
  write_request (c);
  if (c->fast_start)
    write_login (c);
  else
    http1_head_init (&c->head, false);
}

/* Text of a refusal with the start of its body, made fit for one line. */
static void
refuse_http (DerpClient *c, const uint8_t *body, size_t size)
{
  int n = snprintf (c->text, sizeof c->text, "the relay answered HTTP status %d: ", c->head.status);

  for (size_t i = 0; i < size && i < BODY_QUOTE_MAX; i++)
    c->text[n++] = body[i] >= 0x20 && body[i] < 0x7f ? (char)body[i] : ' ';
  while (n > 0 && (c->text[n - 1] == ' ' || c->text[n - 1] == ':'))
    n--;
  c->text[n] = '\0';
  give_up (c, c->carrier.wanted ? DERP_CLOSE_LOGIN : DERP_CLOSE_UPGRADE, c->text);
}

/* What came behind the head is in messages already when it grants WebSocket. */
static void
begin_frames (DerpClient *c)
{
  Buffer behind = c->in;

  c->in = (Buffer){0};
  c->state = STATE_SERVER_KEY;
  if (!derp_carrier_read (&c->carrier, behind.data, behind.size, c->random, &c->in))
    give_up (c, DERP_CLOSE_LOGIN, "the relay broke the protocol");
  buffer_free (&behind);
}

/* Any status but 101 is an error; its body is quoted as far as it came with the head. */
static bool
parse_head (DerpClient *c)
{
  switch (http1_head_parse (&c->head, c->in.data, c->in.size)) {
    case HTTP1_MORE:
      return false;
    case HTTP1_BAD:
      give_up (c, DERP_CLOSE_LOGIN, "the relay does not answer in HTTP");
      return true;
    case HTTP1_DONE:
      break;
  }
  size_t body = c->head.body_offset;
  if (c->head.status == 101 && derp_carrier_granted (&c->carrier, &c->head)) {
    buffer_consume (&c->in, body);
    begin_frames (c);
    return true;
  }
  refuse_http (c, c->in.data + body, c->in.size - body);
  return true;
}

/* ---- frames from the relay ---- */

static void
on_server_key (DerpClient *c, const DerpFrame *frame)
{
  if (!derp_server_key_parse (frame, &c->server_key))
    give_up (c, DERP_CLOSE_LOGIN, "the relay did not send its key");
  else
    write_login (c);
}

static void
on_server_info (DerpClient *c, const DerpFrame *frame, int64_t now_us, DerpClientAction *action,
                bool *has_action)
{
  DerpServerInfo info;

  if (!derp_server_info_parse (frame, c->shared, &info)) {
    give_up (c, DERP_CLOSE_LOGIN, "the relay's login answer cannot be opened");
    return;
  }
  derp_bucket_set (&c->bucket, info.bytes_per_second, info.bytes_burst, now_us);
  c->login_deadline_us = TIME_NEVER;
  if (c->state != STATE_UP) {
    c->state = STATE_UP;
    action->type = DERP_CLIENT_ACTION_UP;
    *has_action = true;
  }
}

static void
on_ping (DerpClient *c, const DerpFrame *frame)
{
  uint8_t header[DERP_HEADER_SIZE];

  if (frame->size < DERP_PING_SIZE || c->control.size > CONTROL_MAX)
    return;
  derp_header_encode (DERP_PONG, DERP_PING_SIZE, header);
  buffer_append (&c->control, header, sizeof header);
  buffer_append (&c->control, frame->body, DERP_PING_SIZE);
}

static void
on_pong (DerpClient *c, const DerpFrame *frame)
{
  if (frame->size >= DERP_PING_SIZE && memcmp (frame->body, c->ping, DERP_PING_SIZE) == 0)
    c->ping_deadline_us = TIME_NEVER;
}

static bool
on_packet (DerpClient *c, const DerpFrame *frame, DerpClientAction *action)
{
  action->type = DERP_CLIENT_ACTION_PACKET;
  if (!derp_packet_parse (frame, &action->packet.source, &action->packet.data,
                          &action->packet.size))
    return false;
  c->received++;
  return action->packet.size <= PACKET_TAKEN_MAX;
}

static void
on_health (DerpClient *c, const DerpFrame *frame, DerpClientAction *action)
{
  size_t n = 0;

  for (size_t i = 0; i < frame->size && n < sizeof c->text - 1; i++)
    c->text[n++] = frame->body[i] >= 0x20 && frame->body[i] != 0x7f ? (char)frame->body[i] : ' ';
  c->text[n] = '\0';
  action->type = DERP_CLIENT_ACTION_HEALTH;
  action->health = c->text;
}

static bool
on_restarting (const DerpFrame *frame, DerpClientAction *action)
{
  uint32_t reconnect_ms, try_ms;

  action->type = DERP_CLIENT_ACTION_RESTARTING;
  if (!derp_restarting_parse (frame, &reconnect_ms, &try_ms))
    return false;
  action->restart_us = reconnect_ms * USEC_PER_MSEC;
  return true;
}

/* True when the frame gives the caller something to do. */
static bool
on_frame (DerpClient *c, const DerpFrame *frame, DerpClientAction *action, int64_t now_us)
{
  bool has_action = false;

  c->heard_us = c->last_frame_us = now_us;
  c->unanswered_us = 0;
  if (c->state == STATE_SERVER_KEY) {
    on_server_key (c, frame);
    return false;
  }
  switch (frame->type) {
    case DERP_SERVER_INFO:
      on_server_info (c, frame, now_us, action, &has_action);
      return has_action;
    case DERP_RECV_PACKET:
      return on_packet (c, frame, action);
    case DERP_PEER_GONE:
      action->type = DERP_CLIENT_ACTION_PEER_GONE;
      return derp_peer_gone_parse (frame, &action->peer_gone.peer, &action->peer_gone.reason);
    case DERP_PEER_PRESENT:
      action->type = DERP_CLIENT_ACTION_PEER_PRESENT;
      if (!c->mesh_key || frame->size < KEY_SIZE)
        return false;
      memcpy (action->peer_present.bytes, frame->body, KEY_SIZE);
      return true;
    case DERP_PING:
      on_ping (c, frame);
      return false;
    case DERP_PONG:
      on_pong (c, frame);
      return false;
    case DERP_RESTARTING:
      return on_restarting (frame, action);
    case DERP_HEALTH:
      on_health (c, frame, action);
      return true;
    default: /* KeepAlive, a late ServerKey, and what later versions may send */
      return false;
  }
}

/* Lets the rest of a frame pass that is larger than anything wanted; false: nothing to skip. */
static bool
skip_large_frame (DerpClient *c, int64_t now_us)
{
  if (c->in.size < DERP_HEADER_SIZE)
    return false;
  size_t body = load_be32 (c->in.data + 1);
  if (body <= FRAME_KEPT_MAX || body > DERP_BODY_MAX || c->in.data[0] == DERP_SERVER_INFO)
    return false;
  c->heard_us = c->last_frame_us = now_us;
  c->unanswered_us = 0;
  c->skip = DERP_HEADER_SIZE + body;
  return true;
}

/* One step of parsing. True with *HAS_ACTION when ACTION was filled; false: more bytes needed. */
static bool
parse_step (DerpClient *c, DerpClientAction *action, bool *has_action, int64_t now_us)
{
  DerpFrame frame;
  size_t used;

  if (c->skip > 0) {
    size_t n = c->skip < c->in.size ? c->skip : c->in.size;
    buffer_consume (&c->in, n);
    c->skip -= n;
    return n > 0;
  }
  if (c->state == STATE_HTTP)
    return parse_head (c);
  if (skip_large_frame (c, now_us))
    return true;
  switch (derp_frame_read (c->in.data, c->in.size, DERP_BODY_MAX, &frame, &used)) {
    case DERP_READ_MORE:
      return false;
    case DERP_READ_ERROR:
      give_up (c, DERP_CLOSE_LOGIN, "the relay broke the protocol");
      return true;
    case DERP_READ_FRAME:
      break;
  }
  c->consumed = used;
  *has_action = on_frame (c, &frame, action, now_us);
  return true;
}

bool
derp_client_next_action (DerpClient *c, DerpClientAction *action, int64_t now_us)
{
  bool has_action = false;

  do {
    buffer_consume (&c->in, c->consumed);
    c->consumed = 0;
    if (c->state == STATE_CLOSING) {
      c->state = STATE_CLOSED;
      action->type = DERP_CLIENT_ACTION_CLOSE;
      action->close.reason = c->close_reason;
      action->close.text = c->text;
      return true;
    }
    if (!is_open (c) || c->in.size == 0)
      return false;
  } while (parse_step (c, action, &has_action, now_us) && !has_action);
  return has_action || (c->state == STATE_CLOSING && derp_client_next_action (c, action, now_us));
}

/* ---- events ---- */

static void
on_end (DerpClient *c)
{
  if (c->state == STATE_UP)
    give_up (c, DERP_CLOSE_LOST, "the relay closed the connection");
  else if (c->state == STATE_LOGGING_IN)
    give_up (c, DERP_CLOSE_REFUSED, "the relay refused this device");
  else
    give_up (c, DERP_CLOSE_LOGIN, "the relay closed the connection before the login");
}

static void
start_ping (DerpClient *c, int64_t now_us)
{
  uint8_t header[DERP_HEADER_SIZE];

  if (c->state != STATE_UP || c->ping_deadline_us != TIME_NEVER)
    return;
  random_fill (c->random, c->ping, sizeof c->ping);
  derp_header_encode (DERP_PING, DERP_PING_SIZE, header);
  buffer_append (&c->control, header, sizeof header);
  buffer_append (&c->control, c->ping, sizeof c->ping);
  c->ping_deadline_us = now_us + DERP_PING_TIMEOUT_US;
}

static void
check_deadlines (DerpClient *c, int64_t now_us)
{
  if (!is_open (c))
    return;
  if (now_us >= c->login_deadline_us)
    give_up (c, DERP_CLOSE_LOGIN, "the relay did not answer the login in time");
  else if (now_us >= c->ping_deadline_us || now_us - c->heard_us >= DERP_SILENCE_US)
    give_up (c, DERP_CLOSE_LOST, "the relay does not answer any more");
  else if (c->unanswered_us != 0 && now_us - c->unanswered_us >= DERP_PROBE_AFTER_US)
    start_ping (c, now_us);
}

static void
on_home (DerpClient *c, bool home)
{
  if (c->home == home)
    return;
  c->home = home;
  if (c->state == STATE_LOGGING_IN || c->state == STATE_UP)
    write_home (c);
}

void
derp_client_input (DerpClient *c, const DerpClientEvent *event, int64_t now_us)
{
  if (c->state >= STATE_CLOSING)
    return;
  switch (event->type) {
    case DERP_CLIENT_EVENT_TICK:
      check_deadlines (c, now_us);
      break;
    case DERP_CLIENT_EVENT_CONNECTED:
      on_connected (c, event, now_us);
      break;
    case DERP_CLIENT_EVENT_BYTES:
      if (is_open (c)
          && !derp_carrier_read (&c->carrier, event->bytes.data, event->bytes.size, c->random,
                                 &c->in))
        on_end (c);
      break;
    case DERP_CLIENT_EVENT_END:
      on_end (c);
      break;
    case DERP_CLIENT_EVENT_SEND:
    case DERP_CLIENT_EVENT_FORWARD:
      derp_queue_push (&c->queue,
                       event->type == DERP_CLIENT_EVENT_FORWARD ? &event->send.source : NULL,
                       &event->send.peer, event->send.data, event->send.size, now_us);
      c->last_queued_us = now_us;
      break;
    case DERP_CLIENT_EVENT_HOME:
      on_home (c, event->home);
      break;
    case DERP_CLIENT_EVENT_PING:
      start_ping (c, now_us);
      break;
  }
}

int64_t
derp_client_next_deadline (const DerpClient *c)
{
  if (c->state == STATE_CLOSING)
    return 0;
  if (!is_open (c))
    return TIME_NEVER;
  int64_t deadline = time_min (c->login_deadline_us, c->ping_deadline_us);
  if (c->unanswered_us != 0 && c->ping_deadline_us == TIME_NEVER && c->state == STATE_UP)
    deadline = time_min (deadline, c->unanswered_us + DERP_PROBE_AFTER_US);
  return time_min (deadline, c->heard_us + DERP_SILENCE_US);
}

/* ---- bytes for the relay ---- */

static bool
may_send_packets (const DerpClient *c)
{
  return c->state == STATE_LOGGING_IN || c->state == STATE_UP;
}

bool
derp_client_wants_write (const DerpClient *c)
{
  return is_open (c)
         && (c->control.size > 0 || c->carrier.answers.size > 0
             || (may_send_packets (c) && !derp_queue_empty (&c->queue)));
}

static size_t
take_control (DerpClient *c, uint8_t *out, size_t capacity)
{
  size_t n = c->control.size < capacity ? c->control.size : capacity;

  if (n > 0)
    memcpy (out, c->control.data, n);
  buffer_consume (&c->control, n);
  return n;
}

static size_t
pull_frames (DerpClient *c, uint8_t *bytes, size_t capacity, int64_t now_us)
{
  const DerpQueued *next;
  size_t n = take_control (c, bytes, capacity);
  while (may_send_packets (c) && c->control.size == 0
         && (next = derp_queue_peek (&c->queue, now_us))) {
    if (n > 0 && next->size > capacity - n)
      break;
    if (!derp_bucket_take (&c->bucket, next->size, now_us)) {
      c->dropped++;
    } else if (next->size <= capacity - n) {
      memcpy (bytes + n, next->frame, next->size);
      n += next->size;
      c->sent++;
    } else { /* larger than a record: goes out in parts */
      buffer_append (&c->control, next->frame, next->size);
      n += take_control (c, bytes + n, capacity - n);
      c->sent++;
    }
    derp_queue_pop (&c->queue);
  }
  if (n > 0 && c->unanswered_us == 0)
    c->unanswered_us = now_us;
  return n;
}

size_t
derp_client_pull (DerpClient *c, void *out, size_t capacity, int64_t now_us)
{
  uint8_t frames[DERP_RECORD_SIZE];
  size_t room = derp_carrier_room (&c->carrier, capacity);

  if (!is_open (c))
    return 0;
  if (!c->carrier.on)
    return pull_frames (c, out, capacity, now_us);
  size_t n = pull_frames (c, frames, room < sizeof frames ? room : sizeof frames, now_us);
  return derp_carrier_write (&c->carrier, frames, n, c->random, out, capacity);
}

void
derp_client_status (const DerpClient *c, DerpClientStatus *out)
{
  *out = (DerpClientStatus){
      .up = c->state == STATE_UP,
      .last_frame_us = c->last_frame_us,
      .last_queued_us = c->last_queued_us,
      .sent = c->sent,
      .received = c->received,
      .dropped = c->dropped + c->queue.dropped,
  };
}
