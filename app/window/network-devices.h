/* The devices of the private network: those that wait for approval first, then all, with a search.
 * Emits "opened" with the WarrenNetworkNode that was chosen. Main thread. */
#pragma once

#include "client/network-data.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_NETWORK_DEVICES (warren_network_devices_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkDevices, warren_network_devices, WARREN, NETWORK_DEVICES,
                      GtkWidget)

void warren_network_devices_set_data (WarrenNetworkDevices *devices, WarrenNetworkData *data);

void warren_network_devices_start_search (WarrenNetworkDevices *devices);

/* NODE is about to be removed and not shown; NULL: none is. */
void warren_network_devices_hide (WarrenNetworkDevices *devices, WarrenNetworkNode *node);
