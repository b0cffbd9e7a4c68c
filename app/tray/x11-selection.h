/* The X11 clipboard served by a window of our own that nobody sees: answers TARGETS and text.
 * ICCCM §2. Main thread. */
#pragma once

#include <glib.h>

typedef struct _X11Selection X11Selection;

/* Connects to $DISPLAY; NULL if there is none. */
X11Selection *x11_selection_new (void);
void x11_selection_free (X11Selection *selection);

/* FALSE if the connection is lost. */
gboolean x11_selection_set_text (X11Selection *selection, const char *text);
