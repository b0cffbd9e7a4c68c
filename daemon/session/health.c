#include "session/health.h"

#include "base/clock.h"

#include <string.h>

static const HealthInfo table[HEALTH_N_CODES] = {
    [HEALTH_NETWORK_DOWN]
    = {"network-status", "medium", "No network", "This computer has no usable network connection.",
       true, 5 * USEC_PER_SEC, false},
    [HEALTH_NO_RELAY_HOME]
    = {"no-derp-home", "medium", "No home relay",
       "No relay server can be reached, so some devices may not find this one.", true,
       10 * USEC_PER_SEC, true},
    [HEALTH_NO_RELAY_CONNECTION]
    = {"no-derp-connection", "medium", "Relay not connected",
       "The connection to the home relay is down. Devices that need it cannot be reached.", true,
       10 * USEC_PER_SEC, true},
    [HEALTH_NO_MAP_STREAM]
    = {"not-in-map-poll", "medium", "Out of touch with the server",
       "The coordination server has not been reached for a while. Existing connections go on.",
       false, 480 * USEC_PER_SEC, true},
    [HEALTH_KEY_EXPIRING] = {"key-expiring", "medium", "Sign-in expires soon",
                             "The sign-in of this device expires on %s.", false, 0, false},
    [HEALTH_EXIT_NODE_UNAVAILABLE]
    = {"exit-node-unavailable", "high", "Exit node unavailable",
       "The chosen exit node is not available. Internet traffic is blocked so that nothing leaks.",
       true, 15 * USEC_PER_SEC, true},
    [HEALTH_EXIT_NODE_NO_DNS]
    = {"exit-node-no-dns", "medium", "Names cannot be resolved",
       "The name server of this computer (%s) is in the local network, which cannot be reached "
       "while an exit node is used. Allow local network access to use it.",
       true, 0, true},
    [HEALTH_FIREWALL_UNAVAILABLE]
    = {"firewall-unavailable", "medium", "Firewall rules not installed",
       "The kernel refused Warren's firewall rules (nftables).", false, 0, false},
    [HEALTH_FIREWALL_BLOCKS]
    = {"firewall-blocks-tunnel", "medium", "A firewall blocks the tunnel",
       "The firewall chain %s drops packets of the tunnel.", true, 0, false},
    [HEALTH_OTHER_VPN]
    = {"other-vpn-conflict", "medium", "Another client is running",
       "The device %s uses the same addresses as Warren. Stop the other client.", true, 0, false},
    [HEALTH_INVALID_FILTER] = {"invalid-packet-filter", "high", "Packet filter refused",
                               "The server's packet filter cannot be trusted, so everything that "
                               "comes in is dropped: %s.",
                               true, 0, false},
    [HEALTH_LOCAL_NETWORK]
    = {"local-network-preferred", "medium", "Local network is behind the tunnel",
       "The local network %s has the same addresses as a subnet of another device. The tunnel is "
       "used for them.",
       false, 0, true},
    [HEALTH_ROUTES_NOT_ACCEPTED]
    = {"routes-not-accepted", "low", "Routes are offered",
       "Some peers are advertising routes but --accept-routes is false", false, 0, false},
    [HEALTH_FORWARDING_OFF]
    = {"ip-forwarding-off", "medium", "Nothing is forwarded",
       "This computer offers routes, but its kernel does not forward packets and Warren may not "
       "switch that on. Ask an administrator to set net.ipv4.ip_forward and "
       "net.ipv6.conf.all.forwarding.",
       false, 0, false},
};

const HealthInfo *
health_info (HealthCode code)
{
  return &table[code];
}

bool
health_set (Health *health, HealthCode code, bool unhealthy, const char *argument, int64_t now_us,
            int64_t now_s)
{
  HealthItem *item = &health->items[code];
  bool was = item->since_us != 0;
  if (!unhealthy) {
    g_clear_pointer (&item->argument, g_free);
    item->since_us = 0;
    return was;
  }
  bool changed = !was || g_strcmp0 (item->argument, argument) != 0;
  if (!was) {
    item->since_us = now_us > 0 ? now_us : 1;
    item->since_s = now_s;
  }
  if (changed) {
    g_free (item->argument);
    item->argument = g_strdup (argument);
  }
  return changed;
}

static bool
is_hidden (const Health *health, HealthCode code)
{
  return table[code].needs_network && health->items[HEALTH_NETWORK_DOWN].since_us != 0;
}

bool
health_is_visible (const Health *health, HealthCode code, int64_t now_us)
{
  const HealthItem *item = &health->items[code];
  return item->since_us != 0 && now_us >= item->since_us + table[code].delay_us
         && !is_hidden (health, code);
}

char *
health_text (const Health *health, HealthCode code)
{
  const char *text = table[code].text, *hole = strstr (text, "%s");
  const char *argument = health->items[code].argument;
  if (!hole)
    return g_strdup (text);
  return g_strdup_printf ("%.*s%s%s", (int)(hole - text), text, argument ? argument : "", hole + 2);
}

int64_t
health_next_deadline (const Health *health, int64_t now_us)
{
  int64_t next = TIME_NEVER;
  for (int code = 0; code < HEALTH_N_CODES; code++) {
    const HealthItem *item = &health->items[code];
    int64_t at = item->since_us + table[code].delay_us;
    if (item->since_us != 0 && at > now_us && !is_hidden (health, (HealthCode)code))
      next = time_min (next, at);
  }
  return next;
}

void
health_clear (Health *health)
{
  for (int code = 0; code < HEALTH_N_CODES; code++)
    g_free (health->items[code].argument);
  memset (health, 0, sizeof *health);
}
