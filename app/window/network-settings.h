/* What is set once for the private network: users, name service, backup. Main thread. */
#pragma once

#include "client/network-data.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_NETWORK_SETTINGS (warren_network_settings_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkSettings, warren_network_settings, WARREN, NETWORK_SETTINGS,
                      GtkWidget)

void warren_network_settings_set_data (WarrenNetworkSettings *settings, WarrenNetworkData *data);
