#include "session/local-dns.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define RESOLV_CONF      "/etc/resolv.conf"
#define REAL_RESOLV_CONF "/run/systemd/resolve/resolv.conf" /* behind the stub of resolved */

static bool
is_on_link (const LinkState *state, const IpAddr *server)
{
  for (size_t i = 0; i < state->n_addresses; i++) {
    const LinkInterface *interface = link_state_interface (state, state->addresses[i].interface);
    IpPrefix prefix = ip_prefix_mask (state->addresses[i].prefix);
    if (interface && !interface->loopback && ip_prefix_contains (&prefix, server))
      return true;
  }
  return ip_is_link_local (server);
}

/* The servers of a resolv.conf, one after the other; loopback ones are somebody's stub. */
static bool
next_server (const char **text, IpAddr *out)
{
  while (**text) {
    const char *line = *text;
    size_t length = strcspn (line, "\n");
    *text = line + length + (line[length] == '\n');
    if (!g_str_has_prefix (line, "nameserver"))
      continue;
    const char *word = line + strlen ("nameserver");
    word += strspn (word, " \t");
    if (ip_parse (word, strcspn (word, " \t\r\n%#"), out))
      return true;
  }
  return false;
}

char *
local_dns_find_in (const char *text, const LinkState *state)
{
  IpAddr server;
  char first[IP_TEXT_MAX] = "";
  while (next_server (&text, &server)) {
    if (ip_is_loopback (&server))
      continue;
    if (!is_on_link (state, &server))
      return NULL;
    if (*first == '\0')
      ip_format (&server, first);
  }
  return *first ? g_strdup (first) : NULL;
}

char *
local_dns_find (const LinkState *state)
{
  g_autofree char *text = NULL, *real = NULL;
  if (!g_file_get_contents (RESOLV_CONF, &text, NULL, NULL))
    return NULL;
  if (strstr (text, "nameserver 127.0.0.53"))
    g_file_get_contents (REAL_RESOLV_CONF, &real, NULL, NULL);
  return local_dns_find_in (real ? real : text, state);
}
