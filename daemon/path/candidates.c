#include "path/candidates.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void
candidates_clear (Candidates *c)
{
  free (c->items);
  *c = (Candidates){0};
}

Candidate *
candidates_find (const Candidates *c, const IpPort *at)
{
  for (size_t i = 0; i < c->count; i++)
    if (ip_port_equal (&c->items[i].at, at))
      return &c->items[i];
  return NULL;
}

static bool
is_alive (const Candidate *candidate, int64_t now_us)
{
  return candidate->in_netmap || candidate->in_call
         || now_us - candidate->last_got_ping_us <= CANDIDATE_IDLE_US;
}

void
candidates_drop_dead (Candidates *c, const IpPort *keep, int64_t now_us)
{
  size_t kept = 0;

  for (size_t i = 0; i < c->count; i++)
    if (is_alive (&c->items[i], now_us) || (keep && ip_port_equal (&c->items[i].at, keep)))
      c->items[kept++] = c->items[i];
  c->count = kept;
}

static Candidate *
add (Candidates *c, const IpPort *at)
{
  c->items = mem_grow (c->items, c->count, &c->room, sizeof *c->items);
  Candidate *candidate = &c->items[c->count++];
  *candidate = (Candidate){
      .at = *at, .last_ping_us = LONG_AGO, .last_got_ping_us = LONG_AGO, .triggered_us = LONG_AGO};
  return candidate;
}

static size_t
count_learned (const Candidates *c)
{
  size_t n = 0;

  for (size_t i = 0; i < c->count; i++)
    n += !c->items[i].in_netmap && !c->items[i].in_call;
  return n;
}

Candidate *
candidates_learn (Candidates *c, const IpPort *at, int64_t now_us)
{
  Candidate *candidate = candidates_find (c, at);

  if (candidate)
    return candidate;
  if (count_learned (c) >= CANDIDATES_LEARNED_MAX) {
    candidates_drop_dead (c, NULL, now_us);
    if (count_learned (c) >= CANDIDATES_LEARNED_MAX)
      return NULL;
  }
  return add (c, at);
}

void
candidates_set_netmap (Candidates *c, const IpPort *endpoints, size_t count, const IpPort *keep,
                       int64_t now_us)
{
  for (size_t i = 0; i < c->count; i++)
    c->items[i].in_netmap = false;
  for (size_t i = 0; i < count; i++) {
    Candidate *candidate = candidates_find (c, &endpoints[i]);
    if (!candidate)
      candidate = add (c, &endpoints[i]);
    candidate->in_netmap = true;
  }
  candidates_drop_dead (c, keep, now_us);
}

void
candidates_set_call (Candidates *c, const IpPort *endpoints, size_t count, int64_t now_us)
{
  for (size_t i = 0; i < c->count;) {
    Candidate *candidate = &c->items[i];
    bool listed = false;
    for (size_t k = 0; k < count && !listed; k++)
      listed = ip_port_equal (&endpoints[k], &candidate->at);
    if (candidate->in_call && !listed)
      *candidate = c->items[--c->count];
    else
      i++;
  }
  for (size_t k = 0; k < count; k++) {
    Candidate *candidate = candidates_find (c, &endpoints[k]);
    if (!candidate)
      candidate = add (c, &endpoints[k]);
    candidate->in_call = true;
  }
}

void
candidate_forget (Candidate *candidate)
{
  if (candidate->in_call)
    candidate->in_netmap = true;
  *candidate = (Candidate){.at = candidate->at,
                           .in_netmap = candidate->in_netmap,
                           .last_ping_us = LONG_AGO,
                           .last_got_ping_us = candidate->last_got_ping_us,
                           .triggered_us = LONG_AGO};
}

void
candidates_reset (Candidates *c)
{
  for (size_t i = 0; i < c->count; i++)
    candidate_forget (&c->items[i]);
}

int64_t
candidate_add_latency (Candidate *candidate, int64_t latency_us)
{
  int64_t smallest = latency_us;

  memmove (candidate->latencies + 1, candidate->latencies,
           (CANDIDATE_LATENCIES - 1) * sizeof *candidate->latencies);
  candidate->latencies[0] = latency_us;
  if (candidate->n_latencies < CANDIDATE_LATENCIES)
    candidate->n_latencies++;
  for (size_t i = 1; i < candidate->n_latencies; i++)
    smallest = time_min (smallest, candidate->latencies[i]);
  return smallest;
}
