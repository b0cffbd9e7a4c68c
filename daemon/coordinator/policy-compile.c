/* Rules of each node out of a policy's grants (spec/netmap-and-policy.md D.4-D.6). */

#include "coordinator/hash-index.h"
#include "coordinator/policy-view-private.h"

#include <stdlib.h>
#include <string.h>

#define CAP_DRIVE        "tailscale.com/cap/drive"
#define CAP_DRIVE_SHARER "tailscale.com/cap/drive-sharer"
#define CAP_RELAY        "tailscale.com/cap/relay"
#define CAP_RELAY_TARGET "tailscale.com/cap/relay-target"

static IpSet
set_of_texts (PolicyView *view, const char *const *texts, size_t n)
{
  IpSetBuilder b = ip_set_builder (view->arena);

  for (size_t i = 0; i < n; i++) {
    const char *dash = strchr (texts[i], '-');
    IpPrefix prefix;
    IpRange range;
    if (dash && ip_parse (texts[i], (size_t)(dash - texts[i]), &range.first)
        && ip_parse (dash + 1, strlen (dash + 1), &range.last))
      ip_set_add_range (&b, &range);
    else if (ip_prefix_parse (texts[i], strlen (texts[i]), &prefix))
      ip_set_add_prefix (&b, &prefix);
  }
  return ip_set_build (&b);
}

static void
init_sets (PolicyView *view)
{
  static const char *const tailnet[]
      = {"100.64.0.0-100.115.91.255", "100.115.94.0-100.127.255.255", "fd7a:115c:a1e0::/48"};
  static const char *const internet[] = {
      "0.0.0.0-9.255.255.255",
      "11.0.0.0-100.63.255.255",
      "100.128.0.0-169.253.255.255",
      "169.255.0.0-172.15.255.255",
      "172.32.0.0-192.167.255.255",
      "192.169.0.0-255.255.255.255",
      "2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
  };
  static const char *const everything[] = {"0.0.0.0/0", "::/0"};

  view->tailnet_set = set_of_texts (view, tailnet, sizeof tailnet / sizeof tailnet[0]);
  view->internet = set_of_texts (view, internet, sizeof internet / sizeof internet[0]);
  view->everything = set_of_texts (view, everything, 2);
}

/* ---- destinations ---- */

/* The ranges that a destination is written as, before ports: single addresses for identities. */
static IpRange *
destination_ranges (PolicyView *view, const Selector *dst, size_t *n)
{
  IpSetBuilder b = ip_set_builder (view->arena);
  IpRange *ranges = NULL;

  *n = 0;
  if (dst->type == SELECT_PREFIX || dst->type == SELECT_HOST) {
    arena_append (view->arena, ranges, *n, ip_range_of_prefix (&dst->prefix));
    return ranges;
  }
  view_add_selector (view, dst, &b);
  if (dst->type == SELECT_IPSET || dst->type == SELECT_INTERNET) {
    IpSet set = ip_set_build (&b);
    *n = set.n;
    return (IpRange *)set.ranges;
  }
  *n = b.n;
  return b.ranges;
}

static int
compare_range_start (const void *a, const void *b)
{
  return ip_compare (&((const IpRange *)a)->first, &((const IpRange *)b)->first);
}

static void
add_range_with_ports (PolicyView *view, PolicyRule *rule, const IpRange *range, const IpItem *item,
                      bool as_range)
{
  for (size_t p = 0; p < item->n_ports; p++) {
    PolicyDst dst = {.range = *range, .ports = item->ports[p], .as_range = as_range};
    arena_append (view->arena, rule->dsts, rule->n_dsts, dst);
  }
}

static void
add_destination (PolicyView *view, PolicyRule *rule, const Selector *selector, const IpItem *item)
{
  size_t n;

  if (selector->type == SELECT_ANY) {
    for (size_t p = 0; p < item->n_ports; p++) {
      PolicyDst dst = {.any = true, .ports = item->ports[p]};
      arena_append (view->arena, rule->dsts, rule->n_dsts, dst);
    }
    return;
  }
  IpRange *ranges = destination_ranges (view, selector, &n);
  if (n > 1 && selector->type != SELECT_INTERNET && selector->type != SELECT_IPSET)
    qsort (ranges, n, sizeof *ranges, compare_range_start);
  for (size_t i = 0; i < n; i++)
    add_range_with_ports (view, rule, &ranges[i], item, selector->type == SELECT_INTERNET);
}

static void
finish_rule (PolicyView *view, PolicyRule *rule)
{
  IpSetBuilder b = ip_set_builder (view->arena);

  for (size_t i = 0; i < rule->n_dsts; i++) {
    if (rule->dsts[i].any)
      rule->any_destination = true;
    else
      ip_set_add_range (&b, &rule->dsts[i].range);
  }
  for (size_t i = 0; i < rule->n_grants; i++)
    for (size_t j = 0; j < rule->grants[i].n_dsts; j++)
      ip_set_add_prefix (&b, &rule->grants[i].dsts[j]);
  rule->destinations = rule->any_destination ? view->everything : ip_set_build (&b);
}

static PolicyRule
rule_from (const GrantSources *sources, unsigned line)
{
  return (PolicyRule){
      .src = sources->texts,
      .n_src = sources->n_texts,
      .src_key = sources->key,
      .sources = sources->set,
      .line = line,
  };
}

static void
add_rule (PolicyView *view, PolicyRules *rules, PolicyRule *rule)
{
  if (rule->n_dsts == 0 && rule->n_grants == 0)
    return;
  finish_rule (view, rule);
  arena_append (view->arena, rules->rules, rules->n, *rule);
}

/* ---- rules that are the same for every node ---- */

static void
add_network_rules (PolicyView *view, PolicyRules *rules, const Grant *grant,
                   const GrantSources *sources)
{
  if (sources->set.n == 0)
    return;
  for (size_t i = 0; i < grant->n_ip; i++) {
    PolicyRule rule = rule_from (sources, grant->line);
    rule.protocol = grant->ip[i].protocol;
    for (size_t d = 0; d < grant->dst.n; d++)
      if (grant->dst.items[d].type != SELECT_SELF)
        add_destination (view, &rule, &grant->dst.items[d], &grant->ip[i]);
    add_rule (view, rules, &rule);
  }
}

static void
add_cap_grant (PolicyView *view, PolicyRule *rule, const IpRange *ranges, size_t n,
               const NodeCap *caps, size_t n_caps)
{
  PolicyCapGrant cap_grant = {.caps = caps, .n_caps = n_caps};

  for (size_t i = 0; i < n; i++)
    cap_grant.dsts = ip_range_prefixes (view->arena, &ranges[i], cap_grant.dsts, &cap_grant.n_dsts);
  if (cap_grant.n_dsts > 0)
    arena_append (view->arena, rule->grants, rule->n_grants, cap_grant);
}

static bool
grants_capability (const Grant *grant, const char *name)
{
  for (size_t i = 0; i < grant->n_app; i++)
    if (strcmp (grant->app[i].name, name) == 0)
      return true;
  return false;
}

/* Some capabilities need their mirror image on the other side (D.4 step 5). */
static void
add_companions (PolicyView *view, PolicyRules *rules, const Grant *grant, const IpSet *sources,
                const IpSet *destinations, bool any)
{
  static const char *const companions[][2]
      = {{CAP_DRIVE, CAP_DRIVE_SHARER}, {CAP_RELAY, CAP_RELAY_TARGET}};

  for (size_t i = 0; i < 2; i++) {
    if (!grants_capability (grant, companions[i][0]))
      continue;
    GrantSources reversed = view_sources_of (view, destinations, any, false);
    PolicyRule rule = rule_from (&reversed, grant->line);
    NodeCap *cap = arena_array (view->arena, NodeCap, 1);
    cap->name = companions[i][1];
    add_cap_grant (view, &rule, sources->ranges, sources->n, cap, 1);
    add_rule (view, rules, &rule);
  }
}

static void
add_app_rules (PolicyView *view, PolicyRules *rules, const Grant *grant,
               const GrantSources *sources)
{
  PolicyRule rule = rule_from (sources, grant->line);
  IpSetBuilder all = ip_set_builder (view->arena);
  bool any = false;

  if (grant->n_app == 0)
    return;
  for (size_t d = 0; d < grant->dst.n; d++) {
    const Selector *dst = &grant->dst.items[d];
    size_t n;
    if (dst->type == SELECT_SELF)
      continue;
    any |= dst->type == SELECT_ANY;
    if (dst->type == SELECT_ANY) {
      add_cap_grant (view, &rule, view->everything.ranges, view->everything.n, grant->app,
                     grant->n_app);
      view_add_selector (view, dst, &all);
      continue;
    }
    IpRange *ranges = destination_ranges (view, dst, &n);
    add_cap_grant (view, &rule, ranges, n, grant->app, grant->n_app);
    for (size_t i = 0; i < n; i++)
      ip_set_add_range (&all, &ranges[i]);
  }
  add_rule (view, rules, &rule);
  IpSet destinations = ip_set_build (&all);
  if (destinations.n > 0)
    add_companions (view, rules, grant, &sources->named, &destinations, any);
}

static void
compile_common (PolicyView *view)
{
  const Policy *policy = view->policy;

  view->common = arena_alloc (view->arena, (policy->n_grants + 1) * sizeof *view->common);
  for (size_t i = 0; i < policy->n_grants; i++) {
    const Grant *grant = &policy->grants[i];
    if (grant->n_via > 0 || grant->src.n == 0 || grant->dst.n == 0)
      continue;
    add_network_rules (view, &view->common[i], grant, &view->sources[i]);
    add_app_rules (view, &view->common[i], grant, &view->sources[i]);
  }
}

/* ---- rules of one node ---- */

static bool
has_self (const Grant *grant)
{
  for (size_t i = 0; i < grant->dst.n; i++)
    if (grant->dst.items[i].type == SELECT_SELF)
      return true;
  return false;
}

/* "My own devices" (D.5): the owner's untagged nodes, on both sides. */
static void
add_self_rules (PolicyView *view, PolicyRules *rules, const Grant *grant, const IpSet *allowed,
                const PolicyNode *node)
{
  IpSetBuilder b = ip_set_builder (view->arena);

  if (node->n_tags > 0 || !node->user || !has_self (grant))
    return;
  for (size_t i = 0; i < view->tailnet->n_nodes; i++) {
    const PolicyNode *other = &view->tailnet->nodes[i];
    if (other->n_tags == 0 && other->user == node->user)
      ip_set_add_set (&b, &view->routes[i].addresses);
  }
  size_t n_single = b.n;
  IpRange *singles = arena_alloc (view->arena, (n_single + 1) * sizeof *singles);
  memcpy (singles, b.ranges, n_single * sizeof *singles);
  qsort (singles, n_single, sizeof *singles, compare_range_start);
  IpSet mine = ip_set_build (&b);
  IpSet sources_set = ip_set_intersect (view->arena, &mine, allowed);
  GrantSources sources = view_sources_of (view, &sources_set, false, false);
  if (sources.set.n == 0)
    return;
  for (size_t i = 0; i < grant->n_ip; i++) {
    PolicyRule rule = rule_from (&sources, grant->line);
    rule.protocol = grant->ip[i].protocol;
    for (size_t j = 0; j < n_single; j++)
      add_range_with_ports (view, &rule, &singles[j], &grant->ip[i], false);
    add_rule (view, rules, &rule);
  }
  if (grant->n_app > 0) {
    PolicyRule rule = rule_from (&sources, grant->line);
    add_cap_grant (view, &rule, singles, n_single, grant->app, grant->n_app);
    add_rule (view, rules, &rule);
    add_companions (view, rules, grant, &sources_set, &mine, false);
  }
}

static bool
is_via_node (const Grant *grant, const PolicyNode *node)
{
  for (size_t i = 0; i < grant->n_via; i++)
    if (view_node_has_tag (node, grant->via[i]))
      return true;
  return false;
}

static void
add_via_destination (PolicyView *view, PolicyRule *rule, const Selector *dst,
                     const NodeRoutes *routes, const IpItem *item)
{
  size_t n;

  if (dst->type == SELECT_INTERNET) {
    if (routes->exit)
      add_destination (view, rule, dst, item);
    return;
  }
  if (dst->type == SELECT_ANY || dst->type == SELECT_SELF)
    return;
  IpRange *ranges = destination_ranges (view, dst, &n);
  for (size_t i = 0; i < n; i++)
    if (ip_set_overlaps_range (&routes->subnet_set, &ranges[i]))
      add_range_with_ports (view, rule, &ranges[i], item, false);
}

/* A grant by way of named routers concerns only them, and of their routes only what it names (D.6).
 */
static void
add_via_rules (PolicyView *view, PolicyRules *rules, const Grant *grant,
               const GrantSources *sources, size_t index)
{
  const NodeRoutes *routes = &view->routes[index];

  if (sources->set.n == 0 || !is_via_node (grant, &view->tailnet->nodes[index]))
    return;
  for (size_t i = 0; i < grant->n_ip; i++) {
    PolicyRule rule = rule_from (sources, grant->line);
    rule.protocol = grant->ip[i].protocol;
    for (size_t d = 0; d < grant->dst.n; d++)
      add_via_destination (view, &rule, &grant->dst.items[d], routes, &grant->ip[i]);
    add_rule (view, rules, &rule);
  }
}

/* Rules on their way to be merged. */
typedef struct
{
  PolicyRules *rules;
  HashIndex places; /* of those that take more: their numbers, from 1 */
} Merging;

typedef struct
{
  const PolicyRules *rules;
  const PolicyRule *rule;
} SameRule;

static bool
is_same_rule (const void *value, const void *key)
{
  const SameRule *same = key;
  const PolicyRule *rule = &same->rules->rules[(size_t)value - 1];

  return rule->protocol == same->rule->protocol && strcmp (rule->src_key, same->rule->src_key) == 0;
}

/* Rules with equal sources and protocol become one; capability rules stay apart (D.4 step 7). */
static void
merge_into (PolicyView *view, Merging *merging, const PolicyRules *rules)
{
  PolicyRules *merged = merging->rules;

  for (size_t i = 0; i < rules->n; i++) {
    const PolicyRule *rule = &rules->rules[i];
    if (rule->n_grants > 0) {
      arena_append (view->arena, merged->rules, merged->n, *rule);
      continue;
    }
    uint64_t hash = hash_index_key (rule->src_key, strlen (rule->src_key)) + rule->protocol;
    size_t place
        = (size_t)hash_index_find (&merging->places, hash, is_same_rule, &(SameRule){merged, rule});
    if (place == 0) {
      PolicyRule copy = *rule;
      copy.dsts = NULL;
      copy.n_dsts = 0;
      arena_append (view->arena, merged->rules, merged->n, copy);
      place = merged->n;
      hash_index_add (&merging->places, hash, (void *)place);
    }
    PolicyRule *same = &merged->rules[place - 1];
    for (size_t d = 0; d < rule->n_dsts; d++)
      arena_append (view->arena, same->dsts, same->n_dsts, rule->dsts[d]);
  }
}

/* INDEX behind the last node: nobody's rules, those that all nodes have. */
static RuleSet *
compile_for (PolicyView *view, size_t index)
{
  const Policy *policy = view->policy;
  RuleSet *set = arena_array (view->arena, RuleSet, 1);
  Merging merging = {.rules = &set->rules};

  for (size_t i = 0; i < policy->n_grants; i++) {
    const Grant *grant = &policy->grants[i];
    PolicyRules own = {0};
    merge_into (view, &merging, &view->common[i]);
    if (grant->src.n == 0 || grant->dst.n == 0 || index == view->tailnet->n_nodes)
      continue;
    if (grant->n_via > 0)
      add_via_rules (view, &own, grant, &view->sources[i], index);
    else
      add_self_rules (view, &own, grant, &view->sources[i].set, &view->tailnet->nodes[index]);
    merge_into (view, &merging, &own);
  }
  for (size_t i = 0; i < set->rules.n; i++)
    if (set->rules.rules[i].n_grants == 0)
      finish_rule (view, &set->rules.rules[i]);
  hash_index_clear (&merging.places);
  return set;
}

/* Where the rules of the node at INDEX are kept for all that must have the same ones: only via
 * grants (of tagged nodes) and autogroup:self (of a user's nodes) tell nodes apart. */
static RuleSet **
shared_place (PolicyView *view, size_t index)
{
  const PolicyNode *node = &view->tailnet->nodes[index];
  bool self = false;

  for (size_t i = 0; i < view->policy->n_grants; i++) {
    if (is_via_node (&view->policy->grants[i], node))
      return &view->rules[index];
    self |= has_self (&view->policy->grants[i]);
  }
  if (!self || node->n_tags > 0 || !node->user)
    return &view->plain;
  size_t user = (size_t)(node->user - view->tailnet->users);
  return user < view->tailnet->n_users ? &view->by_user[user] : &view->rules[index];
}

const RuleSet *
view_rule_set (PolicyView *view, size_t index)
{
  if (!view->rules[index]) {
    RuleSet **place = shared_place (view, index);
    if (!*place)
      *place = place == &view->plain ? compile_for (view, view->tailnet->n_nodes)
                                     : compile_for (view, index);
    view->rules[index] = *place;
  }
  return view->rules[index];
}

const RuleSet *
view_plain_rules (PolicyView *view)
{
  if (!view->plain)
    view->plain = compile_for (view, view->tailnet->n_nodes);
  return view->plain;
}

const PolicyRules *
policy_view_rules (PolicyView *view, size_t index)
{
  return &view_rule_set (view, index)->rules;
}

/* ---- what concerns one node ---- */

static bool
concerns (const PolicyView *view, const NodeRoutes *routes, const IpRange *range)
{
  return ip_set_overlaps_range (&routes->addresses, range)
         || ip_set_overlaps_range (&routes->subnet_set, range)
         || (routes->exit && ip_set_contains_range (&view->internet, range));
}

static int
compare_prefix (const void *a, const void *b)
{
  return ip_prefix_compare (a, b);
}

static PolicyCapGrant
reduce_cap_grant (PolicyView *view, const NodeRoutes *routes, const PolicyCapGrant *grant)
{
  PolicyCapGrant reduced = {.caps = grant->caps, .n_caps = grant->n_caps};

  for (size_t i = 0; i < grant->n_dsts; i++) {
    IpRange range = ip_range_of_prefix (&grant->dsts[i]);
    bool own = false;
    for (size_t a = 0; a < routes->addresses.n; a++) {
      const IpRange *address = &routes->addresses.ranges[a];
      if (!ip_prefix_contains (&grant->dsts[i], &address->first))
        continue;
      own = true;
      arena_append (view->arena, reduced.dsts, reduced.n_dsts, ip_single (&address->first));
    }
    if (!own && ip_set_overlaps_range (&routes->subnet_set, &range))
      arena_append (view->arena, reduced.dsts, reduced.n_dsts, grant->dsts[i]);
  }
  size_t n = 0;
  if (reduced.n_dsts > 0)
    qsort (reduced.dsts, reduced.n_dsts, sizeof *reduced.dsts, compare_prefix);
  for (size_t i = 0; i < reduced.n_dsts; i++)
    if (n == 0 || !ip_prefix_equal (&reduced.dsts[n - 1], &reduced.dsts[i]))
      reduced.dsts[n++] = reduced.dsts[i];
  reduced.n_dsts = n;
  return reduced;
}

static PolicyRule
reduce_rule (PolicyView *view, const NodeRoutes *routes, const PolicyRule *rule)
{
  PolicyRule reduced = *rule;

  reduced.dsts = NULL;
  reduced.n_dsts = 0;
  reduced.grants = NULL;
  reduced.n_grants = 0;
  for (size_t i = 0; i < rule->n_dsts; i++)
    if (rule->dsts[i].any || concerns (view, routes, &rule->dsts[i].range))
      arena_append (view->arena, reduced.dsts, reduced.n_dsts, rule->dsts[i]);
  for (size_t i = 0; i < rule->n_grants; i++) {
    PolicyCapGrant grant = reduce_cap_grant (view, routes, &rule->grants[i]);
    if (grant.n_dsts > 0)
      arena_append (view->arena, reduced.grants, reduced.n_grants, grant);
  }
  return reduced;
}

PolicyRules
policy_view_filter (PolicyView *view, size_t index)
{
  const PolicyRules *rules = policy_view_rules (view, index);
  PolicyRules out = {0};

  for (size_t i = 0; i < rules->n; i++) {
    PolicyRule rule = reduce_rule (view, &view->routes[index], &rules->rules[i]);
    if (rule.n_dsts > 0 || rule.n_grants > 0)
      arena_append (view->arena, out.rules, out.n, rule);
  }
  return out;
}

PolicyView *
policy_view_new (const Policy *policy, const PolicyTailnet *tailnet)
{
  Arena *arena = arena_new ();
  PolicyView *view = arena_array (arena, PolicyView, 1);

  view->arena = arena;
  view->policy = policy;
  view->tailnet = tailnet;
  view->ipsets = arena_alloc (arena, (policy->n_ipsets + 1) * sizeof *view->ipsets);
  init_sets (view);
  view_resolve_routes (view);
  view_resolve_sources (view);
  compile_common (view);
  view_note_families (view);
  view->rules = arena_alloc (arena, (tailnet->n_nodes + 1) * sizeof *view->rules);
  view->by_user = arena_alloc (arena, (tailnet->n_users + 1) * sizeof *view->by_user);
  return view;
}

size_t
policy_view_size (const PolicyView *view)
{
  return arena_size (view->arena);
}

void
policy_view_free (PolicyView *view)
{
  if (view)
    arena_free (view->arena);
}
