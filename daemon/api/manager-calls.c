#include "api/manager-calls.h"

#include "api/network-calls.h"
#include "api/network-object.h"
#include "api/preference-keys.h"

#include <stdlib.h>
#include <string.h>

#define API_VERSION 2

typedef struct
{
  Call *call;
  GVariantBuilder answers;
  size_t next; /* index into access_actions */
} PermissionQuery;

static void ask_next (PermissionQuery *query);

static void
permission_known (AuthorityVerdict verdict, void *user_data)
{
  PermissionQuery *query = user_data;
  const char *word = verdict == AUTHORITY_YES ? "yes" : verdict == AUTHORITY_ASK ? "auth" : "no";
  g_variant_builder_add (&query->answers, "{ss}", access_actions ()[query->next++], word);
  ask_next (query);
}

static void
ask_next (PermissionQuery *query)
{
  Call *call = query->call;
  const char *action = access_actions ()[query->next];
  if (!action) {
    call_return (call, g_variant_new ("(a{ss})", &query->answers));
    g_free (query);
    return;
  }
  g_autofree char *full = g_strconcat (ACCESS_ACTION_PREFIX, action, NULL);
  authority_check (call->service->authority, call->sender, call->uid, full, false, permission_known,
                   query);
}

static void
get_permissions (Call *call)
{
  PermissionQuery *query = g_new0 (PermissionQuery, 1);
  query->call = call;
  g_variant_builder_init (&query->answers, G_VARIANT_TYPE ("a{ss}"));
  ask_next (query);
}

static bool
take_option (GVariantDict *options, const char *key, const char *type, GVariant **out,
             GError **error)
{
  *out = g_variant_dict_lookup_value (options, key, NULL);
  if (!*out)
    return true;
  g_variant_dict_remove (options, key);
  if (g_variant_is_of_type (*out, G_VARIANT_TYPE (type)))
    return true;
  g_clear_pointer (out, g_variant_unref);
  g_set_error (error, BUS_ERROR, BUS_ERROR_INVALID_ARGUMENT, "%s: wrong type", key);
  return false;
}

static bool
apply_as_preference (Preferences *prefs, const char *key, GVariant *value, GError **error)
{
  if (!value)
    return true;
  GVariantDict dict;
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert_value (&dict, key, value);
  g_autoptr (GVariant) changes = g_variant_ref_sink (g_variant_dict_end (&dict));
  return preference_keys_apply (prefs, changes, error);
}

/* Options of CreateSession; what is left in the dictionary is unknown. */
static bool
read_options (GVariantDict *options, Preferences *prefs, char **auth_key, GError **error)
{
  g_autoptr (GVariant) key = NULL, hostname = NULL, tags = NULL, ephemeral = NULL, other = NULL;
  if (!take_option (options, "AuthKey", "s", &key, error)
      || !take_option (options, "Hostname", "s", &hostname, error)
      || !take_option (options, "Tags", "as", &tags, error)
      || !take_option (options, "Ephemeral", "b", &ephemeral, error)
      || !take_option (options, "Preferences", "a{sv}", &other, error))
    return false;
  g_autoptr (GVariant) rest = g_variant_ref_sink (g_variant_dict_end (options));
  if (g_variant_n_children (rest) > 0) {
    g_set_error_literal (error, BUS_ERROR, BUS_ERROR_INVALID_ARGUMENT, "unknown option");
    return false;
  }
  if (key)
    *auth_key = g_variant_dup_string (key, NULL);
  prefs->ephemeral = ephemeral && g_variant_get_boolean (ephemeral);
  return (!other || preference_keys_apply (prefs, other, error))
         && apply_as_preference (prefs, "Hostname", hostname, error)
         && apply_as_preference (prefs, "Tags", tags, error);
}

static void
start_login (Call *call, Session *session, const char *auth_key)
{
  SessionEvent event = {.type = SESSION_EVENT_LOGIN,
                        .login = {.auth_key = auth_key && *auth_key ? auth_key : NULL}};
  engine_input (call->service->engine, session, &event, NULL);
}

static void
create_session (Call *call)
{
  const char *url;
  g_autoptr (GVariant) options = NULL;
  g_variant_get (call->params, "(&s@a{sv})", &url, &options);
  GError *error = NULL;
  g_autofree char *server = login_server_normalise (url, &error);
  if (!server) {
    call_fail_error (call, error);
    return;
  }
  Preferences prefs;
  preferences_init (&prefs, server);
  prefs.wanted = true;
  g_autofree char *auth_key = NULL;
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (options);
  Session *session = NULL;
  if (read_options (&dict, &prefs, &auth_key, &error))
    session = engine_create_session (call->service->engine, server, call->uid, &prefs, &error);
  preferences_clear (&prefs);
  if (!session) {
    call_fail_error (call, error);
    return;
  }
  start_login (call, session, auth_key);
  SessionObject *object = g_hash_table_lookup (call->service->sessions, session);
  call_return (call, g_variant_new ("(o)", object->path));
}

static SessionObject *
session_argument (Call *call)
{
  const char *path;
  g_variant_get (call->params, "(&o)", &path);
  SessionObject *object = call_session_at (call->service, path);
  if (!object)
    call_fail (call, BUS_ERROR_NOT_FOUND, "there is no session %s", path);
  return object;
}

static void
activate_session (Call *call)
{
  SessionObject *object = session_argument (call);
  if (!object)
    return;
  GError *error = NULL;
  if (session_is_refused (object->session))
    call_fail (call, BUS_ERROR_WRONG_STATE, "%s", session_problem (object->session)->text);
  else if (engine_activate_session (call->service->engine, object->session, &error))
    call_return (call, NULL);
  else
    call_fail_error (call, error);
}

static void
remove_session (Call *call)
{
  SessionObject *object = session_argument (call);
  if (!object)
    return;
  GError *error = NULL;
  if (engine_remove_session (call->service->engine, object->session, &error))
    call_return (call, NULL);
  else
    call_fail_error (call, error);
}

void
manager_calls_connect (BusService *service)
{
  static const CallRow rows[] = {
      {"GetPermissions", get_permissions},    {"CreateSession", create_session},
      {"ActivateSession", activate_session},  {"RemoveSession", remove_session},
      {"CreateNetwork", network_call_create},
  };
  call_connect (service, NULL, G_DBUS_INTERFACE_SKELETON (service->manager), "Manager", rows,
                G_N_ELEMENTS (rows));
}

void
manager_update (BusService *service)
{
  WarrenBusManager *manager = service->manager;
  const GPtrArray *sessions = engine_sessions (service->engine);
  g_autofree const char **paths = g_new0 (const char *, sessions->len + 1);
  size_t n = 0;
  const char *active = "/";
  for (guint i = 0; i < sessions->len; i++) {
    Session *session = g_ptr_array_index (sessions, i);
    SessionObject *object = g_hash_table_lookup (service->sessions, session);
    if (!object)
      continue;
    paths[n++] = object->path;
    if (session == engine_active_session (service->engine))
      active = object->path;
  }
  warren_bus_manager_set_version (manager, engine_facts (service->engine)->client_version);
  warren_bus_manager_set_api_version (manager, API_VERSION);
  const char *const features[] = {
      service->network && network_object_is_installed (service->network) ? "network" : NULL,
      NULL,
  };
  warren_bus_manager_set_features (manager, features);
  warren_bus_manager_set_network (manager,
                                  service->network ? network_object_path (service->network) : "/");
  warren_bus_manager_set_sessions (manager, paths);
  warren_bus_manager_set_active_session (manager, active);
  warren_bus_manager_set_network_up (manager, engine_network_is_up (service->engine));
}
