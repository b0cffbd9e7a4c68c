#include "base/prefix-table.h"
#include "base/random.h"

#include <glib.h>
#include <string.h>

#define ENTRIES_MAX 600

/* What the table should be: a list. */
typedef struct
{
  IpPrefix prefix[ENTRIES_MAX];
  uint64_t value[ENTRIES_MAX];
  size_t n;
} List;

static IpPrefix
prefix (const char *text)
{
  IpPrefix p;

  g_assert_true (ip_prefix_parse (text, strlen (text), &p));
  return p;
}

static IpAddr
addr (const char *text)
{
  IpAddr a;

  g_assert_true (ip_parse (text, strlen (text), &a));
  return a;
}

/* An address from a small world, so that prefixes nest and meet. */
static IpAddr
random_addr (Random *random)
{
  IpAddr a = {.family = random_below (random, 2) ? 4 : 6};
  size_t size = a.family == 4 ? 4 : 16;

  for (size_t i = 0; i < size; i++)
    a.bytes[i] = random_below (random, 4) ? 0xa0 : (uint8_t)random_below (random, 4);
  if (a.family == 6)
    memset (a.bytes, 0xfd, 8);
  return a;
}

static IpPrefix
random_prefix (Random *random)
{
  IpAddr a = random_addr (random);
  IpPrefix p = {a, (uint8_t)random_below (random, ip_bits (&a) + 1)};

  if (random_below (random, 2))
    p = ip_single (&a);
  return ip_prefix_mask (p);
}

static size_t
list_find (const List *list, const IpPrefix *p)
{
  for (size_t i = 0; i < list->n; i++)
    if (ip_prefix_equal (&list->prefix[i], p))
      return i;
  return SIZE_MAX;
}

static void
assert_lookups (const PrefixTable *table, const List *list, Random *random)
{
  for (int k = 0; k < 60; k++) {
    IpAddr a = random_addr (random);
    uint64_t value = 0, expected = 0, values[130];
    int best = -1;
    size_t covering = 0;
    for (size_t i = 0; i < list->n; i++) {
      if (!ip_prefix_contains (&list->prefix[i], &a))
        continue;
      covering++;
      if (list->prefix[i].bits > best) {
        best = list->prefix[i].bits;
        expected = list->value[i];
      }
    }
    g_assert_cmpint (prefix_table_lookup (table, &a, &value), ==, best >= 0);
    if (best >= 0)
      g_assert_cmpuint (value, ==, expected);
    g_assert_cmpuint (prefix_table_covering (table, &a, values, 130), ==, covering);
    if (covering > 0)
      g_assert_cmpuint (values[covering - 1], ==, expected);
  }
  g_assert_cmpuint (prefix_table_size (table), ==, list->n);
}

static void
count_entry (const IpPrefix *p, uint64_t value, void *data)
{
  const List *list = ((void **)data)[0];
  size_t *n = ((void **)data)[1], i = list_find (list, p);

  g_assert_cmpuint (i, !=, SIZE_MAX);
  g_assert_cmpuint (list->value[i], ==, value);
  (*n)++;
}

static void
test_random (void)
{
  SeededRandom random;
  List *list = g_new0 (List, 1), *before = g_new0 (List, 1);
  PrefixTable *table = prefix_table_new ();

  seeded_random_init (&random, 3);
  for (int round = 0; round < 300; round++) {
    PrefixTable *next = prefix_table_edit (table);
    *before = *list;
    for (uint64_t k = random_below (&random.base, 8); k > 0; k--) {
      IpPrefix p = random_prefix (&random.base);
      size_t i = list_find (list, &p);
      if (random_below (&random.base, 3) && (i != SIZE_MAX || list->n < ENTRIES_MAX)) {
        i = i == SIZE_MAX ? list->n++ : i;
        list->prefix[i] = p;
        list->value[i] = random_u64 (&random.base);
        prefix_table_set (next, &p, list->value[i]);
      } else {
        g_assert_cmpint (prefix_table_remove (next, &p), ==, i != SIZE_MAX);
        if (i != SIZE_MAX) {
          list->n--;
          list->prefix[i] = list->prefix[list->n];
          list->value[i] = list->value[list->n];
        }
      }
    }
    assert_lookups (table, before, &random.base);
    assert_lookups (next, list, &random.base);
    prefix_table_unref (table);
    table = next;
  }
  size_t n = 0;
  void *data[] = {list, &n};
  prefix_table_foreach (table, count_entry, data);
  g_assert_cmpuint (n, ==, list->n);
  prefix_table_unref (table);
  g_free (list);
  g_free (before);
}

static void
test_many (void)
{
  PrefixTable *table = prefix_table_new ();
  uint64_t value;

  for (uint32_t i = 0; i < 20000; i++) {
    IpAddr a = ip_from_v4 (0x64400000 + i);
    IpPrefix p = ip_single (&a);
    prefix_table_set (table, &p, i);
  }
  PrefixTable *next = prefix_table_edit (table);
  for (uint32_t i = 0; i < 20000; i += 3) {
    IpAddr a = ip_from_v4 (0x64400000 + i);
    IpPrefix p = ip_single (&a);
    g_assert_true (prefix_table_remove (next, &p));
  }
  for (uint32_t i = 0; i < 20000; i++) {
    IpAddr a = ip_from_v4 (0x64400000 + i);
    g_assert_true (prefix_table_lookup (table, &a, &value));
    g_assert_cmpuint (value, ==, i);
    g_assert_cmpint (prefix_table_lookup (next, &a, &value), ==, i % 3 != 0);
  }
  prefix_table_unref (table);
  prefix_table_unref (next);
}

static void
test_edges (void)
{
  PrefixTable *table = prefix_table_new ();
  IpPrefix all4 = prefix ("0.0.0.0/0"), all6 = prefix ("::/0"), none6 = prefix ("::/128"),
           none4 = prefix ("0.0.0.0/32"), odd = prefix ("10.1.2.3/8");
  IpAddr a4 = addr ("1.2.3.4"), a6 = addr ("2001:db8::1"), ten = addr ("10.9.9.9"),
         zero6 = addr ("::"), zero4 = addr ("0.0.0.0");
  uint64_t value;

  g_assert_false (prefix_table_lookup (table, &a4, &value));
  prefix_table_set (table, &all4, 4);
  g_assert_true (prefix_table_lookup (table, &a4, &value));
  g_assert_false (prefix_table_lookup (table, &a6, &value));
  prefix_table_set (table, &all6, 6);
  g_assert_true (prefix_table_lookup (table, &a6, &value));
  g_assert_cmpuint (value, ==, 6);
  prefix_table_set (table, &none6, 66);
  prefix_table_set (table, &none4, 44);
  g_assert_true (prefix_table_lookup (table, &zero6, &value));
  g_assert_cmpuint (value, ==, 66);
  g_assert_true (prefix_table_lookup (table, &zero4, &value));
  g_assert_cmpuint (value, ==, 44);
  prefix_table_set (table, &odd, 10);
  g_assert_true (prefix_table_lookup (table, &ten, &value));
  g_assert_cmpuint (value, ==, 10);
  g_assert_true (prefix_table_get (table, &all4, &value));
  g_assert_cmpuint (value, ==, 4);
  prefix_table_unref (table);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/prefix-table/equals-a-list-after-random-edits", test_random);
  g_test_add_func ("/prefix-table/holds-twenty-thousand-addresses", test_many);
  g_test_add_func ("/prefix-table/keeps-families-and-zero-addresses-apart", test_edges);
  return g_test_run ();
}
