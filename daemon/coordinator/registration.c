/* Who may join (spec/control-protocol.md §17.3, §17.5). */

#include "coordinator/pending.h"

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
  state_changed (state, node, true);
  model_remove_node (&state->model, node);
}

/* ---- answers ---- */

void
state_send_registration (State *state, uint64_t request, const RegisterResponse *response)
{
  JsonWriter w;

  json_writer_init (&w);
  register_response_encode (response, &w);
  state_reply_json (state, request, 200, &w);
  json_writer_clear (&w);
}

void
state_refuse_registration (State *state, uint64_t request, const char *error)
{
  RegisterResponse response;

  register_response_init (&response);
  response.error = error;
  state_send_registration (state, request, &response);
}

void
state_accept_registration (State *state, uint64_t request, const CoNode *node)
{
  const CoUser *user = model_user (&state->model, node->user);
  RegisterResponse response;

  register_response_init (&response);
  response.user_id = response.login_id = user ? user->id : MODEL_TAGGED_USER;
  response.user_display_name = response.login_display_name
      = user ? user->display_name : "Tagged Devices";
  response.login_name = user ? user->login : "tagged-devices";
  response.machine_authorized = node->approved;
  state_send_registration (state, request, &response);
}

static void
send_expired (State *state, uint64_t request, bool authorized)
{
  RegisterResponse response;

  register_response_init (&response);
  response.node_key_expired = true;
  response.machine_authorized = authorized;
  state_send_registration (state, request, &response);
}

/* ---- joining ---- */

/* A device may ask for less than the network gives (WISHED), never for more. */
static WallTime
key_expiry (const State *state, const CoNode *node, WallTime wished)
{
  const CoUser *user = model_user (&state->model, node->user);
  int64_t days = user && user->subject && state->oidc.expiry_days > 0
                     ? state->oidc.expiry_days
                     : state->model.settings.key_days;
  WallTime expiry
      = days > 0 ? wall_time_add_us (state->wall, days * 86400 * USEC_PER_SEC) : wall_time_unset ();

  if (node->n_tags > 0)
    return wall_time_unset ();
  if (!wall_time_is_unset (wished)
      && (wall_time_is_unset (expiry) || wall_time_compare (wished, expiry) < 0))
    return wished;
  return expiry;
}

static CoNode *
find_joining (State *state, const Joining *joining)
{
  CoModel *model = &state->model;
  CoNode *node = model_node_by_key (model, joining->key);

  if (!node && !key_zero (joining->old_key))
    node = model_node_by_key (model, joining->old_key);
  /* Another person's device of the same machine is another device, unless it has this very key. */
  if (node && memcmp (node->machine.bytes, joining->machine->bytes, KEY_SIZE) == 0
      && (node->user == joining->user || key_same (&node->key, joining->key)))
    return node;
  return model_node_by_machine (model, joining->machine, joining->user);
}

CoNode *
state_join (State *state, const Joining *joining, const char **error)
{
  CoNode *holder = model_node_by_key (&state->model, joining->key);
  CoNode *node = find_joining (state, joining);

  /* Node keys are public: who names another machine's must not take its place. */
  if (holder && memcmp (holder->machine.bytes, joining->machine->bytes, KEY_SIZE) != 0) {
    *error = "node key already in use by another machine";
    return NULL;
  }
  if (!node) {
    node = model_add_node (&state->model, joining->hostinfo->hostname, state->wall, state->random);
    if (!node) {
      *error = "no address is left in this network";
      return NULL;
    }
    state_save_settings (state); /* ids are never given twice, also after a restart */
    node->machine = *joining->machine;
    node->approved = joining->approved;
  } else if (memcmp (node->key.bytes, joining->key->bytes, KEY_SIZE) != 0) {
    admit (state, &node->key, false);
  }
  node->user = joining->user;
  model_set_key (&state->model, node, joining->key);
  node->ephemeral = joining->ephemeral;
  node->approved |= joining->approved;
  node->capability_version = joining->version;
  co_node_set_tags (node, joining->tags, joining->n_tags);
  co_node_set_hostinfo (node, joining->hostinfo);
  if (!node->renamed)
    model_name_node (&state->model, node, joining->hostinfo->hostname);
  node->expiry = key_expiry (state, node, joining->expiry);
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

bool
state_may_have_tags (const State *state, const CoUser *user, const Hostinfo *hostinfo)
{
  PolicyUser who = {user->id, user->login, user->role};

  for (size_t i = 0; i < hostinfo->n_request_tags; i++)
    if (!policy_may_assign_tag (state->policy, &who, hostinfo->request_tags[i]))
      return false;
  return true;
}

/* Tags that the device asks for beside a key: those of the key, or, when it has none, those that
 * its owner may give. */
static bool
tags_are_valid (const State *state, const CoAuthKey *key, const Hostinfo *hostinfo)
{
  const CoUser *user = model_user (&state->model, key->user);

  if (key->n_tags == 0)
    return hostinfo->n_request_tags == 0 || (user && state_may_have_tags (state, user, hostinfo));
  for (size_t i = 0; i < hostinfo->n_request_tags; i++) {
    bool found = false;
    for (size_t k = 0; k < key->n_tags; k++)
      found |= strcmp (key->tags[k], hostinfo->request_tags[i]) == 0;
    if (!found)
      return false;
  }
  return true;
}

static void
join_by_key (State *state, const StateEvent *event, CoAuthKey *key)
{
  const RegisterRequest *body = event->registration.body;
  const Hostinfo *hostinfo = body->hostinfo;
  const char *error = NULL;
  bool asks = key->n_tags == 0;
  Joining joining = {
      .machine = &event->registration.machine,
      .key = &body->node_key,
      .old_key = &body->old_node_key,
      .hostinfo = hostinfo,
      .tags = asks ? hostinfo->request_tags : (const char *const *)key->tags,
      .n_tags = asks ? hostinfo->n_request_tags : key->n_tags,
      .ephemeral = key->ephemeral,
      .approved = true,
      .version = body->version,
      .expiry = body->expiry,
  };

  joining.user = joining.n_tags > 0 ? 0 : key->user;
  if (joining.user && !model_user (&state->model, joining.user)) {
    state_refuse_registration (state, event->request, "invalid pre auth key");
    return;
  }
  CoNode *node = state_join (state, &joining, &error);
  if (!node) {
    state_refuse_registration (state, event->request, error);
    return;
  }
  if (!key->reusable) {
    key->used = true;
    state_save_key (state, key);
  }
  state_accept_registration (state, event->request, node);
}

static void
register_by_key (State *state, const StateEvent *event)
{
  const RegisterRequest *body = event->registration.body;
  CoAuthKey *key = model_match_key (&state->model, body->auth_key);
  CoNode *node = model_node_by_key (&state->model, &body->node_key);
  const char *error = NULL;

  /* A device that comes back with a spent key and the node key it has is simply here again. */
  if (key && node && (node->user == key->user || node->n_tags > 0)
      && !state_node_expired (state, node))
    state_accept_registration (state, event->request, node);
  else if (!key_is_valid (state, key, &error))
    state_refuse_registration (state, event->request, error);
  else if (!tags_are_valid (state, key, body->hostinfo))
    state_refuse_registration (state, event->request,
                               "requested tags are invalid or not permitted");
  else
    join_by_key (state, event, key);
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
      state_refuse_registration (state, event->request, "extending key is not allowed");
      return true;
    }
    node->expiry = body->expiry;
    state_save_node (state, node);
    state_changed (state, node, true);
  }
  state_accept_registration (state, event->request, node);
  return true;
}

static void
register_node (State *state, const StateEvent *event)
{
  const RegisterRequest *body = event->registration.body;
  CoNode *node = model_node_by_key (&state->model, &body->node_key);

  if (key_zero (&body->node_key))
    state_refuse_registration (state, event->request, "a node key is missing");
  else if (node && memcmp (node->machine.bytes, event->registration.machine.bytes, KEY_SIZE) != 0)
    state_refuse_registration (state, event->request, "node key already in use by another machine");
  else if (node && register_known (state, event, node))
    return;
  else if (!node && !wall_time_is_unset (body->expiry)
           && wall_time_compare (body->expiry, state->wall) <= 0)
    send_expired (state, event->request, false);
  else if (body->auth_key && body->auth_key[0])
    register_by_key (state, event);
  else
    state_wait_for_person (state, event);
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
