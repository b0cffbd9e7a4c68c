/* The link by which a device is invited into a private network: warren://join?server=URL&key=KEY,
 * both percent-encoded. It opens Warren on a device that has it; other programs take the two parts
 * as "alternate server" and "auth key". Whoever has the link may join: it is shown, never logged.
 */
#pragma once

#include <glib.h>

/* Free with g_free. */
char *warren_invite_format (const char *server, const char *key);

/* FALSE when LINK is no such link. KEY may be left out of a link and is then "". Free both. */
gboolean warren_invite_parse (const char *link, char **server, char **key);
