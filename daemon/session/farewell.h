/* Signs a profile out that does not own the tunnel: a control session of its own that lives for
 * the five seconds that a sign-out may take, and tells nobody how it went
 * (spec/control-protocol.md §9.7). Main thread. */
#pragma once

#include "control/control-io.h"
#include "session/session.h"

typedef struct Farewell Farewell;

/* Called once, from the main loop, when it is over; frees nothing. */
typedef void (*FarewellDone) (Farewell *farewell, void *user_data);

/* Begins to sign SESSION's profile out; the session may go at once. NULL: there is no key to sign
 * out, or the server's address cannot be used. */
Farewell *
farewell_new (const Session *session, const MachinePrivate *machine_key, const LocalFacts *facts,
              Resolver *resolver, FarewellDone done, void *user_data);
void farewell_free (Farewell *farewell);
