/* A simulated node's session with the coordination server: the real control core, its disk (keys
 * and the last map survive restarts), and streams for its connections. */
#pragma once

#include "world.h"

#include "netmap/netmap.h"

typedef struct SimSession SimSession;

SimSession *sim_session_new (Sim *sim, unsigned node, Random *random);
void sim_session_free (SimSession *session);

/* What the node announces: kept, and told when the session runs. */
void
sim_session_announce (SimSession *session, const DiscoPublic *disco_key, const IpPort *endpoints,
                      const uint8_t *types, size_t n_endpoints, uint16_t home_region);

/* The process starts (after the first announcement) or dies. */
void sim_session_start (SimSession *session, int64_t now_us, int64_t wall_error_us);
void sim_session_stop (SimSession *session);

/* The computer's network changed, or it woke up. */
void sim_session_link (SimSession *session, int64_t now_us, bool woke);

void sim_session_tick (SimSession *session, int64_t now_us);
int64_t sim_session_deadline (const SimSession *session);

/* True when STREAM is one of the session's. */
bool sim_session_has_stream (const SimSession *session, uint32_t stream);
void sim_session_stream_open (SimSession *session, uint32_t stream, bool ok, int64_t now_us);
void sim_session_stream_bytes (SimSession *session, uint32_t stream, const uint8_t *bytes,
                               size_t size, int64_t now_us);
void sim_session_stream_end (SimSession *session, uint32_t stream, int64_t now_us);

/* Called by the session: implemented by the node. */
void sim_node_identity (SimNode *node, const NodePrivate *key);
void sim_node_online (SimNode *node, bool online);
void sim_node_netmap (SimNode *node, const Netmap *netmap);
IpAddr sim_node_address (const SimNode *node);
int64_t sim_node_now (const SimNode *node);

/* The key under which node I's computer is known to the server. */
void sim_session_machine_key (uint64_t seed, unsigned i, MachinePrivate *out);
