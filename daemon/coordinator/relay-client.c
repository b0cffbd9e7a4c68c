#include "coordinator/relay-client.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX        8192
#define INFO_MAX        16384
#define NOT_HERE_BURST  3
#define KEEP_ALIVE_US   (60 * USEC_PER_SEC)
#define KEEP_ALIVE_SPAN (5 * USEC_PER_SEC)

void
relay_client_init (RelayClient *client, const RelayIdentity *identity)
{
  *client = (RelayClient){
      .identity = identity,
      .not_here_left = NOT_HERE_BURST,
      .keep_alive_us = TIME_NEVER,
  };
}

static void
queue_clear (RelayQueue *queue)
{
  for (RelayPacket *packet = queue->first; packet;) {
    RelayPacket *next = packet->next;
    free (packet);
    packet = next;
  }
  *queue = (RelayQueue){0};
}

void
relay_client_clear (RelayClient *client)
{
  queue_clear (&client->disco);
  queue_clear (&client->data);
  buffer_free (&client->in);
  buffer_free (&client->out);
}

/* ---- HTTP ---- */

static void
answer (RelayClient *client, int status, const char *reason, const char *extra, const char *body)
{
  buffer_append_format (&client->out,
                        "HTTP/1.1 %d %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        status, reason, extra, strlen (body), body);
  client->stage = RELAY_OVER;
}

static bool
target_is (const Http1Head *head, const char *path)
{
  size_t n = strlen (path);

  return head->target.length >= n && memcmp (head->target.text, path, n) == 0
         && (head->target.length == n || head->target.text[n] == '?');
}

/* The challenge of a captive-portal check, echoed when it is harmless text. */
static void
answer_204 (RelayClient *client, const Http1Head *head)
{
  static const char harmless[]
      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:";
  Http1Text challenge = http1_field (head, "x-tailscale-challenge");
  char extra[128] = "";
  bool echo = challenge.length > 0 && challenge.length <= 64;

  for (size_t i = 0; echo && i < challenge.length; i++)
    echo = strchr (harmless, challenge.text[i]) != NULL;
  if (echo)
    snprintf (extra, sizeof extra, "X-Tailscale-Response: response %.*s\r\n", (int)challenge.length,
              challenge.text);
  answer (client, 204, "No Content", extra, "");
}

static void
start_derp (RelayClient *client, bool fast_start)
{
  uint8_t frame[DERP_SERVER_KEY_SIZE];
  char key[2 * KEY_SIZE + 1];

  hex_encode (client->identity->server_key.bytes, KEY_SIZE, key);
  if (!fast_start)
    buffer_append_format (&client->out,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
                          "Connection: Upgrade\r\nDerp-Version: 2\r\nDerp-Public-Key: %s\r\n\r\n",
                          key);
  derp_server_key_encode (&client->identity->server_key, frame);
  buffer_append (&client->out, frame, sizeof frame);
  client->stage = RELAY_LOGIN;
}

static void
read_head (RelayClient *client)
{
  Http1Head head;

  http1_head_init (&head, true);
  switch (http1_head_parse (&head, client->in.data, client->in.size)) {
    case HTTP1_MORE:
      if (client->in.size > HEAD_MAX)
        client->stage = RELAY_OVER;
      return;
    case HTTP1_BAD:
      client->stage = RELAY_OVER;
      return;
    case HTTP1_DONE:
      break;
  }
  if (target_is (&head, "/derp")) {
    if (http1_field_has (&head, "upgrade", "derp")
        || http1_field_has (&head, "upgrade", "websocket"))
      start_derp (client, http1_field (&head, "derp-fast-start").length > 0);
    else
      answer (client, 426, "Upgrade Required", "", "DERP requires connection upgrade\n");
  } else if (target_is (&head, "/derp/probe") || target_is (&head, "/derp/latency-check")) {
    answer (client, 200, "OK", "Access-Control-Allow-Origin: *\r\n", "");
  } else if (target_is (&head, "/generate_204")) {
    answer_204 (client, &head);
  } else {
    answer (client, 404, "Not Found", "", "not found\n");
  }
  buffer_consume (&client->in, head.body_offset);
}

/* ---- login ---- */

static bool
read_info (RelayClient *client, const DerpFrame *frame)
{
  const uint8_t *nonce, *box;
  uint8_t shared[32], *json = NULL;
  size_t size;
  bool ok = frame->type == DERP_CLIENT_INFO && frame->size <= INFO_MAX
            && derp_client_info_parse (frame, &client->key, &nonce, &box, &size)
            && size >= BOX_TAG_SIZE
            && box_shared (client->identity->private_key, client->key.bytes, shared);

  if (!ok)
    return false;
  json = mem_new (size);
  ok = box_open (shared, nonce, box, size, json);
  free (json);
  return ok;
}

void
relay_client_accept (RelayClient *client, int64_t now_us)
{
  static const char json[] = "{\"version\":2}";
  uint8_t shared[32], nonce[BOX_NONCE_SIZE], frame[256];

  if (!box_shared (client->identity->private_key, client->key.bytes, shared)) {
    client->stage = RELAY_OVER;
    return;
  }
  random_fill (client->identity->random, nonce, sizeof nonce);
  size_t n = derp_server_info_encode (shared, nonce, json, sizeof json - 1, frame, sizeof frame);
  buffer_append (&client->out, frame, n);
  client->stage = RELAY_UP;
  client->keep_alive_every_us
      = KEEP_ALIVE_US + random_between (client->identity->random, 0, KEEP_ALIVE_SPAN);
  client->keep_alive_us = now_us + client->keep_alive_every_us;
}

/* ---- frames ---- */

static void
answer_ping (RelayClient *client, const DerpFrame *frame)
{
  uint8_t head[DERP_HEADER_SIZE];

  if (frame->size != DERP_PING_SIZE) {
    client->stage = RELAY_OVER;
    return;
  }
  derp_header_encode (DERP_PONG, DERP_PING_SIZE, head);
  buffer_append (&client->out, head, sizeof head);
  buffer_append (&client->out, frame->body, DERP_PING_SIZE);
}

static RelayEventType
read_frame (RelayClient *client, const DerpFrame *frame, RelayEvent *event)
{
  switch (frame->type) {
    case DERP_SEND_PACKET:
      if (!derp_packet_parse (frame, &event->destination, &event->packet, &event->size))
        client->stage = RELAY_OVER;
      else
        return RELAY_EVENT_PACKET;
      break;
    case DERP_NOTE_PREFERRED:
      client->preferred = frame->size == 1 && frame->body[0] == 1;
      break;
    case DERP_PING:
      answer_ping (client, frame);
      break;
    case DERP_WATCH_CONNS:
    case DERP_CLOSE_PEER:
    case DERP_FORWARD_PACKET:
      client->stage = RELAY_OVER; /* for other relays only */
      break;
    default:
      break;
  }
  return RELAY_EVENT_NONE;
}

void
relay_client_feed (RelayClient *client, const void *data, size_t size)
{
  buffer_append (&client->in, data, size);
  if (client->stage == RELAY_HEAD)
    read_head (client);
}

RelayEventType
relay_client_next (RelayClient *client, RelayEvent *event)
{
  while (client->stage == RELAY_LOGIN || client->stage == RELAY_UP) {
    DerpFrame frame;
    size_t used, max = client->stage == RELAY_LOGIN ? INFO_MAX : DERP_PACKET_MAX + KEY_SIZE;
    DerpReadResult result = derp_frame_read (client->in.data, client->in.size, max, &frame, &used);
    if (result == DERP_READ_MORE)
      break;
    if (result == DERP_READ_ERROR) {
      client->stage = RELAY_OVER;
      break;
    }
    if (client->stage == RELAY_LOGIN) {
      bool ok = read_info (client, &frame);
      buffer_consume (&client->in, used);
      if (!ok)
        client->stage = RELAY_OVER;
      return ok ? RELAY_EVENT_LOGIN : RELAY_EVENT_NONE;
    }
    RelayEventType type = read_frame (client, &frame, event);
    /* The bytes stay where they are until the buffer is written to again. */
    buffer_consume (&client->in, used);
    if (type != RELAY_EVENT_NONE)
      return event->type = type;
  }
  return RELAY_EVENT_NONE;
}

/* ---- packets for this client ---- */

static void
queue_drop_first (RelayQueue *queue)
{
  RelayPacket *packet = queue->first;

  queue->first = packet->next;
  if (!queue->first)
    queue->last = NULL;
  queue->n--;
  queue->bytes -= packet->size;
  free (packet);
}

void
relay_client_deliver (RelayClient *client, const NodePublic *source, const uint8_t *packet,
                      size_t size)
{
  RelayQueue *queue = derp_packet_is_disco (packet, size) ? &client->disco : &client->data;
  size_t total = DERP_SEND_OVERHEAD + size;

  while (queue->n > 0
         && (queue->n >= RELAY_QUEUE_PACKETS || queue->bytes + total > RELAY_QUEUE_BYTES))
    queue_drop_first (queue);
  RelayPacket *entry = mem_resize (NULL, sizeof *entry + total);
  entry->next = NULL;
  entry->size = total;
  derp_recv_packet_head (source, size, entry->frame);
  memcpy (entry->frame + DERP_SEND_OVERHEAD, packet, size);
  if (queue->last)
    queue->last->next = entry;
  else
    queue->first = entry;
  queue->last = entry;
  queue->n++;
  queue->bytes += total;
}

void
relay_client_gone (RelayClient *client, const NodePublic *key, DerpGoneReason reason)
{
  uint8_t frame[DERP_PEER_GONE_SIZE];

  if (reason == DERP_GONE_NOT_HERE) {
    if (client->not_here_left == 0)
      return;
    client->not_here_left--;
  }
  derp_peer_gone_encode (key, reason, frame);
  buffer_append (&client->out, frame, sizeof frame);
}

static void
take_queue (RelayQueue *queue, Buffer *out, size_t limit)
{
  while (queue->first && out->size < limit) {
    buffer_append (out, queue->first->frame, queue->first->size);
    queue_drop_first (queue);
  }
}

void
relay_client_take (RelayClient *client, Buffer *out, size_t limit)
{
  if (client->out.size > 0) {
    buffer_append (out, client->out.data, client->out.size);
    buffer_reset (&client->out);
  }
  take_queue (&client->disco, out, limit);
  take_queue (&client->data, out, limit);
}

int64_t
relay_client_tick (RelayClient *client, int64_t now_us)
{
  if (client->stage == RELAY_UP && client->keep_alive_us <= now_us) {
    uint8_t head[DERP_HEADER_SIZE];
    derp_header_encode (DERP_KEEP_ALIVE, 0, head);
    buffer_append (&client->out, head, sizeof head);
    client->keep_alive_us = now_us + client->keep_alive_every_us;
    client->not_here_left = NOT_HERE_BURST;
  }
  return client->keep_alive_us;
}
