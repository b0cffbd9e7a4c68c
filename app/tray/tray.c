#include "tray/tray.h"

#include "client/action.h"
#include "client/error.h"
#include "client/settings.h"
#include "client/sign-in.h"
#include "tray/alerts.h"
#include "tray/clipboard.h"
#include "tray/dbus-menu.h"
#include "tray/menu-model.h"
#include "tray/pick.h"
#include "tray/sni-item.h"
#include "tray/window-link.h"

#include <glib/gi18n-lib.h>
#include <malloc.h>
#include <string.h>

struct _WarrenTray
{
  GApplication parent;

  char *bus_address;
  GSettings *settings; /* NULL without the schema */
  WarrenClient *client;
  GCancellable *cancellable;
  SniItem *item;
  DbusMenu *menu;
  MenuIds *ids;
  Alerts *alerts;
  Clipboard *clipboard;
  guint refresh_id;
  gboolean copy_names;
};

G_DEFINE_FINAL_TYPE (WarrenTray, warren_tray, G_TYPE_APPLICATION)

static void do_action (WarrenTray *self, WarrenUiAction action, const char *token);

/* --- showing
 * ---------------------------------------------------------------------------------------- */

static gboolean
may (WarrenTray *self, const char *action)
{
  return !g_str_equal (warren_client_get_permission (self->client, action), "no");
}

static gboolean
is_gnome (void)
{
  const char *desktop = g_getenv ("XDG_CURRENT_DESKTOP");

  return desktop != NULL && strstr (desktop, "GNOME") != NULL;
}

static GPtrArray *
list_accounts (WarrenTray *self, GPtrArray *store)
{
  GPtrArray *sessions = warren_client_get_sessions (self->client);
  GPtrArray *accounts = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < sessions->len; i++) {
    WarrenSession *session = sessions->pdata[i];
    MenuAccount *account = g_new0 (MenuAccount, 1);
    char *label = warren_session_dup_long_label (session);

    g_ptr_array_add (store, label);
    account->path = warren_session_get_path (session);
    account->account = warren_session_get_account (session);
    account->label = label;
    account->active = session == warren_client_get_session (self->client);
    g_ptr_array_add (accounts, account);
  }
  return accounts;
}

static MenuItem *
build_menu (WarrenTray *self, const WarrenUiState *ui)
{
  WarrenSession *session = warren_client_get_session (self->client);
  g_autoptr (GPtrArray) store = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) accounts = list_accounts (self, store);
  g_auto (GStrv) recent = warren_settings_get_recent_exit_nodes (self->settings);
  g_auto (WarrenExitNode) exit = {0};
  WarrenFacts facts = {0};
  WarrenDevice *devices[MENU_DEVICES_MAX];
  WarrenDevice *nodes[MENU_EXIT_NODES_MAX];
  g_autofree MenuAccount *list = g_new0 (MenuAccount, accounts->len + 1);
  g_autofree char *own_name = NULL;
  MenuFacts m = {.ui = ui, .devices = devices, .exit_nodes = nodes, .accounts = list};

  for (guint i = 0; i < accounts->len; i++)
    list[i] = *(MenuAccount *)accounts->pdata[i];
  m.n_accounts = accounts->len;
  if (session != NULL) {
    warren_session_fill_facts (session, &facts, store);
    warren_session_get_exit_node (session, &exit);
    own_name = warren_session_dup_self_string (session, "Name");
    m.exit_allow_lan = warren_session_get_preference_flag (session, "ExitNodeAllowLan");
  }
  m.network = facts.network_name;
  m.own_name = own_name;
  m.own_address = facts.address;
  m.n_devices
      = pick_devices (warren_client_get_devices (self->client), devices, G_N_ELEMENTS (devices));
  m.n_exit_nodes = pick_exit_nodes (warren_client_get_devices (self->client), exit.id,
                                    (const char *const *)recent, nodes, G_N_ELEMENTS (nodes));
  m.exit_set = exit.set;
  m.exit_automatic = exit.automatic;
  m.exit_id = exit.id;
  m.exit_label = facts.exit_name;
  m.n_waiting = may (self, "serve")
                    ? warren_network_get_pending (warren_client_get_network (self->client))
                    : 0;
  m.may_connect = may (self, "connect");
  m.may_choose_exit = may (self, "exit-node");
  m.may_switch = may (self, "profile");
  m.copy_names = self->copy_names;
  m.open_first = is_gnome ();
  return menu_model_build (&m, self->ids);
}

static const char *
item_status (WarrenTray *self, const WarrenUiState *ui)
{
  if (ui->kind == WARREN_UI_STOPPED
      && warren_settings_get_flag (self->settings, "hide-when-off", FALSE))
    return "Passive";
  return ui->attention ? "NeedsAttention" : "Active";
}

static void
show_icon (WarrenTray *self, const WarrenUiState *ui)
{
  g_autofree char *description = g_strdup_printf ("Warren: %s", ui->headline);
  g_autoptr (GString) text = g_string_new (ui->headline);

  if (*ui->detail != '\0')
    g_string_append_printf (text, "\n%s", ui->detail);
  if (ui->notice != NULL)
    g_string_append_printf (text, "\n%s", ui->notice);
  /* One host guesses at rich text, another parses markup: neither may find any. */
  g_strdelimit (text->str, "&<>", ' ');
  sni_item_set (self->item, ui->icon, item_status (self, ui), "Warren", text->str, description);
}

static gboolean
on_refresh (gpointer data)
{
  WarrenTray *self = data;
  const WarrenUiState *ui = warren_client_get_ui_state (self->client);
  WarrenSession *session = warren_client_get_session (self->client);
  WarrenNetwork *network = warren_client_get_network (self->client);
  g_autoptr (GPtrArray) store = g_ptr_array_new_with_free_func (g_free);
  WarrenFacts facts = {0};
  MenuItem *tree;

  self->refresh_id = 0;
  if (warren_client_is_stale (self->client))
    return G_SOURCE_REMOVE;
  if (session != NULL)
    warren_session_fill_facts (session, &facts, store);
  tree = build_menu (self, ui);
  if (self->menu != NULL)
    dbus_menu_set_tree (self->menu, tree);
  else
    menu_item_free (tree);
  dbus_menu_set_notice (self->menu, ui->attention);
  show_icon (self, ui);
  alerts_update (self->alerts, ui, facts.network_name, facts.exit_name);
  if (warren_network_exists (network) && may (self, "serve"))
    alerts_waiting (self->alerts, warren_network_get_pending (network),
                    warren_network_get_name (network));
  return G_SOURCE_REMOVE;
}

/* What changes together is shown together; nothing is shown before the first state is known, and
 * while the daemon restarts the picture stays as it was. */
static void
queue_refresh (WarrenTray *self)
{
  if (self->refresh_id == 0 && warren_client_is_ready (self->client)
      && !warren_client_is_stale (self->client))
    self->refresh_id = g_idle_add (on_refresh, self);
}

static void
on_devices_updated (WarrenTray *self)
{
  queue_refresh (self);
  /* The message of a large network was a tree of many small pieces; give them back. */
  if (warren_device_list_get_size (warren_client_get_devices (self->client)) > 500)
    malloc_trim (0);
}

/* --- doing
 * ------------------------------------------------------------------------------------------ */

static void
on_failed (gpointer view, const char *text)
{
  alerts_failed (WARREN_TRAY (view)->alerts, text);
}

static void
say_failed (WarrenTray *self, GError *error)
{
  g_autofree char *text = NULL;

  if (warren_error_is_silent (error))
    return;
  text = warren_error_describe (error, NULL);
  on_failed (self, text);
}

static void
open_window (WarrenTray *self, const char *action, GVariant *parameter, const char *token)
{
  window_link_activate (g_application_get_dbus_connection (G_APPLICATION (self)), action, parameter,
                        token != NULL ? token : sni_item_get_activation_token (self->item));
}

/* Without a browser the window shows link and QR code. */
static void
on_signed_in (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenTray) self = user_data;
  g_autoptr (GError) error = NULL;

  if (warren_sign_in_finish (result, &error) || warren_error_is_silent (error))
    return;
  if (error->domain == WARREN_ERROR)
    say_failed (self, error);
  else
    open_window (self, NULL, NULL, NULL);
}

static void
on_login_link (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenTray) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *url
      = warren_session_get_login_url_finish (WARREN_SESSION (source), result, &error);

  if (url != NULL)
    clipboard_set_text (self->clipboard, url);
  else
    say_failed (self, error);
}

static void
sign_in (WarrenTray *self, WarrenSession *session, gboolean page_waits, const char *token)
{
  g_autoptr (GAppLaunchContext) context = warren_launch_context_new (
      token != NULL ? token : sni_item_get_activation_token (self->item));

  if (page_waits)
    warren_open_login_page_async (session, context, self->cancellable, on_signed_in,
                                  g_object_ref (self));
  else
    warren_sign_in_async (session, context, self->cancellable, on_signed_in, g_object_ref (self));
}

static void
open_url (WarrenTray *self, const char *url, const char *token)
{
  g_autoptr (GAppLaunchContext) context = warren_launch_context_new (
      token != NULL ? token : sni_item_get_activation_token (self->item));

  g_app_info_launch_default_for_uri_async (url, context, NULL, NULL, NULL);
}

static void
do_action (WarrenTray *self, WarrenUiAction action, const char *token)
{
  WarrenSession *session = warren_client_get_session (self->client);
  const char *url = warren_client_get_action_url (self->client, action);

  alerts_user_acted (self->alerts);
  if (action == WARREN_ACTION_NONE
      || warren_client_do_action (self->client, action, self->cancellable, self, on_failed))
    return;
  if (url != NULL)
    open_url (self, url, token);
  else if (action == WARREN_ACTION_CHOOSE_EXIT_NODE)
    open_window (self, "exit-node", NULL, token);
  else if (action == WARREN_ACTION_REVIEW_DEVICES)
    open_window (self, "network", NULL, token);
  else if (session == NULL || action == WARREN_ACTION_SET_UP
           || action == WARREN_ACTION_SWITCH_ACCOUNT || action == WARREN_ACTION_SHOW_DETAILS)
    open_window (self, NULL, NULL, token);
  else if (action == WARREN_ACTION_SIGN_IN || action == WARREN_ACTION_OPEN_LOGIN_PAGE)
    sign_in (self, session, warren_session_get_login_pending (session), token);
  else if (action == WARREN_ACTION_COPY_LOGIN_LINK)
    warren_session_get_login_url_async (session, self->cancellable, on_login_link,
                                        g_object_ref (self));
}

/* --- clicks
 * ----------------------------------------------------------------------------------------- */

static void
copy_device (WarrenTray *self, const char *id)
{
  WarrenDevice *device = warren_device_list_lookup (warren_client_get_devices (self->client), id);

  if (device != NULL)
    clipboard_set_text (self->clipboard, self->copy_names ? warren_device_get_fqdn (device)
                                                          : warren_device_get_address (device));
}

static void
copy_own_address (WarrenTray *self, WarrenSession *session)
{
  g_auto (GStrv) addresses = warren_session_dup_self_addresses (session);
  g_autofree char *fqdn = warren_session_dup_self_string (session, "Fqdn");

  if (self->copy_names && fqdn != NULL)
    clipboard_set_text (self->clipboard, fqdn);
  else if (addresses != NULL && addresses[0] != NULL)
    clipboard_set_text (self->clipboard, addresses[0]);
}

static void
choose_exit_node (WarrenTray *self, WarrenSession *session, const char *node)
{
  alerts_user_acted (self->alerts);
  if (*node != '\0' && !g_str_equal (node, "auto:any"))
    warren_settings_add_recent_exit_node (self->settings, node);
  warren_session_set_exit_node_async (session, node, self->cancellable, warren_report_failure,
                                      warren_reporter_new (self, on_failed));
}

static void
click_dynamic (WarrenTray *self, WarrenSession *session, int id)
{
  const char *device = menu_ids_lookup (self->ids, "device", id);
  const char *exit = menu_ids_lookup (self->ids, "exit", id);
  const char *account = menu_ids_lookup (self->ids, "account", id);

  if (device != NULL)
    copy_device (self, device);
  else if (exit != NULL)
    choose_exit_node (self, session, exit);
  else if (account != NULL)
    warren_client_activate_session_async (self->client, account, self->cancellable,
                                          warren_report_failure,
                                          warren_reporter_new (self, on_failed));
}

static void
click_session (WarrenTray *self, WarrenSession *session, int id)
{
  switch (id) {
    case MENU_THIS_DEVICE:
      copy_own_address (self, session);
      return;
    case MENU_EXIT_NONE:
      choose_exit_node (self, session, "");
      return;
    case MENU_EXIT_AUTOMATIC:
      choose_exit_node (self, session, "auto:any");
      return;
    case MENU_EXIT_ALLOW_LAN:
      warren_session_allow_lan (session,
                                !warren_session_get_preference_flag (session, "ExitNodeAllowLan"),
                                self->cancellable, self, on_failed);
      return;
    default:
      click_dynamic (self, session, id);
      return;
  }
}

static void
on_clicked (int id, gpointer user_data)
{
  WarrenTray *self = user_data;
  const WarrenUiState *ui = warren_client_get_ui_state (self->client);
  WarrenSession *session = warren_client_get_session (self->client);

  switch (id) {
    case MENU_TOGGLE:
      do_action (self, menu_model_toggle (ui), NULL);
      return;
    case MENU_PRIMARY:
      do_action (self, ui->primary, NULL);
      return;
    case MENU_SECONDARY:
      do_action (self, ui->secondary, NULL);
      return;
    case MENU_COPY_LINK:
      do_action (self, WARREN_ACTION_COPY_LOGIN_LINK, NULL);
      return;
    case MENU_NOTICE:
    case MENU_NOTICE_MORE:
    case MENU_NOTICE_MORE + 1:
    case MENU_NOTICE_MORE + 2:
    case MENU_NOTICE_MORE + 3:
      do_action (self, ui->notice_url != NULL ? WARREN_ACTION_OPEN_URL : WARREN_ACTION_SHOW_DETAILS,
                 NULL);
      return;
    case MENU_WAITING:
      do_action (self, WARREN_ACTION_REVIEW_DEVICES, NULL);
      return;
    case MENU_COPY_NAMES:
      self->copy_names = !self->copy_names;
      if (self->settings != NULL)
        g_settings_set_boolean (self->settings, "copy-names", self->copy_names);
      queue_refresh (self);
      return;
    case MENU_ALL_DEVICES:
    case MENU_OPEN:
      open_window (self, NULL, NULL, NULL);
      return;
    case MENU_EXIT_CHOOSE:
      open_window (self, "exit-node", NULL, NULL);
      return;
    case MENU_ADD_ACCOUNT:
      open_window (self, "add-account", NULL, NULL);
      return;
    case MENU_QUIT:
      g_application_quit (G_APPLICATION (self));
      return;
    default:
      if (session != NULL)
        click_session (self, session, id);
      return;
  }
}

static void
on_left_click (gpointer user_data)
{
  open_window (user_data, NULL, NULL, NULL);
}

static void
on_middle_click (gpointer user_data)
{
  WarrenTray *self = user_data;

  if (warren_client_is_ready (self->client))
    do_action (self, menu_model_toggle (warren_client_get_ui_state (self->client)), NULL);
}

static void
on_alert_action (WarrenUiAction action, const char *token, gpointer user_data)
{
  do_action (user_data, action, token);
}

static void
on_copy_fallback (const char *text, gpointer user_data)
{
  open_window (user_data, "copy", g_variant_new_string (text), NULL);
}

/* --- application
 * ------------------------------------------------------------------------------------ */

/* An empty menu until the first state is known: the item is not registered before. */
static gboolean
export_objects (WarrenTray *self, GError **error)
{
  static const SniItemCallbacks callbacks = {on_left_click, on_middle_click};
  GDBusConnection *bus = g_application_get_dbus_connection (G_APPLICATION (self));

  if (bus == NULL) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED, "there is no session bus");
    return FALSE;
  }
  self->menu = dbus_menu_new (bus, menu_item_new (MENU_ROOT, MENU_SHAPE_SUBMENU, NULL), on_clicked,
                              self, error);
  self->item = self->menu != NULL
                   ? sni_item_new (bus, g_getenv ("WARREN_ICON_DIR"), &callbacks, self, error)
                   : NULL;
  return self->item != NULL;
}

static void
warren_tray_startup (GApplication *app)
{
  WarrenTray *self = WARREN_TRAY (app);
  GDBusConnection *bus = g_application_get_dbus_connection (app);
  g_autoptr (GError) error = NULL;

  G_APPLICATION_CLASS (warren_tray_parent_class)->startup (app);
  if (!export_objects (self, &error)) {
    g_printerr ("warren-tray: %s\n", error->message);
    return;
  }
  self->settings = warren_settings_new ();
  self->copy_names = warren_settings_get_flag (self->settings, "copy-names", FALSE);
  self->clipboard = clipboard_new (bus, on_copy_fallback, self);
  self->alerts = alerts_new (bus, self->settings, on_alert_action, self);
  self->client = warren_client_new (self->bus_address, WARREN_CLIENT_WITH_DEVICES);
  g_signal_connect_object (self->client, "changed", G_CALLBACK (queue_refresh), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (warren_client_get_network (self->client), "changed",
                           G_CALLBACK (queue_refresh), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (warren_client_get_devices (self->client), "updated",
                           G_CALLBACK (on_devices_updated), self, G_CONNECT_SWAPPED);
  g_application_hold (app);
}

static void
warren_tray_shutdown (GApplication *app)
{
  WarrenTray *self = WARREN_TRAY (app);

  g_cancellable_cancel (self->cancellable);
  g_clear_handle_id (&self->refresh_id, g_source_remove);
  g_clear_object (&self->client);
  g_clear_pointer (&self->alerts, alerts_free);
  g_clear_pointer (&self->clipboard, clipboard_free);
  g_clear_pointer (&self->item, sni_item_free);
  g_clear_pointer (&self->menu, dbus_menu_free);
  g_clear_object (&self->settings);
  G_APPLICATION_CLASS (warren_tray_parent_class)->shutdown (app);
}

/* A second start only finds the first one. */
static void
warren_tray_activate (GApplication *app)
{
}

static int
warren_tray_handle_local_options (GApplication *app, GVariantDict *options)
{
  WarrenTray *self = WARREN_TRAY (app);

  g_variant_dict_lookup (options, "bus", "s", &self->bus_address);
  if (g_variant_dict_contains (options, "version")) {
    g_print ("%s\n", WARREN_VERSION);
    return 0;
  }
  return -1;
}

static void
warren_tray_finalize (GObject *object)
{
  WarrenTray *self = WARREN_TRAY (object);

  g_clear_pointer (&self->ids, menu_ids_free);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->bus_address, g_free);
  G_OBJECT_CLASS (warren_tray_parent_class)->finalize (object);
}

static void
warren_tray_class_init (WarrenTrayClass *klass)
{
  GApplicationClass *app_class = G_APPLICATION_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = warren_tray_finalize;
  app_class->startup = warren_tray_startup;
  app_class->shutdown = warren_tray_shutdown;
  app_class->activate = warren_tray_activate;
  app_class->handle_local_options = warren_tray_handle_local_options;
}

static void
warren_tray_init (WarrenTray *self)
{
  static const GOptionEntry entries[]
      = {{"bus", 0, 0, G_OPTION_ARG_STRING, NULL,
          N_ ("Message bus of the service, instead of $WARREN_BUS"), N_ ("ADDRESS")},
         {"version", 0, 0, G_OPTION_ARG_NONE, NULL, N_ ("Print the version"), NULL},
         {NULL}};

  self->ids = menu_ids_new ();
  self->cancellable = g_cancellable_new ();
  g_application_add_main_option_entries (G_APPLICATION (self), entries);
  g_application_set_option_context_summary (G_APPLICATION (self),
                                            _ ("The icon of Warren in the panel"));
}

GApplication *
warren_tray_new (void)
{
  return g_object_new (WARREN_TYPE_TRAY, "application-id", "org.warrenvpn.Warren.Tray", "flags",
                       G_APPLICATION_DEFAULT_FLAGS, NULL);
}
