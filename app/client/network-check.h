/* Checks of what a person types about a private network, while it is typed. Each gives NULL or a
 * translated sentence that says what is wrong; the network itself checks again. Main thread. */
#pragma once

#include <gio/gio.h>

/* A name of letters, digits and hyphens, as a label of DNS. */
const char *warren_check_label (const char *text);
/* A part of 100.64.0.0/10, such as 100.80.0.0/16, with room for a few devices. */
const char *warren_check_prefix4 (const char *text);
/* ADDRESS:PORT, where something may listen. */
const char *warren_check_listen (const char *text);
/* http or https, a host, maybe a port, no path. */
const char *warren_check_url (const char *text);
/* Addresses of name servers, separated by commas or spaces; empty is right. */
const char *warren_check_servers (const char *text);

/* "lab, tag:web" as the words of the command line want it: "tag:lab,tag:web". Free with g_free. */
char *warren_check_tags (const char *text);

/* What is separated by commas or spaces. Free with g_strfreev. */
char **warren_check_split (const char *text);

/* An IPv4 address of this computer by which others nearby may reach it, or NULL. Free with g_free.
 */
char *warren_local_address (void);
