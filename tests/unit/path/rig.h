/* A path core on simulated time, with peers whose disco keys the test owns. Everything the core
 * does is collected and can be looked at; packets to peers are opened. */
#pragma once

#include "path/disco.h"
#include "path/path.h"

#include <glib.h>

#define SECOND    USEC_PER_SEC
#define MSEC      USEC_PER_MSEC
#define START     (1000 * SECOND)
#define STEPS_MAX 1000000

typedef struct
{
  uint8_t disco_private[32];
  DiscoPublic disco;
  NodePublic key;
  GArray *endpoints; /* IpPort */
  uint16_t home;
  bool wireguard_only;
  bool expired;
} RigPeer;

typedef struct
{
  Path *path;
  SeededRandom random;
  int64_t now;
  uint8_t disco_private[32];
  DiscoPublic disco;
  NodePublic node;
  DerpMap *map;
  GPtrArray *peers;  /* RigPeer */
  GArray *actions;   /* PathAction, since the last rig_clear */
  bool stun_answers; /* STUN requests are answered after stun_latency */
  uint8_t stun_down; /* the server of this region is silent, 0: none */
  int64_t stun_latency;
  IpPort reflexive;          /* what STUN tells */
  bool reflexive_per_server; /* hard NAT: another port for each server */
  uint16_t side_port;        /* STUN tells this plus their number to side sockets, 0: any port */
  uint32_t side;             /* socket by which rig_from_udp comes in */
  GArray *stun_due;          /* answers under way */
} Rig;

/* A core with keys, sockets and one link address; without map and peers. */
Rig *rig_new (void);
void rig_free (Rig *rig);

IpPort rig_address (const char *text);

/* Regions by id, each with one node at 198.51.100.ID. */
DerpMap *rig_map (const unsigned *ids, size_t n_ids);
void rig_set_map (Rig *rig, DerpMap *map);

RigPeer *rig_add_peer (Rig *rig, const char *endpoint, uint16_t home);
void rig_peer_endpoint (RigPeer *peer, const char *endpoint);

/* Tells the core all peers (whole) or just one. */
void rig_tell_peers (Rig *rig);
void rig_tell_peer (Rig *rig, RigPeer *peer);

void rig_input (Rig *rig, const PathEvent *event);
void rig_tick (Rig *rig);
void rig_sent (Rig *rig, const RigPeer *peer);

/* Lets time pass; every deadline is served, STUN answered. */
void rig_run (Rig *rig, int64_t span_us);

/* As rig_run, with something sent to PEER each second. */
void rig_run_sending (Rig *rig, const RigPeer *peer, int64_t span_us);

/* Forgets what was done so far. */
void rig_clear (Rig *rig);
unsigned rig_count (const Rig *rig, PathActionType type);
const PathAction *rig_last (const Rig *rig, PathActionType type);

/* Disco packets for PEER of TYPE, over UDP or relay; the last one in *LAST, its action in *ACTION.
 */
unsigned rig_disco (const Rig *rig, const RigPeer *peer, DiscoType type, bool relay,
                    DiscoMessage *last, const PathAction **action);

/* PEER sends MESSAGE from SOURCE, or through relay connection CONNECTION. */
void
rig_from_udp (Rig *rig, const RigPeer *peer, const DiscoMessage *message, const IpPort *source);
void
rig_from_relay (Rig *rig, const RigPeer *peer, const DiscoMessage *message, uint32_t connection);

/* PEER answers the last ping that it got over UDP at AT (NULL: any); false: there was none. */
bool rig_pong (Rig *rig, const RigPeer *peer, const IpPort *at);
void rig_ping (Rig *rig, const RigPeer *peer, const IpPort *source, uint8_t tx_id);

/* Makes the relay connection of the last RELAY_CONNECT come up; returns its number. */
uint32_t rig_relay_up (Rig *rig);

PathDestination rig_destination (const Rig *rig, const RigPeer *peer);
