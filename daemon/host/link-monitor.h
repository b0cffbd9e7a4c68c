/* Watches the host's interfaces, addresses, routes and our policy rules by rtnetlink.
 *
 * Gathers bursts for a second, then reports a new LinkState when something that matters changed
 * (spec/linux-host.md §9). Suspends are noticed by the growth of CLOCK_BOOTTIME against
 * CLOCK_MONOTONIC. Main thread. */
#pragma once

#include "host/link-state.h"

#include <gio/gio.h>

typedef struct LinkMonitor LinkMonitor;

typedef struct
{
  /* STATE is borrowed; SLEPT_US > 0 after a suspend of that length. */
  void (*changed) (LinkState *state, bool major, int64_t slept_us, void *user_data);
  /* A policy rule with one of our priorities was deleted by somebody. */
  void (*rule_deleted) (void *user_data);
} LinkMonitorCallbacks;

/* TUN_NAME is the device to leave out. Reads the state once before it returns; NULL and ERROR when
 * the kernel gives no netlink socket. */
LinkMonitor *link_monitor_new (const char *tun_name, const LinkMonitorCallbacks *callbacks,
                               void *user_data, GError **error);

/* The current state, borrowed. */
LinkState *link_monitor_get_state (LinkMonitor *monitor);

void link_monitor_free (LinkMonitor *monitor);
