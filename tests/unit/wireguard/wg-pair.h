/* Two complete WireGuard nodes, without TUN and sockets, on a link of simulated time.
 *
 * Both halves of the real thing (device and peer) joined by wg-host, and a log of every datagram.
 */
#pragma once

#include "wg-host.h"

#define WG_PAIR_LOG    4096
#define WG_PAIR_FLIGHT 1024

typedef struct WgPair WgPair;

/* Counters go on over restarts. */
typedef struct
{
  WgPair *pair;
  SeededRandom random;
  NodePrivate private_key;
  NodePublic public_key;
  WgHost *host;
  WgDevice *device; /* of host */
  bool suspended;
  unsigned received; /* data packets */
  unsigned gave_up;
  unsigned retries;
  unsigned path_suspect;
  unsigned authentic;
  unsigned idle;
  unsigned wake_ups; /* times this node was woken by its own timers */
  uint8_t saved_timestamp[WG_TIMESTAMP_SIZE];
  WgSource last_authentic;
} WgPairNode;

typedef struct
{
  int64_t time_us;
  int from;
  WgMessageType type;
  bool keepalive;
  size_t size;
  uint32_t receiver; /* of data */
  uint64_t counter;
  uint8_t bytes[WG_INITIATION_SIZE]; /* of handshake messages */
} WgPairLog;

typedef struct
{
  int64_t arrives_us;
  int to;
  size_t size;
  WgSource source;
  uint8_t bytes[256];
} WgPairDatagram;

struct WgPair
{
  WgPairNode nodes[2];
  int64_t now_us;
  int64_t latency_us;
  bool blocked[2]; /* what node i sends is lost */
  bool duplicate;  /* everything arrives twice, over UDP and over a relay */
  WallTime wall;   /* the date at time 0 */
  WgPairLog log[WG_PAIR_LOG];
  size_t n_log;
  WgPairDatagram flight[WG_PAIR_FLIGHT];
  size_t n_flight;
};

/* Two nodes that know each other; time starts at one second. */
WgPair *wg_pair_new (uint64_t seed);
void wg_pair_free (WgPair *pair);

/* Puts a new device in place of NODE's, as a restart does. WALL is what its clock says at time 0,
 * FLOOR what was stored, or NULL. */
void
wg_pair_restart (WgPair *pair, int node, WallTime wall, const uint8_t floor[WG_TIMESTAMP_SIZE]);

void wg_pair_change_peer (WgPair *pair, int node, WgPeerOp op);

/* NODE's host sends one packet to the other node: 100 bytes. */
void wg_pair_send (WgPair *pair, int node);

/* The session side that NODE has for the other one, or NULL, and the session it would send on. */
WgPeer *wg_pair_peer (WgPair *pair, int node);
WgSession *wg_pair_session (WgPair *pair, int node);

/* Since NODE's start: data that was not accepted, and sessions that were made. */
unsigned wg_pair_refused (const WgPair *pair, int node);
unsigned wg_pair_installed (const WgPair *pair, int node);
unsigned wg_pair_keepalives (const WgPair *pair, int node); /* received */
unsigned wg_pair_dropped (const WgPair *pair, int node);    /* staged packets */

/* Lets time pass, with everything that happens meanwhile. */
void wg_pair_run (WgPair *pair, int64_t duration_us);

/* Runs until nothing is in flight. */
void wg_pair_settle (WgPair *pair);

/* Delivers raw bytes to NODE at once. */
void
wg_pair_inject (WgPair *pair, int node, const void *bytes, size_t size, const WgSource *source);

/* How many datagrams of TYPE (WG_MESSAGE_NONE: any) node FROM sent in [SINCE, UNTIL]. */
unsigned wg_pair_count (const WgPair *pair, int from, WgMessageType type, int64_t since_us,
                        int64_t until_us);

/* The last logged datagram of TYPE from FROM, or NULL. */
const WgPairLog *wg_pair_last (const WgPair *pair, int from, WgMessageType type);

/* An UDP source. */
WgSource wg_pair_source (uint32_t address, uint16_t port);
