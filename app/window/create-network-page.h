/* A new private network on this computer: its name and where it is, with defaults that work. Makes
 * it and joins this computer to it. spec/desktop.md §7.1. Emits "created" with the path of the new
 * session. Main thread. */
#pragma once

#include "client/client.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_CREATE_NETWORK_PAGE (warren_create_network_page_get_type ())
G_DECLARE_FINAL_TYPE (WarrenCreateNetworkPage, warren_create_network_page, WARREN,
                      CREATE_NETWORK_PAGE, GtkWidget)

void warren_create_network_page_set_client (WarrenCreateNetworkPage *page, WarrenClient *client);

/* Back to the defaults, before it is shown. */
void warren_create_network_page_reset (WarrenCreateNetworkPage *page);
