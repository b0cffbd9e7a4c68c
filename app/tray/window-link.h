/* Starting and steering the window from the tray, through org.freedesktop.Application.
 * spec/desktop.md §1.1. Main thread. */
#pragma once

#include <gio/gio.h>

#define WINDOW_NAME "org.warrenvpn.Warren"

/* ACTION NULL: only open or raise it. PARAMETER may be NULL or floating. TOKEN may be NULL. */
void window_link_activate (GDBusConnection *session_bus, const char *action, GVariant *parameter,
                           const char *token);
