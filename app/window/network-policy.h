/* The policy of the private network as text: checked while it is typed, wrong lines marked, applied
 * only when it is right. Main thread. */
#pragma once

#include "client/network-data.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_NETWORK_POLICY (warren_network_policy_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkPolicy, warren_network_policy, WARREN, NETWORK_POLICY_VIEW,
                      GtkWidget)

void warren_network_policy_set_data (WarrenNetworkPolicy *policy, WarrenNetworkData *data);
