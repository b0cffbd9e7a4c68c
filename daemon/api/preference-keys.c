#include "api/preference-keys.h"

#include "api/bus-error.h"
#include "wire/proxy.h"

#include <stdlib.h>
#include <string.h>

#define EXIT_NODE_AUTO_WORD "auto:any"

static GVariant *
exit_node_text (const Preferences *prefs)
{
  char address[IP_TEXT_MAX];
  switch (prefs->exit_node_mode) {
    case EXIT_NODE_NONE:
      break;
    case EXIT_NODE_BY_ID:
      return g_variant_new_string (prefs->exit_node_id);
    case EXIT_NODE_BY_ADDRESS:
      ip_format (&prefs->exit_node_addr, address);
      return g_variant_new_string (address);
    case EXIT_NODE_AUTO:
      return g_variant_new_string (EXIT_NODE_AUTO_WORD);
  }
  return g_variant_new_string ("");
}

/* The property is broadcast to every user of the computer. */
static GVariant *
proxy_text (const Preferences *prefs)
{
  char shown[PREFERENCES_PROXY_MAX];

  proxy_hide_password (prefs->proxy, shown, sizeof shown);
  return g_variant_new_string (shown);
}

static GVariant *
route_texts (const Preferences *prefs)
{
  GVariantBuilder b;

  g_variant_builder_init (&b, G_VARIANT_TYPE_STRING_ARRAY);
  for (size_t i = 0; i < prefs->n_advertise_routes; i++) {
    char route[IP_PREFIX_TEXT_MAX];
    ip_prefix_format (&prefs->advertise_routes[i], route);
    g_variant_builder_add (&b, "s", route);
  }
  return g_variant_builder_end (&b);
}

GVariant *
preference_keys_to_variant (const Preferences *prefs)
{
  GVariantBuilder tags, b;
  g_variant_builder_init (&tags, G_VARIANT_TYPE_STRING_ARRAY);
  for (size_t i = 0; i < prefs->n_tags; i++)
    g_variant_builder_add (&tags, "s", prefs->tags[i]);
  g_variant_builder_init (&b, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&b, "{sv}", "AcceptDns", g_variant_new_boolean (prefs->accept_dns));
  g_variant_builder_add (&b, "{sv}", "AcceptRoutes", g_variant_new_boolean (prefs->accept_routes));
  g_variant_builder_add (&b, "{sv}", "AdvertiseExitNode",
                         g_variant_new_boolean (prefs->advertise_exit_node));
  g_variant_builder_add (&b, "{sv}", "AdvertiseRoutes", route_texts (prefs));
  g_variant_builder_add (&b, "{sv}", "AutoConnect", g_variant_new_boolean (prefs->auto_connect));
  g_variant_builder_add (&b, "{sv}", "ExitNode", exit_node_text (prefs));
  g_variant_builder_add (&b, "{sv}", "ExitNodeAllowLan",
                         g_variant_new_boolean (prefs->exit_node_allow_lan));
  g_variant_builder_add (&b, "{sv}", "Hostname", g_variant_new_string (prefs->hostname));
  g_variant_builder_add (&b, "{sv}", "Mtu", g_variant_new_uint32 (prefs->mtu));
  g_variant_builder_add (&b, "{sv}", "Port", g_variant_new_uint16 (prefs->port));
  g_variant_builder_add (&b, "{sv}", "Proxy", proxy_text (prefs));
  g_variant_builder_add (&b, "{sv}", "ShieldsUp", g_variant_new_boolean (prefs->shields_up));
  g_variant_builder_add (&b, "{sv}", "SnatRoutes", g_variant_new_boolean (prefs->snat_routes));
  g_variant_builder_add (&b, "{sv}", "Tags", g_variant_builder_end (&tags));
  return g_variant_builder_end (&b);
}

static bool
refuse (GError **error, const char *key, const char *why)
{
  g_set_error (error, BUS_ERROR, BUS_ERROR_INVALID_ARGUMENT, "%s: %s", key, why);
  return false;
}

static bool
apply_exit_node (Preferences *prefs, const char *text, GError **error)
{
  memset (prefs->exit_node_id, 0, sizeof prefs->exit_node_id);
  memset (&prefs->exit_node_addr, 0, sizeof prefs->exit_node_addr);
  if (*text == '\0') {
    prefs->exit_node_mode = EXIT_NODE_NONE;
    return true;
  }
  if (g_str_has_prefix (text, "auto:")) {
    prefs->exit_node_mode = EXIT_NODE_AUTO;
    return true;
  }
  if (ip_parse (text, strlen (text), &prefs->exit_node_addr)) {
    prefs->exit_node_mode = EXIT_NODE_BY_ADDRESS;
    return true;
  }
  for (const char *c = text; *c; c++)
    if (!g_ascii_isalnum (*c) && !strchr ("-_.", *c))
      return refuse (error, "ExitNode", "neither a node id nor an address");
  prefs->exit_node_mode = EXIT_NODE_BY_ID;
  if (g_strlcpy (prefs->exit_node_id, text, sizeof prefs->exit_node_id)
      >= sizeof prefs->exit_node_id)
    return refuse (error, "ExitNode", "too long");
  return true;
}

/* Dot-separated labels of letters, digits and hyphens, 63 bytes each; "" is the computer's name. */
static bool
apply_hostname (Preferences *prefs, const char *text, GError **error)
{
  if (g_strlcpy (prefs->hostname, text, sizeof prefs->hostname) >= sizeof prefs->hostname)
    return refuse (error, "Hostname", "too long");
  if (*text == '\0')
    return true;
  g_auto (GStrv) labels = g_strsplit (text, ".", -1);
  for (size_t i = 0; labels[i]; i++) {
    size_t length = strlen (labels[i]);
    if (length == 0 || length > 63 || labels[i][0] == '-' || labels[i][length - 1] == '-')
      return refuse (error, "Hostname", "not a host name");
    for (const char *c = labels[i]; *c; c++)
      if (!g_ascii_isalnum (*c) && *c != '-')
        return refuse (error, "Hostname", "not a host name");
  }
  return true;
}

static bool
tag_is_valid (const char *tag)
{
  if (!g_str_has_prefix (tag, "tag:") || !g_ascii_isalpha (tag[4])
      || strlen (tag) >= PREFERENCES_TAG_MAX)
    return false;
  for (const char *c = tag + 4; *c; c++)
    if (!g_ascii_isalnum (*c) && *c != '-')
      return false;
  return true;
}

static bool
apply_tags (Preferences *prefs, GVariant *value, GError **error)
{
  size_t n = g_variant_n_children (value);
  if (n > PREFERENCES_TAGS_LIMIT)
    return refuse (error, "Tags", "too many");
  free (prefs->tags);
  prefs->n_tags = 0;
  prefs->tags = calloc (n + 1, sizeof *prefs->tags);
  if (!prefs->tags)
    abort ();
  for (size_t i = 0; i < n; i++) {
    const char *tag = NULL;
    g_variant_get_child (value, i, "&s", &tag);
    if (!tag_is_valid (tag))
      return refuse (error, "Tags", "a tag looks like tag:name");
    g_strlcpy (prefs->tags[prefs->n_tags++], tag, PREFERENCES_TAG_MAX);
  }
  return true;
}

static bool
apply_routes (Preferences *prefs, GVariant *value, GError **error)
{
  GVariantIter iter;
  const char *text;

  if (g_variant_n_children (value) > PREFERENCES_ROUTES_LIMIT)
    return refuse (error, "AdvertiseRoutes", "too many");
  free (prefs->advertise_routes);
  prefs->advertise_routes = NULL;
  prefs->n_advertise_routes = 0;
  g_variant_iter_init (&iter, value);
  while (g_variant_iter_next (&iter, "&s", &text)) {
    IpPrefix route;
    if (!ip_prefix_parse (text, strlen (text), &route))
      return refuse (error, "AdvertiseRoutes", "a subnet looks like 192.168.7.0/24");
    if (!ip_prefix_is_masked (&route))
      return refuse (error, "AdvertiseRoutes", "prefix has non-address bits set");
    if (!preferences_offer_route (prefs, &route))
      return refuse (error, "AdvertiseRoutes", "offering everything is AdvertiseExitNode");
  }
  return true;
}

static bool
apply_mtu (Preferences *prefs, uint32_t mtu, GError **error)
{
  if (mtu != 0 && (mtu < PREFERENCES_MTU_MIN || mtu > PREFERENCES_MTU_MAX))
    return refuse (error, "Mtu", "must be 0 or from 1280 to 9000");
  prefs->mtu = mtu;
  return true;
}

/* What is shown may come back, and means no change then. */
static bool
apply_proxy (Preferences *prefs, const char *text, GError **error)
{
  char shown[PREFERENCES_PROXY_MAX];
  Proxy proxy;

  proxy_hide_password (prefs->proxy, shown, sizeof shown);
  if (strcmp (text, shown) == 0)
    return true;
  bool is_word = *text == '\0' || strcmp (text, PREFERENCES_PROXY_NONE) == 0;
  bool ok = is_word || (strlen (text) < sizeof prefs->proxy && proxy_parse (text, &proxy));
  explicit_bzero (&proxy, sizeof proxy);
  if (!ok)
    return refuse (error, "Proxy",
                   "a proxy looks like http://user:password@host:port, https:// or socks5://");
  explicit_bzero (prefs->proxy, sizeof prefs->proxy);
  g_strlcpy (prefs->proxy, text, sizeof prefs->proxy);
  return true;
}

static bool
apply_one (Preferences *prefs, const char *key, GVariant *value, GError **error)
{
  const struct
  {
    const char *key;
    const char *type;
    bool *flag;
  } keys[] = {
      {"AcceptDns", "b", &prefs->accept_dns},
      {"AcceptRoutes", "b", &prefs->accept_routes},
      {"AdvertiseExitNode", "b", &prefs->advertise_exit_node},
      {"AutoConnect", "b", &prefs->auto_connect},
      {"ExitNodeAllowLan", "b", &prefs->exit_node_allow_lan},
      {"ShieldsUp", "b", &prefs->shields_up},
      {"SnatRoutes", "b", &prefs->snat_routes},
      {"AdvertiseRoutes", "as", NULL},
      {"ExitNode", "s", NULL},
      {"Hostname", "s", NULL},
      {"Mtu", "u", NULL},
      {"Port", "q", NULL},
      {"Proxy", "s", NULL},
      {"Tags", "as", NULL},
  };
  size_t i = 0;
  while (i < G_N_ELEMENTS (keys) && strcmp (keys[i].key, key) != 0)
    i++;
  if (i == G_N_ELEMENTS (keys))
    return refuse (error, key, "unknown preference");
  if (!g_variant_is_of_type (value, G_VARIANT_TYPE (keys[i].type)))
    return refuse (error, key, "wrong type");
  if (keys[i].flag) {
    *keys[i].flag = g_variant_get_boolean (value);
    return true;
  }
  if (strcmp (key, "ExitNode") == 0)
    return apply_exit_node (prefs, g_variant_get_string (value, NULL), error);
  if (strcmp (key, "Hostname") == 0)
    return apply_hostname (prefs, g_variant_get_string (value, NULL), error);
  if (strcmp (key, "Proxy") == 0)
    return apply_proxy (prefs, g_variant_get_string (value, NULL), error);
  if (strcmp (key, "Mtu") == 0)
    return apply_mtu (prefs, g_variant_get_uint32 (value), error);
  if (strcmp (key, "AdvertiseRoutes") == 0)
    return apply_routes (prefs, value, error);
  if (strcmp (key, "Tags") == 0)
    return apply_tags (prefs, value, error);
  prefs->port = g_variant_get_uint16 (value);
  return true;
}

bool
preference_keys_apply (Preferences *prefs, GVariant *changes, GError **error)
{
  Preferences next;
  preferences_copy (&next, prefs);
  GVariantIter iter;
  g_variant_iter_init (&iter, changes);
  const char *key;
  GVariant *value;
  bool ok = true;
  while (ok && g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    ok = apply_one (&next, key, value, error);
    g_variant_unref (value);
  }
  if (ok && next.advertise_exit_node && next.exit_node_mode != EXIT_NODE_NONE)
    ok = refuse (error, "AdvertiseExitNode",
                 "cannot advertise an exit node and use an exit node at the same time");
  if (!ok) {
    preferences_clear (&next);
    return false;
  }
  preferences_clear (prefs);
  *prefs = next;
  return true;
}
