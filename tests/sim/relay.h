/* Relay servers of the simulated world: the server's role of DERP over ordered byte streams, and
 * STUN. They can go down, and come back without any memory. */
#pragma once

#include "world.h"

#include "base/key.h"

/* Relay I of the world. */
SimRelay *sim_relay_new (Sim *sim, unsigned i);
void sim_relay_free (SimRelay *relay);

IpAddr sim_relay_address (unsigned i);

/* Which relay has ADDRESS, or -1. */
int sim_relay_at (const Sim *sim, const IpAddr *address);
int64_t sim_relay_delay_us (const SimRelay *relay, const SimSite *site);
const uint8_t *sim_relay_public_key (const SimRelay *relay);
bool sim_relay_is_up (const SimRelay *relay);

/* When it last went up or down. */
int64_t sim_relay_changed_us (const SimRelay *relay);

/* A STUN request. */
void sim_relay_datagram (Sim *sim, unsigned i, const SimEvent *event);

/* Streams of relay I (see stream.h). */
bool sim_relay_accept (Sim *sim, unsigned i, uint32_t id);
void sim_relay_bytes (Sim *sim, unsigned i, uint32_t id, const uint8_t *bytes, size_t size);
void sim_relay_ended (Sim *sim, unsigned i, uint32_t id);

/* Some connections are made with the relay's key known beforehand. */
bool sim_relay_fast_start (uint32_t id);

/* SIM_RELAY_… events. */
void sim_relay_event (Sim *sim, const SimEvent *event);
