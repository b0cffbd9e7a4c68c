/* One session (profile) of the daemon: typed reading of its properties and its calls.
 * spec/desktop.md §8.4, §8.5.
 *
 * Emits "changed" after its properties changed, once per message of the bus. All calls are
 * asynchronous and may ask for a password, so they have no time limit. Made by WarrenClient only.
 * Main thread. */
#pragma once

#include "client/problem.h"
#include "client/ui-state.h"

#include "warren-daemon-bus.h"

#define WARREN_TYPE_SESSION (warren_session_get_type ())
G_DECLARE_FINAL_TYPE (WarrenSession, warren_session, WARREN, SESSION, GObject)

/* OWNER is the unique bus name of the daemon; NULL with ERROR if the session is gone again. */
void warren_session_new_async (GDBusConnection *connection, const char *owner, const char *path,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data);
WarrenSession *warren_session_new_finish (GAsyncResult *result, GError **error);

const char *warren_session_get_path (WarrenSession *session);
WarrenBusSession *warren_session_get_bus (WarrenSession *session);
WarrenBusPeers *warren_session_get_peers (WarrenSession *session);

/* Strings are never NULL; borrowed until the next "changed". */
const char *warren_session_get_state (WarrenSession *session);
const char *warren_session_get_label (WarrenSession *session);
const char *warren_session_get_server_url (WarrenSession *session);
const char *warren_session_get_dns_suffix (WarrenSession *session);
gboolean warren_session_get_wanted (WarrenSession *session);
gboolean warren_session_get_login_pending (WarrenSession *session);

/* "alice@example.com", or the label before the first sign-in. */
const char *warren_session_get_account (WarrenSession *session);

/* The host of the server's address, with its port if that is unusual. Free with g_free. */
char *warren_session_dup_server_host (WarrenSession *session);

/* "login – tailnet (host)", as far as known and different. Free with g_free. */
char *warren_session_dup_long_label (WarrenSession *session);

/* What this device is called, its addresses (IPv4 first; may be NULL), and its id. */
char *warren_session_dup_self_string (WarrenSession *session, const char *key);
char **warren_session_dup_self_addresses (WarrenSession *session);
gint64 warren_session_get_key_expiry (WarrenSession *session);

/* The code of the present problem, "" if there is none; TEXT gets the server's own words. */
const char *warren_session_get_problem (WarrenSession *session, const char **text);

typedef struct
{
  gboolean set; /* an exit node is chosen */
  gboolean automatic;
  gboolean online;
  char *id;
  char *name;
  char *place;
} WarrenExitNode;

/* Free with warren_exit_node_clear. */
void warren_session_get_exit_node (WarrenSession *session, WarrenExitNode *out);
void warren_exit_node_clear (WarrenExitNode *node);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (WarrenExitNode, warren_exit_node_clear)

/* A preference of §8.8: a new reference, or NULL if the daemon does not know KEY. */
GVariant *
warren_session_lookup_preference (WarrenSession *session, const char *key, const char *type);
gboolean warren_session_get_preference_flag (WarrenSession *session, const char *key);
gboolean warren_session_is_locked (WarrenSession *session, const char *key);

/* Calls. "Finish" functions return FALSE or NULL with ERROR set. */
void warren_session_connect_async (WarrenSession *session, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data);
void warren_session_disconnect_async (WarrenSession *session, GCancellable *cancellable,
                                      GAsyncReadyCallback callback, gpointer user_data);
void warren_session_cancel_login_async (WarrenSession *session, GCancellable *cancellable,
                                        GAsyncReadyCallback callback, gpointer user_data);
void warren_session_logout_async (WarrenSession *session, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
/* AUTH_KEY may be NULL: the sign-in then waits for a browser. */
void warren_session_login_async (WarrenSession *session, const char *auth_key, gboolean force,
                                 GCancellable *cancellable, GAsyncReadyCallback callback,
                                 gpointer user_data);
/* CHANGES is an a{sv}; a floating reference is sunk. */
void warren_session_set_preferences_async (WarrenSession *session, GVariant *changes,
                                           GCancellable *cancellable, GAsyncReadyCallback callback,
                                           gpointer user_data);
/* NODE is a node id, "" for none or "auto:any". */
void warren_session_set_exit_node_async (WarrenSession *session, const char *node,
                                         GCancellable *cancellable, GAsyncReadyCallback callback,
                                         gpointer user_data);
gboolean warren_session_call_finish (WarrenSession *session, GAsyncResult *result, GError **error);

/* The page to open in a browser. Waits until the server has named it; fails if the sign-in ends
 * without one. */
void warren_session_get_login_url_async (WarrenSession *session, GCancellable *cancellable,
                                         GAsyncReadyCallback callback, gpointer user_data);
char *
warren_session_get_login_url_finish (WarrenSession *session, GAsyncResult *result, GError **error);

/* Fills those fields of FACTS that speak of the session; strings are borrowed from the session and
 * from STORE, which keeps what had to be made (an array with g_free). */
void warren_session_fill_facts (WarrenSession *session, WarrenFacts *facts, GPtrArray *store);
