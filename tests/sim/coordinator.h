/* The coordination server of the simulated world, made of the codecs' server roles: registers
 * whoever has the auth key, streams maps, passes on what nodes announce, and can be away for a
 * while. */
#pragma once

#include "world.h"

SimCoordinator *sim_coordinator_new (Sim *sim);
void sim_coordinator_free (SimCoordinator *coordinator);

/* Its streams (see stream.h). */
bool sim_coordinator_accept (Sim *sim, uint32_t id);
void sim_coordinator_bytes (Sim *sim, uint32_t id, const uint8_t *bytes, size_t size);
void sim_coordinator_ended (Sim *sim, uint32_t id);

/* SIM_CONTROL_… events. */
void sim_coordinator_event (Sim *sim, const SimEvent *event);

bool sim_coordinator_is_up (const Sim *sim);

/* When it last went away and came back; 0: never. */
int64_t sim_coordinator_down_us (const Sim *sim);
int64_t sim_coordinator_up_us (const Sim *sim);

/* The node with this key, or -1: the server has seen all keys. */
int sim_node_by_key (const Sim *sim, const NodePublic *key);
