/* The table method -> action against the interface itself (spec/desktop.md §8.6). */
#include "api/access.h"

#include <string.h>

static GDBusNodeInfo *
interface_xml (void)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  g_assert_true (g_file_get_contents (g_getenv ("WARREN_XML"), &text, NULL, &error));
  GDBusNodeInfo *node = g_dbus_node_info_new_for_xml (text, &error);
  g_assert_no_error (error);
  return node;
}

static void
test_every_method (void)
{
  g_autoptr (GDBusNodeInfo) node = interface_xml ();
  size_t n = 0, seen = 0;
  access_table (&n);
  for (GDBusInterfaceInfo **i = node->interfaces; *i; i++)
    for (GDBusMethodInfo **m = (*i)->methods; m && *m; m++) {
      const char *name = (*i)->name + strlen (ACCESS_ACTION_PREFIX);
      const AccessRow *row = access_find (name, (*m)->name);
      g_test_message ("%s.%s", name, (*m)->name);
      g_assert_nonnull (row);
      g_assert_cmpstr (row->action, ==,
                       g_dbus_annotation_info_lookup ((*m)->annotations,
                                                      "org.warrenvpn.Daemon1.Action"));
      seen++;
    }
  g_assert_cmpuint (seen, ==, n);
}

/* The polkit file of data/ has an action for each one that can be asked about. */
static void
test_every_action (void)
{
  g_autofree char *policy = NULL;
  g_assert_true (g_file_get_contents (g_getenv ("WARREN_POLICY"), &policy, NULL, NULL));
  for (const char *const *action = access_actions (); *action; action++) {
    g_autofree char *id = g_strdup_printf ("<action id=\"" ACCESS_ACTION_PREFIX "%s\">", *action);
    g_test_message ("%s", id);
    g_assert_nonnull (strstr (policy, id));
  }
}

static const char *
decide (const char *interface, const char *method, uint32_t caller, uint32_t owner,
        const char *params)
{
  g_autoptr (GVariant) value = params ? g_variant_ref_sink (g_variant_new_parsed (params)) : NULL;
  return access_decide (access_find (interface, method), caller, owner, value);
}

static void
test_owner (void)
{
  static const char *const methods[]
      = {"Connect", "Disconnect", "Login", "GetLoginUrl", "CancelLogin", "Logout"};
  for (size_t i = 0; i < G_N_ELEMENTS (methods); i++) {
    const char *own = access_find ("Session", methods[i])->action;
    g_assert_cmpstr (decide ("Session", methods[i], 1000, 1000, "()"), ==, own);
    g_assert_cmpstr (decide ("Session", methods[i], 1000, 0, "()"), ==, own);
    g_assert_cmpstr (decide ("Session", methods[i], 1001, 1000, "()"), ==, "profile-other");
  }
  g_assert_cmpstr (decide ("Session", "SetPreferences", 1001, 1000, "({'ExitNode': <''>},)"), ==,
                   "profile-other");
  g_assert_cmpstr (decide ("Peers", "Subscribe", 1001, 1000, "(uint64 0,)"), ==, "status");
  g_assert_null (decide ("Manager", "GetPermissions", 1001, 1000, "()"));
}

static void
test_settings (void)
{
  static const struct
  {
    const char *params, *action;
  } rows[] = {
      {"({'ExitNode': <'auto:any'>, 'ExitNodeAllowLan': <true>},)", "exit-node"},
      {"({'ExitNode': <''>},)", "exit-node"},
      {"({'ExitNode': <''>, 'AcceptRoutes': <true>},)", "settings"},
      {"({'AcceptRoutes': <true>},)", "settings"},
      {"(@a{sv} {},)", "settings"},
      {"({'ExitNode': <''>, 'Tags': <['tag:a']>},)", "serve"},
      {"({'AdvertiseRoutes': <@as []>},)", "serve"},
      {"({'Unknown': <1>},)", "settings"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_cmpstr (decide ("Session", "SetPreferences", 1000, 1000, rows[i].params), ==,
                     rows[i].action);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/api/access/every-method-has-the-action-that-the-interface-names",
                   test_every_method);
  g_test_add_func ("/api/access/every-action-is-known-to-polkit", test_every_action);
  g_test_add_func ("/api/access/a-session-of-another-user-needs-more", test_owner);
  g_test_add_func ("/api/access/settings-ask-for-what-they-touch", test_settings);
  return g_test_run ();
}
