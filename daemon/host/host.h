/* Brings the Linux host to the value it is given and back (DESIGN, rule 2; spec/linux-host.md
 * §1-§3, §7): link, addresses, policy rules, routes in a table of our own, nftables, and the
 * sysctls that these need.
 *
 * Each call compares with what is installed and sends only the difference, so that asking twice
 * costs nothing. What outlives a killed process is written to a journal before it is done. Main
 * thread; the netlink calls block for microseconds, 10,000 routes for tens of milliseconds. */
#pragma once

#include "host/config.h"
#include "host/tun.h"

#include <glib.h>

#define HOST_ERROR host_error_quark ()
GQuark host_error_quark (void);

typedef enum
{
  HOST_ERROR_FAILED,     /* the kernel refused; the message says what was tried */
  HOST_ERROR_PERMISSION, /* CAP_NET_ADMIN is missing */
} HostError;

/* Facts for health warnings; codes of spec/linux-host.md §14. */
typedef enum
{
  HOST_WARNING_FIREWALL_UNAVAILABLE = 1 << 0, /* nftables could not be used at all */
  HOST_WARNING_IPV6_UNUSABLE = 1 << 1,        /* IPv6 is on outside but not usable in the tunnel */
  HOST_WARNING_FIREWALL_BLOCKS = 1 << 2, /* another firewall drops what comes in by the tunnel */
  HOST_WARNING_FORWARDING_OFF = 1 << 3,  /* what is offered cannot be served */
} HostWarning;

typedef struct Host Host;

/* For the device TUN (borrowed for the life of the Host). STATE_DIR holds the journal. UDP_PORT is
 * told later by host_set_udp_port. */
Host *host_new (const char *state_dir, const TunDevice *tun);

/* The UDP port that peers send to, for the firewall; 0 before it is known. */
void host_set_udp_port (Host *host, uint16_t port);

/* Makes the host look like CONFIG. On failure what could be done is done, the rest is tried again
 * by the next call, and ERROR tells the first thing that failed. */
bool host_apply (Host *host, const HostConfig *config, GError **error);

/* Puts our policy rules back after somebody deleted them (LinkMonitorCallbacks.rule_deleted); does
 * nothing when they are there or when it was done too often lately. */
void host_restore_rules (Host *host);

/* HostWarning bits as of now. */
unsigned host_warnings (const Host *host);

/* With HOST_WARNING_FIREWALL_BLOCKS: "family table chain" of the chain that drops, else NULL. */
const char *host_blocking_chain (const Host *host);

/* Takes everything away again, in reverse order. */
void host_undo (Host *host);
void host_free (Host *host);

/* Repairs what an earlier process that was killed left behind: our rules, our table, our journal's
 * sysctls, our rules in other firewalls. With KEEP_BLOCKED, for a start whose preferences select an
 * exit node, the rules and the unreachable routes stay, so that nothing leaks until host_apply.
 * Needs no device. Safe when nothing is there. */
bool host_cleanup (const char *state_dir, bool keep_blocked, GError **error);
