/* What the files of path share: the state of the core. Nobody else includes it. */
#pragma once

#include "base/timer-wheel.h"
#include "path/actions.h"
#include "path/birthday.h"
#include "path/discovery.h"
#include "path/path.h"
#include "path/peer-path.h"
#include "path/peer-table.h"
#include "path/portmap.h"
#include "path/relay-node.h"
#include "path/relays.h"

#define PATH_OWN_PROBE  0x80000000u /* set in ids of ICMP pings that netcheck did not ask for */
#define PATH_REBIND_GAP (5 * USEC_PER_SEC)

struct Path
{
  Random *random;
  int64_t now_us;
  bool started; /* the wheel turns */
  TimerWheel wheel;
  PathActions actions;
  uint8_t *disco_private; /* secret memory; NULL: logged out or stopped */
  DiscoPublic disco_public;
  NodePublic node_key;
  PathKnobs knobs; /* its list is owned */
  uint16_t port4;
  uint16_t port6;
  PathLink link; /* its list is owned */
  bool has_link; /* a link was told; until then the network counts as up */
  DerpMap *map;
  PeerTable peers;
  uint32_t mark;   /* of the last whole set of peers */
  PeerPath *paths; /* all that exist, newest first */
  Relays *relays;
  Discovery *discovery;
  Portmap *portmap;
  Birthday *birthday; /* the attempt under way, or NULL */
  uint32_t last_side; /* number of the last side socket */
  unsigned n_sides;   /* peers that have one */
  bool control_connected;
  int64_t last_rebind_us;
  int64_t last_activity_us; /* anything sent or received through the tunnel */
  uint32_t last_probe;      /* ICMP pings of our own, see PATH_OWN_PROBE */
};

/* True when disco may be sent over UDP at all. */
bool path_udp_allowed (const Path *path);

/* The box key shared with RECORD's disco key; NULL when there is none. */
const uint8_t *path_shared_key (Path *path, PeerRecord *record);

/* Seals MESSAGE for RECORD and sends it to an address from socket SIDE (0: the shared one), or
 * through a relay. */
void path_send_disco (Path *path, PeerRecord *record, const DiscoMessage *message, const IpPort *to,
                      uint32_t side);
void
path_relay_disco (Path *path, PeerRecord *record, const DiscoMessage *message, uint16_t region);

/* Where a disco packet came from. */
typedef struct
{
  const IpPort *source;   /* NULL: through a relay */
  uint32_t side;          /* socket, 0: the shared one */
  uint16_t region;        /* of that relay */
  const NodePublic *node; /* whom the relay names */
} DiscoOrigin;

void path_receive_disco (Path *path, const void *bytes, size_t size, const DiscoOrigin *origin);

/* The peer takes part: its path exists from now on. */
PeerPath *path_of (Path *path, PeerRecord *record);

/* PATH_EVENT_PEERS. */
void path_set_peers (Path *path, const PathEvent *event);

/* Gives a peer another disco key. When it RESTARTED, its WireGuard sessions are dead; its addresses
 * stay in any case. */
void path_set_disco_key (Path *path, PeerRecord *record, const DiscoPublic *key, bool restarted);

/* Asks for new sockets, at most once in PATH_REBIND_GAP. */
void path_rebind (Path *path);
