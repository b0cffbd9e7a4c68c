#include "client/device-watch.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

struct _WarrenDeviceWatch
{
  GObject parent;

  WarrenBusPeers *peers;
  char *id;
  GCancellable *cancellable;
  int lifetime; /* end of the daemon's pipe: closing it ends the watch */
};

enum
{
  SIGNAL_DETAIL,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenDeviceWatch, warren_device_watch, G_TYPE_OBJECT)

static void
on_watching (GObject *source, GAsyncResult *result, gpointer user_data)
{
  WarrenDeviceWatch *self = user_data;
  g_autoptr (GVariant) handle = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GError) error = NULL;

  if (!warren_bus_peers_call_watch_finish (WARREN_BUS_PEERS (source), &handle, &fds, result,
                                           &error)) {
    if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      g_info ("no live numbers: %s", error->message);
    return; /* if cancelled, the object is gone */
  }
  if (fds != NULL)
    self->lifetime = g_unix_fd_list_get (fds, g_variant_get_handle (handle), NULL);
}

static void
on_detail (WarrenBusPeers *peers, const char *id, GVariant *detail, WarrenDeviceWatch *self)
{
  if (g_str_equal (id, self->id))
    g_signal_emit (self, signals[SIGNAL_DETAIL], 0, detail);
}

static void
warren_device_watch_dispose (GObject *object)
{
  WarrenDeviceWatch *self = WARREN_DEVICE_WATCH (object);

  g_cancellable_cancel (self->cancellable);
  if (self->lifetime >= 0)
    close (self->lifetime);
  self->lifetime = -1;
  g_clear_object (&self->peers);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->id, g_free);
  G_OBJECT_CLASS (warren_device_watch_parent_class)->dispose (object);
}

static void
warren_device_watch_class_init (WarrenDeviceWatchClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = warren_device_watch_dispose;
  signals[SIGNAL_DETAIL] = g_signal_new ("detail", WARREN_TYPE_DEVICE_WATCH, G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_VARIANT);
}

static void
warren_device_watch_init (WarrenDeviceWatch *self)
{
  self->lifetime = -1;
  self->cancellable = g_cancellable_new ();
}

WarrenDeviceWatch *
warren_device_watch_new (WarrenSession *session, const char *id, guint interval_ms)
{
  WarrenDeviceWatch *self = g_object_new (WARREN_TYPE_DEVICE_WATCH, NULL);

  self->peers = g_object_ref (warren_session_get_peers (session));
  self->id = g_strdup (id);
  g_signal_connect_object (self->peers, "detail", G_CALLBACK (on_detail), self, 0);
  warren_bus_peers_call_watch (self->peers, id, interval_ms, G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                               self->cancellable, on_watching, self);
  return self;
}
