#include "tray/tray.h"

#include <glib/gi18n-lib.h>
#include <locale.h>
#include <malloc.h>

int
main (int argc, char **argv)
{
  g_autoptr (GApplication) app = NULL;

  /* One heap for the few threads of GIO: it runs all day long beside everything else. */
  mallopt (M_ARENA_MAX, 1);
  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  app = warren_tray_new ();
  return g_application_run (app, argc, argv);
}
