/* What this node tells the server about itself: Hostinfo with NetInfo, endpoints, disco key. */
#include "session/session-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Tri
tri_of (TunnelTristate value)
{
  return value == TUNNEL_UNKNOWN ? TRI_UNKNOWN : value == TUNNEL_YES ? TRI_TRUE : TRI_FALSE;
}

static const NetInfo *
make_net_info (Session *s, Arena *arena)
{
  if (!s->have_net_report)
    return NULL;
  const TunnelNetReport *report = &s->net_report;
  NetInfo *info = arena_array (arena, NetInfo, 1);
  net_info_init (info);
  info->mapping_varies_by_dest_ip = tri_of (report->mapping_varies_by_dest);
  info->working_ipv6 = tri_of (report->ipv6);
  info->os_has_ipv6 = tri_of (report->os_has_ipv6);
  info->working_udp = tri_of (report->udp);
  info->working_icmpv4 = tri_of (report->icmpv4);
  info->upnp = tri_of (report->upnp);
  info->pmp = tri_of (report->pmp);
  info->pcp = tri_of (report->pcp);
  info->have_port_map = report->port_mapped;
  info->preferred_derp = report->preferred_derp;
  info->firewall_mode = "nft-default";
  DerpLatency *latencies = arena_array (arena, DerpLatency, report->n_latencies + 1);
  for (size_t i = 0; i < report->n_latencies; i++) {
    const TunnelLatency *l = &report->latencies[i];
    snprintf (latencies[i].region, sizeof latencies[i].region, "%u-v%u", l->region, l->family);
    latencies[i].seconds = (double)l->latency_us / 1e6;
  }
  info->derp_latency = latencies;
  info->n_derp_latency = report->n_latencies;
  return info;
}

static int
by_prefix (const void *a, const void *b)
{
  return ip_prefix_compare (a, b);
}

static int
by_text (const void *a, const void *b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* What is offered, sorted; an exit node offers both default routes. */
static void
add_routes (const Preferences *prefs, Arena *arena, Hostinfo *info)
{
  static const char *const everything[] = {"0.0.0.0/0", "::/0"};
  size_t n = 0, n_all = prefs->n_advertise_routes + (prefs->advertise_exit_node ? 2 : 0);
  IpPrefix *routes = arena_array (arena, IpPrefix, n_all + 1);

  for (size_t i = 0; prefs->advertise_exit_node && i < 2; i++)
    n += ip_prefix_parse (everything[i], strlen (everything[i]), &routes[n]);
  for (size_t i = 0; i < prefs->n_advertise_routes; i++)
    routes[n++] = prefs->advertise_routes[i];
  if (n > 1)
    qsort (routes, n, sizeof *routes, by_prefix);
  info->routable_ips = routes;
  info->n_routable_ips = n;
}

static void
make_hostinfo (Session *s, Arena *arena, Hostinfo *info)
{
  const Preferences *prefs = &s->profile->preferences;
  const LocalFacts *facts = s->facts;
  hostinfo_init (info);
  info->ipn_version = facts->client_version;
  info->os = "linux";
  info->os_version = facts->os_version;
  info->distro = facts->distro;
  info->distro_version = facts->distro_version;
  info->distro_code_name = facts->distro_code_name;
  info->app = "warren";
  info->desktop = TRI_TRUE;
  info->container = facts->container ? TRI_TRUE : TRI_UNKNOWN;
  info->machine = facts->machine;
  info->go_arch = facts->go_arch;
  info->hostname = *prefs->hostname
                       ? arena_strndup (arena, prefs->hostname, strlen (prefs->hostname))
                       : facts->hostname;
  info->no_logs_no_support = true;
  info->userspace = TRI_FALSE;
  info->userspace_router = TRI_FALSE;
  info->shields_up = prefs->shields_up;
  add_routes (prefs, arena, info);
  if (prefs->n_tags > 0) {
    const char **tags = arena_array (arena, const char *, prefs->n_tags);
    for (size_t i = 0; i < prefs->n_tags; i++)
      tags[i] = arena_strndup (arena, prefs->tags[i], strlen (prefs->tags[i]));
    qsort (tags, prefs->n_tags, sizeof *tags, by_text);
    info->request_tags = tags;
    info->n_request_tags = prefs->n_tags;
  }
  if (prefs->exit_node_mode == EXIT_NODE_BY_ID
      || (prefs->exit_node_mode == EXIT_NODE_AUTO && *prefs->exit_node_id))
    info->exit_node_id = arena_strndup (arena, prefs->exit_node_id, strlen (prefs->exit_node_id));
  info->net_info = make_net_info (s, arena);
}

static uint8_t
wire_type (TunnelEndpointType type)
{
  switch (type) {
    case TUNNEL_ENDPOINT_LOCAL:
      return 1;
    case TUNNEL_ENDPOINT_STUN:
      return 2;
    case TUNNEL_ENDPOINT_PORT_MAPPED:
      return 3;
    case TUNNEL_ENDPOINT_STUN_LOCAL_PORT:
      return 4;
    case TUNNEL_ENDPOINT_EXPLICIT:
      return 5;
  }
  return 0;
}

static bool
endpoints_are_announced (const Session *s)
{
  if (s->n_announced_endpoints != s->n_endpoints)
    return false;
  for (size_t i = 0; i < s->n_endpoints; i++)
    if (!ip_port_equal (&s->announced_endpoints[i], &s->endpoints[i].address)
        || s->announced_types[i] != wire_type (s->endpoints[i].type))
      return false;
  return true;
}

void
session_announce (Session *s)
{
  if (!s->started)
    return;
  Arena arena = {NULL};
  Hostinfo info;
  make_hostinfo (s, &arena, &info);
  if (s->have_announced && hostinfo_equal (&info, &s->announced) && endpoints_are_announced (s)) {
    arena_clear (&arena);
    return;
  }
  arena_clear (&s->announce_arena);
  s->announce_arena = arena;
  s->announced = info;
  s->have_announced = true;
  s->n_announced_endpoints = s->n_endpoints;
  for (size_t i = 0; i < s->n_endpoints; i++) {
    s->announced_endpoints[i] = s->endpoints[i].address;
    s->announced_types[i] = wire_type (s->endpoints[i].type);
  }
  ControlEvent *event = session_push_control (s, CONTROL_EVENT_LOCAL_STATE);
  event->local_state.hostinfo = &s->announced;
  event->local_state.endpoints = s->announced_endpoints;
  event->local_state.endpoint_types = s->announced_types;
  event->local_state.n_endpoints = s->n_endpoints;
  event->local_state.disco_key = s->disco_key;
}
