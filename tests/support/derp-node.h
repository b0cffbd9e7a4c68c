/* A relay client with its socket, for tests and measurements: real TLS and frames, no reconnecting.
 *
 * Certificates are not judged. Whoever owns the node waits for its descriptor and calls
 * derp_node_io. One thread for each node; the TLS context is shared within a thread. */
#pragma once

#include "derp/client.h"
#include "wire/tls.h"

typedef struct
{
  int fd;
  Tls *tls;
  DerpClient *client;
  Buffer out;
  NodePublic key;
  bool connected; /* TLS is up */
  bool up;        /* the relay has accepted the login */
  bool closed;    /* and TEXT says why */
  bool wants_write;
  char text[160];
  uint64_t sent, received; /* bytes of packets */
  uint64_t packets;        /* received */
  NodePublic last_source;
  uint64_t gone; /* notices that somebody is not there */
  NodePublic last_gone;
  unsigned health;    /* texts about the connection */
  int64_t restart_us; /* when the relay said that it goes away: for how long */
  int64_t arrived_us;
} DerpNode;

/* Begins to log in at AT with PRIVATE_KEY (32 bytes), or a new key when it is NULL. False: no
 * socket.
 */
bool
derp_node_open (DerpNode *node, TlsContext *context, const IpPort *at, const uint8_t *private_key);

/* The same in two steps: a node with its key, then its connection. */
void derp_node_init (DerpNode *node, const IpPort *at, const uint8_t *private_key);
bool derp_node_dial (DerpNode *node, TlsContext *context, const IpPort *at);
void derp_node_close (DerpNode *node);

/* Reads what there is, and writes what waits. */
void derp_node_io (DerpNode *node, int64_t now_us);

/* Queues a packet; derp_node_flush sends what is queued. */
void derp_node_send (DerpNode *node, const NodePublic *to, const void *data, size_t size,
                     int64_t now_us);
void derp_node_flush (DerpNode *node, int64_t now_us);

/* Waits for one of COUNT nodes, TIMEOUT_MS at most, and lets all do their reading and writing. */
void derp_nodes_pump (DerpNode *nodes, size_t count, int timeout_ms);
