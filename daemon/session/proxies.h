/* Which proxies lead to the control server and to relays: the preference of the profile, or the
 * environment that the daemon was started with (control-protocol.md §4.5). Main thread. */
#pragma once

#include "session/preferences.h"
#include "wire/proxy.h"

/* Borrowed from PREFS and from the environment. */
ProxySettings proxies_for (const Preferences *prefs);
