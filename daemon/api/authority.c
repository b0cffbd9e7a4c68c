#include "api/authority.h"

#include "base/log.h"

#include <unistd.h>

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define FLAG_INTERACTIVE 1u
#define CALL_TIMEOUT_MS  10000

struct Authority
{
  GDBusConnection *bus;
  GCancellable *cancellable; /* of everything under way */
  guint changed_signal;
  void (*changed) (void *user_data);
  void *user_data;
  unsigned next_id;
};

typedef struct
{
  Authority *authority;
  AuthorityReply reply;
  void *user_data;
  char *action;
  char *cancellation_id; /* of an interactive check, else NULL */
  guint watch;
} Check;

typedef struct
{
  AuthorityUid reply;
  void *user_data;
} CallerQuery;

static void
polkit_changed (GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                const char *signal, GVariant *params, void *user_data)
{
  Authority *authority = user_data;
  authority->changed (authority->user_data);
}

Authority *
authority_new (GDBusConnection *bus, void (*changed) (void *user_data), void *user_data)
{
  Authority *authority = g_new0 (Authority, 1);
  authority->bus = g_object_ref (bus);
  authority->cancellable = g_cancellable_new ();
  authority->changed = changed;
  authority->user_data = user_data;
  authority->changed_signal
      = g_dbus_connection_signal_subscribe (bus, POLKIT_NAME, POLKIT_INTERFACE, "Changed",
                                            POLKIT_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
                                            polkit_changed, authority, NULL);
  return authority;
}

void
authority_free (Authority *authority)
{
  if (!authority)
    return;
  g_cancellable_cancel (authority->cancellable);
  g_object_unref (authority->cancellable);
  g_dbus_connection_signal_unsubscribe (authority->bus, authority->changed_signal);
  g_object_unref (authority->bus);
  g_free (authority);
}

static void
caller_known (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autofree CallerQuery *query = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  if (error && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  uint32_t uid = UINT32_MAX;
  if (reply)
    g_variant_get (reply, "(u)", &uid);
  query->reply (reply != NULL, uid, query->user_data);
}

void
authority_caller (Authority *authority, const char *sender, AuthorityUid reply, void *user_data)
{
  CallerQuery *query = g_new0 (CallerQuery, 1);
  query->reply = reply;
  query->user_data = user_data;
  g_dbus_connection_call (authority->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "GetConnectionUnixUser",
                          g_variant_new ("(s)", sender), G_VARIANT_TYPE ("(u)"),
                          G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, authority->cancellable,
                          caller_known, query);
}

static void
check_free (Check *check)
{
  g_clear_handle_id (&check->watch, g_bus_unwatch_name);
  g_free (check->cancellation_id);
  g_free (check->action);
  g_free (check);
}

static AuthorityVerdict
verdict_of (GVariant *reply)
{
  gboolean authorized = FALSE, challenge = FALSE;
  g_autoptr (GVariant) details = NULL;
  g_variant_get (reply, "((bb@a{ss}))", &authorized, &challenge, &details);
  const char *dismissed = NULL;
  if (authorized)
    return AUTHORITY_YES;
  if (g_variant_lookup (details, "polkit.dismissed", "&s", &dismissed) && *dismissed)
    return AUTHORITY_DISMISSED;
  return challenge ? AUTHORITY_ASK : AUTHORITY_NO;
}

static void
checked (GObject *source, GAsyncResult *result, void *user_data)
{
  Check *check = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  if (error && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    check_free (check);
    return;
  }
  if (error)
    log_info ("api", "polkit could not be asked about %s: %s", check->action, error->message);
  AuthorityVerdict verdict = reply ? verdict_of (reply) : AUTHORITY_NO;
  check->reply (verdict, check->user_data);
  check_free (check);
}

static void
sender_left (GDBusConnection *bus, const char *name, void *user_data)
{
  Check *check = user_data;
  g_dbus_connection_call (bus, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                          "CancelCheckAuthorization", g_variant_new ("(s)", check->cancellation_id),
                          NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_TIMEOUT_MS, NULL, NULL, NULL);
}

void
authority_check (Authority *authority, const char *sender, uint32_t uid, const char *action,
                 bool interactive, AuthorityReply reply, void *user_data)
{
  if (uid == 0 || uid == getuid ()) {
    reply (AUTHORITY_YES, user_data);
    return;
  }
  Check *check = g_new0 (Check, 1);
  check->authority = authority;
  check->reply = reply;
  check->user_data = user_data;
  check->action = g_strdup (action);
  if (interactive) {
    check->cancellation_id = g_strdup_printf ("warren-%u", ++authority->next_id);
    check->watch
        = g_bus_watch_name_on_connection (authority->bus, sender, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                          NULL, sender_left, check, NULL);
  }
  GVariantBuilder subject;
  g_variant_builder_init (&subject, G_VARIANT_TYPE ("a{sv}"));
  g_variant_builder_add (&subject, "{sv}", "name", g_variant_new_string (sender));
  g_dbus_connection_call (authority->bus, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                          "CheckAuthorization",
                          g_variant_new ("((sa{sv})sa{ss}us)", "system-bus-name", &subject, action,
                                         NULL, interactive ? FLAG_INTERACTIVE : 0u,
                                         interactive ? check->cancellation_id : ""),
                          G_VARIANT_TYPE ("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE,
                          interactive ? G_MAXINT : CALL_TIMEOUT_MS, authority->cancellable, checked,
                          check);
}
