/* Notifications, one live at a time for each topic. spec/desktop.md §5.4.
 *
 * Speaks org.freedesktop.Notifications itself, so that the tray needs neither a toolkit nor a
 * library for it. When and what: tray.c. Main thread. */
#pragma once

#include <gio/gio.h>

typedef enum
{
  NOTIFY_LOGIN,
  NOTIFY_EXPIRED,
  NOTIFY_EXIT_OFF,
  NOTIFY_PROBLEM,
  NOTIFY_WAITING,
  NOTIFY_FAILED, /* an action of the user's did not work */
  N_NOTIFY_TOPICS,
} NotifyTopic;

typedef struct
{
  const char *title;
  const char *body;   /* plain text */
  const char *action; /* key of the button, or NULL */
  const char *action_label;
  const char *category; /* or NULL */
  gboolean critical;
} Notice;

typedef struct _Notifier Notifier;

/* CALLBACK gets the topic and the key of the button, or "default" for a click on the text. TOKEN is
 * an activation token or NULL. */
typedef void (*NotifierCallback) (NotifyTopic topic, const char *action, const char *token,
                                  gpointer user_data);

Notifier *
notifier_new (GDBusConnection *session_bus, NotifierCallback callback, gpointer user_data);
void notifier_free (Notifier *notifier);

/* Shows NOTICE, in place of the last one of TOPIC. */
void notifier_show (Notifier *notifier, NotifyTopic topic, const Notice *notice);

/* The reason is gone. */
void notifier_close (Notifier *notifier, NotifyTopic topic);
