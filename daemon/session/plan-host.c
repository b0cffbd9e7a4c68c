#include "base/memory.h"
#include "session/plan-private.h"

#include <string.h>

#define ONE_CGNAT_ABOVE 10000 /* IPv4 peers; more of them share one route */

static void
add_route (HostConfigBuilder *b, const char *text, HostRouteType type)
{
  IpPrefix prefix;

  if (ip_prefix_parse (text, strlen (text), &prefix))
    host_config_builder_add_route (b, &prefix, type);
}

uint32_t
plan_mtu (const PlanInput *in)
{
  return in->prefs->mtu ? in->prefs->mtu : TUNNEL_MTU_DEFAULT;
}

/* ---- networks that this computer is on ---- */

/* Interfaces of containers and virtual machines are part of this computer. */
static bool
is_bridge (const char *name)
{
  static const char *const starts[] = {"docker", "br-", "virbr", "vmnet", "lxd", "podman"};

  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
    if (strncmp (name, starts[i], strlen (starts[i])) == 0)
      return true;
  return false;
}

/* A network so large that a hostile DHCP server may have made it up to open the tunnel. */
static bool
is_implausible (const IpPrefix *prefix)
{
  bool local = ip_is_private (&prefix->addr) || ip_is_link_local (&prefix->addr);
  unsigned public_bits = prefix->addr.family == 4 ? 24 : 64;

  return prefix->bits < 8 || (!local && prefix->bits < public_bits);
}

/* The network of ADDRESS, if it counts as one: false for single addresses, tailnet addresses and
 * loopback. */
static bool
local_network (const PlanInput *in, const LinkAddress *address, IpPrefix *out, bool *bridge)
{
  const LinkInterface *interface = link_state_interface (in->link, address->interface);

  *out = ip_prefix_mask (address->prefix);
  if (!interface || !interface->up || interface->loopback || ip_prefix_is_single (out)
      || ip_is_tailnet (&address->prefix.addr))
    return false;
  *bridge = is_bridge (interface->name);
  return true;
}

/* What stays outside although an exit node is used (spec/linux-host.md §7.2). */
static void
add_local_networks (const PlanInput *in, HostConfigBuilder *b)
{
  bool allow = in->prefs->exit_node_allow_lan, bridge;
  IpPrefix prefix;

  for (size_t i = 0; in->link && i < in->link->n_addresses; i++)
    if (local_network (in, &in->link->addresses[i], &prefix, &bridge) && !is_implausible (&prefix)
        && (allow || bridge))
      host_config_builder_add_route (b, &prefix, HOST_ROUTE_THROW);
  if (!allow)
    return;
  add_route (b, "169.254.0.0/16", HOST_ROUTE_THROW);
  add_route (b, "fe80::/10", HOST_ROUTE_THROW);
  add_route (b, "224.0.0.0/4", HOST_ROUTE_THROW);
  add_route (b, "ff00::/8", HOST_ROUTE_THROW);
}

/* ---- the exit node ---- */

static bool
exit_offers (const Node *node, int family)
{
  for (size_t i = 0; i < node->n_allowed_ips; i++)
    if (ip_prefix_is_default (&node->allowed_ips[i]) && node->allowed_ips[i].addr.family == family)
      return true;
  return false;
}

/* Both default routes as soon as an exit node is selected, whether it is there or not. IPv6 that
 * cannot go anywhere fails at once, so that programs fall back to IPv4 (§7.1). */
static void
add_exit_routes (const PlanInput *in, HostConfigBuilder *b)
{
  bool own6 = node_address (in->self, 6).family != 0;
  bool exit6 = !in->exit_node || exit_offers (in->exit_node, 6);

  add_route (b, "0.0.0.0/0", HOST_ROUTE_TUNNEL);
  add_route (b, "::/0", own6 && exit6 ? HOST_ROUTE_TUNNEL : HOST_ROUTE_UNREACHABLE);
  add_local_networks (in, b);
  host_config_builder_set_kill_switch (b, true);
  host_config_builder_set_guard_dns (b, !in->prefs->exit_node_allow_lan);
}

/* ---- peers ---- */

static void
add_conflicts (const PlanInput *in, Plan *plan, const TunnelPeer *peer, const IpPrefix *route)
{
  IpPrefix prefix;
  bool bridge;

  for (size_t i = 0; in->link && i < in->link->n_addresses; i++) {
    if (!local_network (in, &in->link->addresses[i], &prefix, &bridge)
        || !ip_prefix_covers (route, &prefix))
      continue;
    plan->conflicts
        = mem_resize (plan->conflicts, (plan->n_conflicts + 1) * sizeof *plan->conflicts);
    plan->conflicts[plan->n_conflicts++] = (PlanConflict){prefix, *route, peer->id};
  }
}

typedef struct
{
  size_t n4; /* single tailnet addresses of peers */
  bool one4; /* they share one route */
  bool any6;
} OwnAddresses;

static bool
is_own_address (const IpPrefix *prefix)
{
  return ip_prefix_is_single (prefix) && ip_is_tailnet (&prefix->addr);
}

static OwnAddresses
count_own_addresses (const PlanInput *in, const TunnelConfig *tunnel)
{
  OwnAddresses own = {0};
  TunnelConfigIter iter = tunnel_config_iter (tunnel);
  const TunnelPeer *peer;

  while ((peer = tunnel_config_iter_next (&iter))) {
    for (size_t i = 0; i < peer->n_routes; i++) {
      own.n4 += is_own_address (&peer->routes[i]) && peer->routes[i].addr.family == 4;
      own.any6 |= is_own_address (&peer->routes[i]) && peer->routes[i].addr.family == 6;
    }
  }
  own.one4
      = own.n4 > ONE_CGNAT_ABOVE || (own.n4 > 1 && node_has_cap (in->self, "one-cgnat?v=true"));
  return own;
}

static void
add_peer (const PlanInput *in, Plan *plan, HostConfigBuilder *b, const OwnAddresses *own,
          const TunnelPeer *peer)
{
  if (peer->address4.family != 0)
    host_config_builder_add_peer (b, &peer->address4);
  for (size_t i = 0; i < peer->n_routes; i++) {
    const IpPrefix *prefix = &peer->routes[i];
    if (ip_prefix_is_default (prefix))
      continue;
    if (!is_own_address (prefix)) {
      host_config_builder_add_route (b, prefix, HOST_ROUTE_TUNNEL);
      add_conflicts (in, plan, peer, prefix);
    } else if (prefix->addr.family == 4 && !own->one4) {
      host_config_builder_add_route (b, prefix, HOST_ROUTE_TUNNEL);
    }
  }
}

static void
add_peers (const PlanInput *in, Plan *plan, HostConfigBuilder *b)
{
  OwnAddresses own = count_own_addresses (in, plan->tunnel);
  TunnelConfigIter iter = tunnel_config_iter (plan->tunnel);
  const TunnelPeer *peer;

  while ((peer = tunnel_config_iter_next (&iter)))
    add_peer (in, plan, b, &own, peer);
  if (own.one4)
    add_route (b, "100.64.0.0/10", HOST_ROUTE_TUNNEL);
  if (own.any6)
    add_route (b, "fd7a:115c:a1e0::/48", HOST_ROUTE_TUNNEL);
}

void
plan_host (const PlanInput *in, Plan *plan)
{
  HostConfigBuilder *b = host_config_builder_new ();
  bool have4 = false, have6 = false;

  host_config_builder_set_mtu (b, plan_mtu (in));
  host_config_builder_set_drop_spoofed (b,
                                        !node_has_cap (in->self, "disable-linux-cgnat-drop-rule"));
  for (size_t i = 0; i < in->self->n_addresses; i++) {
    const IpPrefix *prefix = &in->self->addresses[i];
    if (!ip_prefix_is_single (prefix))
      continue;
    have4 = have4 || prefix->addr.family == 4;
    have6 = have6 || prefix->addr.family == 6;
    host_config_builder_add_address (b, &prefix->addr);
  }
  add_peers (in, plan, b);
  if (have4)
    add_route (b, "100.100.100.100/32", HOST_ROUTE_TUNNEL);
  if (have6)
    add_route (b, "fd7a:115c:a1e0::53/128", HOST_ROUTE_TUNNEL);
  if (in->exit_selected)
    add_exit_routes (in, b);
  plan_forwarding (in, b);
  plan->host = host_config_build (b);
}
