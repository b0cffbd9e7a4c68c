/* Configurations as values: equality, differences, what an update shares with its base. */
#include "base/random.h"
#include "tunnel/config.h"

#include <glib.h>
#include <string.h>

#define SEED  20261123
#define PEERS 10000

static TunnelPeer *
make_peer (int64_t id, uint16_t region)
{
  IpAddr address = ip_from_v4 (0x64400000u + (uint32_t)id);
  IpPrefix prefix = ip_single (&address);
  IpPort endpoint = {ip_from_v4 (0x0a000000u + (uint32_t)id), 41641};
  TunnelPeer fields = {.id = id,
                       .address4 = address,
                       .routes = &prefix,
                       .n_routes = 1,
                       .sources = &prefix,
                       .n_sources = 1,
                       .endpoints = &endpoint,
                       .n_endpoints = 1,
                       .home_region = region};

  memcpy (fields.key.bytes, &id, sizeof id);
  return tunnel_peer_new (&fields);
}

static TunnelConfig *
make_config (size_t n)
{
  const TunnelSettings settings = {.mtu = 1280};
  TunnelPeer **peers = g_new (TunnelPeer *, n);
  TunnelConfig *config;

  for (size_t i = 0; i < n; i++)
    peers[i] = make_peer ((int64_t)i + 1, 1);
  config = tunnel_config_update (NULL, &settings, peers, n, NULL, 0);
  for (size_t i = 0; i < n; i++)
    tunnel_peer_unref (peers[i]);
  g_free (peers);
  return config;
}

static TunnelConfig *
update (const TunnelConfig *base, TunnelPeer *put, int64_t removed)
{
  return tunnel_config_update (base, tunnel_config_settings (base), &put, put != NULL, &removed,
                               removed != 0);
}

static void
count_changes (const TunnelConfig *before, const TunnelConfig *after, unsigned *added,
               unsigned *changed, unsigned *removed)
{
  TunnelConfigDiff diff;
  TunnelPeer *old, *new;

  *added = *changed = *removed = 0;
  tunnel_config_diff_begin (&diff, before, after);
  while (tunnel_config_diff_next (&diff, &old, &new)) {
    *added += old == NULL;
    *removed += new == NULL;
    *changed += old != NULL && new != NULL;
  }
  tunnel_config_diff_end (&diff);
}

static void
test_differences (void)
{
  TunnelConfig *base = make_config (1000), *next;
  TunnelPeer *peer = make_peer (500, 2), *same = make_peer (7, 1), *fresh = make_peer (5000, 1);
  unsigned added, changed, removed;

  count_changes (NULL, base, &added, &changed, &removed);
  g_assert_cmpuint (added, ==, 1000);
  next = update (base, peer, 0);
  count_changes (base, next, &added, &changed, &removed);
  g_assert_cmpuint (added, ==, 0);
  g_assert_cmpuint (changed, ==, 1);
  g_assert_false (tunnel_config_equal (base, next));
  g_assert_cmpuint (tunnel_config_peer (next, 500)->home_region, ==, 2);
  g_assert_cmpuint (tunnel_config_peer (base, 500)->home_region, ==, 1);
  tunnel_config_unref (next);
  /* An equal record is no change, and the old one stays. */
  next = update (base, same, 0);
  g_assert_true (tunnel_config_equal (base, next));
  g_assert_true (tunnel_config_peer (base, 7) == tunnel_config_peer (next, 7));
  tunnel_config_unref (next);
  next = update (base, fresh, 3);
  count_changes (base, next, &added, &changed, &removed);
  g_assert_cmpuint (added, ==, 1);
  g_assert_cmpuint (removed, ==, 1);
  g_assert_null (tunnel_config_peer (next, 3));
  g_assert_cmpuint (tunnel_config_n_peers (next), ==, 1000);
  tunnel_config_unref (base);
  /* What was shared lives on. */
  g_assert_cmpint (tunnel_config_peer (next, 999)->id, ==, 999);
  tunnel_config_unref (next);
  tunnel_peer_unref (peer);
  tunnel_peer_unref (same);
  tunnel_peer_unref (fresh);
}

static void
test_settings (void)
{
  TunnelConfig *base = make_config (3), *next;
  TunnelSettings settings = *tunnel_config_settings (base);

  next = tunnel_config_update (base, &settings, NULL, 0, NULL, 0);
  g_assert_true (tunnel_config_equal (base, next));
  tunnel_config_unref (next);
  settings.knobs.disable_udp_gso = true;
  next = tunnel_config_update (base, &settings, NULL, 0, NULL, 0);
  g_assert_false (tunnel_config_equal (base, next));
  tunnel_config_unref (next);
  tunnel_config_unref (base);
}

static void
test_many (void)
{
  TunnelConfig *config = make_config (PEERS);
  TunnelConfig *first = tunnel_config_ref (config);
  size_t kept = 0;
  SeededRandom random;

  seeded_random_init (&random, SEED);
  for (int i = 0; i < 1000; i++) {
    TunnelPeer *peer
        = make_peer (1 + (int64_t)random_below (&random.base, PEERS), (uint16_t)(2 + i % 5));
    TunnelConfig *next = update (config, peer, 0);
    unsigned added, changed, removed;

    count_changes (config, next, &added, &changed, &removed);
    g_assert_cmpuint (added + changed + removed, <=, 1);
    tunnel_config_unref (config);
    tunnel_peer_unref (peer);
    config = next;
  }
  for (int64_t id = 1; id <= PEERS; id++)
    kept += tunnel_config_peer (config, id) == tunnel_config_peer (first, id);
  g_assert_cmpuint (kept, >=, PEERS - 1000);
  tunnel_config_unref (first);
  tunnel_config_unref (config);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tunnel/config/tells-exactly-what-differs", test_differences);
  g_test_add_func ("/tunnel/config/settings-count-too", test_settings);
  g_test_add_func ("/tunnel/config/a-change-leaves-all-other-records-alone", test_many);
  return g_test_run ();
}
