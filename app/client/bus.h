/* The message bus on which the daemon lives. Not the session bus of the desktop. */
#pragma once

#include <gio/gio.h>

/* OPTION, else $WARREN_BUS, else NULL for the system bus. Borrowed. */
const char *warren_bus_address (const char *option);

/* Connects to ADDRESS (NULL: the system bus). The connection never ends the process. */
void warren_bus_connect_async (const char *address, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data);
GDBusConnection *warren_bus_connect_finish (GAsyncResult *result, GError **error);
