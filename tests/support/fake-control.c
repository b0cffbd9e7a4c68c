#include "fake-control.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/zstd-frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Pending Pending;
struct Pending
{
  Pending *next;
  bool complete;
  FakeRequest request;
};

struct FakeControl
{
  const FakeControlConfig *config;
  Random *random;
  Buffer in, out, plain;
  bool noise, closed, vanished;
  MachinePublic client;
  NoiseRecords records;
  H2 *h2;
  Pending *pending; /* oldest first */
  int32_t resets[16];
  size_t n_resets;
};

FakeControl *
fake_control_new (const FakeControlConfig *config, Random *random)
{
  FakeControl *conn = mem_new (sizeof *conn);

  conn->config = config;
  conn->random = random;
  return conn;
}

void
fake_request_clear (FakeRequest *request)
{
  free (request->method);
  free (request->path);
  free (request->scheme);
  free (request->authority);
  free (request->hints[0]);
  free (request->hints[1]);
  buffer_free (&request->body);
  memset (request, 0, sizeof *request);
}

static void
remove_pending (Pending **link)
{
  Pending *pending = *link;

  *link = pending->next;
  fake_request_clear (&pending->request);
  free (pending);
}

void
fake_control_free (FakeControl *conn)
{
  if (!conn)
    return;
  while (conn->pending)
    remove_pending (&conn->pending);
  h2_free (conn->h2);
  noise_records_clear (&conn->records);
  buffer_free (&conn->in);
  buffer_free (&conn->out);
  buffer_free (&conn->plain);
  free (conn);
}

/* --- Outside of Noise ---------------------------------------------------------------------- */

static bool
is_target (const Http1Head *head, const char *start)
{
  return head->target.length >= strlen (start)
         && memcmp (head->target.text, start, strlen (start)) == 0;
}

static void
answer_key (FakeControl *conn)
{
  uint8_t public_key[KEY_SIZE], zero[KEY_SIZE] = {0};
  char text[KEY_TEXT_MAX], legacy[KEY_TEXT_MAX], json[400];

  key_public (conn->config->key.bytes, public_key);
  key_format (KEY_MACHINE_PUBLIC, public_key, text);
  key_format (KEY_MACHINE_PUBLIC, zero, legacy);
  snprintf (json, sizeof json, "{\"legacyPublicKey\":\"%s\",\"publicKey\":\"%s\"}", legacy, text);
  const char *body = conn->config->key_body ? conn->config->key_body : json;
  buffer_append_format (&conn->out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                        strlen (body), body);
}

static void
answer_upgrade (FakeControl *conn, const Http1Head *head)
{
  Http1Text value = http1_field (head, "X-Tailscale-Handshake");
  uint8_t initiation[NOISE_INITIATION_SIZE], response[NOISE_RESPONSE_SIZE];
  NoiseKeys keys;
  uint16_t version;

  if (conn->config->upgrade_status != 0) {
    buffer_append_format (&conn->out,
                          "HTTP/1.1 %d No\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
                          conn->config->upgrade_status);
    conn->closed = true;
    return;
  }
  buffer_append_text (&conn->out, "HTTP/1.1 101 Switching Protocols\r\n"
                                  "Upgrade: tailscale-control-protocol\r\n"
                                  "Connection: upgrade\r\n\r\n");
  conn->closed = conn->config->close_after_101
                 || base64_decode (value.text, value.length, initiation, sizeof initiation)
                        != sizeof initiation
                 || noise_respond (&conn->config->key, initiation, conn->random, &conn->client,
                                   &version, response, &keys)
                        != NOISE_OK;
  if (conn->closed)
    return;
  conn->noise = true;
  noise_records_init (&conn->records, &keys);
  conn->h2 = h2_server_new ();
  buffer_append (&conn->out, response, sizeof response);
  if (conn->config->early_payload) {
    Buffer early = {0};
    uint8_t challenge[KEY_SIZE];
    random_fill (conn->random, challenge, sizeof challenge);
    noise_early_append (challenge, &early);
    noise_records_seal (&conn->records, early.data, 5, &conn->out);
    noise_records_seal (&conn->records, early.data + 5, 4, &conn->out);
    noise_records_seal (&conn->records, early.data + 9, early.size - 9, &conn->out);
    buffer_free (&early);
  }
}

static Pending *
add_pending (FakeControl *conn, int32_t stream)
{
  Pending *pending = mem_new (sizeof *pending), **link = &conn->pending;

  while (*link)
    link = &(*link)->next;
  pending->request.stream = stream;
  *link = pending;
  return pending;
}

static void
feed_http1 (FakeControl *conn)
{
  Http1Head head;

  http1_head_init (&head, true);
  if (http1_head_parse (&head, conn->in.data, conn->in.size) != HTTP1_DONE)
    return;
  if (is_target (&head, "/key?v="))
    answer_key (conn);
  else if (is_target (&head, conn->config->upgrade_path ? conn->config->upgrade_path : "/ts2021"))
    answer_upgrade (conn, &head);
  else {
    Pending *pending = add_pending (conn, 0);
    pending->complete = true;
    pending->request.method = mem_strndup (head.method.text, head.method.length);
    pending->request.path = mem_strndup (head.target.text, head.target.length);
    buffer_append_text (&conn->out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  }
  buffer_consume (&conn->in, head.body_offset);
}

/* --- Inside -------------------------------------------------------------------------------- */

static char *
copy_header (const H2Event *event, const char *name)
{
  const char *value = h2_event_header (event, name);

  return value ? mem_strndup (value, strlen (value)) : NULL;
}

static void
begin_request (FakeControl *conn, const H2Event *event)
{
  FakeRequest *request = &add_pending (conn, event->stream)->request;
  size_t n = 0;

  request->method = copy_header (event, ":method");
  request->path = copy_header (event, ":path");
  request->scheme = copy_header (event, ":scheme");
  request->authority = copy_header (event, ":authority");
  for (size_t i = 0; i < event->n_headers && n < 2; i++)
    if (strcmp (event->headers[i].name, "ts-lb") == 0)
      request->hints[n++] = mem_strndup (event->headers[i].value, strlen (event->headers[i].value));
}

static void
handle (FakeControl *conn, const H2Event *event)
{
  Pending **link = &conn->pending;

  while (*link && (*link)->request.stream != event->stream)
    link = &(*link)->next;
  switch (event->type) {
    case H2_EVENT_HEADERS:
      begin_request (conn, event);
      break;
    case H2_EVENT_DATA:
      if (*link)
        buffer_append (&(*link)->request.body, event->data, event->size);
      break;
    case H2_EVENT_END:
      if (*link)
        (*link)->complete = true;
      break;
    case H2_EVENT_RESET:
      if (*link)
        remove_pending (link);
      if (conn->n_resets < 16)
        conn->resets[conn->n_resets++] = event->stream;
      break;
    default:
      break;
  }
}

static void
feed_noise (FakeControl *conn)
{
  H2Event event;

  if (!noise_records_open (&conn->records, conn->in.data, conn->in.size, &conn->plain))
    conn->closed = true;
  buffer_reset (&conn->in);
  h2_feed (conn->h2, conn->plain.data, conn->plain.size);
  buffer_reset (&conn->plain);
  while (h2_next_event (conn->h2, &event)) {
    handle (conn, &event);
    h2_event_clear (&event);
  }
}

void
fake_control_feed (FakeControl *conn, const void *data, size_t size)
{
  if (conn->vanished || conn->closed)
    return;
  buffer_append (&conn->in, data, size);
  if (!conn->noise)
    feed_http1 (conn);
  if (conn->noise && conn->in.size > 0)
    feed_noise (conn);
}

void
fake_control_take (FakeControl *conn, Buffer *out)
{
  Buffer plain = {0};

  if (conn->vanished)
    return;
  if (conn->noise)
    while (h2_take (conn->h2, &plain, 1 << 20)) {
      noise_records_seal (&conn->records, plain.data, plain.size, &conn->out);
      buffer_reset (&plain);
    }
  buffer_append (out, conn->out.data, conn->out.size);
  buffer_reset (&conn->out);
  buffer_free (&plain);
}

bool
fake_control_closed (const FakeControl *conn)
{
  return conn->closed;
}

bool
fake_control_has_noise (const FakeControl *conn)
{
  return conn->noise;
}

MachinePublic
fake_control_client (const FakeControl *conn)
{
  return conn->client;
}

bool
fake_control_has_request (const FakeControl *conn)
{
  for (const Pending *pending = conn->pending; pending; pending = pending->next)
    if (pending->complete)
      return true;
  return false;
}

bool
fake_control_next (FakeControl *conn, FakeRequest *request)
{
  for (Pending **link = &conn->pending; *link; link = &(*link)->next) {
    Pending *pending = *link;
    if (!pending->complete)
      continue;
    *request = pending->request;
    *link = pending->next;
    free (pending);
    return true;
  }
  return false;
}

int32_t
fake_control_next_reset (FakeControl *conn)
{
  if (conn->n_resets == 0)
    return 0;
  int32_t stream = conn->resets[0];
  memmove (conn->resets, conn->resets + 1, --conn->n_resets * sizeof *conn->resets);
  return stream;
}

void
fake_control_answer (FakeControl *conn, int32_t stream, int status, const char *retry_after,
                     const void *body, size_t size, bool end)
{
  H2Header header = {"retry-after", retry_after};

  h2_respond (conn->h2, stream, status, &header, retry_after ? 1 : 0);
  if (size > 0 || end)
    h2_send (conn->h2, stream, body, size, end);
}

void
fake_control_send (FakeControl *conn, int32_t stream, const void *data, size_t size, bool end)
{
  h2_send (conn->h2, stream, data, size, end);
}

void
fake_control_map (FakeControl *conn, int32_t stream, const char *json, bool end)
{
  Buffer frame = {0};

  zstd_frames_append (&frame, json, strlen (json), true);
  h2_send (conn->h2, stream, frame.data, frame.size, end);
  buffer_free (&frame);
}

void
fake_control_vanish (FakeControl *conn)
{
  conn->vanished = true;
}

void
fake_control_goaway (FakeControl *conn)
{
  h2_shutdown (conn->h2);
}
