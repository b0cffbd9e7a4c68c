/* The private network that this computer runs, if it does: what it is, and everything a person may
 * do with it. spec/desktop.md §8.5, interface .Network.
 *
 * One object for the life of a WarrenClient; "changed" is emitted when the network comes, goes or
 * changes. Not the session by which this computer is a member of a network (session.h). All calls
 * are asynchronous and may ask for a password, so they have no time limit. Main thread. */
#pragma once

#include "warren-daemon-bus.h"

#define WARREN_TYPE_NETWORK (warren_network_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetwork, warren_network, WARREN, NETWORK, GObject)

/* Made by WarrenClient, which tells it about the daemon's manager (NULL: it is away). */
WarrenNetwork *warren_network_new (void);
void warren_network_set_manager (WarrenNetwork *network, WarrenBusManager *manager);

/* The program that runs networks is installed here. */
gboolean warren_network_is_supported (WarrenNetwork *network);

/* There is a network; without one the strings are empty and the numbers 0. Strings and lists are
 * borrowed until the next "changed". */
gboolean warren_network_exists (WarrenNetwork *network);
gboolean warren_network_is_running (WarrenNetwork *network);
const char *warren_network_get_name (WarrenNetwork *network);
const char *warren_network_get_domain (WarrenNetwork *network);
const char *warren_network_get_url (WarrenNetwork *network);
const char *warren_network_get_prefix4 (WarrenNetwork *network);
const char *warren_network_get_prefix6 (WarrenNetwork *network);
guint warren_network_get_pending (WarrenNetwork *network); /* devices that wait for approval */
guint warren_network_get_devices (WarrenNetwork *network);
guint warren_network_get_online (WarrenNetwork *network);
/* Rises with every change that a list of devices, users, keys or settings would show. */
guint64 warren_network_get_revision (WarrenNetwork *network);

/* OPTIONS is the a{sv} of CreateNetwork (a floating reference is sunk). Done when devices can join;
 * this computer has not joined yet. */
void
warren_network_create_async (WarrenNetwork *network, GVariant *options, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data);
void warren_network_start_async (WarrenNetwork *network, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data);
void warren_network_stop_async (WarrenNetwork *network, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data);
/* Ends the network for all of its devices. */
void warren_network_delete_async (WarrenNetwork *network, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
/* NODE is an id of a row, a name or an address. */
void
warren_network_approve_async (WarrenNetwork *network, const char *node, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
void
warren_network_remove_async (WarrenNetwork *network, const char *node, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data);
void warren_network_rename_async (WarrenNetwork *network, const char *node, const char *name,
                                  GCancellable *cancellable, GAsyncReadyCallback callback,
                                  gpointer user_data);
/* Of all calls above: FALSE with ERROR when it failed. */
gboolean warren_network_call_finish (WarrenNetwork *network, GAsyncResult *result, GError **error);

/* OPTIONS is the a{sv} of CreateKey; the result is the key, shown this once (invite.h). */
void warren_network_create_key_async (WarrenNetwork *network, GVariant *options,
                                      GCancellable *cancellable, GAsyncReadyCallback callback,
                                      gpointer user_data);
char *
warren_network_create_key_finish (WarrenNetwork *network, GAsyncResult *result, GError **error);

/* The devices as a(sssbx): id, name, owner, approved, last seen (0: online). Without MAY_ASK no
 * password dialog comes up: who would be asked is refused. */
void warren_network_list_nodes_async (WarrenNetwork *network, gboolean may_ask,
                                      GCancellable *cancellable, GAsyncReadyCallback callback,
                                      gpointer user_data);
GVariant *
warren_network_list_nodes_finish (WarrenNetwork *network, GAsyncResult *result, GError **error);

/* Any command of warren-coordinator(1), such as {"nodes", "list", "--json", NULL}; INPUT is the
 * text it reads (a policy), or NULL. The result is its output with *CODE 0, or its reason with 1 or
 * 2; NULL with ERROR only when the command could not be asked for. */
void warren_network_run_async (WarrenNetwork *network, const char *const *words, const char *input,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data);
char *
warren_network_run_finish (WarrenNetwork *network, GAsyncResult *result, int *code, GError **error);

/* A copy of everything that the network is: a descriptor to read to its end, or -1 with ERROR. */
void warren_network_backup_async (WarrenNetwork *network, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
int warren_network_backup_finish (WarrenNetwork *network, GAsyncResult *result, GError **error);
