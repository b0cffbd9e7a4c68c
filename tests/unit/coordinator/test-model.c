/* Names and addresses of devices (spec/control-protocol.md §17.6). */

#include "coordinator/model.h"

#include <glib.h>
#include <sodium.h>
#include <string.h>

static void
test_labels (void)
{
  static const struct
  {
    const char *hostname, *label;
  } vectors[] = {
      {"Alice's Laptop", "alices-laptop"},
      {"host.lan.local", "host"},
      {"pi.local.lan", "pi-local"},
      {"a_b@c.d", "a-b-c-d"},
      {"my..box", "my--box"},
      {"Büro PC", "bro-pc"},
      {"Büro PC_1.local", "bro-pc-1"},
      {"___", "node"},
      {"", "node"},
      {NULL, "node"},
      {"<script>alert(1)</script>", "scriptalert1script"},
  };
  char label[MODEL_LABEL_MAX + 1];

  for (size_t i = 0; i < G_N_ELEMENTS (vectors); i++) {
    model_label (vectors[i].hostname, label);
    g_assert_cmpstr (label, ==, vectors[i].label);
  }
  g_autofree char *many = g_strnfill (70, 'A'), *cut = g_strnfill (63, 'a');
  model_label (many, label);
  g_assert_cmpstr (label, ==, cut);
}

static void
test_names_differ (void)
{
  SeededRandom random;
  CoModel model;
  WallTime now = {.seconds = 1800000000};
  g_autofree char *many = g_strnfill (70, 'a');
  GHashTable *seen = g_hash_table_new (g_str_hash, g_str_equal);

  seeded_random_init (&random, 1);
  model_init (&model);
  for (int i = 0; i < 120; i++) {
    CoNode *node = model_add_node (&model, many, now, &random.base);
    g_assert_cmpuint (strlen (node->name), ==, MODEL_LABEL_MAX);
    g_assert_true (g_hash_table_add (seen, node->name));
  }
  CoNode *node = model_add_node (&model, "pi", now, &random.base);
  model_name_node (&model, node, "pi");
  g_assert_cmpstr (node->name, ==, "pi"); /* not in its own way */
  g_hash_table_unref (seen);
  model_clear (&model);
}

/* 100.64.0.1 lies beside fd7a:115c:a1e0:ab12:4843:cd96:6240:1. */
static void
assert_beside (const CoNode *node)
{
  static const uint8_t prefix[]
      = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0xab, 0x12, 0x48, 0x43, 0xcd, 0x96, 0x62};
  const uint8_t *v4 = node->addr4.bytes, *v6 = node->addr6.bytes;

  g_assert_cmpmem (v6, sizeof prefix, prefix, sizeof prefix);
  g_assert_cmpmem (v6 + 13, 3, v4 + 1, 3);
}

static void
assert_not_reserved (const CoNode *node)
{
  const uint8_t *a = node->addr4.bytes;

  g_assert_true (a[0] == 100 && a[1] >= 64 && a[1] <= 127);
  g_assert_false (a[1] == 100 && (a[2] == 0 || a[2] == 100));
  g_assert_false (a[1] == 115 && (a[2] == 92 || a[2] == 93));
  g_assert_true (a[3] != 0 && a[3] != 255);
}

static void
test_addresses (void)
{
  SeededRandom random;
  CoModel model;
  GHashTable *seen = g_hash_table_new (NULL, NULL);

  seeded_random_init (&random, 2);
  model_init (&model);
  /* Pools that are full of what must not be given. */
  static const char *const pools[]
      = {"100.64.0.0/10", "100.100.100.0/23", "100.115.88.0/21", "100.100.0.0/23"};
  for (size_t p = 0; p < G_N_ELEMENTS (pools); p++) {
    g_assert_true (ip_prefix_parse (pools[p], strlen (pools[p]), &model.settings.pool4));
    for (int i = 0; i < 400; i++) {
      CoNode *node = model_add_node (&model, "n", (WallTime){1800000000, 0}, &random.base);
      if (!node)
        break;
      assert_beside (node);
      assert_not_reserved (node);
      uint32_t number;
      memcpy (&number, node->addr4.bytes, 4);
      g_assert_true (g_hash_table_add (seen, GUINT_TO_POINTER (number)));
    }
  }
  g_hash_table_unref (seen);
  model_clear (&model);
}

static void
test_pool_ends (void)
{
  SeededRandom random;
  CoModel model;
  NodeId last = 0;
  size_t n = 0;

  seeded_random_init (&random, 3);
  model_init (&model);
  g_assert_true (
      ip_prefix_parse ("100.70.1.0/28", strlen ("100.70.1.0/28"), &model.settings.pool4));
  for (CoNode *node; (node = model_add_node (&model, "n", (WallTime){0}, &random.base)); n++) {
    g_assert_cmpint (node->id, >, last);
    last = node->id;
  }
  g_assert_cmpuint (n, >=, 13);
  g_assert_cmpuint (n, <=, 15);
  /* What goes makes room; its number is never given again. */
  model_remove_node (&model, model.nodes[model.n_nodes - 1]);
  CoNode *node = model_add_node (&model, "n", (WallTime){0}, &random.base);
  g_assert_nonnull (node);
  g_assert_cmpint (node->id, >, last);
  g_assert_null (model_add_node (&model, "n", (WallTime){0}, &random.base));
  model_clear (&model);
}

int
main (int argc, char **argv)
{
  g_assert_cmpint (sodium_init (), >=, 0);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model/labels-come-from-host-names", test_labels);
  g_test_add_func ("/model/equal-names-get-numbers-and-stay-short", test_names_differ);
  g_test_add_func ("/model/reserved-addresses-are-never-given", test_addresses);
  g_test_add_func ("/model/a-used-up-pool-gives-nothing", test_pool_ends);
  return g_test_run ();
}
