/* The first run, and adding an account: which server, key or browser, what this device is called.
 * spec/desktop.md §7.1. Emits "created" when the daemon has the new session; the page that waits
 * for the browser is login-page.h. Main thread. */
#pragma once

#include "client/client.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_WELCOME_PAGE (warren_welcome_page_get_type ())
G_DECLARE_FINAL_TYPE (WarrenWelcomePage, warren_welcome_page, WARREN, WELCOME_PAGE, GtkWidget)

void warren_welcome_page_set_client (WarrenWelcomePage *page, WarrenClient *client);

/* Empty fields; CAN_CANCEL when there is something to go back to. */
void warren_welcome_page_reset (WarrenWelcomePage *page, gboolean can_cancel);

/* Fills in where an invitation leads; the user still has to say yes to it. */
void warren_welcome_page_invite (WarrenWelcomePage *page, const char *server, const char *key);
