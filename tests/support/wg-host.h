/* Both halves of WireGuard joined as the tunnel joins them, in one thread and without sockets.
 *
 * For the simulation and for programs that speak to foreign WireGuards: real device, peers and
 * encryption; packets and datagrams go out by callbacks. One worker, one packet a run. */
#pragma once

#include "wireguard/device.h"
#include "wireguard/peer.h"

typedef struct WgHost WgHost;
typedef struct WgHostPeer WgHostPeer;

#define WG_HOST_PACKET_MAX 1500
#define WG_HOST_STAGED_MAX 16 /* packets a peer; the oldest goes first */

typedef enum
{
  WG_HOST_AUTHENTIC,    /* something valid came from source */
  WG_HOST_RETRY,        /* a handshake is repeated */
  WG_HOST_PATH_SUSPECT, /* 15 s without an answer */
  WG_HOST_GIVE_UP,
  WG_HOST_ESTABLISHED, /* a session became usable */
  WG_HOST_IDLE,        /* nothing is left of the peer but what device knows */
} WgHostNotice;

typedef struct
{
  void *data;
  /* Send to PEER by its path; PEER is NULL for what goes back to SOURCE. */
  void (*send) (void *data, const NodePublic *peer, const WgSource *source, const uint8_t *bytes,
                size_t size);
  /* A packet from PEER, cut to its own length. */
  void (*receive) (void *data, const NodePublic *peer, const uint8_t *packet, size_t size);
  void (*notice) (void *data, WgHostNotice notice, const NodePublic *peer, const WgSource *source);
  void (*save_timestamp) (void *data, const uint8_t timestamp[WG_TIMESTAMP_SIZE]);
} WgHostCallbacks;

/* Counters since the start. */
typedef struct
{
  uint64_t sent;
  uint64_t received;
  uint64_t keepalives_sent;
  uint64_t keepalives_received;
  uint64_t unknown_index;
  uint64_t expired;
  uint64_t replayed;
  uint64_t not_authentic;
  uint64_t bad_inner;
  uint64_t dropped_staged;
} WgHostStats;

WgHost *
wg_host_new (const WgDeviceConfig *config, Random *random, const WgHostCallbacks *callbacks);
void wg_host_free (WgHost *host);

void wg_host_change_peer (WgHost *host, const NodePublic *key, WgPeerOp op, int64_t now_us);

/* Sends PACKET (1..WG_HOST_PACKET_MAX bytes) to PEER, padded to 16; stages it when there is no
 * session. */
void wg_host_send (WgHost *host, const NodePublic *peer, const uint8_t *packet, size_t size,
                   int64_t now_us);

/* Any WireGuard datagram. */
void wg_host_datagram (WgHost *host, const uint8_t *bytes, size_t size, const WgSource *source,
                       int64_t now_us);

/* The peer may have lost its sessions. */
void wg_host_handshake_on_data (WgHost *host, const NodePublic *peer);

/* The same for every peer with a session: the computer slept. */
void wg_host_woke (WgHost *host);

void wg_host_tick (WgHost *host, int64_t now_us);
int64_t wg_host_next_deadline (WgHost *host);

WgDevice *wg_host_device (WgHost *host);
const WgHostStats *wg_host_stats (const WgHost *host);

/* Forgets packets that wait for PEER. */
void wg_host_drop_staged (WgHost *host, const NodePublic *peer);

/* The session side of PEER, or NULL. */
WgPeer *wg_host_peer (WgHost *host, const NodePublic *peer);

/* Peers with worker state, and packets that wait. */
size_t wg_host_n_peers (const WgHost *host);
size_t wg_host_n_staged (const WgHost *host);
