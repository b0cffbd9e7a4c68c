/* The private network of this computer as lists that follow it: devices, those that wait, keys,
 * users, name service, policy. Reads through the commands of WarrenNetwork (network.h) and only
 * what a view wants; one command at a time, so that no two password dialogs open at once.
 *
 * Emits "changed" with the WarrenNetworkLists that were read anew. Main thread. */
#pragma once

#include "client/network-records.h"
#include "client/network.h"

typedef enum
{
  WARREN_NETWORK_NODES = 1 << 0, /* and those that wait */
  WARREN_NETWORK_KEYS = 1 << 1,
  WARREN_NETWORK_USERS = 1 << 2,
  WARREN_NETWORK_DNS = 1 << 3,
  WARREN_NETWORK_POLICY = 1 << 4,
} WarrenNetworkLists;

#define WARREN_TYPE_NETWORK_DATA (warren_network_data_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkData, warren_network_data, WARREN, NETWORK_DATA, GObject)

WarrenNetworkData *warren_network_data_new (WarrenNetwork *network);
WarrenNetwork *warren_network_data_get_network (WarrenNetworkData *data);

/* A view appears that shows LISTS, or goes: these are read now and again after every change. */
void warren_network_data_want (WarrenNetworkData *data, WarrenNetworkLists lists);
void warren_network_data_drop (WarrenNetworkData *data, WarrenNetworkLists lists);

/* Why the lists could not be read, or NULL. */
const char *warren_network_data_get_error (WarrenNetworkData *data);
/* Reads again what is wanted, after an error. */
void warren_network_data_retry (WarrenNetworkData *data);

/* Borrowed, of WarrenNetworkNode, …Key, …User. */
GListModel *warren_network_data_get_nodes (WarrenNetworkData *data);
GListModel *warren_network_data_get_waiting (WarrenNetworkData *data);
GListModel *warren_network_data_get_keys (WarrenNetworkData *data);
GListModel *warren_network_data_get_users (WarrenNetworkData *data);
const WarrenDnsFacts *warren_network_data_get_dns (WarrenNetworkData *data); /* NULL: not read */
const char *warren_network_data_get_policy (WarrenNetworkData *data);        /* NULL: not read */

/* The answer to a command: its output, or with OK false the reason as a sentence, "" if nobody
 * needs to hear it. */
typedef void (*WarrenNetworkAnswer) (gpointer view, gboolean ok, const char *text);

/* Runs the command WORDS (NULL-terminated) with INPUT (or NULL) after those before it; VIEW is an
 * object that is kept alive until ANSWER was called. */
void warren_network_data_run (WarrenNetworkData *data, const char *const *words, const char *input,
                              gpointer view, WarrenNetworkAnswer answer);
