/* The device model: full lists, deltas, search and order (spec/desktop.md §8.5, §8.9, §10.2). */
#include "client/device-list.h"

#define PI                                                                                         \
  "('n7Ab3CNTRL', 'pi', 'pi.example.ts.net', ['100.64.0.9', 'fd7a:115c:a1e0::9'], 'linux', "       \
  "'alice', uint64 7, uint32 10499, int64 0, {'Tags': <['tag:lab']>, "                             \
  "'Routes': <['192.168.7.0/24']>})"
#define PI_OFFLINE                                                                                 \
  "('n7Ab3CNTRL', 'pi', 'pi.example.ts.net', ['100.64.0.9', 'fd7a:115c:a1e0::9'], 'linux', "       \
  "'alice', uint64 7, uint32 2304, int64 1803988800, {'Tags': <['tag:lab']>})"
#define ZURICH                                                                                     \
  "('n9Zz1CNTRL', 'Büro-10', 'b.example.ts.net', ['100.64.0.4'], 'windows', 'bob', uint64 8, "    \
  "uint32 9, int64 0, {'City': <'Zürich'>, 'Country': <'Switzerland'>})"

static GVariant *
rows (const char *text)
{
  return g_variant_parse (G_VARIANT_TYPE ("a" WARREN_DEVICE_ROW_TYPE), text, NULL, NULL, NULL);
}

static void
apply (WarrenDeviceList *list, const char *text, gboolean full, const char *const *removed)
{
  g_autoptr (GVariant) parsed = rows (text);

  g_assert_nonnull (parsed);
  warren_device_list_apply (list, parsed, full, removed);
}

static void
count (gpointer list, guint position, guint removed, guint added, int *n)
{
  (*n)++;
}

static void
remember (gpointer object, guint change, guint *changes)
{
  *changes |= change;
}

static void
test_samples_of_the_specification (void)
{
  g_autoptr (WarrenDeviceList) list = warren_device_list_new ();
  const char *const gone[] = {"n9Zz1CNTRL", NULL};
  WarrenDevice *pi;

  apply (list, "[" PI ", " ZURICH "]", TRUE, NULL);
  g_assert_cmpuint (warren_device_list_get_size (list), ==, 2);
  pi = warren_device_list_lookup (list, "n7Ab3CNTRL");
  g_assert_cmpstr (warren_device_get_address (pi), ==, "100.64.0.9");
  g_assert_true (warren_device_is_online (pi));
  g_assert_true (warren_device_get_flags (pi) & WARREN_DEVICE_DIRECT);
  apply (list, "[" PI_OFFLINE "]", FALSE, gone);
  g_assert_cmpuint (warren_device_list_get_size (list), ==, 1);
  g_assert_true (warren_device_list_lookup (list, "n7Ab3CNTRL") == pi);
  g_assert_false (warren_device_is_online (pi));
  g_assert_cmpint (warren_device_get_last_seen (pi), ==, 1803988800);
}

static void
test_a_changed_row_changes_no_positions (void)
{
  g_autoptr (WarrenDeviceList) list = warren_device_list_new ();
  guint device_changes = 0;
  guint list_changes = 0;
  int moves = 0;

  apply (list, "[" PI ", " ZURICH "]", TRUE, NULL);
  g_signal_connect (list, "items-changed", G_CALLBACK (count), &moves);
  g_signal_connect (list, "updated", G_CALLBACK (remember), &list_changes);
  g_signal_connect (warren_device_list_lookup (list, "n7Ab3CNTRL"), "changed",
                    G_CALLBACK (remember), &device_changes);
  apply (list, "[" PI_OFFLINE "]", FALSE, NULL);
  g_assert_cmpint (moves, ==, 0);
  g_assert_cmpuint (device_changes, ==, WARREN_DEVICE_CHANGED_FLAGS);
  g_assert_cmpuint (list_changes, ==, WARREN_DEVICE_CHANGED_FLAGS);
  device_changes = 0;
  apply (list, "[" PI_OFFLINE "]", FALSE, NULL);
  g_assert_cmpuint (device_changes, ==, 0);
}

static void
test_a_full_list_removes_what_is_gone (void)
{
  g_autoptr (WarrenDeviceList) list = warren_device_list_new ();

  apply (list, "[" PI ", " ZURICH "]", TRUE, NULL);
  apply (list, "[" ZURICH "]", TRUE, NULL);
  g_assert_cmpuint (warren_device_list_get_size (list), ==, 1);
  g_assert_null (warren_device_list_lookup (list, "n7Ab3CNTRL"));
  apply (list, "@a" WARREN_DEVICE_ROW_TYPE " []", TRUE, NULL);
  g_assert_cmpuint (warren_device_list_get_size (list), ==, 0);
}

static void
test_search_looks_everywhere (void)
{
  static const char *const hits[]
      = {"PI", "example.ts", "64.0.9", "a1e0::9", "Alice", "tag:lab", "linux"};
  g_autoptr (WarrenDeviceList) list = warren_device_list_new ();
  g_autofree char *town = warren_search_fold ("zurich");
  g_autofree char *office = warren_search_fold ("BURO");
  WarrenDevice *pi;

  apply (list, "[" PI ", " ZURICH "]", TRUE, NULL);
  pi = warren_device_list_lookup (list, "n7Ab3CNTRL");
  for (gsize i = 0; i < G_N_ELEMENTS (hits); i++) {
    g_autofree char *needle = warren_search_fold (hits[i]);

    g_assert_true (warren_device_matches (pi, needle));
  }
  g_assert_false (warren_device_matches (pi, town));
  g_assert_true (warren_device_matches (warren_device_list_lookup (list, "n9Zz1CNTRL"), town));
  g_assert_true (warren_device_matches (warren_device_list_lookup (list, "n9Zz1CNTRL"), office));
}

static void
test_ten_thousand_are_quick (void)
{
  g_autoptr (WarrenDeviceList) list = warren_device_list_new ();
  GVariantBuilder builder;
  g_autoptr (GVariant) all = NULL;
  gint64 start;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a" WARREN_DEVICE_ROW_TYPE));
  for (int i = 0; i < 10000; i++) {
    g_autofree char *row = g_strdup_printf (
        "('n%d', 'node-%d', 'node-%d.example.ts.net', ['100.64.0.1'], 'linux', 'alice', uint64 7, "
        "uint32 1, int64 0, @a{sv} {})",
        i, i, i);

    g_variant_builder_add_parsed (&builder, row);
  }
  all = g_variant_ref_sink (g_variant_builder_end (&builder));
  start = g_get_monotonic_time ();
  warren_device_list_apply (list, all, TRUE, NULL);
  warren_device_list_apply (list, all, TRUE, NULL);
  g_test_message ("twice 10,000 rows in %d ms", (int)(g_get_monotonic_time () - start) / 1000);
  g_assert_cmpuint (warren_device_list_get_size (list), ==, 10000);
  g_assert_nonnull (warren_device_list_lookup (list, "n9999"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/devices/samples-of-the-specification", test_samples_of_the_specification);
  g_test_add_func ("/devices/a-changed-row-changes-no-positions",
                   test_a_changed_row_changes_no_positions);
  g_test_add_func ("/devices/a-full-list-removes-what-is-gone",
                   test_a_full_list_removes_what_is_gone);
  g_test_add_func ("/devices/search-looks-everywhere", test_search_looks_everywhere);
  g_test_add_func ("/devices/ten-thousand-are-quick", test_ten_thousand_are_quick);
  return g_test_run ();
}
