#include "client/network.h"

#include "client/error.h"

#include <gio/gunixfdlist.h>

struct _WarrenNetwork
{
  GObject parent;

  WarrenBusManager *manager; /* NULL: no daemon */
  WarrenBusNetwork *bus;     /* NULL: no network here */
  GCancellable *loading;     /* of the proxy under way */
};

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenNetwork, warren_network, G_TYPE_OBJECT)

static void
changed (WarrenNetwork *self)
{
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0);
}

static void
stop_loading (WarrenNetwork *self)
{
  g_cancellable_cancel (self->loading);
  g_clear_object (&self->loading);
}

static void
forget (WarrenNetwork *self)
{
  stop_loading (self);
  if (self->bus == NULL)
    return;
  g_signal_handlers_disconnect_by_data (self->bus, self);
  g_clear_object (&self->bus);
}

/* A proxy whose owner is gone forgets its values and says so: that is no news about the network. */
static gboolean
is_owned (void *proxy)
{
  g_autofree char *owner = g_dbus_proxy_get_name_owner (G_DBUS_PROXY (proxy));

  return owner != NULL;
}

static void
on_properties (WarrenNetwork *self)
{
  if (is_owned (self->bus))
    changed (self);
}

static void
on_bus_ready (GObject *source, GAsyncResult *result, gpointer user_data)
{
  WarrenNetwork *self = user_data;
  g_autoptr (GError) error = NULL;
  WarrenBusNetwork *bus = warren_bus_network_proxy_new_finish (result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the network may be gone, and this object with it */
  g_clear_object (&self->loading);
  if (bus == NULL) {
    g_info ("the private network is not read: %s", error->message);
    return;
  }
  self->bus = bus;
  /* After: the generated proxy drops its copies of arrays in the handler of its own. */
  g_signal_connect_object (bus, "g-properties-changed", G_CALLBACK (on_properties), self,
                           G_CONNECT_SWAPPED | G_CONNECT_AFTER);
  changed (self);
}

/* Brings the proxy to what the manager's property says. */
static void
follow_manager (WarrenNetwork *self)
{
  const char *path = warren_bus_manager_get_network (self->manager);

  if (!is_owned (self->manager))
    return;
  if (path == NULL || g_str_equal (path, "/")) {
    forget (self);
    changed (self);
    return;
  }
  if (self->bus != NULL || self->loading != NULL)
    return;
  self->loading = g_cancellable_new ();
  warren_bus_network_proxy_new (g_dbus_proxy_get_connection (G_DBUS_PROXY (self->manager)),
                                G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                g_dbus_proxy_get_name (G_DBUS_PROXY (self->manager)), path,
                                self->loading, on_bus_ready, self);
}

void
warren_network_set_manager (WarrenNetwork *self, WarrenBusManager *manager)
{
  if (self->manager == manager)
    return;
  if (self->manager != NULL)
    g_signal_handlers_disconnect_by_data (self->manager, self);
  forget (self);
  g_set_object (&self->manager, manager);
  if (manager == NULL) {
    changed (self);
    return;
  }
  g_signal_connect_object (manager, "notify::network", G_CALLBACK (follow_manager), self,
                           G_CONNECT_SWAPPED);
  follow_manager (self);
}

static void
warren_network_dispose (GObject *object)
{
  WarrenNetwork *self = WARREN_NETWORK (object);

  if (self->manager != NULL)
    g_signal_handlers_disconnect_by_data (self->manager, self);
  g_clear_object (&self->manager);
  forget (self);
  G_OBJECT_CLASS (warren_network_parent_class)->dispose (object);
}

static void
warren_network_class_init (WarrenNetworkClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = warren_network_dispose;
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", WARREN_TYPE_NETWORK, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
warren_network_init (WarrenNetwork *self)
{
}

WarrenNetwork *
warren_network_new (void)
{
  return g_object_new (WARREN_TYPE_NETWORK, NULL);
}

/* --- what it is ------------------------------------------------------------------------------- */

gboolean
warren_network_is_supported (WarrenNetwork *self)
{
  const char *const *features
      = self->manager != NULL ? warren_bus_manager_get_features (self->manager) : NULL;

  return features != NULL && g_strv_contains (features, "network");
}

gboolean
warren_network_exists (WarrenNetwork *self)
{
  return self->bus != NULL;
}

gboolean
warren_network_is_running (WarrenNetwork *self)
{
  return self->bus != NULL && warren_bus_network_get_running (self->bus);
}

static const char *
string_of (WarrenNetwork *self, const char *(*get) (WarrenBusNetwork *))
{
  const char *text = self->bus != NULL ? get (self->bus) : NULL;

  return text != NULL ? text : "";
}

const char *
warren_network_get_name (WarrenNetwork *self)
{
  return string_of (self, warren_bus_network_get_name);
}

const char *
warren_network_get_domain (WarrenNetwork *self)
{
  return string_of (self, warren_bus_network_get_domain);
}

const char *
warren_network_get_url (WarrenNetwork *self)
{
  return string_of (self, warren_bus_network_get_url);
}

const char *
warren_network_get_prefix4 (WarrenNetwork *self)
{
  return string_of (self, warren_bus_network_get_prefix4);
}

const char *
warren_network_get_prefix6 (WarrenNetwork *self)
{
  return string_of (self, warren_bus_network_get_prefix6);
}

guint
warren_network_get_pending (WarrenNetwork *self)
{
  return self->bus != NULL ? warren_bus_network_get_pending (self->bus) : 0;
}

guint
warren_network_get_devices (WarrenNetwork *self)
{
  return self->bus != NULL ? warren_bus_network_get_devices (self->bus) : 0;
}

guint
warren_network_get_online (WarrenNetwork *self)
{
  return self->bus != NULL ? warren_bus_network_get_online (self->bus) : 0;
}

guint64
warren_network_get_revision (WarrenNetwork *self)
{
  return self->bus != NULL ? warren_bus_network_get_revision (self->bus) : 0;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* One call of METHOD on the manager or the network; the task's result is its reply. A password
 * dialog may stay open for minutes: no time limit, and the flag that allows the dialog. */
static void
on_reply (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  GVariant *reply = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (reply != NULL)
    g_task_return_pointer (task, reply, (GDestroyNotify)g_variant_unref);
  else
    g_task_return_error (task, error);
}

static void
call_on (WarrenNetwork *self, GDBusProxy *proxy, const char *method, GVariant *args,
         GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  g_autoptr (GVariant) held = args != NULL ? g_variant_ref_sink (args) : NULL;

  if (proxy != NULL) {
    g_dbus_proxy_call (proxy, method, held, G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION,
                       G_MAXINT, cancellable, on_reply, task);
    return;
  }
  if (self->manager == NULL)
    g_task_return_new_error (task, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN,
                             "the daemon is not running");
  else
    g_task_return_new_error (task, WARREN_ERROR, WARREN_ERROR_NOT_FOUND,
                             "this computer runs no private network");
  g_object_unref (task);
}

static void
call (WarrenNetwork *self, const char *method, GVariant *args, GCancellable *cancellable,
      GAsyncReadyCallback callback, gpointer user_data)
{
  GDBusProxy *proxy = self->bus != NULL ? G_DBUS_PROXY (self->bus) : NULL;

  call_on (self, proxy, method, args, cancellable, callback, user_data);
}

gboolean
warren_network_call_finish (WarrenNetwork *self, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = g_task_propagate_pointer (G_TASK (result), error);

  return reply != NULL;
}

void
warren_network_create_async (WarrenNetwork *self, GVariant *options, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  GDBusProxy *proxy = self->manager != NULL ? G_DBUS_PROXY (self->manager) : NULL;

  call_on (self, proxy, "CreateNetwork", g_variant_new ("(@a{sv})", options), cancellable, callback,
           user_data);
}

void
warren_network_start_async (WarrenNetwork *self, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data)
{
  call (self, "Start", NULL, cancellable, callback, user_data);
}

void
warren_network_stop_async (WarrenNetwork *self, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data)
{
  call (self, "Stop", NULL, cancellable, callback, user_data);
}

void
warren_network_delete_async (WarrenNetwork *self, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  call (self, "Delete", NULL, cancellable, callback, user_data);
}

void
warren_network_approve_async (WarrenNetwork *self, const char *node, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data)
{
  call (self, "Approve", g_variant_new ("(s)", node), cancellable, callback, user_data);
}

void
warren_network_remove_async (WarrenNetwork *self, const char *node, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  call (self, "Remove", g_variant_new ("(s)", node), cancellable, callback, user_data);
}

void
warren_network_rename_async (WarrenNetwork *self, const char *node, const char *name,
                             GCancellable *cancellable, GAsyncReadyCallback callback,
                             gpointer user_data)
{
  call (self, "Rename", g_variant_new ("(ss)", node, name), cancellable, callback, user_data);
}

void
warren_network_create_key_async (WarrenNetwork *self, GVariant *options, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data)
{
  call (self, "CreateKey", g_variant_new ("(@a{sv})", options), cancellable, callback, user_data);
}

char *
warren_network_create_key_finish (WarrenNetwork *self, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = g_task_propagate_pointer (G_TASK (result), error);
  char *key = NULL;

  if (reply != NULL)
    g_variant_get (reply, "(s)", &key);
  return key;
}

void
warren_network_list_nodes_async (WarrenNetwork *self, gboolean may_ask, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data)
{
  if (may_ask || self->bus == NULL)
    call (self, "ListNodes", NULL, cancellable, callback, user_data);
  else
    g_dbus_proxy_call (G_DBUS_PROXY (self->bus), "ListNodes", NULL, G_DBUS_CALL_FLAGS_NONE, -1,
                       cancellable, on_reply, g_task_new (self, cancellable, callback, user_data));
}

GVariant *
warren_network_list_nodes_finish (WarrenNetwork *self, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = g_task_propagate_pointer (G_TASK (result), error);

  return reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;
}

void
warren_network_run_async (WarrenNetwork *self, const char *const *words, const char *input,
                          GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data)
{
  call (self, "RunCommand", g_variant_new ("(^ass)", words, input != NULL ? input : ""),
        cancellable, callback, user_data);
}

char *
warren_network_run_finish (WarrenNetwork *self, GAsyncResult *result, int *code, GError **error)
{
  g_autoptr (GVariant) reply = g_task_propagate_pointer (G_TASK (result), error);
  char *output = NULL;

  if (reply != NULL)
    g_variant_get (reply, "(is)", code, &output);
  return output;
}

static void
on_backup (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GVariant) handle = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  GError *error = NULL;
  int fd = -1;

  if (warren_bus_network_call_backup_finish (WARREN_BUS_NETWORK (source), &handle, &fds, result,
                                             &error))
    fd = g_unix_fd_list_get (fds, g_variant_get_handle (handle), &error);
  if (fd >= 0)
    g_task_return_int (task, fd);
  else
    g_task_return_error (task, error);
}

void
warren_network_backup_async (WarrenNetwork *self, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  if (self->bus == NULL) {
    call (self, "Backup", NULL, cancellable, callback, user_data);
    return;
  }
  warren_bus_network_call_backup (self->bus, G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION,
                                  G_MAXINT, NULL, cancellable, on_backup,
                                  g_task_new (self, cancellable, callback, user_data));
}

int
warren_network_backup_finish (WarrenNetwork *self, GAsyncResult *result, GError **error)
{
  return (int)g_task_propagate_int (G_TASK (result), error);
}
