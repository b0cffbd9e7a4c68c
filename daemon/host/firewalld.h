/* Puts the tunnel device into firewalld's zone "trusted" (spec/linux-host.md §3.2), again after
 * each reload or restart of firewalld. Costs nothing where firewalld is not. Main thread. */
#pragma once

#include <gio/gio.h>

typedef struct Firewalld Firewalld;

/* BUS is the system bus (a reference is taken). */
Firewalld *firewalld_new (GDBusConnection *bus, const char *tun_name);

/* Takes the device out of the zone, without waiting for the answer, and frees. */
void firewalld_free (Firewalld *firewalld);
