#include "api/session-object.h"

#include "api/diagnostics-calls.h"
#include "api/peer-feed.h"
#include "api/peer-info.h"
#include "api/peers-calls.h"
#include "api/preference-keys.h"
#include "api/warnings.h"

#include <string.h>

/* --- Properties ------------------------------------------------------------------------------ */

static char *
server_host (const char *url)
{
  const char *start = strstr (url, "://");
  start = start ? start + 3 : url;
  return g_strndup (start, strcspn (start, "/"));
}

static GVariant *
problem_variant (Session *s)
{
  const Problem *problem = session_problem (s);
  const Profile *profile = session_profile (s);
  GVariantBuilder args;
  g_variant_builder_init (&args, G_VARIANT_TYPE ("a{ss}"));
  if (problem->code != PROBLEM_NONE) {
    g_autofree char *host = server_host (profile->preferences.login_server);
    g_variant_builder_add (&args, "{ss}", "retrying", problem->retrying ? "yes" : "no");
    g_variant_builder_add (&args, "{ss}", "server", host);
  }
  return g_variant_new ("(ssa{ss}x)", problem_code_name (problem->code),
                        problem->text ? problem->text : "", &args, problem->since_s);
}

static void
update_state (SessionObject *object)
{
  WarrenBusSession *bus = object->bus_session;
  Session *s = object->session;
  int64_t expires_s = 0;
  bool pending = session_login_url (s, &expires_s) != NULL;
  warren_bus_session_set_state (bus, session_state_name (session_state (s)));
  warren_bus_session_set_wanted (bus, session_profile (s)->preferences.wanted);
  warren_bus_session_set_online (bus, session_online (s));
  warren_bus_session_set_waiting (bus, session_waiting (s));
  warren_bus_session_set_login_pending (bus, pending);
  warren_bus_session_set_login_expires (bus, expires_s);
  warren_bus_session_set_problem (bus, problem_variant (s));
}

static const Node *
selected_exit_node (Session *s)
{
  const Plan *plan = session_plan (s);
  const Preferences *prefs = &session_profile (s)->preferences;
  const Netmap *map = session_netmap (s);
  if (plan && plan->exit_node)
    return plan->exit_node;
  return map && *prefs->exit_node_id ? netmap_peer_by_stable_id (map, prefs->exit_node_id) : NULL;
}

static GVariant *
exit_node_variant (Session *s)
{
  const Preferences *prefs = &session_profile (s)->preferences;
  const Node *node = prefs->exit_node_mode == EXIT_NODE_NONE ? NULL : selected_exit_node (s);
  const char *mode = prefs->exit_node_mode == EXIT_NODE_NONE   ? "none"
                     : prefs->exit_node_mode == EXIT_NODE_AUTO ? "auto"
                                                               : "manual";
  char name[256] = "";
  if (node)
    netmap_display_name (session_netmap (s), node, name, sizeof name);
  else if (prefs->exit_node_mode == EXIT_NODE_BY_ADDRESS)
    ip_format (&prefs->exit_node_addr, name);
  const NodeLocation *place = node && node->hostinfo ? node->hostinfo->location : NULL;
  bool online = node && node->online == TRI_TRUE && node_offers_exit (node) && !node->expired;
  GVariantBuilder b;
  g_variant_builder_init (&b, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&b, "{sv}", "Id",
                         g_variant_new_string (node ? node->stable_id : prefs->exit_node_id));
  g_variant_builder_add (&b, "{sv}", "Name", g_variant_new_string (name));
  g_variant_builder_add (&b, "{sv}", "Mode", g_variant_new_string (mode));
  g_variant_builder_add (&b, "{sv}", "Online", g_variant_new_boolean (online));
  g_variant_builder_add (&b, "{sv}", "Place", g_variant_new_string (place ? place->city : ""));
  g_variant_builder_add (&b, "{sv}", "Country",
                         g_variant_new_string (place ? place->country_code : ""));
  return g_variant_builder_end (&b);
}

/* Where an administrator looks after the tailnet: known for Tailscale's service only, because
 * other servers have their pages anywhere (spec/local-services.md §2.5). */
static const char *
admin_url (const Profile *profile)
{
  return strcmp (profile->preferences.login_server, LOGIN_SERVER_DEFAULT) == 0
             ? "https://login.tailscale.com/admin"
             : "";
}

static void
update_self (SessionObject *object)
{
  WarrenBusSession *bus = object->bus_session;
  Session *s = object->session;
  const Profile *profile = session_profile (s);
  const Netmap *map = session_netmap (s);
  g_autofree char *host = server_host (profile->preferences.login_server);
  const Node *self = map ? netmap_self (map) : NULL;
  warren_bus_session_set_label (bus, *profile->user_login ? profile->user_login : host);
  warren_bus_session_set_server_url (bus, profile->preferences.login_server);
  warren_bus_session_set_tailnet (bus, profile->tailnet);
  warren_bus_session_set_dns_suffix (bus, map ? netmap_magic_dns_suffix (map) : "");
  warren_bus_session_set_owner_uid (bus, profile->owner_uid);
  warren_bus_session_set_user (bus, g_variant_new ("(tsss)", (guint64)profile->user_id,
                                                   profile->user_login, profile->user_name,
                                                   profile->user_picture));
  warren_bus_session_set_admin_url (bus, admin_url (profile));
  warren_bus_session_set_approval_url (bus, admin_url (profile));
  if (self)
    warren_bus_session_set_self (bus, peer_dictionary (object->service->engine, s, self));
  else
    warren_bus_session_set_self (bus, g_variant_new ("a{sv}", NULL));
}

void
session_object_update (SessionObject *object, unsigned changes)
{
  Session *s = object->session;
  if (changes & (SESSION_CHANGED_STATE | SESSION_CHANGED_PREFERENCES))
    update_state (object);
  if (changes & (SESSION_CHANGED_SELF | SESSION_CHANGED_STATE | SESSION_CHANGED_PREFERENCES))
    update_self (object);
  warren_bus_session_set_exit_node (object->bus_session, exit_node_variant (s));
  if (changes & SESSION_CHANGED_PREFERENCES)
    warren_bus_session_set_preferences (
        object->bus_session, preference_keys_to_variant (&session_profile (s)->preferences));
  warren_bus_session_set_warnings (object->bus_session,
                                   warnings_to_variant (object->service->engine, s));
  size_t n = 0;
  const NodeId *ids = session_take_changed_peers (s, &n);
  if (changes & SESSION_CHANGED_PEERS)
    peer_feed_all_changed (object->feed);
  else if (changes & SESSION_CHANGED_SOME_PEERS)
    peer_feed_ids_changed (object->feed, ids, n);
}

/* --- Methods --------------------------------------------------------------------------------- */

/* Feeds a wish that holds even if the disk is full; the problem then says that it will not last. */
static void
feed_wish (Call *call, SessionEventType type)
{
  SessionEvent event = {.type = type};
  engine_input (call->service->engine, call->object->session, &event, NULL);
  call_return (call, NULL);
}

/* False after the call was answered: nothing can be done with a session whose file is refused. */
static bool
require_usable (Call *call)
{
  Session *s = call->object->session;
  if (!session_is_refused (s))
    return true;
  call_fail (call, BUS_ERROR_WRONG_STATE, "%s", session_problem (s)->text);
  return false;
}

static bool
require_active (Call *call)
{
  if (!require_usable (call))
    return false;
  if (session_is_active (call->object->session))
    return true;
  call_fail (call, BUS_ERROR_WRONG_STATE, "another session is active");
  return false;
}

static void
connect_session (Call *call)
{
  if (require_active (call))
    feed_wish (call, SESSION_EVENT_CONNECT);
}

static void
disconnect_session (Call *call)
{
  if (require_usable (call))
    feed_wish (call, SESSION_EVENT_DISCONNECT);
}

static void
login (Call *call)
{
  if (!require_active (call))
    return;
  g_autoptr (GVariant) options = NULL;
  g_variant_get (call->params, "(@a{sv})", &options);
  GVariantIter iter;
  const char *key;
  GVariant *value;
  g_autofree char *auth_key = NULL;
  bool force = false, accept = false, known = true;
  g_variant_iter_init (&iter, options);
  while (known && g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    if (strcmp (key, "AuthKey") == 0 && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
      g_free (auth_key), auth_key = g_variant_dup_string (value, NULL);
    else if (strcmp (key, "Force") == 0 && g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
      force = g_variant_get_boolean (value);
    else if (strcmp (key, "AcceptServerKey") == 0
             && g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
      accept = g_variant_get_boolean (value);
    else
      known = false;
    g_variant_unref (value);
  }
  if (!known) {
    call_fail (call, BUS_ERROR_INVALID_ARGUMENT, "unknown option, or an option of a wrong type");
    return;
  }
  if (accept)
    feed_wish (call, SESSION_EVENT_ACCEPT_KEY);
  else {
    SessionEvent event
        = {.type = SESSION_EVENT_LOGIN,
           .login = {.auth_key = auth_key && *auth_key ? auth_key : NULL, .force = force}};
    engine_input (call->service->engine, call->object->session, &event, NULL);
    call_return (call, NULL);
  }
}

static void
get_login_url (Call *call)
{
  const char *url = session_login_url (call->object->session, NULL);
  if (url)
    call_return (call, g_variant_new ("(s)", url));
  else
    call_fail (call, BUS_ERROR_WRONG_STATE, "no sign-in is waiting");
}

static void
cancel_login (Call *call)
{
  if (require_active (call))
    feed_wish (call, SESSION_EVENT_CANCEL_LOGIN);
}

static void
logout (Call *call)
{
  if (require_usable (call))
    feed_wish (call, SESSION_EVENT_LOGOUT);
}

static void
set_preferences (Call *call)
{
  if (!require_usable (call))
    return;
  Session *s = call->object->session;
  g_autoptr (GVariant) changes = NULL;
  g_variant_get (call->params, "(@a{sv})", &changes);
  Preferences prefs;
  preferences_copy (&prefs, &session_profile (s)->preferences);
  GError *error = NULL;
  bool ok = preference_keys_apply (&prefs, changes, &error);
  if (ok) {
    SessionEvent event = {.type = SESSION_EVENT_PREFERENCES, .preferences = &prefs};
    ok = engine_input (call->service->engine, s, &event, &error);
  }
  preferences_clear (&prefs);
  if (ok)
    call_return (call, NULL);
  else
    call_fail_error (call, error);
}

static void
add_text (GVariantBuilder *details, const char *key, const char *text)
{
  if (text && *text)
    g_variant_builder_add (details, "{sv}", key, g_variant_new_string (text));
}

static void
suggest_exit_node (Call *call)
{
  const Session *s = call->object->session;
  const Node *node = session_suggest_exit_node (s);
  if (!node) {
    call_fail (call, BUS_ERROR_NOT_FOUND, "there is no exit node to suggest");
    return;
  }
  GVariantBuilder details;
  char name[NETMAP_NAME_MAX];
  g_autofree char *fqdn = g_strdup (node->name);
  if (g_str_has_suffix (fqdn, "."))
    fqdn[strlen (fqdn) - 1] = '\0';
  netmap_display_name (session_netmap (s), node, name, sizeof name);
  g_variant_builder_init (&details, G_VARIANT_TYPE_VARDICT);
  add_text (&details, "Fqdn", fqdn);
  if (node->hostinfo && node->hostinfo->location) {
    add_text (&details, "Country", node->hostinfo->location->country);
    add_text (&details, "City", node->hostinfo->location->city);
    add_text (&details, "CountryCode", node->hostinfo->location->country_code);
  }
  call_return (call, g_variant_new ("(ssa{sv})", node->stable_id, name, &details));
}

/* --- The object ------------------------------------------------------------------------------ */

static void
connect_calls (SessionObject *object)
{
  static const CallRow rows[] = {
      {"Connect", connect_session},
      {"Disconnect", disconnect_session},
      {"Login", login},
      {"GetLoginUrl", get_login_url},
      {"CancelLogin", cancel_login},
      {"Logout", logout},
      {"SetPreferences", set_preferences},
      {"SuggestExitNode", suggest_exit_node},
  };
  call_connect (object->service, object, G_DBUS_INTERFACE_SKELETON (object->bus_session), "Session",
                rows, G_N_ELEMENTS (rows));
  peers_calls_connect (object);
  diagnostics_calls_connect (object->service, object, object->bus_diagnostics);
}

SessionObject *
session_object_new (BusService *service, Session *session)
{
  SessionObject *object = g_new0 (SessionObject, 1);
  object->service = service;
  object->session = session;
  object->path = g_strconcat (OBJECT_PATH_SESSION, session_profile (session)->id, NULL);
  object->bus_session = warren_bus_session_skeleton_new ();
  object->bus_peers = warren_bus_peers_skeleton_new ();
  object->bus_diagnostics = warren_bus_diagnostics_skeleton_new ();
  object->skeleton = warren_bus_object_skeleton_new (object->path);
  object->feed = peer_feed_new (service->engine, session, service->bus, object->path);
  warren_bus_session_set_id (object->bus_session, session_profile (session)->id);
  warren_bus_session_set_locked (object->bus_session, (const char *const[]){NULL});
  session_object_update (object, ~0u);
  connect_calls (object);
  warren_bus_object_skeleton_set_session (object->skeleton, object->bus_session);
  warren_bus_object_skeleton_set_peers (object->skeleton, object->bus_peers);
  warren_bus_object_skeleton_set_diagnostics (object->skeleton, object->bus_diagnostics);
  g_dbus_object_manager_server_export (service->objects, G_DBUS_OBJECT_SKELETON (object->skeleton));
  return object;
}

void
session_object_free (SessionObject *object)
{
  calls_forget_object (object->service, object);
  peers_calls_forget (object);
  g_dbus_object_manager_server_unexport (object->service->objects, object->path);
  peer_feed_free (object->feed);
  g_object_unref (object->skeleton);
  g_object_unref (object->bus_session);
  g_object_unref (object->bus_peers);
  g_object_unref (object->bus_diagnostics);
  g_free (object->path);
  g_free (object);
}
