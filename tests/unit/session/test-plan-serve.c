/* What a computer that serves lets in, and what its host is told to forward. */
#include "plan-help.h"

#define ALLOW_ALL                                                                                  \
  ",\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,"     \
  "\"Last\":65535}}]}]"

static bool
lets_in (const Plan *plan, const char *dst)
{
  FilterWitness witness;
  IpAddr from, to;

  g_assert_true (ip_parse (dst, strlen (dst), &to));
  const char *src = to.family == 4 ? "100.64.0.2" : "fd7a:115c:a1e0::2";
  g_assert_true (ip_parse (src, strlen (src), &from));
  return filter_explain (tunnel_config_settings (plan->tunnel)->filter, 6, &from, &to, 443,
                         &witness);
}

static Plan *
next_plan (Plan *plan, const Preferences *prefs, const Netmap *map, const LinkState *link)
{
  NetmapChanges changes;

  netmap_changes_init (&changes);
  Plan *next = plan_update (plan, prefs, map, link, &changes);
  g_assert_true (next != plan);
  plan_unref (plan);
  return next;
}

/* Spec B.3 and linux-host 8.2: an exit node is the way to the internet, not into its networks. */
static void
test_serving (void)
{
  static const char *const links[]
      = {"eth0 192.168.7.9/24", "eth1 198.51.100.7/24", "eth1 2001:db8::7/64", NULL};
  static const char *const open[] = {"8.8.8.8", "203.0.113.1", "198.51.100.7", "2600::1"};
  static const char *const shut[]
      = {"192.168.7.9", "10.1.2.3",    "198.51.100.8",         "127.0.0.1", "100.64.0.9",
         "224.0.0.1",   "2001:db8::8", "fd7a:115c:a1e0::2222", "fe80::1"};
  IpPrefix subnet = {.addr = ip_from_v4 (0xc0a80700), .bits = 24};
  g_autofree char *peer = peer_json (2, NULL, NULL);
  g_autofree char *json = g_strdup_printf ("{" SELF ",\"Peers\":[%s]" ALLOW_ALL "}", peer);
  Netmap *map = next_map (NULL, json, NULL);
  LinkState *link = make_link (links);
  Preferences prefs;

  preferences_init (&prefs, "https://vpn.example.org");
  Plan *plan = plan_new (&prefs, map, link);
  g_assert_true (lets_in (plan, "100.64.0.1"));
  g_assert_false (lets_in (plan, "8.8.8.8"));
  g_assert_false (plan->host->forward4 || plan->host->forward6);
  prefs.advertise_exit_node = true;
  plan = next_plan (plan, &prefs, map, link);
  for (size_t i = 0; i < G_N_ELEMENTS (open); i++)
    g_assert_true (lets_in (plan, open[i]));
  for (size_t i = 0; i < G_N_ELEMENTS (shut); i++)
    g_assert_false (lets_in (plan, shut[i]));
  g_assert_true (plan->host->forward4 && plan->host->forward6 && plan->host->snat);
  prefs.advertise_exit_node = prefs.snat_routes = false;
  g_assert_true (preferences_offer_route (&prefs, &subnet));
  plan = next_plan (plan, &prefs, map, link);
  g_assert_true (lets_in (plan, "192.168.7.9"));
  g_assert_false (lets_in (plan, "8.8.8.8"));
  g_assert_true (plan->host->forward4 && !plan->host->forward6 && !plan->host->snat);
  plan_unref (plan);
  link_state_unref (link);
  netmap_unref (map);
  preferences_clear (&prefs);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/what-is-offered-may-be-reached-and-no-more", test_serving);
  return g_test_run ();
}
