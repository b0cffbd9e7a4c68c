#include "window/format.h"

#include <glib/gi18n-lib.h>

char *
format_ago (gint64 then, gint64 now)
{
  gint64 seconds = MAX (0, now - then);
  int n;

  if (seconds < 60)
    return g_strdup (_ ("just now"));
  if (seconds < 3600) {
    n = (int)(seconds / 60);
    return g_strdup_printf (ngettext ("%d minute ago", "%d minutes ago", n), n);
  }
  if (seconds < 48 * 3600) {
    n = (int)(seconds / 3600);
    return g_strdup_printf (ngettext ("%d hour ago", "%d hours ago", n), n);
  }
  n = (int)MIN (seconds / 86400, G_MAXINT);
  return g_strdup_printf (ngettext ("%d day ago", "%d days ago", n), n);
}

char *
format_date (gint64 when)
{
  g_autoptr (GDateTime) date = g_date_time_new_from_unix_local (when);

  /* Translators: a date such as 3 March 2027, see g_date_time_format() */
  return date != NULL ? g_date_time_format (date, _ ("%-e %B %Y")) : g_strdup ("");
}

char *
format_latency (guint microseconds)
{
  if (microseconds < 10000)
    return g_strdup_printf (_ ("%.1f ms"), microseconds / 1000.0);
  return g_strdup_printf (_ ("%.0f ms"), microseconds / 1000.0);
}

static const struct
{
  const char *os;
  const char *name;
  const char *icon;
} systems[] = {
    {"android", "Android", "phone-symbolic"},   {"freebsd", "FreeBSD", "computer-symbolic"},
    {"iOS", "iOS", "phone-symbolic"},           {"linux", "Linux", "computer-symbolic"},
    {"macOS", "macOS", "computer-symbolic"},    {"openbsd", "OpenBSD", "computer-symbolic"},
    {"tvOS", "tvOS", "video-display-symbolic"}, {"windows", "Windows", "computer-symbolic"},
};

const char *
format_os (const char *os)
{
  for (gsize i = 0; i < G_N_ELEMENTS (systems); i++)
    if (g_ascii_strcasecmp (systems[i].os, os) == 0)
      return systems[i].name;
  return os;
}

const char *
format_os_icon (const char *os)
{
  for (gsize i = 0; i < G_N_ELEMENTS (systems); i++)
    if (g_ascii_strcasecmp (systems[i].os, os) == 0)
      return systems[i].icon;
  return "computer-symbolic";
}
