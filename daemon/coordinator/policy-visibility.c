/* Who sees whom, and which routes come with a peer (spec/netmap-and-policy.md D.7, D.8). */

#include "coordinator/policy-view-private.h"

#include <stdlib.h>
#include <string.h>

bool
view_is_source (const NodeRoutes *routes, const PolicyRule *rule)
{
  return ip_set_overlaps (&routes->addresses, &rule->sources)
         || ip_set_overlaps (&routes->subnet_set, &rule->sources);
}

/* The internet, or the whole of one family. */
static bool
holds_internet (const PolicyView *view, const IpSet *set)
{
  bool whole = ip_set_contains_set (set, &view->internet);

  for (size_t i = 0; i < view->everything.n && !whole; i++)
    whole = ip_set_contains_range (set, &view->everything.ranges[i]);
  return whole;
}

bool
view_is_destination (const PolicyView *view, const NodeRoutes *routes, const PolicyRule *rule)
{
  return ip_set_overlaps (&routes->addresses, &rule->destinations)
         || ip_set_overlaps (&routes->subnet_set, &rule->destinations)
         || (routes->exit && holds_internet (view, &rule->destinations));
}

static bool
reaches (PolicyView *view, size_t a, size_t b, const PolicyRules *rules)
{
  for (size_t i = 0; i < rules->n; i++)
    if (view_is_source (&view->routes[a], &rules->rules[i])
        && view_is_destination (view, &view->routes[b], &rules->rules[i]))
      return true;
  return false;
}

static bool
has_via_tag (const Grant *grant, const PolicyNode *node)
{
  for (size_t i = 0; i < grant->n_via; i++)
    if (view_node_has_tag (node, grant->via[i]))
      return true;
  return false;
}

/* A destination of a via grant speaks of a route of the router's. */
static bool
via_concerns (PolicyView *view, const Selector *dst, const NodeRoutes *routes)
{
  IpSetBuilder b = ip_set_builder (view->arena);

  if (dst->type == SELECT_INTERNET)
    return routes->exit;
  if (dst->type == SELECT_ANY || dst->type == SELECT_SELF)
    return false;
  view_add_selector (view, dst, &b);
  IpSet set = ip_set_build (&b);
  return ip_set_overlaps (&set, &routes->subnet_set);
}

bool
view_is_known_router (PolicyView *view, const Grant *grant, size_t router)
{
  if (grant->n_via == 0 || grant->n_ip > 0 || !has_via_tag (grant, &view->tailnet->nodes[router]))
    return false;
  for (size_t d = 0; d < grant->dst.n; d++)
    if (via_concerns (view, &grant->dst.items[d], &view->routes[router]))
      return true;
  return false;
}

static bool
knows_by_via (PolicyView *view, size_t a, size_t router)
{
  for (size_t g = 0; g < view->policy->n_grants; g++)
    if (ip_set_overlaps (&view->routes[a].addresses, &view->sources[g].set)
        && view_is_known_router (view, &view->policy->grants[g], router))
      return true;
  return false;
}

bool
policy_view_are_peers (PolicyView *view, size_t a, size_t b)
{
  const PolicyRules *of_a = policy_view_rules (view, a);
  const PolicyRules *of_b = policy_view_rules (view, b);

  return a != b
         && (reaches (view, a, b, of_a) || reaches (view, b, a, of_a) || reaches (view, a, b, of_b)
             || reaches (view, b, a, of_b) || knows_by_via (view, a, b)
             || knows_by_via (view, b, a));
}

static bool
announces (const PolicyView *view, size_t index, const IpPrefix *route)
{
  const NodeRoutes *routes = &view->routes[index];

  for (size_t i = 0; i < routes->n_subnets; i++)
    if (ip_prefix_equal (&routes->subnets[i], route))
      return true;
  return false;
}

static bool
holds (const PolicyTailnet *tailnet, size_t index, const IpPrefix *route)
{
  for (size_t i = 0; i < tailnet->n_holders; i++)
    if (tailnet->holders[i].node == tailnet->nodes[index].id
        && ip_prefix_equal (&tailnet->holders[i].route, route))
      return true;
  return false;
}

size_t
policy_view_primary (const PolicyView *view, const IpPrefix *route)
{
  const PolicyTailnet *tailnet = view->tailnet;
  size_t first = tailnet->n_nodes;

  for (size_t i = 0; i < view->n_routers; i++) {
    size_t router = view->routers[i];
    if (!tailnet->nodes[router].online || !announces (view, router, route))
      continue;
    if (holds (tailnet, router, route))
      return router;
    if (first == tailnet->n_nodes)
      first = router;
  }
  return first;
}

/* Traffic between the viewer and ROUTE is allowed in one direction or the other. */
static bool
route_is_of_use (PolicyView *view, size_t viewer, const IpPrefix *route)
{
  const PolicyRules *rules = policy_view_rules (view, viewer);
  IpRange range = ip_range_of_prefix (route);

  for (size_t i = 0; i < rules->n; i++) {
    const PolicyRule *rule = &rules->rules[i];
    if (view_is_source (&view->routes[viewer], rule)
        && ip_set_overlaps_range (&rule->destinations, &range))
      return true;
    if (ip_set_overlaps_range (&rule->sources, &range)
        && view_is_destination (view, &view->routes[viewer], rule))
      return true;
  }
  return false;
}

/* The first router that GRANT names for ROUTE. */
static size_t
via_router (const PolicyView *view, const Grant *grant, const IpPrefix *route)
{
  for (size_t i = 0; i < view->n_routers; i++)
    if (has_via_tag (grant, &view->tailnet->nodes[view->routers[i]])
        && announces (view, view->routers[i], route))
      return view->routers[i];
  return view->tailnet->n_nodes;
}

typedef enum
{
  VIA_SILENT, /* no via grant speaks of the route */
  VIA_THIS,   /* the route goes by this peer */
  VIA_OTHER,  /* it goes by others */
} ViaVerdict;

/* What via grants say about ROUTE of PEER for the viewer. */
static ViaVerdict
via_verdict (PolicyView *view, size_t viewer, size_t peer, const IpPrefix *route)
{
  IpRange range = ip_range_of_prefix (route);
  ViaVerdict verdict = VIA_SILENT;

  for (size_t g = 0; g < view->policy->n_grants; g++) {
    const Grant *grant = &view->policy->grants[g];
    bool covers = false;
    if (grant->n_via == 0
        || !ip_set_overlaps (&view->routes[viewer].addresses, &view->sources[g].set))
      continue;
    for (size_t d = 0; d < grant->dst.n && !covers; d++) {
      const Selector *dst = &grant->dst.items[d];
      covers = dst->type != SELECT_INTERNET
               && via_concerns (view, dst, &(NodeRoutes){.subnet_set = {&range, 1}});
    }
    if (!covers)
      continue;
    if (via_router (view, grant, route) == peer)
      return VIA_THIS;
    verdict = VIA_OTHER;
  }
  return verdict;
}

/* Rules without via let the viewer use the route. */
static bool
plain_rule_covers (PolicyView *view, size_t viewer, const IpPrefix *route)
{
  IpRange range = ip_range_of_prefix (route);

  for (size_t g = 0; g < view->policy->n_grants; g++)
    for (size_t i = 0; i < view->common[g].n; i++) {
      const PolicyRule *rule = &view->common[g].rules[i];
      if (view_is_source (&view->routes[viewer], rule)
          && ip_set_overlaps_range (&rule->destinations, &range))
        return true;
    }
  return false;
}

static bool
gives_subnet (PolicyView *view, size_t viewer, size_t peer, const IpPrefix *route)
{
  bool elected = policy_view_primary (view, route) == peer;

  if (announces (view, viewer, route))
    return elected;
  ViaVerdict verdict = via_verdict (view, viewer, peer, route);
  if (verdict != VIA_SILENT && !plain_rule_covers (view, viewer, route))
    return verdict == VIA_THIS;
  return elected && route_is_of_use (view, viewer, route);
}

/* Exit routes only where the viewer may reach the internet through the peer. */
static bool
gives_exit (PolicyView *view, size_t viewer, size_t peer)
{
  const PolicyRules *rules = policy_view_rules (view, peer);

  if (!view->routes[peer].exit)
    return false;
  for (size_t i = 0; i < rules->n; i++)
    if (rules->rules[i].n_grants == 0
        && ip_set_overlaps (&view->routes[viewer].addresses, &rules->rules[i].sources)
        && holds_internet (view, &rules->rules[i].destinations))
      return true;
  return false;
}

static int
compare_prefix (const void *a, const void *b)
{
  return ip_prefix_compare (a, b);
}

bool
policy_view_lacks_v4 (const PolicyView *view, size_t index)
{
  return view->routes[index].no_v4;
}

bool
policy_view_is_special (const PolicyView *view, size_t index)
{
  return view->routes[index].n_all > 0 || view->routes[index].no_v4;
}

IpPrefix *
policy_view_allowed_ips (PolicyView *view, size_t viewer, size_t peer, size_t *n)
{
  const NodeRoutes *routes = &view->routes[peer];
  IpPrefix *list = NULL;

  *n = 0;
  bool no_v4 = routes->no_v4 || view->routes[viewer].no_v4;
  for (size_t i = 0; i < routes->addresses.n; i++) {
    const IpRange *range = &routes->addresses.ranges[i];
    if (no_v4 && range->first.family == 4)
      continue;
    arena_append (view->arena, list, *n, ip_single (&range->first));
  }
  for (size_t i = 0; i < routes->n_subnets; i++)
    if (gives_subnet (view, viewer, peer, &routes->subnets[i]))
      arena_append (view->arena, list, *n, routes->subnets[i]);
  if (gives_exit (view, viewer, peer))
    for (size_t i = 0; i < routes->n_all; i++)
      if (ip_prefix_is_default (&routes->all[i]))
        arena_append (view->arena, list, *n, routes->all[i]);
  if (*n > 0)
    qsort (list, *n, sizeof *list, compare_prefix);
  return list;
}
