/* warren-tray: joins the client to icon, menu and notifications. spec/desktop.md §2, §3, §5.
 *
 * A GApplication without windows and without a toolkit; it runs all session long. Main thread. */
#pragma once

#include <gio/gio.h>

#define WARREN_TYPE_TRAY (warren_tray_get_type ())
G_DECLARE_FINAL_TYPE (WarrenTray, warren_tray, WARREN, TRAY, GApplication)

GApplication *warren_tray_new (void);
