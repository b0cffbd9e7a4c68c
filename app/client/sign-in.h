/* Signing in with a browser: asks the daemon, waits for the page, opens it.
 * spec/desktop.md §7.1, §4.3. Used by tray and window after a click of the user, never by itself.
 * Main thread. */
#pragma once

#include "client/session.h"

/* Login, then the page in the browser. CONTEXT may be NULL. If there is no browser the result is an
 * error, and the page waits all the same: show link and QR code. */
void
warren_sign_in_async (WarrenSession *session, GAppLaunchContext *context, GCancellable *cancellable,
                      GAsyncReadyCallback callback, gpointer user_data);
/* Only opens the page that already waits. */
void warren_open_login_page_async (WarrenSession *session, GAppLaunchContext *context,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data);
gboolean warren_sign_in_finish (GAsyncResult *result, GError **error);

/* A launch context that hands TOKEN (may be NULL) to what is started. */
GAppLaunchContext *warren_launch_context_new (const char *token);

/* Whether a page of SERVER_URL may be opened: https, or http if the server's own address is. */
gboolean warren_url_is_openable (const char *url, const char *server_url);
