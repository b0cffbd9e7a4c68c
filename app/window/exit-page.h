/* Choosing an exit node. spec/desktop.md §6.2. The mark moves when the daemon confirms; a choice
 * while not connected is stored. Main thread. */
#pragma once

#include "client/client.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_EXIT_PAGE (warren_exit_page_get_type ())
G_DECLARE_FINAL_TYPE (WarrenExitPage, warren_exit_page, WARREN, EXIT_PAGE, GtkWidget)

void warren_exit_page_set_client (WarrenExitPage *page, WarrenClient *client);
