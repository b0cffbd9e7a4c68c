/* Labels and ids of the tray menu (spec/desktop.md §3.2). */
#include "tray/menu-model.h"

#include <string.h>

static void
test_labels_suit_every_host (void)
{
  g_autofree char *plain = menu_label ("john_doe@example.com");
  g_autofree char *lines = menu_label ("two\nlines");
  g_autofree char *cut = menu_label ("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");

  g_assert_cmpstr (plain, ==, "john\u02cddoe@example.com");
  g_assert_cmpstr (lines, ==, "two lines");
  g_assert_cmpint (g_utf8_strlen (cut, -1), ==, 40);
  g_assert_nonnull (strstr (cut, "…"));
}

static void
test_a_key_keeps_its_id (void)
{
  MenuIds *ids = menu_ids_new ();
  int a = menu_ids_get (ids, "exit", "n1");
  int b = menu_ids_get (ids, "device", "n1");

  g_assert_cmpint (a, >=, 1000);
  g_assert_cmpint (a, !=, b);
  g_assert_cmpint (menu_ids_get (ids, "exit", "n1"), ==, a);
  g_assert_cmpstr (menu_ids_lookup (ids, "exit", a), ==, "n1");
  g_assert_null (menu_ids_lookup (ids, "device", a));
  menu_ids_free (ids);
}

/* Whatever the state: no id twice, no empty submenu, a headline, a way out. */
static void
test_every_state_makes_a_whole_menu (void)
{
  const char *states[] = {"stopped", "starting", "running", "needs-login", "error", "odd"};
  MenuIds *ids = menu_ids_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (states); i++)
    for (guint bits = 0; bits < 16; bits++) {
      WarrenFacts facts = {.daemon_present = bits & 1,
                           .api_version = 1,
                           .has_session = bits & 2,
                           .state = states[i],
                           .wanted = bits & 4,
                           .network_up = TRUE,
                           .problem_code = bits & 8 ? "server-unreachable" : ""};
      g_autoptr (WarrenUiState) ui = warren_ui_state_derive (&facts);
      MenuFacts m = {.ui = ui, .may_connect = TRUE, .may_choose_exit = TRUE, .may_switch = TRUE};
      g_autoptr (MenuItem) root = menu_model_build (&m, ids);
      g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

      for (guint k = 0; k < root->children->len; k++) {
        MenuItem *item = root->children->pdata[k];

        g_assert_true (g_hash_table_add (seen, GINT_TO_POINTER (item->id)));
        if (item->shape == MENU_SHAPE_SUBMENU)
          g_assert_cmpuint (item->children->len, >, 0);
      }
      g_assert_cmpstr (menu_item_find (root, MENU_HEADLINE, NULL)->label, !=, "");
      g_assert_nonnull (menu_item_find (root, MENU_QUIT, NULL));
    }
  menu_ids_free (ids);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/menu/labels-suit-every-host", test_labels_suit_every_host);
  g_test_add_func ("/menu/a-key-keeps-its-id", test_a_key_keeps_its_id);
  g_test_add_func ("/menu/every-state-makes-a-whole-menu", test_every_state_makes_a_whole_menu);
  return g_test_run ();
}
