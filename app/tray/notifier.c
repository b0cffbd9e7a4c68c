#include "tray/notifier.h"

#define NAME "org.freedesktop.Notifications"
#define PATH "/org/freedesktop/Notifications"

#define URGENCY_NORMAL   1
#define URGENCY_CRITICAL 2

typedef struct
{
  Notifier *notifier;
  NotifyTopic topic;
} Request;

struct _Notifier
{
  GDBusConnection *bus;
  GCancellable *cancellable;
  NotifierCallback callback;
  gpointer user_data;
  guint subscription;
  guint32 ids[N_NOTIFY_TOPICS];     /* 0: none shown */
  gboolean wanted[N_NOTIFY_TOPICS]; /* shown, or on its way */
  char *token;                      /* of the signal before ActionInvoked */

  gboolean asked_capabilities;
  gboolean knows_capabilities;
  gboolean has_actions;
  gboolean has_markup;
  GVariant *waiting[N_NOTIFY_TOPICS]; /* a{sv}, until the capabilities are known */
};

static void send_waiting (Notifier *notifier);

static gboolean
find_topic (Notifier *notifier, guint32 id, NotifyTopic *topic)
{
  for (guint i = 0; i < N_NOTIFY_TOPICS; i++)
    if (id != 0 && notifier->ids[i] == id) {
      *topic = i;
      return TRUE;
    }
  return FALSE;
}

static void
on_signal (GDBusConnection *bus, const char *sender, const char *path, const char *interface,
           const char *signal, GVariant *args, gpointer user_data)
{
  Notifier *notifier = user_data;
  const char *text;
  NotifyTopic topic;
  guint32 id;

  if (g_str_equal (signal, "NotificationClosed")
      && g_variant_is_of_type (args, G_VARIANT_TYPE ("(uu)"))) {
    g_variant_get (args, "(uu)", &id, NULL);
    if (find_topic (notifier, id, &topic))
      notifier->ids[topic] = 0;
    return;
  }
  if (!g_variant_is_of_type (args, G_VARIANT_TYPE ("(us)")))
    return;
  g_variant_get (args, "(u&s)", &id, &text);
  if (!find_topic (notifier, id, &topic))
    return;
  if (g_str_equal (signal, "ActivationToken")) {
    g_free (notifier->token);
    notifier->token = g_strdup (text);
  } else if (g_str_equal (signal, "ActionInvoked")) {
    g_autofree char *token = g_steal_pointer (&notifier->token);

    notifier->callback (topic, text, token, notifier->user_data);
  }
}

Notifier *
notifier_new (GDBusConnection *session_bus, NotifierCallback callback, gpointer user_data)
{
  Notifier *notifier = g_new0 (Notifier, 1);

  notifier->bus = g_object_ref (session_bus);
  notifier->cancellable = g_cancellable_new ();
  notifier->callback = callback;
  notifier->user_data = user_data;
  notifier->subscription
      = g_dbus_connection_signal_subscribe (session_bus, NAME, NAME, NULL, PATH, NULL,
                                            G_DBUS_SIGNAL_FLAGS_NONE, on_signal, notifier, NULL);
  return notifier;
}

void
notifier_free (Notifier *notifier)
{
  for (guint i = 0; i < N_NOTIFY_TOPICS; i++) {
    notifier_close (notifier, i);
    g_clear_pointer (&notifier->waiting[i], g_variant_unref);
  }
  g_cancellable_cancel (notifier->cancellable);
  g_object_unref (notifier->cancellable);
  g_dbus_connection_signal_unsubscribe (notifier->bus, notifier->subscription);
  g_object_unref (notifier->bus);
  g_free (notifier->token);
  g_free (notifier);
}

static void
call_close (Notifier *notifier, guint32 id)
{
  g_dbus_connection_call (notifier->bus, NAME, PATH, NAME, "CloseNotification",
                          g_variant_new ("(u)", id), NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1,
                          NULL, NULL, NULL);
}

static void
on_shown (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Request *request = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  guint32 id;

  if (reply == NULL) {
    if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      g_info ("no notification: %s", error->message);
    return;
  }
  g_variant_get (reply, "(u)", &id);
  request->notifier->ids[request->topic] = id;
  if (!request->notifier->wanted[request->topic])
    call_close (request->notifier, id); /* the reason went away meanwhile */
}

static GVariant *
hints (const char *category, gboolean critical)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "desktop-entry", "s", "org.warrenvpn.Warren");
  g_variant_dict_insert (&dict, "urgency", "y", critical ? URGENCY_CRITICAL : URGENCY_NORMAL);
  if (category != NULL)
    g_variant_dict_insert (&dict, "category", "s", category);
  return g_variant_dict_end (&dict);
}

static void
send (Notifier *notifier, NotifyTopic topic, GVariant *notice)
{
  Request *request = g_new (Request, 1);
  GVariantBuilder actions;
  const char *title = "", *body = "", *action = NULL, *label = NULL, *category = NULL;
  g_autofree char *text = NULL;
  gboolean critical = FALSE;

  g_variant_lookup (notice, "title", "&s", &title);
  g_variant_lookup (notice, "body", "&s", &body);
  g_variant_lookup (notice, "action", "&s", &action);
  g_variant_lookup (notice, "label", "&s", &label);
  g_variant_lookup (notice, "category", "&s", &category);
  g_variant_lookup (notice, "critical", "b", &critical);
  g_variant_builder_init (&actions, G_VARIANT_TYPE_STRING_ARRAY);
  g_variant_builder_add (&actions, "s", "default");
  g_variant_builder_add (&actions, "s", "");
  if (notifier->has_actions && action != NULL) {
    g_variant_builder_add (&actions, "s", action);
    g_variant_builder_add (&actions, "s", label);
  }
  text = notifier->has_markup ? g_markup_escape_text (body, -1) : g_strdup (body);
  *request = (Request){notifier, topic};
  g_dbus_connection_call (
      notifier->bus, NAME, PATH, NAME, "Notify",
      g_variant_new ("(susssas@a{sv}i)", "Warren", notifier->ids[topic], "org.warrenvpn.Warren",
                     title, text, &actions, hints (category, critical), -1),
      G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, notifier->cancellable, on_shown, request);
}

static void
on_capabilities (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  Notifier *notifier = user_data;
  g_autofree const char **names = NULL;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the notifier is gone */
  notifier->knows_capabilities = TRUE;
  if (reply != NULL) {
    g_variant_get (reply, "(^a&s)", &names);
    notifier->has_actions = g_strv_contains (names, "actions");
    notifier->has_markup = g_strv_contains (names, "body-markup");
  }
  send_waiting (notifier);
}

static void
send_waiting (Notifier *notifier)
{
  for (guint i = 0; i < N_NOTIFY_TOPICS; i++) {
    g_autoptr (GVariant) notice = g_steal_pointer (&notifier->waiting[i]);

    if (notice != NULL)
      send (notifier, i, notice);
  }
}

void
notifier_show (Notifier *notifier, NotifyTopic topic, const Notice *notice)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "title", "s", notice->title);
  g_variant_dict_insert (&dict, "body", "s", notice->body != NULL ? notice->body : "");
  if (notice->action != NULL) {
    g_variant_dict_insert (&dict, "action", "s", notice->action);
    g_variant_dict_insert (&dict, "label", "s", notice->action_label);
  }
  if (notice->category != NULL)
    g_variant_dict_insert (&dict, "category", "s", notice->category);
  g_variant_dict_insert (&dict, "critical", "b", notice->critical);
  g_clear_pointer (&notifier->waiting[topic], g_variant_unref);
  notifier->waiting[topic] = g_variant_ref_sink (g_variant_dict_end (&dict));
  notifier->wanted[topic] = TRUE;
  if (notifier->knows_capabilities)
    send_waiting (notifier);
  if (notifier->asked_capabilities)
    return;
  notifier->asked_capabilities = TRUE;
  g_dbus_connection_call (notifier->bus, NAME, PATH, NAME, "GetCapabilities", NULL,
                          G_VARIANT_TYPE ("(as)"), G_DBUS_CALL_FLAGS_NONE, -1,
                          notifier->cancellable, on_capabilities, notifier);
}

void
notifier_close (Notifier *notifier, NotifyTopic topic)
{
  g_clear_pointer (&notifier->waiting[topic], g_variant_unref);
  notifier->wanted[topic] = FALSE;
  if (notifier->ids[topic] != 0)
    call_close (notifier, notifier->ids[topic]);
  notifier->ids[topic] = 0;
}
