#include "wireguard/load.h"

#include <glib.h>
#include <string.h>

static void
source_v4 (uint32_t address, uint16_t port, uint8_t out[WG_SOURCE_ID_SIZE])
{
  memset (out, 0, WG_SOURCE_ID_SIZE);
  out[0] = 4;
  store_be32 (out + 1, address);
  store_be16 (out + 17, port);
}

static void
test_global (void)
{
  SeededRandom random;
  WgLoad load;
  int64_t now = 10 * USEC_PER_SEC;

  seeded_random_init (&random, 1);
  wg_load_init (&load, &random.base, now);
  for (int i = 0; i < WG_LOAD_BURST; i++)
    g_assert_false (wg_load_count (&load, now));
  g_assert_true (wg_load_count (&load, now));
  g_assert_true (wg_load_count (&load, now + USEC_PER_SEC / 2));
  g_assert_false (wg_load_count (&load, now + USEC_PER_SEC));
  /* 400 a second is fine for ever. */
  now += 60 * USEC_PER_SEC;
  for (int i = 0; i < 4000; i++)
    g_assert_false (wg_load_count (&load, now + i * USEC_PER_SEC / WG_LOAD_RATE));
}

static void
test_source (void)
{
  uint8_t a[WG_SOURCE_ID_SIZE], b[WG_SOURCE_ID_SIZE];
  SeededRandom random;
  WgLoad load;
  int64_t now = 10 * USEC_PER_SEC;
  unsigned admitted = 0;

  seeded_random_init (&random, 1);
  wg_load_init (&load, &random.base, now);
  source_v4 (0x0a000001, 1, a);
  source_v4 (0x0a000001, 2, b); /* another port of the same host pays from the same purse */
  for (int i = 0; i < WG_LOAD_SOURCE_BURST; i++)
    g_assert_true (wg_load_admit_source (&load, i % 2 ? a : b, now));
  g_assert_false (wg_load_admit_source (&load, a, now));
  g_assert_false (wg_load_admit_source (&load, b, now));
  source_v4 (0x0a000002, 1, b);
  g_assert_true (wg_load_admit_source (&load, b, now));
  for (int64_t us = 0; us < 10 * USEC_PER_SEC; us += 1000)
    admitted += wg_load_admit_source (&load, a, now + us);
  g_assert_cmpuint (admitted, >=, 199);
  g_assert_cmpuint (admitted, <=, 201);

  /* IPv6: the /64 pays. */
  memset (a, 0, sizeof a);
  a[0] = 6;
  a[1] = 0x20;
  memcpy (b, a, sizeof b);
  b[16] = 9;
  for (int i = 0; i < WG_LOAD_SOURCE_BURST; i++)
    g_assert_true (wg_load_admit_source (&load, i % 2 ? a : b, now));
  g_assert_false (wg_load_admit_source (&load, a, now));
}

/* However many sources there are, memory is fixed and a crowd does not lock out a newcomer for
 * longer than buckets take to fill. */
static void
test_crowd (void)
{
  uint8_t id[WG_SOURCE_ID_SIZE];
  SeededRandom random;
  WgLoad load;
  int64_t now = 10 * USEC_PER_SEC;

  seeded_random_init (&random, 5);
  wg_load_init (&load, &random.base, now);
  for (uint32_t i = 0; i < 100000; i++) {
    source_v4 (i, 1, id);
    wg_load_admit_source (&load, id, now);
  }
  source_v4 (0xc0a80001, 1, id);
  g_assert_true (wg_load_admit_source (&load, id, now + USEC_PER_SEC / 4));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wireguard/load/cookies-begin-beyond-the-budget", test_global);
  g_test_add_func ("/wireguard/load/each-source-has-its-share", test_source);
  g_test_add_func ("/wireguard/load/crowd-costs-no-memory", test_crowd);
  return g_test_run ();
}
