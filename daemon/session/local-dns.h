/* Which name server of this computer an exit node would cut off: one in the local network, while
 * none elsewhere is configured. Reads resolv.conf; until Warren sets resolvers itself the user has
 * to know (issue of exit nodes without MagicDNS). Main thread. */
#pragma once

#include "host/link-state.h"

/* The first name server when all of them are reached through on-link networks of STATE, else NULL.
 * Free with g_free. */
char *local_dns_find (const LinkState *state);

/* The same on the text of a resolv.conf. For tests. */
char *local_dns_find_in (const char *resolv_conf, const LinkState *state);
