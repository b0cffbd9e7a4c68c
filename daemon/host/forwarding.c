#include "host/forwarding.h"

#include <string.h>

#define FORWARD4 "net/ipv4/ip_forward"
#define FORWARD6 "net/ipv6/conf/all/forwarding"
#define CONF6    "net/ipv6/conf"

/* The first character of a setting, '\0' when there is none. */
static char
setting (const char *name)
{
  g_autofree char *path = g_build_filename ("/proc/sys", name, NULL);
  g_autofree char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) ? text[0] : '\0';
}

/* A kernel that forwards IPv6 ignores router advertisements unless it is told otherwise, and would
 * lose its own way out. Back to the remembered value when not WANTED. */
static void
keep_router_advertisements (SysctlJournal *journal, bool wanted)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/sys/" CONF6, 0, NULL);
  const char *interface;

  while (dir && (interface = g_dir_read_name (dir))) {
    g_autofree char *name = g_strdup_printf (CONF6 "/%s/accept_ra", interface);
    if (strcmp (interface, "all") == 0 || strcmp (interface, "lo") == 0)
      continue;
    if (!wanted)
      sysctl_journal_put_back (journal, name, NULL);
    else if (setting (name) == '1')
      sysctl_journal_set (journal, name, "2", NULL);
  }
}

bool
forwarding_apply (SysctlJournal *journal, bool ipv4, bool ipv6, GError **error)
{
  char now4 = setting (FORWARD4), now6 = setting (FORWARD6);

  if (!ipv4)
    sysctl_journal_put_back (journal, FORWARD4, NULL);
  else if (now4 == '0' && !sysctl_journal_set (journal, FORWARD4, "1", error))
    return false;
  if (!ipv6) {
    sysctl_journal_put_back (journal, FORWARD6, NULL);
    keep_router_advertisements (journal, false);
  } else if (now6 == '0') {
    keep_router_advertisements (journal, true);
    return sysctl_journal_set (journal, FORWARD6, "1", error);
  }
  return true;
}
