/* What a click means, as far as it is one call of the daemon: the same for tray and window.
 *
 * Not the way to a browser (sign-in.h), and no view: failures come back as one sentence. Main
 * thread. */
#pragma once

#include "client/client.h"

/* VIEW's user asked for something that failed with TEXT, a translated sentence. */
typedef void (*WarrenReport) (gpointer view, const char *text);

/* Pass both to any call of client.h or session.h that gives nothing but success or an error:
 * VIEW is kept alive until the answer is there, REPORT is called unless nobody needs to hear of the
 * failure (the password dialog was closed, the call was cancelled). */
void warren_report_failure (GObject *source, GAsyncResult *result, gpointer reporter);
gpointer warren_reporter_new (gpointer view, WarrenReport report);

/* Does ACTION if it is a call; FALSE if the view must do it in its own way. */
gboolean warren_client_do_action (WarrenClient *client, WarrenUiAction action,
                                  GCancellable *cancellable, gpointer view, WarrenReport report);

/* The exit node's preference "allow the local network" becomes ALLOWED. */
void warren_session_allow_lan (WarrenSession *session, gboolean allowed, GCancellable *cancellable,
                               gpointer view, WarrenReport report);

/* The page that ACTION opens in a browser, if it may be opened: borrowed, or NULL. */
const char *warren_client_get_action_url (WarrenClient *client, WarrenUiAction action);
