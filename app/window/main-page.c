#include "window/main-page.h"

#include "window/banner.h"
#include "window/device-groups.h"
#include "window/device-page.h"
#include "window/device-row.h"
#include "window/exit-page.h"
#include "window/rows.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

struct _WarrenMainPage
{
  GtkWidget parent;

  AdwLeaflet *leaflet;
  GtkWidget *sidebar;
  GtkWidget *content;
  GtkSearchBar *search_bar;
  GtkSearchEntry *search_entry;
  WarrenBanner *banner;
  GtkImage *state_icon;
  AdwActionRow *state_row;
  GtkSwitch *connect_switch;
  GtkButton *state_button;
  AdwActionRow *own_row;
  AdwActionRow *exit_row;
  GtkLabel *exit_label;
  AdwActionRow *network_row;
  GtkLabel *network_badge;
  GtkStack *list_stack;
  GtkListView *list;
  AdwWindowTitle *title;
  AdwWindowTitle *content_title;
  GtkStack *content_stack;
  WarrenDevicePage *device_page;
  WarrenExitPage *exit_page;
  GMenu *accounts_section;

  WarrenClient *client;
  WarrenDeviceGroups *groups;
  GtkSingleSelection *selection;
  WarrenUiAction state_action; /* of the button beside the headline */
  gboolean was_empty;          /* there was no device to show */
};

G_DEFINE_FINAL_TYPE (WarrenMainPage, warren_main_page, GTK_TYPE_WIDGET)

/* --- list
 * ------------------------------------------------------------------------------------------ */

static void
on_setup_row (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  gtk_list_item_set_child (item, warren_device_row_new ());
}

static void
on_bind_row (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  gpointer object = gtk_list_item_get_item (item);
  gboolean is_device = WARREN_IS_DEVICE (object);

  gtk_list_item_set_selectable (item, is_device);
  gtk_list_item_set_activatable (item, is_device);
  warren_device_row_set_item (WARREN_DEVICE_ROW (gtk_list_item_get_child (item)), object);
}

static void
on_unbind_row (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  warren_device_row_set_item (WARREN_DEVICE_ROW (gtk_list_item_get_child (item)), NULL);
}

static void
show_content (WarrenMainPage *self, const char *name, const char *title)
{
  gtk_stack_set_visible_child_name (self->content_stack, name);
  adw_window_title_set_title (self->content_title, title);
  adw_leaflet_set_visible_child (self->leaflet, self->content);
}

static void
open_device (WarrenMainPage *self, WarrenDevice *device)
{
  warren_device_page_set_device (self->device_page, device);
  show_content (self, "device", "");
}

static void
on_row_activated (WarrenMainPage *self, guint position)
{
  g_autoptr (GObject) item = g_list_model_get_item (G_LIST_MODEL (self->selection), position);

  gtk_single_selection_set_selected (self->selection, position);
  if (WARREN_IS_DEVICE (item))
    open_device (self, WARREN_DEVICE (item));
}

static void
scroll_to_top (WarrenMainPage *self)
{
  gtk_list_view_set_model (self->list, NULL);
  gtk_list_view_set_model (self->list, GTK_SELECTION_MODEL (self->selection));
}

static void
update_list_stack (WarrenMainPage *self)
{
  gboolean any = g_list_model_get_n_items (warren_device_groups_get_model (self->groups)) > 0;
  gboolean searching = gtk_search_bar_get_search_mode (self->search_bar);

  /* A list view stays with the row it showed first, and a heading comes before that row. */
  if (any && self->was_empty)
    scroll_to_top (self);
  self->was_empty = !any;
  gtk_stack_set_visible_child_name (self->list_stack, any         ? "devices"
                                                      : searching ? "nothing-found"
                                                                  : "no-devices");
}

static void
on_search_changed (WarrenMainPage *self)
{
  warren_device_groups_search (self->groups,
                               gtk_editable_get_text (GTK_EDITABLE (self->search_entry)));
  scroll_to_top (self);
  update_list_stack (self);
}

/* Enter opens the first device that was found. */
static void
on_search_activate (WarrenMainPage *self)
{
  GListModel *model = G_LIST_MODEL (self->selection);
  guint n = g_list_model_get_n_items (model);

  for (guint i = 0; i < n; i++) {
    g_autoptr (GObject) item = g_list_model_get_item (model, i);

    if (WARREN_IS_DEVICE (item)) {
      on_row_activated (self, i);
      return;
    }
  }
}

/* --- state
 * ------------------------------------------------------------------------------------------ */

/* What the switch can say goes to the switch; everything else gets a button. */
static WarrenUiAction
button_action (const WarrenUiState *ui)
{
  switch (ui->primary) {
    case WARREN_ACTION_CONNECT:
      return ui->kind == WARREN_UI_ERROR ? WARREN_ACTION_CONNECT : WARREN_ACTION_NONE;
    case WARREN_ACTION_DISCONNECT:
    case WARREN_ACTION_CANCEL:
    case WARREN_ACTION_SHOW_DETAILS:
    case WARREN_ACTION_CHOOSE_EXIT_NODE:
      return WARREN_ACTION_NONE;
    case WARREN_ACTION_NONE:
    case WARREN_ACTION_SIGN_IN:
    case WARREN_ACTION_OPEN_LOGIN_PAGE:
    case WARREN_ACTION_COPY_LOGIN_LINK:
    case WARREN_ACTION_CANCEL_LOGIN:
    case WARREN_ACTION_OPEN_APPROVAL_PAGE:
    case WARREN_ACTION_SET_UP:
    case WARREN_ACTION_START_SERVICE:
    case WARREN_ACTION_RESTART_SERVICE:
    case WARREN_ACTION_SWITCH_ACCOUNT:
    case WARREN_ACTION_OPEN_PORTAL:
    case WARREN_ACTION_STOP_EXIT_NODE:
    case WARREN_ACTION_OPEN_URL:
    case WARREN_ACTION_REVIEW_DEVICES:
    default:
      return ui->primary;
  }
}

static const char *
state_class (const WarrenUiState *ui)
{
  if (ui->attention)
    return "attention";
  return warren_ui_kind_is_connected (ui->kind) ? "connected" : "";
}

static void
show_state (WarrenMainPage *self, const WarrenUiState *ui, WarrenSession *session)
{
  const char *const classes[] = {"state-icon", state_class (ui), NULL};
  gboolean may = !g_str_equal (warren_client_get_permission (self->client, "connect"), "no");

  self->state_action = button_action (ui);
  gtk_image_set_from_icon_name (self->state_icon, ui->icon);
  gtk_widget_set_css_classes (GTK_WIDGET (self->state_icon), (const char **)classes);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->state_row), ui->headline);
  adw_action_row_set_subtitle (self->state_row, ui->detail);
  warren_switch_show (self->connect_switch,
                      warren_session_get_wanted (session)
                          && !g_str_equal (warren_session_get_state (session), "stopped"),
                      self);
  gtk_widget_set_visible (GTK_WIDGET (self->connect_switch),
                          self->state_action == WARREN_ACTION_NONE && may);
  gtk_widget_set_visible (GTK_WIDGET (self->state_button),
                          self->state_action != WARREN_ACTION_NONE);
  gtk_button_set_label (self->state_button, warren_ui_action_label (self->state_action));
}

static void
show_banner (WarrenMainPage *self, const WarrenUiState *ui)
{
  if (ui->kind == WARREN_UI_EXIT_UNREACHABLE)
    warren_banner_set (self->banner, ui->detail,
                       warren_ui_action_label (WARREN_ACTION_STOP_EXIT_NODE));
  else
    warren_banner_set (self->banner, ui->notice, ui->notice_label);
}

static void
show_own_device (WarrenMainPage *self, WarrenSession *session)
{
  g_auto (GStrv) addresses = warren_session_dup_self_addresses (session);
  g_autofree char *name = warren_session_dup_self_string (session, "Name");
  gboolean known = addresses != NULL && addresses[0] != NULL;

  gtk_widget_set_visible (GTK_WIDGET (self->own_row), known);
  if (!known)
    return;
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->own_row), name != NULL ? name : "");
  adw_action_row_set_subtitle (self->own_row, addresses[0]);
}

static void
show_exit_node (WarrenMainPage *self, WarrenSession *session)
{
  g_auto (WarrenExitNode) exit = {0};
  g_autofree char *label = NULL;
  const char *name;

  warren_session_get_exit_node (session, &exit);
  name = exit.place != NULL && *exit.place != '\0' ? exit.place : exit.name;
  if (!exit.set)
    label = g_strdup (_ ("None"));
  else if (name == NULL || *name == '\0')
    label = g_strdup (_ ("Automatic"));
  else
    label = exit.automatic ? g_strdup_printf (_ ("%s (automatic)"), name) : g_strdup (name);
  gtk_label_set_label (self->exit_label, label);
  gtk_widget_set_visible (GTK_WIDGET (self->exit_row),
                          !g_str_equal (warren_client_get_permission (self->client, "exit-node"),
                                        "no"));
}

static char *
describe_network (WarrenNetwork *network)
{
  guint pending = warren_network_get_pending (network);
  guint online = warren_network_get_online (network);

  if (!warren_network_is_running (network))
    return g_strdup (_ ("Stopped"));
  if (pending > 0)
    return g_strdup_printf (ngettext ("%u device waits for approval",
                                      "%u devices wait for approval", pending),
                            pending);
  return g_strdup_printf (ngettext ("%u device online", "%u devices online", online), online);
}

static void
show_network (WarrenMainPage *self)
{
  WarrenNetwork *network = warren_client_get_network (self->client);
  guint pending = warren_network_get_pending (network);
  g_autofree char *about = describe_network (network);
  g_autofree char *count = g_strdup_printf ("%u", pending);

  if (warren_client_is_stale (self->client))
    return;
  gtk_widget_set_visible (GTK_WIDGET (self->network_row),
                          warren_network_exists (network)
                              && !g_str_equal (warren_client_get_permission (self->client, "serve"),
                                               "no"));
  /* Translators: the row that opens the page of the private network on this computer */
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->network_row), _ ("My Private Network"));
  adw_action_row_set_subtitle (self->network_row, about);
  gtk_label_set_label (self->network_badge, count);
  gtk_widget_set_visible (GTK_WIDGET (self->network_badge), pending > 0);
}

/* Rebuilt only when it differs: an open menu must not lose its place. */
static void
show_accounts (WarrenMainPage *self)
{
  GPtrArray *sessions = warren_client_get_sessions (self->client);
  g_autoptr (GMenu) menu = g_menu_new ();

  if (self->accounts_section == NULL)
    return;
  for (guint i = 0; i < sessions->len; i++) {
    g_autofree char *label = warren_session_dup_long_label (sessions->pdata[i]);
    g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);

    g_menu_item_set_action_and_target (item, "win.account", "s",
                                       warren_session_get_path (sessions->pdata[i]));
    g_menu_append_item (menu, item);
  }
  g_menu_remove_all (self->accounts_section);
  for (int i = 0; i < g_menu_model_get_n_items (G_MENU_MODEL (menu)); i++) {
    g_autoptr (GMenuItem) item = g_menu_item_new_from_model (G_MENU_MODEL (menu), i);

    g_menu_append_item (self->accounts_section, item);
  }
}

static void
on_client_changed (WarrenMainPage *self)
{
  const WarrenUiState *ui = warren_client_get_ui_state (self->client);
  WarrenSession *session = warren_client_get_session (self->client);

  if (warren_client_is_stale (self->client)) {
    gtk_widget_add_css_class (GTK_WIDGET (self), "stale");
    return;
  }
  gtk_widget_remove_css_class (GTK_WIDGET (self), "stale");
  if (ui == NULL || session == NULL)
    return;
  show_state (self, ui, session);
  show_banner (self, ui);
  show_own_device (self, session);
  show_exit_node (self, session);
  show_accounts (self);
  show_network (self);
}

static void
on_devices_changed (WarrenMainPage *self)
{
  WarrenDevice *device = warren_device_page_get_device (self->device_page);
  WarrenDeviceList *devices = warren_client_get_devices (self->client);

  update_list_stack (self);
  if (device == NULL
      || warren_device_list_lookup (devices, warren_device_get_id (device)) == device)
    return;
  warren_device_page_set_device (self->device_page, NULL);
  if (g_strcmp0 (gtk_stack_get_visible_child_name (self->content_stack), "device") == 0) {
    gtk_stack_set_visible_child_name (self->content_stack, "empty");
    adw_leaflet_set_visible_child (self->leaflet, self->sidebar);
  }
}

/* --- callbacks of the template
 * ---------------------------------------------------------------------- */

static gboolean
on_connect_switch (WarrenMainPage *self, gboolean wanted)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.set-wanted", "b", wanted);
  return TRUE; /* it moves when the daemon has written the wish down */
}

static void
on_state_button (WarrenMainPage *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.do", "i", self->state_action);
}

static void
on_banner_activated (WarrenMainPage *self)
{
  const WarrenUiState *ui = warren_client_get_ui_state (self->client);
  WarrenUiAction action = ui->kind == WARREN_UI_EXIT_UNREACHABLE ? WARREN_ACTION_STOP_EXIT_NODE
                                                                 : WARREN_ACTION_OPEN_URL;

  gtk_widget_activate_action (GTK_WIDGET (self), "win.do", "i", action);
}

static void
on_own_copy (WarrenMainPage *self)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.copy", "s",
                              adw_action_row_get_subtitle (self->own_row));
}

/* Back from a device in a narrow window ends the live numbers of it. */
static void
on_visible_child (WarrenMainPage *self)
{
  if (adw_leaflet_get_folded (self->leaflet)
      && adw_leaflet_get_visible_child (self->leaflet) == self->sidebar && self->selection != NULL)
    gtk_single_selection_set_selected (self->selection, GTK_INVALID_LIST_POSITION);
}

/* --- what the window asks for
 * ----------------------------------------------------------------------- */

WarrenDevice *
warren_main_page_get_device (WarrenMainPage *self)
{
  return warren_device_page_get_device (self->device_page);
}

void
warren_main_page_show_exit_nodes (WarrenMainPage *self)
{
  show_content (self, "exit-node", _ ("Exit Node"));
  gtk_single_selection_set_selected (self->selection, GTK_INVALID_LIST_POSITION);
}

void
warren_main_page_start_search (WarrenMainPage *self)
{
  adw_leaflet_set_visible_child (self->leaflet, self->sidebar);
  gtk_search_bar_set_search_mode (self->search_bar, TRUE);
  gtk_widget_grab_focus (GTK_WIDGET (self->search_entry));
}

void
warren_main_page_ping (WarrenMainPage *self)
{
  warren_device_page_ping (self->device_page);
}

gboolean
warren_main_page_go_back (WarrenMainPage *self)
{
  if (adw_leaflet_get_folded (self->leaflet)
      && adw_leaflet_get_visible_child (self->leaflet) == self->content) {
    adw_leaflet_set_visible_child (self->leaflet, self->sidebar);
    return TRUE;
  }
  if (gtk_search_bar_get_search_mode (self->search_bar)) {
    gtk_search_bar_set_search_mode (self->search_bar, FALSE);
    return TRUE;
  }
  return FALSE;
}

void
warren_main_page_capture_keys (WarrenMainPage *self, GtkWidget *window)
{
  gtk_search_bar_connect_entry (self->search_bar, GTK_EDITABLE (self->search_entry));
  gtk_search_bar_set_key_capture_widget (self->search_bar, window);
}

void
warren_main_page_set_client (WarrenMainPage *self, WarrenClient *client)
{
  WarrenDeviceList *devices = warren_client_get_devices (client);
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();

  g_set_object (&self->client, client);
  warren_device_page_set_client (self->device_page, client);
  warren_exit_page_set_client (self->exit_page, client);
  self->groups = warren_device_groups_new (devices);
  self->selection = gtk_single_selection_new (NULL);
  gtk_single_selection_set_autoselect (self->selection, FALSE);
  gtk_single_selection_set_can_unselect (self->selection, TRUE);
  gtk_single_selection_set_model (self->selection, warren_device_groups_get_model (self->groups));
  g_signal_connect (factory, "setup", G_CALLBACK (on_setup_row), NULL);
  g_signal_connect (factory, "bind", G_CALLBACK (on_bind_row), NULL);
  g_signal_connect (factory, "unbind", G_CALLBACK (on_unbind_row), NULL);
  gtk_list_view_set_factory (self->list, factory);
  gtk_list_view_set_model (self->list, GTK_SELECTION_MODEL (self->selection));
  g_object_unref (factory);
  g_signal_connect_object (client, "changed", G_CALLBACK (on_client_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (devices, "updated", G_CALLBACK (on_devices_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (warren_client_get_network (client), "changed", G_CALLBACK (show_network),
                           self, G_CONNECT_SWAPPED);
  on_client_changed (self);
  update_list_stack (self);
}

/* --- widget
 * ------------------------------------------------------------------------------------------ */

static void
warren_main_page_dispose (GObject *object)
{
  WarrenMainPage *self = WARREN_MAIN_PAGE (object);

  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_MAIN_PAGE);
  g_clear_object (&self->selection);
  g_clear_object (&self->groups);
  g_clear_object (&self->client);
  G_OBJECT_CLASS (warren_main_page_parent_class)->dispose (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, leaflet);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, sidebar);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, content);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, search_bar);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, search_entry);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, banner);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, state_icon);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, state_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, connect_switch);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, state_button);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, own_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, exit_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, exit_label);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, network_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, network_badge);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, list_stack);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, list);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, title);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, content_title);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, content_stack);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, device_page);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, exit_page);
  gtk_widget_class_bind_template_child (widget_class, WarrenMainPage, accounts_section);
}

static void
warren_main_page_class_init (WarrenMainPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_main_page_dispose;
  g_type_ensure (WARREN_TYPE_BANNER);
  g_type_ensure (WARREN_TYPE_DEVICE_PAGE);
  g_type_ensure (WARREN_TYPE_EXIT_PAGE);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/main-page.ui");
  bind_children (widget_class);
  gtk_widget_class_bind_template_callback (widget_class, on_row_activated);
  gtk_widget_class_bind_template_callback (widget_class, on_search_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_search_activate);
  gtk_widget_class_bind_template_callback (widget_class, on_connect_switch);
  gtk_widget_class_bind_template_callback (widget_class, on_state_button);
  gtk_widget_class_bind_template_callback (widget_class, on_banner_activated);
  gtk_widget_class_bind_template_callback (widget_class, on_own_copy);
  gtk_widget_class_bind_template_callback (widget_class, on_visible_child);
}

static void
warren_main_page_init (WarrenMainPage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
