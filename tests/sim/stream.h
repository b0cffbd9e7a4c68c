/* Ordered byte streams (TCP, with TLS where there is some) from nodes to servers of the simulated
 * world: relays and the coordination server. They keep their order, take time, wait for nodes that
 * sleep, and end. */
#pragma once

#include "world.h"

/* Servers are numbered: relays first, then the coordination server. */
#define SIM_COORDINATOR SIM_RELAYS
#define SIM_SERVERS     (SIM_RELAYS + 1)

void sim_streams_init (Sim *sim);
void sim_streams_clear (Sim *sim);

/* NODE dials SERVER: the number of a stream, whose fate comes as sim_node_stream_open. */
uint32_t sim_stream_dial (Sim *sim, SimNode *node, unsigned server);

/* The node's side: sends bytes, or ends the stream and hears no more of it. */
void sim_stream_send (Sim *sim, uint32_t id, const uint8_t *bytes, size_t size);
void sim_stream_close (Sim *sim, uint32_t id);

/* The server's side. sim_stream_hang_up forgets the stream at once; the node hears of it later. */
void sim_stream_reply (Sim *sim, uint32_t id, const void *bytes, size_t size);
void sim_stream_hang_up (Sim *sim, uint32_t id);

unsigned sim_stream_server (const Sim *sim, uint32_t id);
uint32_t sim_stream_node (const Sim *sim, uint32_t id);

/* What the server keeps for a stream; NULL: it is not open. */
void *sim_stream_data (const Sim *sim, uint32_t id);
void sim_stream_set_data (Sim *sim, uint32_t id, void *data);

/* The node has taken nothing for so long that TCP gives up. */
bool sim_stream_is_stuck (const Sim *sim, uint32_t id);

/* Open streams of SERVER, oldest first: how many, and the one at INDEX. */
unsigned sim_streams_open (const Sim *sim, unsigned server);
uint32_t sim_streams_at (const Sim *sim, unsigned server, unsigned index);

/* SIM_STREAM_… events. */
void sim_stream_event (Sim *sim, const SimEvent *event);

/* Bytes that wait in all streams for nodes that sleep. */
size_t sim_streams_held (const Sim *sim);
