/* The few devices of many that a menu has room for. spec/desktop.md §5.3. */
#pragma once

#include "client/device-list.h"

/* Own and online ones first, then by name; hidden ones and provider nodes never. Returns how many
 * of at most MAX were put into OUT (borrowed). */
guint pick_devices (WarrenDeviceList *list, WarrenDevice **out, guint max);

/* The current one, recent ones, then own and online ones; provider nodes only if current or recent.
 * Shown by name, so that a click does not move what is under the pointer. */
guint pick_exit_nodes (WarrenDeviceList *list, const char *current, const char *const *recent,
                       WarrenDevice **out, guint max);
