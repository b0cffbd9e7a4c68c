/* Putting text on the clipboard from a process that has no window. spec/desktop.md §4.3.
 *
 * First way that is there: klipper, an own X11 selection, the window program. Main thread. */
#pragma once

#include <gio/gio.h>

typedef struct _Clipboard Clipboard;

/* FALLBACK is called with the text when no way of our own is there. */
typedef void (*ClipboardFallback) (const char *text, gpointer user_data);

Clipboard *
clipboard_new (GDBusConnection *session_bus, ClipboardFallback fallback, gpointer user_data);
void clipboard_free (Clipboard *clipboard);
void clipboard_set_text (Clipboard *clipboard, const char *text);
