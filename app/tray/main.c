#include "client/language.h"
#include "tray/tray.h"

#include <malloc.h>

int
main (int argc, char **argv)
{
  g_autoptr (GApplication) app = NULL;

  /* One heap for the few threads of GIO: it runs all day long beside everything else. */
  mallopt (M_ARENA_MAX, 1);
  warren_language_init ();
  app = warren_tray_new ();
  return g_application_run (app, argc, argv);
}
