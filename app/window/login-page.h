/* Waiting for the browser: the link, its QR code, and ways out. spec/desktop.md §7.1.
 * Never a dead end: with no browser at all, a phone can read the code. Main thread. */
#pragma once

#include "client/client.h"

#include <gtk/gtk.h>

#define WARREN_TYPE_LOGIN_PAGE (warren_login_page_get_type ())
G_DECLARE_FINAL_TYPE (WarrenLoginPage, warren_login_page, WARREN, LOGIN_PAGE, GtkWidget)

void warren_login_page_set_client (WarrenLoginPage *page, WarrenClient *client);

/* The user asked for the sign-in here: open the browser as soon as the link is known. */
void warren_login_page_expect (WarrenLoginPage *page);

/* The link that is shown, or NULL. Borrowed. */
const char *warren_login_page_get_url (WarrenLoginPage *page);
