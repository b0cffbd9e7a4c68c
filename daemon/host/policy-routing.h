/* Our policy rules and our routing table, by rtnetlink (spec/linux-host.md §2.2, §2.3, §2.8).
 *
 * The table's content is kept in memory and only differences are sent; additions come before
 * deletions, defaults last. Used inside host only. Main thread. */
#pragma once

#include "host/config.h"
#include "host/netlink.h"

#include <stdbool.h>

typedef struct PolicyRouting PolicyRouting;

PolicyRouting *policy_routing_new (Netlink *netlink, uint32_t ifindex);
void policy_routing_free (PolicyRouting *routing);

/* Which families rules and routes are made for, and which may use the device. An IPv6 that has
 * rules but no device gets its default route as unreachable, so that it cannot leak. */
void policy_routing_set_ipv6 (PolicyRouting *routing, bool rules, bool device);

/* Adds our rules where they are missing. Returns 0 or an errno. */
int policy_routing_add_rules (PolicyRouting *routing);

/* True when somebody deleted one of our rules. */
bool policy_routing_rules_missing (PolicyRouting *routing);

/* Brings the table to CONFIG's routes. Returns 0 or the first errno; what failed is tried again by
 * the next call. */
int policy_routing_apply (PolicyRouting *routing, const HostConfig *config);

/* Removes routes, then rules. */
void policy_routing_undo (PolicyRouting *routing);

/* Removes every route of our table and, without KEEP_BLOCKED, every rule of ours. With it only
 * routes other than the unreachable ones go. */
int policy_routing_clean (Netlink *netlink, bool keep_blocked);

/* True when the kernel takes IPv6 rules at all. */
bool policy_routing_ipv6_supported (Netlink *netlink);
