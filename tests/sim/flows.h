/* What the nodes' hosts do with the network: conversations between pairs of nodes, a request and an
 * answer at a time, and the promises that are kept for them.
 *
 * A pair is calm when for a while neither node, nor the network between them, nor a relay or the
 * coordination server was disturbed. For calm pairs with traffic: answers come; a direct path is
 * used where the NATs allow one; and sessions are renewed in time. */
#pragma once

#include "node.h"

SimFlows *sim_flows_new (Sim *sim);
void sim_flows_free (SimFlows *flows);
void sim_flows_event (Sim *sim, const SimEvent *event);

/* NODE received PACKET through the tunnel from node FROM. */
void sim_flows_packet (Sim *sim, SimNode *node, unsigned from, const uint8_t *packet, size_t size);

/* The last nodes of the world never talk. */
bool sim_node_is_quiet (const Sim *sim, unsigned id);

/* Sums for the end of a run. */
typedef struct
{
  uint64_t flows;
  uint64_t requests;
  uint64_t answers;
  uint64_t calm_requests;
  uint64_t calm_answers;
  uint64_t direct; /* requests of calm pairs that could be and were direct */
  uint64_t could_be_direct;
  uint64_t could_be_guessed;  /* requests between a hard and an easy NAT */
  uint64_t guessed;           /* of them while direct */
  int64_t longest_stall_us;   /* of a calm flow */
  int64_t oldest_session_us;  /* that a calm pair with traffic sent on */
  int64_t longest_without_us; /* that a calm pair was not direct and could be */
} SimFlowStats;

const SimFlowStats *sim_flows_stats (const Sim *sim);
