#include "base/random.h"
#include "base/shared-map.h"

#include <glib.h>

#define KEYS 500

static unsigned held[1000]; /* references to each value */

static void
ref_value (uint64_t value)
{
  held[value]++;
}

static void
unref_value (uint64_t value)
{
  g_assert_cmpuint (held[value], >, 0);
  held[value]--;
}

static const SharedMapType counted = {ref_value, unref_value};

typedef struct
{
  bool has[KEYS];
  uint64_t value[KEYS];
} Reference;

static void
assert_same (const SharedMap *map, const Reference *ref)
{
  SharedMapIter iter = shared_map_begin (map);
  SharedMapEntry e;
  size_t n = 0;

  for (uint64_t key = 0; key < KEYS; key++) {
    uint64_t value;
    g_assert_cmpint (shared_map_get (map, key, &value), ==, ref->has[key]);
    if (!ref->has[key])
      continue;
    n++;
    g_assert_cmpuint (value, ==, ref->value[key]);
    g_assert_true (shared_map_next (&iter, &e));
    g_assert_cmpuint (e.key, ==, key);
  }
  g_assert_false (shared_map_next (&iter, &e));
  g_assert_cmpuint (shared_map_size (map), ==, n);
}

static void
assert_diff (const SharedMap *a, const SharedMap *b, const Reference *ra, const Reference *rb)
{
  SharedMapDiff diff = shared_map_diff (a, b);
  SharedMapChange c;

  for (uint64_t key = 0; key < KEYS; key++) {
    if (ra->has[key] == rb->has[key] && (!ra->has[key] || ra->value[key] == rb->value[key]))
      continue;
    g_assert_true (shared_map_diff_next (&diff, &c));
    g_assert_cmpuint (c.key, ==, key);
    g_assert_cmpint (c.in_old, ==, ra->has[key]);
    g_assert_cmpint (c.in_new, ==, rb->has[key]);
  }
  g_assert_false (shared_map_diff_next (&diff, &c));
}

static void
test_random (void)
{
  SeededRandom random;
  SharedMap *map = shared_map_new (&counted);
  Reference ref = {0};

  seeded_random_init (&random, 42);
  for (int round = 0; round < 400; round++) {
    SharedMap *next = shared_map_edit (map);
    Reference before = ref;
    for (uint64_t i = random_below (&random.base, round % 7 ? 6 : 200); i > 0; i--) {
      uint64_t key = random_below (&random.base, KEYS), value = random_below (&random.base, 1000);
      if (random_below (&random.base, 5) < 3) {
        shared_map_set (next, key, value);
        ref.has[key] = true;
        ref.value[key] = value;
      } else {
        g_assert_cmpint (shared_map_remove (next, key), ==, ref.has[key]);
        ref.has[key] = false;
      }
    }
    assert_same (map, &before);
    assert_same (next, &ref);
    assert_diff (map, next, &before, &ref);
    shared_map_unref (map);
    map = next;
  }
  shared_map_unref (map);
  for (size_t i = 0; i < G_N_ELEMENTS (held); i++)
    g_assert_cmpuint (held[i], ==, 0);
}

static void
test_equal_keys (void)
{
  SharedMap *map = shared_map_new (NULL);
  SharedMapEntry e;

  for (uint64_t value = 300; value > 0; value--)
    shared_map_add (map, 7, value);
  shared_map_add (map, 6, 1);
  shared_map_add (map, 8, 1);
  SharedMapIter iter = shared_map_seek (map, 7);
  for (uint64_t value = 1; value <= 300; value++) {
    g_assert_true (shared_map_next (&iter, &e));
    g_assert_cmpuint (e.key, ==, 7);
    g_assert_cmpuint (e.value, ==, value);
  }
  for (uint64_t value = 1; value <= 300; value++)
    g_assert_true (shared_map_remove_entry (map, 7, value));
  g_assert_false (shared_map_remove_entry (map, 7, 5));
  g_assert_cmpuint (shared_map_size (map), ==, 2);
  shared_map_unref (map);
}

static void
test_cost (void)
{
  SharedMap *map = shared_map_new (NULL);

  for (uint64_t key = 0; key < 10000; key++)
    shared_map_set (map, key * 3, key);
  g_assert_cmpuint (shared_map_leaves (map), <=, 160);
  SharedMap *next = shared_map_edit (map);
  shared_map_set (next, 15000, 1);
  g_assert_cmpuint (shared_map_shared_leaves (map, next), ==, shared_map_leaves (map) - 1);
  shared_map_unref (map);
  shared_map_unref (next);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/shared-map/equals-a-naive-map-after-random-edits", test_random);
  g_test_add_func ("/shared-map/keeps-equal-keys-in-order-of-values", test_equal_keys);
  g_test_add_func ("/shared-map/one-change-of-ten-thousand-copies-one-leaf", test_cost);
  return g_test_run ();
}
