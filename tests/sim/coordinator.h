/* The coordination server of the simulated world: tells every node about all others, a little
 * later, and can be away for a while. */
#pragma once

#include "node.h"

SimCoordinator *sim_coordinator_new (Sim *sim);
void sim_coordinator_free (SimCoordinator *coordinator);

/* NODE started, woke up or moved: it asks for the whole map. */
void sim_coordinator_joined (Sim *sim, SimNode *node);

/* NODE's record changed. */
void sim_coordinator_changed (Sim *sim, SimNode *node);

void sim_coordinator_event (Sim *sim, const SimEvent *event);

bool sim_coordinator_is_up (const Sim *sim);

/* When it last went away and came back; 0: never. */
int64_t sim_coordinator_down_us (const Sim *sim);
int64_t sim_coordinator_up_us (const Sim *sim);
