/* One line of the device list: a device, or the heading of a group. Binds to the device's "changed"
 * by itself, so that a change redraws this row and no other. Main thread. */
#pragma once

#include "window/device-groups.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_DEVICE_ROW (warren_device_row_get_type ())
G_DECLARE_FINAL_TYPE (WarrenDeviceRow, warren_device_row, WARREN, DEVICE_ROW, GtkWidget)

/* For GtkSignalListItemFactory; ITEM is a WarrenDevice, a WarrenGroup or NULL. */
GtkWidget *warren_device_row_new (void);
void warren_device_row_set_item (WarrenDeviceRow *row, gpointer item);

/* "online, direct", "offline, 2 hours ago": what row and detail say about reaching DEVICE. */
char *warren_device_describe_reach (WarrenDevice *device);
