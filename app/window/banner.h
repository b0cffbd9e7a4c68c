/* A line under the header bar for what lasts: a problem and what to do about it, with at most one
 * button. libadwaita 1.2 has none of its own. Main thread. */
#pragma once

#include <gtk/gtk.h>

#define WARREN_TYPE_BANNER (warren_banner_get_type ())
G_DECLARE_FINAL_TYPE (WarrenBanner, warren_banner, WARREN, BANNER, GtkWidget)

/* TEXT NULL hides it. BUTTON NULL: no button. Emits "activated" on a click of the button. */
void warren_banner_set (WarrenBanner *banner, const char *text, const char *button);
