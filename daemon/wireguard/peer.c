#include "wireguard/peer.h"

#define ANSWER_TIMEOUT_US (WG_KEEPALIVE_TIMEOUT_US + WG_REKEY_TIMEOUT_US)

static int64_t
load (_Atomic int64_t *time)
{
  return atomic_load_explicit (time, memory_order_relaxed);
}

static void
store (_Atomic int64_t *time, int64_t value)
{
  atomic_store_explicit (time, value, memory_order_relaxed);
}

static WgSession *
current_slot (WgPeer *peer)
{
  return atomic_load_explicit (&peer->current, memory_order_acquire);
}

static void
publish (WgPeer *peer, WgSession *session)
{
  atomic_store_explicit (&peer->current, session, memory_order_release);
}

/* Makes the timer fire at DEADLINE_US or earlier. Most calls find it armed already. */
static void
arm (WgPeer *peer, int64_t deadline_us)
{
  deadline_us = timer_round (deadline_us);
  if (deadline_us < peer->timer.deadline_us)
    timer_wheel_set (peer->context->wheel, &peer->timer, deadline_us);
}

static void
arm_all (WgPeer *peer)
{
  int64_t unacknowledged = load (&peer->unacknowledged_us);
  int64_t unanswered = load (&peer->unanswered_us);

  if (unacknowledged)
    arm (peer, unacknowledged + WG_KEEPALIVE_TIMEOUT_US);
  if (unanswered)
    arm (peer, unanswered + ANSWER_TIMEOUT_US + peer->answer_jitter_us);
  if (peer->derived_us)
    arm (peer, peer->derived_us + WG_ERASE_AFTER_TIME_US);
}

static void
draw_jitter (WgPeer *peer)
{
  peer->answer_jitter_us = random_between (peer->context->random, 0, WG_JITTER_US);
}

static WgTodo
retire (WgPeer *peer, WgSession *session)
{
  if (!session)
    return 0;
  wg_index_table_remove (peer->context->sessions, session->local_index);
  session->next_retired = peer->retired;
  peer->retired = session;
  return WG_TODO_RETIRED;
}

/* Net repeats a handshake by itself, so asking more often than it may start one says nothing new.
 */
static WgTodo
ask_handshake (WgPeer *peer, int64_t now_us)
{
  int64_t asked = load (&peer->asked_us);

  if (asked && now_us - asked < WG_REKEY_TIMEOUT_US)
    return 0;
  store (&peer->asked_us, now_us);
  return WG_TODO_HANDSHAKE;
}

static bool
rekey_wanted (WgPeer *peer, const WgSession *session, int64_t now_us)
{
  if (atomic_load_explicit (&peer->handshake_on_data, memory_order_relaxed))
    return true;
  if (!session)
    return false;
  if (session->initiator && now_us - session->created_us >= WG_REKEY_AFTER_TIME_US)
    return true;
  return atomic_load_explicit (&session->send_counter, memory_order_relaxed)
         > WG_REKEY_AFTER_MESSAGES;
}

void
wg_peer_init (WgPeer *peer, const WgPeerContext *context, uint32_t timer_kind)
{
  *peer = (WgPeer){.context = context};
  timer_node_init (&peer->timer, timer_kind);
  draw_jitter (peer);
}

WgPeer *
wg_peer_from_timer (TimerNode *node)
{
  return (WgPeer *)((char *)node - offsetof (WgPeer, timer));
}

/* Empties all slots and forgets what the timers wait for. */
static WgTodo
empty_slots (WgPeer *peer)
{
  WgTodo todo = 0;

  todo |= retire (peer, peer->previous);
  todo |= retire (peer, current_slot (peer));
  todo |= retire (peer, peer->next);
  peer->previous = NULL;
  publish (peer, NULL);
  peer->next = NULL;
  peer->derived_us = 0;
  store (&peer->unanswered_us, 0);
  store (&peer->unacknowledged_us, 0);
  atomic_store_explicit (&peer->received_more, 0, memory_order_relaxed);
  atomic_store_explicit (&peer->handshake_on_data, 0, memory_order_relaxed);
  timer_wheel_remove (peer->context->wheel, &peer->timer);
  return todo;
}

WgTodo
wg_peer_erase (WgPeer *peer)
{
  store (&peer->asked_us, 0);
  return empty_slots (peer) | WG_TODO_IDLE;
}

void
wg_peer_clear (WgPeer *peer)
{
  wg_peer_erase (peer);
  for (WgSession *s = wg_peer_take_retired (peer); s; s = wg_peer_take_retired (peer))
    wg_session_free (s);
}

WgSession *
wg_peer_take_retired (WgPeer *peer)
{
  WgSession *session = peer->retired;

  if (session)
    peer->retired = session->next_retired;
  return session;
}

WgTodo
wg_peer_install (WgPeer *peer, const WgSessionKeys *keys, int64_t now_us)
{
  WgSession *session = wg_session_new (keys, peer);
  WgTodo todo = retire (peer, peer->previous);

  if (!keys->initiator) {
    /* Message 1 may be a replay and message 2 may be lost: only data on these keys proves that the
     * peer has them. Until then the current session stays in use. */
    todo |= retire (peer, peer->next);
    peer->previous = NULL;
    peer->next = session;
    store (&peer->unacknowledged_us, 0);
    atomic_store_explicit (&peer->received_more, 0, memory_order_relaxed);
  } else {
    if (peer->next) {
      todo |= retire (peer, current_slot (peer));
      peer->previous = peer->next;
      peer->next = NULL;
    } else {
      peer->previous = current_slot (peer);
    }
    publish (peer, session);
    store (&peer->asked_us, 0);
    atomic_store_explicit (&peer->handshake_on_data, 0, memory_order_relaxed);
    todo |= WG_TODO_SESSION_READY | WG_TODO_KEEPALIVE;
  }
  wg_index_table_put (peer->context->sessions, keys->local_index, session);
  peer->derived_us = now_us;
  store (&peer->unanswered_us, 0);
  draw_jitter (peer);
  arm_all (peer);
  return todo;
}

WgSession *
wg_peer_current (WgPeer *peer, int64_t now_us)
{
  WgSession *session = current_slot (peer);

  return session && wg_session_can_send (session, now_us) ? session : NULL;
}

WgTodo
wg_peer_no_session (WgPeer *peer, int64_t now_us)
{
  return ask_handshake (peer, now_us);
}

WgTodo
wg_peer_sent (WgPeer *peer, WgSession *session, bool data, int64_t now_us)
{
  if (load (&peer->unacknowledged_us) != 0 || !data) {
    /* What came after the data that this keepalive answers wants an answer of its own. */
    bool more = atomic_load_explicit (&peer->received_more, memory_order_relaxed);
    store (&peer->unacknowledged_us, !data && more ? now_us : 0);
    atomic_store_explicit (&peer->received_more, 0, memory_order_relaxed);
    if (!data && more)
      arm (peer, now_us + WG_KEEPALIVE_TIMEOUT_US);
  }
  if (data && load (&peer->unanswered_us) == 0) {
    store (&peer->unanswered_us, now_us);
    arm (peer, now_us + ANSWER_TIMEOUT_US + peer->answer_jitter_us);
  }
  if (!rekey_wanted (peer, session, now_us))
    return 0;
  if (data)
    atomic_store_explicit (&peer->handshake_on_data, 0, memory_order_relaxed);
  return ask_handshake (peer, now_us);
}

bool
wg_peer_sent_foreign (WgPeer *peer, WgSession *session, int64_t now_us)
{
  int64_t asked = load (&peer->asked_us);
  bool tell = false;

  if (load (&peer->unacknowledged_us) != 0) {
    store (&peer->unacknowledged_us, 0);
    atomic_store_explicit (&peer->received_more, 0, memory_order_relaxed);
  }
  if (load (&peer->unanswered_us) == 0) {
    store (&peer->unanswered_us, now_us);
    tell = true;
  }
  if (rekey_wanted (peer, session, now_us) && (!asked || now_us - asked >= WG_REKEY_TIMEOUT_US))
    tell = true;
  return tell;
}

WgTodo
wg_peer_sent_elsewhere (WgPeer *peer, int64_t now_us)
{
  arm_all (peer);
  if (!rekey_wanted (peer, current_slot (peer), now_us))
    return 0;
  atomic_store_explicit (&peer->handshake_on_data, 0, memory_order_relaxed);
  return ask_handshake (peer, now_us);
}

/* The first authentic packet on the session we answered. */
static WgTodo
confirm (WgPeer *peer)
{
  WgTodo todo = retire (peer, peer->previous);

  peer->previous = current_slot (peer);
  publish (peer, peer->next);
  peer->next = NULL;
  store (&peer->asked_us, 0);
  atomic_store_explicit (&peer->handshake_on_data, 0, memory_order_relaxed);
  return todo | WG_TODO_SESSION_READY | WG_TODO_CONFIRMED;
}

WgTodo
wg_peer_received (WgPeer *peer, WgSession *session, bool data, int64_t now_us)
{
  WgTodo todo = 0;

  if (session == peer->next)
    todo |= confirm (peer);
  else if (session != current_slot (peer) && session != peer->previous)
    return 0;
  if (load (&peer->unanswered_us) != 0)
    store (&peer->unanswered_us, 0);
  if (data && load (&peer->unacknowledged_us) == 0) {
    store (&peer->unacknowledged_us, now_us);
    arm (peer, now_us + WG_KEEPALIVE_TIMEOUT_US);
  } else if (data) {
    atomic_store_explicit (&peer->received_more, 1, memory_order_relaxed);
  }
  if (session->initiator && !session->rekey_on_receive_done && session == current_slot (peer)
      && now_us - session->created_us >= WG_REKEY_AFTER_RECEIVE_US) {
    session->rekey_on_receive_done = true;
    todo |= ask_handshake (peer, now_us);
  }
  return todo;
}

WgTodo
wg_peer_tick (WgPeer *peer, int64_t now_us)
{
  int64_t unacknowledged = load (&peer->unacknowledged_us);
  int64_t unanswered = load (&peer->unanswered_us);
  WgTodo todo = 0;

  if (peer->derived_us && now_us - peer->derived_us >= WG_ERASE_AFTER_TIME_US) {
    /* After a suspend this timer fires late, when packets may wait for a new session already: net
     * will end that attempt, one way or the other. */
    todo = empty_slots (peer);
    return load (&peer->asked_us) ? todo : todo | WG_TODO_IDLE;
  }
  if (unacknowledged && now_us - unacknowledged >= WG_KEEPALIVE_TIMEOUT_US) {
    store (&peer->unacknowledged_us, 0);
    if (wg_peer_current (peer, now_us))
      todo |= WG_TODO_KEEPALIVE;
  }
  if (unanswered && now_us - unanswered >= ANSWER_TIMEOUT_US + peer->answer_jitter_us) {
    store (&peer->unanswered_us, 0);
    draw_jitter (peer);
    todo |= ask_handshake (peer, now_us) | WG_TODO_PATH_SUSPECT;
  }
  arm_all (peer);
  return todo;
}

WgTodo
wg_peer_give_up (WgPeer *peer)
{
  store (&peer->unacknowledged_us, 0);
  atomic_store_explicit (&peer->received_more, 0, memory_order_relaxed);
  store (&peer->asked_us, 0);
  return peer->previous || current_slot (peer) || peer->next ? 0 : WG_TODO_IDLE;
}

void
wg_peer_handshake_on_data (WgPeer *peer)
{
  atomic_store_explicit (&peer->handshake_on_data, 1, memory_order_relaxed);
}

WgPeerState
wg_peer_state (WgPeer *peer, int64_t now_us)
{
  WgSession *session = current_slot (peer);

  if (session && wg_session_can_send (session, now_us))
    return WG_STATE_ESTABLISHED;
  if (load (&peer->asked_us) || peer->next)
    return WG_STATE_HANDSHAKE;
  return session ? WG_STATE_EXPIRED : WG_STATE_NONE;
}
