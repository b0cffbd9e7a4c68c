/* One session on the bus: its object, its properties, the methods of .Session. Inside of api only.
 * Main thread. */
#pragma once

#include "api/call.h"

SessionObject *session_object_new (BusService *service, Session *session);
void session_object_free (SessionObject *object);

/* Brings the properties up to date; CHANGES are SessionChange bits. */
void session_object_update (SessionObject *object, unsigned changes);
