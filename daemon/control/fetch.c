#include "control/core.h"

#include <string.h>

#define FETCH_BODY_MAX 65536

static Fetch *
find (Control *c, uint32_t connection)
{
  for (size_t i = 0; i < FETCHES_MAX; i++)
    if (c->fetches[i].purpose != FETCH_FREE && c->fetches[i].connection == connection)
      return &c->fetches[i];
  return NULL;
}

static void
release (Fetch *fetch)
{
  buffer_free (&fetch->request_body);
  buffer_free (&fetch->in);
  buffer_free (&fetch->body);
  memset (fetch, 0, sizeof *fetch);
}

bool
fetch_running (const Control *c, FetchPurpose purpose)
{
  for (size_t i = 0; i < FETCHES_MAX; i++)
    if (c->fetches[i].purpose == purpose)
      return true;
  return false;
}

bool
fetch_start (Control *c, FetchPurpose purpose, const char *method, const HttpUrl *url,
             const Buffer *body, int64_t timeout_us)
{
  Fetch *fetch = NULL;

  for (size_t i = 0; i < FETCHES_MAX && !fetch; i++)
    if (c->fetches[i].purpose == FETCH_FREE)
      fetch = &c->fetches[i];
  if (!fetch)
    return false;
  fetch->purpose = purpose;
  fetch->method = method;
  fetch->url = *url;
  if (body)
    buffer_append (&fetch->request_body, body->data, body->size);
  http1_head_init (&fetch->head, false);
  fetch->deadline = c->now + timeout_us;
  fetch->connection = control_dial (c, url->host, NULL, url->port, url->https, true, timeout_us);
  return true;
}

/* Ends FETCH; STATUS 0 and TEXT when it failed. The slot is free before the owner hears of it. */
static void
finish (Control *c, Fetch *fetch, ControlProblem problem, const char *text, int status)
{
  FetchPurpose purpose = fetch->purpose;
  Buffer body = fetch->body;

  fetch->body = (Buffer){0};
  control_close_connection (c, fetch->connection);
  release (fetch);
  if (purpose == FETCH_KEY && status != 0)
    server_key_fetched (c, status, &body);
  else if (purpose == FETCH_KEY)
    server_key_failed (c, problem, text);
  buffer_free (&body);
}

static void
send_request (Control *c, Fetch *fetch, const ControlEvent *event)
{
  Buffer out = {0};

  buffer_append_format (&out, "%s ", fetch->method);
  if (event->dialed.absolute_form)
    buffer_append_format (&out, "http://%s", fetch->url.authority);
  buffer_append_format (&out, "%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nConnection: close\r\n",
                        fetch->url.target, fetch->url.authority, c->user_agent);
  if (event->dialed.proxy_authorization)
    buffer_append_format (&out, "Proxy-Authorization: %s\r\n", event->dialed.proxy_authorization);
  if (fetch->request_body.size > 0)
    buffer_append_format (&out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                          fetch->request_body.size);
  buffer_append_text (&out, "\r\n");
  buffer_append (&out, fetch->request_body.data, fetch->request_body.size);
  control_send (c, fetch->connection, &out);
}

static Http1Result
parse (Fetch *fetch, bool eof)
{
  bool is_head = strcmp (fetch->method, "HEAD") == 0;

  if (!fetch->have_head) {
    Http1Result result = http1_head_parse (&fetch->head, fetch->in.data, fetch->in.size);
    if (result != HTTP1_DONE)
      return eof ? HTTP1_BAD : result;
    if (!http1_body_init (&fetch->reader, &fetch->head, is_head, FETCH_BODY_MAX))
      return HTTP1_BAD;
    buffer_consume (&fetch->in, fetch->head.body_offset);
    fetch->have_head = true;
  }
  Http1Result result = http1_body_feed (&fetch->reader, &fetch->in, &fetch->body);
  if (eof && result == HTTP1_MORE)
    return fetch->reader.kind == HTTP1_BODY_UNTIL_EOF ? HTTP1_DONE : HTTP1_BAD;
  return result;
}

static void
progress (Control *c, Fetch *fetch, bool eof)
{
  switch (parse (fetch, eof)) {
    case HTTP1_DONE:
      finish (c, fetch, CONTROL_PROBLEM_NONE, NULL, fetch->head.status);
      break;
    case HTTP1_BAD:
      if (eof && fetch->in.size == 0 && !fetch->have_head)
        finish (c, fetch, CONTROL_PROBLEM_SERVER_UNREACHABLE,
                "the connection was closed without an answer", 0);
      else
        finish (c, fetch, CONTROL_PROBLEM_NOT_A_CONTROL_SERVER, "the answer is not HTTP", 0);
      break;
    case HTTP1_MORE:
      break;
  }
}

bool
fetch_event (Control *c, const ControlEvent *event)
{
  Fetch *fetch;

  switch (event->type) {
    case CONTROL_EVENT_DIALED:
      if ((fetch = find (c, event->dialed.connection)))
        send_request (c, fetch, event);
      return fetch != NULL;
    case CONTROL_EVENT_DIAL_FAILED:
      if ((fetch = find (c, event->dial_failed.connection)))
        finish (c, fetch, problem_of_dial (event->dial_failed.failure), event->dial_failed.text, 0);
      return fetch != NULL;
    case CONTROL_EVENT_BYTES:
      if ((fetch = find (c, event->bytes.connection))) {
        buffer_append (&fetch->in, event->bytes.data, event->bytes.size);
        progress (c, fetch, false);
      }
      return fetch != NULL;
    case CONTROL_EVENT_CLOSED:
      if ((fetch = find (c, event->closed.connection)))
        progress (c, fetch, true);
      return fetch != NULL;
    default:
      return false;
  }
}

void
fetch_tick (Control *c)
{
  for (size_t i = 0; i < FETCHES_MAX; i++)
    if (c->fetches[i].purpose != FETCH_FREE && c->fetches[i].deadline <= c->now)
      finish (c, &c->fetches[i], CONTROL_PROBLEM_SERVER_UNREACHABLE, "no answer in time", 0);
}

int64_t
fetch_deadline (const Control *c)
{
  int64_t deadline = TIME_NEVER;

  for (size_t i = 0; i < FETCHES_MAX; i++)
    if (c->fetches[i].purpose != FETCH_FREE)
      deadline = time_min (deadline, c->fetches[i].deadline);
  return deadline;
}

void
fetch_cancel_all (Control *c)
{
  for (size_t i = 0; i < FETCHES_MAX; i++)
    if (c->fetches[i].purpose != FETCH_FREE) {
      control_close_connection (c, c->fetches[i].connection);
      release (&c->fetches[i]);
    }
}
