/* The methods of .Manager. Inside of api only. Main thread. */
#pragma once

#include "api/call.h"

void manager_calls_connect (BusService *service);

/* Brings the manager's properties up to date. */
void manager_update (BusService *service);
