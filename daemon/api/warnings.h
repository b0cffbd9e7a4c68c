/* The warnings of a session as the bus and the Status document show them: those of this computer
 * (session/health) and those of the server. Main thread. */
#pragma once

#include "session/engine.h"

#include <gio/gio.h>

/* aa{sv}, floating. */
GVariant *warnings_to_variant (Engine *engine, Session *session);

/* Texts as the official program lists them, sorted, NULL-terminated. Free with g_strfreev. */
char **warnings_to_texts (Engine *engine, Session *session);
