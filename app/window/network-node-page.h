/* One device of the private network: its name and tags, which of its routes others may use, its
 * sign-in. Emits "remove" with the WarrenNetworkNode. Main thread. */
#pragma once

#include "client/network-data.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_NETWORK_NODE_PAGE (warren_network_node_page_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkNodePage, warren_network_node_page, WARREN, NETWORK_NODE_PAGE,
                      GtkWidget)

void warren_network_node_page_set_data (WarrenNetworkNodePage *page, WarrenNetworkData *data);

/* NODE may be NULL: nothing is shown. */
void warren_network_node_page_set_node (WarrenNetworkNodePage *page, WarrenNetworkNode *node);
