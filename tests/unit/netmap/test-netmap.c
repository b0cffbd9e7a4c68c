#include "sample.h"

static IpAddr
addr (const char *text)
{
  IpAddr a;

  g_assert_true (ip_parse (text, strlen (text), &a));
  return a;
}

static size_t
n_rules (const Netmap *map, const char *name)
{
  size_t n;
  const NamedFilter *list = netmap_filters (map, &n);

  for (size_t i = 0; i < n; i++)
    if (strcmp (list[i].name, name) == 0)
      return list[i].rules->n_rules;
  return SIZE_MAX;
}

static void
test_first (void)
{
  NetmapChanges changes;
  Netmap *map = apply_at (NULL, sample_map, "2026-11-22T10:00:00Z", &changes);
  const Node *web = netmap_peer (map, 14), *router = netmap_peer (map, 16);
  NodePublic key;
  IpAddr a = addr ("100.64.0.61"), self4 = addr ("100.64.0.11"), nobody = addr ("192.168.7.1");
  char name[64];

  g_assert_cmpuint (netmap_n_peers (map), ==, 2);
  g_assert_cmpuint (changes.n_peers, ==, 2);
  g_assert_true (changes.flags & NETMAP_CHANGED_SELF);
  g_assert_null (changes.peers[0].before);
  g_assert_cmpstr (netmap_self (map)->stable_id, ==, "n11CNTRL");
  g_assert_true (netmap_self (map)->machine_authorized);
  g_assert_cmpstr (node_cap (netmap_self (map), "tailnet-display-name")->values, ==, "[\"Corn\"]");
  g_assert_null (node_cap (netmap_self (map), "https://tailscale.com/cap/file-sharing")->values);
  g_assert_false (node_has_cap (netmap_self (map), "nothing"));
  /* Checklist 9 and 10. */
  g_assert_cmpint (router->home_derp, ==, 900);
  g_assert_cmpuint (web->n_allowed_ips, ==, 1);
  g_assert_true (ip_prefix_equal (&web->allowed_ips[0], &web->addresses[0]));
  g_assert_cmpuint (router->n_allowed_ips, ==, 2);
  g_assert_cmpstr (web->hostinfo->os, ==, "linux");
  g_assert_null (router->hostinfo);
  g_assert_cmpstr (netmap_domain (map), ==, "example.com");
  g_assert_cmpstr (netmap_magic_dns_suffix (map), ==, "corn.ts.net");
  g_assert_true (netmap_dns (map)->proxied);
  g_assert_cmpstr (netmap_user (map, 9)->login_name, ==, "tagged-devices");
  g_assert_cmpuint (n_rules (map, "base"), ==, 1);
  g_assert_cmpstr (derp_map_region (netmap_derp_map (map), 900)->nodes[0].host_name, ==,
                   "relay.example.com");
  g_assert_true (key_parse (KEY_NODE_PUBLIC, KEY_ROUTER, strlen (KEY_ROUTER), &key));
  g_assert_true (netmap_peer_by_key (map, &key) == router);
  g_assert_true (netmap_peer_by_stable_id (map, "n14CNTRL") == web);
  g_assert_true (netmap_node_by_address (map, &a) == router);
  g_assert_true (netmap_node_by_address (map, &self4) == netmap_self (map));
  g_assert_null (netmap_node_by_address (map, &nobody));
  netmap_display_name (map, web, name, sizeof name);
  g_assert_cmpstr (name, ==, "web");
  netmap_changes_clear (&changes);
  netmap_unref (map);
}

/* The table of A.11, row by row, on one stream. */
static void
test_deltas (void)
{
  NetmapChanges c;
  Netmap *map = apply (NULL, sample_map);

  map = apply_at (map, "{\"KeepAlive\":true,\"ControlTime\":\"2026-11-22T10:00:00Z\"}",
                  "2026-11-22T10:00:01Z", &c);
  g_assert_cmpuint (c.flags, ==, 0);
  netmap_changes_clear (&c);

  map = apply_at (map,
                  "{\"PeersChangedPatch\":[{\"NodeID\":14,\"DERPRegion\":901,\"Online\":false,"
                  "\"LastSeen\":\"2026-11-22T10:01:00Z\"}]}",
                  "2026-11-22T10:01:00Z", &c);
  g_assert_cmpuint (c.flags, ==, NETMAP_CHANGED_PEERS);
  g_assert_cmpuint (c.n_peers, ==, 1);
  g_assert_cmpuint (c.peers[0].changed, ==,
                    NODE_CHANGED_HOME_DERP | NODE_CHANGED_ONLINE | NODE_CHANGED_LAST_SEEN);
  netmap_changes_clear (&c);
  g_assert_cmpint (netmap_peer (map, 14)->home_derp, ==, 901);
  g_assert_cmpint (netmap_peer (map, 14)->online, ==, TRI_FALSE);
  g_assert_cmpuint (netmap_peer (map, 14)->n_endpoints, ==, 1);

  map = apply (map, "{\"PeersChangedPatch\":[{\"NodeID\":14,\"Endpoints\":[]}]}");
  g_assert_cmpuint (netmap_peer (map, 14)->n_endpoints, ==, 0);

  map = apply_at (map, "{\"PeersChangedPatch\":[{\"NodeID\":77,\"Online\":true}]}",
                  "2026-11-22T10:01:00Z", &c);
  g_assert_cmpuint (c.flags, ==, 0);
  netmap_changes_clear (&c);

  map = apply (map, "{\"OnlineChange\":{\"14\":true},\"PeerSeenChange\":{\"16\":false}}");
  g_assert_cmpint (netmap_peer (map, 14)->online, ==, TRI_TRUE);
  g_assert_true (wall_time_is_unset (netmap_peer (map, 16)->last_seen));
  g_assert_nonnull (netmap_peer (map, 16));

  map = apply (map,
               "{\"PacketFilters\":{\"extra\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\","
               "\"Ports\":{\"First\":443,\"Last\":443}}]}]}}");
  g_assert_cmpuint (n_rules (map, "base"), ==, 1);
  g_assert_cmpuint (n_rules (map, "extra"), ==, 1);
  map = apply (map, "{\"PacketFilters\":{\"base\":null}}");
  g_assert_cmpuint (n_rules (map, "base"), ==, SIZE_MAX);
  g_assert_cmpuint (n_rules (map, "extra"), ==, 1);
  map = apply (map, "{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"
                    "\"First\":1,\"Last\":2}}]}],\"PacketFilters\":{\"*\":null}}");
  g_assert_cmpuint (n_rules (map, "base"), ==, SIZE_MAX);
  g_assert_cmpuint (n_rules (map, "extra"), ==, SIZE_MAX);
  map = apply (map, "{\"PacketFilter\":[]}");
  g_assert_cmpuint (n_rules (map, "base"), ==, 0);

  map = apply (map, "{\"Peers\":[],\"PeersRemoved\":[16]}");
  g_assert_cmpuint (netmap_n_peers (map), ==, 1);
  g_assert_nonnull (netmap_peer (map, 14));

  map = apply_at (map, "{\"DNSConfig\":{}}", "2026-11-22T10:01:00Z", &c);
  g_assert_cmpuint (c.flags, ==, NETMAP_CHANGED_DNS);
  netmap_changes_clear (&c);
  g_assert_false (netmap_dns (map)->proxied);
  g_assert_cmpuint (netmap_dns (map)->n_domains, ==, 0);
  map = apply (map, "{\"DNSConfig\":null}");
  g_assert_nonnull (netmap_dns (map));

  map = apply (map, "{\"DERPMap\":{\"HomeParams\":{\"RegionScore\":{\"900\":0.8}}}}");
  g_assert_cmpuint (netmap_derp_map (map)->n_regions, ==, 1);
  g_assert_cmpfloat (derp_map_region (netmap_derp_map (map), 900)->score, ==, 0.8);
  netmap_unref (map);
}

static void
test_derp_merge (void)
{
  Netmap *map = apply (NULL, sample_map);

  map = apply (map, "{\"DERPMap\":{\"HomeParams\":{\"RegionScore\":{\"900\":0.8,\"901\":-1}}}}");
  map = apply (map, "{\"DERPMap\":{\"Regions\":{\"1\":null,\"900\":{\"RegionID\":900,\"Nodes\":[{"
                    "\"HostName\":\"a\",\"IPv4\":\"none\",\"IPv6\":\"2001:db8::1\",\"STUNPort\":-1,"
                    "\"DERPPort\":8443}]},\"70000\":{\"RegionID\":70000},\"7\":{\"RegionID\":7,"
                    "\"NoMeasureNoHome\":true}},\"omitDefaultRegions\":true}}");
  const DerpMap *derp = netmap_derp_map (map);
  g_assert_cmpuint (derp->n_regions, ==, 2);
  g_assert_cmpuint (derp->regions[0].id, ==, 7);
  g_assert_true (derp->regions[0].no_measure_no_home);
  const DerpNode *node = &derp->regions[1].nodes[0];
  g_assert_true (node->no_ipv4);
  g_assert_false (node->no_ipv6);
  g_assert_cmpint (node->ipv6.family, ==, 6);
  g_assert_cmpuint (node->stun_port, ==, 0);
  g_assert_cmpuint (node->derp_port, ==, 8443);
  g_assert_true (derp->omit_default_regions);
  g_assert_cmpfloat (derp->regions[1].score, ==, 0.8);

  map = apply (map, "{\"DERPMap\":{\"HomeParams\":{\"RegionScore\":{}}}}");
  g_assert_cmpfloat (derp_map_region (netmap_derp_map (map), 900)->score, ==, 1.0);
  g_assert_true (netmap_derp_map (map)->omit_default_regions);
  map = apply (map, "{\"DERPMap\":{\"Regions\":{}}}");
  g_assert_cmpuint (netmap_derp_map (map)->n_regions, ==, 0);
  g_assert_false (netmap_derp_map (map)->omit_default_regions);
  netmap_unref (map);
}

/* Checklist 3, 4, 5, 7, 8. */
static void
test_peer_lists (void)
{
  Netmap *map = apply (NULL, sample_map);

  map = apply (map,
               "{\"Peers\":[{\"ID\":20,\"Key\":\"" KEY_WEB "\"}],\"PeersRemoved\":[20],"
               "\"OnlineChange\":{\"20\":true},\"PeersChanged\":[{\"ID\":21,\"Key\":\"" KEY_ROUTER
               "\"}]}");
  g_assert_cmpuint (netmap_n_peers (map), ==, 1);
  g_assert_cmpint (netmap_peer (map, 20)->online, ==, TRI_UNKNOWN);
  map = apply (map, "{\"Peers\":[]}");
  g_assert_cmpuint (netmap_n_peers (map), ==, 1);
  map = apply (map, "{\"PeersRemoved\":[20,99],\"PeersChanged\":[{\"ID\":20,\"Key\":\"" KEY_WEB
                    "\",\"CapMap\":{\"a\":[1]},\"HomeDERP\":3}]}");
  g_assert_true (node_has_cap (netmap_peer (map, 20), "a"));
  map = apply (map, "{\"PeersChangedPatch\":[{\"NodeID\":20,\"DERPRegion\":0,\"CapMap\":null}]}");
  g_assert_true (node_has_cap (netmap_peer (map, 20), "a"));
  g_assert_cmpint (netmap_peer (map, 20)->home_derp, ==, 3);
  map = apply (map, "{\"PeersChangedPatch\":[{\"NodeID\":20,\"CapMap\":{}}]}");
  g_assert_false (node_has_cap (netmap_peer (map, 20), "a"));
  map = apply (map, "{\"PeersChanged\":[{\"ID\":0,\"Key\":\"" KEY_SELF "\"},{\"ID\":30}]}");
  g_assert_cmpuint (netmap_n_peers (map), ==, 1);
  netmap_unref (map);
}

/* Checklist 9, 10, 25: forms of one node. */
static void
test_normalise (void)
{
  static const struct
  {
    const char *members;
    int home;
    unsigned n_allowed;
  } rows[] = {
      {"\"DERP\":\"127.3.3.40:7\"", 7, 1},
      {"\"DERP\":\"127.3.3.40:7\",\"HomeDERP\":8", 8, 1},
      {"\"DERP\":\"10.0.0.1:7\"", 0, 1},
      {"\"HomeDERP\":-4", 0, 1},
      {"\"HomeDERP\":99999", 0, 1},
      {"\"AllowedIPs\":null", 0, 1},
      {"\"AllowedIPs\":[]", 0, 0},
      {"\"AllowedIPs\":[\"0.0.0.0/0\",\"::/0\",\"nonsense\"]", 0, 2},
      {"\"AllowedIPs\":[\"0.0.0.0/0\",\"::/0\"],\"UnsignedPeerAPIOnly\":true", 0, 1},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *json
        = g_strdup_printf ("{\"ID\":5,\"Addresses\":[\"100.64.0.5/32\"],%s}", rows[i].members);
    JsonReader r;
    json_reader_init (&r, json, strlen (json));
    Node *node = node_decode (&r);
    g_assert_nonnull (node);
    g_assert_cmpint (node->home_derp, ==, rows[i].home);
    g_assert_cmpuint (node->n_allowed_ips, ==, rows[i].n_allowed);
    g_assert_cmpint (node->online, ==, TRI_UNKNOWN);
    node_unref (node);
    json_reader_clear (&r);
  }
}

static void
test_capabilities (void)
{
  static const char json[]
      = "{\"ID\":5,\"Capabilities\":[\"b\",\"c\"],\"CapMap\":{\"b\":[{\"x\" : 1}],"
        "\"a\":[],\"z\":null}}";
  JsonReader r;

  json_reader_init (&r, json, strlen (json));
  Node *node = node_decode (&r);
  g_assert_cmpuint (node->n_caps, ==, 4);
  g_assert_cmpstr (node_cap (node, "b")->values, ==, "[{\"x\":1}]");
  g_assert_null (node_cap (node, "a")->values);
  g_assert_true (node_has_cap (node, "c"));
  g_assert_true (node_has_cap (node, "z"));
  node_unref (node);
  json_reader_clear (&r);
}

/* Checklist 15. */
static void
test_notices (void)
{
  Netmap *map = apply (NULL, sample_map);
  size_t n;

  map = apply (map, "{\"Health\":[\"relay unreachable\",\"two\"]}");
  const Notice *notices = netmap_notices (map, &n);
  g_assert_cmpuint (n, ==, 2);
  g_assert_cmpstr (notices[0].id, ==,
                   "health-c55d99ddbf6274b24f9bf8d660bf731afa4e2f0c3490157bf57f0834ffdfda73");
  g_assert_cmpint (notices[0].severity, ==, NOTICE_MEDIUM);
  map = apply (map,
               "{\"DisplayMessages\":{\"b\":{\"Title\":\"B\",\"Text\":\"t\",\"Severity\":\"high\","
               "\"ImpactsConnectivity\":true,\"PrimaryAction\":{\"URL\":\"https://x\",\"Label\":"
               "\"Go\"}},\"a\":{\"Title\":\"A\"}}}");
  notices = netmap_notices (map, &n);
  g_assert_cmpuint (n, ==, 2);
  g_assert_cmpstr (notices[1].title, ==, "B");
  g_assert_cmpint (notices[1].severity, ==, NOTICE_HIGH);
  g_assert_cmpstr (notices[1].action_url, ==, "https://x");
  map = apply (
      map, "{\"DisplayMessages\":{\"a\":null,\"c\":{\"Title\":\"C\"},\"b\":{\"Title\":\"B2\"}}}");
  notices = netmap_notices (map, &n);
  g_assert_cmpuint (n, ==, 2);
  g_assert_cmpstr (notices[0].title, ==, "B2");
  map = apply (map, "{\"DisplayMessages\":{\"*\":null,\"d\":{\"Title\":\"D\"}}}");
  notices = netmap_notices (map, &n);
  g_assert_cmpuint (n, ==, 1);
  map = apply (map, "{\"DisplayMessages\":{\"*\":null}}");
  notices = netmap_notices (map, &n);
  g_assert_cmpuint (n, ==, 2);
  g_assert_cmpstr (notices[1].text, ==, "two");
  map = apply (map, "{\"Health\":[]}");
  netmap_notices (map, &n);
  g_assert_cmpuint (n, ==, 0);
  netmap_unref (map);
}

/* Checklist 16. */
static void
test_big_ids (void)
{
  Netmap *map
      = apply (NULL, "{\"Node\":{\"ID\":9007199254740993,\"User\":9223372036854775807},\"Peers\":"
                     "[{\"ID\":9007199254740995,\"Key\":\"" KEY_WEB "\"}]}");
  JsonWriter w;

  map = apply (map, "{\"OnlineChange\":{\"9007199254740995\":true}}");
  g_assert_cmpint (netmap_peer (map, INT64_C (9007199254740995))->online, ==, TRI_TRUE);
  json_writer_init (&w);
  netmap_encode (map, &w);
  g_autofree char *json = json_writer_take (&w, NULL);
  g_assert_nonnull (strstr (json, "\"ID\":9007199254740993,"));
  g_assert_nonnull (strstr (json, "\"ID\":9007199254740995,"));
  g_assert_nonnull (strstr (json, "\"User\":9223372036854775807"));
  netmap_unref (map);
}

/* Checklist 2: what a keep-alive brings besides its clock is for control, not for the map. */
static void
test_keep_alive (void)
{
  NetmapChanges c;
  Netmap *map = apply (NULL, sample_map);

  map = apply_at (
      map,
      "{\"KeepAlive\":true,\"ControlTime\":\"2026-11-22T12:00:00Z\",\"PeersRemoved\":[14],"
      "\"Domain\":\"x\",\"PingRequest\":{\"URL\":\"http://c/p\"}}",
      "2026-11-22T10:00:00Z", &c);
  g_assert_cmpuint (c.flags, ==, NETMAP_CHANGED_CLOCK);
  netmap_changes_clear (&c);
  g_assert_cmpint (netmap_control_delta_us (map), ==, 7200 * INT64_C (1000000));
  g_assert_nonnull (netmap_peer (map, 14));
  /* The next measurement differs by network delay only. */
  map = apply_at (map, "{\"KeepAlive\":true,\"ControlTime\":\"2026-11-22T12:01:00.9Z\"}",
                  "2026-11-22T10:01:00Z", &c);
  g_assert_cmpuint (c.flags, ==, 0);
  netmap_changes_clear (&c);
  /* A clock before the protocol existed is not believed. */
  map = apply (map, "{\"KeepAlive\":true,\"ControlTime\":\"2020-01-01T00:00:00Z\"}");
  g_assert_cmpint (netmap_control_delta_us (map), ==, 7200 * INT64_C (1000000));
  netmap_unref (map);
}

/* Checklist 17 and 18. */
static void
test_expiry (void)
{
  NetmapChanges c;
  Netmap *map = apply (NULL, sample_map), *next;

  map = apply (map,
               "{\"PeersChangedPatch\":[{\"NodeID\":14,\"KeyExpiry\":\"2026-11-22T11:00:00Z\"},{"
               "\"NodeID\":16,\"KeyExpiry\":\"0001-01-01T00:00:00Z\"}]}");
  /* The server's clock is an hour ahead: in truth the key ends now. */
  map = apply (map, "{\"KeepAlive\":true,\"ControlTime\":\"2026-11-22T10:30:00Z\"}");
  WallTime due = netmap_next_expiry (map, date ("2026-11-22T10:00:00Z"));
  g_assert_cmpint (wall_time_compare (due, date ("2026-11-22T10:30:10Z")), ==, 0);
  next = netmap_expire (map, netmap_control_time (map, date ("2026-11-22T10:29:59Z")), &c);
  g_assert_cmpuint (c.flags, ==, 0);
  netmap_changes_clear (&c);
  netmap_unref (next);
  next = netmap_expire (map, netmap_control_time (map, due), &c);
  g_assert_cmpuint (c.n_peers, ==, 1);
  g_assert_cmpuint (c.peers[0].changed, ==, NODE_CHANGED_EXPIRY);
  g_assert_true (netmap_peer (next, 14)->expired);
  g_assert_false (node_is_usable (netmap_peer (next, 14)));
  g_assert_false (netmap_peer (next, 16)->expired);
  netmap_changes_clear (&c);
  netmap_unref (map);
  map = next;
  /* Only own expiry is left. */
  due = netmap_next_expiry (map, date ("2026-11-22T10:31:00Z"));
  g_assert_cmpint (wall_time_compare (due, date ("2027-01-10T07:30:10Z")), ==, 0);
  /* Repeated without a later date it stays expired; with one it lives again. */
  map = apply_at (
      map, "{\"PeersChangedPatch\":[{\"NodeID\":14,\"KeyExpiry\":\"2026-11-22T11:00:00Z\"}]}",
      "2026-11-22T10:31:00Z", &c);
  g_assert_cmpuint (c.flags, ==, 0);
  netmap_changes_clear (&c);
  map = apply (map,
               "{\"PeersChangedPatch\":[{\"NodeID\":14,\"KeyExpiry\":\"2027-11-22T11:00:00Z\"}]}");
  g_assert_true (node_is_usable (netmap_peer (map, 14)));
  /* The own key. */
  next = netmap_expire (map, date ("2027-01-10T08:00:00Z"), &c);
  g_assert_true (netmap_self (next)->expired);
  g_assert_cmpuint (c.self_changed, ==, NODE_CHANGED_EXPIRY);
  netmap_changes_clear (&c);
  netmap_unref (next);
  netmap_unref (map);
}

static void
test_expired_on_arrival (void)
{
  Netmap *map = apply (NULL, sample_map);

  map = apply (map, "{\"PeersChanged\":[{\"ID\":3,\"Key\":\"" KEY_SELF
                    "\",\"HomeDERP\":1,\"KeyExpiry\":\"2026-11-22T09:00:00Z\",\"Online\":true}]}");
  g_assert_true (netmap_peer (map, 3)->expired);
  g_assert_false (netmap_peer (map, 3)->expired_by_server);
  /* The server's word is final until a new key or a later date comes. */
  map = apply (map, "{\"PeersChanged\":[{\"ID\":3,\"Key\":\"" KEY_SELF "\",\"Expired\":true}]}");
  map = apply (map, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"Online\":false}]}");
  g_assert_true (netmap_peer (map, 3)->expired);
  map = apply (map, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"Key\":\"" KEY_WEB "\"}]}");
  g_assert_false (netmap_peer (map, 3)->expired);
  netmap_unref (map);
}

/* A.5: what the server says about an earlier moment does not undo what the peer said itself. */
static void
test_disco_rank (void)
{
  DiscoPublic key = {{7}};
  NetmapChanges c;
  Netmap *map = apply (NULL, sample_map), *next;

  next = netmap_learn_disco_key (map, 14, &key, date ("2026-11-22T10:05:00Z"), &c);
  g_assert_cmpuint (c.peers[0].changed, ==, NODE_CHANGED_DISCO_KEY | NODE_CHANGED_LAST_SEEN);
  netmap_changes_clear (&c);
  netmap_unref (map);
  map = apply (next,
               "{\"PeersChangedPatch\":[{\"NodeID\":14,\"DiscoKey\":\"discokey:"
               "c0848e90923a50bab27f81fedc24f9715bc5826da2f551abdb59771113512e58\",\"Online\":"
               "false,\"LastSeen\":\"2026-11-22T10:04:00Z\"}]}");
  g_assert_true (key_same (&netmap_peer (map, 14)->disco_key, &key));
  map = apply (map, "{\"PeersChangedPatch\":[{\"NodeID\":14,\"DiscoKey\":\"discokey:"
                    "c0848e90923a50bab27f81fedc24f9715bc5826da2f551abdb59771113512e58\"}]}");
  g_assert_false (key_same (&netmap_peer (map, 14)->disco_key, &key));
  /* Checklist 19: the server's later word for a key that the peer told is no change. */
  next = netmap_learn_disco_key (map, 14, &key, date ("2026-11-22T10:05:00Z"), NULL);
  netmap_unref (map);
  map = apply_at (next,
                  "{\"PeersChangedPatch\":[{\"NodeID\":14,\"DiscoKey\":\"discokey:"
                  "0700000000000000000000000000000000000000000000000000000000000000\"}]}",
                  "2026-11-22T10:06:00Z", &c);
  g_assert_cmpuint (c.flags, ==, 0);
  netmap_changes_clear (&c);
  netmap_unref (map);
}

static void
test_same_key (void)
{
  Netmap *map = apply (NULL, sample_map);
  NodePublic key;

  map = apply (map, "{\"PeersChanged\":[{\"ID\":15,\"Key\":\"" KEY_WEB "\"}]}");
  g_assert_true (key_parse (KEY_NODE_PUBLIC, KEY_WEB, strlen (KEY_WEB), &key));
  g_assert_cmpint (netmap_peer_by_key (map, &key)->id, ==, 14);
  g_assert_true (netmap_peer_is_duplicate (map, netmap_peer (map, 15)));
  g_assert_false (netmap_peer_is_duplicate (map, netmap_peer (map, 14)));
  map = apply (map, "{\"PeersRemoved\":[14]}");
  g_assert_false (netmap_peer_is_duplicate (map, netmap_peer (map, 15)));
  netmap_unref (map);
}

/* Servers repeat themselves (spec/live-peers.md (c) 8, 9). */
static void
test_repetition (void)
{
  NetmapChanges c;
  Netmap *map = apply (NULL, sample_map), *same = netmap_ref (map);
  g_autoptr (GString) changed = g_string_new (sample_map);

  map = apply_at (map, sample_map, "2026-11-22T10:03:00Z", &c);
  g_assert_cmpuint (c.flags, ==, 0);
  g_assert_true (map == same);
  g_string_replace (changed, "\"Peers\":", "\"PeersChanged\":", 1);
  map = apply_at (map, changed->str, "2026-11-22T10:03:00Z", &c);
  g_assert_cmpuint (c.flags, ==, 0);
  g_assert_true (map == same);
  netmap_changes_clear (&c);
  netmap_unref (same);
  netmap_unref (map);
}

/* A new stream starts without peers, but keeps the relays. */
static void
test_new_stream (void)
{
  Netmap *map = apply (NULL, sample_map), *fresh = netmap_new (map);
  NetmapChanges c;

  fresh = apply (fresh, "{\"Node\":{\"ID\":11,\"Key\":\"" KEY_SELF "\"}}");
  g_assert_cmpuint (netmap_n_peers (fresh), ==, 0);
  g_assert_cmpuint (netmap_derp_map (fresh)->n_regions, ==, 1);
  g_assert_null (netmap_dns (fresh));
  netmap_changes_init (&c);
  netmap_diff (map, fresh, &c);
  g_assert_cmpuint (c.n_peers, ==, 2);
  g_assert_null (c.peers[0].after);
  g_assert_true (c.flags & NETMAP_CHANGED_DNS);
  g_assert_false (c.flags & NETMAP_CHANGED_DERP_MAP);
  netmap_changes_clear (&c);
  netmap_unref (map);
  netmap_unref (fresh);
}

static void
test_display_names (void)
{
  static const struct
  {
    const char *name, *hostname, *expected;
  } rows[] = {{"web.corn.ts.net.", "x", "web"},
              {"WEB.CORN.ts.net.", "x", "WEB"},
              {"web.other.ts.net.", "x", "web.other.ts.net"},
              {"bare", "x", "bare"},
              {"", "My PC.local", "my-pc"},
              {"", "___", "[kQAAA]"}};
  Netmap *map = apply (NULL, sample_map);

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    Node draft;
    NodeHostinfo info = {.hostname = rows[i].hostname};
    char out[64];
    node_draft_init (&draft);
    draft.name = rows[i].name;
    draft.hostinfo = &info;
    draft.key.bytes[0] = 0x91;
    netmap_display_name (map, &draft, out, sizeof out);
    g_assert_cmpstr (out, ==, rows[i].expected);
  }
  netmap_unref (map);
}

/* The cache on disk reads back as the same map. */
static void
test_cache (void)
{
  NetmapChanges c;
  JsonWriter w;
  Netmap *map = apply (NULL, sample_map), *back;

  map = apply (
      map, "{\"TKAInfo\":{\"Head\":\"abc\"},\"SSHPolicy\":{\"rules\":[ ]},\"Health\":[\"x\"],"
           "\"PacketFilters\":{\"extra\":[{\"SrcIPs\":[\"100.64.0.5-100.64.0.9\",\"cap:x\","
           "\"10.0.0.0/8\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":1,\"Last\":65535}}],"
           "\"IPProto\":[300]},{\"SrcIPs\":[\"*\"],\"CapGrant\":[{\"Dsts\":[\"100.64.0.2/32\"],"
           "\"CapMap\":{\"e.com/x\":[{\"a\":1}],\"y\":null}}]}]}}");
  json_writer_init (&w);
  netmap_encode (map, &w);
  g_autofree char *json = json_writer_take (&w, NULL);
  back = apply (NULL, json);
  netmap_changes_init (&c);
  netmap_diff (map, back, &c);
  g_assert_cmpuint (c.flags, ==, 0);
  g_assert_cmpstr (netmap_lock (back)->head, ==, "abc");
  g_assert_cmpstr (netmap_ssh_policy (back), ==, "{\"rules\":[]}");
  netmap_changes_clear (&c);
  netmap_unref (map);
  netmap_unref (back);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/netmap/first-message-makes-the-map", test_first);
  g_test_add_func ("/netmap/sample-deltas-give-the-listed-states", test_deltas);
  g_test_add_func ("/netmap/relay-maps-merge", test_derp_merge);
  g_test_add_func ("/netmap/peer-lists-apply-in-order", test_peer_lists);
  g_test_add_func ("/netmap/nodes-are-normalised", test_normalise);
  g_test_add_func ("/netmap/old-capabilities-join-the-map", test_capabilities);
  g_test_add_func ("/netmap/messages-win-over-health", test_notices);
  g_test_add_func ("/netmap/ids-above-2-to-53-survive", test_big_ids);
  g_test_add_func ("/netmap/keep-alive-changes-only-the-clock", test_keep_alive);
  g_test_add_func ("/netmap/keys-expire-by-the-servers-clock", test_expiry);
  g_test_add_func ("/netmap/expired-stays-until-renewed", test_expired_on_arrival);
  g_test_add_func ("/netmap/peers-own-disco-key-outranks-older-news", test_disco_rank);
  g_test_add_func ("/netmap/first-of-two-with-one-key-counts", test_same_key);
  g_test_add_func ("/netmap/repetition-is-no-change", test_repetition);
  g_test_add_func ("/netmap/new-stream-starts-without-peers", test_new_stream);
  g_test_add_func ("/netmap/display-names", test_display_names);
  g_test_add_func ("/netmap/cache-reads-back-as-the-same-map", test_cache);
  return g_test_run ();
}
