#include "session/preferences.h"

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
}

void
preferences_copy (Preferences *to, const Preferences *from)
{
  *to = *from;
  to->tags = NULL;
  if (from->n_tags == 0)
    return;
  to->tags = malloc (from->n_tags * sizeof *to->tags);
  if (!to->tags)
    abort ();
  memcpy (to->tags, from->tags, from->n_tags * sizeof *to->tags);
}

void
preferences_clear (Preferences *prefs)
{
  free (prefs->tags);
  memset (prefs, 0, sizeof *prefs);
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
      || strcmp (a->hostname, b->hostname) != 0 || a->n_tags != b->n_tags || a->port != b->port
      || a->mtu != b->mtu)
    return false;
  for (size_t i = 0; i < a->n_tags; i++)
    if (strcmp (a->tags[i], b->tags[i]) != 0)
      return false;
  return true;
}
