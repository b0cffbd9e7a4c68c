#include "plan-help.h"

#include "session/exit-node.h"

#include <math.h>

#define EXIT     ",\"Online\":true,\"CapMap\":{\"suggest-exit-node\":null}"
#define DEFAULTS "\"0.0.0.0/0\",\"::/0\""

static Netmap *
map_of (char *const *peers, const char *self_caps)
{
  g_autofree char *list = g_strjoinv (",", (char **)peers);
  g_autofree char *json = g_strdup_printf (
      "{\"Node\":{\"ID\":11,\"StableID\":\"self\",\"Name\":\"me.corn.ts.net.\",\"Key\":\"nodekey:"
      "ff00000000000000000000000000000000000000000000000000000000000000\",\"Addresses\":["
      "\"100.64.0.1/"
      "32\"],\"CapMap\":{%s}},\"Peers\":[%s],\"DERPMap\":{\"Regions\":{\"1\":{\"RegionID\":1,"
      "\"Latitude\":50.1109,\"Longitude\":8.6821},\"2\":{\"RegionID\":2}}}}",
      self_caps, list);

  return next_map (NULL, json, NULL);
}

/* spec C.4. */
static void
test_vectors (void)
{
  static const struct
  {
    NodeId self, peer;
    uint64_t rank;
  } rows[] = {{0, 1, UINT64_C (0x1af7b85a5eef58e4)},
              {0, 2, UINT64_C (0x279694ba88b5c865)},
              {0, 3, UINT64_C (0x21e3e0f0828ba5ba)},
              {0, 4, UINT64_C (0x3cc06fc0a8b8b956)},
              {11, 17, UINT64_C (0xd3d8b23869297d39)}};

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_cmphex (exit_node_rank (rows[i].self, rows[i].peer), ==, rows[i].rank);
  g_assert_cmpfloat_with_epsilon (exit_node_distance (50.1109, 8.6821, 52.52, 13.405), 423528, 1);
}

static const char *
suggest (const Netmap *map, ExitNodeHints *hints)
{
  SeededRandom random;

  seeded_random_init (&random, 5);
  hints->random = &random.base;
  const Node *node = exit_node_suggest (map, hints);
  return node ? node->stable_id : "none";
}

/* Checklist 58. */
static void
test_regions (void)
{
  g_auto (GStrv) peers = g_new0 (char *, 6);
  RegionLatency latencies[] = {{1, 0.050}, {2, 0.020}};
  ExitNodeHints hints = {.home_region = 1, .latencies = latencies, .n_latencies = 2};

  peers[0] = peer_json (2, DEFAULTS, EXIT);
  peers[1] = peer_json (3, DEFAULTS, EXIT ",\"HomeDERP\":2");
  peers[2] = peer_json (4, DEFAULTS,
                        ",\"HomeDERP\":2,\"CapMap\":{\"suggest-exit-node\":null},\"Online\":false");
  peers[3] = peer_json (5, DEFAULTS, ",\"HomeDERP\":2,\"Online\":true");
  peers[4] = peer_json (6, "\"0.0.0.0/0\"", EXIT ",\"HomeDERP\":2");
  Netmap *map = map_of (peers, "");
  g_assert_cmpstr (suggest (map, &hints), ==, "n3");
  latencies[1].seconds = 0.060;
  g_assert_cmpstr (suggest (map, &hints), ==, "n2");
  hints.home_region = 0;
  g_assert_cmpstr (suggest (map, &hints), ==, "none");
  hints.home_region = 1;
  hints.n_latencies = 0;
  hints.previous = "n3";
  g_assert_cmpstr (suggest (map, &hints), ==, "n3");
  netmap_unref (map);
}

static char *
placed (int number, const char *location)
{
  g_autofree char *more = g_strdup_printf (",\"Online\":true,\"HomeDERP\":0,\"CapMap\":{\"suggest-"
                                           "exit-node\":null},\"Hostinfo\":{\"Location\":%s}",
                                           location);

  return peer_json (number, DEFAULTS, more);
}

static void
test_places (void)
{
  g_auto (GStrv) peers = g_new0 (char *, 6);
  ExitNodeHints hints = {.home_region = 1};

  /* Frankfurt twice, Mainz within 100 km with more priority, Berlin beyond with most. */
  peers[0] = placed (2, "{\"Latitude\":50.11,\"Longitude\":8.68,\"Priority\":10}");
  peers[1] = placed (3, "{\"Latitude\":50.11,\"Longitude\":8.68,\"Priority\":20}");
  peers[2] = placed (4, "{\"Latitude\":49.99,\"Longitude\":8.25,\"Priority\":30}");
  peers[3] = placed (5, "{\"Latitude\":52.52,\"Longitude\":13.405,\"Priority\":90}");
  peers[4] = placed (6, "null");
  Netmap *map = map_of (peers, "");
  g_assert_cmpstr (suggest (map, &hints), ==, "n4");
  netmap_unref (map);

  map = map_of (peers, "\"traffic-steering\":null");
  g_assert_cmpstr (suggest (map, &hints), ==, "n5");
  netmap_unref (map);
}

/* Checklist 56, 57 and the table of C.3. */
static void
test_states (void)
{
  g_auto (GStrv) peers = g_new0 (char *, 3);
  Preferences prefs;
  SeededRandom random;
  ExitNodeHints hints = {.home_region = 1, .random = &random.base};
  ExitNodeState state;

  seeded_random_init (&random, 1);
  peers[0] = peer_json (2, DEFAULTS, EXIT);
  peers[1] = peer_json (3, NULL, NULL);
  Netmap *map = map_of (peers, "");
  preferences_init (&prefs, "https://x");
  g_assert_null (exit_node_find (&prefs, map, &state));
  g_assert_cmpint (state, ==, EXIT_NODE_STATE_OFF);

  prefs.exit_node_mode = EXIT_NODE_BY_ADDRESS;
  prefs.exit_node_addr = ip_from_v4 (0x64400009);
  g_assert_false (exit_node_resolve (&prefs, map, &hints));
  g_assert_null (exit_node_find (&prefs, map, &state));
  g_assert_cmpint (state, ==, EXIT_NODE_STATE_UNRESOLVED);
  prefs.exit_node_addr = ip_from_v4 (0x64400002);
  g_assert_true (exit_node_resolve (&prefs, map, &hints));
  g_assert_cmpint (prefs.exit_node_mode, ==, EXIT_NODE_BY_ID);
  g_assert_cmpstr (prefs.exit_node_id, ==, "n2");
  g_assert_cmpint (prefs.exit_node_addr.family, ==, 0);
  g_assert_nonnull (exit_node_find (&prefs, map, &state));
  g_assert_cmpint (state, ==, EXIT_NODE_STATE_ON);

  g_strlcpy (prefs.exit_node_id, "n3", sizeof prefs.exit_node_id);
  g_assert_null (exit_node_find (&prefs, map, &state));
  g_assert_cmpint (state, ==, EXIT_NODE_STATE_NOT_OFFERING);
  g_strlcpy (prefs.exit_node_id, "n4", sizeof prefs.exit_node_id);
  g_assert_null (exit_node_find (&prefs, map, &state));
  g_assert_cmpint (state, ==, EXIT_NODE_STATE_MISSING);

  prefs.exit_node_mode = EXIT_NODE_AUTO;
  g_assert_true (exit_node_resolve (&prefs, map, &hints));
  g_assert_cmpstr (prefs.exit_node_id, ==, "n2");
  g_assert_false (exit_node_resolve (&prefs, map, &hints));
  map = next_map (map, "{\"OnlineChange\":{\"2\":false}}", NULL);
  g_assert_nonnull (exit_node_find (&prefs, map, &state));
  g_assert_cmpint (state, ==, EXIT_NODE_STATE_OFFLINE);
  /* Another candidate takes over; with none the traffic is blocked. */
  g_autofree char *other = peer_json (4, DEFAULTS, EXIT);
  g_autofree char *more = g_strdup_printf ("{\"PeersChanged\":[%s]}", other);
  map = next_map (map, more, NULL);
  g_assert_true (exit_node_resolve (&prefs, map, &hints));
  g_assert_cmpstr (prefs.exit_node_id, ==, "n4");
  map = next_map (map, "{\"PeersRemoved\":[4]}", NULL);
  g_assert_true (exit_node_resolve (&prefs, map, &hints));
  g_assert_cmpstr (prefs.exit_node_id, ==, "");
  g_assert_null (exit_node_find (&prefs, map, &state));
  g_assert_cmpint (state, ==, EXIT_NODE_STATE_UNRESOLVED);
  preferences_clear (&prefs);
  netmap_unref (map);
}

static void
test_names (void)
{
  static const struct
  {
    const char *text;
    ExitNodeNameResult result;
    NodeId id;
  } rows[] = {{"p2", EXIT_NODE_NAME_OK, 2},
              {"P2.corn.ts.net", EXIT_NODE_NAME_OK, 2},
              {"p2.corn.ts.net.", EXIT_NODE_NAME_OK, 2},
              {"n2", EXIT_NODE_NAME_OK, 2},
              {"100.64.0.2", EXIT_NODE_NAME_OK, 2},
              {"fd7a:115c:a1e0::2", EXIT_NODE_NAME_OK, 2},
              {"p3", EXIT_NODE_NAME_NOT_OFFERING, 0},
              {"me", EXIT_NODE_NAME_SELF, 0},
              {"100.64.0.1", EXIT_NODE_NAME_SELF, 0},
              {"p9", EXIT_NODE_NAME_UNKNOWN, 0},
              {"", EXIT_NODE_NAME_UNKNOWN, 0},
              {"100.64.0.9", EXIT_NODE_NAME_UNKNOWN, 0},
              {"twin", EXIT_NODE_NAME_AMBIGUOUS, 0}};
  g_auto (GStrv) peers = g_new0 (char *, 5);

  peers[0] = peer_json (2, DEFAULTS, EXIT);
  peers[1] = peer_json (3, NULL, NULL);
  peers[2] = peer_json (4, DEFAULTS, ",\"Name\":\"twin.corn.ts.net.\"");
  peers[3] = peer_json (5, DEFAULTS, ",\"Name\":\"TWIN.corn.ts.net.\"");
  Netmap *map = map_of (peers, "");
  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    const Node *node;
    g_test_message ("%s", rows[i].text);
    g_assert_cmpint (exit_node_by_name (map, rows[i].text, &node), ==, rows[i].result);
    g_assert_cmpint (node ? node->id : 0, ==, rows[i].id);
  }
  netmap_unref (map);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/exit-node/vectors-of-rank-and-distance", test_vectors);
  g_test_add_func ("/exit-node/suggests-the-nearest-region", test_regions);
  g_test_add_func ("/exit-node/suggests-by-place-and-priority", test_places);
  g_test_add_func ("/exit-node/states-and-preferences", test_states);
  g_test_add_func ("/exit-node/by-name", test_names);
  return g_test_run ();
}
