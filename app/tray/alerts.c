#include "tray/alerts.h"

#include "client/settings.h"

#include <glib/gi18n-lib.h>

#define EXIT_OFF_AFTER_S 15
#define OWN_DOING_USEC   (5 * G_USEC_PER_SEC)

struct _Alerts
{
  Notifier *notifier;
  GSettings *settings;
  AlertsAction callback;
  gpointer user_data;

  gboolean started; /* the first state is not news */
  WarrenUiKind kind;
  gint64 acted_at_us;
  guint exit_off_id;
  char *exit_name;
  gboolean counted; /* the devices that wait: the first number is not news */
  guint waiting;
};

static const struct
{
  const char *key;
  WarrenUiAction action;
} buttons[] = {
    {"sign-in", WARREN_ACTION_SIGN_IN},
    {"choose", WARREN_ACTION_CHOOSE_EXIT_NODE},
    {"review", WARREN_ACTION_REVIEW_DEVICES},
};

static void
on_notification (NotifyTopic topic, const char *key, const char *token, gpointer user_data)
{
  Alerts *alerts = user_data;

  for (gsize i = 0; i < G_N_ELEMENTS (buttons); i++)
    if (g_str_equal (buttons[i].key, key)) {
      alerts->callback (buttons[i].action, token, alerts->user_data);
      return;
    }
  alerts->callback (topic == NOTIFY_WAITING ? WARREN_ACTION_REVIEW_DEVICES
                                            : WARREN_ACTION_SHOW_DETAILS,
                    token, alerts->user_data);
}

Alerts *
alerts_new (GDBusConnection *session_bus, GSettings *settings, AlertsAction callback,
            gpointer user_data)
{
  Alerts *alerts = g_new0 (Alerts, 1);

  alerts->notifier = notifier_new (session_bus, on_notification, alerts);
  alerts->settings = settings;
  alerts->callback = callback;
  alerts->user_data = user_data;
  return alerts;
}

void
alerts_free (Alerts *alerts)
{
  g_clear_handle_id (&alerts->exit_off_id, g_source_remove);
  notifier_free (alerts->notifier);
  g_free (alerts->exit_name);
  g_free (alerts);
}

void
alerts_user_acted (Alerts *alerts)
{
  alerts->acted_at_us = g_get_monotonic_time ();
}

void
alerts_failed (Alerts *alerts, const char *text)
{
  const Notice notice = {.title = _ ("That Did Not Work"), .body = text};

  notifier_show (alerts->notifier, NOTIFY_FAILED, &notice);
}

static gboolean
is_own_doing (Alerts *alerts)
{
  return alerts->acted_at_us != 0 && g_get_monotonic_time () - alerts->acted_at_us < OWN_DOING_USEC;
}

static gboolean
on_exit_off (gpointer data)
{
  Alerts *alerts = data;
  g_autofree char *body = g_strdup_printf (_ ("Traffic is blocked until %s is back."),
                                           alerts->exit_name != NULL && *alerts->exit_name != '\0'
                                               ? alerts->exit_name
                                               : _ ("the exit node"));
  const Notice notice = {.title = _ ("Exit Node Offline"),
                         .body = body,
                         .action = "choose",
                         .action_label = _ ("Choose Another"),
                         .category = "network.error",
                         .critical = TRUE};

  alerts->exit_off_id = 0;
  if (warren_settings_get_flag (alerts->settings, "notify-exit-off", TRUE))
    notifier_show (alerts->notifier, NOTIFY_EXIT_OFF, &notice);
  return G_SOURCE_REMOVE;
}

static void
say_login (Alerts *alerts, const char *network)
{
  g_autofree char *body
      = g_strdup_printf (_ ("%s asks you to sign in."),
                         network != NULL && *network != '\0' ? network : "Warren");
  const Notice notice = {.title = _ ("Sign In to Warren"),
                         .body = body,
                         .action = "sign-in",
                         .action_label = _ ("Sign In"),
                         .category = "network"};

  if (warren_settings_get_flag (alerts->settings, "notify-login", TRUE))
    notifier_show (alerts->notifier, NOTIFY_LOGIN, &notice);
}

static void
say_expired (Alerts *alerts, const WarrenUiState *ui)
{
  const Notice notice = {.title = _ ("Disconnected: Sign-In Expired"),
                         .body = ui->detail,
                         .action = "sign-in",
                         .action_label = _ ("Sign In Again"),
                         .category = "network.error",
                         .critical = TRUE};

  if (warren_settings_get_flag (alerts->settings, "notify-login", TRUE))
    notifier_show (alerts->notifier, NOTIFY_EXPIRED, &notice);
}

static void
say_error (Alerts *alerts, const WarrenUiState *ui)
{
  const Notice notice = {.title = ui->headline,
                         .body = ui->notice != NULL ? ui->notice : ui->detail,
                         .category = "network.error"};

  notifier_show (alerts->notifier, NOTIFY_PROBLEM, &notice);
}

static void
enter (Alerts *alerts, const WarrenUiState *ui, const char *network)
{
  if (ui->kind == WARREN_UI_EXIT_UNREACHABLE && alerts->exit_off_id == 0)
    alerts->exit_off_id = g_timeout_add_seconds (EXIT_OFF_AFTER_S, on_exit_off, alerts);
  if (is_own_doing (alerts))
    return;
  if (ui->kind == WARREN_UI_NEEDS_LOGIN)
    say_login (alerts, network);
  else if (ui->kind == WARREN_UI_KEY_EXPIRED)
    say_expired (alerts, ui);
  else if (ui->kind == WARREN_UI_ERROR)
    say_error (alerts, ui);
}

static void
leave (Alerts *alerts, WarrenUiKind kind)
{
  if (kind != WARREN_UI_EXIT_UNREACHABLE) {
    g_clear_handle_id (&alerts->exit_off_id, g_source_remove);
    notifier_close (alerts->notifier, NOTIFY_EXIT_OFF);
  }
  if (kind != WARREN_UI_NEEDS_LOGIN)
    notifier_close (alerts->notifier, NOTIFY_LOGIN);
  if (kind != WARREN_UI_KEY_EXPIRED)
    notifier_close (alerts->notifier, NOTIFY_EXPIRED);
  if (kind != WARREN_UI_ERROR)
    notifier_close (alerts->notifier, NOTIFY_PROBLEM);
}

void
alerts_update (Alerts *alerts, const WarrenUiState *ui, const char *network, const char *exit_name)
{
  gboolean first = !alerts->started;

  g_free (alerts->exit_name);
  alerts->exit_name = g_strdup (exit_name);
  if (!first && alerts->kind == ui->kind)
    return;
  alerts->started = TRUE;
  alerts->kind = ui->kind;
  if (first)
    return;
  leave (alerts, ui->kind);
  enter (alerts, ui, network);
}

void
alerts_waiting (Alerts *alerts, guint n, const char *network)
{
  gboolean news = alerts->counted && n > alerts->waiting;
  g_autofree char *body = NULL;
  Notice notice = {.title = _ ("Device Waits for Approval"),
                   .action = "review",
                   /* Translators: look at the device and decide */
                   .action_label = _ ("Review"),
                   .category = "network"};

  alerts->counted = TRUE;
  alerts->waiting = n;
  if (n == 0)
    notifier_close (alerts->notifier, NOTIFY_WAITING);
  if (!news || !warren_settings_get_flag (alerts->settings, "notify-waiting", TRUE))
    return;
  body = g_strdup_printf (ngettext ("%u device wants to join the network “%s”.",
                                    "%u devices want to join the network “%s”.", n),
                          n, network);
  notice.body = body;
  notifier_show (alerts->notifier, NOTIFY_WAITING, &notice);
}
