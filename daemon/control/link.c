#include "control/core.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define SILENCE_US     (75 * USEC_PER_SEC) /* then the other end is asked */
#define SILENT_PING_US (15 * USEC_PER_SEC)
#define CHECK_PING_US  (5 * USEC_PER_SEC) /* after a change of links, or resume */
#define TAKE_MAX       (256u << 10)       /* bytes handed out at once */

/* --- Exchanges ----------------------------------------------------------------------------- */

int
body_text_length (const Buffer *body)
{
  size_t n = body->size < BODY_TEXT_MAX ? body->size : BODY_TEXT_MAX;

  while (n > 0 && body->data[n - 1] <= ' ')
    n--;
  return (int)n;
}

void
exchange_clear (Exchange *exchange)
{
  buffer_free (&exchange->body);
  *exchange = (Exchange){0};
}

void
exchange_begin (Exchange *exchange, int32_t stream, int64_t deadline)
{
  exchange_clear (exchange);
  exchange->stream = stream;
  exchange->deadline = deadline;
}

bool
exchange_event (Exchange *exchange, const H2Event *event, size_t limit)
{
  switch (event->type) {
    case H2_EVENT_HEADERS: {
      const char *retry_after = h2_event_header (event, "retry-after");
      exchange->status = event->status;
      snprintf (exchange->retry_after, sizeof exchange->retry_after, "%s",
                retry_after ? retry_after : "");
      return false;
    }
    case H2_EVENT_DATA:
      if (event->size <= limit - exchange->body.size)
        buffer_append (&exchange->body, event->data, event->size);
      return false;
    case H2_EVENT_END:
      exchange->stream = 0;
      return true;
    default:
      exchange->stream = 0;
      exchange->status = 0;
      return true;
  }
}

/* --- Life ---------------------------------------------------------------------------------- */

bool
link_ready (const Control *c)
{
  return c->link.connection != 0 && !c->link.doom && h2_usable (c->link.h2);
}

void
link_doom (Control *c, const char *why)
{
  if (c->link.connection != 0 && !c->link.doom)
    c->link.doom = why;
}

void
link_reap (Control *c)
{
  if (c->link.doom)
    link_close (c, c->link.doom);
}

void
link_close (Control *c, const char *why)
{
  Link *link = &c->link;

  if (link->connection == 0)
    return;
  if (why)
    log_debug ("control", "connection to %s ends: %s", c->url.http.authority, why);
  control_close_connection (c, link->connection);
  h2_free (link->h2);
  noise_records_clear (&link->records);
  buffer_free (&link->plain);
  memset (link, 0, sizeof *link);
  link->ping_deadline = TIME_NEVER;
  login_lost (c);
  map_lost (c);
  lite_lost (c);
  if (c->logout.active)
    exchange_clear (&c->logout.exchange);
}

static void
dispatch (Control *c, const H2Event *event)
{
  if (event->type == H2_EVENT_GOAWAY)
    link_doom (c, "the server is going away");
  else if (event->type == H2_EVENT_PING_ACK)
    c->link.ping_deadline = TIME_NEVER;
  else if (event->stream == c->login.exchange.stream)
    login_stream_event (c, event);
  else if (event->stream == c->map.stream)
    map_stream_event (c, event);
  else if (event->stream == c->lite.exchange.stream)
    lite_stream_event (c, event);
  else if (event->stream == c->logout.exchange.stream)
    logout_stream_event (c, event);
}

static void
feed (Control *c, const uint8_t *data, size_t size)
{
  Link *link = &c->link;
  H2Event event;

  link->heard_at = c->now;
  if (!noise_records_open (&link->records, data, size, &link->plain)) {
    link_doom (c, "a record was not authentic");
    return;
  }
  if (!link->early_done)
    switch (noise_early_take (&link->plain, &link->early_skip)) {
      case NOISE_EARLY_MORE:
        return;
      case NOISE_EARLY_BAD:
        link_doom (c, "the early payload is too long");
        return;
      case NOISE_EARLY_DONE:
        link->early_done = true;
    }
  bool ok = h2_feed (link->h2, link->plain.data, link->plain.size);
  buffer_reset (&link->plain);
  while (!link->doom && h2_next_event (link->h2, &event)) {
    dispatch (c, &event);
    h2_event_clear (&event);
  }
  if (!ok)
    link_doom (c, "HTTP/2 failed");
}

void
link_open (Control *c, uint32_t connection, const IpAddr *local, const NoiseKeys *keys,
           const WebSocket *web_socket, const uint8_t *rest, size_t rest_size)
{
  Link *link = &c->link;

  memset (link, 0, sizeof *link);
  link->connection = connection;
  link->local = *local;
  link->ping_deadline = TIME_NEVER;
  link->in_web_socket = web_socket != NULL;
  if (web_socket)
    link->web_socket = *web_socket;
  link->h2 = h2_client_new ();
  noise_records_init (&link->records, keys);
  log_debug ("control", "connected to %s", c->url.http.authority);
  feed (c, rest, rest_size);
}

static void
feed_message (Control *c, const uint8_t *data, size_t size)
{
  Link *link = &c->link;
  Buffer carried = {0}, answers = {0};
  bool open = web_socket_read (&link->web_socket, data, size, c->random, &carried, &answers);

  control_send (c, link->connection, &answers);
  if (carried.size > 0)
    feed (c, carried.data, carried.size);
  if (!open)
    link_doom (c, "the WebSocket was closed");
  buffer_free (&carried);
  buffer_free (&answers);
}

bool
link_event (Control *c, const ControlEvent *event)
{
  if (event->type == CONTROL_EVENT_BYTES && event->bytes.connection == c->link.connection) {
    if (c->link.in_web_socket)
      feed_message (c, event->bytes.data, event->bytes.size);
    else
      feed (c, event->bytes.data, event->bytes.size);
    return true;
  }
  if (event->type == CONTROL_EVENT_CLOSED && event->closed.connection == c->link.connection) {
    link_close (c, event->closed.text ? event->closed.text : "closed by the server");
    return true;
  }
  return false;
}

/* --- Liveness ------------------------------------------------------------------------------ */

static void
send_ping (Control *c, int64_t limit_us)
{
  h2_ping (c->link.h2);
  c->link.ping_deadline = c->now + limit_us;
}

void
link_check (Control *c)
{
  if (link_ready (c) && c->link.ping_deadline > c->now + CHECK_PING_US)
    send_ping (c, CHECK_PING_US);
}

void
link_tick (Control *c)
{
  Link *link = &c->link;

  if (!link_ready (c))
    return;
  if (link->ping_deadline <= c->now)
    link_doom (c, "no answer to a ping");
  else if (link->ping_deadline == TIME_NEVER && link->heard_at + SILENCE_US <= c->now)
    send_ping (c, SILENT_PING_US);
}

int64_t
link_deadline (const Control *c)
{
  if (!link_ready (c))
    return TIME_NEVER;
  return time_min (c->link.ping_deadline, c->link.ping_deadline == TIME_NEVER
                                              ? c->link.heard_at + SILENCE_US
                                              : TIME_NEVER);
}

/* --- Sending ------------------------------------------------------------------------------- */

void
link_flush (Control *c)
{
  Link *link = &c->link;
  Buffer plain = {0}, out = {0};

  if (link->connection == 0)
    return;
  while (h2_take (link->h2, &plain, TAKE_MAX)) {
    if (!noise_records_seal (&link->records, plain.data, plain.size, &out))
      link_doom (c, "the record counter is used up");
    buffer_reset (&plain);
  }
  if (link->in_web_socket && out.size > 0) {
    web_socket_write (&plain, out.data, out.size, c->random);
    control_send (c, link->connection, &plain);
  } else {
    control_send (c, link->connection, &out);
  }
  buffer_free (&plain);
  buffer_free (&out);
  if (!h2_usable (link->h2))
    link_doom (c, "HTTP/2 failed");
}

int32_t
link_request (Control *c, const char *method, const char *path, const NodePublic *hint,
              const NodePublic *second_hint, const void *body, size_t size)
{
  char hints[2][KEY_TEXT_MAX];
  H2Header headers[3] = {{"user-agent", c->user_agent}};
  size_t n = 1;

  if (!link_ready (c))
    return 0;
  if (hint) {
    key_format (KEY_NODE_PUBLIC, hint->bytes, hints[0]);
    headers[n++] = (H2Header){"ts-lb", hints[0]};
  }
  if (second_hint) {
    key_format (KEY_NODE_PUBLIC, second_hint->bytes, hints[1]);
    headers[n++] = (H2Header){"ts-lb", hints[1]};
  }
  int32_t stream = h2_request (c->link.h2, method, "https", c->url.http.authority, path, headers, n,
                               body, size);
  return stream > 0 ? stream : 0;
}

void
link_reset (Control *c, int32_t *stream)
{
  if (*stream != 0 && c->link.connection != 0)
    h2_reset (c->link.h2, *stream, H2_CANCEL);
  *stream = 0;
}
