/* The calls of client.h that are not about one session (spec/desktop.md §8.3, §8.6). */
#include "client/client.h"

#define FLAGS   G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION
#define TIMEOUT G_MAXINT

gboolean
warren_client_call_finish (WarrenClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static gboolean
fail_without_manager (WarrenClient *self, GTask *task)
{
  if (warren_client_get_manager (self) != NULL)
    return FALSE;
  g_task_return_new_error (task, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN,
                           "the daemon is not running");
  return TRUE;
}

static void
on_service_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (reply == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

void
warren_client_start_service_async (WarrenClient *self, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  GDBusConnection *connection = warren_client_get_connection (self);

  if (connection == NULL) {
    warren_client_reconnect (self);
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CLOSED, "no message bus");
    return;
  }
  g_dbus_connection_call (connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "StartServiceByName",
                          g_variant_new ("(su)", WARREN_DAEMON_NAME, 0), G_VARIANT_TYPE ("(u)"),
                          G_DBUS_CALL_FLAGS_NONE, -1, cancellable, on_service_started,
                          g_object_ref (task));
}

void
warren_client_restart_service_async (WarrenClient *self, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  GDBusConnection *connection = warren_client_get_connection (self);

  if (connection == NULL) {
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CLOSED, "no message bus");
    return;
  }
  g_dbus_connection_call (connection, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                          "org.freedesktop.systemd1.Manager", "RestartUnit",
                          g_variant_new ("(ss)", "warrend.service", "replace"),
                          G_VARIANT_TYPE ("(o)"), FLAGS, TIMEOUT, cancellable, on_service_started,
                          g_object_ref (task));
}

static void
on_session_created (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  char *path = NULL;

  if (warren_bus_manager_call_create_session_finish (WARREN_BUS_MANAGER (source), &path, result,
                                                     &error))
    g_task_return_pointer (task, path, g_free);
  else
    g_task_return_error (task, error);
}

void
warren_client_create_session_async (WarrenClient *self, const char *server_url, GVariant *options,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_autoptr (GVariant) held = g_variant_ref_sink (options);

  if (!fail_without_manager (self, task))
    warren_bus_manager_call_create_session (warren_client_get_manager (self), server_url, held,
                                            FLAGS, TIMEOUT, cancellable, on_session_created,
                                            g_object_ref (task));
}

char *
warren_client_create_session_finish (WarrenClient *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
on_session_activated (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;

  if (warren_bus_manager_call_activate_session_finish (WARREN_BUS_MANAGER (source), result, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
warren_client_activate_session_async (WarrenClient *self, const char *path,
                                      GCancellable *cancellable, GAsyncReadyCallback callback,
                                      gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);

  if (!fail_without_manager (self, task))
    warren_bus_manager_call_activate_session (warren_client_get_manager (self), path, FLAGS,
                                              TIMEOUT, cancellable, on_session_activated,
                                              g_object_ref (task));
}
