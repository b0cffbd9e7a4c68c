/* Line numbers at the left of a text view, with marks at some of them. Purely a picture: what a
 * mark means is said elsewhere in words. Main thread. */
#pragma once

#include <gtk/gtk.h>

#define WARREN_TYPE_LINE_GUTTER (warren_line_gutter_get_type ())
G_DECLARE_FINAL_TYPE (WarrenLineGutter, warren_line_gutter, WARREN, LINE_GUTTER, GtkWidget)

/* The gutter of VIEW, which owns it. */
WarrenLineGutter *warren_line_gutter_new (GtkTextView *view);

/* LINE counts from 0. */
void warren_line_gutter_mark (WarrenLineGutter *gutter, guint line);
void warren_line_gutter_clear_marks (WarrenLineGutter *gutter);
