#include "wireguard/peer.h"

#include <glib.h>
#include <string.h>

/* One peer by itself; sessions are named by their local index. */
typedef struct
{
  SeededRandom random;
  TimerWheel wheel;
  WgPeerContext context;
  WgPeer peer;
  int64_t now_us;
  uint32_t next_index;
} Fixture;

static void
set_up (Fixture *f)
{
  seeded_random_init (&f->random, 7);
  f->now_us = 1000 * USEC_PER_SEC;
  timer_wheel_init (&f->wheel, f->now_us);
  f->context = (WgPeerContext){&f->wheel, wg_index_table_new (0), &f->random.base};
  wg_peer_init (&f->peer, &f->context, 3);
  f->next_index = 8;
}

static void
tear_down (Fixture *f)
{
  wg_peer_clear (&f->peer);
  g_assert_cmpuint (wg_index_table_count (f->context.sessions), ==, 0);
  g_assert_cmpuint (f->wheel.count, ==, 0);
  wg_index_table_free (f->context.sessions);
}

static WgTodo
install (Fixture *f, bool initiator, uint32_t *index)
{
  WgSessionKeys keys = {.initiator = initiator, .created_us = f->now_us};

  keys.local_index = f->next_index;
  f->next_index += 8;
  *index = keys.local_index;
  return wg_peer_install (&f->peer, &keys, f->now_us);
}

static WgSession *
session_of (Fixture *f, uint32_t index)
{
  return wg_index_table_get (f->context.sessions, index);
}

static uint32_t
index_of (const WgSession *session)
{
  return session ? session->local_index : 0;
}

static void
assert_slots (Fixture *f, uint32_t previous, uint32_t current, uint32_t next)
{
  uint32_t expected[] = {previous, current, next};
  size_t live = 0;

  g_assert_cmpuint (index_of (f->peer.previous), ==, previous);
  g_assert_cmpuint (index_of (atomic_load (&f->peer.current)), ==, current);
  g_assert_cmpuint (index_of (f->peer.next), ==, next);
  for (int i = 0; i < 3; i++) {
    live += expected[i] != 0;
    if (expected[i])
      g_assert_nonnull (session_of (f, expected[i]));
  }
  g_assert_cmpuint (wg_index_table_count (f->context.sessions), ==, live);
}

static void
free_retired (Fixture *f, unsigned expected)
{
  unsigned n = 0;

  for (WgSession *s = wg_peer_take_retired (&f->peer); s; s = wg_peer_take_retired (&f->peer)) {
    wg_session_free (s);
    n++;
  }
  g_assert_cmpuint (n, ==, expected);
}

static void
test_initiator_next_empty (void)
{
  uint32_t a, b, c;
  Fixture f;

  set_up (&f);
  g_assert_cmphex (install (&f, true, &a), ==, WG_TODO_SESSION_READY | WG_TODO_KEEPALIVE);
  assert_slots (&f, 0, a, 0);
  install (&f, true, &b);
  assert_slots (&f, a, b, 0);
  g_assert_cmphex (install (&f, true, &c) & WG_TODO_RETIRED, ==, WG_TODO_RETIRED);
  assert_slots (&f, b, c, 0);
  free_retired (&f, 1);
  tear_down (&f);
}

static void
test_initiator_next_present (void)
{
  uint32_t a, b, c, d;
  Fixture f;

  set_up (&f);
  install (&f, true, &a);
  install (&f, true, &b);
  install (&f, false, &c);
  assert_slots (&f, 0, b, c);
  free_retired (&f, 1);
  install (&f, true, &d);
  assert_slots (&f, c, d, 0);
  free_retired (&f, 1);
  tear_down (&f);
}

static void
test_responder (void)
{
  uint32_t a, b, c, d;
  Fixture f;

  set_up (&f);
  g_assert_cmphex (install (&f, false, &a), ==, 0);
  assert_slots (&f, 0, 0, a);
  g_assert_null (wg_peer_current (&f.peer, f.now_us));
  g_assert_cmpint (wg_peer_state (&f.peer, f.now_us), ==, WG_STATE_HANDSHAKE);
  g_assert_cmphex (install (&f, false, &b), ==, WG_TODO_RETIRED);
  assert_slots (&f, 0, 0, b);
  install (&f, true, &c);
  assert_slots (&f, b, c, 0);
  install (&f, false, &d);
  assert_slots (&f, 0, c, d);
  free_retired (&f, 2);
  tear_down (&f);
}

static void
test_confirm (void)
{
  uint32_t a, b, c, d;
  Fixture f;

  set_up (&f);
  install (&f, true, &a);
  install (&f, true, &b);
  install (&f, false, &c);
  free_retired (&f, 1);
  WgTodo todo = wg_peer_received (&f.peer, session_of (&f, c), false, f.now_us);
  g_assert_cmphex (todo, ==, WG_TODO_SESSION_READY | WG_TODO_CONFIRMED);
  assert_slots (&f, b, c, 0);
  g_assert_cmphex (wg_peer_received (&f.peer, session_of (&f, c), false, f.now_us), ==, 0);
  install (&f, false, &d);
  assert_slots (&f, 0, c, d);
  free_retired (&f, 1);
  todo = wg_peer_received (&f.peer, session_of (&f, d), true, f.now_us);
  g_assert_cmphex (todo, ==, WG_TODO_SESSION_READY | WG_TODO_CONFIRMED);
  assert_slots (&f, c, d, 0);
  /* What is late on the old session is still taken; answers go out on the current one. */
  g_assert_cmphex (wg_peer_received (&f.peer, session_of (&f, c), true, f.now_us), ==, 0);
  g_assert_cmpuint (index_of (wg_peer_current (&f.peer, f.now_us)), ==, d);
  tear_down (&f);
}

static void
test_erase (void)
{
  uint32_t a, b, c;
  Fixture f;

  set_up (&f);
  install (&f, true, &a);
  install (&f, false, &b);
  wg_peer_received (&f.peer, session_of (&f, b), true, f.now_us);
  install (&f, false, &c);
  free_retired (&f, 1);
  g_assert_cmphex (wg_peer_erase (&f.peer), ==, WG_TODO_RETIRED | WG_TODO_IDLE);
  assert_slots (&f, 0, 0, 0);
  g_assert_false (timer_node_armed (&f.peer.timer));
  g_assert_cmpint (wg_peer_state (&f.peer, f.now_us), ==, WG_STATE_NONE);
  free_retired (&f, 2);
  tear_down (&f);
}

static void
test_erase_after_540_s (void)
{
  uint32_t a;
  Fixture f;

  set_up (&f);
  install (&f, true, &a);
  int64_t end = f.now_us + 540 * USEC_PER_SEC;
  TimerNode *node;
  WgTodo todo = 0;
  unsigned wake_ups = 0;
  while (!(todo & WG_TODO_IDLE)) {
    f.now_us = timer_wheel_next (&f.wheel);
    g_assert_cmpint (f.now_us, !=, TIME_NEVER);
    wake_ups++;
    while ((node = timer_wheel_expire (&f.wheel, f.now_us))) {
      g_assert_cmpuint (node->kind, ==, 3);
      todo |= wg_peer_tick (wg_peer_from_timer (node), f.now_us);
    }
    g_assert_true (f.now_us >= end || todo == 0);
  }
  g_assert_cmpint (f.now_us, ==, timer_round (end));
  g_assert_cmpuint (wake_ups, ==, 1);
  assert_slots (&f, 0, 0, 0);
  g_assert_cmpint (timer_wheel_next (&f.wheel), ==, TIME_NEVER);
  free_retired (&f, 1);
  tear_down (&f);
}

static void
test_asks_once_in_5_s (void)
{
  Fixture f;

  set_up (&f);
  g_assert_cmphex (wg_peer_no_session (&f.peer, f.now_us), ==, WG_TODO_HANDSHAKE);
  g_assert_cmphex (wg_peer_no_session (&f.peer, f.now_us + 1), ==, 0);
  g_assert_cmphex (wg_peer_no_session (&f.peer, f.now_us + 5 * USEC_PER_SEC), ==,
                   WG_TODO_HANDSHAKE);
  g_assert_cmpint (wg_peer_state (&f.peer, f.now_us), ==, WG_STATE_HANDSHAKE);
  g_assert_cmphex (wg_peer_give_up (&f.peer), ==, WG_TODO_IDLE);
  g_assert_cmpint (wg_peer_state (&f.peer, f.now_us), ==, WG_STATE_NONE);
  g_assert_cmphex (wg_peer_no_session (&f.peer, f.now_us + 5 * USEC_PER_SEC + 1), ==,
                   WG_TODO_HANDSHAKE);
  tear_down (&f);
}

static void
test_handshake_on_data (void)
{
  uint32_t a;
  Fixture f;

  set_up (&f);
  install (&f, true, &a);
  WgSession *s = session_of (&f, a);
  g_assert_cmphex (wg_peer_sent (&f.peer, s, true, f.now_us), ==, 0);
  wg_peer_handshake_on_data (&f.peer);
  g_assert_nonnull (wg_peer_current (&f.peer, f.now_us));
  g_assert_cmphex (wg_peer_sent (&f.peer, s, true, f.now_us), ==, WG_TODO_HANDSHAKE);
  g_assert_cmphex (wg_peer_sent (&f.peer, s, true, f.now_us), ==, 0);
  g_assert_nonnull (wg_peer_current (&f.peer, f.now_us));
  tear_down (&f);
}

static void
test_rekey_after_messages (void)
{
  uint32_t a;
  Fixture f;

  set_up (&f);
  install (&f, false, &a);
  WgSession *s = session_of (&f, a);
  wg_peer_received (&f.peer, s, true, f.now_us);
  atomic_store (&s->send_counter, WG_REKEY_AFTER_MESSAGES);
  g_assert_cmphex (wg_peer_sent (&f.peer, s, true, f.now_us), ==, 0);
  atomic_store (&s->send_counter, WG_REKEY_AFTER_MESSAGES + 1);
  g_assert_cmphex (wg_peer_sent (&f.peer, s, true, f.now_us), ==, WG_TODO_HANDSHAKE);
  tear_down (&f);
}

static void
test_foreign_sender (void)
{
  uint32_t a;
  Fixture f;

  set_up (&f);
  install (&f, true, &a);
  WgSession *s = session_of (&f, a);
  g_assert_true (wg_peer_sent_foreign (&f.peer, s, f.now_us));
  g_assert_false (wg_peer_sent_foreign (&f.peer, s, f.now_us + 1));
  g_assert_cmphex (wg_peer_sent_elsewhere (&f.peer, f.now_us + 2), ==, 0);
  g_assert_cmpint (timer_wheel_next (&f.wheel), <=, f.now_us + 16 * USEC_PER_SEC);
  f.now_us += WG_REKEY_AFTER_TIME_US;
  g_assert_true (wg_peer_sent_foreign (&f.peer, s, f.now_us));
  g_assert_cmphex (wg_peer_sent_elsewhere (&f.peer, f.now_us), ==, WG_TODO_HANDSHAKE);
  g_assert_false (wg_peer_sent_foreign (&f.peer, s, f.now_us));
  tear_down (&f);
}

/* A batch may still hold a session that left its slot while the batch was decrypted. */
static void
test_retired_session (void)
{
  uint32_t a, b, c;
  Fixture f;

  set_up (&f);
  install (&f, true, &a);
  WgSession *old = session_of (&f, a);
  install (&f, true, &b);
  install (&f, true, &c);
  g_assert_null (session_of (&f, a));
  g_assert_cmphex (wg_peer_received (&f.peer, old, true, f.now_us), ==, 0);
  assert_slots (&f, b, c, 0);
  tear_down (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wireguard/peer/slots/initiator-with-next-empty", test_initiator_next_empty);
  g_test_add_func ("/wireguard/peer/slots/initiator-with-next-present",
                   test_initiator_next_present);
  g_test_add_func ("/wireguard/peer/slots/responder-waits-for-data", test_responder);
  g_test_add_func ("/wireguard/peer/slots/first-packet-confirms", test_confirm);
  g_test_add_func ("/wireguard/peer/slots/erase-empties-all", test_erase);
  g_test_add_func ("/wireguard/peer/keys-are-erased-after-540-seconds", test_erase_after_540_s);
  g_test_add_func ("/wireguard/peer/asks-net-once-in-5-seconds", test_asks_once_in_5_s);
  g_test_add_func ("/wireguard/peer/changed-disco-key-renews-with-the-next-data",
                   test_handshake_on_data);
  g_test_add_func ("/wireguard/peer/rekeys-after-2-to-the-60-messages", test_rekey_after_messages);
  g_test_add_func ("/wireguard/peer/another-worker-may-send", test_foreign_sender);
  g_test_add_func ("/wireguard/peer/retired-session-has-no-effect", test_retired_session);
  return g_test_run ();
}
