/* The methods of .Diagnostics. Inside of api only. Main thread. */
#pragma once

#include "api/call.h"

/* OBJECT is NULL for the manager's. */
void diagnostics_calls_connect (BusService *service, SessionObject *object,
                                WarrenBusDiagnostics *diagnostics);
