/* What device.c (events, timers, peers) and device-messages.c (datagrams) share. Private to the
 * folder. */
#pragma once

#include "base/timer-wheel.h"
#include "wireguard/cookie.h"
#include "wireguard/device.h"
#include "wireguard/handshake.h"
#include "wireguard/index-table.h"
#include "wireguard/known-peers.h"
#include "wireguard/load.h"
#include "wireguard/timestamp.h"

/* How our own attempt to open a session stands. */
typedef enum
{
  WG_TRY_NONE,
  WG_TRY_DEFERRED, /* wanted, but a handshake message was sent less than 5 s ago */
  WG_TRY_SENT,     /* message 1 is out; the timer repeats it */
} WgTry;

/* A peer with a handshake or a session. */
struct WgActivePeer
{
  TimerNode timer; /* first member */
  WgActivePeer *next;
  WgActivePeer *prev;
  WgRemote remote;
  WgCookieJar jar;
  WgTry attempt;
  bool initiator_set;    /* initiator holds the state of a message 1 that is not answered */
  bool detached;         /* the node may not talk any more; only waits for its indices */
  WgInitiator initiator; /* kept apart from the responder's state, which lives for one call only */
  int64_t wanted_us;     /* when somebody last asked for a session: start of the 90 s */
  int64_t sent_us;       /* last message 1 or 2 sent; 0: none */
  int64_t accepted_us;   /* last message 1 accepted; 0: none */
  int64_t ready_us;      /* when the newest usable session came about; 0: none */
  unsigned worker;
  unsigned n_sessions; /* indices that a worker still knows */
};

#define WG_SPARE_KEYS 16

struct WgDevice
{
  WgIdentity identity;
  WgEphemeral spare[WG_SPARE_KEYS]; /* made while there was nothing else to do */
  unsigned n_spare;
  bool spare_used; /* since they were full: none are made for handshakes that never come */
  Random *random;
  WgKnownPeers known;
  WgActivePeer active; /* list head */
  WgIndexTable *indices[WG_INDEX_MAX_WORKERS];
  unsigned n_workers;
  TimerWheel wheel;
  WgTimestamps timestamps;
  WgCookieSecret cookie_secret;
  WgLoad load;
  WgDeviceStats stats;
  WgAction *queue; /* ring */
  size_t queue_capacity;
  size_t queue_first;
  size_t queue_count;
};

/* A new action at the end of the queue, zeroed but for TYPE, the peer's key and its worker. */
WgAction *wg_device_push (WgDevice *device, WgActionType type, const WgActivePeer *peer);

/* A key pair that was never used before. */
void wg_device_take_ephemeral (WgDevice *device, WgEphemeral *out);

/* The active state of KNOWN, made from REMOTE when there is none yet. */
WgActivePeer *wg_device_activate (WgDevice *device, WgKnownPeer *known, const WgRemote *remote);

/* Frees PEER when nothing needs it any more. */
void wg_device_release (WgDevice *device, WgActivePeer *peer);

/* Wipes what we keep of our own message 1 and gives its index back. */
void wg_device_drop_initiator (WgDevice *device, WgActivePeer *peer);

/* Our attempt ended well: no repeats. */
void wg_device_attempt_done (WgDevice *device, WgActivePeer *peer, int64_t now_us);

/* A datagram of type 1, 2 or 3. */
void wg_device_datagram (WgDevice *device, const uint8_t *bytes, size_t size,
                         const WgSource *source, int64_t now_us);

/* Message 1 to PEER: arms the timer that repeats it. */
void wg_device_initiate (WgDevice *device, WgActivePeer *peer, int64_t now_us);

/* What INDEX maps to, or NULL. */
WgActivePeer *wg_device_by_index (const WgDevice *device, uint32_t index);
