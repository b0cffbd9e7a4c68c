/* One device in full: addresses to copy, how it is reached and how fast, what is known about it.
 * spec/desktop.md §6.1. Live numbers only while it is on the screen. Main thread. */
#pragma once

#include "client/client.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_DEVICE_PAGE (warren_device_page_get_type ())
G_DECLARE_FINAL_TYPE (WarrenDevicePage, warren_device_page, WARREN, DEVICE_PAGE, GtkWidget)

void warren_device_page_set_client (WarrenDevicePage *page, WarrenClient *client);

/* DEVICE may be NULL. */
void warren_device_page_set_device (WarrenDevicePage *page, WarrenDevice *device);
WarrenDevice *warren_device_page_get_device (WarrenDevicePage *page);

/* Asks for one round trip; the answer goes to the toast of the window. */
void warren_device_page_ping (WarrenDevicePage *page);
