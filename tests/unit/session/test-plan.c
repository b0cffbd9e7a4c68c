#include "plan-help.h"

#include "base/random.h"

#define EXIT_ROUTES "\"0.0.0.0/0\",\"::/0\""

/* One world for a test: preferences, map, link and the plan that follows. */
typedef struct
{
  Preferences prefs;
  Netmap *map;
  LinkState *link;
  Plan *plan;
} World;

/* Brings the plan up to date, checks it against a fresh one, and says whether it is another one. */
static bool
update (World *w, const char *json)
{
  NetmapChanges changes;
  Plan *next, *fresh;

  netmap_changes_init (&changes);
  if (json)
    w->map = next_map (w->map, json, &changes);
  next = plan_update (w->plan, &w->prefs, w->map, w->link, &changes);
  fresh = plan_new (&w->prefs, w->map, w->link);
  assert_same_plan (next, fresh);
  plan_unref (fresh);
  bool changed = next != w->plan;
  plan_unref (w->plan);
  w->plan = next;
  netmap_changes_clear (&changes);
  return changed;
}

/* A world with peers that are separated by commas in PEERS. */
static World *
world (const char *peers, const char *more, const char *const *links)
{
  World *w = g_new0 (World, 1);
  static const char *const none[] = {NULL};

  preferences_init (&w->prefs, "https://vpn.example.org");
  w->prefs.accept_routes = false;
  g_autofree char *json = g_strdup_printf ("{" SELF ",\"Peers\":[%s]%s}", peers, more ? more : "");
  w->map = next_map (NULL, json, NULL);
  w->link = make_link (links ? links : none);
  w->plan = plan_new (&w->prefs, w->map, w->link);
  return w;
}

static void
world_free (World *w)
{
  plan_unref (w->plan);
  link_state_unref (w->link);
  netmap_unref (w->map);
  preferences_clear (&w->prefs);
  g_free (w);
}

static void
select_exit (World *w, const char *id)
{
  w->prefs.exit_node_mode = EXIT_NODE_BY_ID;
  g_strlcpy (w->prefs.exit_node_id, id, sizeof w->prefs.exit_node_id);
}

#define OWN_AND_SERVICE                                                                            \
  "100.64.0.2/32\n100.100.100.100/32\nfd7a:115c:a1e0::/48\nfd7a:115c:a1e0::53/128\n"

/* Checklist 51 and 60. */
static void
test_routes (void)
{
  g_autofree char *peer = peer_json (2, "\"192.168.7.0/24\",\"10.0.0.1/8\",\"fd00:7::/64\"", NULL);
  World *w = world (peer, NULL, NULL);

  g_autofree char *off = routes_text (w->plan);
  g_assert_cmpstr (off, ==, OWN_AND_SERVICE);
  assert_routes (w->plan, 2, "100.64.0.2/32 fd7a:115c:a1e0::2/128",
                 "100.64.0.2/32 fd7a:115c:a1e0::2/128");
  w->prefs.accept_routes = true;
  g_assert_true (update (w, NULL));
  assert_routes (w->plan, 2, "100.64.0.2/32 192.168.7.0/24 fd00:7::/64 fd7a:115c:a1e0::2/128",
                 "100.64.0.2/32 192.168.7.0/24 fd00:7::/64 fd7a:115c:a1e0::2/128");
  g_autofree char *on = routes_text (w->plan);
  g_assert_cmpstr (on, ==,
                   "100.64.0.2/32\n100.100.100.100/32\n192.168.7.0/24\nfd00:7::/64\n"
                   "fd7a:115c:a1e0::/48\nfd7a:115c:a1e0::53/128\n");
  g_assert_cmpuint (w->plan->host->n_addresses, ==, 2);
  g_assert_false (w->plan->host->kill_switch);
  g_assert_true (w->plan->host->drop_spoofed);
  world_free (w);
}

static void
test_one_cgnat (void)
{
  g_autofree char *a = peer_json (2, NULL, NULL), *b = peer_json (3, NULL, NULL);
  g_autofree char *both = g_strdup_printf ("%s,%s", a, b);
  World *w = world (both, NULL, NULL);

  update (w, "{\"Node\":{\"ID\":1,\"Key\":\"nodekey:"
             "ff00000000000000000000000000000000000000000000000000000000000000\",\"Addresses\":["
             "\"100.64.0.1/32\"],\"MachineAuthorized\":true,\"CapMap\":{\"one-cgnat?v=true\":null,"
             "\"disable-linux-cgnat-drop-rule\":null}}}");
  g_autofree char *one = routes_text (w->plan);
  g_assert_cmpstr (one, ==, "100.64.0.0/10\n100.100.100.100/32\nfd7a:115c:a1e0::/48\n");
  g_assert_false (w->plan->host->drop_spoofed);
  update (w, "{\"PeersRemoved\":[3]}");
  g_autofree char *single = routes_text (w->plan);
  g_assert_cmpstr (single, ==, "100.64.0.2/32\n100.100.100.100/32\nfd7a:115c:a1e0::/48\n");
  world_free (w);
}

/* Checklist 52, 53, 54 and C.3. */
static void
test_exit_node (void)
{
  g_autofree char *a = peer_json (2, EXIT_ROUTES, ",\"Online\":true"),
                  *b = peer_json (3, EXIT_ROUTES, NULL);
  g_autofree char *both = g_strdup_printf ("%s,%s", a, b);
  World *w = world (both, NULL, NULL);

  assert_routes (w->plan, 2, "100.64.0.2/32 fd7a:115c:a1e0::2/128",
                 "100.64.0.2/32 fd7a:115c:a1e0::2/128");
  select_exit (w, "n3");
  g_assert_true (update (w, NULL));
  assert_routes (w->plan, 3, "0.0.0.0/0 100.64.0.3/32 ::/0 fd7a:115c:a1e0::3/128",
                 "0.0.0.0/0 100.64.0.3/32 ::/0 fd7a:115c:a1e0::3/128");
  assert_routes (w->plan, 2, "100.64.0.2/32 fd7a:115c:a1e0::2/128",
                 "100.64.0.2/32 fd7a:115c:a1e0::2/128");
  g_assert_true (w->plan->host->kill_switch);
  g_assert_true (w->plan->host->guard_dns);
  g_assert_cmpint (w->plan->exit_node->id, ==, 3);
  select_exit (w, "n2");
  g_assert_true (update (w, NULL));
  g_assert_cmpint (w->plan->exit_node->id, ==, 2);
  assert_routes (w->plan, 3, "100.64.0.3/32 fd7a:115c:a1e0::3/128",
                 "100.64.0.3/32 fd7a:115c:a1e0::3/128");
  /* Gone: blocked, not leaked. */
  g_assert_true (update (w, "{\"PeersRemoved\":[2]}"));
  g_assert_true (w->plan->exit_selected);
  g_assert_null (w->plan->exit_node);
  g_autofree char *blocked = routes_text (w->plan);
  g_assert_nonnull (strstr (blocked, "0.0.0.0/0\n"));
  g_assert_nonnull (strstr (blocked, "\n::/0\n"));
  g_assert_true (w->plan->host->kill_switch);
  /* Back. */
  g_autofree char *back = g_strdup_printf ("{\"PeersChanged\":[%s]}", a);
  g_assert_true (update (w, back));
  g_assert_cmpint (w->plan->exit_node->id, ==, 2);
  /* Loses one family: that one is blocked, the other goes on. */
  g_autofree char *half = peer_json (2, "\"0.0.0.0/0\"", NULL);
  g_autofree char *halved = g_strdup_printf ("{\"PeersChanged\":[%s]}", half);
  update (w, halved);
  assert_routes (w->plan, 2, "0.0.0.0/0 100.64.0.2/32 fd7a:115c:a1e0::2/128",
                 "0.0.0.0/0 100.64.0.2/32 fd7a:115c:a1e0::2/128");
  g_autofree char *unreachable = routes_text (w->plan);
  g_assert_nonnull (strstr (unreachable, "::/0 unreachable\n"));
  /* Expired: blocked. */
  update (w, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"KeyExpiry\":\"2020-01-01T00:00:00Z\"}]}");
  g_assert_null (w->plan->exit_node);
  g_assert_null (tunnel_config_peer (w->plan->tunnel, 2));
  w->prefs.exit_node_mode = EXIT_NODE_NONE;
  update (w, NULL);
  g_assert_false (w->plan->exit_selected);
  g_assert_false (w->plan->host->kill_switch);
  world_free (w);
}

/* Checklist 55; linux-host §7.2. */
static void
test_lan (void)
{
  static const char *const links[]
      = {"eth0 192.168.1.7/24",   "eth0 2001:db8:1::7/64", "lo 127.0.0.1/8",
         "docker0 172.17.0.1/16", "wlan0 8.0.0.9/5",       "wlan0 100.64.9.9/24",
         "ppp0 203.0.113.7/32",   "eth1 198.51.100.9/20",  NULL};
  g_autofree char *peer = peer_json (2, EXIT_ROUTES, NULL);
  World *w = world (peer, NULL, links);

  select_exit (w, "n2");
  update (w, NULL);
  g_autofree char *closed = routes_text (w->plan);
  g_assert_null (strstr (closed, "192.168.1.0/24"));
  g_assert_nonnull (strstr (closed, "0.0.0.0/0\n"));
  g_assert_nonnull (strstr (closed, "172.17.0.0/16 throw\n"));
  w->prefs.exit_node_allow_lan = true;
  g_assert_true (update (w, NULL));
  g_autofree char *open = routes_text (w->plan);
  static const char *const thrown[]
      = {"192.168.1.0/24", "2001:db8:1::/64", "172.17.0.0/16", "169.254.0.0/16",
         "224.0.0.0/4",    "fe80::/10",       "ff00::/8"};
  for (size_t i = 0; i < G_N_ELEMENTS (thrown); i++) {
    g_autofree char *line = g_strdup_printf ("%s throw\n", thrown[i]);
    g_assert_nonnull (strstr (open, line));
  }
  g_assert_null (strstr (open, "127.0.0.0"));
  g_assert_null (strstr (open, "8.0.0.0/5"));
  g_assert_null (strstr (open, "198.51."));
  g_assert_null (strstr (open, "203.0.113."));
  g_assert_null (strstr (open, "100.64.9.0"));
  g_assert_false (w->plan->host->guard_dns);
  w->prefs.exit_node_mode = EXIT_NODE_NONE;
  update (w, NULL);
  g_autofree char *off = routes_text (w->plan);
  g_assert_null (strstr (off, "throw"));
  world_free (w);
}

/* Checklist 61 as linux-host §2.3 decides it. */
static void
test_conflict (void)
{
  static const char *const links[] = {"eth0 192.168.7.9/24", "eth1 10.0.0.9/24", NULL};
  g_autofree char *peer
      = peer_json (2, "\"192.168.7.0/24\",\"192.168.0.0/16\",\"10.0.0.0/25\"", NULL);
  World *w = world (peer, NULL, links);

  g_assert_cmpuint (w->plan->n_conflicts, ==, 0);
  w->prefs.accept_routes = true;
  update (w, NULL);
  g_assert_cmpuint (w->plan->n_conflicts, ==, 2);
  g_assert_cmpint (w->plan->conflicts[0].peer, ==, 2);
  g_assert_cmpint (w->plan->conflicts[0].on_link.bits, ==, 24);
  world_free (w);
}

/* Checklist 59 and C.1; 20: a route that moves is never without an owner. */
static void
test_same_prefix (void)
{
  g_autofree char *a = peer_json (2, "\"192.168.7.0/24\"", NULL),
                  *b = peer_json (3, "\"192.168.7.0/24\"", NULL),
                  *plain = peer_json (2, NULL, NULL);
  g_autofree char *both = g_strdup_printf ("%s,%s", b, a);
  World *w = world (both, NULL, NULL);

  w->prefs.accept_routes = true;
  update (w, NULL);
  assert_routes (w->plan, 2, "100.64.0.2/32 192.168.7.0/24 fd7a:115c:a1e0::2/128",
                 "100.64.0.2/32 192.168.7.0/24 fd7a:115c:a1e0::2/128");
  assert_routes (w->plan, 3, "100.64.0.3/32 fd7a:115c:a1e0::3/128",
                 "100.64.0.3/32 192.168.7.0/24 fd7a:115c:a1e0::3/128");
  /* The server takes it from the one: the other, untouched, gets the traffic. */
  g_autofree char *moved = g_strdup_printf ("{\"PeersChanged\":[%s]}", plain);
  update (w, moved);
  assert_routes (w->plan, 3, "100.64.0.3/32 192.168.7.0/24 fd7a:115c:a1e0::3/128",
                 "100.64.0.3/32 192.168.7.0/24 fd7a:115c:a1e0::3/128");
  g_autofree char *again = g_strdup_printf ("{\"PeersChanged\":[%s]}", a);
  update (w, again);
  assert_routes (w->plan, 3, "100.64.0.3/32 fd7a:115c:a1e0::3/128",
                 "100.64.0.3/32 192.168.7.0/24 fd7a:115c:a1e0::3/128");
  update (w, "{\"PeersRemoved\":[2]}");
  assert_routes (w->plan, 3, "100.64.0.3/32 192.168.7.0/24 fd7a:115c:a1e0::3/128",
                 "100.64.0.3/32 192.168.7.0/24 fd7a:115c:a1e0::3/128");
  world_free (w);
}

/* A.4: of two with one key the first counts; the other steps in when that goes. */
static void
test_same_key (void)
{
  g_autofree char *a = peer_json (2, NULL, NULL);
  World *w = world (a, NULL, NULL);

  update (w, "{\"PeersChanged\":[{\"ID\":9,\"Key\":\"nodekey:"
             "0000000000000000000000000000000000000000000000000000000000000002\",\"HomeDERP\":1,"
             "\"Addresses\":[\"100.64.0.9/32\"]}]}");
  g_assert_null (tunnel_config_peer (w->plan->tunnel, 9));
  update (w, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Key\":\"nodekey:"
             "00000000000000000000000000000000000000000000000000000000000000aa\"}]}");
  g_assert_nonnull (tunnel_config_peer (w->plan->tunnel, 9));
  update (w, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Key\":\"nodekey:"
             "0000000000000000000000000000000000000000000000000000000000000002\"}]}");
  g_assert_null (tunnel_config_peer (w->plan->tunnel, 9));
  update (w, "{\"PeersRemoved\":[2]}");
  g_assert_nonnull (tunnel_config_peer (w->plan->tunnel, 9));
  world_free (w);
}

/* Lock, own expiry and missing approval let nobody in; the exit node's routes stay. */
static void
test_closed (void)
{
  static const char *const closing[]
      = {"{\"TKAInfo\":{\"Head\":\"h\"}}",
         "{\"Node\":{\"ID\":1,\"Key\":\"nodekey:"
         "ff00000000000000000000000000000000000000000000000000000000000000\",\"MachineAuthorized\":"
         "false,"
         "\"Addresses\":[\"100.64.0.1/32\"]}}",
         "{\"Node\":{\"ID\":1,\"Key\":\"nodekey:"
         "ff00000000000000000000000000000000000000000000000000000000000000\",\"MachineAuthorized\":"
         "true,"
         "\"KeyExpiry\":\"2020-01-01T00:00:00Z\",\"Addresses\":[\"100.64.0.1/32\"]}}"};
  static const char *const opening[]
      = {"{\"TKAInfo\":{\"Head\":\"h\",\"Disabled\":true}}", "{" SELF "}", "{" SELF "}"};

  for (size_t i = 0; i < G_N_ELEMENTS (closing); i++) {
    g_autofree char *peer = peer_json (2, EXIT_ROUTES, NULL);
    World *w = world (peer, NULL, NULL);
    select_exit (w, "n2");
    update (w, NULL);
    g_assert_cmpuint (tunnel_config_n_peers (w->plan->tunnel), ==, 1);
    g_assert_true (update (w, closing[i]));
    g_assert_cmpuint (tunnel_config_n_peers (w->plan->tunnel), ==, 0);
    g_assert_true (tunnel_config_settings (w->plan->tunnel)->shut);
    g_assert_cmpint (filter_class (tunnel_config_settings (w->plan->tunnel)->filter), ==,
                     FILTER_NONE);
    g_assert_true (w->plan->host->kill_switch);
    g_assert_cmpint (w->plan->dns->enabled, ==, i != 2);
    g_assert_true (update (w, opening[i]));
    g_assert_cmpuint (tunnel_config_n_peers (w->plan->tunnel), ==, 1);
    g_assert_false (tunnel_config_settings (w->plan->tunnel)->shut);
    world_free (w);
  }
}

/* What changes nothing publishes nothing; what matters to one part leaves the others alone. */
static void
test_sharing (void)
{
  g_autofree char *a = peer_json (2, NULL, NULL), *b = peer_json (3, NULL, NULL);
  g_autofree char *both = g_strdup_printf ("%s,%s", a, b);
  g_autofree char *again = g_strdup_printf ("{\"PeersChanged\":[%s]}", both);
  World *w = world (both, NULL, NULL);

  g_assert_false (update (w, NULL));
  g_assert_false (update (w, again));
  g_assert_false (update (w, "{\"OnlineChange\":{\"2\":true}}"));
  g_assert_false (update (w, "{\"PeerSeenChange\":{\"2\":true}}"));
  g_assert_false (update (w, "{\"UserProfiles\":[{\"ID\":7}],\"Domain\":\"x\"}"));
  w->prefs.auto_connect = !w->prefs.auto_connect;
  g_assert_false (update (w, NULL));

  const HostConfig *host = w->plan->host;
  const DnsConfig *dns = w->plan->dns;
  const TunnelPeer *untouched = tunnel_config_peer (w->plan->tunnel, 3);
  g_assert_true (
      update (w, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Endpoints\":[\"1.2.3.4:5\"]}]}"));
  g_assert_true (w->plan->host == host);
  g_assert_true (w->plan->dns == dns);
  g_assert_true (tunnel_config_peer (w->plan->tunnel, 3) == untouched);
  const TunnelConfig *tunnel = w->plan->tunnel;
  const Filter *filter = tunnel_config_settings (tunnel)->filter;
  g_assert_true (update (w, "{\"DNSConfig\":{\"Domains\":[\"x.test\"]}}"));
  g_assert_true (w->plan->tunnel == tunnel);
  g_assert_true (w->plan->host == host);
  g_assert_true (
      update (w, "{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"
                 "\"First\":1,\"Last\":2}}]}]}"));
  g_assert_true (tunnel_config_settings (w->plan->tunnel)->filter != filter);
  w->prefs.shields_up = true;
  g_assert_true (update (w, NULL));
  g_assert_cmpint (filter_class (tunnel_config_settings (w->plan->tunnel)->filter), ==,
                   FILTER_SHIELDS_UP);
  world_free (w);
}

/* ---- names ---- */

static bool
has_route (const DnsConfig *dns, const char *suffix, size_t n_servers)
{
  for (size_t i = 0; i < dns->n_routes; i++)
    if (strcmp (dns->routes[i].suffix, suffix) == 0)
      return dns->routes[i].n_servers == n_servers;
  return false;
}

/* Checklist 13 and linux-host §4. */
static void
test_dns (void)
{
  g_autofree char *peer = peer_json (
      2, EXIT_ROUTES,
      ",\"Cap\":131,\"Hostinfo\":{\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":4000},{\"Proto\":"
      "\"peerapi6\",\"Port\":4001}]}");
  World *w = world (peer,
                    ",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"corn.ts.net\"],\"Resolvers\":["
                    "{\"Addr\":\"9.9.9.9\"}],"
                    "\"Routes\":{\"corp.example.\":[{\"Addr\":\"10.0.0.53\"}],\"keep.example\":[{"
                    "\"Addr\":\"10.0.0.54\","
                    "\"UseWithExitNode\":true}],\"own.example\":[]},\"FallbackResolvers\":[{"
                    "\"Addr\":\"8.8.8.8\"}],"
                    "\"ExtraRecords\":[{\"Name\":\"Nas.Home.\",\"Value\":\"100.64.0.9\"},{\"Name\":"
                    "\"x.own.example\","
                    "\"Type\":\"AAAA\",\"Value\":\"fd7a::9\"},{\"Name\":\"bad\",\"Type\":\"A\","
                    "\"Value\":\"fd7a::9\"}]}",
                    NULL);
  const DnsConfig *dns = w->plan->dns;

  g_assert_true (dns->enabled && dns->for_host && dns->magic_dns);
  g_assert_cmpstr (dns->suffix, ==, "corn.ts.net");
  g_assert_true (has_route (dns, "corn.ts.net", 0));
  g_assert_true (has_route (dns, "64.100.in-addr.arpa", 0));
  g_assert_true (has_route (dns, "127.100.in-addr.arpa", 0));
  g_assert_true (has_route (dns, "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", 0));
  g_assert_true (has_route (dns, "corp.example", 1));
  g_assert_true (has_route (dns, "own.example", 0));
  g_assert_true (has_route (dns, "nas.home", 0));
  g_assert_false (has_route (dns, "x.own.example", 0));
  g_assert_cmpuint (dns->n_hosts, ==, 2);
  g_assert_cmpstr (dns->defaults[0].addr, ==, "9.9.9.9");
  g_assert_cmpstr (dns->search[0], ==, "corn.ts.net");

  select_exit (w, "n2");
  update (w, NULL);
  dns = w->plan->dns;
  g_assert_true (dns->exit_node_proxy);
  g_assert_cmpstr (dns->defaults[0].addr, ==, "http://100.64.0.2:4000/dns-query");
  g_assert_false (has_route (dns, "corp.example", 1));
  g_assert_true (has_route (dns, "keep.example", 1));
  g_assert_true (has_route (dns, "own.example", 0));
  select_exit (w, "missing");
  update (w, "{\"DNSConfig\":{\"FallbackResolvers\":[{\"Addr\":\"8.8.8.8\"}]}}");
  g_assert_cmpstr (w->plan->dns->defaults[0].addr, ==, "8.8.8.8");
  w->prefs.accept_dns = false;
  w->prefs.exit_node_mode = EXIT_NODE_NONE;
  update (w, "{\"DNSConfig\":{}}");
  dns = w->plan->dns;
  g_assert_true (dns->enabled);
  g_assert_false (dns->for_host || dns->magic_dns);
  g_assert_cmpuint (dns->n_routes + dns->n_hosts + dns->n_search + dns->n_defaults, ==, 0);
  world_free (w);
}

/* ---- many random steps ---- */

static char *
random_allowed (Random *random)
{
  static const char *const choices[] = {NULL,
                                        NULL,
                                        EXIT_ROUTES,
                                        "\"0.0.0.0/0\"",
                                        "\"192.168.7.0/24\"",
                                        "\"192.168.7.0/24\",\"192.168.8.0/24\"",
                                        "\"10.0.0.0/8\",\"fd00:7::/64\"",
                                        "\"192.168.7.0/24\"," EXIT_ROUTES,
                                        "\"100.64.0.3/32\"",
                                        "\"192.168.7.1/24\""};

  return g_strdup (choices[random_below (random, G_N_ELEMENTS (choices))]);
}

static char *
random_peer (Random *random)
{
  static const char *const more[]
      = {"",
         ",\"Online\":true",
         ",\"Expired\":true",
         ",\"UnsignedPeerAPIOnly\":true",
         ",\"KeyExpiry\":\"2020-01-01T00:00:00Z\"",
         ",\"IsJailed\":true",
         ",\"CapMap\":{\"x\":null}",
         ",\"Key\":\"nodekey:0000000000000000000000000000000000000000000000000000000000000007\"",
         ",\"HomeDERP\":0,\"DiscoKey\":\"\"",
         ",\"Endpoints\":[\"1.2.3.4:5\"]"};
  g_autofree char *allowed = random_allowed (random);

  return peer_json (2 + (int)random_below (random, 12), allowed,
                    more[random_below (random, G_N_ELEMENTS (more))]);
}

static char *
random_message (Random *random)
{
  g_autofree char *a = random_peer (random), *b = random_peer (random);
  int id = 2 + (int)random_below (random, 12);

  switch (random_below (random, 12)) {
    case 0:
      return g_strdup_printf ("{\"PeersRemoved\":[%d]}", id);
    case 1:
      return g_strdup_printf ("{\"PeersChangedPatch\":[{\"NodeID\":%d,\"DERPRegion\":%d}]}", id,
                              1 + (int)random_below (random, 3));
    case 2:
      return g_strdup_printf ("{\"PeersChangedPatch\":[{\"NodeID\":%d,\"Key\":\"nodekey:%064x\"}]}",
                              id, 2 + (unsigned)random_below (random, 12));
    case 3:
      return g_strdup_printf ("{\"OnlineChange\":{\"%d\":%s}}", id,
                              random_below (random, 2) ? "true" : "false");
    case 4:
      return g_strdup_printf ("{\"Peers\":[%s,%s]}", a, b);
    case 5:
      return g_strdup_printf ("{\"TKAInfo\":{\"Head\":\"h\",\"Disabled\":%s}}",
                              random_below (random, 4) ? "true" : "false");
    case 6:
      return g_strdup_printf (
          "{\"PeersChangedPatch\":[{\"NodeID\":%d,\"KeyExpiry\":\"20%d-01-01T00:00:00Z\"}]}", id,
          20 + (int)random_below (random, 20));
    case 7:
      return g_strdup ("{" SELF "}");
    case 8:
      return g_strdup_printf (
          "{\"PacketFilter\":[{\"SrcIPs\":[\"cap:x\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"
          "\"First\":1,\"Last\":%d}}]}],\"DNSConfig\":{\"Proxied\":%s}}",
          1 + (int)random_below (random, 3), random_below (random, 2) ? "true" : "false");
    default:
      return g_strdup_printf ("{\"PeersChanged\":[%s,%s]}", a, b);
  }
}

static void
random_preference (World *w, Random *random)
{
  switch (random_below (random, 7)) {
    case 5:
      w->prefs.advertise_exit_node = !w->prefs.advertise_exit_node;
      break;
    case 0:
      w->prefs.accept_routes = !w->prefs.accept_routes;
      break;
    case 1:
      w->prefs.exit_node_mode = EXIT_NODE_NONE;
      break;
    case 2:
      w->prefs.exit_node_mode = EXIT_NODE_BY_ADDRESS;
      w->prefs.exit_node_addr = ip_from_v4 (0x64400000 + (uint32_t)random_below (random, 16));
      break;
    case 3:
      w->prefs.exit_node_allow_lan = !w->prefs.exit_node_allow_lan;
      break;
    default: {
      g_autofree char *id = g_strdup_printf ("n%d", 2 + (int)random_below (random, 12));
      select_exit (w, id);
      break;
    }
  }
}

static void
test_random (void)
{
  static const char *const links[] = {"eth0 192.168.7.9/24", NULL};
  const char *given = g_getenv ("WARREN_TEST_SEED");
  uint64_t first = given ? g_ascii_strtoull (given, NULL, 10) : 1;

  for (uint64_t seed = first; seed < first + (given ? 1 : 12); seed++) {
    SeededRandom random;
    World *w = world ("", NULL, links);
    g_test_message ("WARREN_TEST_SEED=%" G_GUINT64_FORMAT, seed);
    seeded_random_init (&random, seed);
    for (int step = 0; step < 250; step++) {
      g_autofree char *json = random_below (&random.base, 5) ? random_message (&random.base) : NULL;
      if (!json)
        random_preference (w, &random.base);
      update (w, json);
      g_assert_false (update (w, NULL));
    }
    world_free (w);
  }
}

/* 10,000 peers: a change of one costs what one costs. */
static void
test_large (void)
{
  g_autoptr (GString) peers = g_string_new (NULL);

  for (int i = 2; i < 10002; i++) {
    g_autofree char *peer = peer_json (i, NULL, NULL);
    g_string_append_printf (peers, "%s%s", i > 2 ? "," : "", peer);
  }
  World *w = world (peers->str, NULL, NULL);
  const HostConfig *host = w->plan->host;
  Plan *before = plan_ref (w->plan);
  NetmapChanges changes;
  size_t differing = 0;
  TunnelConfigDiff diff;
  TunnelPeer *a, *b;

  w->map = next_map (w->map,
                     "{\"PeersChangedPatch\":[{\"NodeID\":5000,\"Endpoints\":[\"1.2.3.4:5\"]}]}",
                     &changes);
  g_assert_cmpuint (changes.n_peers, ==, 1);
  Plan *next = plan_update (w->plan, &w->prefs, w->map, w->link, &changes);
  tunnel_config_diff_begin (&diff, before->tunnel, next->tunnel);
  while (tunnel_config_diff_next (&diff, &a, &b))
    differing++;
  tunnel_config_diff_end (&diff);
  g_assert_cmpuint (differing, ==, 1);
  g_assert_true (next->host == host);
  g_assert_true (next->dns == before->dns);
  g_assert_true (tunnel_config_settings (next->tunnel)->filter
                 == tunnel_config_settings (before->tunnel)->filter);
  plan_unref (next);
  plan_unref (before);
  netmap_changes_clear (&changes);
  world_free (w);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/subnets-only-when-accepted", test_routes);
  g_test_add_func ("/plan/one-cgnat-route-on-request", test_one_cgnat);
  g_test_add_func ("/plan/exit-node-has-the-default-routes-or-nobody", test_exit_node);
  g_test_add_func ("/plan/lan-stays-local-only-when-allowed", test_lan);
  g_test_add_func ("/plan/own-network-in-an-accepted-subnet-is-reported", test_conflict);
  g_test_add_func ("/plan/lowest-id-gets-a-shared-prefix", test_same_prefix);
  g_test_add_func ("/plan/first-of-two-with-one-key-counts", test_same_key);
  g_test_add_func ("/plan/lock-expiry-and-missing-approval-let-nobody-in", test_closed);
  g_test_add_func ("/plan/nothing-new-publishes-nothing", test_sharing);
  g_test_add_func ("/plan/names-follow-map-and-exit-node", test_dns);
  g_test_add_func ("/plan/update-equals-plan-from-scratch", test_random);
  g_test_add_func ("/plan/one-of-ten-thousand-costs-one", test_large);
  return g_test_run ();
}
