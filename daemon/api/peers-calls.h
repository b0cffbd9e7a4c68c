/* The methods of .Peers, and the watches that they start. Inside of api only. Main thread. */
#pragma once

#include "api/call.h"

void peers_calls_connect (SessionObject *object);

/* Ends every watch on peers of OBJECT. */
void peers_calls_forget (SessionObject *object);
