#include "path/home.h"
#include "path/netcheck-report.h"
#include "rig.h"

#include <string.h>

static const unsigned ids[] = {1, 2, 3};

typedef struct
{
  HomeHistory history;
  HomeQuestion question;
  DerpMap *map;
  int64_t now;
} Fixture;

static Fixture
fixture_new (uint16_t home)
{
  Fixture f = {.now = START, .map = rig_map (ids, 3)};

  f.question = (HomeQuestion){.map = f.map, .home = home, .control_connected = true, .chance = 1};
  return f;
}

static void
fixture_clear (Fixture *f)
{
  home_history_clear (&f->history);
  derp_map_unref (f->map);
}

/* A report with latencies in ms for regions 1 to 3 (0: not measured), and what it leads to. */
static uint16_t
ask (Fixture *f, double one, double two, double three)
{
  NetcheckReport report = {.finished_at_us = f->now};
  double list[] = {one, two, three};

  for (uint16_t i = 0; i < 3; i++)
    if (list[i] > 0)
      netcheck_report_add_latency (&report, i + 1, 4, (int64_t)(list[i] * 1000));
  home_history_add (&f->history, &report);
  f->question.report = &report;
  f->question.started_us = f->now - SECOND;
  uint16_t home = home_choose (&f->history, &f->question, f->now);
  f->question.report = NULL;
  g_free (report.regions);
  return home;
}

static void
test_table (void)
{
  static const struct
  {
    double old, best;
    bool keep;
  } rows[] = {{10, 5, true}, {40, 29, true}, {40, 26, false}, {30, 15, false}, {20, 10.5, true}};

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    Fixture f = fixture_new (1);
    g_assert_cmpint (ask (&f, rows[i].old, rows[i].best, 0), ==, rows[i].keep ? 1 : 2);
    fixture_clear (&f);
  }
}

static void
test_first (void)
{
  Fixture f = fixture_new (0);

  g_assert_cmpint (ask (&f, 30, 20, 10), ==, 3);
  fixture_clear (&f);
}

static void
test_history (void)
{
  Fixture f = fixture_new (2);

  ask (&f, 10, 40, 0);
  f.question.home = 2;
  f.now += 60 * SECOND;
  /* region 1 is slow now, but was at 10 ms a minute ago */
  g_assert_cmpint (ask (&f, 50, 40, 0), ==, 1);
  f.question.home = 2;
  f.now += 300 * SECOND;
  g_assert_cmpint (ask (&f, 50, 40, 0), ==, 2); /* forgotten */
  fixture_clear (&f);
}

static void
test_control_away (void)
{
  Fixture f = fixture_new (1);

  f.question.control_connected = false;
  g_assert_cmpint (ask (&f, 100, 1, 0), ==, 1);
  f.question.home = 0; /* but a first one is chosen */
  g_assert_cmpint (ask (&f, 100, 1, 0), ==, 2);
  f.question.home = 99; /* and one that left the map is replaced */
  g_assert_cmpint (ask (&f, 100, 1, 0), ==, 2);
  fixture_clear (&f);
}

static void
test_heard (void)
{
  Fixture f = fixture_new (1);

  f.question.heard_us = f.now - 7 * SECOND;
  g_assert_cmpint (ask (&f, 0, 5, 0), ==, 1);
  f.question.heard_us = f.now - 9 * SECOND;
  g_assert_cmpint (ask (&f, 0, 5, 0), ==, 2);
  /* nothing measured at all */
  g_assert_cmpint (ask (&f, 0, 0, 0), ==, 1);
  fixture_clear (&f);
}

static void
test_nothing_known (void)
{
  Fixture f = fixture_new (0);
  uint16_t first = ask (&f, 0, 0, 0);

  g_assert_cmpint (first, !=, 0);
  g_assert_cmpint (ask (&f, 0, 0, 0), ==, first);
  f.question.map = NULL;
  g_assert_cmpint (ask (&f, 0, 0, 0), ==, 0);
  fixture_clear (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/path/home/hysteresis-gives-the-table", test_table);
  g_test_add_func ("/path/home/the-first-is-the-fastest", test_first);
  g_test_add_func ("/path/home/remembers-five-minutes", test_history);
  g_test_add_func ("/path/home/stays-while-control-is-away", test_control_away);
  g_test_add_func ("/path/home/stays-while-frames-come", test_heard);
  g_test_add_func ("/path/home/any-region-is-better-than-none", test_nothing_known);
  return g_test_run ();
}
