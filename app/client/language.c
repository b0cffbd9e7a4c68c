#include "client/language.h"

#include <glib.h>
#include <libintl.h>
#include <locale.h>

void
warren_language_init (void)
{
  const char *folder = g_getenv ("WARREN_LOCALE_DIR");

  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, folder != NULL ? folder : LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
}
