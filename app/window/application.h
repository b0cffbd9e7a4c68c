/* warren-app: one process while a window is open, started through D-Bus or by its desktop entry.
 * spec/desktop.md §1.1, §10.3. Main thread. */
#pragma once

#include <adwaita.h>

#define WARREN_TYPE_APPLICATION (warren_application_get_type ())
G_DECLARE_FINAL_TYPE (WarrenApplication, warren_application, WARREN, APPLICATION, AdwApplication)

GApplication *warren_application_new (void);
