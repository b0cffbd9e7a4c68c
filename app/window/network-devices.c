#include "window/network-devices.h"

#include "client/device.h"
#include "window/format.h"
#include "window/rows.h"

#include <glib/gi18n-lib.h>

#define NODES_MAX 200 /* rows at once; a search finds the others */

struct _WarrenNetworkDevices
{
  GtkWidget parent;

  AdwActionRow *status_row;
  GtkSwitch *running_switch;
  AdwActionRow *address_row;
  GtkActionable *copy_address;
  GtkWidget *waiting_group;
  GtkListBox *waiting_list;
  GtkSearchEntry *search;
  GtkListBox *node_list;
  GtkLabel *placeholder;
  GtkLabel *more_label;

  WarrenNetworkData *data;
  GListModel *found; /* by the search */
  GtkFilter *filter;
  char *needle;              /* folded */
  WarrenNetworkNode *hidden; /* about to be removed */
};

enum
{
  SIGNAL_OPENED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenNetworkDevices, warren_network_devices, GTK_TYPE_WIDGET)

/* --- those that wait
 * -------------------------------------------------------------------------------------- */

static void
on_answered (gpointer view, gboolean ok, const char *text)
{
  if (!ok && *text != '\0')
    gtk_widget_activate_action (GTK_WIDGET (view), "win.toast", "s", text);
}

static void
answer (GtkButton *button, const char *verb)
{
  WarrenNetworkNode *node = g_object_get_data (G_OBJECT (button), "node");
  GtkWidget *view = gtk_widget_get_ancestor (GTK_WIDGET (button), WARREN_TYPE_NETWORK_DEVICES);
  const char *words[] = {"nodes", verb, warren_network_node_get (node)->id, NULL};

  warren_network_data_run (WARREN_NETWORK_DEVICES (view)->data, words, NULL, view, on_answered);
}

static void
on_approve (GtkButton *button)
{
  answer (button, "approve");
}

static void
on_deny (GtkButton *button)
{
  answer (button, "deny");
}

static GtkButton *
add_answer (AdwActionRow *row, WarrenNetworkNode *node, const char *text, const char *name,
            GCallback clicked)
{
  GtkButton *button = warren_row_add_button (row, text, name);

  g_object_set_data_full (G_OBJECT (button), "node", g_object_ref (node), g_object_unref);
  g_signal_connect (button, "clicked", clicked, NULL);
  return button;
}

static GtkWidget *
create_waiting_row (gpointer item, gpointer user_data)
{
  const WarrenNodeFacts *facts = warren_network_node_get (item);
  const char *name = *facts->hostname != '\0' ? facts->hostname : facts->name;
  AdwActionRow *row = warren_row_new (name);
  g_autofree char *fingerprint = warren_network_node_dup_fingerprint (item);
  g_autofree char *approve = g_strdup_printf (_ ("Approve %s"), name);
  g_autofree char *deny = g_strdup_printf (_ ("Deny %s"), name);
  g_autoptr (GString) about = g_string_new (format_os (facts->os));

  if (*fingerprint != '\0')
    g_string_append_printf (about, "%s%s", about->len > 0 ? "\n" : "", fingerprint);
  adw_action_row_set_subtitle (row, about->str);
  adw_action_row_set_subtitle_lines (row, 3);
  adw_action_row_add_prefix (row, warren_icon_new (format_os_icon (facts->os)));
  add_answer (row, item, _ ("Deny"), deny, G_CALLBACK (on_deny));
  gtk_widget_add_css_class (
      GTK_WIDGET (add_answer (row, item, _ ("Approve"), approve, G_CALLBACK (on_approve))),
      "suggested-action");
  return GTK_WIDGET (row);
}

/* --- all
 * --------------------------------------------------------------------------------------------------
 */

static gboolean
has_open_routes (const WarrenNodeFacts *facts)
{
  for (gsize i = 0; facts->advertised[i] != NULL; i++)
    if (!g_strv_contains ((const char *const *)facts->routes, facts->advertised[i]))
      return TRUE;
  return FALSE;
}

static char *
describe (const WarrenNodeFacts *facts)
{
  g_autofree char *tags = g_strjoinv (", ", facts->tags);
  const char *owner = *tags != '\0' ? tags : facts->user;
  g_autofree char *seen = facts->last_seen > 0
                              ? format_ago (facts->last_seen, g_get_real_time () / G_USEC_PER_SEC)
                              : NULL;
  const char *state = facts->expired  ? _ ("sign-in expired")
                      : facts->online ? _ ("online")
                      : seen != NULL  ? seen
                                      : _ ("offline");
  g_autoptr (GString) text = g_string_new (facts->addresses[0]);

  if (*owner != '\0')
    g_string_append_printf (text, "%s%s", text->len > 0 ? " · " : "", owner);
  g_string_append_printf (text, "%s%s", text->len > 0 ? " · " : "", state);
  if (has_open_routes (facts))
    g_string_append_printf (text, " · %s", _ ("routes to approve"));
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
show_node (AdwActionRow *row)
{
  WarrenNetworkNode *node = g_object_get_data (G_OBJECT (row), "node");
  GtkWidget *dot = g_object_get_data (G_OBJECT (row), "dot");
  const WarrenNodeFacts *facts = warren_network_node_get (node);
  g_autofree char *about = describe (facts);

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), facts->name);
  adw_action_row_set_subtitle (row, about);
  if (facts->online)
    gtk_widget_add_css_class (dot, "online");
  else
    gtk_widget_remove_css_class (dot, "online");
}

static GtkWidget *
create_row (gpointer item, gpointer user_data)
{
  AdwActionRow *row = warren_row_new ("");
  GtkWidget *dot = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);

  adw_action_row_add_prefix (row,
                             warren_icon_new (format_os_icon (warren_network_node_get (item)->os)));
  gtk_widget_set_valign (dot, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (dot, "dot");
  adw_action_row_add_suffix (row, dot);
  adw_action_row_add_suffix (row, warren_icon_new ("go-next-symbolic"));
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), TRUE);
  g_object_set_data_full (G_OBJECT (row), "node", g_object_ref (item), g_object_unref);
  g_object_set_data (G_OBJECT (row), "dot", dot);
  g_signal_connect_object (item, "changed", G_CALLBACK (show_node), row, G_CONNECT_SWAPPED);
  show_node (row);
  return GTK_WIDGET (row);
}

static void
on_node_activated (WarrenNetworkDevices *self, GtkWidget *row)
{
  g_signal_emit (self, signals[SIGNAL_OPENED], 0, g_object_get_data (G_OBJECT (row), "node"));
}

static gboolean
is_shown (gpointer item, gpointer user_data)
{
  WarrenNetworkDevices *self = user_data;

  return item != self->hidden && warren_network_node_matches (item, self->needle);
}

static int
compare (gconstpointer a, gconstpointer b, gpointer user_data)
{
  const char *x = warren_network_node_get ((WarrenNetworkNode *)a)->name;
  const char *y = warren_network_node_get ((WarrenNetworkNode *)b)->name;

  return g_utf8_collate (x, y);
}

static void
show_count (WarrenNetworkDevices *self)
{
  guint n = g_list_model_get_n_items (self->found);
  g_autofree char *text
      = g_strdup_printf (_ ("%d of %u devices are shown. Search for the others."), NODES_MAX, n);

  gtk_label_set_label (self->more_label, text);
  gtk_widget_set_visible (GTK_WIDGET (self->more_label), n > NODES_MAX);
  gtk_label_set_label (self->placeholder, *self->needle != '\0'
                                              ? _ ("No device found.")
                                              : _ ("No device has joined yet. Invite one."));
}

static void
on_search_changed (WarrenNetworkDevices *self)
{
  g_free (self->needle);
  self->needle = warren_search_fold (gtk_editable_get_text (GTK_EDITABLE (self->search)));
  gtk_filter_changed (self->filter, GTK_FILTER_CHANGE_DIFFERENT);
  show_count (self);
}

void
warren_network_devices_start_search (WarrenNetworkDevices *self)
{
  gtk_widget_grab_focus (GTK_WIDGET (self->search));
}

/* Enter opens the first device that was found. */
static void
on_search_activate (WarrenNetworkDevices *self)
{
  GtkListBoxRow *row = gtk_list_box_get_row_at_index (self->node_list, 0);

  if (row != NULL && g_object_get_data (G_OBJECT (row), "node") != NULL)
    on_node_activated (self, GTK_WIDGET (row));
}

void
warren_network_devices_hide (WarrenNetworkDevices *self, WarrenNetworkNode *node)
{
  if (g_set_object (&self->hidden, node))
    gtk_filter_changed (self->filter, GTK_FILTER_CHANGE_DIFFERENT);
}

/* --- the network
 * ------------------------------------------------------------------------------------------ */

static gboolean
on_running_switch (WarrenNetworkDevices *self, gboolean wanted)
{
  gtk_widget_activate_action (GTK_WIDGET (self), wanted ? "network.start" : "network.stop", NULL);
  return TRUE; /* it moves when the network does */
}

static void
on_network_changed (WarrenNetworkDevices *self)
{
  WarrenNetwork *network = warren_network_data_get_network (self->data);
  const char *url = warren_network_get_url (network);
  guint online = warren_network_get_online (network);
  guint devices = warren_network_get_devices (network);
  g_autofree char *about
      = g_strdup_printf (ngettext ("%u device, %u online", "%u devices, %u online", devices),
                         devices, online);

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->status_row), _ ("Network Runs"));
  adw_action_row_set_subtitle (self->status_row, about);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->address_row), url);
  gtk_actionable_set_action_target (self->copy_address, "s", url);
  warren_switch_show (self->running_switch, warren_network_is_running (network), self);
}

static void
on_waiting_changed (WarrenNetworkDevices *self)
{
  GListModel *waiting = warren_network_data_get_waiting (self->data);

  gtk_widget_set_visible (self->waiting_group, g_list_model_get_n_items (waiting) > 0);
}

void
warren_network_devices_set_data (WarrenNetworkDevices *self, WarrenNetworkData *data)
{
  GListModel *nodes = warren_network_data_get_nodes (data);
  GListModel *waiting = warren_network_data_get_waiting (data);
  GtkSortListModel *sorted;
  g_autoptr (GtkSliceListModel) few = NULL;

  self->data = g_object_ref (data);
  self->filter = GTK_FILTER (gtk_custom_filter_new (is_shown, self, NULL));
  self->found = G_LIST_MODEL (
      gtk_filter_list_model_new (g_object_ref (nodes), g_object_ref (self->filter)));
  sorted = gtk_sort_list_model_new (g_object_ref (self->found),
                                    GTK_SORTER (gtk_custom_sorter_new (compare, NULL, NULL)));
  few = gtk_slice_list_model_new (G_LIST_MODEL (sorted), 0, NODES_MAX);
  gtk_list_box_bind_model (self->node_list, G_LIST_MODEL (few), create_row, self, NULL);
  gtk_list_box_bind_model (self->waiting_list, waiting, create_waiting_row, self, NULL);
  g_signal_connect_object (self->found, "items-changed", G_CALLBACK (show_count), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (waiting, "items-changed", G_CALLBACK (on_waiting_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (warren_network_data_get_network (data), "changed",
                           G_CALLBACK (on_network_changed), self, G_CONNECT_SWAPPED);
  on_network_changed (self);
  show_count (self);
}

/* --- widget
 * -----------------------------------------------------------------------------------------------
 */

static void
warren_network_devices_map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (warren_network_devices_parent_class)->map (widget);
  warren_network_data_want (WARREN_NETWORK_DEVICES (widget)->data, WARREN_NETWORK_NODES);
}

static void
warren_network_devices_unmap (GtkWidget *widget)
{
  warren_network_data_drop (WARREN_NETWORK_DEVICES (widget)->data, WARREN_NETWORK_NODES);
  GTK_WIDGET_CLASS (warren_network_devices_parent_class)->unmap (widget);
}

static void
warren_network_devices_dispose (GObject *object)
{
  WarrenNetworkDevices *self = WARREN_NETWORK_DEVICES (object);

  if (self->node_list != NULL) {
    gtk_list_box_bind_model (self->node_list, NULL, NULL, NULL, NULL);
    gtk_list_box_bind_model (self->waiting_list, NULL, NULL, NULL, NULL);
  }
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_NETWORK_DEVICES);
  g_clear_object (&self->found);
  g_clear_object (&self->filter);
  g_clear_object (&self->hidden);
  g_clear_object (&self->data);
  g_clear_pointer (&self->needle, g_free);
  G_OBJECT_CLASS (warren_network_devices_parent_class)->dispose (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, status_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, running_switch);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, address_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, copy_address);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, waiting_group);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, waiting_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, search);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, node_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, placeholder);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkDevices, more_label);
}

static void
warren_network_devices_class_init (WarrenNetworkDevicesClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_network_devices_dispose;
  widget_class->map = warren_network_devices_map;
  widget_class->unmap = warren_network_devices_unmap;
  signals[SIGNAL_OPENED]
      = g_signal_new ("opened", WARREN_TYPE_NETWORK_DEVICES, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                      G_TYPE_NONE, 1, WARREN_TYPE_NETWORK_NODE);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/network-devices.ui");
  bind_children (widget_class);
  gtk_widget_class_bind_template_callback (widget_class, on_running_switch);
  gtk_widget_class_bind_template_callback (widget_class, on_search_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_search_activate);
  gtk_widget_class_bind_template_callback (widget_class, on_node_activated);
}

static void
warren_network_devices_init (WarrenNetworkDevices *self)
{
  self->needle = g_strdup ("");
  gtk_widget_init_template (GTK_WIDGET (self));
}
