#include "base/wall-time.h"

#include <glib.h>
#include <string.h>

static void
test_round_trip (void)
{
  static const struct
  {
    const char *in;
    const char *out;
    int64_t seconds;
  } cases[] = {
      {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", WALL_TIME_UNSET},
      {"1970-01-01T01:02:03+01:00", "1970-01-01T00:02:03Z", 123},
      {"2026-11-23T04:06:05.251895082Z", "2026-11-23T04:06:05.251895082Z", 1795406765},
      {"2026-11-23T04:06:05.5Z", "2026-11-23T04:06:05.5Z", 1795406765},
      {"2024-02-29T23:59:59-00:30", "2024-03-01T00:29:59Z", 1709252999},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    WallTime t;
    char text[WALL_TIME_TEXT_MAX];
    g_assert_true (wall_time_parse (cases[i].in, strlen (cases[i].in), &t));
    g_assert_cmpint (t.seconds, ==, cases[i].seconds);
    wall_time_format (t, text);
    g_assert_cmpstr (text, ==, cases[i].out);
  }
}

static void
test_refuses (void)
{
  static const char *const bad[] = {"",
                                    "2026-13-01T00:00:00Z",
                                    "2026-02-29T00:00:00Z",
                                    "2026-01-01T24:00:00Z",
                                    "2026-01-01T00:00:00",
                                    "2026-01-01T00:00:00.Z",
                                    "2026-01-01T00:00:00+1:00",
                                    "2026-01-01"};

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    WallTime t;
    g_assert_false (wall_time_parse (bad[i], strlen (bad[i]), &t));
  }
}

static void
test_add (void)
{
  WallTime t = {.seconds = 10, .nanos = 500};
  WallTime later = wall_time_add_us (t, 1999999), earlier = wall_time_add_us (t, -1);

  g_assert_cmpint (later.seconds, ==, 11);
  g_assert_cmpint (later.nanos, ==, 999999500);
  g_assert_cmpint (earlier.seconds, ==, 9);
  g_assert_cmpint (earlier.nanos, ==, 999999500);
  g_assert_cmpint (wall_time_compare (earlier, later), <, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/wall-time/text-round-trips", test_round_trip);
  g_test_add_func ("/base/wall-time/impossible-dates-are-refused", test_refuses);
  g_test_add_func ("/base/wall-time/adding-carries", test_add);
  return g_test_run ();
}
