#include "path/discovery.h"

#include "base/memory.h"
#include "path/home.h"
#include "path/internal.h"

#include <stdlib.h>
#include <string.h>

#define FOUND_MAX    32 /* endpoints of one run */
#define COMMANDS_MAX 8  /* `warren netcheck` at the same time */

struct Discovery
{
  Netcheck *netcheck;
  EndpointTracker *tracker;
  HomeHistory history;
  NetcheckReport *last;
  uint64_t chance;
  int64_t started_us; /* of the run under way */
  int64_t last_full_us;
  int64_t updated_us; /* when the endpoints were last looked at */
  int64_t next_us;    /* next run by the clock */
  int64_t loss_us;    /* last run because of a lost path */
  bool stale;         /* something happened since: look before telling */
  bool pending;       /* another run follows this one */
  bool pending_full;
  bool published;      /* control was told once */
  bool tell_endpoints; /* control has to be told again in any case */
  bool tell_net_info;
  NetcheckReport *told; /* what the last NetInfo was made from */
  uint16_t told_home;
  uint32_t commands[COMMANDS_MAX];
  size_t n_commands;
};

Discovery *
discovery_new (Random *random)
{
  Discovery *d = mem_new (sizeof *d);

  d->netcheck = netcheck_new (random);
  d->tracker = endpoint_tracker_new ();
  d->chance = random_u64 (random);
  d->last_full_us = d->updated_us = d->loss_us = LONG_AGO;
  d->next_us = TIME_NEVER;
  return d;
}

void
discovery_free (Discovery *d)
{
  if (!d)
    return;
  netcheck_free (d->netcheck);
  endpoint_tracker_free (d->tracker);
  home_history_clear (&d->history);
  netcheck_report_free (d->last);
  netcheck_report_free (d->told);
  free (d);
}

const Endpoint *
discovery_endpoints (const Path *path, size_t *count)
{
  return endpoint_tracker_list (path->discovery->tracker, count);
}

const NetcheckReport *
discovery_report (const Path *path)
{
  return path->discovery->last;
}

/* ---- when to look ---- */

static bool
can_look (const Path *path)
{
  return path->disco_private && path->map && (!path->has_link || path->link.up)
         && (path->port4 != 0 || path->port6 != 0);
}

/* While the tunnel is used; and while home is down, for without one nobody reaches us. */
static bool
looks_by_the_clock (const Path *path)
{
  return can_look (path) && !path->knobs.homeless && path->peers.count > 0
         && (path->knobs.debug_always_stun || !relays_home_is_up (path->relays)
             || path->now_us - path->last_activity_us <= DISCOVERY_ACTIVE_US);
}

static void
schedule (Path *path)
{
  Discovery *d = path->discovery;

  if (looks_by_the_clock (path))
    d->next_us
        = path->now_us + random_between (path->random, DISCOVERY_PERIOD_MIN, DISCOVERY_PERIOD_MAX);
}

static bool
is_usable4 (const PathAddress *a)
{
  const IpAddr *addr = &a->prefix.addr;

  return addr->family == 4 && !ip_is_loopback (addr) && !ip_is_link_local (addr);
}

static bool
is_usable6 (const PathAddress *a)
{
  const IpAddr *addr = &a->prefix.addr;

  if (addr->family != 6 || ip_is_tailnet (addr))
    return false;
  return (addr->bytes[0] & 0xe0) == 0x20 || (addr->bytes[0] & 0xfe) == 0xfc;
}

static bool
has_family (const Path *path, bool (*usable) (const PathAddress *))
{
  for (size_t i = 0; i < path->link.n_addresses; i++)
    if (usable (&path->link.addresses[i]))
      return true;
  return !path->has_link;
}

static void
run (Path *path, bool full)
{
  Discovery *d = path->discovery;
  bool first = !d->last || path->now_us - d->last_full_us > DISCOVERY_FULL_US;
  NetcheckRequest request = {
      .map = path->map,
      .last = d->last,
      .home_region = relays_home (path->relays),
      .full = full || first,
      .have4 = path->port4 != 0 && has_family (path, is_usable4),
      .have6 = path->port6 != 0 && has_family (path, is_usable6),
      .os_has_ipv6 = path->port6 != 0,
      .no_udp = path->knobs.only_tcp_443,
  };

  if (request.full)
    d->last_full_us = path->now_us;
  d->started_us = path->now_us;
  d->next_us = TIME_NEVER;
  d->stale = false;
  netcheck_start (d->netcheck, &request, path->now_us);
  portmap_look (path);
}

void
discovery_request (Path *path, bool full)
{
  Discovery *d = path->discovery;

  if (!can_look (path))
    return;
  if (netcheck_running (d->netcheck)) {
    d->pending = true;
    d->pending_full |= full;
    return;
  }
  run (path, full);
}

void
discovery_command (Path *path, uint32_t id)
{
  Discovery *d = path->discovery;

  if (d->n_commands < COMMANDS_MAX)
    d->commands[d->n_commands++] = id;
  discovery_request (path, true);
}

void
discovery_path_lost (Path *path)
{
  Discovery *d = path->discovery;

  if (path->now_us - d->loss_us < DISCOVERY_LOSS_GAP_US)
    return;
  d->loss_us = path->now_us;
  d->stale = true;
  discovery_request (path, false);
}

bool
discovery_fresh (Path *path)
{
  Discovery *d = path->discovery;

  if (!d->stale && path->now_us - d->updated_us <= DISCOVERY_FRESH_US)
    return true;
  if (!netcheck_running (d->netcheck))
    discovery_request (path, false);
  return !can_look (path);
}

void
discovery_active (Path *path)
{
  Discovery *d = path->discovery;

  if (d->next_us != TIME_NEVER || netcheck_running (d->netcheck) || !looks_by_the_clock (path))
    return;
  if (path->now_us - d->updated_us > DISCOVERY_FRESH_US)
    discovery_request (path, false);
  else
    schedule (path);
}

void
discovery_reset (Path *path)
{
  endpoint_tracker_reset (path->discovery->tracker);
}

void
discovery_tell_again (Path *path)
{
  path->discovery->tell_endpoints = path->discovery->tell_net_info = true;
}

/* ---- what a run found ---- */

static void
add_found (Endpoint *found, size_t *count, const IpPort *at, EndpointType type)
{
  if (*count < FOUND_MAX && at->addr.family != 0)
    found[(*count)++] = (Endpoint){*at, type};
}

/* Singly seen extra answers are left out: behind a hard NAT each server sees another port, and none
 * of them is of use to anybody else. */
static size_t
collect_found (const Path *path, const NetcheckReport *r, Endpoint *found)
{
  const IpPort *mapping = portmap_mapping (path);
  size_t n = 0;

  if (mapping)
    add_found (found, &n, mapping, ENDPOINT_PORTMAPPED);
  add_found (found, &n, &r->global4, ENDPOINT_STUN);
  for (size_t i = 0; i < r->n_mapped4; i++)
    if (r->mapped4[i].seen > 1)
      add_found (found, &n, &r->mapped4[i].at, ENDPOINT_STUN);
  add_found (found, &n, &r->global6, ENDPOINT_STUN);
  for (size_t i = 0; i < r->n_mapped6; i++)
    if (r->mapped6[i].seen > 1)
      add_found (found, &n, &r->mapped6[i].at, ENDPOINT_STUN);
  if (r->mapping_varies == TRISTATE_TRUE && path->knobs.fixed_port != 0
      && r->global4.addr.family == 4) {
    IpPort guess = {r->global4.addr, path->knobs.fixed_port};
    add_found (found, &n, &guess, ENDPOINT_STUN4_LOCAL_PORT);
  }
  return n;
}

static void
tell_endpoints (Path *path, bool changed)
{
  Discovery *d = path->discovery;
  size_t count;
  const Endpoint *list = endpoint_tracker_list (d->tracker, &count);

  if (!changed && !d->tell_endpoints && d->published)
    return;
  d->published = true;
  d->tell_endpoints = false;
  PathAction *action = actions_add (&path->actions, PATH_ACTION_ENDPOINTS);
  action->endpoints.list = mem_dup (list, count * sizeof *list);
  action->endpoints.count = count;
}

static void
update_endpoints (Path *path, const NetcheckReport *report)
{
  Discovery *d = path->discovery;
  Endpoint found[FOUND_MAX];
  EndpointSources sources = {.fixed = path->knobs.fixed_endpoints,
                             .n_fixed = path->knobs.n_fixed_endpoints,
                             .link = &path->link,
                             .port4 = path->port4,
                             .port6 = path->port6,
                             .found = found};

  if (path->knobs.only_tcp_443)
    sources = (EndpointSources){.found = found};
  else
    sources.n_found = collect_found (path, report, found);
  tell_endpoints (path, endpoint_tracker_update (d->tracker, &sources, path->now_us));
  d->updated_us = path->now_us;
}

static void
update_home (Path *path, const NetcheckReport *report)
{
  Discovery *d = path->discovery;
  uint16_t home = relays_home (path->relays);

  home_history_add (&d->history, report);
  HomeQuestion question = {.map = path->map,
                           .report = report,
                           .home = home,
                           .heard_us = relays_last_frame_us (path->relays, home),
                           .started_us = d->started_us,
                           .control_connected = path->control_connected,
                           .chance = d->chance};
  home = path->knobs.homeless ? 0 : home_choose (&d->history, &question, path->now_us);
  relays_set_ipv6 (path->relays, report->ipv6);
  relays_set_home (path->relays, home, path->now_us);
}

/* Equal in everything that control and peers decide by. */
static bool
same_net_info (const NetcheckReport *a, const NetcheckReport *b)
{
  return a->mapping_varies == b->mapping_varies && a->ipv6 == b->ipv6 && a->udp == b->udp
         && a->os_has_ipv6 == b->os_has_ipv6 && a->icmp4 == b->icmp4 && a->pmp == b->pmp
         && a->pcp == b->pcp && a->port_mapped == b->port_mapped;
}

static void
tell_net_info (Path *path, const NetcheckReport *report)
{
  Discovery *d = path->discovery;
  uint16_t home = relays_home (path->relays);

  if (d->told && !d->tell_net_info && home == d->told_home && same_net_info (d->told, report))
    return;
  d->tell_net_info = false;
  netcheck_report_free (d->told);
  d->told = netcheck_report_copy (report);
  d->told_home = home;
  PathAction *action = actions_add (&path->actions, PATH_ACTION_NET_INFO);
  action->net_info.report = netcheck_report_copy (report);
  action->net_info.home_region = home;
}

static void
answer_commands (Path *path, const NetcheckReport *report)
{
  Discovery *d = path->discovery;

  for (size_t i = 0; i < d->n_commands; i++) {
    PathAction *action = actions_add (&path->actions, PATH_ACTION_NETCHECK_RESULT);
    action->netcheck_result.id = d->commands[i];
    action->netcheck_result.report = netcheck_report_copy (report);
  }
  d->n_commands = 0;
}

/* The NAT gave us another address: what peers know of us, and their holes for us, are void. */
static bool
address_moved (const NetcheckReport *before, const NetcheckReport *now)
{
  return before && before->global4.addr.family == 4 && now->global4.addr.family == 4
         && now->mapping_varies != TRISTATE_TRUE && before->mapping_varies != TRISTATE_TRUE
         && !ip_port_equal (&before->global4, &now->global4);
}

static void
finish (Path *path, NetcheckReport *report)
{
  Discovery *d = path->discovery;
  bool moved = address_moved (d->last, report);

  portmap_report (path, report);
  update_endpoints (path, report);
  update_home (path, report);
  tell_net_info (path, report);
  if (report->full)
    answer_commands (path, report);
  netcheck_report_free (d->last);
  d->last = report;
  for (PeerPath *p = path->paths; p; p = p->next) {
    if (moved)
      peer_path_reset (path, p, true);
    peer_path_endpoints_ready (path, p);
  }
  schedule (path);
  if (d->pending) {
    bool full = d->pending_full;
    d->pending = d->pending_full = false;
    run (path, full);
  }
}

void
discovery_mapping_changed (Path *path)
{
  Discovery *d = path->discovery;

  if (!d->last || !path->disco_private)
    return;
  portmap_report (path, d->last);
  update_endpoints (path, d->last);
  tell_net_info (path, d->last);
  for (PeerPath *p = path->paths; p; p = p->next)
    peer_path_endpoints_changed (path, p);
}

/* ---- netcheck's actions ---- */

static void
ask_https (Path *path, uint32_t probe, uint16_t id)
{
  const DerpRegion *region = path->map ? derp_map_region (path->map, id) : NULL;
  const DerpNode *node = region ? relay_node_first (region) : NULL;

  if (!node) {
    netcheck_https_latency (path->discovery->netcheck, probe, NETCHECK_NO_LATENCY, false,
                            path->now_us);
    return;
  }
  PathAction *action = actions_add (&path->actions, PATH_ACTION_HTTPS_PROBE);
  action->https_probe.probe = probe;
  relay_node_describe (region, node, &action->https_probe.node);
}

static void
send_stun (Path *path, const NetcheckAction *from)
{
  PathAction *action = actions_add (&path->actions, PATH_ACTION_SEND_UDP);

  action->send_udp.destination = from->send.destination;
  action->send_udp.data = mem_dup (from->send.request, STUN_REQUEST_SIZE);
  action->send_udp.size = STUN_REQUEST_SIZE;
}

static void
pass_on (Path *path)
{
  NetcheckAction action;

  while (netcheck_next_action (path->discovery->netcheck, &action)) {
    PathAction *out;
    switch (action.type) {
      case NETCHECK_ACTION_SEND:
        send_stun (path, &action);
        break;
      case NETCHECK_ACTION_RESOLVE:
        out = actions_add (&path->actions, PATH_ACTION_RESOLVE);
        out->resolve.query = action.resolve.query;
        out->resolve.host
            = mem_strndup (action.resolve.node->host_name, strlen (action.resolve.node->host_name));
        break;
      case NETCHECK_ACTION_HTTPS:
        ask_https (path, action.https.probe, action.https.region);
        break;
      case NETCHECK_ACTION_ICMP:
        out = actions_add (&path->actions, PATH_ACTION_ICMP_PING);
        out->icmp_ping.probe = action.icmp.probe;
        out->icmp_ping.destination = action.icmp.destination;
        break;
      case NETCHECK_ACTION_REPORT:
        finish (path, action.report);
        break;
    }
  }
}

void
discovery_stun (Path *path, const void *bytes, size_t size, const IpPort *source)
{
  netcheck_stun (path->discovery->netcheck, bytes, size, source, path->now_us);
}

void
discovery_resolved (Path *path, uint32_t query, const IpAddr *addresses, size_t count)
{
  netcheck_resolved (path->discovery->netcheck, query, addresses, count, path->now_us);
}

void
discovery_https_latency (Path *path, uint32_t probe, int64_t latency_us, bool ipv6)
{
  netcheck_https_latency (path->discovery->netcheck, probe, latency_us, ipv6, path->now_us);
}

void
discovery_icmp_latency (Path *path, uint32_t probe, int64_t latency_us)
{
  netcheck_icmp_latency (path->discovery->netcheck, probe, latency_us, path->now_us);
}

void
discovery_send_failed (Path *path, const IpPort *destination)
{
  netcheck_send_failed (path->discovery->netcheck, destination, path->now_us);
}

void
discovery_tick (Path *path)
{
  Discovery *d = path->discovery;

  if (!can_look (path) && netcheck_running (d->netcheck)) {
    netcheck_cancel (d->netcheck);
    d->pending = d->pending_full = false;
  }
  netcheck_tick (d->netcheck, path->now_us);
  if (path->now_us >= d->next_us) {
    d->next_us = TIME_NEVER;
    if (looks_by_the_clock (path)) {
      if (d->last && path->port4 != 0 && !d->last->ipv4_can_send && !path->knobs.only_tcp_443)
        path_rebind (path);
      discovery_request (path, false);
    }
  }
  pass_on (path);
}

int64_t
discovery_next_deadline (const Path *path)
{
  const Discovery *d = path->discovery;

  return time_min (d->next_us, netcheck_next_deadline (d->netcheck));
}
