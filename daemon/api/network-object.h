/* The private network that this computer runs, as an object on the bus (spec/desktop.md §8.5).
 *
 * A proxy of the coordinator: properties are what its status says, followed as it changes. Only
 * whether there is a network here, and whether it is to run, is kept (STATE_DIR/own-network), so
 * that it runs again after a restart. Inside of api only; main thread. */
#pragma once

#include "api/call.h"
#include "api/coordinator-link.h"

NetworkObject *network_object_new (BusService *service, const char *program, const char *state_dir);
void network_object_free (NetworkObject *network);

CoordinatorLink *network_object_link (NetworkObject *network);

/* The program is installed; the object's path, "/" when there is no network here. */
bool network_object_is_installed (NetworkObject *network);
const char *network_object_path (NetworkObject *network);

/* What a status document of the coordinator says. */
typedef struct
{
  bool exists;
  char *name, *url, *listen, *domain, *prefix4, *prefix6;
  uint32_t nodes, online, pending;
  uint64_t revision;
} NetworkStatus;

bool network_status_parse (const char *text, NetworkStatus *out);
void network_status_clear (NetworkStatus *status);

/* There is a network from now on, and it is to run: shows it, keeps that, and follows it. */
void network_object_follow (NetworkObject *network, const NetworkStatus *status);

/* It is not to run, and does not any more. */
void network_object_stopped (NetworkObject *network);

/* There is none any more. */
void network_object_forget (NetworkObject *network);

/* What it changed is announced now. */
void network_object_flush (NetworkObject *network);
