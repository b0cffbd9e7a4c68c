/* What goes wrong in the simulated world: restarts, suspends, moves to other networks, outages. */
#pragma once

#include "world.h"

/* Plans the first of everything. */
void sim_chaos_init (Sim *sim);

/* Does what EVENT says and plans the next of its sort. */
void sim_chaos_event (Sim *sim, const SimEvent *event);
