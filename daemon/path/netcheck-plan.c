#include "path/netcheck-plan.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define FULL_TRIES          3
#define FULL_STEP_US        (100 * USEC_PER_MSEC)
#define UNKNOWN_LATENCY_US  (200 * USEC_PER_MSEC)
#define LATE_STEP_US        (50 * USEC_PER_MSEC)
#define INCREMENTAL_REGIONS 3
#define FASTEST_REGIONS     2
#define HOME_TRIES          4

void
probe_plan_free (ProbePlan *plan)
{
  free (plan->sets);
  *plan = (ProbePlan){0};
}

bool
probe_node_usable (const DerpNode *node, unsigned family)
{
  IpAddr literal;

  if (node->stun_port == 0)
    return false;
  if (node->stun_test_ip.family != 0)
    return node->stun_test_ip.family == family;
  if (family == 4 ? node->no_ipv4 : node->no_ipv6)
    return false;
  if ((family == 4 ? node->ipv4 : node->ipv6).family != 0)
    return true;
  if (ip_parse (node->host_name, strlen (node->host_name), &literal))
    return literal.family == family;
  return true;
}

static bool
is_test_node (const DerpNode *node, unsigned family)
{
  return node->stun_test_ip.family == family || (family == 4 && ip_is_loopback (&node->ipv4));
}

/* Some node of the region can be asked over FAMILY; where the host lacks it, only test nodes. */
static bool
region_usable (const DerpRegion *region, unsigned family, bool host_has)
{
  for (size_t i = 0; i < region->n_nodes; i++)
    if (probe_node_usable (&region->nodes[i], family)
        && (host_has || is_test_node (&region->nodes[i], family)))
      return true;
  return false;
}

static ProbeSet *
add_set (ProbePlan *plan, size_t region, unsigned family, unsigned tries)
{
  plan->sets = mem_grow (plan->sets, plan->count, &plan->room, sizeof *plan->sets);
  ProbeSet *set = &plan->sets[plan->count++];
  *set = (ProbeSet){.region = (uint16_t)region, .family = (uint8_t)family, .tries = (uint8_t)tries};
  return set;
}

static void
plan_full (ProbePlan *plan, const NetcheckRequest *q)
{
  for (size_t i = 0; i < q->map->n_regions; i++) {
    const DerpRegion *region = &q->map->regions[i];
    if (region->no_measure_no_home)
      continue;
    for (unsigned family = 4; family <= 6; family += 2) {
      if (!region_usable (region, family, family == 4 ? q->have4 : q->have6))
        continue;
      ProbeSet *set = add_set (plan, i, family, FULL_TRIES);
      for (unsigned k = 0; k < FULL_TRIES; k++)
        set->start_us[k] = k * FULL_STEP_US;
    }
  }
}

/* ---- incremental ---- */

typedef struct
{
  size_t region;
  int64_t latency_us; /* of the last report, TIME_NEVER: not measured */
} Ranked;

static int
compare_ranked (const void *a, const void *b)
{
  const Ranked *x = a, *y = b;

  if (x->latency_us != y->latency_us)
    return x->latency_us < y->latency_us ? -1 : 1;
  return x->region < y->region ? -1 : x->region > y->region;
}

static size_t
rank_regions (const NetcheckRequest *q, Ranked *ranked)
{
  size_t n = 0;

  for (size_t i = 0; i < q->map->n_regions; i++) {
    const DerpRegion *region = &q->map->regions[i];
    if (region->no_measure_no_home || (region->avoid && region->id != q->home_region))
      continue;
    const RegionLatency *last = netcheck_report_region (q->last, region->id);
    ranked[n++] = (Ranked){i, last && last->latency_us >= 0 ? last->latency_us : TIME_NEVER};
  }
  qsort (ranked, n, sizeof *ranked, compare_ranked);
  return n;
}

typedef struct
{
  unsigned tries4;
  unsigned tries6;
} Tries;

/* INDEX is the place in the order by latency. */
static Tries
tries_for (const NetcheckRequest *q, size_t index, bool home)
{
  bool worked4 = q->last->ipv4, worked6 = q->last->ipv6;
  Tries t;

  if (home) {
    t = (Tries){HOME_TRIES, worked6 ? HOME_TRIES : 1};
  } else if (index < FASTEST_REGIONS) {
    t = (Tries){2, worked6 ? 2 : 1};
  } else if (worked4 && worked6) {
    t = index % 2 == 0 ? (Tries){1, 0} : (Tries){0, 1};
  } else {
    t = (Tries){1, worked6 ? 1 : 0};
  }
  return t;
}

static void
plan_region (ProbePlan *plan, const NetcheckRequest *q, const Ranked *ranked, Tries tries)
{
  const DerpRegion *region = &q->map->regions[ranked->region];
  int64_t step = ranked->latency_us == TIME_NEVER ? UNKNOWN_LATENCY_US : ranked->latency_us * 6 / 5;

  for (unsigned family = 4; family <= 6; family += 2) {
    unsigned n = family == 4 ? tries.tries4 : tries.tries6;
    if (n == 0 || !region_usable (region, family, family == 4 ? q->have4 : q->have6))
      continue;
    ProbeSet *set = add_set (plan, ranked->region, family, n);
    for (unsigned k = 0; k < n; k++)
      set->start_us[k] = k * step + (k > 1 ? k * LATE_STEP_US : 0);
  }
}

static void
plan_incremental (ProbePlan *plan, const NetcheckRequest *q)
{
  Ranked *ranked = mem_new (q->map->n_regions * sizeof *ranked);
  size_t n = rank_regions (q, ranked);

  for (size_t i = 0; i < n; i++) {
    bool home = q->map->regions[ranked[i].region].id == q->home_region;
    if (home || i < INCREMENTAL_REGIONS)
      plan_region (plan, q, &ranked[i], tries_for (q, i, home));
  }
  free (ranked);
}

void
probe_plan_make (ProbePlan *plan, const NetcheckRequest *request)
{
  *plan = (ProbePlan){0};
  if (request->no_udp || !request->map)
    return;
  if (request->full || !request->last)
    plan_full (plan, request);
  else
    plan_incremental (plan, request);
}
