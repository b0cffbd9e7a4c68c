#include "session/session-private.h"

#include "base/log.h"

#include <sodium.h>
#include <string.h>

#define LOG_DOMAIN "session"

Session *
session_new (Profile *profile, const LocalFacts *facts, Random *random)
{
  Session *s = g_new0 (Session, 1);
  s->profile = profile;
  s->facts = facts;
  s->random = random;
  s->state = profile_has_key (profile) && !profile->preferences.logged_out ? SESSION_STOPPED
                                                                           : SESSION_NEEDS_LOGIN;
  s->next_serial = 1;
  s->changed_peers = g_array_new (FALSE, FALSE, sizeof (NodeId));
  g_queue_init (&s->saves);
  g_queue_init (&s->actions);
  return s;
}

Session *
session_new_refused (const char *id, const char *reason, const LocalFacts *facts, Random *random)
{
  Profile *profile = profile_new (LOGIN_SERVER_DEFAULT, 0, 0, random);
  g_strlcpy (profile->id, id, sizeof profile->id);
  Session *s = session_new (profile, facts, random);
  s->refused = true;
  s->state = SESSION_ERROR;
  problem_set (&s->local_problem, PROBLEM_STATE_UNREADABLE, reason, false, 0);
  return s;
}

static void
forget_borrowed (Session *s)
{
  if (s->auth_key) {
    sodium_memzero (s->auth_key, strlen (s->auth_key));
    g_clear_pointer (&s->auth_key, g_free);
  }
  g_clear_pointer (&s->open_url, g_free);
  g_clear_pointer (&s->link_addresses, g_free);
  g_clear_pointer (&s->cache_map, netmap_unref);
  control_identity_clear (&s->identity);
}

static void
pending_save_free (void *data)
{
  PendingSave *save = data;
  preferences_clear (&save->before);
  g_free (save);
}

void
session_free (Session *s)
{
  if (!s)
    return;
  forget_borrowed (s);
  g_queue_clear_full (&s->actions, g_free);
  g_queue_clear_full (&s->saves, pending_save_free);
  arena_clear (&s->announce_arena);
  g_array_unref (s->changed_peers);
  health_clear (&s->health);
  g_free (s->local_dns);
  problem_clear (&s->control_problem);
  problem_clear (&s->local_problem);
  problem_clear (&s->disk_problem);
  g_clear_pointer (&s->plan, plan_unref);
  g_clear_pointer (&s->netmap, netmap_unref);
  g_clear_pointer (&s->link, link_state_unref);
  profile_free (s->profile);
  g_free (s);
}

void
session_push (Session *s, SessionActionType type)
{
  SessionAction *action = g_new0 (SessionAction, 1);
  action->type = type;
  g_queue_push_tail (&s->actions, action);
}

ControlEvent *
session_push_control (Session *s, ControlEventType type)
{
  session_push (s, SESSION_ACTION_CONTROL);
  SessionAction *action = g_queue_peek_tail (&s->actions);
  action->control.type = type;
  action->control.wall = s->wall;
  return &action->control;
}

void
session_save (Session *s, SavePurpose purpose, uint32_t control_serial, const Preferences *before)
{
  PendingSave *save = g_new0 (PendingSave, 1);
  save->serial = s->next_serial++;
  save->purpose = purpose;
  save->control_serial = control_serial;
  if (before)
    preferences_copy (&save->before, before);
  g_queue_push_tail (&s->saves, save);
  s->facts_dirty_us = 0;
  session_push (s, SESSION_ACTION_SAVE);
  ((SessionAction *)g_queue_peek_tail (&s->actions))->serial = save->serial;
}

void
session_save_soon (Session *s)
{
  if (s->facts_dirty_us == 0)
    s->facts_dirty_us = s->now_us;
}

void
session_changed (Session *s, unsigned bits)
{
  s->changes |= bits;
}

int64_t
session_now_s (const Session *s)
{
  return s->wall.seconds;
}

bool
session_network_is_up (const Session *s)
{
  return s->link && link_state_is_up (s->link);
}

static bool
map_is_ours (const Session *s)
{
  return s->netmap && netmap_self (s->netmap) && !s->must_sign_in;
}

static bool
lock_is_on (const Session *s)
{
  if (!map_is_ours (s))
    return false;
  const LockInfo *lock = netmap_lock (s->netmap);
  return s->profile->lock_seen || (lock && !lock->disabled);
}

bool
session_is_live (const Session *s)
{
  if (s->n_relays_up > 0 || s->peer_seen)
    return true;
  const DerpMap *derp = s->netmap ? netmap_derp_map (s->netmap) : NULL;
  return s->netmap && (!derp || derp->n_regions == 0); /* nothing there to wait for */
}

static SessionState
next_state (const Session *s)
{
  const Node *self = map_is_ours (s) ? netmap_self (s->netmap) : NULL;
  SessionInputs in = {
      .previous = s->state,
      .wanted = s->profile->preferences.wanted && s->active,
      .logged_out = s->profile->preferences.logged_out,
      .have_key = profile_has_key (s->profile),
      .have_netmap = self != NULL,
      .login_stuck = s->must_sign_in,
      .logging_in = s->logging_in && !s->profile->pending_url,
      .expired = self && self->expired,
      .authorized = self && self->machine_authorized,
      .live = session_is_live (s),
      .fatal = problem_is_fatal (s->local_problem.code),
  };
  return session_next_state (&in);
}

/* spec/local-services.md §1.7: no network, or off with everything known. */
static bool
should_pause (const Session *s)
{
  const Preferences *prefs = &s->profile->preferences;
  if (!session_network_is_up (s))
    return true;
  if (s->logging_in || s->profile->pending_url)
    return false;
  if (prefs->logged_out || !profile_has_key (s->profile))
    return key_zero (&s->profile->secrets->pending);
  return !prefs->wanted && s->netmap != NULL;
}

static void
pause_or_resume (Session *s)
{
  bool pause = !s->active || should_pause (s);
  if (!s->started || s->resumed == !pause)
    return;
  s->resumed = !pause;
  session_push_control (s, pause ? CONTROL_EVENT_PAUSE : CONTROL_EVENT_RESUME);
}

static bool
state_has_tunnel (SessionState state)
{
  return state == SESSION_STARTING || state == SESSION_RUNNING;
}

static void
make_plan (Session *s, const NetmapChanges *changes)
{
  if (!s->active || !state_has_tunnel (s->state) || !map_is_ours (s)) {
    if (s->plan || !s->applied) {
      g_clear_pointer (&s->plan, plan_unref);
      s->applied = true;
      s->peer_seen = false;
      session_push (s, SESSION_ACTION_APPLY);
      session_changed (s, SESSION_CHANGED_SELF | SESSION_CHANGED_PEERS);
    }
    return;
  }
  const Preferences *prefs = &s->profile->preferences;
  static const NetmapChanges none;
  Plan *next = s->plan ? plan_update (s->plan, prefs, s->netmap, s->link, changes ? changes : &none)
                       : plan_new (prefs, s->netmap, s->link);
  if (next == s->plan) {
    plan_unref (next);
    return;
  }
  bool same_exit = s->plan && s->plan->exit_node == next->exit_node
                   && s->plan->exit_selected == next->exit_selected;
  g_clear_pointer (&s->plan, plan_unref);
  s->plan = next;
  s->applied = true;
  session_push (s, SESSION_ACTION_APPLY);
  if (!same_exit)
    session_changed (s, SESSION_CHANGED_SELF | SESSION_CHANGED_PEERS);
}

static void
check_lock (Session *s)
{
  const LockInfo *lock = map_is_ours (s) ? netmap_lock (s->netmap) : NULL;
  bool stated = s->netmap_is_fresh && lock;
  if (stated && s->profile->lock_seen == lock->disabled) {
    s->profile->lock_seen = !lock->disabled;
    session_save (s, SAVE_FACTS, 0, NULL);
  }
  bool on = lock_is_on (s);
  if (on && s->local_problem.code != PROBLEM_LOCK_UNSUPPORTED)
    session_changed (s, SESSION_CHANGED_STATE);
  if (on)
    problem_set (&s->local_problem, PROBLEM_LOCK_UNSUPPORTED, "", false, session_now_s (s));
  else if (s->local_problem.code == PROBLEM_LOCK_UNSUPPORTED
           && problem_set (&s->local_problem, PROBLEM_NONE, NULL, false, 0))
    session_changed (s, SESSION_CHANGED_STATE);
}

void
session_evaluate (Session *s, const NetmapChanges *changes)
{
  if (s->refused)
    return;
  check_lock (s);
  session_resolve_exit_node (s, changes || s->reconsider_exit);
  s->reconsider_exit = false;
  SessionState next = next_state (s);
  if (next == SESSION_STARTING && s->state != SESSION_RUNNING && s->state != SESSION_STARTING) {
    /* One step only tells that it may run now; the next one whether it does. */
    s->state = SESSION_STARTING;
    session_changed (s, SESSION_CHANGED_STATE);
    next = next_state (s);
  }
  if (next != s->state) {
    log_info (LOG_DOMAIN, "%s: %s -> %s", s->profile->id, session_state_name (s->state),
              session_state_name (next));
    s->state = next;
    session_changed (s, SESSION_CHANGED_STATE);
  }
  make_plan (s, changes);
  session_check_health (s, changes && (changes->flags & NETMAP_CHANGED_PEERS));
  if (s->active)
    session_announce (s);
  pause_or_resume (s);
}

/* --- Events ---------------------------------------------------------------------------------- */

static void
wish (Session *s, bool wanted)
{
  if (s->profile->preferences.wanted == wanted)
    return;
  s->profile->preferences.wanted = wanted;
  session_changed (s, SESSION_CHANGED_STATE);
  session_save (s, SAVE_WISH, 0, NULL);
}

static void
set_preferences (Session *s, const Preferences *prefs)
{
  Preferences next;
  preferences_copy (&next, prefs);
  const Preferences *old = &s->profile->preferences;
  next.wanted = old->wanted;
  next.logged_out = old->logged_out;
  g_strlcpy (next.login_server, old->login_server, sizeof next.login_server);
  if (preferences_equal (&next, old)) {
    preferences_clear (&next);
    return;
  }
  Preferences before = s->profile->preferences;
  s->profile->preferences = next;
  session_save (s, SAVE_PREFERENCES, 0, &before);
  preferences_clear (&before);
  s->reconsider_exit = true;
  session_changed (s, SESSION_CHANGED_PREFERENCES | SESSION_CHANGED_SELF);
}

static void
login (Session *s, const char *auth_key, bool force)
{
  s->auth_key = g_strdup (auth_key);
  s->logging_in = true;
  if (!s->profile->preferences.wanted) {
    s->wanted_by_login = true;
    wish (s, true);
  }
  problem_set (&s->control_problem, PROBLEM_NONE, NULL, false, 0);
  session_changed (s, SESSION_CHANGED_STATE);
  ControlEvent *event = session_push_control (s, CONTROL_EVENT_LOGIN);
  event->login.auth_key = s->auth_key;
  event->login.force = force;
}

static void
cancel_login (Session *s)
{
  s->logging_in = false;
  /* Without a key nobody wanted more than this login. */
  if (s->wanted_by_login || !profile_has_key (s->profile))
    wish (s, false);
  s->wanted_by_login = false;
  session_push_control (s, CONTROL_EVENT_CANCEL_LOGIN);
  session_changed (s, SESSION_CHANGED_STATE);
}

/* Without a control session nobody can be told: the keys are forgotten all the same. */
static void
logout (Session *s)
{
  wish (s, false);
  s->logging_in = false;
  if (!s->started) {
    session_logged_out (s);
    return;
  }
  if (!s->resumed && session_network_is_up (s))
    session_push_control (s, CONTROL_EVENT_RESUME);
  s->resumed = true;
  session_push_control (s, CONTROL_EVENT_LOGOUT);
}

static void
saved (Session *s, const SessionEvent *event)
{
  PendingSave *save = g_queue_pop_head (&s->saves);
  if (!save || save->serial != event->saved.serial) {
    log_error (LOG_DOMAIN, "the answer to a save came out of order");
    if (save)
      pending_save_free (save);
    return;
  }
  bool ok = event->saved.ok;
  if (problem_set (&s->disk_problem, ok ? PROBLEM_NONE : PROBLEM_DISK_FULL, event->saved.text, true,
                   session_now_s (s)))
    session_changed (s, SESSION_CHANGED_STATE);
  if (save->purpose == SAVE_IDENTITY) {
    ControlEvent *answer = session_push_control (s, CONTROL_EVENT_SAVED);
    answer->saved.serial = save->control_serial;
    answer->saved.ok = ok;
    answer->saved.text = NULL;
  } else if (save->purpose == SAVE_PREFERENCES && !ok) {
    Preferences failed = s->profile->preferences;
    s->profile->preferences = save->before;
    s->profile->preferences.wanted = failed.wanted;
    s->profile->preferences.logged_out = failed.logged_out;
    memset (&save->before, 0, sizeof save->before);
    preferences_clear (&failed);
  }
  pending_save_free (save);
}

static void
link_changed (Session *s, const SessionEvent *event)
{
  LinkState *state = link_state_ref (event->link.state);
  g_clear_pointer (&s->link, link_state_unref);
  s->link = state;
  session_changed (s, SESSION_CHANGED_WARNINGS);
  if (!s->started)
    return;
  ControlEvent *control = session_push_control (s, CONTROL_EVENT_LINK);
  control->link.major = event->link.major;
  control->link.woke = event->link.woke;
  g_free (s->link_addresses);
  s->link_addresses = g_new0 (IpAddr, state->n_addresses + 1);
  for (size_t i = 0; i < state->n_addresses; i++)
    s->link_addresses[i] = state->addresses[i].prefix.addr;
  control->link.addresses = s->link_addresses;
  control->link.n_addresses = state->n_addresses;
}

static void
relay_changed (Session *s, uint16_t region, bool connected)
{
  for (size_t i = 0; i < s->n_relays_up; i++)
    if (s->relays_up[i] == region) {
      if (!connected)
        s->relays_up[i] = s->relays_up[--s->n_relays_up];
      return;
    }
  if (connected && s->n_relays_up < SESSION_RELAY_REGIONS_MAX)
    s->relays_up[s->n_relays_up++] = region;
}

static void
tunnel_event (Session *s, const TunnelEvent *event)
{
  switch (event->type) {
    case TUNNEL_EVENT_ENDPOINTS:
      memcpy (s->endpoints, event->endpoints.list, sizeof s->endpoints);
      s->n_endpoints = event->endpoints.n;
      session_changed (s, SESSION_CHANGED_SELF);
      break;
    case TUNNEL_EVENT_NET_INFO:
      s->net_report = event->net_info;
      s->have_net_report = true;
      s->reconsider_exit = true;
      session_changed (s, SESSION_CHANGED_SELF | SESSION_CHANGED_WARNINGS);
      break;
    case TUNNEL_EVENT_RELAY:
      relay_changed (s, event->relay.region, event->relay.connected);
      session_changed (s, SESSION_CHANGED_STATE | SESSION_CHANGED_WARNINGS);
      break;
    case TUNNEL_EVENT_PATH:
      s->peer_seen |= event->path.udp.addr.family != 0;
      break;
    case TUNNEL_EVENT_DISCO_KEY: {
      ControlEvent *told = session_push_control (s, CONTROL_EVENT_DISCO_KEY);
      told->disco_key.peer = event->disco_key.peer;
      told->disco_key.key = event->disco_key.key;
      break;
    }
    case TUNNEL_EVENT_TIMESTAMP:
      memcpy (s->profile->handshake_time, event->timestamp, sizeof s->profile->handshake_time);
      session_save_soon (s);
      break;
    default:
      break;
  }
}

static void
host_result (Session *s, const SessionEvent *event)
{
  ProblemCode code = event->host.problem;
  ProblemCode shown = s->local_problem.code;
  bool ours
      = shown == PROBLEM_NONE || shown == PROBLEM_TUN_UNAVAILABLE || shown == PROBLEM_NOT_PERMITTED;
  if (ours && problem_set (&s->local_problem, code, event->host.text, true, session_now_s (s)))
    session_changed (s, SESSION_CHANGED_STATE);
}

static int64_t
cache_deadline (const Session *s)
{
  if (!s->cache_dirty)
    return TIME_NEVER;
  return s->cache_saved_us == 0 ? s->cache_dirty_us + SESSION_SAVE_DELAY_US
                                : s->cache_saved_us + SESSION_CACHE_INTERVAL_US;
}

static int64_t
facts_deadline (const Session *s)
{
  return s->facts_dirty_us == 0 ? TIME_NEVER : s->facts_dirty_us + SESSION_SAVE_DELAY_US;
}

static void
save_cache (Session *s)
{
  if (!s->cache_dirty || !s->netmap)
    return;
  g_clear_pointer (&s->cache_map, netmap_unref);
  s->cache_map = netmap_ref (s->netmap);
  s->cache_dirty = false;
  s->cache_saved_us = s->now_us;
  session_push (s, SESSION_ACTION_SAVE_NETMAP);
  ((SessionAction *)g_queue_peek_tail (&s->actions))->netmap = s->cache_map;
}

static void
activate (Session *s, const SessionEvent *event)
{
  s->active = true;
  if (event->activate.machine_key_problem) {
    problem_set (&s->local_problem, PROBLEM_STATE_UNREADABLE, event->activate.machine_key_problem,
                 false, session_now_s (s));
    s->state = SESSION_ERROR;
    s->refused = true;
    session_changed (s, SESSION_CHANGED_STATE);
    return;
  }
  s->disco_key = event->activate.disco_key;
  session_start_control (s, event->activate.netmap);
}

static void
deactivate (Session *s)
{
  save_cache (s);
  if (s->facts_dirty_us != 0)
    session_save (s, SAVE_FACTS, 0, NULL);
  s->active = false;
  s->started = false;
  s->resumed = false;
  s->logging_in = false;
  s->online = false;
  s->control_state = CONTROL_OFF;
  s->must_sign_in = false;
  g_clear_pointer (&s->netmap, netmap_unref);
  s->netmap_is_fresh = false;
  problem_clear (&s->control_problem);
  problem_clear (&s->local_problem);
  s->n_relays_up = 0;
  s->n_endpoints = 0;
  s->have_announced = false;
  session_changed (s, SESSION_CHANGED_STATE | SESSION_CHANGED_SELF | SESSION_CHANGED_PEERS);
}

static void
handle (Session *s, const SessionEvent *event)
{
  switch (event->type) {
    case SESSION_EVENT_CONNECT:
      wish (s, true);
      break;
    case SESSION_EVENT_DISCONNECT:
      wish (s, false);
      break;
    case SESSION_EVENT_PREFERENCES:
      set_preferences (s, event->preferences);
      break;
    case SESSION_EVENT_LOGIN:
      login (s, event->login.auth_key, event->login.force);
      break;
    case SESSION_EVENT_CANCEL_LOGIN:
      cancel_login (s);
      break;
    case SESSION_EVENT_LOGOUT:
      logout (s);
      break;
    case SESSION_EVENT_ACCEPT_KEY:
      session_push_control (s, CONTROL_EVENT_ACCEPT_KEY);
      break;
    case SESSION_EVENT_ACTIVATE:
      activate (s, event);
      break;
    case SESSION_EVENT_DEACTIVATE:
      deactivate (s);
      break;
    case SESSION_EVENT_LINK:
      link_changed (s, event);
      break;
    case SESSION_EVENT_CONTROL:
      session_control_event (s, event->control);
      return; /* evaluates by itself, with the changes */
    case SESSION_EVENT_TUNNEL:
      tunnel_event (s, event->tunnel);
      break;
    case SESSION_EVENT_SAVED:
      saved (s, event);
      break;
    case SESSION_EVENT_HOST:
      host_result (s, event);
      break;
    case SESSION_EVENT_TICK:
      if (cache_deadline (s) <= s->now_us)
        save_cache (s);
      if (facts_deadline (s) <= s->now_us)
        session_save (s, SAVE_FACTS, 0, NULL);
      session_changed (s, SESSION_CHANGED_WARNINGS);
      break;
  }
  session_evaluate (s, NULL);
}

void
session_input (Session *s, const SessionEvent *event, int64_t now_us)
{
  s->now_us = now_us;
  s->wall = event->wall;
  if (s->refused)
    return; /* what cannot be read is not overwritten either */
  if (s->peers_taken)
    g_array_set_size (s->changed_peers, 0);
  s->peers_taken = false;
  if (g_queue_is_empty (&s->actions))
    forget_borrowed (s);
  handle (s, event);
}

bool
session_next_action (Session *s, SessionAction *action)
{
  SessionAction *next = g_queue_pop_head (&s->actions);
  if (!next)
    return false;
  *action = *next;
  g_free (next);
  return true;
}

int64_t
session_next_deadline (const Session *s)
{
  return time_min (time_min (cache_deadline (s), facts_deadline (s)),
                   health_next_deadline (&s->health, s->now_us));
}
