/* The private network without a bus: what its documents say, and what a person may type about it.
 */
#include "client/network-check.h"
#include "client/network-records.h"

#include <string.h>

static const char nodes[]
    = "[{\"id\":5,\"name\":\"router\",\"hostname\":\"OpenWrt\",\"os\":\"linux\",\"user\":\"anna\","
      "\"tags\":[\"tag:server\"],\"addresses\":[\"100.64.0.5\",\"fd7a:115c:a1e0::5\"],"
      "\"advertisedRoutes\":[\"0.0.0.0/0\",\"::/0\"],\"approvedRoutes\":[],\"online\":true,"
      "\"approved\":true,\"expired\":false,\"keyExpiry\":\"2027-05-20T10:00:00Z\","
      "\"lastSeen\":\"0001-01-01T00:00:00Z\","
      "\"nodeKey\":\"nodekey:5f3a91c07d2eb8640000000000000000000000000000000000000000000000000\"},"
      "{\"pending\":\"4f1e\",\"name\":\"pixel\",\"approved\":false,\"later\":{\"a\":[1]}},"
      "{\"id\":\"7\",\"name\":\"old\",\"approved\":false,\"online\":\"yes\",\"tags\":\"x\"},3]";

static void
test_nodes (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) list = warren_network_parse_nodes (nodes, &error);
  g_autofree char *fingerprint = NULL;
  const WarrenNodeFacts *facts;

  g_assert_no_error (error);
  g_assert_cmpuint (list->len, ==, 3);
  facts = warren_network_node_get (list->pdata[0]);
  fingerprint = warren_network_node_dup_fingerprint (list->pdata[0]);
  g_assert_cmpstr (facts->id, ==, "5");
  g_assert_cmpstr (facts->hostname, ==, "OpenWrt");
  g_assert_cmpstr (fingerprint, ==, "5f3a 91c0 7d2e b864");
  g_assert_cmpint (facts->key_expiry, ==, 1810807200);
  g_assert_cmpint (facts->last_seen, ==, 0);
  g_assert_true (facts->online && !facts->waiting);
  g_assert_true (warren_network_node_offers_exit (list->pdata[0]));
  g_assert_false (warren_network_node_is_exit (list->pdata[0]));
  g_assert_true (warren_network_node_matches (list->pdata[0], "64.0.5"));
  g_assert_true (warren_network_node_matches (list->pdata[0], "openwrt"));
  g_assert_false (warren_network_node_matches (list->pdata[0], "pixel"));
}

static void
test_waiting (void)
{
  g_autoptr (GPtrArray) list = warren_network_parse_nodes (nodes, NULL);
  const WarrenNodeFacts *pending = warren_network_node_get (list->pdata[1]);
  const WarrenNodeFacts *old = warren_network_node_get (list->pdata[2]);

  g_assert_true (pending->waiting);
  g_assert_cmpstr (pending->id, ==, "4f1e");
  g_assert_cmpstr (pending->os, ==, "");
  g_assert_nonnull (pending->addresses);
  /* Members of the wrong type are as good as absent. */
  g_assert_true (old->waiting && !old->online);
  g_assert_cmpuint (g_strv_length (old->tags), ==, 0);
}

static void
count (WarrenNetworkNode *node, guint *n)
{
  (*n)++;
}

static void
test_update (void)
{
  g_autoptr (GPtrArray) a = warren_network_parse_nodes (nodes, NULL);
  g_autoptr (GPtrArray) b = warren_network_parse_nodes (nodes, NULL);
  g_autoptr (GPtrArray) c = warren_network_parse_nodes ("[{\"id\":5,\"name\":\"gateway\"}]", NULL);
  guint n = 0;

  g_signal_connect (a->pdata[0], "changed", G_CALLBACK (count), &n);
  warren_network_node_update (a->pdata[0], b->pdata[0]);
  g_assert_cmpuint (n, ==, 0);
  warren_network_node_update (a->pdata[0], c->pdata[0]);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpstr (warren_network_node_get (a->pdata[0])->name, ==, "gateway");
}

static void
test_other_documents (void)
{
  static const char *const wrong[] = {"", "{", "{}", "null", "\"x\"", "[[[["};
  g_autoptr (GPtrArray) keys = warren_network_parse_keys (
      "[{\"id\":\"k1\",\"reusable\":true,\"state\":\"valid\",\"expires\":1893456000}]", NULL);
  g_autoptr (GPtrArray) issues = warren_network_parse_issues (
      "{\"ok\":false,\"issues\":[{\"line\":2,\"column\":12,\"path\":\"acls[0]\",\"text\":\"no\"},"
      "{\"line\":-1,\"warning\":true}]}",
      NULL);
  g_autoptr (WarrenDnsFacts) dns = warren_network_parse_dns (
      "{\"domain\":\"home.internal\",\"magicDns\":true,\"nameservers\":[\"9.9.9.9\",7]}", NULL);
  const WarrenPolicyIssue *issue = issues->pdata[0];

  g_assert_cmpint (warren_network_key_get (keys->pdata[0])->expires, ==, 1893456000);
  g_assert_cmpuint (issue->line, ==, 2);
  g_assert_cmpstr (issue->text, ==, "no");
  issue = issues->pdata[1];
  g_assert_true (issue->line == 0 && issue->warning);
  g_assert_true (dns->magic);
  g_assert_cmpuint (g_strv_length (dns->nameservers), ==, 1);
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (warren_network_parse_nodes (wrong[i], &error));
    g_assert_nonnull (error);
  }
}

static void
test_new_key (void)
{
  g_autofree char *document = warren_network_parse_new_key ("{\"id\":\"1\",\"key\":\"hskey-a\"}");
  g_autofree char *line = warren_network_parse_new_key ("hskey-b\n");

  g_assert_cmpstr (document, ==, "hskey-a");
  g_assert_cmpstr (line, ==, "hskey-b");
  g_assert_null (warren_network_parse_new_key ("no key here\n"));
  g_assert_null (warren_network_parse_new_key ("{}"));
}

static void
test_checks (void)
{
  static const struct
  {
    const char *(*check) (const char *);
    const char *right[4];
    const char *wrong[8];
  } table[] = {
      {warren_check_label,
       {"home", "a", "my-home-2"},
       {"", "my home", "-a", "a-", "a_b", "ümlaut", "a.b"}},
      {warren_check_prefix4,
       {"100.64.0.0/10", "100.80.0.0/16", "100.127.255.240/28"},
       {"", "100.64.0.0", "10.0.0.0/8", "100.64.0.0/9", "100.64.0.0/29", "100.64.0.1/16",
        "100.64.0.0/x"}},
      {warren_check_listen,
       {"192.168.1.5:8080", "[fd00::1]:8080", "0.0.0.0:443"},
       {"", "192.168.1.5", "home:8080", "192.168.1.5:0", "192.168.1.5:99999", ":8080"}},
      {warren_check_url,
       {"http://192.168.1.5:8080", "https://vpn.example.com", "https://vpn.example.com/"},
       {"", "vpn.example.com", "ftp://a", "https://", "https://a/b", "https://a?b", "https://u@a"}},
      {warren_check_servers, {"", "9.9.9.9", "9.9.9.9, fd00::1"}, {"dns.example.com", "9.9.9"}},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++) {
    for (gsize j = 0; j < G_N_ELEMENTS (table[i].right) && table[i].right[j] != NULL; j++)
      g_assert_cmpstr (table[i].check (table[i].right[j]), ==, NULL);
    for (gsize j = 0; j < G_N_ELEMENTS (table[i].wrong) && table[i].wrong[j] != NULL; j++)
      if (table[i].check (table[i].wrong[j]) == NULL)
        g_error ("row %zu takes \"%s\"", i, table[i].wrong[j]);
  }
}

static void
test_tags (void)
{
  g_autofree char *tags = warren_check_tags (" lab, tag:web ,");
  g_autofree char *none = warren_check_tags ("");

  g_assert_cmpstr (tags, ==, "tag:lab,tag:web");
  g_assert_cmpstr (none, ==, "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/network/list-of-devices-is-read", test_nodes);
  g_test_add_func ("/network/devices-that-wait-are-told-apart", test_waiting);
  g_test_add_func ("/network/only-a-difference-is-a-change", test_update);
  g_test_add_func ("/network/other-documents-are-read-and-nonsense-is-refused",
                   test_other_documents);
  g_test_add_func ("/network/new-key-is-found-in-either-form", test_new_key);
  g_test_add_func ("/network/what-is-typed-is-checked", test_checks);
  g_test_add_func ("/network/tags-get-their-prefix", test_tags);
  return g_test_run ();
}
