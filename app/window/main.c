#include "client/language.h"
#include "window/application.h"

int
main (int argc, char **argv)
{
  g_autoptr (GApplication) app = NULL;

  warren_language_init ();
  app = warren_application_new ();
  return g_application_run (app, argc, argv);
}
