/* Joining the private network that this computer runs: a key for this one device, and a session
 * with it. spec/desktop.md §7.1. Used by the window; main thread. */
#pragma once

#include "client/client.h"

/* HOSTNAME may be NULL or empty: the computer's own. */
void warren_join_own_network_async (WarrenClient *client, const char *hostname,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
/* The path of the new session; free with g_free. */
char *warren_join_own_network_finish (WarrenClient *client, GAsyncResult *result, GError **error);
