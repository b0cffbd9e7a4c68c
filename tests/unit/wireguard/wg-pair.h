/* Two complete WireGuard nodes, without TUN and sockets, on a link of simulated time.
 *
 * Both halves of the real thing (device and peer) with the glue that tunnel provides in the daemon,
 * real encryption, and a log of every datagram. For tests. */
#pragma once

#include "wireguard/device.h"
#include "wireguard/peer.h"

#define WG_PAIR_MAX_STAGED 64
#define WG_PAIR_LOG        4096
#define WG_PAIR_FLIGHT     1024

typedef struct
{
  SeededRandom random;
  NodePrivate private_key;
  NodePublic public_key;
  WgDevice *device;
  TimerWheel wheel;
  WgIndexTable *sessions;
  WgPeerContext context;
  WgPeer peer;
  bool peer_exists;
  unsigned staged;
  bool suspended;
  unsigned received;   /* data packets */
  unsigned keepalives; /* received */
  unsigned dropped;    /* staged packets dropped */
  unsigned refused;    /* data that was not accepted */
  unsigned gave_up;
  unsigned retries;
  unsigned path_suspect;
  unsigned installed;
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

typedef struct
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
} WgPair;

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
