/* Keeps a WarrenDeviceList equal to the peers of one session: subscribes, applies deltas, and
 * subscribes again after a gap. spec/desktop.md §8.5, §8.11. Main thread. */
#pragma once

#include "client/device-list.h"
#include "client/session.h"

typedef struct _WarrenDeviceFeed WarrenDeviceFeed;

/* LIST is emptied only when the first full answer of another session arrives. */
WarrenDeviceFeed *warren_device_feed_new (WarrenDeviceList *list);
void warren_device_feed_free (WarrenDeviceFeed *feed);

/* SESSION may be NULL (the daemon is away: the list stays as it was). */
void warren_device_feed_set_session (WarrenDeviceFeed *feed, WarrenSession *session);
