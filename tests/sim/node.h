/* A node of the simulated world: the real cores of control, path, relay client and WireGuard,
 * joined as session and tunnel join them, with a clock, a disk and a place of its own. */
#pragma once

#include "world.h"

#include "path/path.h"
#include "wg-host.h"

SimNode *sim_node_new (Sim *sim, unsigned id, SimSite *site);
void sim_node_free (SimNode *node);

/* Chaos: a process starts and dies; a computer sleeps and wakes; it moves to another site. */
void sim_node_start (SimNode *node);
void sim_node_stop (SimNode *node);
void sim_node_suspend (SimNode *node);
void sim_node_resume (SimNode *node);
void sim_node_roam (SimNode *node, SimSite *site);

void sim_node_tick (SimNode *node, uint32_t serial);
void sim_node_answer (SimNode *node, const SimEvent *event);
void sim_node_datagram (SimNode *node, uint16_t port, const IpPort *from, const uint8_t *bytes,
                        size_t size);
void sim_node_stream_open (SimNode *node, uint32_t stream, bool ok);
void sim_node_stream_bytes (SimNode *node, uint32_t stream, const uint8_t *bytes, size_t size);
void sim_node_stream_end (SimNode *node, uint32_t stream);

/* The host sends PACKET to node TO. */
void sim_node_send (SimNode *node, unsigned to, const uint8_t *packet, size_t size);

uint32_t sim_node_id (const SimNode *node);
uint32_t sim_node_generation (const SimNode *node); /* grows with every start */
SimSite *sim_node_site (const SimNode *node);
IpAddr sim_node_address (const SimNode *node);
bool sim_node_suspended (const SimNode *node);
bool sim_node_running (const SimNode *node); /* started and awake */
int64_t sim_node_now (const SimNode *node);  /* by its own clock */

/* Last start, resume or move. */
int64_t sim_node_changed_us (const SimNode *node);

/* Whether packets for node TO go over a trusted direct path now. */
bool sim_node_is_direct (const SimNode *node, unsigned to);

/* Age of the WireGuard session that packets for node TO are sent on; -1: there is none. */
int64_t sim_node_session_age_us (const SimNode *node, unsigned to);

/* What path finding knows about the way to node TO, for people; free with g_free. */
char *sim_node_describe_path (const SimNode *node, unsigned to);

typedef struct
{
  uint64_t wake_ups; /* by timers of the cores, since the start of the world */
  size_t peers;      /* with sessions or staged packets */
  size_t staged;
  size_t indices;
  size_t relay_connections;
  int64_t wireguard_deadline_us; /* of the simulated world; TIME_NEVER: none */
  int64_t path_deadline_us;
  size_t known_peers;
} SimNodeStatus;

void sim_node_status (SimNode *node, SimNodeStatus *out);
