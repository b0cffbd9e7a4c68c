/* The devices of the active session as a GListModel of WarrenDevice, kept by full lists and deltas.
 * spec/desktop.md §8.5, §10.2.
 *
 * The order is that of arrival; views sort. A changed row is never signalled by items-changed: the
 * device says "changed" itself, and the list says "updated" once after a batch, with the union of
 * the WarrenDeviceChange bits (0 if only the number of devices changed). Main thread. */
#pragma once

#include "client/device.h"

#define WARREN_TYPE_DEVICE_LIST (warren_device_list_get_type ())
G_DECLARE_FINAL_TYPE (WarrenDeviceList, warren_device_list, WARREN, DEVICE_LIST, GObject)

WarrenDeviceList *warren_device_list_new (void);

/* ROWS: a(sssassstuxa{sv}). FULL: devices that are not in ROWS are gone. */
void warren_device_list_apply (WarrenDeviceList *list, GVariant *rows, gboolean full,
                               const char *const *removed);
void warren_device_list_clear (WarrenDeviceList *list);

guint warren_device_list_get_size (WarrenDeviceList *list);
WarrenDevice *warren_device_list_peek (WarrenDeviceList *list, guint position);   /* borrowed */
WarrenDevice *warren_device_list_lookup (WarrenDeviceList *list, const char *id); /* borrowed */
