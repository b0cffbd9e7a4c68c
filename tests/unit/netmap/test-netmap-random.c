/* Random deltas against a map that is kept as a plain list, the way A.4 and A.5 read. */
#include "sample.h"

#include "base/random.h"

#define IDS 24

static const WallTime now = {1795000000, 0};

typedef struct
{
  Node *nodes[IDS]; /* by id; NULL: not there */
} List;

static void
list_set (List *list, NodeId id, Node *node)
{
  node_unref (list->nodes[id]);
  list->nodes[id] = node;
}

static List
list_copy (const List *from)
{
  List to;

  for (size_t i = 0; i < IDS; i++)
    to.nodes[i] = node_ref (from->nodes[i]);
  return to;
}

static void
list_clear (List *list)
{
  for (NodeId i = 0; i < IDS; i++)
    list_set (list, i, NULL);
}

static bool
has_passed (WallTime expiry)
{
  return !wall_time_is_unset (expiry) && wall_time_compare (expiry, now) <= 0;
}

/* DRAFT with expiry looked at, in place of what has its id. */
static void
list_put (List *list, const Node *node)
{
  Node draft = *node;

  draft.expired = draft.expired || has_passed (draft.key_expiry);
  list_set (list, draft.id, node_pack (&draft));
}

static void
list_patch (List *list, const NodePatch *p)
{
  Node draft;
  bool renewed;

  if (!list->nodes[p->id])
    return;
  draft = *list->nodes[p->id];
  renewed = (p->has_key && !key_same (&draft.key, &p->key))
            || (p->has_key_expiry
                && (wall_time_is_unset (p->key_expiry)
                    || wall_time_compare (p->key_expiry, draft.key_expiry) > 0));
  if (p->home_derp)
    draft.home_derp = p->home_derp;
  if (p->cap)
    draft.cap = p->cap;
  if (p->has_caps)
    draft.caps = p->caps, draft.n_caps = (uint16_t)p->n_caps;
  if (p->has_endpoints)
    draft.endpoints = p->endpoints, draft.n_endpoints = (uint16_t)p->n_endpoints;
  if (p->has_key)
    draft.key = p->key;
  if (p->has_disco_key)
    draft.disco_key = p->disco_key;
  if (p->online != TRI_UNKNOWN)
    draft.online = p->online;
  if (p->has_last_seen)
    draft.last_seen = p->last_seen;
  if (p->has_key_expiry)
    draft.key_expiry = p->key_expiry;
  if (renewed)
    draft.expired = draft.expired_by_server = false;
  list_put (list, &draft);
}

static void
list_apply (List *list, const MapMessage *m)
{
  if (m->n_peers > 0) {
    list_clear (list);
    for (size_t i = 0; i < m->n_peers; i++)
      list_put (list, m->peers[i]);
    return;
  }
  for (size_t i = 0; i < m->n_peers_removed; i++)
    list_set (list, m->peers_removed[i], NULL);
  for (size_t i = 0; i < m->n_peers_changed; i++)
    list_put (list, m->peers_changed[i]);
  for (size_t i = 0; i < m->n_peer_seen; i++) {
    Node *node = list->nodes[m->peer_seen[i].id];
    if (!node)
      continue;
    Node draft = *node;
    draft.last_seen = m->peer_seen[i].value ? now : wall_time_unset ();
    list_put (list, &draft);
  }
  for (size_t i = 0; i < m->n_online; i++) {
    Node *node = list->nodes[m->online[i].id];
    if (!node)
      continue;
    Node draft = *node;
    draft.online = m->online[i].value;
    list_put (list, &draft);
  }
  for (size_t i = 0; i < m->n_patches; i++)
    list_patch (list, &m->patches[i]);
}

/* ---- random messages ---- */

static void
add_node (GString *out, Random *random)
{
  NodeId id = 1 + (NodeId)random_below (random, IDS - 1);
  static const char *const more[]
      = {"",
         ",\"Online\":true",
         ",\"Online\":false",
         ",\"Expired\":true",
         ",\"Endpoints\":[\"1.2.3.4:5\"]",
         ",\"CapMap\":{\"a\":null}",
         ",\"Tags\":[\"tag:x\"]",
         ",\"UnsignedPeerAPIOnly\":true",
         ",\"KeyExpiry\":\"2020-01-01T00:00:00Z\"",
         ",\"KeyExpiry\":\"2040-01-01T00:00:00Z\"",
         ",\"Hostinfo\":{\"OS\":\"linux\",\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":7}]}"};

  g_string_append_printf (out,
                          "%s{\"ID\":%d,\"StableID\":\"s%d\",\"Key\":\"nodekey:%064x\","
                          "\"Addresses\":[\"100.64.0.%d/32\"]%s}",
                          out->str[out->len - 1] == '[' ? "" : ",", (int)id,
                          (int)random_below (random, 30), 1 + (unsigned)random_below (random, 30),
                          (int)random_below (random, 30),
                          more[random_below (random, G_N_ELEMENTS (more))]);
}

static void
add_patch (GString *out, Random *random)
{
  static const char *const what[] = {
      "\"DERPRegion\":3",
      "\"DERPRegion\":0",
      "\"Endpoints\":[]",
      "\"Endpoints\":[\"5.6.7.8:9\"]",
      "\"Endpoints\":null",
      "\"CapMap\":{}",
      "\"CapMap\":{\"b\":[1]}",
      "\"Online\":true",
      "\"LastSeen\":\"2026-01-01T00:00:00Z\"",
      "\"KeyExpiry\":\"0001-01-01T00:00:00Z\"",
      "\"KeyExpiry\":\"2019-01-01T00:00:00Z\"",
      "\"KeyExpiry\":\"2041-01-01T00:00:00Z\"",
      "\"Cap\":140",
      "\"Key\":\"nodekey:0000000000000000000000000000000000000000000000000000000000000003\"",
      "\"DiscoKey\":\"discokey:0000000000000000000000000000000000000000000000000000000000000009\""};

  g_string_append_printf (out, "%s{\"NodeID\":%d,%s}", out->str[out->len - 1] == '[' ? "" : ",",
                          (int)random_below (random, IDS),
                          what[random_below (random, G_N_ELEMENTS (what))]);
}

static char *
random_message (Random *random)
{
  GString *out = g_string_new ("{");

  if (random_below (random, 10) == 0) {
    g_string_append (out, "\"Peers\":[");
    for (uint64_t n = random_below (random, 12); n > 0; n--)
      add_node (out, random);
    g_string_append (out, "],");
  }
  g_string_append (out, "\"PeersChanged\":[");
  for (uint64_t n = random_below (random, 4); n > 0; n--)
    add_node (out, random);
  g_string_append (out, "],\"PeersChangedPatch\":[");
  for (uint64_t n = random_below (random, 4); n > 0; n--)
    add_patch (out, random);
  g_string_append (out, "],\"PeersRemoved\":[");
  for (uint64_t n = random_below (random, 3); n > 0; n--)
    g_string_append_printf (out, "%s%d", out->str[out->len - 1] == '[' ? "" : ",",
                            (int)random_below (random, IDS));
  g_string_append_printf (out, "],\"OnlineChange\":{\"%d\":%s}", (int)random_below (random, IDS),
                          random_below (random, 2) ? "true" : "false");
  g_string_append_printf (out, ",\"PeerSeenChange\":{\"%d\":%s}}", (int)random_below (random, IDS),
                          random_below (random, 2) ? "true" : "false");
  return g_string_free (out, FALSE);
}

/* ---- comparison ---- */

static void
assert_map (const Netmap *map, const List *list)
{
  NetmapIter iter = netmap_iter (map);
  size_t n = 0, n_unsigned = 0;

  for (NodeId id = 1; id < IDS; id++) {
    const Node *expected = list->nodes[id], *node = netmap_peer (map, id);
    g_assert_cmpint (node == NULL, ==, expected == NULL);
    if (!expected)
      continue;
    n++;
    n_unsigned += expected->unsigned_peer_api_only;
    g_assert_cmpuint (node_diff (node, expected), ==, 0);
    g_assert_true (netmap_iter_next (&iter) == node);
    NodeId first_key = 0, first_stable = 0, first_addr = 0;
    for (NodeId k = IDS - 1; k > 0; k--) {
      const Node *other = list->nodes[k];
      if (!other)
        continue;
      if (key_same (&other->key, &node->key))
        first_key = k;
      if (strcmp (other->stable_id, node->stable_id) == 0)
        first_stable = k;
      if (node_owns_address (other, &node->addresses[0].addr))
        first_addr = k;
    }
    g_assert_cmpint (netmap_peer_by_key (map, &node->key)->id, ==, first_key);
    g_assert_cmpint (netmap_peer_is_duplicate (map, node), ==, first_key != id);
    g_assert_cmpint (netmap_peer_by_stable_id (map, node->stable_id)->id, ==, first_stable);
    g_assert_cmpint (netmap_node_by_address (map, &node->addresses[0].addr)->id, ==, first_addr);
  }
  g_assert_null (netmap_iter_next (&iter));
  g_assert_cmpuint (netmap_n_peers (map), ==, n);
  g_assert_cmpuint (netmap_n_unsigned_peers (map), ==, n_unsigned);
}

static void
assert_changes (const NetmapChanges *changes, const List *before, const List *after)
{
  size_t k = 0;

  for (NodeId id = 1; id < IDS; id++) {
    const Node *a = before->nodes[id], *b = after->nodes[id];
    uint32_t bits = a && b ? node_diff (a, b) : 0;
    if ((!a && !b) || (a && b && bits == 0))
      continue;
    g_assert_cmpuint (k, <, changes->n_peers);
    const NetmapPeerChange *c = &changes->peers[k++];
    g_assert_cmpint (c->id, ==, id);
    g_assert_cmpuint (c->changed, ==, bits);
    g_assert_cmpint (c->before == NULL, ==, a == NULL);
    g_assert_cmpint (c->after == NULL, ==, b == NULL);
  }
  g_assert_cmpuint (k, ==, changes->n_peers);
  g_assert_cmpint ((changes->flags & NETMAP_CHANGED_PEERS) != 0, ==, k > 0);
}

/* The expiry index: what is next is the earliest of those that are not expired. */
static void
assert_expiry (const Netmap *map, const List *list)
{
  WallTime first = wall_time_unset ();

  for (NodeId id = 1; id < IDS; id++) {
    const Node *n = list->nodes[id];
    if (n && !n->expired && !wall_time_is_unset (n->key_expiry)
        && (wall_time_is_unset (first) || wall_time_compare (n->key_expiry, first) < 0))
      first = n->key_expiry;
  }
  WallTime due = netmap_next_expiry (map, now);
  g_assert_cmpint (wall_time_is_unset (due), ==, wall_time_is_unset (first));
  if (!wall_time_is_unset (first))
    g_assert_cmpint (wall_time_compare (due, wall_time_add_us (first, 10000000)), ==, 0);
}

static void
test_random (void)
{
  const char *given = g_getenv ("WARREN_TEST_SEED");
  uint64_t first = given ? g_ascii_strtoull (given, NULL, 10) : 1;

  for (uint64_t seed = first; seed < first + (given ? 1 : 20); seed++) {
    SeededRandom random;
    Netmap *map = apply (NULL, "{\"Node\":{\"ID\":100}}");
    List list = {0};
    g_test_message ("WARREN_TEST_SEED=%" G_GUINT64_FORMAT, seed);
    seeded_random_init (&random, seed);
    for (int step = 0; step < 300; step++) {
      g_autofree char *json = random_message (&random.base);
      MapMessage *m = message (json);
      NetmapChanges changes;
      List before = list_copy (&list);
      Netmap *next = netmap_apply (map, m, now, &changes);
      list_apply (&list, m);
      assert_map (map, &before);
      assert_map (next, &list);
      assert_changes (&changes, &before, &list);
      assert_expiry (next, &list);
      g_assert_cmpint (next == map, ==, changes.flags == 0);
      netmap_changes_clear (&changes);
      netmap_unref (map);
      map_message_free (m);
      list_clear (&before);
      map = next;
    }
    netmap_unref (map);
    list_clear (&list);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/netmap/random-deltas-equal-a-plain-list", test_random);
  return g_test_run ();
}
