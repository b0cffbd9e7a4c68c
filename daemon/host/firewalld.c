#include "host/firewalld.h"

#include <stdbool.h>
#include <string.h>

#define BUS_NAME   "org.fedoraproject.FirewallD1"
#define PATH       "/org/fedoraproject/FirewallD1"
#define ZONE_IFACE BUS_NAME ".zone"
#define ZONE       "trusted"
#define ALREADY    "ZONE_ALREADY_SET" /* firewalld's word for "nothing to do" */

struct Firewalld
{
  GDBusConnection *bus;
  GCancellable *cancellable;
  char *tun_name;
  guint name_watch;
  guint reload_subscription;
  bool present;
};

static void
on_changed (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (!reply && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
      && !strstr (error->message, ALREADY)) {
    g_dbus_error_strip_remote_error (error);
    g_warning ("firewalld did not put the tunnel device into zone " ZONE ": %s", error->message);
  }
}

static void
claim (Firewalld *firewalld)
{
  g_dbus_connection_call (firewalld->bus, BUS_NAME, PATH, ZONE_IFACE, "changeZoneOfInterface",
                          g_variant_new ("(ss)", ZONE, firewalld->tun_name), G_VARIANT_TYPE ("(s)"),
                          G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, firewalld->cancellable, on_changed,
                          NULL);
}

static void
on_reloaded (GDBusConnection *bus, const char *sender, const char *path, const char *interface,
             const char *signal, GVariant *parameters, void *user_data)
{
  claim (user_data);
}

static void
on_appeared (GDBusConnection *bus, const char *name, const char *owner, void *user_data)
{
  Firewalld *firewalld = user_data;

  firewalld->present = true;
  claim (firewalld);
}

static void
on_vanished (GDBusConnection *bus, const char *name, void *user_data)
{
  Firewalld *firewalld = user_data;

  firewalld->present = false;
}

Firewalld *
firewalld_new (GDBusConnection *bus, const char *tun_name)
{
  Firewalld *firewalld = g_new0 (Firewalld, 1);

  firewalld->bus = g_object_ref (bus);
  firewalld->cancellable = g_cancellable_new ();
  firewalld->tun_name = g_strdup (tun_name);
  firewalld->reload_subscription
      = g_dbus_connection_signal_subscribe (bus, BUS_NAME, BUS_NAME, "Reloaded", PATH, NULL,
                                            G_DBUS_SIGNAL_FLAGS_NONE, on_reloaded, firewalld, NULL);
  firewalld->name_watch
      = g_bus_watch_name_on_connection (bus, BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, on_appeared,
                                        on_vanished, firewalld, NULL);
  return firewalld;
}

void
firewalld_free (Firewalld *firewalld)
{
  if (!firewalld)
    return;
  g_bus_unwatch_name (firewalld->name_watch);
  g_dbus_connection_signal_unsubscribe (firewalld->bus, firewalld->reload_subscription);
  g_cancellable_cancel (firewalld->cancellable);
  if (firewalld->present)
    g_dbus_connection_call (firewalld->bus, BUS_NAME, PATH, ZONE_IFACE, "removeInterface",
                            g_variant_new ("(ss)", ZONE, firewalld->tun_name), NULL,
                            G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, NULL, NULL);
  g_object_unref (firewalld->cancellable);
  g_object_unref (firewalld->bus);
  g_free (firewalld->tun_name);
  g_free (firewalld);
}
