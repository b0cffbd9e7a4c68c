/* The path to one peer: candidates, pings under way, the best address and how far it is trusted.
 *
 * Exists only for peers that are or were in use. Every way in ends by publishing the destination
 * when it changed and by setting the one timer. spec/path-finding.md §6. Net thread, inside path
 * only. */
#pragma once

#include "base/timer-wheel.h"
#include "path/candidates.h"
#include "path/path.h"
#include "path/peer-table.h"
#include "path/pings.h"
#include "path/way.h"

#define PATH_HEARTBEAT_US     (3 * USEC_PER_SEC)
#define PATH_TRUST_US         (6500 * USEC_PER_MSEC)
#define PATH_SESSION_IDLE_US  (45 * USEC_PER_SEC)
#define PATH_PING_INTERVAL_US (5 * USEC_PER_SEC)
#define PATH_GOOD_ENOUGH_US   (5 * USEC_PER_MSEC)
#define PATH_UPGRADE_US       (60 * USEC_PER_SEC)
#define PATH_ONE_WAY_US       (3 * USEC_PER_SEC) /* sending and nothing comes back */
#define PATH_TRIGGERED_US     (1 * USEC_PER_SEC) /* pings in answer to pings, per address */
#define PATH_CALL_AGAIN_US    (250 * USEC_PER_MSEC)
#define PATH_WAKE_ACTIVE_US   (300 * USEC_PER_SEC) /* pinged at once after a suspend */
#define PATH_REPLAY_NONCES    64

typedef struct Path Path;
typedef struct WireguardOnly WireguardOnly;

/* Nonces of pings lately accepted, so that a copy from another address is not answered. */
typedef struct
{
  uint32_t nonce[PATH_REPLAY_NONCES];
  uint32_t source[PATH_REPLAY_NONCES];
  unsigned next;
} ReplayNonces;

struct PeerPath
{
  TimerNode timer;
  PeerPath *next; /* all paths */
  PeerPath *prev;
  PeerRecord *record;
  Candidates candidates;
  SentPings pings;
  PathWay best;
  int64_t trust_until_us;   /* of best */
  int64_t last_sent_us;     /* by us: tunnel or command */
  int64_t last_received_us; /* WireGuard */
  int64_t last_full_ping_us;
  int64_t last_call_us; /* CallMeMaybe sent */
  int64_t last_got_call_us;
  int64_t last_pong_us;      /* any, over UDP */
  int64_t last_heard_us;     /* any disco at all */
  int64_t one_way_us;        /* first send since something came back; TIME_NEVER: none */
  int64_t heartbeat_us;      /* next; TIME_NEVER: not running */
  unsigned missed;           /* heartbeats on best without a pong in time */
  unsigned unanswered;       /* complaints of WireGuard since it last accepted something */
  bool suspect;              /* best may be dead: do not rely on it alone */
  bool wants_call;           /* a CallMeMaybe waits for fresh endpoints */
  int64_t seeking_us;        /* in use without a direct path since; TIME_NEVER: not so */
  int64_t next_guess_us;     /* path/birthday.h may try again */
  uint32_t side;             /* side socket that is kept for best, 0: none */
  IpPort seen_at;            /* our address there, as the peer sees it */
  IpPort challenger;         /* beat best once; a second time in a row and it takes over */
  uint32_t route_connection; /* relay connection the peer was last heard on, 0: none */
  PathDestination published;
  bool has_published;
  ReplayNonces *replay;          /* NULL until needed */
  WireguardOnly *wireguard_only; /* NULL for peers with disco */
};

PeerPath *peer_path_new (Path *path, PeerRecord *record);
void peer_path_free (Path *path, PeerPath *peer);

/* Something is (about to be) sent to the peer. */
void peer_path_sent (Path *path, PeerPath *peer);

/* WireGuard accepted something from it; SOURCE NULL: through a relay. */
void peer_path_received (Path *path, PeerPath *peer, const IpPort *source);
void peer_path_no_answer (Path *path, PeerPath *peer);

void peer_path_tick (Path *path, PeerPath *peer);

/* Disco from the peer, authentic. SOURCE NULL: through a relay. */
void peer_path_got_ping (Path *path, PeerPath *peer, const DiscoTxId *tx_id, const IpPort *source,
                         uint32_t side);
bool
peer_path_got_pong (Path *path, PeerPath *peer, const DiscoMessage *message, const IpPort *source);
void peer_path_got_call (Path *path, PeerPath *peer, const DiscoMessage *message);

/* One discovery ping to AT, from side socket SIDE (0: the shared one). */
void peer_path_ping (Path *path, PeerPath *peer, const IpPort *at, uint32_t side);

/* A CallMeMaybe with our endpoints as they are, and EXTRA ones (at most BIRTHDAY_GUESSES). */
void peer_path_call (Path *path, PeerPath *peer, const IpPort *extra, size_t n_extra);

/* A direct address is confirmed and nothing speaks against it. */
bool peer_path_is_direct (const Path *path, const PeerPath *peer);

/* True when a ping with this nonce was already taken from another address. */
bool
peer_path_is_replay (PeerPath *peer, const uint8_t nonce[BOX_NONCE_SIZE], const IpPort *source);

/* Pings every candidate that was not pinged within INTERVAL_US, and calls the peer when CALL. */
void peer_path_full_ping (Path *path, PeerPath *peer, bool call, int64_t interval_us);

/* `warren ping`. */
void peer_path_command (Path *path, PeerPath *peer, uint32_t id, size_t size);

/* Our endpoints are fresh: a CallMeMaybe that waited goes out. */
void peer_path_endpoints_ready (Path *path, PeerPath *peer);

/* Our endpoints are others now: who is being looked for is told. */
void peer_path_endpoints_changed (Path *path, PeerPath *peer);

/* The sockets or the network changed: nothing that was measured holds any more. PROBE: find out
 * anew at once when the peer is in use. */
void peer_path_reset (Path *path, PeerPath *peer, bool probe);

/* The computer slept for SLEPT_US. */
void peer_path_woke (Path *path, PeerPath *peer, int64_t slept_us);

/* The kernel has no way to this address. */
void peer_path_unreachable (Path *path, PeerPath *peer, const IpPort *at);

/* The record's endpoints, home region or flags changed. */
void peer_path_record_changed (Path *path, PeerPath *peer);

/* Relay connections came or went: the region to use may be another. */
void peer_path_publish (Path *path, PeerPath *peer);

/* Where packets go now. PEER may be NULL for a peer that is not in use. */
bool peer_path_destination (const Path *path, const PeerRecord *record, PathDestination *out);

void peer_path_status (const Path *path, const PeerRecord *record, PathPeerStatus *out);
