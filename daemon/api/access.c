#include "api/access.h"

#include <string.h>

static const AccessRow table[] = {
    {"Manager", "GetPermissions", NULL, false},
    {"Manager", "CreateSession", "profile", true},
    {"Manager", "ActivateSession", "profile", true},
    {"Manager", "RemoveSession", "profile", true},
    {"Manager", "CreateNetwork", "serve", false},
    {"Session", "Connect", "connect", true},
    {"Session", "Disconnect", "connect", true},
    {"Session", "Login", "profile", true},
    {"Session", "GetLoginUrl", "profile", true},
    {"Session", "CancelLogin", "profile", true},
    {"Session", "Logout", "profile", true},
    {"Session", "SetPreferences", "settings", true},
    {"Session", "SuggestExitNode", NULL, false},
    {"Peers", "Subscribe", "status", false},
    {"Peers", "Unsubscribe", "status", false},
    {"Peers", "GetPeer", "status", false},
    {"Peers", "Watch", "status", false},
    {"Peers", "Ping", "status", false},
    {"Diagnostics", "NetCheck", "status", false},
    {"Diagnostics", "GetStatus", "status", false},
    {"Diagnostics", "WhoIs", "status", false},
    {"Network", "Start", "serve", false},
    {"Network", "Stop", "serve", false},
    {"Network", "CreateKey", "serve", false},
    {"Network", "ListNodes", "serve", false},
    {"Network", "Approve", "serve", false},
    {"Network", "Remove", "serve", false},
    {"Network", "Rename", "serve", false},
    {"Network", "Delete", "serve", false},
    {"Network", "RunCommand", "serve", false},
    {"Network", "Backup", "serve", false},
};

static const char *const actions[]
    = {"status", "connect", "exit-node", "profile", "profile-other", "settings", "serve", NULL};

const AccessRow *
access_table (size_t *n)
{
  *n = G_N_ELEMENTS (table);
  return table;
}

const AccessRow *
access_find (const char *interface, const char *method)
{
  for (size_t i = 0; i < G_N_ELEMENTS (table); i++)
    if (strcmp (table[i].interface, interface) == 0 && strcmp (table[i].method, method) == 0)
      return &table[i];
  return NULL;
}

const char *const *
access_actions (void)
{
  return actions;
}

/* Sharing needs more, and choosing an exit node less, than other settings. */
static const char *
settings_action (GVariant *params)
{
  if (!params || !g_variant_is_of_type (params, G_VARIANT_TYPE ("(a{sv})")))
    return "settings";
  static const char *const sharing[]
      = {"AdvertiseRoutes", "AdvertiseExitNode", "SnatRoutes", "RunSsh", "Tags", NULL};
  static const char *const exit_keys[] = {"ExitNode", "ExitNodeAllowLan", NULL};
  g_autoptr (GVariantIter) iter = NULL;
  g_variant_get (params, "(a{sv})", &iter);
  const char *key;
  size_t n = 0, n_exit = 0;
  while (g_variant_iter_loop (iter, "{&sv}", &key, NULL)) {
    if (g_strv_contains (sharing, key))
      return "serve";
    n++;
    n_exit += g_strv_contains (exit_keys, key);
  }
  return n > 0 && n == n_exit ? "exit-node" : "settings";
}

const char *
access_decide (const AccessRow *row, uint32_t caller, uint32_t owner, GVariant *params)
{
  if (!row->action)
    return NULL;
  if (row->on_session && owner != 0 && owner != caller)
    return "profile-other";
  if (strcmp (row->action, "settings") == 0)
    return settings_action (params);
  return row->action;
}
