#include "tray/clipboard.h"

#include "tray/x11-selection.h"

struct _Clipboard
{
  GDBusConnection *bus;
  GCancellable *cancellable;
  ClipboardFallback fallback;
  gpointer user_data;
  X11Selection *x11; /* made on first use */
  char *text;        /* on its way to klipper */
};

Clipboard *
clipboard_new (GDBusConnection *session_bus, ClipboardFallback fallback, gpointer user_data)
{
  Clipboard *clipboard = g_new0 (Clipboard, 1);

  clipboard->bus = g_object_ref (session_bus);
  clipboard->cancellable = g_cancellable_new ();
  clipboard->fallback = fallback;
  clipboard->user_data = user_data;
  return clipboard;
}

void
clipboard_free (Clipboard *clipboard)
{
  g_cancellable_cancel (clipboard->cancellable);
  g_object_unref (clipboard->cancellable);
  g_clear_pointer (&clipboard->x11, x11_selection_free);
  g_object_unref (clipboard->bus);
  g_free (clipboard->text);
  g_free (clipboard);
}

static void
set_without_klipper (Clipboard *clipboard)
{
  const char *session = g_getenv ("XDG_SESSION_TYPE");
  gboolean wayland = g_getenv ("WAYLAND_DISPLAY") != NULL && g_strcmp0 (session, "x11") != 0;

  if (clipboard->x11 == NULL && !wayland)
    clipboard->x11 = x11_selection_new ();
  if (clipboard->x11 != NULL && x11_selection_set_text (clipboard->x11, clipboard->text))
    return;
  g_clear_pointer (&clipboard->x11, x11_selection_free);
  clipboard->fallback (clipboard->text, clipboard->user_data);
}

static void
on_klipper (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (reply == NULL && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    set_without_klipper (user_data);
}

void
clipboard_set_text (Clipboard *clipboard, const char *text)
{
  g_free (clipboard->text);
  clipboard->text = g_strdup (text);
  g_dbus_connection_call (clipboard->bus, "org.kde.klipper", "/klipper", "org.kde.klipper.klipper",
                          "setClipboardContents", g_variant_new ("(s)", text), NULL,
                          G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, clipboard->cancellable, on_klipper,
                          clipboard);
}
