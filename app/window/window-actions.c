/* The actions of the window: every command of its pages, by name. spec/desktop.md §5.5. */
#include "client/error.h"
#include "client/settings.h"
#include "client/sign-in.h"
#include "window/window-private.h"

#include <glib/gi18n-lib.h>

static void
say_failed (WarrenWindow *self, GError *error)
{
  g_autofree char *text = NULL;

  if (warren_error_is_silent (error))
    return;
  text = warren_error_describe (error, NULL);
  warren_window_toast (self, text);
  warren_window_update (self);
}

static void
on_session_called (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenWindow) self = user_data;
  g_autoptr (GError) error = NULL;

  if (!warren_session_call_finish (WARREN_SESSION (source), result, &error))
    say_failed (self, error);
}

static void
on_client_called (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenWindow) self = user_data;
  g_autoptr (GError) error = NULL;

  if (!warren_client_call_finish (WARREN_CLIENT (source), result, &error))
    say_failed (self, error);
}

static void
open_url (WarrenWindow *self, WarrenSession *session, const char *url)
{
  if (url != NULL && warren_url_is_openable (url, warren_session_get_server_url (session)))
    gtk_show_uri (GTK_WINDOW (self), url, GDK_CURRENT_TIME);
}

static void
do_session_action (WarrenWindow *self, WarrenSession *session, WarrenUiAction action)
{
  const WarrenUiState *ui = warren_client_get_ui_state (self->client);
  GCancellable *cancellable = self->cancellable;

  if (action == WARREN_ACTION_CONNECT)
    warren_session_connect_async (session, cancellable, on_session_called, g_object_ref (self));
  else if (action == WARREN_ACTION_DISCONNECT || action == WARREN_ACTION_CANCEL)
    warren_session_disconnect_async (session, cancellable, on_session_called, g_object_ref (self));
  else if (action == WARREN_ACTION_SIGN_IN) {
    warren_login_page_expect (self->login_page);
    warren_session_login_async (session, NULL, FALSE, cancellable, on_session_called,
                                g_object_ref (self));
  } else if (action == WARREN_ACTION_OPEN_LOGIN_PAGE)
    warren_login_page_expect (self->login_page);
  else if (action == WARREN_ACTION_CANCEL_LOGIN)
    warren_session_cancel_login_async (session, cancellable, on_session_called,
                                       g_object_ref (self));
  else if (action == WARREN_ACTION_STOP_EXIT_NODE)
    warren_session_set_exit_node_async (session, "", cancellable, on_session_called,
                                        g_object_ref (self));
  else if (action == WARREN_ACTION_OPEN_APPROVAL_PAGE)
    open_url (self, session,
              warren_bus_session_get_approval_url (warren_session_get_bus (session)));
  else if (action == WARREN_ACTION_OPEN_URL)
    open_url (self, session, ui->notice_url);
}

void
warren_window_do (WarrenWindow *self, WarrenUiAction action)
{
  WarrenSession *session = warren_client_get_session (self->client);

  if (action == WARREN_ACTION_START_SERVICE)
    warren_client_start_service_async (self->client, self->cancellable, on_client_called,
                                       g_object_ref (self));
  else if (action == WARREN_ACTION_RESTART_SERVICE)
    warren_client_restart_service_async (self->client, self->cancellable, on_client_called,
                                         g_object_ref (self));
  else if (action == WARREN_ACTION_CHOOSE_EXIT_NODE)
    warren_window_show_exit_nodes (self);
  else if (session != NULL)
    do_session_action (self, session, action);
}

/* --- actions
 * ------------------------------------------------------------------------------------------ */

static void
on_do (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_do (self, g_variant_get_int32 (parameter));
}

static void
on_toast (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_toast (self, g_variant_get_string (parameter, NULL));
}

static void
on_set_wanted (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_do (self, g_variant_get_boolean (parameter) ? WARREN_ACTION_CONNECT
                                                            : WARREN_ACTION_DISCONNECT);
}

static void
on_toggle_connection (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenWindow *self = user_data;
  WarrenSession *session = warren_client_get_session (self->client);

  if (session != NULL)
    warren_window_do (self, warren_session_get_wanted (session) ? WARREN_ACTION_DISCONNECT
                                                                : WARREN_ACTION_CONNECT);
}

static void
copy (WarrenWindow *self, const char *text)
{
  g_autofree char *said = NULL;

  if (text == NULL || *text == '\0')
    return;
  gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), text);
  said = g_strdup_printf (_ ("Copied %s"), text);
  warren_window_toast (self, said);
}

static void
on_copy (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  copy (self, g_variant_get_string (parameter, NULL));
}

static void
on_copy_address (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenWindow *self = user_data;
  WarrenDevice *device = warren_main_page_get_device (self->main_page);

  if (device != NULL)
    copy (self, warren_device_get_address (device));
}

static void
on_copy_name (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenWindow *self = user_data;
  WarrenDevice *device = warren_main_page_get_device (self->main_page);

  if (device != NULL)
    copy (self, warren_device_get_fqdn (device));
}

static void
on_ping (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  warren_main_page_ping (WARREN_WINDOW (user_data)->main_page);
}

static void
on_search (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  warren_main_page_start_search (WARREN_WINDOW (user_data)->main_page);
}

static void
on_exit_node (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  warren_window_show_exit_nodes (user_data);
}

static void
on_back (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenWindow *self = user_data;

  if (self->adding_account) {
    self->adding_account = FALSE;
    warren_window_update (self);
  } else {
    warren_main_page_go_back (self->main_page);
  }
}

static void
on_set_exit_node (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenWindow *self = user_data;
  WarrenSession *session = warren_client_get_session (self->client);
  const char *node = g_variant_get_string (parameter, NULL);

  if (session == NULL)
    return;
  if (*node != '\0' && !g_str_equal (node, "auto:any"))
    warren_settings_add_recent_exit_node (self->settings, node);
  warren_session_set_exit_node_async (session, node, self->cancellable, on_session_called,
                                      g_object_ref (self));
}

static void
on_allow_lan (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenWindow *self = user_data;
  WarrenSession *session = warren_client_get_session (self->client);
  GVariantDict changes;

  if (session == NULL)
    return;
  g_variant_dict_init (&changes, NULL);
  g_variant_dict_insert_value (&changes, "ExitNodeAllowLan", parameter);
  warren_session_set_preferences_async (session, g_variant_dict_end (&changes), self->cancellable,
                                        on_session_called, g_object_ref (self));
}

static void
on_cancel_login (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_do (self, WARREN_ACTION_CANCEL_LOGIN);
}

static void
on_add_account (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_add_account (self);
}

/* The tick moves when the daemon has changed over. */
static void
on_account (GSimpleAction *action, GVariant *path, gpointer user_data)
{
  WarrenWindow *self = user_data;

  warren_client_activate_session_async (self->client, g_variant_get_string (path, NULL),
                                        self->cancellable, on_client_called, g_object_ref (self));
}

static void
on_sign_out_answer (WarrenWindow *self, const char *response)
{
  WarrenSession *session = warren_client_get_session (self->client);

  if (g_str_equal (response, "sign-out") && session != NULL)
    warren_session_logout_async (session, self->cancellable, on_session_called,
                                 g_object_ref (self));
}

static void
on_sign_out (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenWindow *self = user_data;
  GtkWidget *dialog = adw_message_dialog_new (GTK_WINDOW (self), _ ("Sign Out?"),
                                              _ ("This device leaves the network and forgets its "
                                                 "keys. To come back you must sign in again, "
                                                 "and an administrator may have to approve it."));

  adw_message_dialog_add_responses (ADW_MESSAGE_DIALOG (dialog), "cancel", _ ("_Cancel"),
                                    "sign-out", _ ("_Sign Out"), NULL);
  adw_message_dialog_set_response_appearance (ADW_MESSAGE_DIALOG (dialog), "sign-out",
                                              ADW_RESPONSE_DESTRUCTIVE);
  g_signal_connect_object (dialog, "response", G_CALLBACK (on_sign_out_answer), self,
                           G_CONNECT_SWAPPED);
  gtk_window_present (GTK_WINDOW (dialog));
}

void
warren_window_install_actions (WarrenWindow *self)
{
  static const GActionEntry entries[] = {
      {"do", on_do, "i", NULL, NULL, {0}},
      {"toast", on_toast, "s", NULL, NULL, {0}},
      {"set-wanted", on_set_wanted, "b", NULL, NULL, {0}},
      {"toggle-connection", on_toggle_connection, NULL, NULL, NULL, {0}},
      {"copy", on_copy, "s", NULL, NULL, {0}},
      {"copy-address", on_copy_address, NULL, NULL, NULL, {0}},
      {"copy-name", on_copy_name, NULL, NULL, NULL, {0}},
      {"ping", on_ping, NULL, NULL, NULL, {0}},
      {"search", on_search, NULL, NULL, NULL, {0}},
      {"exit-node", on_exit_node, NULL, NULL, NULL, {0}},
      {"back", on_back, NULL, NULL, NULL, {0}},
      {"set-exit-node", on_set_exit_node, "s", NULL, NULL, {0}},
      {"allow-lan", on_allow_lan, "b", NULL, NULL, {0}},
      {"cancel-login", on_cancel_login, NULL, NULL, NULL, {0}},
      {"add-account", on_add_account, NULL, NULL, NULL, {0}},
      {"account", on_account, "s", "''", NULL, {0}},
      {"sign-out", on_sign_out, NULL, NULL, NULL, {0}},
  };

  g_action_map_add_action_entries (G_ACTION_MAP (self), entries, G_N_ELEMENTS (entries), self);
}

static void
enable (WarrenWindow *self, const char *name, gboolean enabled)
{
  GAction *action = g_action_map_lookup_action (G_ACTION_MAP (self), name);

  g_simple_action_set_enabled (G_SIMPLE_ACTION (action), enabled);
}

void
warren_window_update_actions (WarrenWindow *self)
{
  WarrenSession *session = warren_client_get_session (self->client);
  const WarrenUiState *ui = warren_client_get_ui_state (self->client);
  GAction *account = g_action_map_lookup_action (G_ACTION_MAP (self), "account");
  gboolean own = session != NULL && ui != NULL && ui->kind > WARREN_UI_IN_USE;

  enable (self, "toggle-connection", own);
  enable (self, "set-wanted", own);
  enable (self, "exit-node", own);
  enable (self, "search", own);
  enable (self, "sign-out", own && ui->kind != WARREN_UI_NEEDS_LOGIN);
  enable (self, "add-account", own);
  if (session != NULL && !warren_client_is_stale (self->client))
    g_simple_action_set_state (G_SIMPLE_ACTION (account),
                               g_variant_new_string (warren_session_get_path (session)));
}
