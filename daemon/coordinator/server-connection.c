#include "coordinator/server-connection.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/h2.h"
#include "wire/http1.h"
#include "wire/noise-record.h"
#include "wire/noise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL    "tailscale-control-protocol"
#define HANDSHAKE   "x-tailscale-handshake"
#define STREAMS_MAX 128

/* A request inside Noise whose body is still coming, or whose answer goes on. */
typedef struct
{
  int32_t stream;
  ServerRequest request;
  Buffer body;
  bool complete; /* the whole request is here */
  bool dispatched;
  bool responding;
} ApiStream;

struct ServerConnection
{
  const MachinePrivate *key;
  Random *random;
  enum
  {
    STAGE_HEAD,
    STAGE_BODY,
    STAGE_API,
    STAGE_OVER,
  } stage;
  Buffer in;
  Buffer out;
  Http1Head *head; /* NULL behind the upgrade */
  Http1Body body_state;
  Buffer body;
  char *method, *path, *cookie, *site; /* of the HTTP/1.1 request at hand */
  ServerRequest ready;                 /* HTTP/1.1 request waiting to be taken */
  bool has_ready;
  bool awaited; /* an HTTP/1.1 request was handed out and not answered */
  bool is_head; /* it was a HEAD */
  bool keep_alive;
  NoiseRecords records;
  H2 *h2;
  MachinePublic machine;
  uint16_t version;
  ApiStream *streams; /* at most STREAMS_MAX */
  size_t n_streams, streams_room;
  int32_t *gone;
  size_t n_gone, gone_room;
};

ServerConnection *
server_connection_new (const MachinePrivate *key, Random *random)
{
  ServerConnection *c = mem_new (sizeof *c);

  c->key = key;
  c->random = random;
  c->head = mem_new (sizeof *c->head);
  http1_head_init (c->head, true);
  return c;
}

void
server_request_clear (ServerRequest *request)
{
  free (request->method);
  free (request->path);
  free (request->cookie);
  free (request->site);
  free (request->body);
  *request = (ServerRequest){0};
}

static void
api_stream_clear (ApiStream *s)
{
  server_request_clear (&s->request);
  buffer_free (&s->body);
}

void
server_connection_free (ServerConnection *c)
{
  for (size_t i = 0; i < c->n_streams; i++)
    api_stream_clear (&c->streams[i]);
  if (c->has_ready)
    server_request_clear (&c->ready);
  if (c->h2)
    h2_free (c->h2);
  noise_records_clear (&c->records);
  free (c->head);
  free (c->streams);
  free (c->gone);
  buffer_free (&c->in);
  buffer_free (&c->out);
  buffer_free (&c->body);
  free (c->method);
  free (c->path);
  free (c->cookie);
  free (c->site);
  free (c);
}

/* ---- HTTP/1.1 ---- */

static const char *
reason_of (int status)
{
  static const struct
  {
    int status;
    const char *reason;
  } reasons[] = {
      {200, "OK"},
      {204, "No Content"},
      {302, "Found"},
      {303, "See Other"},
      {400, "Bad Request"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {409, "Conflict"},
      {413, "Content Too Large"},
      {429, "Too Many Requests"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
  };

  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
    if (reasons[i].status == status)
      return reasons[i].reason;
  return "Error";
}

static void
reply_http1 (ServerConnection *c, int status, const char *type, const char *headers,
             const void *body, size_t size)
{
  static const char strict[]
      = "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";

  buffer_append_format (&c->out,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                        "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
                        "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\n%s%s\r\n",
                        status, reason_of (status), type, size, headers ? headers : strict,
                        c->keep_alive ? "" : "Connection: close\r\n");
  if (!c->is_head)
    buffer_append (&c->out, body, size);
  c->awaited = false;
  if (!c->keep_alive)
    c->stage = STAGE_OVER;
}

static void
refuse (ServerConnection *c, int status, const char *text)
{
  c->keep_alive = false;
  reply_http1 (c, status, "text/plain; charset=utf-8", NULL, text, strlen (text));
  c->stage = STAGE_OVER;
}

/* The upgrade (§5.1): answers, and from here on everything is Noise. */
static void
upgrade (ServerConnection *c)
{
  static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n"
                             "Upgrade: " PROTOCOL "\r\nConnection: upgrade\r\n\r\n";
  Http1Text handshake = http1_field (c->head, HANDSHAKE);
  uint8_t initiation[NOISE_INITIATION_SIZE + 8], response[NOISE_RESPONSE_SIZE];
  uint8_t challenge_private[KEY_SIZE], challenge[KEY_SIZE];
  NoiseKeys keys;
  Buffer early = {0};

  if (http1_field (c->head, "upgrade").length == 0) {
    refuse (c, 400, "missing next protocol");
    return;
  }
  if (!http1_field_has (c->head, "upgrade", PROTOCOL)) {
    refuse (c, 400, "unknown next protocol");
    return;
  }
  if (handshake.length == 0) {
    refuse (c, 400, "missing Tailscale handshake header");
    return;
  }
  if (base64_decode (handshake.text, handshake.length, initiation, sizeof initiation)
      != NOISE_INITIATION_SIZE) {
    refuse (c, 400, "invalid tailscale handshake header");
    return;
  }
  if (noise_respond (c->key, initiation, c->random, &c->machine, &c->version, response, &keys)
      != NOISE_OK) {
    refuse (c, 400, "this is not the key of this server");
    return;
  }
  noise_records_init (&c->records, &keys);
  noise_keys_clear (&keys);
  c->h2 = h2_server_new ();
  c->stage = STAGE_API;
  buffer_append (&c->out, head, sizeof head - 1);
  buffer_append (&c->out, response, sizeof response);
  key_generate (c->random, challenge_private);
  key_public (challenge_private, challenge);
  noise_early_append (challenge, &early);
  noise_records_seal (&c->records, early.data, early.size, &c->out);
  buffer_free (&early);
  buffer_consume (&c->in, c->head->body_offset);
  free (c->head);
  c->head = NULL;
}

static char *
copy_text (Http1Text text)
{
  return mem_strndup (text.text, text.length);
}

static void
finish_http1_request (ServerConnection *c)
{
  c->ready = (ServerRequest){
      .method = c->method,
      .path = c->path,
      .cookie = c->cookie,
      .site = c->site,
  };
  c->ready.size = buffer_steal (&c->body, &c->ready.body);
  c->method = c->path = c->cookie = c->site = NULL;
  c->has_ready = true;
  c->stage = STAGE_HEAD;
  http1_head_init (c->head, true);
}

static void
read_body (ServerConnection *c)
{
  switch (http1_body_feed (&c->body_state, &c->in, &c->body)) {
    case HTTP1_MORE:
      break;
    case HTTP1_DONE:
      finish_http1_request (c);
      break;
    case HTTP1_BAD:
      refuse (c, 413, "this is too much");
      break;
  }
}

static void
read_head (ServerConnection *c)
{
  if (c->out.size > SERVER_UNREAD_MAX) {
    c->stage = STAGE_OVER;
    return;
  }
  Http1Result result = http1_head_parse (c->head, c->in.data, c->in.size);

  if (result == HTTP1_MORE)
    return;
  if (result == HTTP1_BAD) {
    refuse (c, 400, "this is not HTTP");
    return;
  }
  if (strncmp (c->head->target.text, "/ts2021", 7) == 0
      && (c->head->target.length == 7 || c->head->target.text[7] == '?')) {
    upgrade (c);
    return;
  }
  c->keep_alive = c->head->minor == 1 && !http1_field_has (c->head, "connection", "close");
  c->method = copy_text (c->head->method);
  c->path = copy_text (c->head->target);
  c->cookie = copy_text (http1_field (c->head, "cookie"));
  c->site = copy_text (http1_field (c->head, "sec-fetch-site"));
  c->is_head = http1_text_is (c->head->method, "HEAD");
  if (!http1_body_init (&c->body_state, c->head, false, SERVER_BODY_MAX)) {
    refuse (c, 400, "this is not HTTP");
    return;
  }
  if (c->body_state.kind == HTTP1_BODY_LENGTH && c->body_state.left > SERVER_BODY_MAX) {
    refuse (c, 413, "this is too much");
    return;
  }
  buffer_consume (&c->in, c->head->body_offset);
  /* Also a body of no bytes ends here: nothing need follow it. */
  c->stage = STAGE_BODY;
  read_body (c);
}

/* ---- HTTP/2 inside Noise ---- */

static ApiStream *
find_stream (ServerConnection *c, int32_t stream)
{
  for (size_t i = 0; i < c->n_streams; i++)
    if (c->streams[i].stream == stream)
      return &c->streams[i];
  return NULL;
}

static void
drop_stream (ServerConnection *c, ApiStream *s)
{
  api_stream_clear (s);
  *s = c->streams[--c->n_streams];
}

static void
begin_stream (ServerConnection *c, const H2Event *event)
{
  const char *method = h2_event_header (event, ":method"), *path = h2_event_header (event, ":path");

  if (c->n_streams == STREAMS_MAX || !method || !path) {
    h2_reset (c->h2, event->stream, H2_CANCEL);
    return;
  }
  c->streams = mem_grow (c->streams, c->n_streams, &c->streams_room, sizeof *c->streams);
  ApiStream *s = &c->streams[c->n_streams++];
  *s = (ApiStream){.stream = event->stream};
  s->request = (ServerRequest){
      .stream = event->stream,
      .method = mem_strndup (method, strlen (method)),
      .path = mem_strndup (path, strlen (path)),
      .machine = c->machine,
      .version = c->version,
  };
}

static void
take_data (ServerConnection *c, ApiStream *s, const H2Event *event)
{
  size_t all = event->size;

  for (size_t i = 0; i < c->n_streams; i++)
    all += c->streams[i].body.size;
  if (s->body.size + event->size > SERVER_BODY_MAX || all > SERVER_BODIES_MAX) {
    h2_reset (c->h2, s->stream, H2_CANCEL);
    drop_stream (c, s);
    return;
  }
  buffer_append (&s->body, event->data, event->size);
}

static void
note_gone (ServerConnection *c, ApiStream *s)
{
  if (s->dispatched) {
    c->gone = mem_grow (c->gone, c->n_gone, &c->gone_room, sizeof *c->gone);
    c->gone[c->n_gone++] = s->stream;
  }
  drop_stream (c, s);
}

static void
handle_events (ServerConnection *c)
{
  H2Event event;

  while (h2_next_event (c->h2, &event)) {
    ApiStream *s = find_stream (c, event.stream);
    if (event.type == H2_EVENT_HEADERS && !s)
      begin_stream (c, &event);
    else if (event.type == H2_EVENT_DATA && s)
      take_data (c, s, &event);
    else if (event.type == H2_EVENT_RESET && s)
      note_gone (c, s);
    else if (event.type == H2_EVENT_END && s) {
      s->request.size = buffer_steal (&s->body, &s->request.body);
      s->complete = true;
    }
    h2_event_clear (&event);
  }
}

static bool
read_api (ServerConnection *c, const void *data, size_t size)
{
  Buffer plain = {0};
  bool ok = noise_records_open (&c->records, data, size, &plain);

  if (ok && plain.size > 0)
    ok = h2_feed (c->h2, plain.data, plain.size);
  handle_events (c);
  buffer_free (&plain);
  if (!ok || !h2_usable (c->h2))
    c->stage = STAGE_OVER;
  return c->stage != STAGE_OVER;
}

/* ---- the verbs ---- */

bool
server_connection_feed (ServerConnection *c, const void *data, size_t size)
{
  /* Behind the upgrade nothing is kept that was not used. */
  if (c->stage == STAGE_API && c->in.size == 0)
    return read_api (c, data, size);
  buffer_append (&c->in, data, size);
  if ((c->awaited || c->has_ready) && c->in.size > SERVER_AHEAD_MAX)
    c->stage = STAGE_OVER;
  while (c->in.size > 0 && c->stage != STAGE_OVER && !c->has_ready && !c->awaited) {
    size_t before = c->in.size;
    int stage = c->stage;
    if (c->stage == STAGE_HEAD)
      read_head (c);
    else if (c->stage == STAGE_BODY)
      read_body (c);
    else {
      bool ok = read_api (c, c->in.data, c->in.size);
      buffer_free (&c->in);
      if (!ok)
        return false;
    }
    if (c->in.size == before && (int)c->stage == stage)
      break;
  }
  return c->stage != STAGE_OVER;
}

bool
server_connection_next_request (ServerConnection *c, ServerRequest *request)
{
  if (c->has_ready) {
    *request = c->ready;
    c->has_ready = false;
    c->awaited = true;
    return true;
  }
  for (size_t i = 0; i < c->n_streams; i++) {
    ApiStream *s = &c->streams[i];
    if (s->dispatched || !s->complete)
      continue;
    *request = s->request;
    s->request = (ServerRequest){.stream = s->stream};
    s->dispatched = true;
    return true;
  }
  return false;
}

int32_t
server_connection_next_gone (ServerConnection *c)
{
  return c->n_gone > 0 ? c->gone[--c->n_gone] : 0;
}

int32_t
server_connection_abandon (ServerConnection *c)
{
  for (size_t i = 0; i < c->n_streams; i++)
    if (c->streams[i].dispatched) {
      int32_t stream = c->streams[i].stream;
      drop_stream (c, &c->streams[i]);
      return stream;
    }
  return 0;
}

void
server_connection_reply (ServerConnection *c, int32_t stream, int status, const char *type,
                         const char *headers, const void *body, size_t size)
{
  if (stream == 0) {
    if (c->awaited)
      reply_http1 (c, status, type, headers, body, size);
    return;
  }
  ApiStream *s = find_stream (c, stream);
  H2Header h2_headers[] = {{"content-type", type}, {"retry-after", "10"}};
  if (!s || !h2_respond (c->h2, stream, status, h2_headers, status == 429 ? 2 : 1))
    return;
  h2_send (c->h2, stream, body, size, true);
  drop_stream (c, s);
}

bool
server_connection_open (ServerConnection *c, int32_t stream)
{
  ApiStream *s = find_stream (c, stream);
  H2Header headers[] = {{"content-type", "application/octet-stream"}};

  if (!s || c->stage == STAGE_OVER)
    return false;
  if (!s->responding && !h2_respond (c->h2, stream, 200, headers, 1))
    return false;
  s->responding = true;
  return true;
}

bool
server_connection_send (ServerConnection *c, int32_t stream, Rope *rope)
{
  ApiStream *s = find_stream (c, stream);

  if (!server_connection_open (c, stream))
    return false;
  if (h2_queued (c->h2, stream) + rope->size > SERVER_QUEUE_MAX) {
    h2_reset (c->h2, stream, H2_CANCEL);
    note_gone (c, s);
    return false;
  }
  return h2_send_rope (c->h2, stream, rope);
}

void
server_connection_end (ServerConnection *c, int32_t stream)
{
  ApiStream *s = find_stream (c, stream);

  if (!s)
    return;
  h2_send (c->h2, stream, "", 0, true);
  drop_stream (c, s);
}

bool
server_connection_take (ServerConnection *c, Buffer *scratch, Buffer *out, size_t limit)
{
  size_t before = out->size;

  if (c->out.size > 0) {
    buffer_append (out, c->out.data, c->out.size);
    buffer_free (&c->out);
  }
  if (c->h2) {
    buffer_reset (scratch);
    if (h2_take (c->h2, scratch, limit))
      noise_records_seal (&c->records, scratch->data, scratch->size, out);
  }
  return out->size > before;
}

bool
server_connection_is_over (const ServerConnection *c)
{
  return c->stage == STAGE_OVER;
}

bool
server_connection_is_busy (const ServerConnection *c)
{
  for (size_t i = 0; i < c->n_streams; i++)
    if (c->streams[i].dispatched)
      return true;
  return false;
}
