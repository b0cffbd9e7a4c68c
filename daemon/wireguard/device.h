/* The net thread's side of WireGuard: handshakes in both roles, cookies, load, timestamps.
 *
 * A pure core: datagrams and events in, actions out, the time handed in. Knows every node of the
 * netmap as a light record and keeps more only for peers with a handshake or session. Data packets
 * and session timers are the workers' (wireguard/peer.h). spec/wireguard-dataplane.md §3-§6. Net
 * thread. */
#pragma once

#include "base/ip.h"
#include "base/random.h"
#include "base/wall-time.h"
#include "wireguard/messages.h"
#include "wireguard/session.h"

typedef struct WgDevice WgDevice;

/* Where a datagram came from. */
typedef enum
{
  WG_SOURCE_UDP,
  WG_SOURCE_DERP,
} WgSourceKind;

typedef struct
{
  WgSourceKind kind;
  IpPort addr;         /* UDP */
  uint16_t region;     /* DERP */
  NodePublic derp_key; /* DERP: the sender as the relay knows it */
} WgSource;

typedef struct
{
  NodePrivate private_key;
  unsigned n_workers; /* 1..8 */
  WallTime wall_time; /* the date at NOW_US of wg_device_new */
  int64_t now_us;
  /* What WG_ACTION_SAVE_TIMESTAMP or wg_device_timestamp gave last, in an earlier run with this
   * key; zeros when there is none. */
  uint8_t timestamp_floor[WG_TIMESTAMP_SIZE];
} WgDeviceConfig;

typedef enum
{
  WG_PEER_ALLOW,  /* may talk to us: in the netmap, not expired, with at least one prefix */
  WG_PEER_BLOCK,  /* known but may not talk; sessions are erased, the last timestamp is kept */
  WG_PEER_REMOVE, /* gone from the netmap */
} WgPeerOp;

typedef struct
{
  NodePublic key;
  WgPeerOp op;
} WgPeerChange;

typedef enum
{
  WG_EVENT_TICK,
  WG_EVENT_DATAGRAM,          /* a message of type 1, 2 or 3 */
  WG_EVENT_WANT_HANDSHAKE,    /* a worker needs a session with peer */
  WG_EVENT_SESSION_CONFIRMED, /* a worker received the first packet on a session we answered */
  WG_EVENT_SESSION_ERASED,    /* a worker no longer knows this index */
  WG_EVENT_PEERS,             /* changes of the netmap */
  WG_EVENT_PRIVATE_KEY,       /* our node key changed: everything is erased */
  WG_EVENT_WALL_TIME,         /* the clock was set */
  WG_EVENT_IDLE,              /* there is time for what wg_device_wants_idle spoke of */
} WgEventType;

typedef struct
{
  WgEventType type;
  union
  {
    struct
    {
      const uint8_t *bytes;
      size_t size;
      WgSource source;
    } datagram;
    struct
    {
      NodePublic peer;
      int64_t asked_us; /* when the worker asked; older than the newest session: ignored */
    } want;
    uint32_t local_index; /* SESSION_CONFIRMED, SESSION_ERASED */
    struct
    {
      const WgPeerChange *changes;
      size_t n_changes;
    } peers;
    struct
    {
      const NodePrivate *key;
      /* Floor for timestamps under this key, as in WgDeviceConfig. */
      uint8_t timestamp_floor[WG_TIMESTAMP_SIZE];
    } private_key;
    WallTime wall_time;
  };
} WgEvent;

typedef enum
{
  /* Send bytes to peer by its present path (to_source false), or back to source (cookie replies).
   */
  WG_ACTION_SEND,
  /* Hand keys to worker. Comes before the SEND of the response, so that the session is there when
   * the first data arrives. Must not be dropped. */
  WG_ACTION_INSTALL,
  /* The worker erases all sessions of peer. Must not be dropped. */
  WG_ACTION_ERASE,
  /* 90 s without an answer, or peer may not be talked to: the worker drops what it staged. */
  WG_ACTION_GIVE_UP,
  /* A message from source was authentic: for the path finder. */
  WG_ACTION_AUTHENTIC,
  /* An initiation is repeated: the path may be bad. */
  WG_ACTION_RETRY,
  /* Store timestamp beside the node key soon; see WgDeviceConfig.timestamp_floor. */
  WG_ACTION_SAVE_TIMESTAMP,
} WgActionType;

typedef struct
{
  WgActionType type;
  NodePublic peer; /* all but SAVE_TIMESTAMP and cookie replies */
  unsigned worker; /* the owner of peer */
  union
  {
    struct
    {
      bool to_source;
      WgSource source; /* of the message that is answered */
      uint8_t bytes[WG_INITIATION_SIZE];
      size_t size;
    } send;
    WgSessionKeys install;
    WgSource authentic;
    uint8_t timestamp[WG_TIMESTAMP_SIZE];
  };
} WgAction;

/* Counters since the start. */
typedef struct
{
  uint64_t initiations_sent;
  uint64_t responses_sent;
  uint64_t cookies_sent;
  uint64_t sessions; /* completed, both roles */
  uint64_t gave_up;
  uint64_t dropped_malformed; /* length, type, reserved bytes */
  uint64_t dropped_mac1;
  uint64_t dropped_load;    /* cookie mode: answered with a cookie, or over the limit */
  uint64_t dropped_unknown; /* static key or index of nobody who may talk to us */
  uint64_t dropped_replay;  /* timestamp or index used before, as second copies are */
  uint64_t dropped_rate;    /* more than one initiation in 20 ms */
  uint64_t dropped_bad;     /* failed authentication */
  size_t known_peers;
  size_t active_peers;
  size_t indices;
} WgDeviceStats;

/* A device with no peers; copies CONFIG. RANDOM is borrowed for the device's life. */
WgDevice *wg_device_new (const WgDeviceConfig *config, Random *random);
void wg_device_free (WgDevice *device);

/* EVENT is borrowed during the call. Take all actions afterwards. */
void wg_device_input (WgDevice *device, const WgEvent *event, int64_t now_us);

/* The next action, or false when there is none left. Clear each: it may hold keys. */
bool wg_device_next_action (WgDevice *device, WgAction *action);
void wg_action_clear (WgAction *action);

/* When the device wants a WG_EVENT_TICK; TIME_NEVER when it waits for nothing. */
int64_t wg_device_next_deadline (WgDevice *device);

/* The device would make a key for a later handshake: send WG_EVENT_IDLE when nobody waits. */
bool wg_device_wants_idle (const WgDevice *device);

/* False: no session and no handshake of ours has this index. */
bool wg_device_has_index (const WgDevice *device, uint32_t index);

/* The worker that owns a peer: the same for every module. */
unsigned wg_peer_worker (const NodePublic *key, unsigned n_workers);

/* The timestamp to keep on a clean stop; unlike the one of SAVE_TIMESTAMP it reserves nothing. */
void wg_device_timestamp (const WgDevice *device, uint8_t out[WG_TIMESTAMP_SIZE]);

WgDeviceStats wg_device_stats (const WgDevice *device);
