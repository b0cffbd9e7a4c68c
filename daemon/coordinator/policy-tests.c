/* Runs the tests inside a policy against the nodes there are (spec/netmap-and-policy.md D.10). */

#include "coordinator/policy-view-private.h"

#include <string.h>

static void
fail (PolicyIssues *issues, unsigned line, const char *path, const char *src, const char *target,
      bool expected, unsigned by_line)
{
  PolicyIssue issue = {.line = line, .column = 1};

  if (issues->n >= POLICY_ISSUES_MAX)
    return;
  issue.path = arena_strdup (issues->arena, path);
  if (expected)
    issue.text = arena_printf (issues->arena, "%s → %s: expected allowed, is denied", src, target);
  else
    issue.text
        = arena_printf (issues->arena,
                        "%s → %s: expected denied, is allowed; the rule that decides: line %u", src,
                        target, by_line);
  arena_append (issues->arena, issues->list, issues->n, issue);
  issues->n_errors++;
}

static bool
protocol_matches (const PolicyRule *rule, uint8_t wanted)
{
  if (rule->protocol == 0)
    return wanted == 0 || wanted == 6 || wanted == 17 || wanted == 1 || wanted == 58;
  return wanted == 0 ? rule->protocol == 6 || rule->protocol == 17 || rule->protocol == 1
                           || rule->protocol == 58
                     : rule->protocol == wanted;
}

/* The rule by which SRC may reach DST on PORT under RULES, or NULL. */
static const PolicyRule *
deciding_rule (const PolicyRules *rules, const IpAddr *src, const IpAddr *dst, uint16_t port,
               uint8_t protocol)
{
  for (size_t i = 0; i < rules->n; i++) {
    const PolicyRule *rule = &rules->rules[i];
    bool everybody = rule->n_src == 1 && strcmp (rule->src[0], "*") == 0;
    if (!protocol_matches (rule, protocol)
        || (!everybody && !ip_set_contains (&rule->sources, src)))
      continue;
    for (size_t d = 0; d < rule->n_dsts; d++) {
      const PolicyDst *target = &rule->dsts[d];
      IpSet set = {&target->range, 1};
      if (port >= target->ports.first && port <= target->ports.last
          && (target->any || ip_set_contains (&set, dst)))
        return rule;
    }
  }
  return NULL;
}

/* The node that receives packets to ADDR: its owner, or a router of a route that holds it. */
static size_t
receiver_of (const PolicyView *view, const IpAddr *addr)
{
  for (size_t i = 0; i < view->tailnet->n_nodes; i++)
    if (ip_set_contains (&view->routes[i].addresses, addr))
      return i;
  for (size_t i = 0; i < view->tailnet->n_nodes; i++)
    if (ip_set_contains (&view->routes[i].subnet_set, addr))
      return i;
  return view->tailnet->n_nodes;
}

static IpSet
addresses_of (PolicyView *view, const Selector *selector)
{
  IpSetBuilder b = ip_set_builder (view->arena);

  view_add_selector (view, selector, &b);
  return ip_set_build (&b);
}

/* The addresses in SET one by one; ranges of identities are single or few, so they are walked
 * whole. */
static size_t
list_addresses (PolicyView *view, const IpSet *set, IpAddr **out)
{
  IpAddr *list = NULL;
  size_t n = 0;

  for (size_t i = 0; i < view->tailnet->n_nodes; i++)
    for (int a = 0; a < 2; a++)
      if (view->tailnet->nodes[i].addresses[a].family
          && ip_set_contains (set, &view->tailnet->nodes[i].addresses[a]))
        arena_append (view->arena, list, n, view->tailnet->nodes[i].addresses[a]);
  /* An address that no node has now stands for itself. */
  for (size_t i = 0; n == 0 && i < set->n; i++)
    arena_append (view->arena, list, n, set->ranges[i].first);
  *out = list;
  return n;
}

/* Whether SRC reaches one address of DSTS; *BY is the rule if so. */
static bool
reaches_any (PolicyView *view, const IpAddr *src, const IpAddr *dsts, size_t n, uint16_t port,
             uint8_t protocol, const PolicyRule **by)
{
  for (size_t i = 0; i < n; i++) {
    size_t receiver = receiver_of (view, &dsts[i]);
    if (dsts[i].family != src->family || receiver == view->tailnet->n_nodes)
      continue;
    *by = deciding_rule (policy_view_rules (view, receiver), src, &dsts[i], port, protocol);
    if (*by)
      return true;
  }
  return false;
}

static bool
check_target (PolicyView *view, const PolicyTest *test, const TestTarget *target, bool expected,
              PolicyIssues *issues)
{
  IpSet src_set = addresses_of (view, &test->src), dst_set = addresses_of (view, &target->host);
  const PolicyRule *by = NULL, *last = NULL;
  IpAddr *srcs, *dsts;
  size_t n_srcs = list_addresses (view, &src_set, &srcs);
  size_t n_dsts = list_addresses (view, &dst_set, &dsts);
  bool all = n_srcs > 0;

  for (size_t i = 0; i < n_srcs && all; i++) {
    all = reaches_any (view, &srcs[i], dsts, n_dsts, target->port, test->protocol, &by);
    if (by)
      last = by;
  }
  if (all == expected)
    return true;
  fail (issues, test->line, test->path, test->src.text, target->text, expected,
        last ? last->line : 0);
  return false;
}

/* ---- SSH ---- */

static bool
logs_in_as (const SshRule *rule, const char *user)
{
  for (size_t i = 0; i < rule->n_users; i++)
    if (strcmp (rule->users[i], user) == 0
        || (strcmp (rule->users[i], "autogroup:nonroot") == 0 && strcmp (user, "root") != 0))
      return true;
  return false;
}

static bool
selects (PolicyView *view, const Selector *selector, const PolicyNode *node)
{
  if (selector->type == SELECT_PREFIX || selector->type == SELECT_HOST) {
    for (int a = 0; a < 2; a++)
      if (node->addresses[a].family && ip_prefix_contains (&selector->prefix, &node->addresses[a]))
        return true;
    return false;
  }
  return view_node_matches (view, selector, node);
}

static bool
rule_connects (PolicyView *view, const SshRule *rule, const PolicyNode *src, const PolicyNode *dst)
{
  bool from = false;

  for (size_t i = 0; i < rule->src.n && !from; i++)
    from = view_node_matches (view, &rule->src.items[i], src);
  for (size_t i = 0; from && i < rule->dst.n; i++) {
    const Selector *selector = &rule->dst.items[i];
    if (selector->type == SELECT_SELF
            ? dst->n_tags == 0 && src->n_tags == 0 && dst->user && dst->user == src->user
            : view_node_matches (view, selector, dst))
      return true;
  }
  return false;
}

/* Every source of the test may log in as USER on every target, by a rule of the wanted kind. */
static bool
all_log_in (PolicyView *view, const SshTest *test, const char *user, bool only_check)
{
  const PolicyTailnet *tailnet = view->tailnet;
  bool any_pair = false;

  for (size_t s = 0; s < tailnet->n_nodes; s++) {
    for (size_t d = 0; selects (view, &test->src, &tailnet->nodes[s]) && d < tailnet->n_nodes;
         d++) {
      bool wanted = false, found = false;
      for (size_t t = 0; t < test->dst.n; t++)
        wanted |= selects (view, &test->dst.items[t], &tailnet->nodes[d]);
      if (!wanted || s == d)
        continue;
      any_pair = true;
      for (size_t r = 0; r < view->policy->n_ssh && !found; r++) {
        const SshRule *rule = &view->policy->ssh[r];
        found = (rule->check || !only_check) && logs_in_as (rule, user)
                && rule_connects (view, rule, &tailnet->nodes[s], &tailnet->nodes[d]);
      }
      if (!found)
        return false;
    }
  }
  return any_pair;
}

static bool
check_ssh_users (PolicyView *view, const SshTest *test, const char *const *users, size_t n,
                 bool only_check, bool expected, PolicyIssues *issues)
{
  bool ok = true;

  for (size_t i = 0; i < n; i++) {
    if (all_log_in (view, test, users[i], only_check) == expected)
      continue;
    const char *target = arena_printf (view->arena, "%s@%s", users[i],
                                       test->dst.n > 0 ? test->dst.items[0].text : "?");
    fail (issues, test->line, test->path, test->src.text, target, expected, 0);
    ok = false;
  }
  return ok;
}

bool
policy_view_run_tests (PolicyView *view, PolicyIssues *issues)
{
  const Policy *policy = view->policy;
  bool ok = true;

  for (size_t i = 0; i < policy->n_tests; i++) {
    const PolicyTest *test = &policy->tests[i];
    for (size_t t = 0; t < test->n_accept; t++)
      ok &= check_target (view, test, &test->accept[t], true, issues);
    for (size_t t = 0; t < test->n_deny; t++)
      ok &= check_target (view, test, &test->deny[t], false, issues);
  }
  for (size_t i = 0; i < policy->n_ssh_tests; i++) {
    const SshTest *test = &policy->ssh_tests[i];
    ok &= check_ssh_users (view, test, test->accept, test->n_accept, false, true, issues);
    ok &= check_ssh_users (view, test, test->check, test->n_check, true, true, issues);
    ok &= check_ssh_users (view, test, test->deny, test->n_deny, false, false, issues);
  }
  return ok;
}
