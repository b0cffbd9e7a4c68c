/* The devices as the list shows them: groups with headings, sorted, searched. spec/desktop.md §6.1.
 *
 * GTK 4.8 has no sections, so that headings are items of their own (WarrenGroup) before their
 * devices. A model; no widgets. Main thread. */
#pragma once

#include "client/device-list.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_GROUP (warren_group_get_type ())
G_DECLARE_FINAL_TYPE (WarrenGroup, warren_group, WARREN, GROUP, GObject)

/* Translated heading; borrowed. */
const char *warren_group_get_title (WarrenGroup *group);

#define WARREN_TYPE_DEVICE_GROUPS (warren_device_groups_get_type ())
G_DECLARE_FINAL_TYPE (WarrenDeviceGroups, warren_device_groups, WARREN, DEVICE_GROUPS, GObject)

WarrenDeviceGroups *warren_device_groups_new (WarrenDeviceList *devices);

/* Items are WarrenGroup and WarrenDevice; borrowed. */
GListModel *warren_device_groups_get_model (WarrenDeviceGroups *groups);

/* TEXT as the user typed it; "" shows everything that is not hidden. */
void warren_device_groups_search (WarrenDeviceGroups *groups, const char *text);
