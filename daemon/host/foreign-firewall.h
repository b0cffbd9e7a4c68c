/* Opens other programs' firewalls for the tunnel device (spec/linux-host.md §3.2).
 *
 * A packet must be accepted by every base chain of a hook, so an accept in our own table does not
 * help against a policy of drop elsewhere. In the chains of iptables-nft and ufw one rule with our
 * comment does; chains that we cannot know are named, so that a person can open them. Looks again
 * when somebody changes nftables. firewalld is host/firewalld's. Used inside host only. Main
 * thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct ForeignFirewall ForeignFirewall;

ForeignFirewall *foreign_firewall_new (const char *tun_name);

/* Opens what can be opened and keeps it open; FORWARD: also for what goes through this computer. */
void foreign_firewall_open (ForeignFirewall *foreign, bool forward);

/* "table chain" of a chain that drops our packets and that we may not touch, or NULL. Borrowed. */
const char *foreign_firewall_blocked_by (const ForeignFirewall *foreign);

/* Takes our rules out again and stops watching. */
void foreign_firewall_close (ForeignFirewall *foreign);
void foreign_firewall_free (ForeignFirewall *foreign);

/* Takes out the rules of a process that was killed. */
void foreign_firewall_cleanup (void);
