/* What the control session reports, and what it is told to start with. */
#include "session/session-private.h"

#include "base/log.h"

#include <string.h>

#define LOG_DOMAIN "session"

void
session_identity (const Session *s, ControlIdentity *out)
{
  const Profile *p = s->profile;
  *out = (ControlIdentity){.node_key = p->secrets->node,
                           .old_node_key = p->old_node_key,
                           .pending_key = p->secrets->pending,
                           .pending_url = g_strdup (p->pending_url),
                           .lock_key = p->secrets->lock,
                           .server_key = p->server_key,
                           .server_key_seen = wall_time_unset ()};
  if (p->server_key_since_s != 0)
    out->server_key_seen = (WallTime){.seconds = p->server_key_since_s};
}

void
session_set_handshake_time (Session *s, const uint8_t time[PROFILE_HANDSHAKE_TIME_SIZE])
{
  memcpy (s->profile->handshake_time, time, sizeof s->profile->handshake_time);
}

void
session_start_control (Session *s, Netmap *cached)
{
  Profile *p = s->profile;
  if (!p->preferences.auto_connect && p->preferences.wanted) {
    p->preferences.wanted = false;
    session_save (s, SAVE_WISH, 0, NULL);
  }
  if (cached && profile_has_key (p)) {
    s->netmap = netmap_ref (cached);
    session_changed (s, SESSION_CHANGED_SELF | SESSION_CHANGED_PEERS);
  }
  session_identity (s, &s->identity);
  s->control_state = CONTROL_OFF;
  s->must_sign_in = false;
  ControlEvent *event = session_push_control (s, CONTROL_EVENT_START);
  event->start.identity = &s->identity;
  event->start.netmap = s->netmap;
  s->started = true;
  s->resumed = false;
}

static void
forget_netmap (Session *s)
{
  g_clear_pointer (&s->netmap, netmap_unref);
  s->netmap_is_fresh = false;
  s->cache_dirty = false;
  s->cache_saved_us = 0;
  session_push (s, SESSION_ACTION_DROP_NETMAP);
  session_changed (s, SESSION_CHANGED_SELF | SESSION_CHANGED_PEERS);
}

/* Takes the identity over and has it written before control goes on. */
static void
save_identity (Session *s, uint32_t serial, const ControlIdentity *identity)
{
  Profile *p = s->profile;
  /* A new key that a server accepted: from the same write on, this device is signed in. */
  if (!key_zero (&identity->node_key) && !key_same (&identity->node_key, &p->secrets->node))
    p->preferences.logged_out = false;
  p->secrets->node = identity->node_key;
  p->secrets->pending = identity->pending_key;
  p->secrets->lock = identity->lock_key;
  p->old_node_key = identity->old_node_key;
  p->server_key = identity->server_key;
  p->server_key_since_s
      = wall_time_is_unset (identity->server_key_seen) ? 0 : identity->server_key_seen.seconds;
  if (g_strcmp0 (p->pending_url, identity->pending_url) != 0) {
    g_free (p->pending_url);
    p->pending_url = g_strdup (identity->pending_url);
    p->pending_since_s = p->pending_url ? session_now_s (s) : 0;
    session_changed (s, SESSION_CHANGED_STATE);
  }
  session_save (s, SAVE_IDENTITY, serial, NULL);
}

static const char *
control_state_name (ControlState state)
{
  static const char *const names[]
      = {"off", "connecting", "waiting for a login", "not approved", "synchronising", "running"};
  return names[state];
}

static void
control_state (Session *s, ControlState state, bool online)
{
  if (s->control_state == state && s->online == online)
    return;
  s->control_state = state;
  if (state != CONTROL_OFF && state != CONTROL_CONNECTING)
    s->must_sign_in = state == CONTROL_NEEDS_LOGIN;
  s->online = online;
  if (state == CONTROL_NEEDS_LOGIN)
    s->logging_in = false;
  session_changed (s, SESSION_CHANGED_STATE);
}

static void
registered (Session *s, const ControlAction *action)
{
  Profile *p = s->profile;
  p->user_id = action->registered.user_id;
  profile_set_text (&p->user_login, action->registered.login_name);
  profile_set_text (&p->user_name, action->registered.display_name);
  profile_set_text (&p->user_picture, action->registered.picture_url);
  s->logging_in = false;
  s->wanted_by_login = false;
  /* The map may have told of the new key before, so that nothing in the plan is to change now. */
  if (action->registered.key_changed && s->plan)
    session_push (s, SESSION_ACTION_APPLY);
  if (p->preferences.logged_out) {
    p->preferences.logged_out = false;
    session_save (s, SAVE_FACTS, 0, NULL);
  } else {
    session_save_soon (s);
  }
  session_changed (s, SESSION_CHANGED_STATE | SESSION_CHANGED_SELF | SESSION_CHANGED_PREFERENCES);
}

void
session_logged_out (Session *s)
{
  profile_wipe (s->profile);
  s->profile->preferences.logged_out = true;
  s->profile->preferences.wanted = false;
  forget_netmap (s);
  session_save (s, SAVE_FACTS, 0, NULL);
  session_push (s, SESSION_ACTION_LOGGED_OUT);
  session_changed (s, SESSION_CHANGED_STATE | SESSION_CHANGED_PREFERENCES);
}

static void
netmap_arrived (Session *s, Netmap *netmap, const NetmapChanges *changes)
{
  if (netmap != s->netmap) {
    Netmap *next = netmap_ref (netmap);
    g_clear_pointer (&s->netmap, netmap_unref);
    s->netmap = next;
  }
  Profile *p = s->profile;
  const Node *self = netmap_self (netmap);
  bool first = !s->netmap_is_fresh;
  s->netmap_is_fresh = true;
  if (self
      && (strcmp (p->node_id, self->stable_id) != 0
          || strcmp (p->tailnet, netmap_domain (netmap)) != 0)) {
    profile_set_text (&p->node_id, self->stable_id);
    profile_set_text (&p->tailnet, netmap_domain (netmap));
    session_save_soon (s);
  }
  if ((changes->flags != 0 || first) && !s->cache_dirty) {
    s->cache_dirty = true;
    s->cache_dirty_us = s->now_us;
  }
  for (size_t i = 0; i < changes->n_peers; i++)
    g_array_append_val (s->changed_peers, changes->peers[i].id);
  if (changes->n_peers > 0)
    session_changed (s, SESSION_CHANGED_SOME_PEERS);
  unsigned about_all = NETMAP_CHANGED_USERS | NETMAP_CHANGED_DOMAIN;
  if ((changes->flags & about_all) != 0 || (changes->self_changed & NODE_CHANGED_OWNER) || first)
    session_changed (s, SESSION_CHANGED_PEERS);
  if ((changes->flags & ~NETMAP_CHANGED_PEERS) != 0 || first)
    session_changed (s, SESSION_CHANGED_SELF | SESSION_CHANGED_WARNINGS);
}

static void
log_action (const Session *s, const ControlAction *action)
{
  switch (action->type) {
    case CONTROL_ACTION_STATE:
      log_debug (LOG_DOMAIN, "%s: control is %s, %s", s->profile->id,
                 control_state_name (action->state.state),
                 action->state.online ? "online" : "offline");
      break;
    case CONTROL_ACTION_PROBLEM:
      log_info (LOG_DOMAIN, "%s: problem %s: %s", s->profile->id,
                action->problem.problem == CONTROL_PROBLEM_NONE
                    ? "none"
                    : control_problem_name (action->problem.problem),
                action->problem.text ? action->problem.text : "");
      break;
    case CONTROL_ACTION_LOGIN_URL:
      log_debug (LOG_DOMAIN, "%s: %s", s->profile->id,
                 action->login_url.url ? "a sign-in page waits" : "no sign-in page waits");
      break;
    case CONTROL_ACTION_NETMAP:
      log_debug (LOG_DOMAIN, "%s: map with changes %x, %zu peers changed", s->profile->id,
                 action->netmap.changes.flags, action->netmap.changes.n_peers);
      break;
    default:
      break;
  }
}

void
session_control_event (Session *s, const ControlAction *action)
{
  log_action (s, action);
  const NetmapChanges *changes = NULL;
  switch (action->type) {
    case CONTROL_ACTION_SAVE:
      save_identity (s, action->save.serial, &action->save.identity);
      break;
    case CONTROL_ACTION_STATE:
      control_state (s, action->state.state, action->state.online);
      break;
    case CONTROL_ACTION_LOGIN_URL:
      if (!action->login_url.url)
        break;
      s->logging_in = false;
      session_changed (s, SESSION_CHANGED_STATE);
      break;
    case CONTROL_ACTION_REGISTERED:
      registered (s, action);
      break;
    case CONTROL_ACTION_LOGGED_OUT:
      session_logged_out (s);
      break;
    case CONTROL_ACTION_NETMAP:
      netmap_arrived (s, action->netmap.netmap, &action->netmap.changes);
      changes = &action->netmap.changes;
      break;
    case CONTROL_ACTION_PROBLEM:
      if (problem_set (&s->control_problem, problem_from_control (action->problem.problem),
                       action->problem.text, action->problem.retrying, session_now_s (s)))
        session_changed (s, SESSION_CHANGED_STATE);
      if (action->problem.problem != CONTROL_PROBLEM_NONE && !action->problem.retrying)
        s->logging_in = false;
      break;
    case CONTROL_ACTION_POP_URL:
      g_free (s->open_url);
      s->open_url = g_strdup (action->pop_url.url);
      session_push (s, SESSION_ACTION_OPEN_URL);
      ((SessionAction *)g_queue_peek_tail (&s->actions))->url = s->open_url;
      break;
    default:
      break;
  }
  session_evaluate (s, changes);
}
