/* What the parts of a simulated node share. */
#pragma once

#include "node.h"

#include "derp/client.h"
#include "session.h"

#define MAX_CONNECTIONS 16
#define MAX_STUCK       4

typedef struct
{
  uint32_t connection; /* path's number; 0: free */
  uint32_t stream;
  uint16_t region;
  bool open;
  DerpClient *client;
} Connection;

/* What this node keeps about each other node. */
typedef struct
{
  PathDestination destination;
  bool published; /* destination was told by path */
  bool known;     /* in our map */
  int64_t sent_noted_us;
  int64_t received_noted_us;
  IpPort received_from;
} PeerState;

struct SimNode
{
  Sim *sim;
  uint32_t id;
  uint32_t generation;
  SimSite *site;
  IpAddr address;
  uint16_t port;
  uint32_t last_side; /* number of the last side socket */
  bool started;
  int64_t suspended_us; /* since when it sleeps; 0: awake */
  int64_t changed_us;
  int64_t epoch_us; /* of its clock in the world's time, at most 0 */
  int64_t wall_error_us;
  SeededRandom random;
  SimSession *session;
  NodePrivate private_key; /* in use; zero: not registered yet */
  NodePublic public_key;
  Netmap *netmap; /* in force */
  uint8_t disco_private[KEY_SIZE];
  uint8_t timestamp[WG_TIMESTAMP_SIZE]; /* on its disk */
  DiscoPublic disco_key;
  uint16_t home_region;
  IpPort endpoints[ENDPOINTS_MAX];
  uint8_t endpoint_types[ENDPOINTS_MAX];
  size_t n_endpoints;
  Path *path;
  WgHost *wg; /* NULL until the node has a key */
  Connection connections[MAX_CONNECTIONS];
  PeerState peers[SIM_MAX_NODES];
  bool pulling; /* inside the loop over a relay client's actions */
  uint32_t tick_serial;
  int64_t tick_us; /* planned, in the world's time */
  unsigned stuck;  /* ticks in a row that left a deadline behind */
  uint64_t wake_ups;
};

/* The kind of probe that SIM_NODE_ANSWER answers. */
#define ANSWER_HTTPS 1
#define ANSWER_ICMP  2

/* The node's own clock. */
static inline int64_t
node_now (const SimNode *node)
{
  return node->sim->now_us - node->epoch_us;
}

/* Feeds EVENT to path finding and does everything that it asks for. */
void node_feed_path (SimNode *node, const PathEvent *event);
void node_drain_path (SimNode *node);

/* New UDP sockets on port WANTED, or any (0). */
void node_rebind (SimNode *node, uint16_t wanted);

/* The port of side socket SIDE, 0: of the shared one; and the socket at a port, UINT32_MAX: none.
 */
uint16_t node_side_port (const SimNode *node, uint32_t side);
uint32_t node_side_at (const SimNode *node, uint16_t port);

/* Tells the coordination server where this node is. */
void node_announce (SimNode *node);

unsigned node_peer_index (const SimNode *node, const NodePublic *key);

/* Relay connections. */
void node_relay_connect (SimNode *node, const PathAction *action);
void node_relay_close (SimNode *node, uint32_t connection);
void node_relay_close_all (SimNode *node);
void node_relay_verb (SimNode *node, uint32_t connection, const DerpClientEvent *event);
void node_relay_send (SimNode *node, uint16_t region, const NodePublic *peer, const uint8_t *bytes,
                      size_t size);
void node_relay_tick (SimNode *node);
int64_t node_relay_deadline (const SimNode *node);
size_t node_relay_count (const SimNode *node);

/* What the tunnel does for WireGuard. */
extern const WgHostCallbacks node_wireguard_callbacks; /* but for data */

/* Plans the tick for the earliest deadline. */
void node_plan_tick (SimNode *node);
