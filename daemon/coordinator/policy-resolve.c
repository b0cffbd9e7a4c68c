/* Selectors, postures and routes of a policy view. */

#include "base/memory.h"
#include "coordinator/policy-view-private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool
view_node_has_tag (const PolicyNode *node, const char *tag)
{
  for (size_t i = 0; i < node->n_tags; i++)
    if (strcmp (node->tags[i], tag) == 0)
      return true;
  return false;
}

/* "ada@" also names the account "ada". */
static bool
login_matches (const char *login, const char *name)
{
  size_t n = strlen (name);

  if (strcasecmp (login, name) == 0)
    return true;
  return n > 1 && name[n - 1] == '@' && strlen (login) == n - 1
         && strncasecmp (login, name, n - 1) == 0;
}

static bool
user_matches (const PolicyView *view, const Selector *selector, const PolicyUser *user)
{
  const char *at;

  switch (selector->type) {
    case SELECT_USER:
      return login_matches (user->login, selector->name);
    case SELECT_USER_DOMAIN:
      at = strrchr (user->login, '@');
      return at && strcasecmp (at + 1, selector->name) == 0;
    case SELECT_GROUP: {
      const NamedSelectors *group = policy_group (view->policy, selector->name);
      for (size_t i = 0; group && i < group->members.n; i++)
        if (user_matches (view, &group->members.items[i], user))
          return true;
      return false;
    }
    case SELECT_ROLE:
      /* The owner administers, too. */
      return user->role == selector->role
             || (user->role == ROLE_OWNER && selector->role == ROLE_ADMIN);
    case SELECT_MEMBER:
      return true;
    default:
      return false;
  }
}

bool
view_node_matches (const PolicyView *view, const Selector *selector, const PolicyNode *node)
{
  if (selector->type == SELECT_TAG)
    return view_node_has_tag (node, selector->name);
  if (selector->type == SELECT_TAGGED)
    return node->n_tags > 0;
  return node->n_tags == 0 && node->user && user_matches (view, selector, node->user);
}

static void
add_node (IpSetBuilder *out, const PolicyNode *node)
{
  for (int i = 0; i < 2; i++)
    if (node->addresses[i].family != 0)
      ip_set_add_addr (out, &node->addresses[i]);
}

static IpSet resolve_ipset (PolicyView *view, const char *name);

static IpSet
resolve_operation (PolicyView *view, const IpSetOperation *operation)
{
  IpSetBuilder b = ip_set_builder (view->arena);

  if (operation->is_range) {
    ip_set_add_range (&b, &operation->range);
    return ip_set_build (&b);
  }
  switch (operation->target.type) {
    case SELECT_IPSET:
      return resolve_ipset (view, operation->target.name);
    case SELECT_INTERNET:
      return view->internet;
    default:
      ip_set_add_prefix (&b, &operation->target.prefix);
      return ip_set_build (&b);
  }
}

/* Each once: a set may be part of many. */
static IpSet
resolve_ipset (PolicyView *view, const char *name)
{
  const NamedIpSet *set = policy_ipset (view->policy, name);

  if (!set)
    return (IpSet){0};
  size_t place = (size_t)(set - view->policy->ipsets);
  if (view->ipsets[place].known)
    return view->ipsets[place].set;
  view->ipsets[place].known = true;
  IpSetBuilder b = ip_set_builder (view->arena);
  for (size_t i = 0; i < set->n; i++) {
    IpSet part = resolve_operation (view, &set->operations[i]);
    if (set->operations[i].remove) {
      IpSet whole = ip_set_build (&b);
      part = ip_set_subtract (view->arena, &whole, &part);
      b = ip_set_builder (view->arena);
    }
    ip_set_add_set (&b, &part);
  }
  return view->ipsets[place].set = ip_set_build (&b);
}

void
view_add_selector (PolicyView *view, const Selector *selector, IpSetBuilder *out)
{
  IpSet set;

  switch (selector->type) {
    case SELECT_ANY:
      ip_set_add_set (out, &view->tailnet_set);
      for (size_t i = 0; i < view->tailnet->n_nodes; i++)
        ip_set_add_set (out, &view->routes[i].subnet_set);
      break;
    case SELECT_PREFIX:
    case SELECT_HOST:
      ip_set_add_prefix (out, &selector->prefix);
      break;
    case SELECT_IPSET:
      set = resolve_ipset (view, selector->name);
      ip_set_add_set (out, &set);
      break;
    case SELECT_INTERNET:
      ip_set_add_set (out, &view->internet);
      break;
    case SELECT_DANGER_ALL:
      ip_set_add_set (out, &view->everything);
      break;
    default:
      for (size_t i = 0; i < view->tailnet->n_nodes; i++)
        if (view_node_matches (view, selector, &view->tailnet->nodes[i]))
          add_node (out, &view->tailnet->nodes[i]);
  }
}

/* ---- postures ---- */

static const char *
attribute_of (const PolicyNode *node, const char *attribute)
{
  if (strcmp (attribute, "node:os") == 0)
    return node->os && node->os[0] ? node->os : NULL;
  if (strcmp (attribute, "node:tsVersion") == 0)
    return node->version && node->version[0] ? node->version : NULL;
  return NULL;
}

/* Versions compare number by number: 1.9 < 1.60. */
static int
compare_versions (const char *a, const char *b)
{
  for (;;) {
    char *end_a, *end_b;
    long x = strtol (a, &end_a, 10), y = strtol (b, &end_b, 10);
    if (x != y)
      return x < y ? -1 : 1;
    bool more_a = *end_a == '.', more_b = *end_b == '.';
    if (!more_a || !more_b)
      return (int)more_a - (int)more_b;
    a = end_a + 1;
    b = end_b + 1;
  }
}

static bool
is_listed (const Assertion *assertion, const char *value)
{
  for (size_t i = 0; i < assertion->n_values; i++)
    if (strcasecmp (assertion->values[i], value) == 0)
      return true;
  return false;
}

static bool
assertion_holds (const Assertion *assertion, const PolicyNode *node)
{
  const char *value = attribute_of (node, assertion->attribute);

  if (!value || assertion->n_values == 0)
    return false;
  int order = compare_versions (value, assertion->values[0]);
  switch (assertion->comparison) {
    case COMPARE_EQUAL:
    case COMPARE_IN:
      return is_listed (assertion, value);
    case COMPARE_NOT_EQUAL:
    case COMPARE_NOT_IN:
      return !is_listed (assertion, value);
    case COMPARE_LESS:
      return order < 0;
    case COMPARE_LESS_EQUAL:
      return order <= 0;
    case COMPARE_GREATER:
      return order > 0;
    default:
      return order >= 0;
  }
}

bool
view_node_satisfies (const PolicyView *view, const char *const *postures, size_t n,
                     const PolicyNode *node)
{
  for (size_t i = 0; i < n; i++) {
    const Posture *posture = policy_posture (view->policy, postures[i]);
    bool all = posture && posture->n > 0;
    for (size_t j = 0; all && j < posture->n; j++)
      all = assertion_holds (&posture->assertions[j], node);
    if (all)
      return true;
  }
  return n == 0;
}

/* ---- routes ---- */

bool
view_approves (const PolicyView *view, const SelectorList *approvers, const PolicyNode *node)
{
  for (size_t i = 0; i < approvers->n; i++)
    if (view_node_matches (view, &approvers->items[i], node))
      return true;
  return false;
}

static bool
is_approved (const PolicyView *view, const PolicyNode *node, const IpPrefix *route)
{
  const Policy *policy = view->policy;
  bool exit = ip_prefix_is_default (route);

  for (size_t i = 0; i < node->n_approved; i++)
    if (ip_prefix_equal (&node->approved[i], route)
        || (exit && ip_prefix_is_default (&node->approved[i])))
      return true;
  if (exit)
    return view_approves (view, &policy->exit_approvers, node);
  for (size_t i = 0; i < policy->n_route_approvers; i++) {
    const RouteApprovers *entry = &policy->route_approvers[i];
    if (ip_prefix_covers (&entry->prefix, route) && view_approves (view, &entry->approvers, node))
      return true;
  }
  return false;
}

static void
resolve_node_routes (PolicyView *view, size_t index)
{
  const PolicyNode *node = &view->tailnet->nodes[index];
  NodeRoutes *routes = &view->routes[index];
  IpSetBuilder subnets = ip_set_builder (view->arena), own = ip_set_builder (view->arena);

  for (size_t i = 0; i < node->n_announced; i++) {
    const IpPrefix *route = &node->announced[i];
    if (!is_approved (view, node, route))
      continue;
    if (ip_prefix_is_default (route)) {
      routes->exit = true;
    } else {
      arena_append (view->arena, routes->subnets, routes->n_subnets, *route);
      ip_set_add_prefix (&subnets, route);
    }
    arena_append (view->arena, routes->all, routes->n_all, *route);
  }
  routes->subnet_set = ip_set_build (&subnets);
  add_node (&own, node);
  routes->addresses = ip_set_build (&own);
}

static void
note_subnet (PolicyView *view, const IpPrefix *route)
{
  char text[IP_PREFIX_TEXT_MAX];

  ip_prefix_format (route, text);
  if (ip_prefix_is_single (route))
    *strchr (text, '/') = '\0';
  for (size_t i = 0; i < view->n_subnet_texts; i++)
    if (strcmp (view->subnet_texts[i], text) == 0)
      return;
  arena_append (view->arena, view->subnet_texts, view->n_subnet_texts,
                arena_strdup (view->arena, text));
}

void
view_resolve_routes (PolicyView *view)
{
  view->routes = arena_alloc (view->arena, (view->tailnet->n_nodes + 1) * sizeof *view->routes);
  for (size_t i = 0; i < view->tailnet->n_nodes; i++) {
    resolve_node_routes (view, i);
    for (size_t j = 0; j < view->routes[i].n_subnets; j++)
      note_subnet (view, &view->routes[i].subnets[j]);
    if (view->routes[i].n_all > 0)
      arena_append (view->arena, view->routers, view->n_routers, i);
  }
}

const IpPrefix *
policy_view_routes (PolicyView *view, size_t index, size_t *n)
{
  *n = view->routes[index].n_all;
  return view->routes[index].all;
}

/* SEEN: by tag, those that were looked at; a tag may own many. */
static bool
owner_matches (const Policy *policy, const NamedSelectors *tag, const PolicyUser *user, bool *seen)
{
  PolicyView view = {.policy = policy};
  size_t place = (size_t)(tag - policy->tag_owners);

  if (seen[place])
    return false;
  seen[place] = true;
  for (size_t i = 0; i < tag->members.n; i++) {
    const Selector *owner = &tag->members.items[i];
    const NamedSelectors *next
        = owner->type == SELECT_TAG ? policy_tag (policy, owner->name) : NULL;
    if (next ? owner_matches (policy, next, user, seen) : user_matches (&view, owner, user))
      return true;
  }
  return false;
}

bool
policy_may_assign_tag (const Policy *policy, const PolicyUser *user, const char *tag)
{
  const NamedSelectors *found = policy_tag (policy, tag);

  if (!found)
    return false;
  bool *seen = mem_new (policy->n_tag_owners * sizeof *seen);
  bool may = owner_matches (policy, found, user, seen);
  free (seen);
  return may;
}

/* ---- sources ---- */

/* Unless TEXT is one of the first AMONG or the last. */
static void
add_text (PolicyView *view, GrantSources *sources, const char *text, size_t among)
{
  size_t n = sources->n_texts;

  if (n > 0 && strcmp (sources->texts[n - 1], text) == 0)
    return;
  for (size_t i = 0; i < among; i++)
    if (strcmp (sources->texts[i], text) == 0)
      return;
  arena_append (view->arena, sources->texts, sources->n_texts, arena_strdup (view->arena, text));
}

static void
add_set_texts (PolicyView *view, GrantSources *sources, const IpSet *set)
{
  for (size_t i = 0; i < set->n; i++) {
    char text[IP_RANGE_TEXT_MAX];
    ip_range_format (&set->ranges[i], text);
    add_text (view, sources, text, 0);
  }
}

static const char *
join_texts (PolicyView *view, const GrantSources *sources)
{
  size_t size = 1;

  for (size_t i = 0; i < sources->n_texts; i++)
    size += strlen (sources->texts[i]) + 1;
  char *joined = arena_alloc (view->arena, size), *at = joined;
  for (size_t i = 0; i < sources->n_texts; i++) {
    at = stpcpy (at, sources->texts[i]);
    *at++ = ' ';
  }
  return joined;
}

GrantSources
view_sources_of (PolicyView *view, const IpSet *set, bool any, bool danger)
{
  GrantSources sources = {.set = *set, .named = any ? view->tailnet_set : *set};

  if (danger) {
    add_text (view, &sources, "*", 0);
  } else if (any) {
    add_set_texts (view, &sources, &view->tailnet_set);
    for (size_t i = 0; i < view->n_subnet_texts; i++)
      add_text (view, &sources, view->subnet_texts[i], view->tailnet_set.n);
  } else {
    add_set_texts (view, &sources, set);
  }
  sources.key = join_texts (view, &sources);
  return sources;
}

static int
compare_ranges (const void *a, const void *b)
{
  const IpRange *x = a, *y = b;
  int order = ip_compare (&x->first, &y->first);

  return order != 0 ? order : ip_compare (&x->last, &y->last);
}

/* The individual addresses and prefixes next to a "*" stay visible (D.4 step 3). */
static void
add_other_sources (PolicyView *view, const Grant *grant, GrantSources *sources)
{
  IpSetBuilder b = ip_set_builder (view->arena), named = ip_set_builder (view->arena);

  for (size_t i = 0; i < grant->src.n; i++)
    if (grant->src.items[i].type != SELECT_ANY)
      view_add_selector (view, &grant->src.items[i], &b);
  if (b.n > 1)
    qsort (b.ranges, b.n, sizeof *b.ranges, compare_ranges);
  ip_set_add_set (&named, &sources->named);
  size_t n_any = sources->n_texts;
  for (size_t i = 0; i < b.n; i++) {
    char text[IP_RANGE_TEXT_MAX];
    ip_range_format (&b.ranges[i], text);
    add_text (view, sources, text, n_any);
    ip_set_add_range (&named, &b.ranges[i]);
  }
  sources->named = ip_set_build (&named);
  sources->key = join_texts (view, sources);
}

static IpSet
satisfying_nodes (PolicyView *view, const Grant *grant)
{
  IpSetBuilder b = ip_set_builder (view->arena);

  for (size_t i = 0; i < view->tailnet->n_nodes; i++)
    if (view_node_satisfies (view, grant->postures, grant->n_postures, &view->tailnet->nodes[i]))
      add_node (&b, &view->tailnet->nodes[i]);
  return ip_set_build (&b);
}

static GrantSources
resolve_grant_sources (PolicyView *view, const Grant *grant)
{
  IpSetBuilder b = ip_set_builder (view->arena);
  bool any = false, danger = false;

  for (size_t i = 0; i < grant->src.n; i++) {
    any |= grant->src.items[i].type == SELECT_ANY;
    danger |= grant->src.items[i].type == SELECT_DANGER_ALL;
    view_add_selector (view, &grant->src.items[i], &b);
  }
  IpSet set = ip_set_build (&b);
  if (grant->n_postures > 0) {
    IpSet nodes = satisfying_nodes (view, grant);
    set = ip_set_intersect (view->arena, &set, &nodes);
    any = danger = false;
  }
  GrantSources sources = view_sources_of (view, &set, any, danger);
  if (any && !danger && grant->src.n > 1)
    add_other_sources (view, grant, &sources);
  return sources;
}

void
view_resolve_sources (PolicyView *view)
{
  size_t n = view->policy->n_grants;

  view->sources = arena_alloc (view->arena, (n + 1) * sizeof *view->sources);
  for (size_t i = 0; i < n; i++)
    view->sources[i] = resolve_grant_sources (view, &view->policy->grants[i]);
}
