/* Which warnings a session has: conditions from its state, the map, the links and the host. */
#include "session/session-private.h"

#include "filter/filter.h"
#include "session/exit-node.h"

#include <string.h>

#define KEY_WARNING_S (7 * 86400) /* before the own key expires */

static void
set (Session *s, HealthCode code, bool unhealthy, const char *argument)
{
  if (health_set (&s->health, code, unhealthy, argument, s->now_us, session_now_s (s)))
    session_changed (s, SESSION_CHANGED_WARNINGS);
}

static bool
has_relays (const Session *s)
{
  const DerpMap *derp = s->netmap ? netmap_derp_map (s->netmap) : NULL;
  return derp && derp->n_regions > 0;
}

static void
check_exit_node (Session *s)
{
  ExitNodeState state = EXIT_NODE_STATE_OFF;
  bool selected = s->plan && s->plan->exit_selected;
  if (selected)
    exit_node_find (&s->profile->preferences, s->netmap, &state);
  bool usable = state == EXIT_NODE_STATE_ON;
  set (s, HEALTH_EXIT_NODE_UNAVAILABLE, selected && !usable, NULL);
  bool no_dns = selected && usable && s->local_dns && !s->profile->preferences.exit_node_allow_lan;
  set (s, HEALTH_EXIT_NODE_NO_DNS, no_dns, s->local_dns);
}

static void
check_conflicts (Session *s)
{
  char text[IP_PREFIX_TEXT_MAX] = "";
  bool any = s->plan && s->plan->n_conflicts > 0;
  if (any)
    ip_prefix_format (&s->plan->conflicts[0].on_link, text);
  set (s, HEALTH_LOCAL_NETWORK, any, any ? text : NULL);
}

static void
check_key (Session *s)
{
  const Node *self = s->netmap ? netmap_self (s->netmap) : NULL;
  if (!self || wall_time_is_unset (self->key_expiry) || self->expired || !s->plan) {
    set (s, HEALTH_KEY_EXPIRING, false, NULL);
    return;
  }
  WallTime now = netmap_control_time (s->netmap, s->wall);
  bool soon = self->key_expiry.seconds - now.seconds < KEY_WARNING_S;
  char date[WALL_TIME_TEXT_MAX];
  wall_time_format (self->key_expiry, date);
  date[strcspn (date, "T")] = '\0';
  set (s, HEALTH_KEY_EXPIRING, soon, date);
}

/* The official client brings its own device up while it runs. */
static const char *
other_client (const Session *s)
{
  for (size_t i = 0; s->link && i < s->link->n_interfaces; i++)
    if (s->link->interfaces[i].up && strcmp (s->link->interfaces[i].name, "tailscale0") == 0)
      return s->link->interfaces[i].name;
  return NULL;
}

static bool
routes_are_offered (const Session *s)
{
  NetmapIter iter = netmap_iter (s->netmap);
  const Node *node;
  while ((node = netmap_iter_next (&iter)))
    if (node->n_primary_routes > 0)
      return true;
  return false;
}

void
session_check_health (Session *s, bool map_changed)
{
  bool connected = s->plan != NULL;
  const Filter *filter = connected ? tunnel_config_settings (s->plan->tunnel)->filter : NULL;
  const char *refused = filter ? filter_warning (filter) : NULL;
  bool home = s->have_net_report && s->net_report.preferred_derp != 0;
  set (s, HEALTH_NETWORK_DOWN, s->active && s->link && !session_network_is_up (s), NULL);
  set (s, HEALTH_NO_RELAY_HOME, connected && has_relays (s) && !home, NULL);
  set (s, HEALTH_NO_RELAY_CONNECTION, connected && has_relays (s) && home && s->n_relays_up == 0,
       NULL);
  set (s, HEALTH_NO_MAP_STREAM, connected && !s->online, NULL);
  set (s, HEALTH_INVALID_FILTER, refused != NULL, refused);
  const char *other = connected ? other_client (s) : NULL;
  set (s, HEALTH_OTHER_VPN, other != NULL, other);
  check_exit_node (s);
  check_conflicts (s);
  check_key (s);
  if (map_changed || !connected || s->profile->preferences.accept_routes)
    set (s, HEALTH_ROUTES_NOT_ACCEPTED,
         connected && !s->profile->preferences.accept_routes && routes_are_offered (s), NULL);
}

void
session_host_health (Session *s, unsigned warnings, const char *blocking_chain,
                     const char *local_dns)
{
  set (s, HEALTH_FIREWALL_UNAVAILABLE, warnings & HOST_WARNING_FIREWALL_UNAVAILABLE, NULL);
  set (s, HEALTH_FORWARDING_OFF, warnings & HOST_WARNING_FORWARDING_OFF, NULL);
  set (s, HEALTH_FIREWALL_BLOCKS, warnings & HOST_WARNING_FIREWALL_BLOCKS, blocking_chain);
  if (g_strcmp0 (s->local_dns, local_dns) != 0) {
    g_free (s->local_dns);
    s->local_dns = g_strdup (local_dns);
  }
}
