/* The one window: shows the page that fits the state, and owns the actions of all pages.
 * spec/desktop.md §6. Main thread. */
#pragma once

#include "client/client.h"

#include <adwaita.h>

#define WARREN_TYPE_WINDOW (warren_window_get_type ())
G_DECLARE_FINAL_TYPE (WarrenWindow, warren_window, WARREN, WINDOW, AdwApplicationWindow)

/* SETTINGS may be NULL. */
WarrenWindow *warren_window_new (GtkApplication *app, WarrenClient *client, GSettings *settings);

void warren_window_show_exit_nodes (WarrenWindow *window);
void warren_window_add_account (WarrenWindow *window);
/* The page of the private network that this computer runs, if it does. */
void warren_window_show_network (WarrenWindow *window);
/* Asks whether to join the network of SERVER with KEY ("": sign in there). */
void warren_window_invite (WarrenWindow *window, const char *server, const char *key);
