/* The worker's side of a peer: session slots, rotation and timers.
 *
 * Never touches packets or sockets: it is told what was sent and received and answers with a set of
 * things to do (WgTodo). Handshakes are net's (wireguard/device.h). Timers are lazy: packets store
 * times, the wheel is touched only when a time goes from unset to set. Functions belong to the
 * worker that owns the peer unless they say otherwise. spec/wireguard-dataplane.md §4.2, §5, §6.1,
 * §10.6. */
#pragma once

#include "base/timer-wheel.h"
#include "wireguard/index-table.h"
#include "wireguard/session.h"

/* What the caller has to do after a call, in this order. */
typedef enum
{
  /* Sessions left their slots: take each with wg_peer_take_retired. */
  WG_TODO_RETIRED = 1 << 0,
  /* A session became usable for sending: send the priority message (§6.2), then staged packets, and
   * a keepalive when nothing else was sent and WG_TODO_KEEPALIVE is set as well. */
  WG_TODO_SESSION_READY = 1 << 1,
  /* Tell net: WG_EVENT_SESSION_CONFIRMED with the index of wg_peer_current. */
  WG_TODO_CONFIRMED = 1 << 2,
  /* Send a keepalive (empty packet), unless packets are sent right now. */
  WG_TODO_KEEPALIVE = 1 << 3,
  /* Tell net: WG_EVENT_WANT_HANDSHAKE. */
  WG_TODO_HANDSHAKE = 1 << 4,
  /* Tell the path finder that 15 s went by without an answer. */
  WG_TODO_PATH_SUSPECT = 1 << 5,
  /* No session is left and none will come by itself: drop staged packets; the peer may be freed. */
  WG_TODO_IDLE = 1 << 6,
} WgTodoFlag;
typedef uint32_t WgTodo;

/* One per worker; borrowed by its peers. */
typedef struct
{
  TimerWheel *wheel;
  WgIndexTable *sessions; /* receiver index -> WgSession */
  Random *random;
} WgPeerContext;

typedef enum
{
  WG_STATE_NONE,        /* no session */
  WG_STATE_HANDSHAKE,   /* asked for one, none usable yet */
  WG_STATE_ESTABLISHED, /* current session can send */
  WG_STATE_EXPIRED,     /* current session is older than 180 s */
} WgPeerState;

struct WgPeer
{
  TimerNode timer; /* kind: as given to wg_peer_init; see wg_peer_from_timer */
  const WgPeerContext *context;
  _Atomic (WgSession *) current; /* published: foreign workers read it */
  WgSession *previous;
  WgSession *next;
  WgSession *retired;
  int64_t derived_us;            /* when the newest session was installed; 0: never */
  _Atomic int64_t asked_us;      /* last WG_TODO_HANDSHAKE; 0: none since the last session */
  _Atomic int64_t unanswered_us; /* data was sent then and nothing authentic came since; 0: none */
  _Atomic int64_t unacknowledged_us;  /* data came then and nothing was sent since; 0: none */
  int64_t answer_jitter_us;           /* added to the 15 s timer, drawn for each session */
  _Atomic uint32_t received_more;     /* data came while unacknowledged_us was set */
  _Atomic uint32_t handshake_on_data; /* ask for a handshake with the next data packet */
};

/* Prepares a peer without sessions. TIMER_KIND goes into its TimerNode. */
void wg_peer_init (WgPeer *peer, const WgPeerContext *context, uint32_t timer_kind);

/* Erases and frees every session, retired ones included, and disarms the timer. Only when no other
 * worker can hold a session of this peer any more; else wg_peer_erase first and wait an epoch. */
void wg_peer_clear (WgPeer *peer);

/* The peer whose timer fired. */
WgPeer *wg_peer_from_timer (TimerNode *node);

/* A finished handshake, from net (WG_ACTION_INSTALL): rotates the slots by §4.2. */
WgTodo wg_peer_install (WgPeer *peer, const WgSessionKeys *keys, int64_t now_us);

/* The session to send on, or NULL when there is none that may be used at NOW_US: then stage the
 * packets and call wg_peer_no_session. Any worker. */
WgSession *wg_peer_current (WgPeer *peer, int64_t now_us);

/* A packet for the peer was staged because there is no session: asks for a handshake, at most once
 * in 5 s (net repeats by itself). */
WgTodo wg_peer_no_session (WgPeer *peer, int64_t now_us);

/* A run of packets was sent on SESSION; DATA is false for keepalives. Once for each run is enough.
 */
WgTodo wg_peer_sent (WgPeer *peer, WgSession *session, bool data, int64_t now_us);

/* The same from a worker that does not own the peer. True: post to the owner, which then calls
 * wg_peer_sent_elsewhere. */
bool wg_peer_sent_foreign (WgPeer *peer, WgSession *session, int64_t now_us);
WgTodo wg_peer_sent_elsewhere (WgPeer *peer, int64_t now_us);

/* Packets on SESSION were decrypted and accepted (wg_session_accept); DATA is false when all were
 * keepalives. Once for each run is enough. Confirms an unconfirmed session. */
WgTodo wg_peer_received (WgPeer *peer, WgSession *session, bool data, int64_t now_us);

/* The peer's timer fired. */
WgTodo wg_peer_tick (WgPeer *peer, int64_t now_us);

/* Net gave up the handshake (WG_ACTION_GIVE_UP): drop what is staged. WG_TODO_IDLE: nothing else is
 * left either. */
WgTodo wg_peer_give_up (WgPeer *peer);

/* The peer may have restarted (its disco key changed) or this computer was suspended: keep the
 * keys, but ask for a handshake with the next data packet. Any thread. */
void wg_peer_handshake_on_data (WgPeer *peer);

/* Erases all sessions (WG_ACTION_ERASE). */
WgTodo wg_peer_erase (WgPeer *peer);

/* One session that left its slot: its keys are still there for workers that hold it. Tell net
 * (WG_EVENT_SESSION_ERASED with its local index), and wg_session_free it when no worker can hold it
 * any more. NULL when there is none left. */
WgSession *wg_peer_take_retired (WgPeer *peer);

/* For status; never changes anything. */
WgPeerState wg_peer_state (WgPeer *peer, int64_t now_us);
