#include "api/peer-info.h"

#include "base/clock.h"

#include <string.h>

static const char *
owner_name (const Netmap *map, const Node *node)
{
  const UserProfile *user = netmap_user (map, node_owner (node));
  if (!user)
    return "";
  return *user->display_name ? user->display_name : user->login_name;
}

static bool
is_exit_node (Session *s, const Node *node)
{
  const Preferences *prefs = &session_profile (s)->preferences;
  const Plan *plan = session_plan (s);
  if (plan && plan->exit_node)
    return plan->exit_node->id == node->id;
  return (prefs->exit_node_mode == EXIT_NODE_BY_ID || prefs->exit_node_mode == EXIT_NODE_AUTO)
         && strcmp (prefs->exit_node_id, node->stable_id) == 0;
}

static bool
routes_a_subnet (const Node *node)
{
  for (size_t i = 0; i < node->n_allowed_ips; i++) {
    const IpPrefix *prefix = &node->allowed_ips[i];
    if (!ip_prefix_is_default (prefix)
        && !(ip_prefix_is_single (prefix) && node_owns_address (node, &prefix->addr)))
      return true;
  }
  return false;
}

static bool
is_hidden (const Node *node)
{
  return (node->hostinfo && node->hostinfo->sharee_node)
         || g_str_has_suffix (node->name, ".mullvad.ts.net.");
}

uint32_t
peer_flags (Session *s, const Node *node, const TunnelPeerStatus *status)
{
  const Netmap *map = session_netmap (s);
  const Node *self = map ? netmap_self (map) : NULL;
  const NodeHostinfo *info = node->hostinfo;
  bool is_self = self && self->id == node->id;
  bool online = is_self ? session_online (s) : node->online == TRI_TRUE;
  bool active = status && status->active;
  uint32_t flags = 0;
  flags |= online ? PEER_ONLINE : 0;
  flags |= active ? PEER_ACTIVE : 0;
  flags |= node->expired ? PEER_EXPIRED : 0;
  flags |= node_offers_exit (node) ? PEER_OFFERS_EXIT : 0;
  flags |= is_exit_node (s, node) ? PEER_IS_EXIT : 0;
  flags |= node->n_tags > 0 ? PEER_TAGGED : 0;
  flags |= node->sharer != 0 ? PEER_SHARED_IN : 0;
  flags |= is_hidden (node) ? PEER_HIDDEN : 0;
  flags |= info && info->n_ssh_host_keys > 0 ? PEER_HAS_SSH_KEYS : 0;
  flags |= routes_a_subnet (node) ? PEER_SUBNET_ROUTER : 0;
  flags |= self && node->user == self->user && node->n_tags == 0 ? PEER_MINE : 0;
  flags |= info && info->location ? PEER_PROVIDER : 0;
  flags |= active && status->udp.addr.family != 0 ? PEER_DIRECT : 0;
  flags |= active && status->udp.addr.family == 0 && status->region != 0 ? PEER_RELAYED : 0;
  flags |= node->jailed ? PEER_LOCKED_OUT : 0;
  return flags;
}

static GVariant *
texts (const char *const *list, size_t n)
{
  return g_variant_new_strv (n > 0 ? list : (const char *const[]){NULL}, (gssize)n);
}

/* Own addresses, IPv4 first. */
static GVariant *
addresses (const Node *node)
{
  GVariantBuilder b;
  g_variant_builder_init (&b, G_VARIANT_TYPE_STRING_ARRAY);
  for (unsigned family = 4; family <= 6; family += 2)
    for (size_t i = 0; i < node->n_addresses; i++)
      if (node->addresses[i].addr.family == family && ip_prefix_is_single (&node->addresses[i])) {
        char text[IP_TEXT_MAX];
        ip_format (&node->addresses[i].addr, text);
        g_variant_builder_add (&b, "s", text);
      }
  return g_variant_builder_end (&b);
}

static GVariant *
routes (const Node *node)
{
  GVariantBuilder b;
  g_variant_builder_init (&b, G_VARIANT_TYPE_STRING_ARRAY);
  for (size_t i = 0; i < node->n_allowed_ips; i++) {
    const IpPrefix *prefix = &node->allowed_ips[i];
    if (ip_prefix_is_single (prefix) && node_owns_address (node, &prefix->addr))
      continue;
    char text[IP_PREFIX_TEXT_MAX];
    ip_prefix_format (prefix, text);
    g_variant_builder_add (&b, "s", text);
  }
  return g_variant_builder_end (&b);
}

static char *
fqdn (const Node *node)
{
  size_t length = strlen (node->name);
  if (length > 0 && node->name[length - 1] == '.')
    length--;
  return g_strndup (node->name, length);
}

static int64_t
unix_seconds (WallTime t)
{
  return wall_time_is_unset (t) ? 0 : t.seconds;
}

static void
add_extra (GVariantBuilder *b, const Node *node)
{
  if (node->n_tags > 0)
    g_variant_builder_add (b, "{sv}", "Tags", texts (node->tags, node->n_tags));
  if (!wall_time_is_unset (node->key_expiry))
    g_variant_builder_add (b, "{sv}", "KeyExpiry",
                           g_variant_new_int64 (unix_seconds (node->key_expiry)));
  if (routes_a_subnet (node) || node_offers_exit (node))
    g_variant_builder_add (b, "{sv}", "Routes", routes (node));
  const NodeLocation *place = node->hostinfo ? node->hostinfo->location : NULL;
  if (!place)
    return;
  g_variant_builder_add (b, "{sv}", "Country", g_variant_new_string (place->country));
  g_variant_builder_add (b, "{sv}", "City", g_variant_new_string (place->city));
  g_variant_builder_add (b, "{sv}", "CountryCode", g_variant_new_string (place->country_code));
  g_variant_builder_add (b, "{sv}", "Priority", g_variant_new_int32 (place->priority));
}

GVariant *
peer_row (Engine *e, Session *s, const Node *node)
{
  const Netmap *map = session_netmap (s);
  TunnelPeerStatus status;
  bool known = engine_peer_status (e, s, &node->key, &status);
  char name[256];
  netmap_display_name (map, node, name, sizeof name);
  g_autofree char *full = fqdn (node);
  GVariantBuilder extra;
  g_variant_builder_init (&extra, G_VARIANT_TYPE_VARDICT);
  add_extra (&extra, node);
  bool online = node->online == TRI_TRUE;
  return g_variant_new ("(sss@assstux@a{sv})", node->stable_id, name, full, addresses (node),
                        node->hostinfo ? node->hostinfo->os : "", owner_name (map, node),
                        (guint64)node_owner (node), peer_flags (s, node, known ? &status : NULL),
                        online ? (int64_t)0 : unix_seconds (node->last_seen),
                        g_variant_builder_end (&extra));
}

const char *
peer_region_code (Session *s, unsigned id)
{
  const Netmap *map = session_netmap (s);
  const DerpMap *derp = map ? netmap_derp_map (map) : NULL;
  const DerpRegion *region = derp && id ? derp_map_region (derp, id) : NULL;
  return region ? region->code : "";
}

/* The date of a moment of CLOCK_BOOTTIME, in Unix seconds. */
static int64_t
date_of (int64_t boottime_us)
{
  if (boottime_us <= 0)
    return 0;
  return wall_time_now ().seconds - (clock_now_us () - boottime_us) / USEC_PER_SEC;
}

void
peer_add_path (GVariantBuilder *b, Session *s, const TunnelPeerStatus *status)
{
  bool direct = status->udp.addr.family != 0;
  char endpoint[IP_PORT_TEXT_MAX] = "";
  if (direct)
    ip_port_format (&status->udp, endpoint);
  const char *path = direct ? "direct" : status->region != 0 && status->active ? "relay" : "";
  g_variant_builder_add (b, "{sv}", "Path", g_variant_new_string (path));
  g_variant_builder_add (b, "{sv}", "Endpoint", g_variant_new_string (endpoint));
  g_variant_builder_add (b, "{sv}", "Relay",
                         g_variant_new_string (direct ? "" : peer_region_code (s, status->region)));
  g_variant_builder_add (b, "{sv}", "RxBytes", g_variant_new_uint64 (status->rx_bytes));
  g_variant_builder_add (b, "{sv}", "TxBytes", g_variant_new_uint64 (status->tx_bytes));
  g_variant_builder_add (b, "{sv}", "LastHandshake",
                         g_variant_new_int64 (date_of (status->last_handshake_us)));
}

static void
add_text (GVariantBuilder *b, const char *key, const char *text)
{
  if (text && *text)
    g_variant_builder_add (b, "{sv}", key, g_variant_new_string (text));
}

static void
add_identity (GVariantBuilder *b, const Node *node)
{
  char text[KEY_TEXT_MAX];
  key_format (KEY_NODE_PUBLIC, &node->key, text);
  add_text (b, "NodeKey", text);
  if (!key_zero (&node->machine)) {
    key_format (KEY_MACHINE_PUBLIC, &node->machine, text);
    add_text (b, "MachineId", text);
  }
  const NodeHostinfo *info = node->hostinfo;
  if (!info)
    return;
  add_text (b, "HostName", info->hostname);
  add_text (b, "Os", info->os);
  add_text (b, "OsVersion", info->os_version);
  if (info->n_ssh_host_keys > 0)
    g_variant_builder_add (b, "{sv}", "HostKeys",
                           texts (info->ssh_host_keys, info->n_ssh_host_keys));
}

static GVariant *
endpoint_texts (Session *s, const Node *node, bool is_self)
{
  GVariantBuilder b;
  char text[IP_PORT_TEXT_MAX];
  size_t n = 0;
  const TunnelEndpoint *own = session_endpoints (s, &n);
  g_variant_builder_init (&b, G_VARIANT_TYPE_STRING_ARRAY);
  for (size_t i = 0; is_self && i < n; i++) {
    ip_port_format (&own[i].address, text);
    g_variant_builder_add (&b, "s", text);
  }
  for (size_t i = 0; !is_self && i < node->n_endpoints; i++) {
    ip_port_format (&node->endpoints[i], text);
    g_variant_builder_add (&b, "s", text);
  }
  return g_variant_builder_end (&b);
}

static unsigned
home_region (Session *s, const Node *node, bool is_self)
{
  const TunnelNetReport *report = session_net_report (s);
  if (is_self)
    return report ? report->preferred_derp : 0;
  return node->home_derp > 0 ? (unsigned)node->home_derp : 0;
}

GVariant *
peer_dictionary (Engine *e, Session *s, const Node *node)
{
  const Netmap *map = session_netmap (s);
  bool is_self = netmap_self (map) && netmap_self (map)->id == node->id;
  TunnelPeerStatus status;
  bool known = !is_self && engine_peer_status (e, s, &node->key, &status);
  char name[256];
  netmap_display_name (map, node, name, sizeof name);
  g_autofree char *full = fqdn (node);
  const UserProfile *user = netmap_user (map, node_owner (node));
  GVariantBuilder b;
  g_variant_builder_init (&b, G_VARIANT_TYPE_VARDICT);
  add_text (&b, "Id", node->stable_id);
  g_variant_builder_add (&b, "{sv}", "NodeId", g_variant_new_int64 (node->id));
  add_text (&b, "Name", name);
  add_text (&b, "Fqdn", full);
  g_variant_builder_add (&b, "{sv}", "Addresses", addresses (node));
  add_identity (&b, node);
  g_variant_builder_add (&b, "{sv}", "UserId", g_variant_new_uint64 ((uint64_t)node_owner (node)));
  add_text (&b, "UserName", user ? user->display_name : "");
  add_text (&b, "UserLogin", user ? user->login_name : "");
  g_variant_builder_add (&b, "{sv}", "Flags",
                         g_variant_new_uint32 (peer_flags (s, node, known ? &status : NULL)));
  g_variant_builder_add (&b, "{sv}", "Created", g_variant_new_int64 (unix_seconds (node->created)));
  g_variant_builder_add (&b, "{sv}", "LastSeen",
                         g_variant_new_int64 (unix_seconds (node->last_seen)));
  add_extra (&b, node);
  g_variant_builder_add (&b, "{sv}", "Endpoints", endpoint_texts (s, node, is_self));
  add_text (&b, "HomeRelay", peer_region_code (s, home_region (s, node, is_self)));
  if (node->n_caps > 0) {
    g_autofree const char **caps = g_new0 (const char *, node->n_caps + 1u);
    for (size_t i = 0; i < node->n_caps; i++)
      caps[i] = node->caps[i].name;
    g_variant_builder_add (&b, "{sv}", "Capabilities", texts (caps, node->n_caps));
  }
  if (known)
    peer_add_path (&b, s, &status);
  return g_variant_builder_end (&b);
}
