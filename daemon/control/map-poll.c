#include "control/core.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define WATCHDOG_US (120 * USEC_PER_SEC)

/* Lets the stream's things go; the phase is the caller's to set. */
static void
release (Control *c)
{
  MapPoll *m = &c->map;

  link_reset (c, &m->stream);
  zstd_frames_free (m->frames);
  m->frames = NULL;
  map_decoder_free (m->decoder);
  m->decoder = NULL;
  buffer_free (&m->body);
  m->first = false;
  m->watchdog = TIME_NEVER;
}

void
map_start (Control *c)
{
  release (c);
  backoff_reset (&c->map.backoff);
  c->map.phase = MAP_DUE;
}

void
map_stop (Control *c)
{
  release (c);
  c->map.phase = MAP_OFF;
}

static void
fail (Control *c, const char *why)
{
  MapPoll *m = &c->map;

  log_debug ("control", "map stream ends: %s", why);
  release (c);
  m->phase = MAP_DUE;
  backoff_fail (&m->backoff, c->random, c->now);
  /* the connection proves nothing: a server on its way down keeps it and answers 500 */
  link_doom (c, why);
}

void
map_lost (Control *c)
{
  MapPoll *m = &c->map;

  m->stream = 0;
  if (m->phase != MAP_CONNECTING && m->phase != MAP_READING)
    return;
  release (c);
  m->phase = MAP_DUE;
  backoff_fail (&m->backoff, c->random, c->now);
}

bool
map_is_online (const Control *c)
{
  return c->map.phase == MAP_READING && c->map.first;
}

bool
map_wants_link (const Control *c)
{
  return c->running && c->have_local && c->login.registered && c->map.phase == MAP_DUE
         && c->map.backoff.retry_at <= c->now;
}

void
map_send (Control *c)
{
  MapPoll *m = &c->map;

  release (c);
  m->stream = map_request_send (c, true);
  if (m->stream == 0)
    return;
  m->phase = MAP_CONNECTING;
  m->watchdog = c->now + WATCHDOG_US;
}

/* --- Messages ------------------------------------------------------------------------------ */

/* What counts on every message, keep-alives too (§10.5). */
static void
handle_requests (Control *c, const MapMessage *message)
{
  if (message->has_dial_plan)
    dial_set_plan (c, message->dial_plan, message->n_dial_plan);
  if (message->ping.url[0] != '\0')
    ping_request (c, &message->ping);
  if (message->pop_browser_url[0] != '\0')
    ping_pop_url (c, message->pop_browser_url);
  if (message->has_debug_exit)
    log_warning ("control", "the server asks the client to exit; it does not");
}

/* False: the stream must end. */
static bool
handle_message (Control *c, const MapMessage *message)
{
  MapPoll *m = &c->map;

  handle_requests (c, message);
  if (message->keep_alive && !m->first)
    return true;
  if (!m->first && !message->node)
    return false;
  netmap_hold_apply (c, message, !m->first);
  if (m->first || message->keep_alive)
    return true;
  m->first = true;
  backoff_reset (&m->backoff);
  c->login.probed_404 = false;
  problem_connection (c, CONTROL_PROBLEM_NONE, NULL, false);
  return true;
}

static void
finish_message (Control *c)
{
  MapPoll *m = &c->map;
  MapMessage *message = m->decoder ? map_decoder_finish (m->decoder) : NULL;
  char text[120];

  if (!message) {
    snprintf (text, sizeof text, "%s", m->decoder ? map_decoder_error (m->decoder) : "empty");
    log_warning ("control", "a map message could not be read: %s", text);
    fail (c, "a map message could not be read");
    return;
  }
  map_decoder_free (m->decoder);
  m->decoder = NULL;
  if (!handle_message (c, message))
    fail (c, "the first map does not contain this node");
  map_message_free (message);
}

static void
read_frames (Control *c, const uint8_t *data, size_t size)
{
  MapPoll *m = &c->map;
  const uint8_t *chunk;
  size_t n;

  zstd_frames_feed (m->frames, data, size);
  while (m->phase == MAP_READING)
    switch (zstd_frames_next (m->frames, &chunk, &n)) {
      case ZSTD_FRAMES_MORE:
        return;
      case ZSTD_FRAMES_CHUNK_READY:
        if (!m->decoder)
          m->decoder = map_decoder_new ();
        map_decoder_feed (m->decoder, chunk, n); /* a failure shows at the end */
        break;
      case ZSTD_FRAMES_END:
        finish_message (c);
        break;
      case ZSTD_FRAMES_BAD:
        fail (c, "the map stream is damaged");
        break;
    }
}

/* --- The stream ---------------------------------------------------------------------------- */

static void
answered (Control *c, int status)
{
  MapPoll *m = &c->map;

  m->status = status;
  if (status != 200)
    return;
  m->phase = MAP_READING;
  m->frames = zstd_frames_new (true);
}

static void
ended (Control *c)
{
  MapPoll *m = &c->map;
  char text[BODY_TEXT_MAX + 40];
  bool permanent;

  if (m->phase == MAP_READING) {
    fail (c, "the server ended it");
    return;
  }
  int status = m->status;
  snprintf (text, sizeof text, "map request: http %d: %.*s", status, body_text_length (&m->body),
            m->body.data ? (const char *)m->body.data : "");
  log_warning ("control", "%s", text);
  fail (c, "the map was refused");
  ControlProblem problem = register_problem (text, &permanent);
  if (status == 404)
    login_check_removed (c);
  else if (problem == CONTROL_PROBLEM_VERSION_REFUSED)
    problem_connection (c, problem, text, true);
}

void
map_stream_event (Control *c, const H2Event *event)
{
  MapPoll *m = &c->map;

  m->watchdog = c->now + WATCHDOG_US;
  switch (event->type) {
    case H2_EVENT_HEADERS:
      answered (c, event->status);
      break;
    case H2_EVENT_DATA:
      if (m->phase == MAP_READING)
        read_frames (c, event->data, event->size);
      else
        buffer_append (&m->body, event->data,
                       event->size < BODY_TEXT_MAX - m->body.size ? event->size
                                                                  : BODY_TEXT_MAX - m->body.size);
      break;
    case H2_EVENT_END:
      m->stream = 0;
      ended (c);
      break;
    default:
      m->stream = 0;
      fail (c, "the server reset it");
      break;
  }
}

void
map_tick (Control *c)
{
  if (c->map.watchdog <= c->now)
    fail (c, "nothing came for two minutes");
}

int64_t
map_deadline (const Control *c)
{
  const MapPoll *m = &c->map;

  if (c->running && c->login.registered && m->phase == MAP_DUE && m->backoff.retry_at > c->now)
    return m->backoff.retry_at;
  return m->watchdog;
}
