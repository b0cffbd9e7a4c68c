/* The page of the private network that this computer runs: a frame around its four views (devices,
 * invite, policy, settings) and the page of one device. spec/desktop.md §7.1, §8.5 .Network.
 *
 * The views read and change through one WarrenNetworkData. Main thread. */
#pragma once

#include "client/client.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_NETWORK_PAGE (warren_network_page_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkPage, warren_network_page, WARREN, NETWORK_PAGE, GtkWidget)

void warren_network_page_set_client (WarrenNetworkPage *page, WarrenClient *client);

/* From a device back to the list; FALSE if the list is shown already. */
gboolean warren_network_page_go_back (WarrenNetworkPage *page);

/* To the list of devices, ready to type what to look for. */
void warren_network_page_start_search (WarrenNetworkPage *page);

/* The window closes: what only waits for a second thought is done now. */
void warren_network_page_finish (WarrenNetworkPage *page);
