/* Lets the kernel forward packets while this computer serves a subnet or as exit node
 * (spec/linux-host.md §8.1).
 *
 * Off again what was off before; what somebody else switched on stays on. The firewall decides what
 * of the tunnel's packets goes where. Used inside host only. Main thread. */
#pragma once

#include "host/sysctl-journal.h"

/* Forwarding for the wanted families, and back to what it was for the others. False and ERROR: a
 * family that is wanted is not forwarded. */
bool forwarding_apply (SysctlJournal *journal, bool ipv4, bool ipv6, GError **error);
