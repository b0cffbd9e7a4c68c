#include "window/network-page.h"

#include "client/action.h"
#include "client/error.h"
#include "client/network-data.h"
#include "window/banner.h"
#include "window/network-backup.h"
#include "window/network-devices.h"
#include "window/network-invite.h"
#include "window/network-node-page.h"
#include "window/network-policy.h"
#include "window/network-settings.h"
#include "window/rows.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

#define UNDO_S 10

struct _WarrenNetworkPage
{
  GtkWidget parent;

  AdwToastOverlay *toasts;
  AdwLeaflet *leaflet;
  GtkWidget *main;
  GtkWidget *detail;
  AdwViewSwitcherTitle *switcher;
  WarrenBanner *banner;
  GtkStack *running_stack;
  AdwViewStack *stack;
  AdwViewSwitcherBar *bottom_bar;
  AdwViewStackPage *devices_page;
  WarrenNetworkDevices *devices;
  WarrenNetworkInvite *invite;
  WarrenNetworkPolicy *policy;
  WarrenNetworkSettings *settings;
  WarrenNetworkNodePage *node_page;

  GActionMap *actions;
  WarrenNetwork *network;
  WarrenNetworkData *data;
  guint reveal_id;
  AdwToast *undo;               /* while a removal waits for a second thought */
  WarrenNetworkNode *to_remove; /* with it */
};

G_DEFINE_FINAL_TYPE (WarrenNetworkPage, warren_network_page, GTK_TYPE_WIDGET)

static void
say (gpointer view, const char *text)
{
  gtk_widget_activate_action (GTK_WIDGET (view), "win.toast", "s", text);
}

/* --- the network itself
 * ----------------------------------------------------------------------------------- */

static void
on_start (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenNetworkPage *self = user_data;

  warren_network_start_async (self->network, NULL, warren_report_failure,
                              warren_reporter_new (self, say));
}

static void
on_stop (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenNetworkPage *self = user_data;

  warren_network_stop_async (self->network, NULL, warren_report_failure,
                             warren_reporter_new (self, say));
}

static void
on_backup (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  WarrenNetworkPage *self = user_data;

  warren_network_backup_save (self->network, GTK_WIDGET (self));
}

static void
on_delete_answer (WarrenNetworkPage *self, const char *response)
{
  if (g_str_equal (response, "yes"))
    warren_network_delete_async (self->network, NULL, warren_report_failure,
                                 warren_reporter_new (self, say));
}

static void
on_delete (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_confirm (GTK_WIDGET (self), _ ("Delete This Network?"),
                  _ ("Its devices lose each other, and every device must join a network anew. Only "
                     "a backup can bring it back."),
                  _ ("_Delete"), G_CALLBACK (on_delete_answer));
}

static void
on_retry (WarrenNetworkPage *self)
{
  warren_network_data_retry (self->data);
}

/* --- one device
 * ------------------------------------------------------------------------------------------- */

static void
on_opened (WarrenNetworkPage *self, WarrenNetworkNode *node)
{
  warren_network_node_page_set_node (self->node_page, node);
  adw_leaflet_set_visible_child (self->leaflet, self->detail);
}

static void
on_visible_child (WarrenNetworkPage *self)
{
  if (adw_leaflet_get_visible_child (self->leaflet) == self->main)
    warren_network_node_page_set_node (self->node_page, NULL);
}

static void
on_removed (gpointer view, gboolean ok, const char *text)
{
  WarrenNetworkPage *self = view;

  if (!ok && *text != '\0')
    say (self, text);
  if (!ok && self->devices != NULL)
    warren_network_devices_hide (self->devices, NULL);
}

static void
remove_now (WarrenNetworkPage *self)
{
  g_autoptr (WarrenNetworkNode) node = g_steal_pointer (&self->to_remove);
  const char *words[] = {"nodes", "remove", NULL, NULL};

  g_clear_object (&self->undo);
  if (node == NULL)
    return;
  words[2] = warren_network_node_get (node)->id;
  warren_network_data_run (self->data, words, NULL, self, on_removed);
}

static void
on_undo (WarrenNetworkPage *self)
{
  g_clear_object (&self->to_remove);
  warren_network_devices_hide (self->devices, NULL);
}

static void
on_undo_over (WarrenNetworkPage *self, AdwToast *toast)
{
  if (toast == self->undo)
    remove_now (self);
}

/* The device leaves the list at once and the network when nobody has thought again. */
static void
on_remove (WarrenNetworkPage *self, WarrenNetworkNode *node)
{
  g_autofree char *name = g_markup_escape_text (warren_network_node_get (node)->name, -1);
  g_autofree char *text = g_strdup_printf (_ ("%s removed"), name);
  AdwToast *toast = adw_toast_new (text);

  remove_now (self); /* an earlier one */
  self->to_remove = g_object_ref (node);
  g_set_object (&self->undo, toast);
  adw_toast_set_button_label (toast, _ ("Undo"));
  adw_toast_set_timeout (toast, UNDO_S);
  adw_toast_set_priority (toast, ADW_TOAST_PRIORITY_HIGH);
  g_signal_connect_object (toast, "button-clicked", G_CALLBACK (on_undo), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (toast, "dismissed", G_CALLBACK (on_undo_over), self, G_CONNECT_SWAPPED);
  adw_toast_overlay_add_toast (self->toasts, toast);
  warren_network_devices_hide (self->devices, node);
  adw_leaflet_set_visible_child (self->leaflet, self->main);
}

void
warren_network_page_start_search (WarrenNetworkPage *self)
{
  adw_leaflet_set_visible_child (self->leaflet, self->main);
  adw_view_stack_set_visible_child_name (self->stack, "devices");
  warren_network_devices_start_search (self->devices);
}

void
warren_network_page_finish (WarrenNetworkPage *self)
{
  remove_now (self);
}

/* --- following the network
 * ---------------------------------------------------------------------------------- */

static void
enable (WarrenNetworkPage *self, const char *name, gboolean enabled)
{
  g_simple_action_set_enabled (G_SIMPLE_ACTION (g_action_map_lookup_action (self->actions, name)),
                               enabled);
}

static gboolean
on_reveal (gpointer data)
{
  WarrenNetworkPage *self = data;

  self->reveal_id = 0;
  adw_view_switcher_bar_set_reveal (
      self->bottom_bar, warren_network_is_running (self->network)
                            && adw_view_switcher_title_get_title_visible (self->switcher));
  return G_SOURCE_REMOVE;
}

/* It is found out while sizes are given out: a widget that appears then gets none. */
static void
on_title_visible (WarrenNetworkPage *self)
{
  if (self->reveal_id == 0)
    self->reveal_id = g_idle_add (on_reveal, self);
}

static void
on_network_changed (WarrenNetworkPage *self)
{
  gboolean running = warren_network_is_running (self->network);
  guint pending = warren_network_get_pending (self->network);

  if (!warren_network_exists (self->network)) {
    adw_leaflet_set_visible_child (self->leaflet, self->main);
    return;
  }
  adw_view_switcher_title_set_title (self->switcher, warren_network_get_name (self->network));
  adw_view_switcher_title_set_view_switcher_enabled (self->switcher, running);
  gtk_stack_set_visible_child_name (self->running_stack, running ? "running" : "stopped");
  adw_view_stack_page_set_badge_number (self->devices_page, pending);
  adw_view_stack_page_set_needs_attention (self->devices_page, pending > 0);
  on_title_visible (self);
  enable (self, "start", !running);
  enable (self, "stop", running);
  enable (self, "backup", running);
}

static void
on_data_changed (WarrenNetworkPage *self)
{
  const char *error = warren_network_data_get_error (self->data);

  warren_banner_set (self->banner, error, error != NULL ? _ ("Try Again") : NULL);
}

gboolean
warren_network_page_go_back (WarrenNetworkPage *self)
{
  if (adw_leaflet_get_visible_child (self->leaflet) == self->main)
    return FALSE;
  adw_leaflet_set_visible_child (self->leaflet, self->main);
  return TRUE;
}

void
warren_network_page_set_client (WarrenNetworkPage *self, WarrenClient *client)
{
  g_set_object (&self->network, warren_client_get_network (client));
  self->data = warren_network_data_new (self->network);
  g_signal_connect_object (self->network, "changed", G_CALLBACK (on_network_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->data, "changed", G_CALLBACK (on_data_changed), self,
                           G_CONNECT_SWAPPED);
  warren_network_devices_set_data (self->devices, self->data);
  warren_network_invite_set_data (self->invite, self->data);
  warren_network_policy_set_data (self->policy, self->data);
  warren_network_settings_set_data (self->settings, self->data);
  warren_network_node_page_set_data (self->node_page, self->data);
  on_network_changed (self);
}

/* --- widget
 * -----------------------------------------------------------------------------------------------
 */

static void
warren_network_page_dispose (GObject *object)
{
  WarrenNetworkPage *self = WARREN_NETWORK_PAGE (object);

  g_clear_handle_id (&self->reveal_id, g_source_remove);
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_NETWORK_PAGE);
  g_clear_object (&self->undo);
  g_clear_object (&self->to_remove);
  g_clear_object (&self->data);
  g_clear_object (&self->network);
  g_clear_object (&self->actions);
  G_OBJECT_CLASS (warren_network_page_parent_class)->dispose (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, toasts);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, leaflet);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, main);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, detail);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, switcher);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, banner);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, running_stack);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, stack);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, bottom_bar);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, devices_page);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, devices);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, invite);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, policy);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, settings);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPage, node_page);
}

static void
warren_network_page_class_init (WarrenNetworkPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_network_page_dispose;
  g_type_ensure (WARREN_TYPE_BANNER);
  g_type_ensure (WARREN_TYPE_NETWORK_DEVICES);
  g_type_ensure (WARREN_TYPE_NETWORK_INVITE);
  g_type_ensure (WARREN_TYPE_NETWORK_NODE_PAGE);
  g_type_ensure (WARREN_TYPE_NETWORK_POLICY);
  g_type_ensure (WARREN_TYPE_NETWORK_SETTINGS);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/network-page.ui");
  bind_children (widget_class);
  gtk_widget_class_bind_template_callback (widget_class, on_visible_child);
  gtk_widget_class_bind_template_callback (widget_class, on_title_visible);
  gtk_widget_class_bind_template_callback (widget_class, on_retry);
  gtk_widget_class_bind_template_callback (widget_class, on_opened);
  gtk_widget_class_bind_template_callback (widget_class, on_remove);
}

static void
warren_network_page_init (WarrenNetworkPage *self)
{
  static const GActionEntry entries[] = {
      {"start", on_start, NULL, NULL, NULL, {0}},
      {"stop", on_stop, NULL, NULL, NULL, {0}},
      {"backup", on_backup, NULL, NULL, NULL, {0}},
      {"delete", on_delete, NULL, NULL, NULL, {0}},
  };

  gtk_widget_init_template (GTK_WIDGET (self));
  self->actions = G_ACTION_MAP (g_simple_action_group_new ());
  g_action_map_add_action_entries (self->actions, entries, G_N_ELEMENTS (entries), self);
  gtk_widget_insert_action_group (GTK_WIDGET (self), "network", G_ACTION_GROUP (self->actions));
}
