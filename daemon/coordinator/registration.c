/* Who may join (spec/control-protocol.md §17.3, §17.5). */

#include "coordinator/state-private.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
state_node_expired (const State *state, const CoNode *node)
{
  return !wall_time_is_unset (node->expiry) && wall_time_compare (node->expiry, state->wall) <= 0;
}

static void
admit (State *state, const NodePublic *key, bool allowed)
{
  StateAction *action = state_push (state, STATE_ACTION_ADMIT, 0);

  action->admit.key = *key;
  action->admit.allowed = allowed;
}

void
state_remove_node (State *state, CoNode *node)
{
  admit (state, &node->key, false);
  state_delete_node_record (state, node);
  state_end_streams_of (state, node->id);
  model_remove_node (&state->model, node);
  state_view_changed (state);
}

/* ---- answers ---- */

static void
send_response (State *state, uint64_t request, const RegisterResponse *response)
{
  JsonWriter w;

  json_writer_init (&w);
  register_response_encode (response, &w);
  state_reply_json (state, request, 200, &w);
  json_writer_clear (&w);
}

static void
send_error (State *state, uint64_t request, const char *error)
{
  RegisterResponse response;

  register_response_init (&response);
  response.error = error;
  send_response (state, request, &response);
}

static void
send_success (State *state, uint64_t request, const CoNode *node)
{
  const CoUser *user = model_user (&state->model, node->user);
  RegisterResponse response;

  register_response_init (&response);
  response.user_id = response.login_id = user ? user->id : MODEL_TAGGED_USER;
  response.user_display_name = response.login_display_name
      = user ? user->display_name : "Tagged Devices";
  response.login_name = user ? user->login : "tagged-devices";
  response.machine_authorized = node->approved;
  send_response (state, request, &response);
}

static void
send_expired (State *state, uint64_t request, bool authorized)
{
  RegisterResponse response;

  register_response_init (&response);
  response.node_key_expired = true;
  response.machine_authorized = authorized;
  send_response (state, request, &response);
}

/* ---- joining ---- */

static WallTime
key_expiry (const State *state, const CoNode *node)
{
  if (node->n_tags > 0 || state->model.settings.key_days == 0)
    return wall_time_unset ();
  return wall_time_add_us (state->wall, state->model.settings.key_days * 86400 * USEC_PER_SEC);
}

/* What a device that joins or signs in again brings. */
typedef struct
{
  const MachinePublic *machine;
  const NodePublic *key;
  const NodePublic *old_key;
  const Hostinfo *hostinfo;
  UserId user; /* 0: tagged */
  const char *const *tags;
  size_t n_tags;
  bool ephemeral;
  bool approved;
  int32_t version;
} Joining;

static CoNode *
find_joining (State *state, const Joining *joining)
{
  CoModel *model = &state->model;
  CoNode *node = model_node_by_key (model, joining->key);

  if (!node && !key_zero (joining->old_key))
    node = model_node_by_key (model, joining->old_key);
  if (node && memcmp (node->machine.bytes, joining->machine->bytes, KEY_SIZE) == 0
      && node->user == joining->user)
    return node;
  return model_node_by_machine (model, joining->machine, joining->user);
}

/* Makes the node or gives it its new key. NULL when there is no address left. */
static CoNode *
join (State *state, const Joining *joining)
{
  CoNode *node = find_joining (state, joining);

  if (!node) {
    node = model_add_node (&state->model, joining->hostinfo->hostname, state->wall, state->random);
    if (!node)
      return NULL;
    state_save_settings (state); /* ids are never given twice, also after a restart */
    node->machine = *joining->machine;
    node->approved = joining->approved;
  } else if (memcmp (node->key.bytes, joining->key->bytes, KEY_SIZE) != 0) {
    admit (state, &node->key, false);
  }
  node->user = joining->user;
  node->key = *joining->key;
  node->ephemeral = joining->ephemeral;
  node->approved |= joining->approved;
  node->capability_version = joining->version;
  co_node_set_tags (node, joining->tags, joining->n_tags);
  co_node_set_hostinfo (node, joining->hostinfo);
  if (!node->renamed)
    model_name_node (&state->model, node, joining->hostinfo->hostname);
  node->expiry = key_expiry (state, node);
  node->delete_us = node->ephemeral ? state->now_us + EPHEMERAL_US : TIME_NEVER;
  admit (state, &node->key, true);
  state_save_node (state, node);
  state_changed (state, node, true);
  return node;
}

static bool
key_is_valid (const State *state, const CoAuthKey *key, const char **error)
{
  if (!key)
    *error = "invalid pre auth key";
  else if (key->revoked)
    *error = "authkey revoked";
  else if (key->used && !key->reusable)
    *error = "authkey already used";
  else if (!wall_time_is_unset (key->expiry) && wall_time_compare (key->expiry, state->wall) <= 0)
    *error = "authkey expired";
  else
    return true;
  return false;
}

static void
register_by_key (State *state, const StateEvent *event)
{
  const RegisterRequest *body = event->registration.body;
  CoAuthKey *key = model_match_key (&state->model, body->auth_key);
  const char *error = NULL;
  UserId user = key ? key->n_tags > 0 ? 0 : key->user : 0;
  CoNode *node
      = key ? model_node_by_machine (&state->model, &event->registration.machine, user) : NULL;

  /* A device that comes back with a spent key and the node key it has is simply here again. */
  if (node && memcmp (node->key.bytes, body->node_key.bytes, KEY_SIZE) == 0
      && !state_node_expired (state, node)) {
    send_success (state, event->request, node);
    return;
  }
  if (!key_is_valid (state, key, &error)) {
    send_error (state, event->request, error);
    return;
  }
  Joining joining = {
      .machine = &event->registration.machine,
      .key = &body->node_key,
      .old_key = &body->old_node_key,
      .hostinfo = body->hostinfo,
      .user = user,
      .tags = (const char *const *)key->tags,
      .n_tags = key->n_tags,
      .ephemeral = key->ephemeral,
      .approved = true,
      .version = body->version,
  };
  node = join (state, &joining);
  if (!node) {
    send_error (state, event->request, "no address is left in this network");
    return;
  }
  if (!key->reusable) {
    key->used = true;
    state_save_key (state, key);
  }
  send_success (state, event->request, node);
}

/* ---- waiting for a person ---- */

void
pending_free (Pending *pending)
{
  arena_clear (&pending->arena);
  free (pending->waiters);
  free (pending);
}

static void
drop_pending (State *state, size_t index)
{
  pending_free (state->pending[index]);
  state->n_pending--;
  memmove (state->pending + index, state->pending + index + 1,
           (state->n_pending - index) * sizeof *state->pending);
}

static Pending *
find_pending (const State *state, const char *id)
{
  for (size_t i = 0; i < state->n_pending; i++)
    if (strcmp (state->pending[i]->id, id) == 0)
      return state->pending[i];
  return NULL;
}

bool
state_pending (const State *state, const char *id, StatePending *out)
{
  const Pending *pending = find_pending (state, id);

  if (!pending)
    return false;
  *out = (StatePending){
      .id = pending->id,
      .hostname = pending->hostinfo.hostname ? pending->hostinfo.hostname : "",
      .os = pending->hostinfo.os ? pending->hostinfo.os : "",
  };
  key_short (KEY_MACHINE_PUBLIC, pending->machine.bytes, out->fingerprint);
  return true;
}

static void
send_auth_url (State *state, uint64_t request, const Pending *pending)
{
  RegisterResponse response;
  char url[1024];

  snprintf (url, sizeof url, "%s/register/%s", state->url, pending->id);
  register_response_init (&response);
  response.auth_url = url;
  send_response (state, request, &response);
}

/* The oldest one goes when too many wait. */
static Pending *
add_pending (State *state, const StateEvent *event)
{
  const RegisterRequest *body = event->registration.body;
  Pending *pending = mem_new (sizeof *pending);
  uint8_t id[PENDING_ID_BYTES];

  if (state->n_pending == PENDING_MAX)
    drop_pending (state, 0);
  random_fill (state->random, id, sizeof id);
  hex_encode (id, sizeof id, pending->id);
  pending->machine = event->registration.machine;
  pending->key = body->node_key;
  pending->old_key = body->old_node_key;
  pending->ephemeral = body->ephemeral;
  pending->version = body->version;
  pending->until_us = state->now_us + PENDING_LIFE_US;
  hostinfo_copy (&pending->hostinfo, body->hostinfo, &pending->arena);
  state->pending
      = mem_grow (state->pending, state->n_pending, &state->pending_room, sizeof *state->pending);
  state->pending[state->n_pending++] = pending;
  return pending;
}

static void
wait_for_person (State *state, const StateEvent *event)
{
  const RegisterRequest *body = event->registration.body;
  const char *slash = body->followup ? strrchr (body->followup, '/') : NULL;
  Pending *pending = slash ? find_pending (state, slash + 1) : NULL;

  if (!pending || memcmp (pending->machine.bytes, event->registration.machine.bytes, KEY_SIZE) != 0
      || memcmp (pending->key.bytes, body->node_key.bytes, KEY_SIZE) != 0) {
    send_auth_url (state, event->request, add_pending (state, event));
    return;
  }
  pending->waiters = mem_grow (pending->waiters, pending->n_waiters, &pending->waiters_room,
                               sizeof *pending->waiters);
  pending->waiters[pending->n_waiters++] = event->request;
}

bool
state_approve_pending (State *state, const char *id, const CoUser *user)
{
  static const NodePublic none;
  Pending *pending = find_pending (state, id);

  if (!pending)
    return false;
  Joining joining = {
      .machine = &pending->machine,
      .key = &pending->key,
      .old_key = key_zero (&pending->old_key) ? &none : &pending->old_key,
      .hostinfo = &pending->hostinfo,
      .user = user->id,
      .ephemeral = pending->ephemeral,
      .approved = true,
      .version = pending->version,
  };
  CoNode *node = join (state, &joining);
  for (size_t i = 0; i < pending->n_waiters; i++) {
    if (node)
      send_success (state, pending->waiters[i], node);
    else
      send_error (state, pending->waiters[i], "no address is left in this network");
  }
  for (size_t i = 0; i < state->n_pending; i++)
    if (state->pending[i] == pending)
      drop_pending (state, i);
  return node != NULL;
}

void
state_forget_waiter (State *state, uint64_t request)
{
  for (size_t i = 0; i < state->n_pending; i++) {
    Pending *pending = state->pending[i];
    for (size_t w = 0; w < pending->n_waiters; w++)
      if (pending->waiters[w] == request)
        pending->waiters[w--] = pending->waiters[--pending->n_waiters];
  }
}

/* Who still waits gets a new page (Headscale does the same after 15 minutes). */
void
state_expire_pending (State *state)
{
  while (state->n_pending > 0 && state->pending[0]->until_us <= state->now_us) {
    Pending *old = state->pending[0];
    for (size_t w = 0; w < old->n_waiters; w++)
      send_error (state, old->waiters[w], "registration timed out");
    drop_pending (state, 0);
  }
}

int64_t
state_pending_deadline (const State *state)
{
  return state->n_pending > 0 ? state->pending[0]->until_us : TIME_NEVER;
}

/* ---- known nodes ---- */

static void
log_out (State *state, uint64_t request, CoNode *node)
{
  if (node->ephemeral) {
    state_remove_node (state, node);
  } else {
    node->expiry = state->wall;
    admit (state, &node->key, false);
    state_save_node (state, node);
    state_changed (state, node, true);
  }
  send_expired (state, request, true);
}

/* A node key that is registered already. False: it is to be treated like a new one. */
static bool
register_known (State *state, const StateEvent *event, CoNode *node)
{
  const RegisterRequest *body = event->registration.body;
  bool has_expiry = !wall_time_is_unset (body->expiry);
  bool has_auth = body->auth_key && body->auth_key[0];

  if (has_expiry && wall_time_compare (body->expiry, state->wall) <= 0) {
    log_out (state, event->request, node);
    return true;
  }
  if (has_auth)
    return false;
  if (state_node_expired (state, node)) {
    if (body->followup && body->followup[0])
      return false;
    send_expired (state, event->request, false);
    return true;
  }
  if (has_expiry) {
    if (!wall_time_is_unset (node->expiry) && wall_time_compare (body->expiry, node->expiry) > 0) {
      send_error (state, event->request, "extending key is not allowed");
      return true;
    }
    node->expiry = body->expiry;
    state_save_node (state, node);
    state_changed (state, node, true);
  }
  send_success (state, event->request, node);
  return true;
}

static void
register_node (State *state, const StateEvent *event)
{
  const RegisterRequest *body = event->registration.body;
  CoNode *node = model_node_by_key (&state->model, &body->node_key);

  if (key_zero (&body->node_key))
    send_error (state, event->request, "a node key is missing");
  else if (node && memcmp (node->machine.bytes, event->registration.machine.bytes, KEY_SIZE) != 0)
    send_error (state, event->request, "node key already in use by another machine");
  else if (node && register_known (state, event, node))
    return;
  else if (!node && !wall_time_is_unset (body->expiry)
           && wall_time_compare (body->expiry, state->wall) <= 0)
    send_expired (state, event->request, false);
  else if (body->auth_key && body->auth_key[0])
    register_by_key (state, event);
  else
    wait_for_person (state, event);
}

/* A request without Hostinfo is a request of a host that says nothing about itself. */
void
state_register (State *state, const StateEvent *event)
{
  RegisterRequest body = *event->registration.body;
  StateEvent copy = *event;
  Hostinfo none;

  hostinfo_init (&none);
  if (!body.hostinfo)
    body.hostinfo = &none;
  copy.registration.body = &body;
  register_node (state, &copy);
}
