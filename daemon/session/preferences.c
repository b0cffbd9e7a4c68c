#include "session/preferences.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void
preferences_init (Preferences *prefs, const char *login_server)
{
  memset (prefs, 0, sizeof *prefs);
  strncpy (prefs->login_server, login_server, sizeof prefs->login_server - 1);
  prefs->logged_out = true;
  prefs->accept_dns = true;
  prefs->auto_connect = true;
  prefs->snat_routes = true;
}

void
preferences_copy (Preferences *to, const Preferences *from)
{
  *to = *from;
  to->tags = mem_dup (from->tags, from->n_tags * sizeof *to->tags);
  to->advertise_routes
      = mem_dup (from->advertise_routes, from->n_advertise_routes * sizeof *to->advertise_routes);
}

void
preferences_clear (Preferences *prefs)
{
  free (prefs->tags);
  free (prefs->advertise_routes);
  explicit_bzero (prefs, sizeof *prefs);
}

bool
preferences_offer_route (Preferences *prefs, const IpPrefix *route)
{
  size_t at = 0;

  while (at < prefs->n_advertise_routes
         && ip_prefix_compare (&prefs->advertise_routes[at], route) < 0)
    at++;
  if (at < prefs->n_advertise_routes && ip_prefix_equal (&prefs->advertise_routes[at], route))
    return true;
  if (prefs->n_advertise_routes >= PREFERENCES_ROUTES_LIMIT || !ip_prefix_is_masked (route)
      || ip_prefix_is_default (route))
    return false;
  prefs->advertise_routes
      = mem_resize (prefs->advertise_routes, (prefs->n_advertise_routes + 1) * sizeof *route);
  memmove (prefs->advertise_routes + at + 1, prefs->advertise_routes + at,
           (prefs->n_advertise_routes - at) * sizeof *route);
  prefs->advertise_routes[at] = *route;
  prefs->n_advertise_routes++;
  return true;
}

static bool
same_routes (const Preferences *a, const Preferences *b)
{
  if (a->n_advertise_routes != b->n_advertise_routes)
    return false;
  for (size_t i = 0; i < a->n_advertise_routes; i++)
    if (!ip_prefix_equal (&a->advertise_routes[i], &b->advertise_routes[i]))
      return false;
  return true;
}

bool
preferences_equal (const Preferences *a, const Preferences *b)
{
  if (strcmp (a->login_server, b->login_server) != 0 || a->wanted != b->wanted
      || a->logged_out != b->logged_out || a->exit_node_mode != b->exit_node_mode
      || strcmp (a->exit_node_id, b->exit_node_id) != 0
      || !ip_equal (&a->exit_node_addr, &b->exit_node_addr)
      || a->exit_node_allow_lan != b->exit_node_allow_lan || a->accept_dns != b->accept_dns
      || a->accept_routes != b->accept_routes || a->shields_up != b->shields_up
      || a->auto_connect != b->auto_connect || a->ephemeral != b->ephemeral
      || strcmp (a->hostname, b->hostname) != 0 || strcmp (a->proxy, b->proxy) != 0
      || a->n_tags != b->n_tags || a->port != b->port || a->mtu != b->mtu
      || a->advertise_exit_node != b->advertise_exit_node || a->snat_routes != b->snat_routes
      || !same_routes (a, b))
    return false;
  for (size_t i = 0; i < a->n_tags; i++)
    if (strcmp (a->tags[i], b->tags[i]) != 0)
      return false;
  return true;
}
