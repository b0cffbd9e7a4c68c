/* The connected life of the window: state and switch, exit node, the list of devices, and beside or
 * above it a device or the exit-node picker. spec/desktop.md §6.1. Main thread. */
#pragma once

#include "client/client.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_MAIN_PAGE (warren_main_page_get_type ())
G_DECLARE_FINAL_TYPE (WarrenMainPage, warren_main_page, WARREN, MAIN_PAGE, GtkWidget)

void warren_main_page_set_client (WarrenMainPage *page, WarrenClient *client);

/* The device that is open, or NULL. Borrowed. */
WarrenDevice *warren_main_page_get_device (WarrenMainPage *page);

void warren_main_page_show_exit_nodes (WarrenMainPage *page);
void warren_main_page_start_search (WarrenMainPage *page);
void warren_main_page_ping (WarrenMainPage *page);

/* FALSE if there is nothing to go back from. */
gboolean warren_main_page_go_back (WarrenMainPage *page);

/* Keys that nobody else wants start a search. */
void warren_main_page_capture_keys (WarrenMainPage *page, GtkWidget *window);
