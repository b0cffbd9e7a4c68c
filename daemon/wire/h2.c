#include "wire/h2.h"

#include "base/memory.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAME_SIZE (1u << 20)
#define HEADERS_MAX    128 /* header fields of one message */

typedef struct Stream Stream;
struct Stream
{
  Stream *next;
  int32_t id;
  H2Header *headers; /* of the message being received */
  size_t n_headers, headers_room, headers_size;
  bool began;   /* HEADERS event given */
  bool ended;   /* END event given */
  Rope **ropes; /* body not yet taken */
  size_t n_ropes, first_rope, ropes_room;
  uint32_t chunk; /* where in the first rope */
  size_t offset;  /* and in that chunk */
  size_t queued;  /* bytes of all ropes left */
  bool send_end;  /* the last byte is queued */
  bool deferred;  /* nghttp2 waits for more of it */
};

typedef struct Queued Queued;
struct Queued
{
  Queued *next;
  H2Event event;
};

struct H2
{
  nghttp2_session *session;
  bool server;
  bool going_away;
  bool failed;
  Stream *streams;
  Queued *first;
  Queued **last;
  Buffer *out;  /* of the h2_take at hand */
  size_t until; /* its size when enough was taken */
};

/* --- Events and streams -------------------------------------------------------------------- */

void
h2_event_clear (H2Event *event)
{
  for (size_t i = 0; i < event->n_headers; i++) {
    free ((char *)event->headers[i].name);
    free ((char *)event->headers[i].value);
  }
  free (event->headers);
  free (event->data);
  *event = (H2Event){0};
}

static H2Event *
push (H2 *h2, H2EventType type, int32_t stream)
{
  Queued *queued = mem_new (sizeof *queued);

  queued->event.type = type;
  queued->event.stream = stream;
  *h2->last = queued;
  h2->last = &queued->next;
  return &queued->event;
}

static Stream *
find (const H2 *h2, int32_t id)
{
  for (Stream *s = h2->streams; s; s = s->next)
    if (s->id == id)
      return s;
  return NULL;
}

static Stream *
add_stream (H2 *h2, int32_t id)
{
  Stream *s = mem_new (sizeof *s);

  s->id = id;
  s->next = h2->streams;
  h2->streams = s;
  return s;
}

static void
remove_stream (H2 *h2, Stream *stream)
{
  H2Event headers = {.headers = stream->headers, .n_headers = stream->n_headers};
  Stream **link = &h2->streams;

  while (*link != stream)
    link = &(*link)->next;
  *link = stream->next;
  h2_event_clear (&headers);
  for (size_t i = stream->first_rope; i < stream->n_ropes; i++)
    rope_unref (stream->ropes[i]);
  free (stream->ropes);
  free (stream);
}

const char *
h2_event_header (const H2Event *event, const char *name)
{
  for (size_t i = 0; i < event->n_headers; i++)
    if (strcmp (event->headers[i].name, name) == 0)
      return event->headers[i].value;
  return NULL;
}

/* --- What nghttp2 tells -------------------------------------------------------------------- */

static int
on_begin_headers (nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
  H2 *h2 = data;

  if (h2->server && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
    add_stream (h2, frame->hd.stream_id);
  return 0;
}

static int
on_header (nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
           size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags, void *data)
{
  Stream *s = find (data, frame->hd.stream_id);

  if (!s || s->began)
    return 0; /* trailers say nothing here */
  s->headers_size += name_length + value_length + 32;
  if (s->headers_size > H2_HEADER_LIST_MAX || s->n_headers == HEADERS_MAX)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  s->headers = mem_grow (s->headers, s->n_headers, &s->headers_room, sizeof *s->headers);
  s->headers[s->n_headers++] = (H2Header){mem_strndup ((const char *)name, name_length),
                                          mem_strndup ((const char *)value, value_length)};
  return 0;
}

static void
give_headers (H2 *h2, Stream *s)
{
  H2Event message = {.headers = s->headers, .n_headers = s->n_headers};
  const char *status = h2_event_header (&message, ":status");

  s->headers = NULL;
  s->n_headers = s->headers_room = s->headers_size = 0;
  if (status && status[0] == '1') {
    h2_event_clear (&message); /* interim: the real one follows */
    return;
  }
  s->began = true;
  H2Event *event = push (h2, H2_EVENT_HEADERS, s->id);
  event->headers = message.headers;
  event->n_headers = message.n_headers;
  event->status = status ? atoi (status) : 0;
}

static int
on_frame (nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
  H2 *h2 = data;
  Stream *s = find (h2, frame->hd.stream_id);

  switch (frame->hd.type) {
    case NGHTTP2_GOAWAY:
      h2->going_away = true;
      push (h2, H2_EVENT_GOAWAY, 0)->code = frame->goaway.error_code;
      break;
    case NGHTTP2_PING:
      if (frame->hd.flags & NGHTTP2_FLAG_ACK)
        push (h2, H2_EVENT_PING_ACK, 0);
      break;
    case NGHTTP2_HEADERS:
      if (s && !s->began)
        give_headers (h2, s);
      /* fall through */
    case NGHTTP2_DATA:
      if (s && s->began && !s->ended && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        s->ended = true;
        push (h2, H2_EVENT_END, s->id);
      }
      break;
    default:
      break;
  }
  return 0;
}

static int
on_data (nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t size,
         void *data)
{
  H2 *h2 = data;

  if (!find (h2, stream)) {
    nghttp2_session_consume_connection (session, size);
    return 0;
  }
  if (size > 0) {
    H2Event *event = push (h2, H2_EVENT_DATA, stream);
    event->data = mem_dup (bytes, size);
    event->size = size;
  }
  return 0;
}

static int
on_close (nghttp2_session *session, int32_t stream, uint32_t code, void *data)
{
  H2 *h2 = data;
  Stream *s = find (h2, stream);

  if (!s)
    return 0;
  if (!s->ended || code != NGHTTP2_NO_ERROR)
    push (h2, H2_EVENT_RESET, stream)->code = code;
  remove_stream (h2, s);
  return 0;
}

/* A GOAWAY that h2_shutdown did not ask for is nghttp2's answer to a broken peer. */
static int
on_sent (nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
  H2 *h2 = data;

  if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
    h2->failed = true;
  return 0;
}

/* Only says how much there is: give_body copies it straight to where it goes. */
static ssize_t
read_body (nghttp2_session *session, int32_t stream, uint8_t *out, size_t size, uint32_t *flags,
           nghttp2_data_source *source, void *data)
{
  Stream *s = find (data, stream);

  if (!s)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  size_t n = s->queued < size ? s->queued : size;
  if (n == 0 && !s->send_end) {
    s->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  if (n == s->queued && s->send_end)
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (n > 0)
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  return (ssize_t)n;
}

/* Moves SIZE bytes of the stream's body to OUT. */
static void
move_body (Stream *s, size_t size, Buffer *out)
{
  s->queued -= size;
  while (size > 0) {
    Rope *rope = s->ropes[s->first_rope];
    const Chunk *chunk = rope->chunks[s->chunk];
    size_t left = chunk->size - s->offset, n = left < size ? left : size;
    buffer_append (out, chunk->data + s->offset, n);
    s->offset += n;
    size -= n;
    if (s->offset < chunk->size)
      continue;
    s->offset = 0;
    if (++s->chunk < rope->n)
      continue;
    s->chunk = 0;
    s->first_rope++;
    rope_unref (rope);
  }
  if (s->queued > 0)
    return;
  /* An idle stream keeps nothing. */
  free (s->ropes);
  s->ropes = NULL;
  s->n_ropes = s->first_rope = s->ropes_room = 0;
}

static int
give_body (nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t size,
           nghttp2_data_source *source, void *data)
{
  H2 *h2 = data;
  Stream *s = find (h2, frame->hd.stream_id);

  if (!s)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (h2->out->size >= h2->until)
    return NGHTTP2_ERR_WOULDBLOCK;
  buffer_append (h2->out, head, 9);
  move_body (s, size, h2->out);
  return 0;
}

static ssize_t
give_bytes (nghttp2_session *session, const uint8_t *bytes, size_t size, int flags, void *data)
{
  H2 *h2 = data;

  if (h2->out->size >= h2->until)
    return NGHTTP2_ERR_WOULDBLOCK;
  buffer_append (h2->out, bytes, size);
  return (ssize_t)size;
}

/* --- Life ---------------------------------------------------------------------------------- */

static void
set_callbacks (nghttp2_session_callbacks *callbacks)
{
  nghttp2_session_callbacks_set_on_begin_headers_callback (callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback (callbacks, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback (callbacks, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback (callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback (callbacks, on_close);
  nghttp2_session_callbacks_set_on_frame_send_callback (callbacks, on_sent);
  nghttp2_session_callbacks_set_send_callback (callbacks, give_bytes);
  nghttp2_session_callbacks_set_send_data_callback (callbacks, give_body);
}

static void
send_settings (H2 *h2)
{
  nghttp2_settings_entry client[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW_SIZE},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, MAX_FRAME_SIZE},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEADER_LIST_MAX},
  };
  nghttp2_settings_entry server[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_SERVER_STREAMS_MAX},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_SERVER_WINDOW_SIZE},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, MAX_FRAME_SIZE},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEADER_LIST_MAX},
  };

  nghttp2_submit_settings (h2->session, NGHTTP2_FLAG_NONE, h2->server ? server : client, 4);
  nghttp2_session_set_local_window_size (h2->session, NGHTTP2_FLAG_NONE, 0,
                                         h2->server ? (int32_t)H2_SERVER_CONNECTION_WINDOW_SIZE
                                                    : (int32_t)H2_CONNECTION_WINDOW_SIZE);
}

static H2 *
h2_new (bool server)
{
  H2 *h2 = mem_new (sizeof *h2);
  nghttp2_session_callbacks *callbacks;
  nghttp2_option *options;

  if (nghttp2_session_callbacks_new (&callbacks) != 0 || nghttp2_option_new (&options) != 0)
    abort ();
  set_callbacks (callbacks);
  nghttp2_option_set_no_auto_window_update (options, 1);
  nghttp2_option_set_no_closed_streams (options, 1);
  h2->server = server;
  h2->last = &h2->first;
  if ((server ? nghttp2_session_server_new2 : nghttp2_session_client_new2) (&h2->session, callbacks,
                                                                            h2, options)
      != 0)
    abort ();
  nghttp2_option_del (options);
  nghttp2_session_callbacks_del (callbacks);
  send_settings (h2);
  return h2;
}

H2 *
h2_client_new (void)
{
  return h2_new (false);
}

H2 *
h2_server_new (void)
{
  return h2_new (true);
}

void
h2_free (H2 *h2)
{
  H2Event event;

  if (!h2)
    return;
  while (h2_next_event (h2, &event))
    h2_event_clear (&event);
  while (h2->streams)
    remove_stream (h2, h2->streams);
  nghttp2_session_del (h2->session);
  free (h2);
}

/* --- Bytes --------------------------------------------------------------------------------- */

bool
h2_feed (H2 *h2, const void *data, size_t size)
{
  if (h2->failed)
    return false;
  ssize_t n = nghttp2_session_mem_recv (h2->session, data, size);
  if (n < 0 || (size_t)n != size || !nghttp2_session_want_read (h2->session))
    h2->failed = true;
  return !h2->failed;
}

bool
h2_take (H2 *h2, Buffer *out, size_t limit)
{
  size_t before = out->size;

  h2->out = out;
  h2->until = before + limit;
  if (nghttp2_session_send (h2->session) != 0)
    h2->failed = true;
  h2->out = NULL;
  return out->size > before;
}

bool
h2_next_event (H2 *h2, H2Event *event)
{
  Queued *queued = h2->first;

  if (!queued)
    return false;
  *event = queued->event;
  h2->first = queued->next;
  if (!h2->first)
    h2->last = &h2->first;
  free (queued);
  if (event->type == H2_EVENT_DATA)
    nghttp2_session_consume (h2->session, event->stream, event->size);
  return true;
}

/* --- Messages ------------------------------------------------------------------------------ */

static nghttp2_nv
make_field (const char *name, const char *value)
{
  return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen (name), strlen (value),
                      NGHTTP2_NV_FLAG_NONE};
}

/* A rope that is empty is not kept: each one in the queue has a byte to give. */
static void
queue_rope (Stream *s, Rope *rope)
{
  if (rope->size == 0)
    return;
  s->ropes = mem_grow (s->ropes, s->n_ropes, &s->ropes_room, sizeof (Rope *));
  s->ropes[s->n_ropes++] = rope_ref (rope);
  s->queued += rope->size;
}

static void
queue_copy (Stream *s, const void *data, size_t size)
{
  Chunk *chunk = chunk_new (data, size);
  Rope *rope = rope_new (&chunk, 1);

  queue_rope (s, rope);
  rope_unref (rope);
}

static void
resume (H2 *h2, Stream *s)
{
  if (!s->deferred)
    return;
  s->deferred = false;
  nghttp2_session_resume_data (h2->session, s->id);
}

int32_t
h2_request (H2 *h2, const char *method, const char *scheme, const char *authority, const char *path,
            const H2Header *headers, size_t n_headers, const void *body, size_t size)
{
  nghttp2_nv fields[HEADERS_MAX];
  nghttp2_data_provider provider = {.read_callback = read_body};
  char length[24];
  size_t n = 0;

  if (!h2_usable (h2) || h2->server || n_headers > HEADERS_MAX - 5)
    return -1;
  fields[n++] = make_field (":method", method);
  fields[n++] = make_field (":scheme", scheme);
  fields[n++] = make_field (":authority", authority);
  fields[n++] = make_field (":path", path);
  for (size_t i = 0; i < n_headers; i++)
    fields[n++] = make_field (headers[i].name, headers[i].value);
  if (size > 0) {
    snprintf (length, sizeof length, "%zu", size);
    fields[n++] = make_field ("content-length", length);
  }
  int32_t id
      = nghttp2_submit_request (h2->session, NULL, fields, n, size > 0 ? &provider : NULL, NULL);
  if (id < 0)
    return -1;
  Stream *s = add_stream (h2, id);
  queue_copy (s, body, size);
  s->send_end = true;
  return id;
}

bool
h2_respond (H2 *h2, int32_t stream, int status, const H2Header *headers, size_t n_headers)
{
  nghttp2_nv fields[HEADERS_MAX];
  nghttp2_data_provider provider = {.read_callback = read_body};
  char code[4];
  size_t n = 0;

  if (!find (h2, stream) || status < 100 || status > 999 || n_headers > HEADERS_MAX - 1)
    return false;
  snprintf (code, sizeof code, "%d", status);
  fields[n++] = make_field (":status", code);
  for (size_t i = 0; i < n_headers; i++)
    fields[n++] = make_field (headers[i].name, headers[i].value);
  return nghttp2_submit_response (h2->session, stream, fields, n, &provider) == 0;
}

bool
h2_send (H2 *h2, int32_t stream, const void *data, size_t size, bool end)
{
  Stream *s = find (h2, stream);

  if (!s || s->send_end)
    return false;
  queue_copy (s, data, size);
  s->send_end = end;
  resume (h2, s);
  return true;
}

bool
h2_send_rope (H2 *h2, int32_t stream, Rope *rope)
{
  Stream *s = find (h2, stream);

  if (!s || s->send_end)
    return false;
  queue_rope (s, rope);
  resume (h2, s);
  return true;
}

size_t
h2_queued (const H2 *h2, int32_t stream)
{
  const Stream *s = find (h2, stream);

  return s ? s->queued : 0;
}

void
h2_reset (H2 *h2, int32_t stream, uint32_t code)
{
  Stream *s = find (h2, stream);
  Queued **link = &h2->first;

  if (s) {
    remove_stream (h2, s);
    nghttp2_submit_rst_stream (h2->session, NGHTTP2_FLAG_NONE, stream, code);
  }
  while (*link) {
    Queued *queued = *link;
    if (queued->event.stream != stream) {
      link = &queued->next;
      continue;
    }
    if (queued->event.type == H2_EVENT_DATA)
      nghttp2_session_consume_connection (h2->session, queued->event.size);
    *link = queued->next;
    h2_event_clear (&queued->event);
    free (queued);
  }
  h2->last = link;
}

void
h2_ping (H2 *h2)
{
  nghttp2_submit_ping (h2->session, NGHTTP2_FLAG_NONE, NULL);
}

void
h2_shutdown (H2 *h2)
{
  h2->going_away = true;
  nghttp2_submit_goaway (h2->session, NGHTTP2_FLAG_NONE,
                         nghttp2_session_get_last_proc_stream_id (h2->session), NGHTTP2_NO_ERROR,
                         NULL, 0);
}

bool
h2_usable (const H2 *h2)
{
  return !h2->failed && !h2->going_away;
}
