#include "wireguard/index-table.h"

#include <glib.h>

static void
test_unique (void)
{
  GHashTable *seen = g_hash_table_new (NULL, NULL);
  WgIndexTable *table = wg_index_table_new (5);
  SeededRandom random;

  seeded_random_init (&random, 1);
  for (int i = 0; i < 5000; i++) {
    uint32_t index = wg_index_table_allocate (table, &random.base, &random);
    g_assert_cmpuint (index, !=, 0);
    g_assert_cmpuint (wg_index_worker (index), ==, 5);
    g_assert_true (g_hash_table_add (seen, GUINT_TO_POINTER (index)));
    g_assert_true (wg_index_table_get (table, index) == &random);
    g_assert_null (wg_index_table_get (table, index ^ 0x80000000u));
    g_assert_null (wg_index_table_get (table, index ^ 1));
  }
  g_assert_cmpuint (wg_index_table_count (table), ==, 5000);
  wg_index_table_free (table);
  g_hash_table_unref (seen);
}

static void
test_reuse (void)
{
  WgIndexTable *table = wg_index_table_new (0);
  SeededRandom random;
  int value;

  seeded_random_init (&random, 2);
  uint32_t first = wg_index_table_allocate (table, &random.base, &value);
  wg_index_table_remove (table, first);
  g_assert_null (wg_index_table_get (table, first));
  wg_index_table_remove (table, first);
  /* A slot rests: 1023 others come before it. */
  for (int i = 0; i < 1023; i++) {
    uint32_t index = wg_index_table_allocate (table, &random.base, &value);
    g_assert_cmphex (index >> 3 & 0x1ffff, !=, first >> 3 & 0x1ffff);
    wg_index_table_remove (table, index);
  }
  uint32_t again = wg_index_table_allocate (table, &random.base, &value);
  g_assert_cmphex (again >> 3 & 0x1ffff, ==, first >> 3 & 0x1ffff);
  g_assert_cmphex (again, !=, first);
  g_assert_null (wg_index_table_get (table, first));
  g_assert_cmpuint (wg_index_table_count (table), ==, 1);
  wg_index_table_free (table);
}

static void
test_full (void)
{
  WgIndexTable *table = wg_index_table_new (7);
  SeededRandom random;
  uint32_t last = 0;

  seeded_random_init (&random, 3);
  for (unsigned i = 0; i < WG_INDEX_MAX_SLOTS; i++)
    last = wg_index_table_allocate (table, &random.base, &random);
  g_assert_cmpuint (last, !=, 0);
  g_assert_cmpuint (wg_index_table_allocate (table, &random.base, &random), ==, 0);
  wg_index_table_remove (table, last);
  g_assert_cmpuint (wg_index_table_allocate (table, &random.base, &random), !=, 0);
  wg_index_table_free (table);
}

static void
test_worker_side (void)
{
  WgIndexTable *net = wg_index_table_new (1), *worker = wg_index_table_new (1);
  SeededRandom random;
  int a, b;

  seeded_random_init (&random, 4);
  uint32_t index = wg_index_table_allocate (net, &random.base, &a);
  g_assert_cmphex (wg_index_table_put (worker, index, &b), ==, index);
  g_assert_true (wg_index_table_get (worker, index) == &b);
  g_assert_cmphex (wg_index_table_put (worker, index ^ 2, &b), ==, 0);
  wg_index_table_remove (worker, index);
  g_assert_null (wg_index_table_get (worker, index));
  g_assert_cmpuint (wg_index_table_count (worker), ==, 0);
  wg_index_table_put (worker, 0xfff00001u | 100000u << 3, &a);
  g_assert_true (wg_index_table_get (worker, 0xfff00001u | 100000u << 3) == &a);
  wg_index_table_free (net);
  wg_index_table_free (worker);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wireguard/index-table/indices-are-unique", test_unique);
  g_test_add_func ("/wireguard/index-table/slot-rests-and-changes-its-tag", test_reuse);
  g_test_add_func ("/wireguard/index-table/full-table-says-so", test_full);
  g_test_add_func ("/wireguard/index-table/worker-maps-what-net-allocated", test_worker_side);
  return g_test_run ();
}
