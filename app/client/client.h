/* The daemon as one object: is it there, which session is active, what does a person see, which
 * devices are there. spec/desktop.md §8.11 for coming and going of the daemon, §5.2 rule (a) for
 * short changes.
 *
 * Emits "changed" when anything but the devices changed, and notifies "ui-state". Watches the bus
 * name and never polls; a daemon that restarts is the same to its views for three seconds
 * ("stale"). All calls are asynchronous. Main thread. */
#pragma once

#include "client/device-list.h"
#include "client/network.h"
#include "client/session.h"
#include "client/ui-state.h"

#define WARREN_DAEMON_NAME "org.warrenvpn.Daemon1"
#define WARREN_DAEMON_PATH "/org/warrenvpn/Daemon1"

typedef enum
{
  WARREN_CLIENT_DEFAULT = 0,
  WARREN_CLIENT_WITH_DEVICES = 1, /* subscribe to the devices of the active session */
} WarrenClientFlags;

#define WARREN_TYPE_CLIENT (warren_client_get_type ())
G_DECLARE_FINAL_TYPE (WarrenClient, warren_client, WARREN, CLIENT, GObject)

/* BUS_ADDRESS as in --bus; NULL: $WARREN_BUS, else the system bus. Begins to watch at once. */
WarrenClient *warren_client_new (const char *bus_address, WarrenClientFlags flags);

/* False until the first state is known: nothing is shown before. */
gboolean warren_client_is_ready (WarrenClient *client);

/* The daemon went away a moment ago: keep what is shown, the session's properties are empty. */
gboolean warren_client_is_stale (WarrenClient *client);

/* Borrowed; valid until the next "changed". */
const WarrenUiState *warren_client_get_ui_state (WarrenClient *client);
GDBusConnection *warren_client_get_connection (WarrenClient *client); /* NULL while unreachable */
WarrenBusManager *warren_client_get_manager (WarrenClient *client);   /* NULL without a daemon */
WarrenSession *warren_client_get_session (WarrenClient *client);      /* the active one, or NULL */
GPtrArray *warren_client_get_sessions (WarrenClient *client);         /* of WarrenSession */
WarrenDeviceList *warren_client_get_devices (WarrenClient *client);
WarrenNetwork *warren_client_get_network (WarrenClient *client); /* never NULL */

/* "yes", "auth" (asks for a password) or "no" for an action suffix such as "connect". */
const char *warren_client_get_permission (WarrenClient *client, const char *action);

/* Tries the bus again, if it could not be reached. */
void warren_client_reconnect (WarrenClient *client);

/* Starts the daemon through the bus. */
void warren_client_start_service_async (WarrenClient *client, GCancellable *cancellable,
                                        GAsyncReadyCallback callback, gpointer user_data);
/* Restarts the daemon by its systemd unit, after an update; fails where there is no systemd. */
void warren_client_restart_service_async (WarrenClient *client, GCancellable *cancellable,
                                          GAsyncReadyCallback callback, gpointer user_data);
/* A new profile that becomes active; the result is its object path. OPTIONS as CreateSession. */
void warren_client_create_session_async (WarrenClient *client, const char *server_url,
                                         GVariant *options, GCancellable *cancellable,
                                         GAsyncReadyCallback callback, gpointer user_data);
char *
warren_client_create_session_finish (WarrenClient *client, GAsyncResult *result, GError **error);
void warren_client_activate_session_async (WarrenClient *client, const char *path,
                                           GCancellable *cancellable, GAsyncReadyCallback callback,
                                           gpointer user_data);
gboolean warren_client_call_finish (WarrenClient *client, GAsyncResult *result, GError **error);
