#include "session/plan.h"

#include "filter/filter.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define ONE_CGNAT_ABOVE 10000 /* IPv4 peers; more of them share one route */

typedef struct
{
  const Preferences *prefs;
  const Netmap *netmap;
  const LinkState *link; /* may be NULL */
  const Node *self;
  const Node *exit_node; /* borrowed; NULL: none, or not there */
  bool exit_selected;
  bool locked; /* tailnet lock is on: nobody comes in */
} PlanInput;

static const IpPrefix *
well_known (const char *text, IpPrefix *room)
{
  ip_prefix_parse (text, strlen (text), room);
  return room;
}

/* --- Exit node ------------------------------------------------------------------------------- */

/* The peer that default traffic goes through (spec/netmap-and-policy.md C.3); NULL blocks it. */
static const Node *
find_exit_node (const Preferences *prefs, const Netmap *netmap)
{
  const Node *node = NULL;
  if (prefs->exit_node_mode == EXIT_NODE_BY_ADDRESS)
    node = netmap_node_by_address (netmap, &prefs->exit_node_addr);
  else if (prefs->exit_node_mode != EXIT_NODE_NONE && *prefs->exit_node_id)
    node = netmap_peer_by_stable_id (netmap, prefs->exit_node_id);
  if (!node || node == netmap_self (netmap) || !node_offers_exit (node) || !node_is_usable (node)
      || netmap_peer_is_duplicate (netmap, node))
    return NULL;
  return node;
}

static PlanInput
plan_input (const Preferences *prefs, const Netmap *netmap, const LinkState *link)
{
  const LockInfo *lock = netmap_lock (netmap);
  return (PlanInput){.prefs = prefs,
                     .netmap = netmap,
                     .link = link,
                     .self = netmap_self (netmap),
                     .exit_node = find_exit_node (prefs, netmap),
                     .exit_selected = prefs->exit_node_mode != EXIT_NODE_NONE,
                     .locked = lock && !lock->disabled};
}

/* --- Peers ----------------------------------------------------------------------------------- */

typedef enum
{
  PREFIX_UNUSED,
  PREFIX_OWN, /* the peer's own address */
  PREFIX_SUBNET,
  PREFIX_EXIT,
} PrefixUse;

/* Spec C.1, "Classify each prefix". */
static PrefixUse
use_of (const PlanInput *in, const Node *peer, const IpPrefix *prefix)
{
  if (!ip_prefix_is_masked (prefix))
    return PREFIX_UNUSED;
  if (ip_prefix_is_default (prefix))
    return in->exit_node == peer ? PREFIX_EXIT : PREFIX_UNUSED;
  if (ip_prefix_is_single (prefix)
      && (ip_is_tailnet (&prefix->addr) || node_owns_address (peer, &prefix->addr)))
    return PREFIX_OWN;
  return in->prefs->accept_routes ? PREFIX_SUBNET : PREFIX_UNUSED;
}

static bool
takes_part (const PlanInput *in, const Node *peer)
{
  return !in->locked && node_is_usable (peer) && !netmap_peer_is_duplicate (in->netmap, peer);
}

static guint
prefix_hash (const void *key)
{
  const IpPrefix *prefix = key;
  guint hash = prefix->bits * 31u + prefix->addr.family;
  for (size_t i = 0; i < sizeof prefix->addr.bytes; i++)
    hash = hash * 33u ^ prefix->addr.bytes[i];
  return hash;
}

static gboolean
prefix_same (const void *a, const void *b)
{
  return ip_prefix_equal (a, b);
}

/* What a peer contributes. TAKEN holds the prefixes of peers with lower ids: those win. */
static TunnelPeer *
plan_peer (const PlanInput *in, const Node *peer, GHashTable *taken)
{
  g_autofree IpPrefix *sources = g_new (IpPrefix, peer->n_allowed_ips + 1u);
  g_autofree IpPrefix *routes = g_new (IpPrefix, peer->n_allowed_ips + 1u);
  size_t n_sources = 0, n_routes = 0;
  for (size_t i = 0; i < peer->n_allowed_ips; i++) {
    const IpPrefix *prefix = &peer->allowed_ips[i];
    if (use_of (in, peer, prefix) == PREFIX_UNUSED)
      continue;
    sources[n_sources++] = *prefix;
    if (g_hash_table_contains (taken, prefix))
      continue;
    g_hash_table_add (taken, (void *)prefix);
    routes[n_routes++] = *prefix;
  }
  TunnelPeer fields = {
      .id = peer->id,
      .key = peer->key,
      .disco_key = peer->disco_key,
      .address4 = node_address (peer, 4),
      .address6 = node_address (peer, 6),
      .routes = routes,
      .n_routes = n_routes,
      .sources = sources,
      .n_sources = n_sources,
      .endpoints = peer->endpoints,
      .n_endpoints = peer->n_endpoints,
      .home_region = peer->home_derp > 0 ? (uint16_t)peer->home_derp : 0,
      .capability_version = peer->cap > 0 ? (uint32_t)peer->cap : 0,
      .masquerade4 = peer->masq_v4,
      .masquerade6 = peer->masq_v6,
      .wireguard_only = peer->wireguard_only,
      .jailed = peer->jailed,
  };
  return tunnel_peer_new (&fields);
}

static Filter *
plan_filter (const PlanInput *in, const Plan *previous, const NetmapChanges *changes)
{
  g_autofree IpPrefix *local = g_new (IpPrefix, in->self->n_addresses + 1u);
  size_t n_local = 0;
  for (size_t i = 0; i < in->self->n_addresses; i++)
    local[n_local++] = in->self->addresses[i];
  size_t n_lists = 0;
  const NamedFilter *lists = netmap_filters (in->netmap, &n_lists);
  FilterConfig config = {
      .klass = in->locked              ? FILTER_NONE
               : in->prefs->shields_up ? FILTER_SHIELDS_UP
                                       : FILTER_NORMAL,
      .lists = lists,
      .n_lists = n_lists,
      .local = local,
      .n_local = n_local,
      .netmap = in->netmap,
  };
  const Filter *before = previous ? tunnel_config_settings (previous->tunnel)->filter : NULL;
  return before && changes ? filter_update (before, &config, changes) : filter_compile (&config);
}

static TunnelKnobs
plan_knobs (const Node *self)
{
  return (TunnelKnobs){.disable_tun_udp_gro = node_has_cap (self, "disable-tun-udp-gro"),
                       .disable_tun_tcp_gro = node_has_cap (self, "disable-tun-tcp-gro"),
                       .disable_udp_gro = node_has_cap (self, "disable-udp-gro"),
                       .disable_udp_gso = node_has_cap (self, "disable-udp-gso"),
                       .never_gso_equal_tail = node_has_cap (self, "never-gso-equal-tail"),
                       .randomize_port = node_has_cap (self, "randomize-client-port"),
                       .only_tcp_443 = node_has_cap (self, "only-tcp-443"),
                       .silent_disco = node_has_cap (self, "silent-disco"),
                       .always_stun = node_has_cap (self, "debug-always-stun")};
}

static uint32_t
plan_mtu (const PlanInput *in)
{
  return in->prefs->mtu ? in->prefs->mtu : TUNNEL_MTU_DEFAULT;
}

static TunnelConfig *
plan_tunnel (const PlanInput *in, const Plan *previous, const NetmapChanges *changes)
{
  g_autoptr (GPtrArray) put = g_ptr_array_new_with_free_func ((GDestroyNotify)tunnel_peer_unref);
  g_autoptr (GHashTable) taken = g_hash_table_new (prefix_hash, prefix_same);
  g_autoptr (GHashTable) present = g_hash_table_new (g_int64_hash, g_int64_equal);
  NetmapIter iter = netmap_iter (in->netmap);
  const Node *peer;
  while ((peer = netmap_iter_next (&iter)))
    if (takes_part (in, peer)) {
      g_ptr_array_add (put, plan_peer (in, peer, taken));
      g_hash_table_add (present, (void *)&peer->id);
    }

  g_autoptr (GArray) removed = g_array_new (FALSE, FALSE, sizeof (int64_t));
  if (previous) {
    TunnelConfigIter old = tunnel_config_iter (previous->tunnel);
    const TunnelPeer *gone;
    while ((gone = tunnel_config_iter_next (&old)))
      if (!g_hash_table_contains (present, &gone->id))
        g_array_append_val (removed, gone->id);
  }
  Filter *filter = plan_filter (in, previous, changes);
  TunnelSettings settings = {.self_key = in->self->key,
                             .self_id = in->self->id,
                             .address4 = node_address (in->self, 4),
                             .address6 = node_address (in->self, 6),
                             .filter = filter,
                             .derp_map = netmap_derp_map (in->netmap),
                             .knobs = plan_knobs (in->self),
                             .mtu = plan_mtu (in)};
  TunnelConfig *config
      = tunnel_config_update (previous ? previous->tunnel : NULL, &settings,
                              (TunnelPeer *const *)put->pdata, put->len,
                              (const int64_t *)(void *)removed->data, removed->len);
  filter_unref (filter);
  return config;
}

/* --- Host ------------------------------------------------------------------------------------ */

static void
add_route (HostConfigBuilder *b, const char *text, HostRouteType type)
{
  IpPrefix prefix;
  host_config_builder_add_route (b, well_known (text, &prefix), type);
}

/* Interfaces of containers and virtual machines are part of this computer. */
static bool
is_bridge (const char *name)
{
  static const char *const starts[] = {"docker", "br-", "virbr", "vmnet", "lxd", "podman"};
  for (size_t i = 0; i < G_N_ELEMENTS (starts); i++)
    if (g_str_has_prefix (name, starts[i]))
      return true;
  return false;
}

/* A network so large that a hostile DHCP server may have made it up to open the tunnel. */
static bool
is_implausible (const IpPrefix *prefix)
{
  bool local = ip_is_private (&prefix->addr) || ip_is_link_local (&prefix->addr);
  if (prefix->addr.family == 4)
    return prefix->bits < 8 || (!local && prefix->bits < 24);
  return prefix->bits < 8 || (!local && prefix->bits < 64);
}

/* Spec/linux-host.md §7.2. */
static void
add_local_networks (const PlanInput *in, HostConfigBuilder *b)
{
  for (size_t i = 0; in->link && i < in->link->n_addresses; i++) {
    const LinkAddress *address = &in->link->addresses[i];
    const LinkInterface *interface = link_state_interface (in->link, address->interface);
    IpPrefix prefix = ip_prefix_mask (address->prefix);
    if (!interface || interface->loopback || ip_prefix_is_single (&prefix)
        || ip_is_tailnet (&address->prefix.addr) || is_implausible (&prefix))
      continue;
    if (in->prefs->exit_node_allow_lan || is_bridge (interface->name))
      host_config_builder_add_route (b, &prefix, HOST_ROUTE_THROW);
  }
  if (!in->prefs->exit_node_allow_lan)
    return;
  add_route (b, "169.254.0.0/16", HOST_ROUTE_THROW);
  add_route (b, "fe80::/10", HOST_ROUTE_THROW);
  add_route (b, "224.0.0.0/4", HOST_ROUTE_THROW);
  add_route (b, "ff00::/8", HOST_ROUTE_THROW);
}

static void
add_exit_routes (const PlanInput *in, HostConfigBuilder *b)
{
  bool have6 = node_address (in->self, 6).family != 0;
  add_route (b, "0.0.0.0/0", HOST_ROUTE_TUNNEL);
  add_route (b, "::/0", have6 ? HOST_ROUTE_TUNNEL : HOST_ROUTE_UNREACHABLE);
  add_local_networks (in, b);
  host_config_builder_set_kill_switch (b, true);
  host_config_builder_set_guard_dns (b, !in->prefs->exit_node_allow_lan);
}

static bool
wants_one_cgnat (const PlanInput *in, size_t n_peers4)
{
  return n_peers4 > ONE_CGNAT_ABOVE
         || (n_peers4 > 1 && node_has_cap (in->self, "one-cgnat?v=true"));
}

/* Own addresses and subnets of the peers in TUNNEL. */
static void
add_peer_routes (const PlanInput *in, const TunnelConfig *tunnel, HostConfigBuilder *b)
{
  size_t n_peers4 = 0;
  bool any6 = false;
  const TunnelPeer *peer;
  TunnelConfigIter iter = tunnel_config_iter (tunnel);
  while ((peer = tunnel_config_iter_next (&iter)))
    n_peers4 += peer->address4.family != 0;
  bool one = wants_one_cgnat (in, n_peers4);
  iter = tunnel_config_iter (tunnel);
  while ((peer = tunnel_config_iter_next (&iter))) {
    if (peer->address4.family != 0)
      host_config_builder_add_peer (b, &peer->address4);
    for (size_t i = 0; i < peer->n_routes; i++) {
      const IpPrefix *prefix = &peer->routes[i];
      bool own = ip_prefix_is_single (prefix) && ip_is_tailnet (&prefix->addr);
      any6 |= own && prefix->addr.family == 6;
      if (ip_prefix_is_default (prefix) || (own && (one || prefix->addr.family == 6)))
        continue;
      host_config_builder_add_route (b, prefix, HOST_ROUTE_TUNNEL);
    }
  }
  if (one)
    add_route (b, "100.64.0.0/10", HOST_ROUTE_TUNNEL);
  if (any6)
    add_route (b, "fd7a:115c:a1e0::/48", HOST_ROUTE_TUNNEL);
}

static HostConfig *
plan_host (const PlanInput *in, const TunnelConfig *tunnel)
{
  HostConfigBuilder *b = host_config_builder_new ();
  host_config_builder_set_mtu (b, plan_mtu (in));
  host_config_builder_set_drop_spoofed (b, true);
  bool have4 = false, have6 = false;
  for (size_t i = 0; i < in->self->n_addresses; i++) {
    const IpPrefix *prefix = &in->self->addresses[i];
    if (!ip_prefix_is_single (prefix))
      continue;
    have4 |= prefix->addr.family == 4;
    have6 |= prefix->addr.family == 6;
    host_config_builder_add_address (b, &prefix->addr);
  }
  add_peer_routes (in, tunnel, b);
  if (have4)
    add_route (b, "100.100.100.100/32", HOST_ROUTE_TUNNEL);
  if (have6)
    add_route (b, "fd7a:115c:a1e0::53/128", HOST_ROUTE_TUNNEL);
  if (in->exit_selected)
    add_exit_routes (in, b);
  return host_config_build (b);
}

/* --- The plan -------------------------------------------------------------------------------- */

static Plan *
plan_make (const Plan *previous, const Preferences *prefs, const Netmap *netmap,
           const LinkState *link, const NetmapChanges *changes)
{
  PlanInput in = plan_input (prefs, netmap, link);
  Plan *plan = g_new0 (Plan, 1);
  plan->references = 1;
  plan->tunnel = plan_tunnel (&in, previous, changes);
  plan->host = plan_host (&in, plan->tunnel);
  plan->exit_selected = in.exit_selected;
  plan->exit_node = in.exit_node ? node_ref (in.exit_node) : NULL;
  return plan;
}

Plan *
plan_new (const Preferences *prefs, const Netmap *netmap, const LinkState *link)
{
  return plan_make (NULL, prefs, netmap, link, NULL);
}

static bool
plan_equal (const Plan *a, const Plan *b)
{
  return a->exit_selected == b->exit_selected && a->exit_node == b->exit_node
         && tunnel_config_equal (a->tunnel, b->tunnel) && host_config_equal (a->host, b->host);
}

Plan *
plan_update (const Plan *previous, const Preferences *prefs, const Netmap *netmap,
             const LinkState *link, const NetmapChanges *changes)
{
  Plan *next = plan_make (previous, prefs, netmap, link, changes);
  if (!plan_equal (previous, next))
    return next;
  plan_unref (next);
  return plan_ref (previous);
}

Plan *
plan_ref (const Plan *plan)
{
  Plan *own = (Plan *)plan;
  own->references++;
  return own;
}

void
plan_unref (const Plan *plan)
{
  Plan *own = (Plan *)plan;
  if (--own->references > 0)
    return;
  tunnel_config_unref (own->tunnel);
  host_config_unref (own->host);
  if (own->exit_node)
    node_unref (own->exit_node);
  g_free (own);
}
