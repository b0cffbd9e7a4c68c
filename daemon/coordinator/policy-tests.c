/* Runs the tests inside a policy against the nodes there are (spec/netmap-and-policy.md D.10). */

#include "coordinator/policy-view-private.h"

#include <string.h>

static void
fail (PolicyIssues *issues, const PolicyText *at, const char *src, const char *target,
      bool expected, unsigned by_line)
{
  PolicyIssue issue = {.line = at->line, .column = at->column};

  if (issues->n >= POLICY_ISSUES_MAX)
    return;
  issue.path = arena_strdup (issues->arena, at->path);
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

/* Adds to SOURCES everybody whom RULES let reach DST on PORT; *LAST is the last rule that does. */
static void
add_callers (const PolicyRules *rules, const IpAddr *dst, const PolicyTest *test, uint16_t port,
             IpSetBuilder *sources, const PolicyRule **last)
{
  for (size_t i = 0; i < rules->n; i++) {
    const PolicyRule *rule = &rules->rules[i];
    for (size_t d = 0; protocol_matches (rule, test->protocol) && d < rule->n_dsts; d++) {
      const PolicyDst *target = &rule->dsts[d];
      IpSet set = {&target->range, 1};
      if (port < target->ports.first || port > target->ports.last
          || (!target->any && !ip_set_contains (&set, dst)))
        continue;
      ip_set_add_set (sources, &rule->sources);
      *last = rule;
      break;
    }
  }
}

/* The rules under which packets to ADDR are judged: those of its owner, or of the routers of a
 * route that holds it, or, for addresses that nobody has, those of all and of every router. */
static void
add_callers_of (PolicyView *view, const IpAddr *addr, const PolicyTest *test, uint16_t port,
                IpSetBuilder *sources, const PolicyRule **last)
{
  bool found = false;

  for (int routed = 0; routed < 2 && !found; routed++) {
    for (size_t i = 0; i < view->tailnet->n_nodes; i++) {
      const NodeRoutes *routes = &view->routes[i];
      if (!ip_set_contains (routed ? &routes->subnet_set : &routes->addresses, addr))
        continue;
      add_callers (policy_view_rules (view, i), addr, test, port, sources, last);
      found = true;
    }
  }
  if (found)
    return;
  add_callers (&view_plain_rules (view)->rules, addr, test, port, sources, last);
  for (size_t i = 0; i < view->n_routers; i++)
    add_callers (policy_view_rules (view, view->routers[i]), addr, test, port, sources, last);
}

/* Whether every address of the test's source reaches an address of the target. */
static bool
check_target (PolicyView *view, const PolicyTest *test, const TestTarget *target, bool expected,
              PolicyIssues *issues)
{
  IpSetBuilder src = ip_set_builder (view->arena), dst = ip_set_builder (view->arena);
  IpSetBuilder callers = ip_set_builder (view->arena);
  const PolicyRule *last = NULL;

  view_add_selector (view, &test->src, &src);
  view_add_selector (view, &target->host, &dst);
  /* Identities are single addresses, and so are the hosts of tests. */
  for (size_t i = 0; i < dst.n; i++)
    add_callers_of (view, &dst.ranges[i].first, test, target->port, &callers, &last);
  IpSet wanted = ip_set_build (&src), reaching = ip_set_build (&callers);
  bool all = wanted.n > 0 && ip_set_contains_set (&reaching, &wanted);
  if (all == expected)
    return true;
  fail (issues, &target->written, test->src.text, target->written.text, expected,
        last ? last->line : 0);
  return false;
}

/* ---- SSH ---- */

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
      if (!wanted)
        continue;
      any_pair = true;
      for (size_t r = 0; r < view->policy->n_ssh && !found; r++) {
        const SshRule *rule = &view->policy->ssh[r];
        found = (rule->check || !only_check)
                && view_ssh_admits (view, rule, &tailnet->nodes[s], &tailnet->nodes[d], user);
      }
      if (!found)
        return false;
    }
  }
  return any_pair;
}

static bool
check_ssh_users (PolicyView *view, const SshTest *test, const PolicyText *users, size_t n,
                 bool only_check, bool expected, PolicyIssues *issues)
{
  bool ok = true;

  for (size_t i = 0; i < n; i++) {
    if (all_log_in (view, test, users[i].text, only_check) == expected)
      continue;
    const char *target = arena_printf (view->arena, "%s@%s", users[i].text,
                                       test->dst.n > 0 ? test->dst.items[0].text : "?");
    fail (issues, &users[i], test->src.text, target, expected, 0);
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
