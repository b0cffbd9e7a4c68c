#include "window/window-private.h"

#include <glib/gi18n-lib.h>

G_DEFINE_FINAL_TYPE (WarrenWindow, warren_window, ADW_TYPE_APPLICATION_WINDOW)

/* --- pages
 * -------------------------------------------------------------------------------------------- */

static void
show_service_page (WarrenWindow *self, const WarrenUiState *ui)
{
  g_autofree char *hint = NULL;

  adw_status_page_set_icon_name (self->service_page, ui->icon);
  adw_status_page_set_title (self->service_page, ui->headline);
  adw_status_page_set_description (self->service_page, ui->detail);
  gtk_button_set_label (self->service_button, warren_ui_action_label (ui->primary));
  /* Translators: %s is a command */
  hint = g_strdup_printf (_ ("In a terminal: %s"), ui->kind == WARREN_UI_DAEMON_OLD
                                                       ? "sudo systemctl restart warrend"
                                                       : "sudo systemctl start warrend");
  gtk_label_set_label (self->service_hint, hint);
  gtk_widget_set_visible (GTK_WIDGET (self->service_hint), ui->kind != WARREN_UI_IN_USE);
  gtk_widget_set_visible (GTK_WIDGET (self->service_button), ui->kind != WARREN_UI_IN_USE);
}

/* Signing in again stays in the main page's headline until a page of the server waits. */
static const char *
page_for (WarrenWindow *self, const WarrenUiState *ui)
{
  if (ui == NULL)
    return "loading";
  if (ui->kind <= WARREN_UI_DAEMON_OLD || ui->kind == WARREN_UI_IN_USE)
    return "service";
  if (self->view == WARREN_VIEW_NETWORK)
    return "network";
  if (self->view == WARREN_VIEW_CREATE_NETWORK)
    return "create-network";
  if (ui->kind == WARREN_UI_FIRST_RUN || self->view == WARREN_VIEW_ADD_ACCOUNT)
    return "welcome";
  return ui->kind == WARREN_UI_WAITING_BROWSER ? "login" : "main";
}

/* An invitation asks for the page that can take it; a view whose reason is gone gives way. */
static void
check_view (WarrenWindow *self)
{
  gboolean network = warren_network_exists (warren_client_get_network (self->client));

  if (warren_client_is_stale (self->client) || !warren_client_is_ready (self->client))
    return;
  if (self->invite_server != NULL)
    self->view = WARREN_VIEW_ADD_ACCOUNT;
  if ((self->view == WARREN_VIEW_NETWORK && !network)
      || (self->view == WARREN_VIEW_ADD_ACCOUNT
          && warren_client_get_session (self->client) == NULL))
    self->view = WARREN_VIEW_STATE;
}

void
warren_window_update (WarrenWindow *self)
{
  const WarrenUiState *ui = warren_client_get_ui_state (self->client);
  const char *page;

  check_view (self);
  page = page_for (self, ui);

  if (ui != NULL && g_str_equal (page, "service"))
    show_service_page (self, ui);
  if (g_strcmp0 (gtk_stack_get_visible_child_name (self->pages), page) != 0) {
    if (g_str_equal (page, "welcome"))
      warren_welcome_page_reset (self->welcome_page, self->view == WARREN_VIEW_ADD_ACCOUNT);
    if (g_str_equal (page, "create-network"))
      warren_create_network_page_reset (self->create_page);
    gtk_stack_set_visible_child_name (self->pages, page);
    if (g_str_equal (page, "create-network"))
      gtk_widget_grab_focus (GTK_WIDGET (self->create_page));
  }
  if (g_str_equal (page, "welcome") && self->invite_server != NULL) {
    warren_welcome_page_invite (self->welcome_page, self->invite_server, self->invite_key);
    g_clear_pointer (&self->invite_server, g_free);
    g_clear_pointer (&self->invite_key, g_free);
  }
  warren_window_update_actions (self);
}

void
warren_window_toast (WarrenWindow *self, const char *text)
{
  g_autofree char *escaped = g_markup_escape_text (text, -1);
  AdwToast *toast = adw_toast_new (escaped);

  adw_toast_set_timeout (toast, 3);
  adw_toast_overlay_add_toast (self->toasts, toast);
}

void
warren_window_set_view (WarrenWindow *self, WarrenView view)
{
  self->view = view;
  warren_window_update (self);
}

/* --- callbacks of the template
 * ------------------------------------------------------------------------ */

static void
on_service_button (WarrenWindow *self)
{
  warren_window_do (self, warren_client_get_ui_state (self->client)->primary);
}

/* The user has just asked for it here: the browser may open without another click. */
static void
on_session_created (WarrenWindow *self, const char *path)
{
  self->view = WARREN_VIEW_STATE;
  warren_login_page_expect (self->login_page);
  warren_window_update (self);
}

/* --- public
 * ------------------------------------------------------------------------------------------- */

void
warren_window_show_exit_nodes (WarrenWindow *self)
{
  warren_main_page_show_exit_nodes (self->main_page);
}

void
warren_window_add_account (WarrenWindow *self)
{
  warren_window_set_view (self, warren_client_get_session (self->client) != NULL
                                    ? WARREN_VIEW_ADD_ACCOUNT
                                    : WARREN_VIEW_STATE);
}

void
warren_window_show_network (WarrenWindow *self)
{
  if (warren_network_exists (warren_client_get_network (self->client)))
    warren_window_set_view (self, WARREN_VIEW_NETWORK);
  else
    self->network_expected = !warren_client_is_ready (self->client);
}

void
warren_window_invite (WarrenWindow *self, const char *server, const char *key)
{
  g_free (self->invite_server);
  g_free (self->invite_key);
  self->invite_server = g_strdup (server);
  self->invite_key = g_strdup (key);
  warren_window_update (self);
}

static void
restore_size (WarrenWindow *self)
{
  if (self->settings == NULL)
    return;
  gtk_window_set_default_size (GTK_WINDOW (self),
                               g_settings_get_int (self->settings, "window-width"),
                               g_settings_get_int (self->settings, "window-height"));
  if (g_settings_get_boolean (self->settings, "window-maximized"))
    gtk_window_maximize (GTK_WINDOW (self));
}

/* The window may have been opened for the network before anything was known of it. */
static void
on_network_changed (WarrenWindow *self)
{
  if (self->network_expected)
    warren_window_show_network (self);
  warren_window_update (self);
}

static gboolean
warren_window_close_request (GtkWindow *window)
{
  WarrenWindow *self = WARREN_WINDOW (window);
  int width, height;

  if (self->settings != NULL) {
    gtk_window_get_default_size (window, &width, &height);
    g_settings_set_int (self->settings, "window-width", width);
    g_settings_set_int (self->settings, "window-height", height);
    g_settings_set_boolean (self->settings, "window-maximized", gtk_window_is_maximized (window));
  }
  warren_network_page_finish (self->network_page);
  return GTK_WINDOW_CLASS (warren_window_parent_class)->close_request (window);
}

WarrenWindow *
warren_window_new (GtkApplication *app, WarrenClient *client, GSettings *settings)
{
  WarrenWindow *self = g_object_new (WARREN_TYPE_WINDOW, "application", app, NULL);

  self->client = g_object_ref (client);
  g_set_object (&self->settings, settings);
  restore_size (self);
  warren_window_install_actions (self);
  warren_welcome_page_set_client (self->welcome_page, client);
  warren_login_page_set_client (self->login_page, client);
  warren_main_page_set_client (self->main_page, client);
  warren_create_network_page_set_client (self->create_page, client);
  warren_network_page_set_client (self->network_page, client);
  warren_main_page_capture_keys (self->main_page, GTK_WIDGET (self));
  g_signal_connect_object (client, "changed", G_CALLBACK (warren_window_update), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (warren_client_get_network (client), "changed",
                           G_CALLBACK (on_network_changed), self, G_CONNECT_SWAPPED);
  warren_window_update (self);
  return self;
}

static void
warren_window_dispose (GObject *object)
{
  WarrenWindow *self = WARREN_WINDOW (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->client);
  g_clear_object (&self->settings);
  g_clear_pointer (&self->invite_server, g_free);
  g_clear_pointer (&self->invite_key, g_free);
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_WINDOW);
  G_OBJECT_CLASS (warren_window_parent_class)->dispose (object);
}

static void
warren_window_class_init (WarrenWindowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_window_dispose;
  GTK_WINDOW_CLASS (klass)->close_request = warren_window_close_request;
  g_type_ensure (WARREN_TYPE_CREATE_NETWORK_PAGE);
  g_type_ensure (WARREN_TYPE_NETWORK_PAGE);
  g_type_ensure (WARREN_TYPE_WELCOME_PAGE);
  g_type_ensure (WARREN_TYPE_LOGIN_PAGE);
  g_type_ensure (WARREN_TYPE_MAIN_PAGE);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/warrenvpn/Warren/ui/window.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, pages);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, service_page);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, service_button);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, service_hint);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, welcome_page);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, login_page);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, main_page);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, create_page);
  gtk_widget_class_bind_template_child (widget_class, WarrenWindow, network_page);
  gtk_widget_class_bind_template_callback (widget_class, on_service_button);
  gtk_widget_class_bind_template_callback (widget_class, on_session_created);
}

static void
warren_window_init (WarrenWindow *self)
{
  self->cancellable = g_cancellable_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
}
