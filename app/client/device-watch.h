/* Live numbers of one device while somebody looks: Peers.Watch. spec/desktop.md §8.5.
 *
 * Ends with the object. Emits "detail" with the a{sv} of Peers.Detail. Main thread. */
#pragma once

#include "client/session.h"

#define WARREN_TYPE_DEVICE_WATCH (warren_device_watch_get_type ())
G_DECLARE_FINAL_TYPE (WarrenDeviceWatch, warren_device_watch, WARREN, DEVICE_WATCH, GObject)

WarrenDeviceWatch *
warren_device_watch_new (WarrenSession *session, const char *id, guint interval_ms);
