#include "coordinator/pending.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

State *
state_new (const StateConfig *config, Random *random)
{
  State *state = mem_new (sizeof *state);
  PolicyIssues issues;

  state->url = mem_strndup (config->url, strlen (config->url));
  state->listen = config->listen ? mem_strndup (config->listen, strlen (config->listen)) : NULL;
  state->derp_map = config->derp_map ? derp_map_ref (config->derp_map) : NULL;
  state->random = random;
  state->flush_us = TIME_NEVER;
  state->settings = 1;
  state->oidc = config->oidc;
  state->sign_in = sign_in_new (state, random);
  state->blocks = peer_blocks_new ();
  state->packer = map_packer_new ();
  model_init (&state->model);
  policy_issues_init (&issues);
  state->policy = policy_parse ("{}", 2, &issues);
  policy_issues_clear (&issues);
  return state;
}

void
state_free (State *state)
{
  for (size_t i = 0; i < state->n_streams; i++)
    stream_free (state->streams[i]);
  for (size_t i = 0; i < state->n_pending; i++)
    pending_free (state->pending[i]);
  for (StateAction action; state_next_action (state, &action);)
    state_action_clear (&action);
  sign_in_free (state->sign_in);
  free (state->actions);
  free (state->holders);
  free (state->streams);
  free (state->pending);
  hash_index_clear (&state->streams_by_request);
  policy_view_free (state->view);
  arena_clear (&state->view_arena);
  reach_free (state->reach);
  peer_blocks_free (state->blocks);
  map_packer_free (state->packer);
  rope_unref (state->keep_alive[0]);
  rope_unref (state->keep_alive[1]);
  policy_free (state->policy);
  model_clear (&state->model);
  if (state->derp_map)
    derp_map_unref (state->derp_map);
  free (state->listen);
  free (state->url);
  free (state);
}

/* ---- actions ---- */

StateAction *
state_push (State *state, StateActionType type, uint64_t request)
{
  state->actions
      = mem_grow (state->actions, state->n_actions, &state->actions_room, sizeof *state->actions);
  StateAction *action = &state->actions[state->n_actions++];
  *action = (StateAction){.type = type, .request = request};
  state->revision += type == STATE_ACTION_RECORD;
  return action;
}

bool
state_next_action (State *state, StateAction *action)
{
  if (state->first_action == state->n_actions) {
    state->first_action = state->n_actions = 0;
    return false;
  }
  *action = state->actions[state->first_action++];
  return true;
}

void
state_action_clear (StateAction *action)
{
  switch (action->type) {
    case STATE_ACTION_RECORD:
      free (action->record.name);
      free (action->record.value);
      break;
    case STATE_ACTION_REPLY:
      free (action->reply.body);
      free (action->reply.headers);
      break;
    case STATE_ACTION_MESSAGE:
      rope_unref (action->message.rope);
      break;
    case STATE_ACTION_WORK:
      work_job_clear (&action->work);
      break;
    default:
      break;
  }
}

void
state_reply (State *state, uint64_t request, int status, const char *text)
{
  StateAction *action = state_push (state, STATE_ACTION_REPLY, request);

  action->reply.status = status;
  action->reply.size = strlen (text);
  action->reply.body = mem_strndup (text, action->reply.size);
}

/* Of what changes all the time: a device that hears of a failure would begin anew. */
void
state_acknowledge (State *state, uint64_t request)
{
  state_reply (state, request, 200, "");
  state->actions[state->n_actions - 1].reply.no_promise = true;
}

void
state_reply_json (State *state, uint64_t request, int status, JsonWriter *w)
{
  StateAction *action = state_push (state, STATE_ACTION_REPLY, request);

  action->reply.status = status;
  action->reply.body = json_writer_take (w, &action->reply.size);
}

/* ---- what changed ---- */

void
state_want_flush (State *state)
{
  int64_t gap_us = BATCH_GAP_US + (int64_t)state->n_streams * BATCH_STREAM_US;
  int64_t next_us = state->flushed_us + time_min (gap_us, BATCH_GAP_MAX_US);
  int64_t soon_us = state->now_us + BATCH_US;

  state->flush_us = time_min (state->flush_us, next_us > soon_us ? next_us : soon_us);
}

void
state_want_tick (State *state, int64_t deadline_us)
{
  int64_t soon_us = state->now_us + TICK_US;

  state->tick_us = time_min (state->tick_us, deadline_us > soon_us ? deadline_us : soon_us);
}

static void
drop_view (State *state)
{
  policy_view_free (state->view);
  state->view = NULL;
  state->view_changed = true;
  state_want_flush (state);
}

void
state_view_changed (State *state)
{
  state->policy_epoch++;
  drop_view (state);
}

void
state_touched (State *state, CoNode *node, unsigned changes)
{
  state->revision++;
  node->changes |= changes;
  chunk_unref (node->text);
  node->text = NULL;
  peer_blocks_touch (state->blocks, node->id);
  state_want_flush (state);
}

void
state_changed (State *state, CoNode *node, bool whole)
{
  state_touched (state, node, whole ? NODE_CHANGED_WHOLE : NODE_CHANGED_LIGHT);
  if (whole) {
    drop_view (state);
    state_want_tick (state, state->now_us); /* its expiry may be another */
  }
}

/* A node as the policy sees it; a device that is not let in yet is left without addresses. */
static void
fill_policy_node (State *state, const CoNode *node, const PolicyUser *users, PolicyNode *out)
{
  *out = (PolicyNode){
      .id = node->id,
      .name = node->name,
      .tags = (const char *const *)node->tags,
      .n_tags = node->n_tags,
      .addresses = {node->addr4, node->addr6},
      .announced = node->hostinfo.routable_ips,
      .n_announced = node->hostinfo.n_routable_ips,
      .approved = node->approved_routes,
      .n_approved = node->n_approved_routes,
      .os = node->hostinfo.os,
      .version = node->hostinfo.ipn_version,
      .online = node->online,
  };
  if (!node->approved || state_node_expired (state, node))
    out->addresses[0] = out->addresses[1] = (IpAddr){0}, out->n_announced = 0;
  for (size_t i = 0; i < state->model.n_users; i++)
    if (node->n_tags == 0 && users[i].id == node->user)
      out->user = &users[i];
}

PolicyView *
state_view (State *state)
{
  const CoModel *model = &state->model;

  if (state->view)
    return state->view;
  arena_reset (&state->view_arena);
  PolicyUser *users = arena_array (&state->view_arena, PolicyUser, model->n_users + 1);
  PolicyNode *nodes = arena_array (&state->view_arena, PolicyNode, model->n_nodes + 1);
  for (size_t i = 0; i < model->n_users; i++)
    users[i] = (PolicyUser){model->users[i]->id, model->users[i]->login, model->users[i]->role};
  for (size_t i = 0; i < model->n_nodes; i++)
    fill_policy_node (state, model->nodes[i], users, &nodes[i]);
  state->tailnet.users = users;
  state->tailnet.n_users = model->n_users;
  state->tailnet.nodes = nodes;
  state->tailnet.n_nodes = model->n_nodes;
  state->view = policy_view_new (state->policy, &state->tailnet);
  return state->view;
}

/* What the policy approves stays approved when the policy changes (D.3). */
static void
keep_approvals (State *state)
{
  bool any = false;

  for (size_t i = 0; i < state->model.n_nodes; i++) {
    CoNode *node = state->model.nodes[i];
    size_t n, n_before = node->n_approved_routes;
    const IpPrefix *routes = policy_view_routes (state_view (state), i, &n);
    for (size_t j = 0; j < n; j++)
      co_node_approve_route (node, &routes[j]);
    if (node->n_approved_routes == n_before)
      continue;
    state_save_node (state, node);
    any = true;
  }
  if (any) { /* it borrows the lists that have grown */
    policy_view_free (state->view);
    state->view = NULL;
  }
}

/* A router goes on serving its routes when one with a lower id comes back (D.8). */
static void
keep_holders (State *state)
{
  PolicyView *view = state_view (state);
  PolicyHolder *holders = NULL;
  size_t n_holders = 0, room = 0, n;

  for (size_t i = 0; i < state->model.n_nodes; i++) {
    const IpPrefix *routes = policy_view_routes (view, i, &n);
    for (size_t j = 0; j < n; j++) {
      if (ip_prefix_is_default (&routes[j]) || policy_view_primary (view, &routes[j]) != i)
        continue;
      holders = mem_grow (holders, n_holders, &room, sizeof *holders);
      holders[n_holders++] = (PolicyHolder){routes[j], state->model.nodes[i]->id};
    }
  }
  free (state->holders);
  state->holders = holders;
  state->tailnet.holders = holders;
  state->tailnet.n_holders = n_holders;
}

void
state_keep_routes (State *state)
{
  keep_approvals (state);
  keep_holders (state);
}

/* ---- the verbs ---- */

static bool
set_text (char **setting, const char *text)
{
  if (!text || strcmp (*setting, text) == 0)
    return false;
  free (*setting);
  *setting = mem_strndup (text, strlen (text));
  return true;
}

static bool
set_prefix (IpPrefix *setting, const IpPrefix *prefix)
{
  if (!prefix || ip_prefix_equal (setting, prefix))
    return false;
  *setting = *prefix;
  return true;
}

void
state_configure (State *state, const StateNetwork *network)
{
  CoSettings *settings = &state->model.settings;
  bool changed = set_text (&settings->name, network->name);

  changed |= set_text (&settings->domain, network->domain);
  changed |= set_prefix (&settings->pool4, network->prefix4);
  changed |= set_prefix (&settings->pool6, network->prefix6);
  if (network->key_days >= 0 && network->key_days != settings->key_days) {
    settings->key_days = network->key_days;
    changed = true;
  }
  if (changed)
    state_save_settings (state);
}

void
state_start (State *state, WallTime wall, int64_t now_us)
{
  state->wall = wall;
  state->now_us = now_us;
  state->revision = (uint64_t)wall.seconds << 20; /* higher than in an earlier life */
  if (state->model.n_users == 0)
    state_save_user (state, model_add_user (&state->model, "owner", "Owner", ROLE_OWNER, wall));
  for (size_t i = 0; i < state->model.n_nodes; i++) {
    CoNode *node = state->model.nodes[i];
    StateAction *action = state_push (state, STATE_ACTION_ADMIT, 0);
    action->admit.key = node->key;
    action->admit.allowed = !state_node_expired (state, node);
    node->expired = !action->admit.allowed;
    if (node->ephemeral)
      node->delete_us = now_us + EPHEMERAL_US;
  }
}

void
state_input (State *state, const StateEvent *event, int64_t now_us)
{
  state->now_us = now_us;
  state->wall = event->wall;
  switch (event->type) {
    case STATE_EVENT_REGISTER:
      state_register (state, event);
      break;
    case STATE_EVENT_MAP:
      state_map (state, event);
      break;
    case STATE_EVENT_GONE:
      state_forget_watcher (state, event->request);
      if (!state_stream_gone (state, event->request))
        state_forget_waiter (state, event->request);
      break;
    case STATE_EVENT_COMMAND:
      state_command (state, event);
      break;
    case STATE_EVENT_WEB:
      state_web (state, event);
      break;
    case STATE_EVENT_WORKED:
      state_worked (state, event);
      break;
    case STATE_EVENT_TICK:
      break;
  }
  state_expire_pending (state);
  state_stream_ticks (state);
  state_answer_watchers (state);
  if (now_us >= state->flush_us)
    state_flush (state);
}

int64_t
state_next_deadline (const State *state)
{
  return time_min (state->flush_us,
                   time_min (state_pending_deadline (state), state_stream_deadline (state)));
}
