#include "control/core.h"

#define ANSWER_US (30 * USEC_PER_SEC)

void
lite_want (Control *c)
{
  c->lite.wanted++;
}

/* Beside the stream, never in its place. */
static bool
wanted (const Control *c)
{
  return c->running && c->have_local && c->login.registered
         && (c->map.phase == MAP_CONNECTING || c->map.phase == MAP_READING)
         && c->lite.acked != c->lite.wanted;
}

/* Serial by nature: nothing is sent while an answer is awaited, and then always the newest. */
bool
lite_wants_link (const Control *c)
{
  const Lite *l = &c->lite;

  return wanted (c) && l->exchange.stream == 0 && l->backoff.retry_at <= c->now;
}

void
lite_send (Control *c)
{
  Lite *l = &c->lite;
  int32_t stream = map_request_send (c, false);

  if (stream == 0)
    return;
  exchange_begin (&l->exchange, stream, c->now + ANSWER_US);
  l->sent = l->wanted;
}

void
lite_lost (Control *c)
{
  if (c->lite.exchange.stream == 0)
    return;
  exchange_clear (&c->lite.exchange);
  backoff_fail (&c->lite.backoff, c->random, c->now);
}

void
lite_stream_event (Control *c, const H2Event *event)
{
  Lite *l = &c->lite;

  if (!exchange_event (&l->exchange, event, 0)) /* the body says nothing */
    return;
  if (l->exchange.status == 200) {
    l->acked = l->sent;
    backoff_reset (&l->backoff);
  } else
    backoff_fail (&l->backoff, c->random, c->now);
  exchange_clear (&l->exchange);
}

void
lite_tick (Control *c)
{
  Lite *l = &c->lite;

  if (l->exchange.stream == 0 || l->exchange.deadline > c->now)
    return;
  link_reset (c, &l->exchange.stream);
  exchange_clear (&l->exchange);
  backoff_fail (&l->backoff, c->random, c->now);
}

int64_t
lite_deadline (const Control *c)
{
  const Lite *l = &c->lite;

  if (l->exchange.stream != 0)
    return l->exchange.deadline;
  return wanted (c) && l->backoff.retry_at > c->now ? l->backoff.retry_at : TIME_NEVER;
}
