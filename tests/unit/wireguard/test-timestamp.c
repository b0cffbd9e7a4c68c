#include "hex.h"
#include "vectors.h"
#include "wireguard/timestamp.h"

#include <glib.h>

static const uint8_t none[WG_TIMESTAMP_SIZE];
static const WallTime start = {V_UNIX_TIME, V_UNIX_NANOS};

static void
test_format (void)
{
  uint8_t out[WG_TIMESTAMP_SIZE];

  wg_timestamp_write (start, out);
  assert_hex (out, 12, V_TIMESTAMP);
  WallTime back = wg_timestamp_read (out);
  g_assert_cmpint (back.seconds, ==, V_UNIX_TIME);
  g_assert_cmphex (back.nanos, ==, 0x12000000);
  g_assert_true (wall_time_is_unset (wg_timestamp_read (none)));
}

static void
next (WgTimestamps *t, int64_t now_us, uint8_t last[WG_TIMESTAMP_SIZE],
      uint8_t stored[WG_TIMESTAMP_SIZE])
{
  uint8_t out[WG_TIMESTAMP_SIZE];

  wg_timestamps_next (t, now_us, out, stored);
  g_assert_cmpint (memcmp (out, last, sizeof out), >, 0);
  /* Whatever is sent is covered by what is stored. */
  g_assert_cmpint (memcmp (out, stored, sizeof out), <=, 0);
  memcpy (last, out, sizeof out);
}

static void
test_increases (void)
{
  uint8_t last[WG_TIMESTAMP_SIZE] = {0}, stored[WG_TIMESTAMP_SIZE] = {0};
  WgTimestamps t;

  wg_timestamps_init (&t, start, 0, none);
  for (int i = 0; i < 200; i++)
    next (&t, 0, last, stored); /* no time passes at all */
  wg_timestamps_set_clock (&t, (WallTime){V_UNIX_TIME - 86400 * 365, 0}, 5);
  for (int i = 0; i < 200; i++)
    next (&t, (int64_t)i * 5000000, last, stored);
  wg_timestamps_set_clock (&t, (WallTime){V_UNIX_TIME + 86400 * 365, 0}, 5);
  for (int i = 0; i < 2000; i++)
    next (&t, (int64_t)i * 5000000, last, stored);
  WallTime now = wg_timestamp_read (last);
  g_assert_cmpint (now.seconds, ==, V_UNIX_TIME + 86400 * 365 + 1999 * 5 - 1);
}

/* Restarts, clean and not, with clocks that are right, behind and ahead. */
static void
test_across_restarts (void)
{
  static const int64_t clock_errors[] = {0, -3600, -86400 * 400, 10, 86400, 0};
  uint8_t last[WG_TIMESTAMP_SIZE] = {0}, stored[WG_TIMESTAMP_SIZE] = {0};
  WgTimestamps t;

  for (size_t i = 0; i < G_N_ELEMENTS (clock_errors); i++) {
    wg_timestamps_init (&t, (WallTime){V_UNIX_TIME + clock_errors[i], 0}, 77, stored);
    for (int64_t s = 0; s < 3 * 3600; s += 120)
      next (&t, 77 + s * USEC_PER_SEC, last, stored);
  }
}

/* One kill after the other, each before anything more than the reservation was stored. */
static void
test_killed_at_once (void)
{
  uint8_t disk[WG_TIMESTAMP_SIZE], last[WG_TIMESTAMP_SIZE] = {0}, ignored[WG_TIMESTAMP_SIZE];
  WgTimestamps t;

  wg_timestamp_reserve (none, start, disk);
  for (int run = 0; run < 20; run++) {
    uint8_t floor[WG_TIMESTAMP_SIZE], sent[WG_TIMESTAMP_SIZE];
    WallTime now = {start.seconds + run, 0};

    memcpy (floor, disk, sizeof floor);
    wg_timestamp_reserve (floor, now, disk);
    wg_timestamps_init (&t, now, 0, floor);
    for (int i = 0; i < 3; i++) {
      wg_timestamps_next (&t, i, sent, ignored);
      g_assert_cmpint (memcmp (sent, last, sizeof sent), >, 0);
      memcpy (last, sent, sizeof last);
    }
  }
}

static void
test_stores_rarely (void)
{
  uint8_t last[WG_TIMESTAMP_SIZE], stored[WG_TIMESTAMP_SIZE];
  unsigned n_stored = 0;
  WgTimestamps t;

  wg_timestamps_init (&t, start, 0, none);
  for (int64_t s = 0; s < 24 * 3600; s += 120)
    n_stored += wg_timestamps_next (&t, s * USEC_PER_SEC, last, stored);
  g_assert_cmpuint (n_stored, >=, 24);
  g_assert_cmpuint (n_stored, <=, 49);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wireguard/timestamp/matches-the-vector", test_format);
  g_test_add_func ("/wireguard/timestamp/increases-whatever-the-clock-does", test_increases);
  g_test_add_func ("/wireguard/timestamp/increases-across-restarts", test_across_restarts);
  g_test_add_func ("/wireguard/timestamp/a-run-that-is-killed-at-once-is-not-repeated",
                   test_killed_at_once);
  g_test_add_func ("/wireguard/timestamp/is-stored-about-once-in-half-an-hour", test_stores_rarely);
  return g_test_run ();
}
