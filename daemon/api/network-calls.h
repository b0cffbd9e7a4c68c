/* The handlers of .Network, and of Manager.CreateNetwork (spec/desktop.md §8.3, §8.5).
 *
 * Inside of api only. Main thread. */
#pragma once

#include "api/call.h"

void network_calls_connect (BusService *service, WarrenBusNetwork *bus);
void network_call_create (Call *call);
