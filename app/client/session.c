#include "client/session.h"

#include "client/error.h"

#include <string.h>

struct _WarrenSession
{
  GObject parent;

  WarrenBusSession *bus;
  WarrenBusPeers *peers;
};

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenSession, warren_session, G_TYPE_OBJECT)

static void
warren_session_dispose (GObject *object)
{
  WarrenSession *self = WARREN_SESSION (object);

  if (self->bus != NULL)
    g_signal_handlers_disconnect_by_data (self->bus, self);
  g_clear_object (&self->bus);
  g_clear_object (&self->peers);
  G_OBJECT_CLASS (warren_session_parent_class)->dispose (object);
}

static void
warren_session_class_init (WarrenSessionClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = warren_session_dispose;
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", WARREN_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
warren_session_init (WarrenSession *self)
{
}

/* A proxy whose owner is gone forgets its values and says so: that is no change of the session. */
static void
on_properties_changed (WarrenSession *self)
{
  g_autofree char *owner = g_dbus_proxy_get_name_owner (G_DBUS_PROXY (self->bus));

  if (owner != NULL)
    g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

/* Peers has no properties, so that its proxy costs no round trip. */
static void
on_peers_ready (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  WarrenSession *self = g_task_get_task_data (task);
  GError *error = NULL;

  self->peers = warren_bus_peers_proxy_new_finish (result, &error);
  if (self->peers == NULL) {
    g_task_return_error (task, error);
    return;
  }
  /* After: the generated proxy drops its copies of arrays in the handler of its own. */
  g_signal_connect_object (self->bus, "g-properties-changed", G_CALLBACK (on_properties_changed),
                           self, G_CONNECT_SWAPPED | G_CONNECT_AFTER);
  g_task_return_pointer (task, g_object_ref (self), g_object_unref);
}

static void
on_session_ready (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  WarrenSession *self = g_task_get_task_data (task);
  GDBusProxy *proxy;
  GError *error = NULL;

  self->bus = warren_bus_session_proxy_new_finish (result, &error);
  if (self->bus == NULL) {
    g_task_return_error (task, error);
    return;
  }
  proxy = G_DBUS_PROXY (self->bus);
  if (warren_bus_session_get_state (self->bus) == NULL) {
    g_task_return_new_error (task, WARREN_ERROR, WARREN_ERROR_NOT_FOUND, "%s is gone",
                             g_dbus_proxy_get_object_path (proxy));
    return;
  }
  warren_bus_peers_proxy_new (g_dbus_proxy_get_connection (proxy),
                              G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START
                                  | G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES,
                              g_dbus_proxy_get_name (proxy), g_dbus_proxy_get_object_path (proxy),
                              g_task_get_cancellable (task), on_peers_ready, g_object_ref (task));
}

void
warren_session_new_async (GDBusConnection *connection, const char *owner, const char *path,
                          GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);

  g_task_set_task_data (task, g_object_new (WARREN_TYPE_SESSION, NULL), g_object_unref);
  warren_bus_session_proxy_new (connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, owner, path,
                                cancellable, on_session_ready, task);
}

WarrenSession *
warren_session_new_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

const char *
warren_session_get_path (WarrenSession *self)
{
  return g_dbus_proxy_get_object_path (G_DBUS_PROXY (self->bus));
}

WarrenBusSession *
warren_session_get_bus (WarrenSession *self)
{
  return self->bus;
}

WarrenBusPeers *
warren_session_get_peers (WarrenSession *self)
{
  return self->peers;
}

static const char *
or_empty (const char *text)
{
  return text != NULL ? text : "";
}

const char *
warren_session_get_state (WarrenSession *self)
{
  return or_empty (warren_bus_session_get_state (self->bus));
}

const char *
warren_session_get_label (WarrenSession *self)
{
  return or_empty (warren_bus_session_get_label (self->bus));
}

const char *
warren_session_get_server_url (WarrenSession *self)
{
  return or_empty (warren_bus_session_get_server_url (self->bus));
}

const char *
warren_session_get_dns_suffix (WarrenSession *self)
{
  return or_empty (warren_bus_session_get_dns_suffix (self->bus));
}

gboolean
warren_session_get_wanted (WarrenSession *self)
{
  return warren_bus_session_get_wanted (self->bus);
}

gboolean
warren_session_get_login_pending (WarrenSession *self)
{
  return warren_bus_session_get_login_pending (self->bus);
}

const char *
warren_session_get_account (WarrenSession *self)
{
  GVariant *user = warren_bus_session_get_user (self->bus);
  const char *login = "";

  if (user != NULL && g_variant_is_of_type (user, G_VARIANT_TYPE ("(tsss)")))
    g_variant_get_child (user, 1, "&s", &login);
  return *login != '\0' ? login : warren_session_get_label (self);
}

char *
warren_session_dup_server_host (WarrenSession *self)
{
  g_autoptr (GUri) uri
      = g_uri_parse (warren_session_get_server_url (self), G_URI_FLAGS_SCHEME_NORMALIZE, NULL);

  if (uri == NULL || g_uri_get_host (uri) == NULL)
    return g_strdup (warren_session_get_server_url (self));
  if (g_uri_get_port (uri) <= 0 || g_uri_get_port (uri) == 443 || g_uri_get_port (uri) == 80)
    return g_strdup (g_uri_get_host (uri));
  return g_strdup_printf ("%s:%d", g_uri_get_host (uri), g_uri_get_port (uri));
}

char *
warren_session_dup_long_label (WarrenSession *self)
{
  g_autofree char *host = warren_session_dup_server_host (self);
  const char *account = warren_session_get_account (self);
  const char *tailnet = or_empty (warren_bus_session_get_tailnet (self->bus));

  if (*tailnet != '\0' && !g_str_equal (tailnet, account) && !g_str_equal (tailnet, host))
    return g_strdup_printf ("%s – %s (%s)", account, tailnet, host);
  return g_str_equal (account, host) ? g_strdup (account)
                                     : g_strdup_printf ("%s (%s)", account, host);
}

static GVariant *
lookup_self (WarrenSession *self, const char *key, const GVariantType *type)
{
  GVariant *dict = warren_bus_session_get_self (self->bus);

  return dict != NULL ? g_variant_lookup_value (dict, key, type) : NULL;
}

char *
warren_session_dup_self_string (WarrenSession *self, const char *key)
{
  g_autoptr (GVariant) value = lookup_self (self, key, G_VARIANT_TYPE_STRING);

  return value != NULL ? g_variant_dup_string (value, NULL) : NULL;
}

char **
warren_session_dup_self_addresses (WarrenSession *self)
{
  g_autoptr (GVariant) value = lookup_self (self, "Addresses", G_VARIANT_TYPE_STRING_ARRAY);

  return value != NULL ? g_variant_dup_strv (value, NULL) : NULL;
}

gint64
warren_session_get_key_expiry (WarrenSession *self)
{
  g_autoptr (GVariant) value = lookup_self (self, "KeyExpiry", G_VARIANT_TYPE_INT64);

  return value != NULL ? g_variant_get_int64 (value) : 0;
}

const char *
warren_session_get_problem (WarrenSession *self, const char **text)
{
  GVariant *problem = warren_bus_session_get_problem (self->bus);
  const char *code = "";
  const char *words = "";

  if (problem != NULL && g_variant_is_of_type (problem, G_VARIANT_TYPE ("(ssa{ss}x)"))) {
    g_variant_get_child (problem, 0, "&s", &code);
    g_variant_get_child (problem, 1, "&s", &words);
  }
  if (text != NULL)
    *text = words;
  return code;
}

void
warren_session_get_exit_node (WarrenSession *self, WarrenExitNode *out)
{
  GVariant *dict = warren_bus_session_get_exit_node (self->bus);
  const char *mode = "none";
  g_autoptr (GVariantDict) node = dict != NULL ? g_variant_dict_new (dict) : NULL;

  *out = (WarrenExitNode){0};
  if (node == NULL || !g_variant_dict_lookup (node, "Mode", "&s", &mode)
      || g_str_equal (mode, "none"))
    return;
  out->set = TRUE;
  out->automatic = g_str_equal (mode, "auto");
  g_variant_dict_lookup (node, "Online", "b", &out->online);
  g_variant_dict_lookup (node, "Id", "s", &out->id);
  g_variant_dict_lookup (node, "Name", "s", &out->name);
  g_variant_dict_lookup (node, "Place", "s", &out->place);
}

void
warren_exit_node_clear (WarrenExitNode *node)
{
  g_clear_pointer (&node->id, g_free);
  g_clear_pointer (&node->name, g_free);
  g_clear_pointer (&node->place, g_free);
}

GVariant *
warren_session_lookup_preference (WarrenSession *self, const char *key, const char *type)
{
  GVariant *dict = warren_bus_session_get_preferences (self->bus);

  return dict != NULL ? g_variant_lookup_value (dict, key, G_VARIANT_TYPE (type)) : NULL;
}

gboolean
warren_session_get_preference_flag (WarrenSession *self, const char *key)
{
  g_autoptr (GVariant) value = warren_session_lookup_preference (self, key, "b");

  return value != NULL && g_variant_get_boolean (value);
}

gboolean
warren_session_is_locked (WarrenSession *self, const char *key)
{
  const char *const *locked = warren_bus_session_get_locked (self->bus);

  return locked != NULL && g_strv_contains (locked, key);
}

static WarrenSeverity
severity_from_string (const char *text)
{
  if (g_strcmp0 (text, "high") == 0)
    return WARREN_SEVERITY_HIGH;
  return g_strcmp0 (text, "medium") == 0 ? WARREN_SEVERITY_MEDIUM : WARREN_SEVERITY_LOW;
}

/* The texts stay alive with the property, as long as nobody turns the main loop. */
static void
read_warning (GVariant *dict, WarrenWarning *out)
{
  const char *severity = NULL;

  *out = (WarrenWarning){0};
  g_variant_lookup (dict, "Severity", "&s", &severity);
  out->severity = severity_from_string (severity);
  g_variant_lookup (dict, "ImpactsConnectivity", "b", &out->impacts_connectivity);
  g_variant_lookup (dict, "Code", "&s", &out->code);
  g_variant_lookup (dict, "Title", "&s", &out->title);
  g_variant_lookup (dict, "Text", "&s", &out->text);
  g_variant_lookup (dict, "ActionLabel", "&s", &out->action_label);
  g_variant_lookup (dict, "ActionUrl", "&s", &out->action_url);
}

static void
find_worst_warning (WarrenSession *self, WarrenWarning *worst)
{
  GVariant *list = warren_bus_session_get_warnings (self->bus);
  gsize n = list != NULL ? g_variant_n_children (list) : 0;

  for (gsize i = 0; i < n; i++) {
    g_autoptr (GVariant) dict = g_variant_get_child_value (list, i);
    WarrenWarning warning;

    read_warning (dict, &warning);
    if (warren_warning_is_a_state (warning.code))
      continue;
    if (warning.severity > worst->severity
        || (warning.severity == worst->severity && warning.impacts_connectivity
            && !worst->impacts_connectivity))
      *worst = warning;
  }
}

static char *
keep (GPtrArray *store, char *text)
{
  if (text != NULL)
    g_ptr_array_add (store, text);
  return text;
}

static void
fill_exit_node (WarrenSession *self, WarrenFacts *facts, GPtrArray *store)
{
  g_auto (WarrenExitNode) exit = {0};

  warren_session_get_exit_node (self, &exit);
  facts->exit_set = exit.set;
  facts->exit_online = exit.online;
  facts->exit_name
      = keep (store, exit.place != NULL && *exit.place != '\0' ? g_steal_pointer (&exit.place)
                                                               : g_steal_pointer (&exit.name));
}

void
warren_session_fill_facts (WarrenSession *self, WarrenFacts *facts, GPtrArray *store)
{
  g_auto (GStrv) addresses = warren_session_dup_self_addresses (self);
  const char *tailnet = or_empty (warren_bus_session_get_tailnet (self->bus));
  const char *problem_text;

  facts->has_session = TRUE;
  facts->state = warren_session_get_state (self);
  facts->waiting = or_empty (warren_bus_session_get_waiting (self->bus));
  facts->wanted = warren_session_get_wanted (self);
  facts->login_pending = warren_session_get_login_pending (self);
  facts->key_expiry = warren_session_get_key_expiry (self);
  facts->server_host = keep (store, warren_session_dup_server_host (self));
  facts->network_name = *tailnet != '\0' ? tailnet : facts->server_host;
  facts->account = warren_session_get_account (self);
  if (addresses != NULL && addresses[0] != NULL)
    facts->address = keep (store, g_strdup (addresses[0]));
  facts->approval_url = or_empty (warren_bus_session_get_approval_url (self->bus));
  facts->problem_code = warren_session_get_problem (self, &problem_text);
  facts->problem_text = problem_text;
  find_worst_warning (self, &facts->warning);
  fill_exit_node (self, facts, store);
}
