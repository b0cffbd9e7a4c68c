#include "control/core.h"

#include <stdlib.h>
#include <string.h>

#define PING_US (15 * USEC_PER_SEC)
#define C2N_US  (60 * USEC_PER_SEC)

static void
release (Ping *ping)
{
  buffer_free (&ping->body);
  memset (ping, 0, sizeof *ping);
}

static Ping *
reserve (Control *c, const HttpUrl *url, bool noise, const char *method, int64_t limit_us)
{
  for (size_t i = 0; i < PINGS_MAX; i++) {
    Ping *ping = &c->pings[i];
    if (ping->id != 0)
      continue;
    if (++c->next_ping == 0)
      c->next_ping++;
    ping->id = c->next_ping;
    ping->url = *url;
    ping->noise = noise;
    ping->method = method;
    ping->deadline = c->now + limit_us;
    return ping;
  }
  return NULL;
}

/* A reply outside of Noise leaves at once; one inside waits for the link. */
static void
reply (Control *c, Ping *ping)
{
  ping->ready = true;
  if (ping->noise)
    return;
  fetch_start (c, FETCH_PING, ping->method, &ping->url, &ping->body, ping->deadline - c->now);
  release (ping);
}

void
ping_request (Control *c, const PingRequest *request)
{
  bool liveness = request->types[0] == '\0', c2n = strcmp (request->types, "c2n") == 0;
  HttpUrl url;

  if ((c->last_ping_url && strcmp (c->last_ping_url, request->url) == 0)
      || !http_url_parse (request->url, &url))
    return;
  free (c->last_ping_url);
  c->last_ping_url = control_strdup (request->url);
  if (!liveness && !c2n && request->ip.family == 0)
    return;
  Ping *ping = reserve (c, &url, c2n || request->url_is_noise, liveness ? "HEAD" : "POST",
                        c2n ? C2N_US : PING_US);
  if (!ping)
    return; /* so many at once is no honest question */
  if (liveness)
    reply (c, ping);
  else if (c2n) {
    c2n_answer (request->payload, request->payload_size, &ping->body);
    reply (c, ping);
  } else {
    ControlAction *action = control_push (c, CONTROL_ACTION_PING);
    action->ping.ping = ping->id;
    action->ping.types = control_strdup (request->types);
    action->ping.ip = request->ip;
  }
}

void
ping_result (Control *c, uint32_t id, const uint8_t *json, size_t size)
{
  for (size_t i = 0; i < PINGS_MAX; i++) {
    Ping *ping = &c->pings[i];
    if (ping->id != id || id == 0 || ping->ready)
      continue;
    if (!json) {
      release (ping);
      return;
    }
    buffer_append (&ping->body, json, size);
    reply (c, ping);
    return;
  }
}

bool
ping_wants_link (const Control *c)
{
  for (size_t i = 0; i < PINGS_MAX; i++)
    if (c->pings[i].ready)
      return c->running && link_ready (c);
  return false;
}

void
ping_send (Control *c)
{
  for (size_t i = 0; i < PINGS_MAX; i++) {
    Ping *ping = &c->pings[i];
    if (!ping->ready)
      continue;
    /* nobody waits for the answer: a lost reply is the server's to notice */
    link_request (c, ping->method, ping->url.target, NULL, NULL, ping->body.data, ping->body.size);
    release (ping);
  }
}

void
ping_tick (Control *c)
{
  for (size_t i = 0; i < PINGS_MAX; i++)
    if (c->pings[i].id != 0 && c->pings[i].deadline <= c->now)
      release (&c->pings[i]);
}

int64_t
ping_deadline (const Control *c)
{
  int64_t deadline = TIME_NEVER;

  for (size_t i = 0; i < PINGS_MAX; i++)
    if (c->pings[i].id != 0)
      deadline = time_min (deadline, c->pings[i].deadline);
  return deadline;
}

void
ping_pop_url (Control *c, const char *url)
{
  if ((c->last_pop_url && strcmp (c->last_pop_url, url) == 0)
      || !control_url_may_open (&c->url, url))
    return;
  free (c->last_pop_url);
  c->last_pop_url = control_strdup (url);
  control_push (c, CONTROL_ACTION_POP_URL)->pop_url.url = control_strdup (url);
}
