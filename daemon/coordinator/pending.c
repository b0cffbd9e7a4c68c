#include "coordinator/pending.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
pending_free (Pending *pending)
{
  arena_clear (&pending->arena);
  free (pending);
}

Pending *
pending_find (const State *state, const char *id)
{
  for (size_t i = 0; i < state->n_pending; i++)
    if (strcmp (state->pending[i]->id, id) == 0)
      return state->pending[i];
  return NULL;
}

size_t
pending_count (const State *state)
{
  size_t n = 0;

  for (size_t i = 0; i < state->n_pending; i++)
    n += state->pending[i]->outcome == PENDING_WAITS;
  return n;
}

/* ---- answers ---- */

static void
send_url (State *state, uint64_t request, const Pending *pending)
{
  RegisterResponse response;
  char url[1024];

  snprintf (url, sizeof url, "%s/register/%s", state->url, pending->id);
  register_response_init (&response);
  response.auth_url = url;
  state_send_registration (state, request, &response);
}

/* Come again later; devices do so without a word to their users. */
static void
send_busy (State *state, uint64_t request)
{
  state_reply (state, request, 429, "too many devices wait to be let in");
}

/* ---- the list ---- */

static void
drop (State *state, size_t index)
{
  Pending *pending = state->pending[index];

  for (size_t i = 0; i < pending->n_waiters; i++)
    send_busy (state, pending->waiters[i]);
  pending_free (pending);
  state->n_pending--;
  memmove (state->pending + index, state->pending + index + 1,
           (state->n_pending - index) * sizeof *state->pending);
}

static void
give_id (State *state, Pending *pending)
{
  uint8_t id[PENDING_ID_BYTES];

  random_fill (state->random, id, sizeof id);
  hex_encode (id, sizeof id, pending->id);
  pending->until_us = state->now_us + PENDING_LIFE_US;
}

static void
append (State *state, Pending *pending)
{
  state->pending
      = mem_grow (state->pending, state->n_pending, &state->pending_room, sizeof *state->pending);
  state->pending[state->n_pending++] = pending;
  state->revision++;
}

static bool
same_network (const IpAddr *a, const IpAddr *b)
{
  return a->family == b->family && memcmp (a->bytes, b->bytes, a->family == 6 ? 8 : 4) == 0;
}

/* Room for one more: the oldest goes for which nobody holds on, else the oldest. */
static void
make_room (State *state)
{
  size_t at = 0;

  if (state->n_pending < PENDING_MAX)
    return;
  while (at < state->n_pending && state->pending[at]->n_waiters > 0)
    at++;
  drop (state, at < state->n_pending ? at : 0);
}

/* A machine that keeps asking with new keys takes its own place. */
static void
limit_machine (State *state, const MachinePublic *machine)
{
  size_t n = 0, oldest = 0;

  for (size_t i = state->n_pending; i > 0; i--) {
    if (memcmp (state->pending[i - 1]->machine.bytes, machine->bytes, KEY_SIZE) != 0)
      continue;
    n++;
    oldest = i - 1;
  }
  if (n >= PENDING_MAX_OF_MACHINE)
    drop (state, oldest);
}

static bool
address_has_room (const State *state, const IpAddr *from)
{
  size_t n = 0;

  for (size_t i = 0; i < state->n_pending; i++)
    n += state->pending[i]->outcome == PENDING_WAITS
         && same_network (&state->pending[i]->from, from);
  return from->family == 0 || n < PENDING_MAX_FROM;
}

static Pending *
find_same (const State *state, const StateEvent *event)
{
  for (size_t i = 0; i < state->n_pending; i++) {
    Pending *pending = state->pending[i];
    if (pending->outcome == PENDING_WAITS
        && memcmp (pending->machine.bytes, event->registration.machine.bytes, KEY_SIZE) == 0
        && memcmp (pending->key.bytes, event->registration.body->node_key.bytes, KEY_SIZE) == 0)
      return pending;
  }
  return NULL;
}

/* NULL when too many ask from there. */
static Pending *
add (State *state, const StateEvent *event)
{
  const RegisterRequest *body = event->registration.body;

  limit_machine (state, &event->registration.machine);
  if (!address_has_room (state, &event->registration.from))
    return NULL;
  make_room (state);
  Pending *pending = mem_new (sizeof *pending);
  give_id (state, pending);
  pending->machine = event->registration.machine;
  pending->key = body->node_key;
  pending->old_key = body->old_node_key;
  pending->from = event->registration.from;
  pending->expiry = body->expiry;
  pending->ephemeral = body->ephemeral;
  pending->version = body->version;
  hostinfo_copy (&pending->hostinfo, body->hostinfo, &pending->arena);
  append (state, pending);
  return pending;
}

/* ---- waiting ---- */

/* Too many hold on: the one that does so the longest is told the link again. */
static void
hold (State *state, Pending *pending, uint64_t request)
{
  if (pending->n_waiters == PENDING_MAX_WAITERS) {
    send_url (state, pending->waiters[0], pending);
    pending->n_waiters--;
    memmove (pending->waiters, pending->waiters + 1,
             pending->n_waiters * sizeof pending->waiters[0]);
  }
  pending->waiters[pending->n_waiters++] = request;
}

/* The entry that a followup names, when it is this device's own. */
static Pending *
followed (const State *state, const StateEvent *event)
{
  const RegisterRequest *body = event->registration.body;
  const char *slash = body->followup ? strrchr (body->followup, '/') : NULL;
  Pending *pending = slash ? pending_find (state, slash + 1) : NULL;

  if (pending && memcmp (pending->machine.bytes, event->registration.machine.bytes, KEY_SIZE) == 0
      && memcmp (pending->key.bytes, body->node_key.bytes, KEY_SIZE) == 0)
    return pending;
  return NULL;
}

void
state_wait_for_person (State *state, const StateEvent *event)
{
  Pending *pending = followed (state, event);

  if (pending && pending->outcome == PENDING_WAITS) {
    hold (state, pending, event->request);
    return;
  }
  if (pending && pending->outcome == PENDING_DENIED) {
    state_refuse_registration (state, event->request, "this device was refused");
    return;
  }
  pending = find_same (state, event);
  if (!pending)
    pending = add (state, event);
  if (pending)
    send_url (state, event->request, pending);
  else
    send_busy (state, event->request);
}

/* ---- decisions ---- */

const char *
pending_approve (State *state, Pending *pending, const CoUser *user)
{
  const Hostinfo *hostinfo = &pending->hostinfo;
  const char *error = NULL;

  if (!state_may_have_tags (state, user, hostinfo))
    return "requested tags are invalid or not permitted";
  Joining joining = {
      .machine = &pending->machine,
      .key = &pending->key,
      .old_key = &pending->old_key,
      .hostinfo = hostinfo,
      .user = hostinfo->n_request_tags > 0 ? 0 : user->id,
      .tags = hostinfo->request_tags,
      .n_tags = hostinfo->n_request_tags,
      .ephemeral = pending->ephemeral,
      .approved = true,
      .version = pending->version,
      .expiry = pending->expiry,
  };
  CoNode *node = state_join (state, &joining, &error);
  if (!node)
    return error;
  for (size_t i = 0; i < pending->n_waiters; i++)
    state_accept_registration (state, pending->waiters[i], node);
  pending->n_waiters = 0;
  pending->outcome = PENDING_APPROVED;
  return NULL;
}

void
pending_deny (State *state, Pending *pending)
{
  for (size_t i = 0; i < pending->n_waiters; i++)
    state_refuse_registration (state, pending->waiters[i], "this device was refused");
  pending->n_waiters = 0;
  pending->outcome = PENDING_DENIED;
  state->revision++;
}

void
state_forget_waiter (State *state, uint64_t request)
{
  for (size_t i = 0; i < state->n_pending; i++) {
    Pending *pending = state->pending[i];
    for (size_t w = 0; w < pending->n_waiters; w++)
      if (pending->waiters[w] == request) {
        pending->n_waiters--;
        memmove (pending->waiters + w, pending->waiters + w + 1,
                 (pending->n_waiters - w) * sizeof pending->waiters[0]);
        return;
      }
  }
}

/* Who still holds on gets a new link. */
void
state_expire_pending (State *state)
{
  while (state->n_pending > 0 && state->pending[0]->until_us <= state->now_us) {
    Pending *old = state->pending[0];
    if (old->n_waiters == 0) {
      drop (state, 0);
      continue;
    }
    memmove (state->pending, state->pending + 1, --state->n_pending * sizeof *state->pending);
    give_id (state, old);
    append (state, old);
    for (size_t w = 0; w < old->n_waiters; w++)
      send_url (state, old->waiters[w], old);
    old->n_waiters = 0;
  }
}

int64_t
state_pending_deadline (const State *state)
{
  return state->n_pending > 0 ? state->pending[0]->until_us : TIME_NEVER;
}
