#include "client/device-feed.h"

#include "client/error.h"

#define FLAGS G_DBUS_CALL_FLAGS_NONE

struct _WarrenDeviceFeed
{
  WarrenDeviceList *list;
  WarrenBusPeers *peers;     /* of the session that is followed, or NULL */
  char *path;                /* of the session whose devices the list holds */
  GCancellable *cancellable; /* of the subscription under way */
  gulong changed_id;
  guint64 revision; /* 0: nothing is known */
  gboolean subscribing;
};

WarrenDeviceFeed *
warren_device_feed_new (WarrenDeviceList *list)
{
  WarrenDeviceFeed *feed = g_new0 (WarrenDeviceFeed, 1);

  feed->list = g_object_ref (list);
  return feed;
}

static void
leave (WarrenDeviceFeed *feed)
{
  g_cancellable_cancel (feed->cancellable);
  g_clear_object (&feed->cancellable);
  if (feed->peers != NULL)
    g_clear_signal_handler (&feed->changed_id, feed->peers);
  g_clear_object (&feed->peers);
  feed->subscribing = FALSE;
}

void
warren_device_feed_free (WarrenDeviceFeed *feed)
{
  leave (feed);
  g_free (feed->path);
  g_object_unref (feed->list);
  g_free (feed);
}

static void
on_subscribed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  WarrenDeviceFeed *feed = user_data;
  g_autoptr (GVariant) rows = NULL;
  g_auto (GStrv) removed = NULL;
  g_autoptr (GError) error = NULL;
  guint64 revision;
  gboolean full;

  if (!warren_bus_peers_call_subscribe_finish (WARREN_BUS_PEERS (source), &revision, &full, &rows,
                                               &removed, result, &error)) {
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      return; /* the feed may be gone */
    feed->subscribing = FALSE;
    feed->revision = 0;
    g_info ("no device list: %s", error->message);
    return;
  }
  feed->subscribing = FALSE;
  feed->revision = revision;
  warren_device_list_apply (feed->list, rows, full, (const char *const *)removed);
}

static void
subscribe (WarrenDeviceFeed *feed)
{
  if (feed->subscribing)
    return;
  feed->subscribing = TRUE;
  warren_bus_peers_call_subscribe (feed->peers, feed->revision, FLAGS, G_MAXINT, feed->cancellable,
                                   on_subscribed, feed);
}

static void
on_changed (WarrenBusPeers *peers, guint64 revision, GVariant *rows, const char *const *removed,
            WarrenDeviceFeed *feed)
{
  if (feed->subscribing || revision == feed->revision)
    return;
  if (feed->revision == 0 || revision != feed->revision + 1) {
    subscribe (feed);
    return;
  }
  feed->revision = revision;
  warren_device_list_apply (feed->list, rows, FALSE, removed);
}

void
warren_device_feed_set_session (WarrenDeviceFeed *feed, WarrenSession *session)
{
  WarrenBusPeers *peers = session != NULL ? warren_session_get_peers (session) : NULL;

  if (peers == feed->peers)
    return;
  leave (feed);
  if (peers == NULL)
    return;
  if (g_strcmp0 (feed->path, warren_session_get_path (session)) != 0) {
    g_free (feed->path);
    feed->path = g_strdup (warren_session_get_path (session));
    feed->revision = 0;
  }
  feed->peers = g_object_ref (peers);
  feed->cancellable = g_cancellable_new ();
  feed->changed_id = g_signal_connect (peers, "changed", G_CALLBACK (on_changed), feed);
  subscribe (feed);
}
