#include "session/engine-private.h"

#include "base/log.h"
#include "base/memory.h"
#include "host/socket-mark.h"
#include "netmap/map-message.h"
#include "session/bootstrap-relays.h"
#include "session/proxies.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define LOG_DOMAIN    "session"
#define REST_AFTER_MS 3000 /* since the last change of state */

static void pump (Engine *e);

/* --- Carrying actions out -------------------------------------------------------------------- */

static void
save_profile (Engine *e, Session *s, uint32_t serial)
{
  g_autoptr (GError) error = NULL;
  bool ok = store_save_profile (e->store, session_profile (s), &error);
  if (!ok)
    log_error (LOG_DOMAIN, "%s", error->message);
  SessionEvent event = {.type = SESSION_EVENT_SAVED,
                        .saved = {.serial = serial,
                                  .ok = ok,
                                  .full = g_error_matches (error, STORE_ERROR, STORE_ERROR_FULL),
                                  .text = ok ? NULL : error->message}};
  engine_feed (e, s, &event);
  if (ok)
    return;
  g_clear_error (&e->save_error);
  e->save_error = g_steal_pointer (&error);
}

static void
save_netmap (Engine *e, Session *s, const Netmap *netmap)
{
  JsonWriter w;
  json_writer_init (&w);
  netmap_encode (netmap, &w);
  size_t size = 0;
  char *text = json_writer_take (&w, &size);
  g_autoptr (GError) error = NULL;
  if (!store_save_netmap (e->store, session_profile (s)->id, text, size, &error))
    log_warning (LOG_DOMAIN, "%s", error->message);
  free (text);
}

static Netmap *
load_netmap (Engine *e, const char *id)
{
  g_autoptr (GBytes) bytes = store_load_netmap (e->store, id);
  if (!bytes)
    return NULL;
  size_t size = 0;
  const void *data = g_bytes_get_data (bytes, &size);
  const char *reason = NULL;
  MapMessage *message = map_message_decode (data, size, &reason);
  if (!message) {
    log_warning (LOG_DOMAIN, "the cached network map of %s cannot be used: %s", id, reason);
    return NULL;
  }
  Netmap *empty = netmap_new (NULL);
  Netmap *map = netmap_apply (empty, message, wall_time_now (), NULL);
  netmap_unref (empty);
  map_message_free (message);
  if (map && !netmap_self (map))
    g_clear_pointer (&map, netmap_unref);
  return map;
}

static void
farewell_over (Farewell *farewell, void *user_data)
{
  Engine *e = user_data;
  g_ptr_array_remove_fast (e->farewells, farewell);
}

/* Signs out, as far as the server can be reached, a profile that has no control session. */
static void
say_farewell (Engine *e, Session *s)
{
  if (!e->resolver || !e->network_up || session_is_refused (s) || e->machine_key_problem)
    return;
  Farewell *f = farewell_new (s, e->machine_key, e->facts, e->resolver, farewell_over, e);
  if (f)
    g_ptr_array_add (e->farewells, f);
}

static void
remove_profile (Engine *e, Session *s)
{
  g_autoptr (GError) error = NULL;
  if (e->active == s)
    engine_activate_session (e, NULL, NULL);
  if (!store_remove_profile (e->store, session_profile (s)->id, &error))
    log_error (LOG_DOMAIN, "%s", error->message);
  if (e->listener.session_removed)
    e->listener.session_removed (s, e->listener_data);
  g_ptr_array_remove (e->sessions, s);
}

static gboolean
leave (void *user_data)
{
  Engine *e = user_data;
  e->leave_source = 0;
  remove_profile (e, g_steal_pointer (&e->leaving));
  return G_SOURCE_REMOVE;
}

static void
execute (Engine *e, Session *s, SessionAction *action)
{
  switch (action->type) {
    case SESSION_ACTION_SAVE:
      save_profile (e, s, action->serial);
      break;
    case SESSION_ACTION_SAVE_NETMAP:
      save_netmap (e, s, action->netmap);
      break;
    case SESSION_ACTION_DROP_NETMAP:
      store_remove_netmap (e->store, session_profile (s)->id);
      break;
    case SESSION_ACTION_CONTROL:
      if (e->active == s && e->control)
        control_io_input (e->control, &action->control);
      break;
    case SESSION_ACTION_APPLY:
      if (e->active == s)
        engine_apply (e, s);
      break;
    case SESSION_ACTION_LOGGED_OUT:
      /* Not here: the control session that tells it is still on the stack. */
      if (e->leaving == s)
        e->leave_source = g_idle_add (leave, e);
      break;
    case SESSION_ACTION_OPEN_URL:
      log_info (LOG_DOMAIN, "the server asks to open %s", action->url);
      break;
  }
}

static void
arm_timer (Engine *e)
{
  int64_t deadline = e->retry_at_us;
  if (e->active)
    deadline = time_min (deadline, session_next_deadline (e->active));
  boot_timer_set (e->timer, deadline);
}

static bool
drain (Engine *e, Session *s)
{
  SessionAction action;
  bool worked = false;
  while (session_next_action (s, &action)) {
    worked = true;
    execute (e, s, &action);
  }
  return worked;
}

static bool
drain_all (Engine *e)
{
  bool worked = false;
  for (guint i = 0; i < e->sessions->len; i++)
    worked |= drain (e, g_ptr_array_index (e->sessions, i));
  return worked;
}

static gboolean
rest (void *user_data)
{
  Engine *e = user_data;
  e->rest_source = 0;
  memory_rest ();
  return G_SOURCE_REMOVE;
}

static void
pump (Engine *e)
{
  if (e->pumping)
    return;
  e->pumping = true;
  while (drain_all (e))
    ;
  e->pumping = false;
  arm_timer (e);
  for (guint i = 0; i < e->sessions->len; i++) {
    Session *s = g_ptr_array_index (e->sessions, i);
    unsigned changes = session_take_changes (s);
    if ((changes & SESSION_CHANGED_STATE) != 0) {
      g_clear_handle_id (&e->rest_source, g_source_remove);
      e->rest_source = g_timeout_add (REST_AFTER_MS, rest, e);
    }
    if (s == e->active && (changes & SESSION_CHANGED_PREFERENCES))
      engine_tell_proxies (e);
    if (changes && e->listener.session_changed)
      e->listener.session_changed (s, changes, e->listener_data);
  }
}

void
engine_feed (Engine *e, Session *s, SessionEvent *event)
{
  event->wall = wall_time_now ();
  session_input (s, event, clock_now_us ());
  pump (e);
}

bool
engine_input (Engine *e, Session *s, SessionEvent *event, GError **error)
{
  g_clear_error (&e->save_error);
  engine_feed (e, s, event);
  if (!e->save_error)
    return true;
  g_propagate_error (error, g_steal_pointer (&e->save_error));
  return false;
}

static void
timer_fired (void *user_data)
{
  Engine *e = user_data;
  int64_t now = clock_now_us ();
  if (e->retry_at_us <= now) {
    e->retry_at_us = TIME_NEVER;
    if (e->active)
      engine_apply (e, e->active);
  }
  if (e->active) {
    SessionEvent event = {.type = SESSION_EVENT_TICK};
    engine_feed (e, e->active, &event);
  }
  arm_timer (e);
}

/* --- The active session ---------------------------------------------------------------------- */

static void
tell_resolver (Engine *e, const Netmap *map)
{
  g_autoptr (GPtrArray) relays = bootstrap_relays_of (map ? netmap_derp_map (map) : NULL);
  resolver_set_relays (e->resolver, relays);
}

/* The same account on the same server, signed in a second time: the older profile is this one's
 * past (spec/local-services.md §2.5). */
static gboolean
forget_twins (void *user_data)
{
  Engine *e = user_data;
  e->twin_source = 0;
  const Profile *own = e->active ? session_profile (e->active) : NULL;
  for (guint i = e->sessions->len; own && own->user_id != 0 && i > 0; i--) {
    Session *s = g_ptr_array_index (e->sessions, i - 1);
    const Profile *other = session_profile (s);
    if (s == e->active || session_is_refused (s) || other->user_id != own->user_id
        || strcmp (other->user_login, own->user_login) != 0
        || strcmp (other->preferences.login_server, own->preferences.login_server) != 0)
      continue;
    log_info (LOG_DOMAIN, "profile %s is replaced by %s", other->id, own->id);
    remove_profile (e, s);
  }
  return G_SOURCE_REMOVE;
}

static void
control_acted (ControlAction *action, void *user_data)
{
  Engine *e = user_data;
  if (!e->active)
    return;
  SessionEvent event = {.type = SESSION_EVENT_CONTROL, .control = action};
  if (action->type == CONTROL_ACTION_NETMAP
      && (action->netmap.changes.flags & NETMAP_CHANGED_DERP_MAP) != 0)
    tell_resolver (e, action->netmap.netmap);
  engine_feed (e, e->active, &event);
  if (action->type == CONTROL_ACTION_REGISTERED && e->twin_source == 0)
    e->twin_source = g_idle_add (forget_twins, e);
}

static bool
start_control (Engine *e, Session *s, const char **problem)
{
  const Preferences *prefs = &session_profile (s)->preferences;
  ControlConfig config = {.server_url = prefs->login_server,
                          .machine_key = *e->machine_key,
                          .client_version = e->facts->client_version,
                          .ephemeral = prefs->ephemeral};
  Control *control = control_new (&config, random_system (), problem);
  sodium_memzero (&config, sizeof config);
  if (!control)
    return false;
  ControlIoCallbacks callbacks = {.action = control_acted};
  e->control = control_io_new (control, e->resolver, &callbacks, e);
  ProxySettings proxies = proxies_for (prefs);
  control_io_set_proxies (e->control, &proxies);
  return true;
}

static void
tell_link (Engine *e, Session *s, bool major, bool woke)
{
  SessionEvent event
      = {.type = SESSION_EVENT_LINK,
         .link = {.state = link_monitor_get_state (e->monitor), .major = major, .woke = woke}};
  engine_feed (e, s, &event);
}

static void
put_away (Engine *e)
{
  if (!e->active)
    return;
  SessionEvent event = {.type = SESSION_EVENT_DEACTIVATE};
  engine_feed (e, e->active, &event);
  drain (e, e->active); /* also when a pump further down the stack would come back to it later */
  g_clear_pointer (&e->control, control_io_free);
  e->active = NULL;
}

static void
take_up (Engine *e, Session *s)
{
  const char *problem = e->machine_key_problem;
  if (session_is_refused (s)) {
    e->active = s; /* shows its problem and does nothing */
    return;
  }
  tell_link (e, s, false, false);
  e->active = s;
  if (!problem)
    start_control (e, s, &problem);
  Netmap *cached = load_netmap (e, session_profile (s)->id);
  tell_resolver (e, cached);
  SessionEvent event = {.type = SESSION_EVENT_ACTIVATE,
                        .activate = {.netmap = cached, .machine_key_problem = problem}};
  key_public (e->disco_key->bytes, event.activate.disco_key.bytes);
  engine_feed (e, s, &event);
  if (cached)
    netmap_unref (cached);
}

bool
engine_activate_session (Engine *e, Session *s, GError **error)
{
  if (e->active == s)
    return true;
  if (!store_save_active (e->store, s ? session_profile (s)->id : "", error))
    return false;
  put_away (e);
  if (s)
    take_up (e, s);
  if (e->listener.active_changed)
    e->listener.active_changed (e->listener_data);
  return true;
}

static void
add_session (Engine *e, Session *s)
{
  g_ptr_array_add (e->sessions, s);
  if (e->listener.session_added)
    e->listener.session_added (s, e->listener_data);
}

Session *
engine_create_session (Engine *e, const char *login_server, uint32_t owner_uid,
                       const Preferences *prefs, GError **error)
{
  if (e->machine_key_problem) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_FAILED, e->machine_key_problem);
    return NULL;
  }
  if (e->sessions->len >= ENGINE_SESSIONS_MAX) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_LIMIT, "there are %u profiles already",
                 e->sessions->len);
    return NULL;
  }
  g_autoptr (Profile) profile
      = profile_new (login_server, owner_uid, wall_time_now ().seconds, random_system ());
  preferences_clear (&profile->preferences);
  preferences_copy (&profile->preferences, prefs);
  g_strlcpy (profile->preferences.login_server, login_server,
             sizeof profile->preferences.login_server);
  if (!store_save_profile (e->store, profile, error))
    return NULL;
  Session *s = session_new (g_steal_pointer (&profile), e->facts, random_system ());
  add_session (e, s);
  if (!engine_activate_session (e, s, error)) {
    remove_profile (e, s);
    return NULL;
  }
  return s;
}

bool
engine_remove_session (Engine *e, Session *s, GError **error)
{
  if (e->leaving) {
    g_set_error_literal (error, ENGINE_ERROR, ENGINE_ERROR_BUSY,
                         "another profile is being removed");
    return false;
  }
  if (e->active != s) {
    say_farewell (e, s);
    remove_profile (e, s);
    return true;
  }
  e->leaving = s;
  SessionEvent event = {.type = SESSION_EVENT_LOGOUT};
  engine_feed (e, s, &event);
  return true;
}

/* --- Life ------------------------------------------------------------------------------------ */

static void
load_sessions (Engine *e)
{
  GPtrArray *refusals = NULL;
  GPtrArray *profiles = store_load_profiles (e->store, &refusals);
  while (profiles->len > 0)
    add_session (e,
                 session_new (g_ptr_array_steal_index (profiles, 0), e->facts, random_system ()));
  for (guint i = 0; i < refusals->len; i++) {
    const StoreRefusal *refusal = g_ptr_array_index (refusals, i);
    g_autofree char *reason = g_strdup_printf ("%s: %s", refusal->path, refusal->reason);
    add_session (e, session_new_refused (refusal->id, reason, e->facts, random_system ()));
  }
  g_ptr_array_unref (profiles);
  g_ptr_array_unref (refusals);
}

Engine *
engine_new (const EngineOptions *options, GError **error)
{
  Store *store = store_open (options->state_dir, store_files_system (), error);
  if (!store)
    return NULL;
  Engine *e = g_new0 (Engine, 1);
  e->store = store;
  e->state_dir = g_strdup (options->state_dir);
  e->tun_name = g_strdup (options->tun_name);
  e->port = options->port;
  e->bus = options->bus ? g_object_ref (options->bus) : NULL;
  e->facts = local_facts_new ();
  e->retry_at_us = TIME_NEVER;
  e->sessions = g_ptr_array_new_with_free_func ((GDestroyNotify)session_free);
  e->farewells = g_ptr_array_new_with_free_func ((GDestroyNotify)farewell_free);
  e->requests = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free);
  e->timer = boot_timer_new (timer_fired, e);
  e->disco_key = secret_new (sizeof *e->disco_key);
  store_disco_key (store, random_system (), e->disco_key);
  e->machine_key = secret_new (sizeof *e->machine_key);
  g_autoptr (GError) local = NULL;
  if (!store_machine_key (store, random_system (), e->machine_key, &local)) {
    log_error (LOG_DOMAIN, "%s", local->message);
    e->machine_key_problem = g_strdup (local->message);
  }
  load_sessions (e);
  return e;
}

void
engine_set_listener (Engine *e, const EngineListener *listener, void *user_data)
{
  e->listener = *listener;
  e->listener_data = user_data;
}

static void
link_changed (LinkState *state, bool major, int64_t slept_us, void *user_data)
{
  Engine *e = user_data;
  bool up = link_state_is_up (state);
  if (major || slept_us > 0)
    resolver_link_changed (e->resolver);
  engine_link_to_tunnel (e, major);
  if (slept_us > 0 && e->tunnel)
    tunnel_resumed (e->tunnel, slept_us);
  if (e->active)
    tell_link (e, e->active, major, slept_us > 0);
  if (up == e->network_up)
    return;
  e->network_up = up;
  log_info (LOG_DOMAIN, up ? "the network is up" : "there is no network");
  if (e->listener.network_changed)
    e->listener.network_changed (e->listener_data);
}

static void
rule_deleted (void *user_data)
{
  Engine *e = user_data;
  if (e->host && e->active && session_plan (e->active))
    host_restore_rules (e->host);
}

/* The profile that owns the tunnel: the one named on disk, or the only one there is. */
static Session *
choose_active (Engine *e)
{
  char id[PROFILE_ID_SIZE];
  store_load_active (e->store, id);
  Session *s = *id ? engine_session (e, id) : NULL;
  if (!s && e->sessions->len == 1)
    s = g_ptr_array_index (e->sessions, 0);
  return s;
}

bool
engine_start (Engine *e, GError **error)
{
  Session *active = choose_active (e);
  const Preferences *prefs = active ? &session_profile (active)->preferences : NULL;
  e->blocked_by_cleanup = prefs && prefs->wanted && prefs->exit_node_mode != EXIT_NODE_NONE;
  g_autoptr (GError) local = NULL;
  if (!host_cleanup (e->state_dir, e->blocked_by_cleanup, &local))
    log_warning (LOG_DOMAIN, "cleaning up after an earlier run: %s", local->message);

  g_autofree char *cache = g_build_filename (e->state_dir, "addresses", NULL);
  e->resolver = resolver_new (cache);
  LinkMonitorCallbacks callbacks = {.changed = link_changed, .rule_deleted = rule_deleted};
  e->monitor = link_monitor_new (e->tun_name, &callbacks, e, error);
  if (!e->monitor)
    return false;
  e->network_up = link_state_is_up (link_monitor_get_state (e->monitor));
  if (active) {
    take_up (e, active);
    if (e->listener.active_changed)
      e->listener.active_changed (e->listener_data);
  }
  return true;
}

void
engine_stop (Engine *e)
{
  put_away (e);
  engine_close_tunnel (e);
  g_ptr_array_set_size (e->farewells, 0); /* they use the resolver */
  g_clear_pointer (&e->monitor, link_monitor_free);
  g_clear_pointer (&e->resolver, resolver_free);
}

void
engine_free (Engine *e)
{
  if (!e)
    return;
  memset (&e->listener, 0, sizeof e->listener);
  engine_stop (e);
  g_ptr_array_unref (e->sessions);
  g_clear_handle_id (&e->leave_source, g_source_remove);
  g_clear_handle_id (&e->twin_source, g_source_remove);
  g_clear_handle_id (&e->rest_source, g_source_remove);
  g_ptr_array_unref (e->farewells);
  g_hash_table_unref (e->requests);
  boot_timer_free (e->timer);
  store_close (e->store);
  local_facts_free (e->facts);
  secret_free (e->machine_key);
  secret_free (e->disco_key);
  g_clear_error (&e->save_error);
  g_free (e->machine_key_problem);
  g_free (e->state_dir);
  g_free (e->tun_name);
  g_clear_object (&e->bus);
  g_free (e);
}

const GPtrArray *
engine_sessions (Engine *e)
{
  return e->sessions;
}

Session *
engine_session (Engine *e, const char *id)
{
  for (guint i = 0; i < e->sessions->len; i++) {
    Session *s = g_ptr_array_index (e->sessions, i);
    if (strcmp (session_profile (s)->id, id) == 0)
      return s;
  }
  return NULL;
}

Session *
engine_active_session (Engine *e)
{
  return e->active;
}

bool
engine_network_is_up (Engine *e)
{
  return e->network_up;
}

const LocalFacts *
engine_facts (Engine *e)
{
  return e->facts;
}

unsigned
engine_host_warnings (Engine *e)
{
  return e->host ? host_warnings (e->host) : 0;
}
