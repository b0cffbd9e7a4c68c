#include "base/random.h"
#include "wireguard/session.h"

#include <glib.h>
#include <string.h>

static void
test_window (void)
{
  WgReplay replay;

  for (uint64_t last = 8128; last < 8128 + 200; last++) {
    wg_replay_init (&replay);
    g_assert_true (wg_replay_accept (&replay, last));
    g_assert_false (wg_replay_accept (&replay, last));
    if (last > 8128)
      g_assert_false (wg_replay_accept (&replay, last - 8129));
    g_assert_true (wg_replay_accept (&replay, last - 8128));
    g_assert_false (wg_replay_accept (&replay, last - 8128));
    g_assert_true (wg_replay_accept (&replay, last + 1));
    g_assert_false (wg_replay_accept (&replay, last - 8128));
  }
}

/* The window against a plain list of everything that was seen. */
static void
test_model (void)
{
  enum
  {
    N = 60000
  };
  uint8_t *seen = g_malloc0 (N + 20000);
  SeededRandom random;
  WgReplay replay;

  for (uint64_t seed = 0; seed < 8; seed++) {
    uint64_t greatest = 0;
    memset (seen, 0, N + 20000);
    seeded_random_init (&random, seed);
    wg_replay_init (&replay);
    for (int i = 0; i < N && greatest < N; i++) {
      uint64_t low = greatest > 8400 ? greatest - 8400 : 0;
      uint64_t high = greatest + (random_below (&random.base, 100) == 0 ? 12000 : 3);
      uint64_t counter = low + random_below (&random.base, high - low + 1);
      bool expected = !seen[counter] && (counter > greatest || greatest - counter <= 8128);
      g_assert_true (wg_replay_check (&replay, counter) == expected);
      g_assert_true (wg_replay_accept (&replay, counter) == expected);
      if (expected)
        seen[counter] = 1;
      greatest = MAX (greatest, counter);
    }
  }
  g_free (seen);
}

static void
test_huge_jump (void)
{
  WgReplay replay;

  wg_replay_init (&replay);
  g_assert_true (wg_replay_accept (&replay, 0));
  g_assert_true (wg_replay_accept (&replay, WG_REJECT_AFTER_MESSAGES - 1));
  g_assert_true (wg_replay_accept (&replay, WG_REJECT_AFTER_MESSAGES - 2));
  g_assert_false (wg_replay_accept (&replay, 1));
}

static WgSession *
new_session (int64_t created_us)
{
  WgSessionKeys keys = {.local_index = 1, .remote_index = 2, .created_us = created_us};

  memset (keys.send_key, 1, sizeof keys.send_key);
  return wg_session_new (&keys, NULL);
}

/* A check before decryption must leave the window alone: a forged packet never gets further. */
static void
test_forged (void)
{
  WgSession *session = new_session (0);

  g_assert_true (wg_session_accept (session, 5));
  g_assert_cmpint (wg_session_check (session, UINT64_C (1) << 60, 1), ==, WG_RECEIVE_OK);
  g_assert_cmpint (wg_session_check (session, 6, 1), ==, WG_RECEIVE_OK);
  g_assert_cmpint (wg_session_check (session, 5, 1), ==, WG_RECEIVE_REPLAY);
  g_assert_true (wg_session_accept (session, 4));
  wg_session_free (session);
}

static void
test_counter_limit (void)
{
  uint64_t limit = UINT64_MAX - 8192; /* 2^64 - 2^13 - 1 */
  WgSession *session = new_session (0);
  uint64_t first;

  g_assert_cmpuint (limit, ==, WG_REJECT_AFTER_MESSAGES);
  g_assert_cmpint (wg_session_check (session, limit - 1, 1), ==, WG_RECEIVE_OK);
  g_assert_cmpint (wg_session_check (session, limit, 1), ==, WG_RECEIVE_LIMIT);
  atomic_store (&session->send_counter, limit - 3);
  g_assert_cmpuint (wg_session_reserve (session, 1, 1, &first), ==, 1);
  g_assert_cmpuint (first, ==, limit - 3);
  g_assert_cmpuint (wg_session_reserve (session, 1, 10, &first), ==, 2);
  g_assert_cmpuint (first, ==, limit - 2);
  g_assert_false (wg_session_can_send (session, 1));
  g_assert_cmpuint (wg_session_reserve (session, 1, 1, &first), ==, 0);
  wg_session_free (session);
}

static void
test_age (void)
{
  int64_t age = 180 * USEC_PER_SEC;
  WgSession *session = new_session (1000);
  uint64_t first;

  g_assert_cmpuint (wg_session_reserve (session, 1000 + age - 1, 44, &first), ==, 44);
  g_assert_cmpuint (first, ==, 0);
  g_assert_cmpuint (wg_session_reserve (session, 1000 + age, 1, &first), ==, 0);
  g_assert_cmpint (wg_session_check (session, 0, 1000 + age), ==, WG_RECEIVE_OK);
  g_assert_cmpint (wg_session_check (session, 0, 1000 + age + 1), ==, WG_RECEIVE_EXPIRED);
  wg_session_free (session);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wireguard/replay/takes-8128-behind-and-no-more", test_window);
  g_test_add_func ("/wireguard/replay/agrees-with-a-list-of-everything-seen", test_model);
  g_test_add_func ("/wireguard/replay/survives-a-huge-jump", test_huge_jump);
  g_test_add_func ("/wireguard/session/forged-counter-does-not-move-the-window", test_forged);
  g_test_add_func ("/wireguard/session/counter-stops-at-the-limit", test_counter_limit);
  g_test_add_func ("/wireguard/session/lives-180-seconds", test_age);
  return g_test_run ();
}
