/* Who sees whom, of all nodes at once (spec/netmap-and-policy.md D.7). A rule is a set of sources
 * and a set of destinations; as bit sets they make ten thousand rows in milliseconds, where asking
 * pair by pair takes a hundred million questions. */

#include "coordinator/policy-view-private.h"

#include <stdlib.h>
#include <string.h>

typedef struct
{
  IpAddr address;
  uint32_t number;
} Owner;

typedef struct
{
  PolicyView *view;
  const uint32_t *numbers;
  size_t words;
  Owner *owners; /* of all addresses, sorted */
  size_t n_owners;
  uint64_t *sources, *destinations; /* of the rule at hand */
} Reach;

static void
set_bit (uint64_t *bits, uint32_t i)
{
  bits[i / 64] |= UINT64_C (1) << i % 64;
}

static bool
has_bit (const uint64_t *bits, uint32_t i)
{
  return bits[i / 64] >> i % 64 & 1;
}

static int
compare_owners (const void *a, const void *b)
{
  return ip_compare (&((const Owner *)a)->address, &((const Owner *)b)->address);
}

static void
init (Reach *reach, PolicyView *view, const uint32_t *numbers, size_t words)
{
  size_t n_nodes = view->tailnet->n_nodes;

  *reach = (Reach){.view = view, .numbers = numbers, .words = words};
  reach->owners = arena_alloc (view->arena, (2 * n_nodes + 1) * sizeof *reach->owners);
  for (size_t i = 0; i < n_nodes; i++)
    for (int a = 0; a < 2; a++)
      if (view->tailnet->nodes[i].addresses[a].family != 0)
        reach->owners[reach->n_owners++]
            = (Owner){view->tailnet->nodes[i].addresses[a], numbers[i]};
  qsort (reach->owners, reach->n_owners, sizeof *reach->owners, compare_owners);
  reach->sources = arena_alloc (view->arena, words * sizeof (uint64_t));
  reach->destinations = arena_alloc (view->arena, words * sizeof (uint64_t));
}

static void
add_range (const Reach *reach, const IpRange *range, uint64_t *bits)
{
  size_t low = 0, high = reach->n_owners;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (ip_compare (&reach->owners[middle].address, &range->first) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  for (; low < reach->n_owners && ip_compare (&reach->owners[low].address, &range->last) <= 0;
       low++)
    set_bit (bits, reach->owners[low].number);
}

/* Who is a source of RULE, and who a destination. */
static void
look_at (Reach *reach, const PolicyRule *rule)
{
  const PolicyView *view = reach->view;

  memset (reach->sources, 0, reach->words * sizeof (uint64_t));
  memset (reach->destinations, 0, reach->words * sizeof (uint64_t));
  for (size_t i = 0; i < rule->sources.n; i++)
    add_range (reach, &rule->sources.ranges[i], reach->sources);
  for (size_t i = 0; i < rule->destinations.n; i++)
    add_range (reach, &rule->destinations.ranges[i], reach->destinations);
  for (size_t i = 0; i < view->n_routers; i++) {
    size_t router = view->routers[i];
    if (view_is_source (&view->routes[router], rule))
      set_bit (reach->sources, reach->numbers[router]);
    if (view_is_destination (view, &view->routes[router], rule))
      set_bit (reach->destinations, reach->numbers[router]);
  }
}

static void
join_bits (uint64_t *row, const uint64_t *bits, size_t words)
{
  for (size_t i = 0; i < words; i++)
    row[i] |= bits[i];
}

/* A rule that all nodes have. */
static void
apply_to_all (const Reach *reach, uint64_t *rows)
{
  for (size_t i = 0; i < reach->view->tailnet->n_nodes; i++) {
    uint32_t number = reach->numbers[i];
    uint64_t *row = rows + number * reach->words;
    if (has_bit (reach->sources, number))
      join_bits (row, reach->destinations, reach->words);
    if (has_bit (reach->destinations, number))
      join_bits (row, reach->sources, reach->words);
  }
}

/* NUMBER sees all of BITS, and they see it. */
static void
join_both_ways (const Reach *reach, uint64_t *rows, uint32_t number, const uint64_t *bits)
{
  join_bits (rows + number * reach->words, bits, reach->words);
  for (size_t w = 0; w < reach->words; w++)
    for (uint64_t left = bits[w]; left; left &= left - 1)
      set_bit (rows + (w * 64 + (size_t)__builtin_ctzll (left)) * reach->words, number);
}

/* A rule that only the nodes with SET have. */
static void
apply_to_set (const Reach *reach, const RuleSet *set, uint64_t *rows)
{
  for (size_t i = 0; i < reach->view->tailnet->n_nodes; i++) {
    uint32_t number = reach->numbers[i];
    if (reach->view->rules[i] != set)
      continue;
    if (has_bit (reach->sources, number))
      join_both_ways (reach, rows, number, reach->destinations);
    if (has_bit (reach->destinations, number))
      join_both_ways (reach, rows, number, reach->sources);
  }
}

/* True when every node has RULE as well. */
static bool
is_plain (const RuleSet *plain, const PolicyRule *rule)
{
  for (size_t i = 0; i < plain->rules.n; i++) {
    const PolicyRule *other = &plain->rules.rules[i];
    if (other->src_key == rule->src_key && other->protocol == rule->protocol
        && other->n_dsts == rule->n_dsts && other->grants == rule->grants)
      return true;
  }
  return false;
}

static int
compare_sets (const void *a, const void *b)
{
  uintptr_t x = (uintptr_t) * (RuleSet *const *)a, y = (uintptr_t) * (RuleSet *const *)b;

  return x < y ? -1 : x > y;
}

/* Every rule set but the plain one, each once. */
static RuleSet **
other_sets (PolicyView *view, const RuleSet *plain, size_t *n)
{
  size_t n_nodes = view->tailnet->n_nodes;
  RuleSet **sets = arena_alloc (view->arena, (n_nodes + 1) * sizeof *sets);
  size_t n_all = 0;

  for (size_t i = 0; i < n_nodes; i++)
    if (view_rule_set (view, i) != plain)
      sets[n_all++] = view->rules[i];
  if (n_all > 1)
    qsort (sets, n_all, sizeof (RuleSet *), compare_sets);
  *n = 0;
  for (size_t i = 0; i < n_all; i++)
    if (*n == 0 || sets[*n - 1] != sets[i])
      sets[(*n)++] = sets[i];
  return sets;
}

/* Routers that nodes know without a rule. */
static void
apply_known_routers (Reach *reach, uint64_t *rows)
{
  PolicyView *view = reach->view;

  for (size_t g = 0; g < view->policy->n_grants; g++)
    for (size_t i = 0; i < view->n_routers; i++) {
      if (!view_is_known_router (view, &view->policy->grants[g], view->routers[i]))
        continue;
      memset (reach->sources, 0, reach->words * sizeof (uint64_t));
      for (size_t r = 0; r < view->sources[g].set.n; r++)
        add_range (reach, &view->sources[g].set.ranges[r], reach->sources);
      join_both_ways (reach, rows, reach->numbers[view->routers[i]], reach->sources);
    }
}

void
policy_view_reach (PolicyView *view, const uint32_t *numbers, size_t words, uint64_t *rows)
{
  const RuleSet *plain = view_plain_rules (view);
  size_t n;
  RuleSet **sets = other_sets (view, plain, &n);
  Reach reach;

  init (&reach, view, numbers, words);
  for (size_t i = 0; i < plain->rules.n; i++) {
    look_at (&reach, &plain->rules.rules[i]);
    apply_to_all (&reach, rows);
  }
  for (size_t s = 0; s < n; s++)
    for (size_t i = 0; i < sets[s]->rules.n; i++) {
      if (is_plain (plain, &sets[s]->rules.rules[i]))
        continue;
      look_at (&reach, &sets[s]->rules.rules[i]);
      apply_to_set (&reach, sets[s], rows);
    }
  apply_known_routers (&reach, rows);
  for (size_t i = 0; i < view->tailnet->n_nodes; i++)
    rows[numbers[i] * words + numbers[i] / 64] &= ~(UINT64_C (1) << numbers[i] % 64);
}

bool
policy_view_is_open (PolicyView *view)
{
  const RuleSet *plain = view_plain_rules (view);
  IpSetBuilder b = ip_set_builder (view->arena);

  for (size_t i = 0; i < view->tailnet->n_nodes; i++)
    ip_set_add_set (&b, &view->routes[i].addresses);
  IpSet all = ip_set_build (&b);
  for (size_t i = 0; i < plain->rules.n; i++)
    if (ip_set_contains_set (&plain->rules.rules[i].sources, &all)
        && ip_set_contains_set (&plain->rules.rules[i].destinations, &all))
      return true;
  return false;
}
