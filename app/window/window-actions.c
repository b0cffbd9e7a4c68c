/* The actions of the window: every command of its pages, by name. spec/desktop.md §5.5. */
#include "client/action.h"
#include "client/settings.h"
#include "window/window-private.h"

#include <glib/gi18n-lib.h>

static void
on_failed (gpointer view, const char *text)
{
  warren_window_toast (view, text);
  warren_window_update (view);
}

void
warren_window_do (WarrenWindow *self, WarrenUiAction action)
{
  WarrenSession *session = warren_client_get_session (self->client);
  const char *url = warren_client_get_action_url (self->client, action);

  if (warren_client_do_action (self->client, action, self->cancellable, self, on_failed))
    return;
  if (action == WARREN_ACTION_CHOOSE_EXIT_NODE)
    warren_window_show_exit_nodes (self);
  else if (url != NULL)
    gtk_show_uri (GTK_WINDOW (self), url, GDK_CURRENT_TIME);
  else if (session != NULL
           && (action == WARREN_ACTION_SIGN_IN || action == WARREN_ACTION_OPEN_LOGIN_PAGE)) {
    warren_login_page_expect (self->login_page);
    if (action == WARREN_ACTION_SIGN_IN)
      warren_session_login_async (session, NULL, FALSE, self->cancellable, warren_report_failure,
                                  warren_reporter_new (self, on_failed));
  }
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
  WarrenWindow *self = user_data;

  if (self->view == WARREN_VIEW_NETWORK)
    warren_network_page_start_search (self->network_page);
  else
    warren_main_page_start_search (self->main_page);
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

  if (self->view == WARREN_VIEW_STATE)
    warren_main_page_go_back (self->main_page);
  else if (self->view != WARREN_VIEW_NETWORK || !warren_network_page_go_back (self->network_page))
    warren_window_set_view (self, WARREN_VIEW_STATE);
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
  warren_session_set_exit_node_async (session, node, self->cancellable, warren_report_failure,
                                      warren_reporter_new (self, on_failed));
}

static void
on_allow_lan (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenWindow *self = user_data;
  WarrenSession *session = warren_client_get_session (self->client);

  if (session != NULL)
    warren_session_allow_lan (session, g_variant_get_boolean (parameter), self->cancellable, self,
                              on_failed);
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

static void
on_network (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_show_network (self);
}

static void
on_create_network (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_set_view (self, WARREN_VIEW_CREATE_NETWORK);
}

/* The tick moves when the daemon has changed over. */
static void
on_account (GSimpleAction *action, GVariant *path, gpointer user_data)
{
  WarrenWindow *self = user_data;

  warren_client_activate_session_async (self->client, g_variant_get_string (path, NULL),
                                        self->cancellable, warren_report_failure,
                                        warren_reporter_new (self, on_failed));
}

static void
on_sign_out_answer (WarrenWindow *self, const char *response)
{
  WarrenSession *session = warren_client_get_session (self->client);

  if (g_str_equal (response, "sign-out") && session != NULL)
    warren_session_logout_async (session, self->cancellable, warren_report_failure,
                                 warren_reporter_new (self, on_failed));
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
      {"network", on_network, NULL, NULL, NULL, {0}},
      {"create-network", on_create_network, NULL, NULL, NULL, {0}},
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
  WarrenNetwork *network = warren_client_get_network (self->client);
  gboolean may_serve = !g_str_equal (warren_client_get_permission (self->client, "serve"), "no");
  gboolean own = session != NULL && ui != NULL && ui->kind > WARREN_UI_IN_USE;

  enable (self, "toggle-connection", own);
  enable (self, "set-wanted", own);
  enable (self, "exit-node", own);
  enable (self, "search", own);
  enable (self, "sign-out", own && ui->kind != WARREN_UI_NEEDS_LOGIN);
  enable (self, "add-account", own);
  enable (self, "network", may_serve && warren_network_exists (network));
  enable (self, "create-network",
          may_serve && warren_network_is_supported (network) && !warren_network_exists (network));
  if (session != NULL && !warren_client_is_stale (self->client))
    g_simple_action_set_state (G_SIMPLE_ACTION (account),
                               g_variant_new_string (warren_session_get_path (session)));
}
