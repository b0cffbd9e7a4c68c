#include "path/netcheck.h"

#include "base/clock.h"
#include "base/memory.h"
#include "path/netcheck-plan.h"
#include "path/netcheck-report.h"

#include <stdlib.h>
#include <string.h>

#define ENOUGH_REGIONS 3
#define STRAGGLER_US   (300 * USEC_PER_MSEC) /* for a family that gives no answer at all */
#define NO_RUN         (-1)

typedef struct
{
  StunTxId tx_id;
  IpPort to;
  int64_t sent_us; /* NO_RUN: not sent */
} Try;

typedef struct
{
  ProbeSet plan;
  Try tries[PROBE_TRIES_MAX];
  unsigned next; /* try to send next */
  bool done;     /* answered, or not worth more tries */
  bool waiting;  /* for the name of the next node */
} Set;

/* The addresses of a node that has no literal ones. */
typedef struct
{
  const DerpNode *node;
  uint32_t query;
  bool known;
  IpAddr addr4;
  IpAddr addr6;
} Name;

typedef struct
{
  uint32_t id;
  uint16_t region;
  bool icmp;
  bool open;
} SlowProbe;

struct Netcheck
{
  Random *random;
  DerpMap *map;
  bool running;
  bool full;
  bool no_udp;
  bool slow; /* the stage after STUN, by HTTPS and ICMP */
  int64_t start_us;
  int64_t stun_end_us; /* earlier than the limit once enough is known */
  Set *sets;
  size_t n_sets;
  Name *names;
  size_t n_names;
  size_t room_names;
  SlowProbe *probes;
  size_t n_probes;
  size_t room_probes;
  uint32_t last_id;
  NetcheckAction *actions;
  size_t first_action;
  size_t n_actions;
  size_t room_actions;
  NetcheckReport *report;
};

/* ---- a run ---- */

Netcheck *
netcheck_new (Random *random)
{
  Netcheck *n = mem_new (sizeof *n);

  n->random = random;
  return n;
}

static NetcheckAction *
add_action (Netcheck *n, NetcheckActionType type)
{
  n->actions = mem_grow (n->actions, n->n_actions, &n->room_actions, sizeof *n->actions);
  NetcheckAction *action = &n->actions[n->n_actions++];
  memset (action, 0, sizeof *action);
  action->type = type;
  return action;
}

void
netcheck_cancel (Netcheck *n)
{
  NetcheckAction action;

  while (netcheck_next_action (n, &action))
    if (action.type == NETCHECK_ACTION_REPORT)
      netcheck_report_free (action.report);
  netcheck_report_free (n->report);
  if (n->map)
    derp_map_unref (n->map);
  free (n->sets);
  free (n->names);
  free (n->probes);
  n->report = NULL;
  n->map = NULL;
  n->sets = NULL;
  n->names = NULL;
  n->probes = NULL;
  n->n_sets = n->n_names = n->room_names = n->n_probes = n->room_probes = 0;
  n->running = n->slow = false;
}

void
netcheck_free (Netcheck *n)
{
  if (!n)
    return;
  netcheck_cancel (n);
  free (n->actions);
  free (n);
}

bool
netcheck_running (const Netcheck *n)
{
  return n->running;
}

static void
finish (Netcheck *n, int64_t now_us)
{
  NetcheckReport *report = n->report;

  report->finished_at_us = now_us;
  n->report = NULL;
  n->running = false;
  add_action (n, NETCHECK_ACTION_REPORT)->report = report;
}

/* ---- after STUN gave nothing: HTTPS and ICMP ---- */

static SlowProbe *
add_probe (Netcheck *n, uint16_t region, bool icmp)
{
  n->probes = mem_grow (n->probes, n->n_probes, &n->room_probes, sizeof *n->probes);
  n->probes[n->n_probes] = (SlowProbe){++n->last_id, region, icmp, true};
  return &n->probes[n->n_probes++];
}

static void
start_slow (Netcheck *n, int64_t now_us)
{
  n->slow = true;
  for (size_t i = 0; n->map && i < n->map->n_regions; i++) {
    const DerpRegion *region = &n->map->regions[i];
    const DerpNode *first = NULL;
    for (size_t k = 0; k < region->n_nodes && !first; k++)
      if (!region->nodes[k].stun_only)
        first = &region->nodes[k];
    if (!first || region->avoid || region->no_measure_no_home)
      continue;
    NetcheckAction *action = add_action (n, NETCHECK_ACTION_HTTPS);
    action->https.probe = add_probe (n, region->id, false)->id;
    action->https.region = region->id;
    if (n->no_udp || first->ipv4.family != 4)
      continue;
    action = add_action (n, NETCHECK_ACTION_ICMP);
    action->icmp.probe = add_probe (n, region->id, true)->id;
    action->icmp.destination = first->ipv4;
  }
  if (n->n_probes == 0)
    finish (n, now_us);
}

static bool
all_probes_closed (const Netcheck *n)
{
  for (size_t i = 0; i < n->n_probes; i++)
    if (n->probes[i].open)
      return false;
  return true;
}

static SlowProbe *
close_probe (Netcheck *n, uint32_t id, bool icmp)
{
  for (size_t i = 0; n->running && n->slow && i < n->n_probes; i++)
    if (n->probes[i].id == id && n->probes[i].icmp == icmp && n->probes[i].open) {
      n->probes[i].open = false;
      return &n->probes[i];
    }
  return NULL;
}

void
netcheck_https_latency (Netcheck *n, uint32_t id, int64_t latency_us, bool ipv6, int64_t now_us)
{
  const SlowProbe *probe = close_probe (n, id, false);

  if (!probe)
    return;
  if (latency_us >= 0) {
    netcheck_report_add_latency (n->report, probe->region, 0, latency_us);
    if (ipv6)
      n->report->ipv6 = true;
    else
      n->report->ipv4 = true;
  }
  if (all_probes_closed (n))
    finish (n, now_us);
}

void
netcheck_icmp_latency (Netcheck *n, uint32_t id, int64_t latency_us, int64_t now_us)
{
  const SlowProbe *probe = close_probe (n, id, true);

  if (!probe)
    return;
  if (latency_us >= 0) {
    netcheck_report_add_latency (n->report, probe->region, 0, latency_us);
    n->report->ipv4 = n->report->icmp4 = true;
  }
  if (all_probes_closed (n))
    finish (n, now_us);
}

/* ---- STUN ---- */

static Name *
find_name (const Netcheck *n, const DerpNode *node)
{
  for (size_t i = 0; i < n->n_names; i++)
    if (n->names[i].node == node)
      return &n->names[i];
  return NULL;
}

static void
resolve (Netcheck *n, const DerpNode *node)
{
  n->names = mem_grow (n->names, n->n_names, &n->room_names, sizeof *n->names);
  n->names[n->n_names++] = (Name){.node = node, .query = ++n->last_id};
  NetcheckAction *action = add_action (n, NETCHECK_ACTION_RESOLVE);
  action->resolve.query = n->last_id;
  action->resolve.node = node;
}

typedef enum
{
  ADDRESS_KNOWN,
  ADDRESS_PENDING,
  ADDRESS_NONE,
} AddressResult;

static AddressResult
node_address (Netcheck *n, const DerpNode *node, unsigned family, IpAddr *out)
{
  IpAddr literal;

  if (!probe_node_usable (node, family))
    return ADDRESS_NONE;
  *out = node->stun_test_ip;
  if (out->family == family)
    return ADDRESS_KNOWN;
  *out = family == 4 ? node->ipv4 : node->ipv6;
  if (out->family == 0 && ip_parse (node->host_name, strlen (node->host_name), &literal))
    *out = literal;
  if (out->family != 0)
    return ADDRESS_KNOWN;
  Name *name = find_name (n, node);
  if (!name)
    resolve (n, node);
  if (!name || !name->known)
    return ADDRESS_PENDING;
  *out = family == 4 ? name->addr4 : name->addr6;
  return out->family != 0 ? ADDRESS_KNOWN : ADDRESS_NONE;
}

static void
send_try (Netcheck *n, Set *set, const IpPort *to, int64_t now_us)
{
  Try *try = &set->tries[set->next++];

  random_fill (n->random, &try->tx_id, sizeof try->tx_id);
  try->to = *to;
  try->sent_us = now_us;
  if (to->addr.family == 4)
    n->report->ipv4_can_send = true;
  else
    n->report->ipv6_can_send = true;
  NetcheckAction *action = add_action (n, NETCHECK_ACTION_SEND);
  action->send.destination = try->to;
  stun_encode_request (&try->tx_id, action->send.request);
}

/* A region that was measured is asked again only for what is not known yet: IPv6 at all, or a
 * second IPv4 answer. */
static bool
would_teach (const Netcheck *n, const Set *set)
{
  const NetcheckReport *r = n->report;

  if (!netcheck_report_region (r, n->map->regions[set->plan.region].id))
    return true;
  if (set->plan.family == 6)
    return r->n_mapped6 == 0;
  unsigned answers = 0;
  for (size_t i = 0; i < r->n_mapped4; i++)
    answers += r->mapped4[i].seen;
  return answers < 2;
}

/* The nodes of a region take turns; one whose name is not resolved yet is passed over. */
static AddressResult
address_for_try (Netcheck *n, const DerpRegion *region, unsigned family, unsigned number,
                 IpPort *out)
{
  AddressResult best = ADDRESS_NONE;

  for (size_t i = 0; i < region->n_nodes; i++) {
    const DerpNode *node = &region->nodes[(number + i) % region->n_nodes];
    AddressResult result = node_address (n, node, family, &out->addr);
    out->port = node->stun_port;
    if (result == ADDRESS_KNOWN)
      return result;
    if (result == ADDRESS_PENDING)
      best = result;
  }
  return best;
}

static void
send_due (Netcheck *n, Set *set, int64_t now_us)
{
  IpPort to;

  set->waiting = false;
  while (!set->done && set->next < set->plan.tries
         && now_us >= n->start_us + set->plan.start_us[set->next]) {
    if (!would_teach (n, set)) {
      set->done = true;
      return;
    }
    const DerpRegion *region = &n->map->regions[set->plan.region];
    switch (address_for_try (n, region, set->plan.family, set->next, &to)) {
      case ADDRESS_KNOWN:
        send_try (n, set, &to, now_us);
        break;
      case ADDRESS_PENDING:
        set->waiting = true;
        return;
      case ADDRESS_NONE:
        set->tries[set->next++].sent_us = NO_RUN;
        break;
    }
  }
}

static bool
set_is_over (const Set *set)
{
  if (set->done)
    return true;
  if (set->next < set->plan.tries)
    return false;
  for (unsigned k = 0; k < set->plan.tries; k++)
    if (set->tries[k].sent_us != NO_RUN)
      return false;
  return true; /* nothing of it could be sent */
}

static void
end_stun (Netcheck *n, int64_t now_us)
{
  if (n->report->udp)
    finish (n, now_us);
  else
    start_slow (n, now_us);
}

static void
check_stun (Netcheck *n, int64_t now_us)
{
  bool over = true;

  if (!n->running || n->slow)
    return;
  for (size_t i = 0; i < n->n_sets; i++) {
    send_due (n, &n->sets[i], now_us);
    over &= set_is_over (&n->sets[i]);
  }
  if (over || now_us >= n->stun_end_us)
    end_stun (n, now_us);
}

/* Every region that is asked has answered over some family. */
static bool
all_regions_measured (const Netcheck *n)
{
  for (size_t i = 0; i < n->n_sets; i++)
    if (!netcheck_report_region (n->report, n->map->regions[n->sets[i].plan.region].id))
      return false;
  return true;
}

/* Once enough is known the rest gets as long as the slowest took, not the whole time. */
static void
shorten (Netcheck *n, int64_t now_us)
{
  int64_t slowest = 0;

  for (size_t i = 0; i < n->report->n_regions; i++)
    if (n->report->regions[i].latency_us > slowest)
      slowest = n->report->regions[i].latency_us;
  if (n->full)
    slowest *= 2;
  if (n->report->n_regions >= ENOUGH_REGIONS)
    n->stun_end_us = time_min (n->stun_end_us, now_us + slowest);
  else if (all_regions_measured (n))
    n->stun_end_us = time_min (n->stun_end_us, now_us + slowest + STRAGGLER_US);
}

static void
on_answer (Netcheck *n, Set *set, const Try *try, const IpPort *mapped, int64_t now_us)
{
  int64_t latency = now_us - try->sent_us;

  set->done = true;
  netcheck_report_add_latency (n->report, n->map->regions[set->plan.region].id, set->plan.family,
                               latency > 0 ? latency : 1);
  netcheck_report_add_mapped (n->report, mapped);
  if (mapped->addr.family == 4 && n->report->server4.addr.family == 0)
    n->report->server4 = try->to;
  shorten (n, now_us);
  check_stun (n, now_us);
}

bool
netcheck_stun (Netcheck *n, const void *bytes, size_t size, const IpPort *source, int64_t now_us)
{
  StunTxId tx_id;
  IpPort mapped;

  if (!n->running || n->slow || !stun_parse_response (bytes, size, &tx_id, &mapped))
    return false;
  for (size_t i = 0; i < n->n_sets; i++)
    for (unsigned k = 0; k < n->sets[i].next; k++) {
      Try *try = &n->sets[i].tries[k];
      if (try->sent_us == NO_RUN || memcmp (&try->tx_id, &tx_id, sizeof tx_id) != 0)
        continue;
      if (!ip_port_equal (&try->to, source))
        return false;
      Try answered = *try;
      try->sent_us = NO_RUN; /* one answer each */
      on_answer (n, &n->sets[i], &answered, &mapped, now_us);
      return true;
    }
  return false;
}

void
netcheck_send_failed (Netcheck *n, const IpPort *destination, int64_t now_us)
{
  bool sent4 = false, sent6 = false;

  if (!n->running)
    return;
  for (size_t i = 0; i < n->n_sets; i++)
    for (unsigned k = 0; k < n->sets[i].next; k++) {
      Try *try = &n->sets[i].tries[k];
      if (ip_port_equal (&try->to, destination))
        try->sent_us = NO_RUN;
      sent4 |= try->sent_us != NO_RUN && try->to.addr.family == 4;
      sent6 |= try->sent_us != NO_RUN && try->to.addr.family == 6;
    }
  n->report->ipv4_can_send = sent4 || n->report->n_mapped4 > 0;
  n->report->ipv6_can_send = sent6 || n->report->n_mapped6 > 0;
  check_stun (n, now_us);
}

void
netcheck_resolved (Netcheck *n, uint32_t query, const IpAddr *addresses, size_t n_addresses,
                   int64_t now_us)
{
  for (size_t i = 0; n->running && i < n->n_names; i++) {
    Name *name = &n->names[i];
    if (name->query != query)
      continue;
    name->known = true;
    for (size_t k = n_addresses; k-- > 0;)
      *(addresses[k].family == 4 ? &name->addr4 : &name->addr6) = addresses[k];
  }
  check_stun (n, now_us);
}

void
netcheck_start (Netcheck *n, const NetcheckRequest *request, int64_t now_us)
{
  ProbePlan plan;

  netcheck_cancel (n);
  n->map = request->map ? derp_map_ref (request->map) : NULL;
  n->full = request->full || !request->last;
  n->no_udp = request->no_udp;
  n->start_us = now_us;
  n->stun_end_us = now_us + NETCHECK_STUN_US;
  n->running = true;
  n->report = mem_new (sizeof *n->report);
  n->report->full = n->full;
  n->report->os_has_ipv6 = request->os_has_ipv6;
  probe_plan_make (&plan, request);
  n->n_sets = plan.count;
  n->sets = mem_new (plan.count * sizeof *n->sets);
  for (size_t i = 0; i < plan.count; i++)
    n->sets[i].plan = plan.sets[i];
  probe_plan_free (&plan);
  check_stun (n, now_us);
}

void
netcheck_tick (Netcheck *n, int64_t now_us)
{
  if (!n->running)
    return;
  if (now_us >= n->start_us + NETCHECK_TOTAL_US)
    finish (n, now_us);
  else
    check_stun (n, now_us);
}

bool
netcheck_next_action (Netcheck *n, NetcheckAction *action)
{
  if (n->first_action == n->n_actions) {
    n->first_action = n->n_actions = 0;
    return false;
  }
  *action = n->actions[n->first_action++];
  return true;
}

int64_t
netcheck_next_deadline (const Netcheck *n)
{
  if (!n->running)
    return TIME_NEVER;
  int64_t deadline = n->start_us + NETCHECK_TOTAL_US;
  if (n->slow)
    return deadline;
  deadline = time_min (deadline, n->stun_end_us);
  for (size_t i = 0; i < n->n_sets; i++) {
    const Set *set = &n->sets[i];
    if (!set->done && !set->waiting && set->next < set->plan.tries)
      deadline = time_min (deadline, n->start_us + set->plan.start_us[set->next]);
  }
  return deadline;
}
