/* Our nftables table "inet warren" (spec/linux-host.md §3.3).
 *
 * It belongs to this process (flag "owner"): nobody else's flush removes it, and it vanishes with
 * us. An own table can drop, mark and guard, but not open what another table closes. Used inside
 * host only. Main thread. */
#pragma once

#include "host/config.h"

#include <glib.h>
#include <stdbool.h>

typedef struct Firewall Firewall;

typedef struct
{
  const char *tun_name;
  uint16_t udp_port; /* 0: not known yet */
  bool guard_dns;
  bool drop_spoofed;
  bool forward4; /* packets of peers go on to other networks */
  bool forward6;
  bool snat;
  const IpAddr *peers4; /* sorted */
  size_t n_peers4;
} FirewallRules;

Firewall *firewall_new (void);

/* Installs RULES, or changes what differs. False and ERROR when the kernel or the library refuses.
 */
bool firewall_apply (Firewall *firewall, const FirewallRules *rules, GError **error);

/* Takes the table away. */
void firewall_clear (Firewall *firewall);
void firewall_free (Firewall *firewall);
