/* Preferences as the dictionary of the bus. */
#include "api/preference-keys.h"

#include "api/bus-error.h"

#include <string.h>

static bool
apply (Preferences *prefs, const char *text, GError **error)
{
  g_autoptr (GVariant) changes = g_variant_ref_sink (g_variant_new_parsed (text));
  return preference_keys_apply (prefs, changes, error);
}

static void
test_round_trip (void)
{
  Preferences a, b;
  preferences_init (&a, "https://x");
  preferences_init (&b, "https://x");
  g_autoptr (GError) error = NULL;
  g_assert_true (apply (
      &a,
      "{'AcceptDns': <false>, 'AcceptRoutes': <true>, 'AutoConnect': <false>,"
      " 'ExitNode': <'n5Zu2CNTRL'>, 'ExitNodeAllowLan': <true>,"
      " 'AdvertiseRoutes': <['fd00::/64', '192.168.7.0/24', 'fd00::/64']>,"
      " 'SnatRoutes': <false>, 'Hostname': <'loom'>, 'Mtu': <uint32 1400>, 'Port': <uint16 41642>,"
      " 'Proxy': <'socks5://proxy.example'>,"
      " 'ShieldsUp': <true>, 'Tags': <['tag:lab', 'tag:x-1']>}",
      &error));
  g_assert_no_error (error);
  g_autoptr (GVariant) all = g_variant_ref_sink (preference_keys_to_variant (&a));
  g_assert_cmpuint (g_variant_n_children (all), ==, 14);
  g_assert_true (preference_keys_apply (&b, all, &error));
  g_assert_true (preferences_equal (&a, &b));
  g_assert_cmpint (b.exit_node_mode, ==, EXIT_NODE_BY_ID);
  g_assert_cmpuint (b.n_advertise_routes, ==, 2);
  preferences_clear (&a);
  preferences_clear (&b);
}

static void
test_exit_node (void)
{
  Preferences p;
  preferences_init (&p, "https://x");
  g_assert_true (apply (&p, "{'ExitNode': <'100.64.0.9'>}", NULL));
  g_assert_cmpint (p.exit_node_mode, ==, EXIT_NODE_BY_ADDRESS);
  g_assert_true (apply (&p, "{'ExitNode': <'auto:any'>}", NULL));
  g_assert_cmpint (p.exit_node_mode, ==, EXIT_NODE_AUTO);
  g_assert_cmpuint (p.exit_node_addr.family, ==, 0);
  g_assert_true (apply (&p, "{'ExitNode': <''>}", NULL));
  g_assert_cmpint (p.exit_node_mode, ==, EXIT_NODE_NONE);
  preferences_clear (&p);
}

static void
test_all_or_nothing (void)
{
  static const char *const bad[] = {
      "{'AcceptRoutes': <true>, 'Nonsense': <true>}",
      "{'AcceptRoutes': <true>, 'Hostname': <7>}",
      "{'AcceptRoutes': <true>, 'Hostname': <'-x'>}",
      "{'AcceptRoutes': <true>, 'Hostname': <'a..b'>}",
      "{'AcceptRoutes': <true>, 'Hostname': <'a b'>}",
      "{'AcceptRoutes': <true>, 'Mtu': <uint32 1279>}",
      "{'AcceptRoutes': <true>, 'Mtu': <uint32 9001>}",
      "{'AcceptRoutes': <true>, 'Tags': <['lab']>}",
      "{'AcceptRoutes': <true>, 'Tags': <['tag:']>}",
      "{'AcceptRoutes': <true>, 'Tags': <['tag:a\\nb']>}",
      "{'AcceptRoutes': <true>, 'ExitNode': <'n5 x'>}",
      "{'AcceptRoutes': <true>, 'ExitNode': <'../x\\u00e9'>}",
      "{'AcceptRoutes': <'yes'>}",
      "{'AcceptRoutes': <true>, 'AdvertiseRoutes': <['192.168.7.1/24']>}",
      "{'AcceptRoutes': <true>, 'AdvertiseRoutes': <['0.0.0.0/0']>}",
      "{'AcceptRoutes': <true>, 'AdvertiseRoutes': <['office']>}",
      "{'AcceptRoutes': <true>, 'Proxy': <'ftp://proxy'>}",
      "{'AcceptRoutes': <true>, 'Proxy': <'http://us\\r\\ner@proxy'>}",
      "{'AdvertiseExitNode': <true>, 'ExitNode': <'auto:any'>}",
  };
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    Preferences p, fresh;
    preferences_init (&p, "https://x");
    preferences_init (&fresh, "https://x");
    g_autoptr (GError) error = NULL;
    g_test_message ("%s", bad[i]);
    g_assert_false (apply (&p, bad[i], &error));
    g_assert_error (error, BUS_ERROR, BUS_ERROR_INVALID_ARGUMENT);
    g_assert_true (preferences_equal (&p, &fresh));
    preferences_clear (&p);
  }
}

static void
assert_proxy (const Preferences *p, const char *kept, const char *shown)
{
  g_autoptr (GVariant) all = g_variant_ref_sink (preference_keys_to_variant (p));
  const char *text = NULL;

  g_assert_cmpstr (p->proxy, ==, kept);
  g_assert_true (g_variant_lookup (all, "Proxy", "&s", &text));
  g_assert_cmpstr (text, ==, shown);
}

/* Preferences are broadcast: who sends back what was shown must not lose the password by it. */
static void
test_proxy (void)
{
  static const char full[] = "https://ann:s3cret@proxy.example:8443";
  static const char shown[] = "https://ann@proxy.example:8443";
  Preferences p;

  preferences_init (&p, "https://x");
  assert_proxy (&p, "", "");
  g_assert_true (apply (&p, "{'Proxy': <'https://ann:s3cret@proxy.example:8443'>}", NULL));
  assert_proxy (&p, full, shown);
  g_assert_true (apply (&p, "{'Proxy': <'https://ann@proxy.example:8443'>}", NULL));
  assert_proxy (&p, full, shown);
  g_assert_true (apply (&p, "{'Proxy': <'ann:s3cret@proxy'>}", NULL));
  assert_proxy (&p, "ann:s3cret@proxy", "ann@proxy");
  g_assert_true (apply (&p, "{'Proxy': <'none'>}", NULL));
  assert_proxy (&p, "none", "none");
  g_assert_true (apply (&p, "{'Proxy': <''>}", NULL));
  assert_proxy (&p, "", "");
  preferences_clear (&p);
}

static void
test_limits (void)
{
  Preferences p;
  preferences_init (&p, "https://x");
  g_autofree char *label = g_strnfill (63, 'a');
  g_autofree char *good = g_strdup_printf ("{'Hostname': <'%s'>}", label);
  g_autofree char *bad = g_strdup_printf ("{'Hostname': <'%sa'>}", label);
  g_autofree char *id = g_strnfill (PREFERENCES_NODE_ID_MAX, 'n');
  g_autofree char *long_id = g_strdup_printf ("{'ExitNode': <'%s'>}", id);
  g_assert_true (apply (&p, good, NULL));
  g_assert_false (apply (&p, bad, NULL));
  g_assert_false (apply (&p, long_id, NULL));
  GVariantBuilder tags;
  g_variant_builder_init (&tags, G_VARIANT_TYPE_STRING_ARRAY);
  for (int i = 0; i <= PREFERENCES_TAGS_LIMIT; i++)
    g_variant_builder_add (&tags, "s", "tag:a");
  g_autoptr (GVariant) changes
      = g_variant_ref_sink (g_variant_new_parsed ("{'Tags': <%*>}", g_variant_builder_end (&tags)));
  g_assert_false (preference_keys_apply (&p, changes, NULL));
  preferences_clear (&p);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/api/preference-keys/round-trip", test_round_trip);
  g_test_add_func ("/api/preference-keys/exit-node-is-an-id-an-address-or-automatic",
                   test_exit_node);
  g_test_add_func ("/api/preference-keys/all-or-nothing", test_all_or_nothing);
  g_test_add_func ("/api/preference-keys/have-limits", test_limits);
  g_test_add_func ("/api/preference-keys/show-a-proxy-without-its-password", test_proxy);
  return g_test_run ();
}
