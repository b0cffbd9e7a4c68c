#include "base/random.h"
#include "base/timer-wheel.h"

#include <glib.h>

#define N 300

/* The wheel against a plain list, over steps and jumps of every size. */
static void
test_model (void)
{
  static TimerNode nodes[N];
  int64_t deadlines[N];
  SeededRandom random;
  TimerWheel wheel;

  for (uint64_t seed = 0; seed < 20; seed++) {
    int64_t now = (int64_t)seed * 7777777;
    seeded_random_init (&random, seed);
    timer_wheel_init (&wheel, now);
    for (int i = 0; i < N; i++) {
      timer_node_init (&nodes[i], (uint32_t)i);
      deadlines[i] = TIME_NEVER;
    }
    for (int round = 0; round < 3000; round++) {
      int64_t range = INT64_C (1) << random_below (&random.base, 32);
      size_t i = random_below (&random.base, N);
      if (random_below (&random.base, 4) == 0) {
        timer_wheel_remove (&wheel, &nodes[i]);
        deadlines[i] = TIME_NEVER;
      } else {
        deadlines[i] = now + random_between (&random.base, -10, range);
        timer_wheel_set (&wheel, &nodes[i], deadlines[i]);
      }
      int64_t next = TIME_NEVER;
      for (int k = 0; k < N; k++)
        next = time_min (next, deadlines[k]);
      g_assert_cmpint (timer_wheel_next (&wheel), ==, next);
      if (random_below (&random.base, 2))
        continue;
      now = random_below (&random.base, 2) && next != TIME_NEVER && next > now
                ? next
                : now + random_between (&random.base, 0, range);
      TimerNode *node;
      while ((node = timer_wheel_expire (&wheel, now))) {
        g_assert_cmpint (deadlines[node->kind], <=, now);
        deadlines[node->kind] = TIME_NEVER;
        g_assert_false (timer_node_armed (node));
      }
      size_t armed = 0;
      for (int k = 0; k < N; k++) {
        g_assert_cmpint (deadlines[k], >, now);
        armed += deadlines[k] != TIME_NEVER;
      }
      g_assert_cmpuint (wheel.count, ==, armed);
    }
  }
}

static void
test_empty (void)
{
  TimerWheel wheel;
  TimerNode node;

  timer_wheel_init (&wheel, 5);
  timer_node_init (&node, 0);
  g_assert_cmpint (timer_wheel_next (&wheel), ==, TIME_NEVER);
  g_assert_null (timer_wheel_expire (&wheel, TIME_NEVER / 2));
  timer_wheel_set (&wheel, &node, TIME_NEVER);
  g_assert_false (timer_node_armed (&node));
  timer_wheel_remove (&wheel, &node);
}

static void
test_rounding (void)
{
  g_assert_cmpint (timer_round (0), ==, 0);
  g_assert_cmpint (timer_round (1), ==, 250000);
  g_assert_cmpint (timer_round (250000), ==, 250000);
  g_assert_cmpint (timer_round (250001), ==, 500000);
  g_assert_cmpint (timer_round (TIME_NEVER), ==, TIME_NEVER);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/timer-wheel/agrees-with-a-list", test_model);
  g_test_add_func ("/base/timer-wheel/is-silent-when-empty", test_empty);
  g_test_add_func ("/base/timer-wheel/rounds-up-to-merge-wake-ups", test_rounding);
  return g_test_run ();
}
