/* Inviting devices into the private network: a key with its options, shown once as link, QR code
 * and in its parts, and the keys that exist. Main thread. */
#pragma once

#include "client/network-data.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_NETWORK_INVITE (warren_network_invite_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkInvite, warren_network_invite, WARREN, NETWORK_INVITE, GtkWidget)

void warren_network_invite_set_data (WarrenNetworkInvite *invite, WarrenNetworkData *data);
