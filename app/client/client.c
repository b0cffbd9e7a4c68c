#include "client/client.h"

#include "client/bus.h"
#include "client/device-feed.h"
#include "client/error.h"

#include <pwd.h>
#include <unistd.h>

#define GRACE_MS         3000 /* a restarting daemon */
#define SHORT_CHANGE_MS  400  /* §5.2 rule (a) */
#define EXPIRY_CHECK_MAX 3600 /* seconds; the clock may be set meanwhile */

struct _WarrenClient
{
  GObject parent;

  char *address; /* NULL: system bus */
  WarrenClientFlags flags;
  GDBusConnection *connection;
  GCancellable *cancellable;       /* of the object */
  GCancellable *owner_cancellable; /* of everything that belongs to the present owner */
  guint watch_id;
  char *owner; /* unique name of the daemon, or NULL */

  WarrenBusManager *manager;
  GPtrArray *sessions; /* of WarrenSession, in the daemon's order */
  GHashTable *loading; /* path → itself: sessions under way */
  WarrenSession *active;
  GHashTable *permissions; /* action → "yes", "auth", "no" */

  WarrenDeviceList *devices;
  WarrenDeviceFeed *feed;
  WarrenNetwork *network;

  WarrenUiState *shown;
  gboolean present; /* the manager is there */
  gboolean stale;
  guint grace_id;
  guint short_change_id;
  guint expiry_id;
};

enum
{
  PROP_UI_STATE = 1,
  N_PROPS,
};

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenClient, warren_client, G_TYPE_OBJECT)

static void sync_sessions (WarrenClient *self);
static void update (WarrenClient *self);

/* --- what is shown ---------------------------------------------------------------------------- */

static gboolean
is_foreign (WarrenClient *self, WarrenSession *session, char **owner_name)
{
  guint uid = warren_bus_session_get_owner_uid (warren_session_get_bus (session));
  struct passwd *user;

  if (uid == 0 || uid == getuid ()
      || g_str_equal (warren_client_get_permission (self, "profile-other"), "yes"))
    return FALSE;
  user = getpwuid (uid);
  *owner_name = user != NULL ? g_strdup (user->pw_name) : g_strdup_printf ("%u", uid);
  return TRUE;
}

static WarrenUiState *
derive (WarrenClient *self, gint64 *key_expiry)
{
  g_autoptr (GPtrArray) store = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *owner_name = NULL;
  WarrenFacts facts = {.now = g_get_real_time () / G_USEC_PER_SEC};

  facts.daemon_present = self->present;
  if (self->present) {
    facts.api_version = warren_bus_manager_get_api_version (self->manager);
    facts.network_up = warren_bus_manager_get_network_up (self->manager);
  }
  if (self->present && self->active != NULL) {
    warren_session_fill_facts (self->active, &facts, store);
    facts.foreign = is_foreign (self, self->active, &owner_name);
    facts.owner_name = owner_name;
  }
  *key_expiry = facts.key_expiry > facts.now ? facts.key_expiry - facts.now : 0;
  return warren_ui_state_derive (&facts);
}

static gboolean
on_expiry_check (gpointer data)
{
  WarrenClient *self = data;

  self->expiry_id = 0;
  update (self);
  return G_SOURCE_REMOVE;
}

static void
watch_expiry (WarrenClient *self, gint64 seconds)
{
  g_clear_handle_id (&self->expiry_id, g_source_remove);
  if (seconds > 0)
    self->expiry_id
        = g_timeout_add_seconds (MIN (seconds + 1, EXPIRY_CHECK_MAX), on_expiry_check, self);
}

static void
show (WarrenClient *self, WarrenUiState *state)
{
  gboolean same = self->shown != NULL && warren_ui_state_equal (self->shown, state);

  g_clear_handle_id (&self->short_change_id, g_source_remove);
  if (!same) {
    g_clear_pointer (&self->shown, warren_ui_state_free);
    self->shown = warren_ui_state_copy (state);
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_UI_STATE]);
  }
}

static gboolean
on_short_change_over (gpointer data)
{
  WarrenClient *self = data;
  g_autoptr (WarrenUiState) state = NULL;
  gint64 expiry;

  self->short_change_id = 0;
  state = derive (self, &expiry);
  show (self, state);
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
  return G_SOURCE_REMOVE;
}

/* Roaming takes the connection away and gives it back within a moment: nobody needs to see it. */
static gboolean
may_be_short (WarrenClient *self, const WarrenUiState *next)
{
  return self->shown != NULL && warren_ui_kind_is_connected (self->shown->kind)
         && (next->kind == WARREN_UI_CONNECTING || next->kind == WARREN_UI_NO_NETWORK);
}

static void
update (WarrenClient *self)
{
  g_autoptr (WarrenUiState) state = NULL;
  gint64 expiry;

  if (self->stale)
    return;
  state = derive (self, &expiry);
  watch_expiry (self, expiry);
  if (may_be_short (self, state)) {
    if (self->short_change_id == 0)
      self->short_change_id = g_timeout_add (SHORT_CHANGE_MS, on_short_change_over, self);
  } else {
    show (self, state);
  }
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

/* --- sessions --------------------------------------------------------------------------------- */

static WarrenSession *
find_session (WarrenClient *self, const char *path)
{
  for (guint i = 0; i < self->sessions->len; i++)
    if (g_str_equal (warren_session_get_path (self->sessions->pdata[i]), path))
      return self->sessions->pdata[i];
  return NULL;
}

static void
on_session_loaded (GObject *source, GAsyncResult *result, gpointer user_data)
{
  WarrenClient *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (WarrenSession) session = warren_session_new_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the client may be gone */
  if (session == NULL) {
    g_info ("session not read: %s", error->message);
    g_hash_table_remove_all (self->loading);
    update (self);
    return;
  }
  g_hash_table_remove (self->loading, warren_session_get_path (session));
  g_signal_connect_object (session, "changed", G_CALLBACK (update), self, G_CONNECT_SWAPPED);
  g_ptr_array_add (self->sessions, g_steal_pointer (&session));
  sync_sessions (self);
}

static void
load_session (WarrenClient *self, const char *path)
{
  if (find_session (self, path) != NULL || !g_hash_table_add (self->loading, g_strdup (path)))
    return;
  warren_session_new_async (self->connection, self->owner, path, self->owner_cancellable,
                            on_session_loaded, self);
}

static void
forget_sessions_except (WarrenClient *self, const char *const *paths)
{
  for (guint i = self->sessions->len; i > 0; i--) {
    WarrenSession *session = self->sessions->pdata[i - 1];

    if (g_strv_contains (paths, warren_session_get_path (session)))
      continue;
    g_signal_handlers_disconnect_by_data (session, self);
    g_ptr_array_remove_index (self->sessions, i - 1);
  }
}

static void
set_active (WarrenClient *self, WarrenSession *session)
{
  if (!g_set_object (&self->active, session))
    return;
  if (self->feed != NULL) {
    warren_device_feed_set_session (self->feed, session);
    if (session == NULL)
      warren_device_list_clear (self->devices);
  }
}

/* Brings the objects to what the manager's two properties say; shows nothing half-read. */
static void
sync_sessions (WarrenClient *self)
{
  const char *const *paths = warren_bus_manager_get_sessions (self->manager);
  const char *active = warren_bus_manager_get_active_session (self->manager);
  const char *const none[] = {NULL};

  paths = paths != NULL ? paths : none;
  forget_sessions_except (self, paths);
  for (gsize i = 0; paths[i] != NULL; i++)
    load_session (self, paths[i]);
  if (active != NULL && g_hash_table_contains (self->loading, active))
    return;
  self->present = TRUE;
  self->stale = FALSE;
  g_clear_handle_id (&self->grace_id, g_source_remove);
  set_active (self, active != NULL ? find_session (self, active) : NULL);
  update (self);
}

/* --- manager ---------------------------------------------------------------------------------- */

static void
on_permissions (GObject *source, GAsyncResult *result, gpointer user_data)
{
  WarrenClient *self = user_data;
  g_autoptr (GVariant) map = NULL;
  g_autoptr (GError) error = NULL;
  GVariantIter iter;
  const char *action;
  const char *answer;

  if (!warren_bus_manager_call_get_permissions_finish (WARREN_BUS_MANAGER (source), &map, result,
                                                       &error)) {
    if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      g_info ("permissions not known: %s", error->message);
    return;
  }
  g_hash_table_remove_all (self->permissions);
  g_variant_iter_init (&iter, map);
  while (g_variant_iter_next (&iter, "{&s&s}", &action, &answer))
    g_hash_table_insert (self->permissions, g_strdup (action), g_strdup (answer));
  if (self->present)
    update (self);
}

static void
ask_permissions (WarrenClient *self)
{
  warren_bus_manager_call_get_permissions (self->manager, G_DBUS_CALL_FLAGS_NONE, -1,
                                           self->owner_cancellable, on_permissions, self);
}

/* A proxy whose owner is gone forgets its values and says so: that is no news about sessions. */
static void
on_manager_properties (WarrenClient *self)
{
  g_autofree char *owner = g_dbus_proxy_get_name_owner (G_DBUS_PROXY (self->manager));

  if (owner != NULL)
    sync_sessions (self);
}

static void
on_manager_ready (GObject *source, GAsyncResult *result, gpointer user_data)
{
  WarrenClient *self = user_data;
  g_autoptr (GError) error = NULL;
  WarrenBusManager *manager = warren_bus_manager_proxy_new_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the client may be gone */
  if (manager == NULL) {
    g_info ("the daemon does not answer: %s", error->message);
    return;
  }
  self->manager = manager;
  warren_network_set_manager (self->network, manager);
  g_ptr_array_set_size (self->sessions, 0);
  /* After: the generated proxy drops its copies of arrays in the handler of its own. */
  g_signal_connect_object (manager, "g-properties-changed", G_CALLBACK (on_manager_properties),
                           self, G_CONNECT_SWAPPED | G_CONNECT_AFTER);
  g_signal_connect_object (manager, "permissions-changed", G_CALLBACK (ask_permissions), self,
                           G_CONNECT_SWAPPED);
  ask_permissions (self);
  sync_sessions (self);
}

/* --- coming and going ------------------------------------------------------------------------- */

static void
forget_daemon (WarrenClient *self)
{
  g_clear_handle_id (&self->grace_id, g_source_remove);
  self->present = FALSE;
  self->stale = FALSE;
  set_active (self, NULL);
  g_ptr_array_set_size (self->sessions, 0);
  warren_network_set_manager (self->network, NULL);
  g_clear_object (&self->manager);
  g_hash_table_remove_all (self->permissions);
}

static gboolean
on_grace_over (gpointer data)
{
  WarrenClient *self = data;

  self->grace_id = 0;
  forget_daemon (self);
  update (self);
  return G_SOURCE_REMOVE;
}

static void
end_owner (WarrenClient *self)
{
  g_cancellable_cancel (self->owner_cancellable);
  g_clear_object (&self->owner_cancellable);
  g_clear_pointer (&self->owner, g_free);
  g_hash_table_remove_all (self->loading);
}

static void
on_name_vanished (GDBusConnection *connection, const char *name, gpointer user_data)
{
  WarrenClient *self = user_data;
  gboolean was_there = self->present;

  end_owner (self);
  if (!was_there) {
    forget_daemon (self);
    update (self);
    return;
  }
  if (self->stale)
    return;
  self->stale = TRUE;
  if (self->feed != NULL)
    warren_device_feed_set_session (self->feed, NULL);
  self->grace_id = g_timeout_add (GRACE_MS, on_grace_over, self);
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

/* Everything is bound to the unique name, so that nothing of an earlier owner is mistaken for the
 * present one, and no proxy follows the name by itself. */
static void
on_name_appeared (GDBusConnection *connection, const char *name, const char *owner,
                  gpointer user_data)
{
  WarrenClient *self = user_data;

  end_owner (self);
  self->owner = g_strdup (owner);
  self->owner_cancellable = g_cancellable_new ();
  if (self->manager != NULL)
    g_signal_handlers_disconnect_by_data (self->manager, self);
  g_clear_object (&self->manager);
  warren_bus_manager_proxy_new (self->connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START, owner,
                                WARREN_DAEMON_PATH "/Manager", self->owner_cancellable,
                                on_manager_ready, self);
}

static void
on_bus_closed (GDBusConnection *connection, gboolean remote, GError *error, gpointer user_data)
{
  WarrenClient *self = user_data;

  g_clear_handle_id (&self->watch_id, g_bus_unwatch_name);
  g_clear_object (&self->connection);
  end_owner (self);
  forget_daemon (self);
  update (self);
}

static void
on_bus (GObject *source, GAsyncResult *result, gpointer user_data)
{
  WarrenClient *self = user_data;
  g_autoptr (GError) error = NULL;
  GDBusConnection *connection = warren_bus_connect_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the client may be gone */
  if (connection == NULL) {
    g_info ("no bus: %s", error->message);
    update (self);
    return;
  }
  self->connection = connection;
  g_signal_connect_object (connection, "closed", G_CALLBACK (on_bus_closed), self, 0);
  self->watch_id = g_bus_watch_name_on_connection (connection, WARREN_DAEMON_NAME,
                                                   G_BUS_NAME_WATCHER_FLAGS_NONE, on_name_appeared,
                                                   on_name_vanished, self, NULL);
}

/* --- object ----------------------------------------------------------------------------------- */

static void
warren_client_dispose (GObject *object)
{
  WarrenClient *self = WARREN_CLIENT (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_handle_id (&self->watch_id, g_bus_unwatch_name);
  g_clear_handle_id (&self->short_change_id, g_source_remove);
  g_clear_handle_id (&self->expiry_id, g_source_remove);
  if (self->loading != NULL)
    end_owner (self);
  if (self->sessions != NULL)
    forget_daemon (self);
  g_clear_pointer (&self->feed, warren_device_feed_free);
  g_clear_pointer (&self->sessions, g_ptr_array_unref);
  g_clear_pointer (&self->loading, g_hash_table_unref);
  g_clear_object (&self->connection);
  G_OBJECT_CLASS (warren_client_parent_class)->dispose (object);
}

static void
warren_client_finalize (GObject *object)
{
  WarrenClient *self = WARREN_CLIENT (object);

  g_clear_object (&self->cancellable);
  g_clear_object (&self->devices);
  g_clear_object (&self->network);
  g_clear_pointer (&self->permissions, g_hash_table_unref);
  g_clear_pointer (&self->shown, warren_ui_state_free);
  g_clear_pointer (&self->address, g_free);
  G_OBJECT_CLASS (warren_client_parent_class)->finalize (object);
}

static void
warren_client_get_property (GObject *object, guint prop_id, GValue *value, GParamSpec *pspec)
{
  WarrenClient *self = WARREN_CLIENT (object);

  if (prop_id == PROP_UI_STATE)
    g_value_set_boxed (value, self->shown);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
}

static void
warren_client_class_init (WarrenClientClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = warren_client_dispose;
  object_class->finalize = warren_client_finalize;
  object_class->get_property = warren_client_get_property;
  props[PROP_UI_STATE] = g_param_spec_boxed ("ui-state", NULL, NULL, WARREN_TYPE_UI_STATE,
                                             G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", WARREN_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 0);
}

static void
warren_client_init (WarrenClient *self)
{
  self->cancellable = g_cancellable_new ();
  self->sessions = g_ptr_array_new_with_free_func (g_object_unref);
  self->loading = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->permissions = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->devices = warren_device_list_new ();
  self->network = warren_network_new ();
  warren_error_quark (); /* registers the names of the errors */
}

void
warren_client_reconnect (WarrenClient *self)
{
  if (self->connection == NULL)
    warren_bus_connect_async (self->address, self->cancellable, on_bus, self);
}

WarrenClient *
warren_client_new (const char *bus_address, WarrenClientFlags flags)
{
  WarrenClient *self = g_object_new (WARREN_TYPE_CLIENT, NULL);

  self->address = g_strdup (warren_bus_address (bus_address));
  self->flags = flags;
  if (flags & WARREN_CLIENT_WITH_DEVICES)
    self->feed = warren_device_feed_new (self->devices);
  warren_client_reconnect (self);
  return self;
}

gboolean
warren_client_is_ready (WarrenClient *self)
{
  return self->shown != NULL;
}

gboolean
warren_client_is_stale (WarrenClient *self)
{
  return self->stale;
}

const WarrenUiState *
warren_client_get_ui_state (WarrenClient *self)
{
  return self->shown;
}

GDBusConnection *
warren_client_get_connection (WarrenClient *self)
{
  return self->connection;
}

WarrenBusManager *
warren_client_get_manager (WarrenClient *self)
{
  return self->manager;
}

WarrenSession *
warren_client_get_session (WarrenClient *self)
{
  return self->active;
}

GPtrArray *
warren_client_get_sessions (WarrenClient *self)
{
  return self->sessions;
}

WarrenDeviceList *
warren_client_get_devices (WarrenClient *self)
{
  return self->devices;
}

WarrenNetwork *
warren_client_get_network (WarrenClient *self)
{
  return self->network;
}

const char *
warren_client_get_permission (WarrenClient *self, const char *action)
{
  const char *answer = g_hash_table_lookup (self->permissions, action);

  return answer != NULL ? answer : "auth";
}
