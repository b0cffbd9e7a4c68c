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

/* NODE dials relay I: the number of a stream, whose fate comes as SIM_STREAM_OPEN. */
uint32_t sim_stream_dial (Sim *sim, SimNode *node, unsigned i);

/* The node's side: sends bytes, or ends the stream. */
void sim_stream_send (Sim *sim, uint32_t stream, const uint8_t *bytes, size_t size);
void sim_stream_close (Sim *sim, uint32_t stream);

/* Events of streams and relays. */
void sim_relay_event (Sim *sim, const SimEvent *event);

/* Bytes that wait in all streams for nodes that sleep. */
size_t sim_streams_held (const Sim *sim);
