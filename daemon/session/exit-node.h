/* Which peer default traffic goes through: what the preference means on a given netmap, and which
 * one to take when the choice is automatic.
 *
 * Pure functions (spec/netmap-and-policy.md C.2-C.4, spec/local-services.md §2.4). A selected exit
 * node that is not there blocks traffic: falling back to the open network would leak. */
#pragma once

#include "base/random.h"
#include "netmap/netmap.h"
#include "session/preferences.h"

typedef enum
{
  EXIT_NODE_STATE_OFF,
  EXIT_NODE_STATE_ON,
  EXIT_NODE_STATE_OFFLINE,      /* selected and used, but not connected to the server */
  EXIT_NODE_STATE_MISSING,      /* no such peer, or no traffic with it is possible: blocked */
  EXIT_NODE_STATE_NOT_OFFERING, /* the peer has no default route: blocked */
  EXIT_NODE_STATE_UNRESOLVED,   /* by address or automatic, and none is known yet: blocked */
} ExitNodeState;

/* The peer that default traffic goes through; NULL: none, or it is blocked. STATE may be NULL. */
const Node *exit_node_find (const Preferences *prefs, const Netmap *netmap, ExitNodeState *state);

/* Latest measured latency of a relay region. */
typedef struct
{
  unsigned region;
  double seconds; /* the best of recent probes */
} RegionLatency;

typedef struct
{
  unsigned home_region; /* 0: not known yet */
  const RegionLatency *latencies;
  size_t n_latencies;
  const char *previous; /* stable id of the present choice, "" none */
  Random *random;       /* decides between equals */
} ExitNodeHints;

/* The exit node to suggest (C.4); NULL: none, or too early to tell. */
const Node *exit_node_suggest (const Netmap *netmap, const ExitNodeHints *hints);

/* Rewrites PREFS as C.3 says: an address that is known becomes a stable id, an automatic choice
 * that is no longer among the best moves on. True when something changed and is to be saved. */
bool exit_node_resolve (Preferences *prefs, const Netmap *netmap, const ExitNodeHints *hints);

typedef enum
{
  EXIT_NODE_NAME_OK,
  EXIT_NODE_NAME_UNKNOWN,
  EXIT_NODE_NAME_AMBIGUOUS,
  EXIT_NODE_NAME_SELF,         /* it is this computer */
  EXIT_NODE_NAME_NOT_OFFERING, /* it does not offer to be one */
} ExitNodeNameResult;

/* The peer that a person means with TEXT: an address, a stable id, a base name or FQDN with or
 * without a dot, case ignored. */
ExitNodeNameResult exit_node_by_name (const Netmap *netmap, const char *text, const Node **node);

/* Rank of PEER for SELF among equal scores; the larger one comes first. For tests. */
uint64_t exit_node_rank (NodeId self, NodeId peer);

/* Great-circle distance in metres between two places in degrees. For tests. */
double
exit_node_distance (double latitude1, double longitude1, double latitude2, double longitude2);
