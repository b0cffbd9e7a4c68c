/* The methods of .Diagnostics. Inside of api only. Main thread. */
#pragma once

#include "api/call.h"

void diagnostics_calls_connect (SessionObject *object);
