#include "client/bus.h"

const char *
warren_bus_address (const char *option)
{
  const char *address = option != NULL ? option : g_getenv ("WARREN_BUS");

  return address != NULL && *address != '\0' ? address : NULL;
}

static void
return_connection (GTask *task, GDBusConnection *connection, GError *error)
{
  if (connection == NULL) {
    g_task_return_error (task, error);
  } else {
    g_dbus_connection_set_exit_on_close (connection, FALSE);
    g_task_return_pointer (task, connection, g_object_unref);
  }
  g_object_unref (task);
}

static void
on_system_bus (GObject *source, GAsyncResult *result, gpointer task)
{
  GError *error = NULL;
  GDBusConnection *connection = g_bus_get_finish (result, &error);

  return_connection (task, connection, error);
}

static void
on_address (GObject *source, GAsyncResult *result, gpointer task)
{
  GError *error = NULL;
  GDBusConnection *connection = g_dbus_connection_new_for_address_finish (result, &error);

  return_connection (task, connection, error);
}

void
warren_bus_connect_async (const char *address, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);

  if (address == NULL)
    g_bus_get (G_BUS_TYPE_SYSTEM, cancellable, on_system_bus, task);
  else
    g_dbus_connection_new_for_address (address,
                                       G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
                                           | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                       NULL, cancellable, on_address, task);
}

GDBusConnection *
warren_bus_connect_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
