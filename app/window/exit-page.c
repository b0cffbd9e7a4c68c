#include "window/exit-page.h"

#include "window/device-row.h"
#include "window/rows.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

#define NODES_MAX 200 /* rows at once; a search finds the others */

struct _WarrenExitPage
{
  GtkWidget parent;

  GtkCheckButton *none_check;
  GtkCheckButton *auto_check;
  GtkWidget *none_row;
  GtkWidget *auto_row;
  AdwActionRow *suggested_row;
  GtkListBox *fixed_list;
  GtkListBox *node_list;
  GtkSearchEntry *search;
  GtkSwitch *lan_switch;

  WarrenClient *client;
  GtkFilter *filter;
  GCancellable *cancellable; /* of the question for the best one, while mapped */
  char *suggested;           /* its id, or NULL */
  char *needle;              /* folded */
};

G_DEFINE_FINAL_TYPE (WarrenExitPage, warren_exit_page, GTK_TYPE_WIDGET)

static gboolean
is_shown (gpointer item, gpointer user_data)
{
  WarrenExitPage *self = user_data;

  return (warren_device_get_flags (item) & WARREN_DEVICE_EXIT_CAPABLE) != 0
         && warren_device_matches (item, self->needle);
}

/* Own nodes before those of a provider, then by place and name. */
static int
compare (gconstpointer a, gconstpointer b, gpointer user_data)
{
  WarrenDevice *x = (WarrenDevice *)a;
  WarrenDevice *y = (WarrenDevice *)b;
  int order = ((warren_device_get_flags (x) & WARREN_DEVICE_LOCATION) != 0)
              - ((warren_device_get_flags (y) & WARREN_DEVICE_LOCATION) != 0);

  return order != 0 ? order : warren_device_compare (x, y);
}

/* --- rows
 * ----------------------------------------------------------------------------------------- */

static void
show_node (AdwActionRow *row)
{
  WarrenDevice *device = g_object_get_data (G_OBJECT (row), "device");
  GtkCheckButton *check = g_object_get_data (G_OBJECT (row), "check");
  g_autofree char *place = warren_device_dup_place (device);
  g_autofree char *reach = warren_device_describe_reach (device);
  g_autofree char *subtitle
      = place != NULL ? g_strdup_printf ("%s · %s", place, reach) : g_strdup (reach);

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (row), warren_device_get_name (device));
  adw_action_row_set_subtitle (row, subtitle);
  gtk_check_button_set_active (
      check, (warren_device_get_flags (device) & WARREN_DEVICE_EXIT_CURRENT) != 0);
  gtk_accessible_update_property (GTK_ACCESSIBLE (check), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  warren_device_get_name (device), -1);
}

static GtkWidget *
create_row (gpointer item, gpointer user_data)
{
  WarrenExitPage *self = user_data;
  GtkWidget *row = adw_action_row_new ();
  GtkWidget *check = gtk_check_button_new ();

  adw_preferences_row_set_use_markup (ADW_PREFERENCES_ROW (row), FALSE);
  gtk_check_button_set_group (GTK_CHECK_BUTTON (check), self->none_check);
  gtk_widget_set_can_target (check, FALSE);
  gtk_widget_set_can_focus (check, FALSE);
  adw_action_row_add_prefix (ADW_ACTION_ROW (row), check);
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), TRUE);
  g_object_set_data_full (G_OBJECT (row), "device", g_object_ref (item), g_object_unref);
  g_object_set_data (G_OBJECT (row), "check", check);
  g_signal_connect_object (item, "changed", G_CALLBACK (show_node), row, G_CONNECT_SWAPPED);
  show_node (ADW_ACTION_ROW (row));
  return row;
}

static void
choose (WarrenExitPage *self, const char *node)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.set-exit-node", "s", node);
}

static void
on_fixed_activated (WarrenExitPage *self, GtkWidget *row)
{
  if (row == GTK_WIDGET (self->suggested_row) && self->suggested != NULL)
    choose (self, self->suggested);
  else
    choose (self, row == self->none_row ? "" : "auto:any");
}

static void
on_node_activated (WarrenExitPage *self, GtkWidget *row)
{
  choose (self, warren_device_get_id (g_object_get_data (G_OBJECT (row), "device")));
}

static void
on_search_changed (WarrenExitPage *self)
{
  g_free (self->needle);
  self->needle = warren_search_fold (gtk_editable_get_text (GTK_EDITABLE (self->search)));
  gtk_filter_changed (self->filter, GTK_FILTER_CHANGE_DIFFERENT);
}

static gboolean
on_lan_switch (WarrenExitPage *self, gboolean wanted)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.allow-lan", "b", wanted);
  return TRUE;
}

/* --- the best one
 * ------------------------------------------------------------------------------------------ */

static void
show_suggestion (WarrenExitPage *self)
{
  WarrenDevice *device
      = self->suggested != NULL
            ? warren_device_list_lookup (warren_client_get_devices (self->client), self->suggested)
            : NULL;
  g_autofree char *label = device != NULL ? warren_device_dup_exit_label (device) : NULL;

  gtk_widget_set_visible (GTK_WIDGET (self->suggested_row), device != NULL);
  if (device != NULL)
    adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->suggested_row), label);
}

/* No answer is no suggestion: it may be too early to tell. */
static void
on_suggestion (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenExitPage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *id = NULL;

  if (!warren_bus_session_call_suggest_exit_node_finish (WARREN_BUS_SESSION (source), &id, NULL,
                                                         NULL, result, &error)
      && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  g_free (self->suggested);
  self->suggested = g_steal_pointer (&id);
  show_suggestion (self);
}

static void
warren_exit_page_map (GtkWidget *widget)
{
  WarrenExitPage *self = WARREN_EXIT_PAGE (widget);
  WarrenSession *session = warren_client_get_session (self->client);

  GTK_WIDGET_CLASS (warren_exit_page_parent_class)->map (widget);
  self->cancellable = g_cancellable_new ();
  if (session != NULL)
    warren_bus_session_call_suggest_exit_node (warren_session_get_bus (session),
                                               G_DBUS_CALL_FLAGS_NONE, -1, self->cancellable,
                                               on_suggestion, g_object_ref (self));
}

static void
warren_exit_page_unmap (GtkWidget *widget)
{
  WarrenExitPage *self = WARREN_EXIT_PAGE (widget);

  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  GTK_WIDGET_CLASS (warren_exit_page_parent_class)->unmap (widget);
}

/* --- following the daemon
 * ------------------------------------------------------------------------- */

static void
on_client_changed (WarrenExitPage *self)
{
  WarrenSession *session = warren_client_get_session (self->client);
  g_auto (WarrenExitNode) exit = {0};
  gboolean allow_lan;

  if (session == NULL || warren_client_is_stale (self->client))
    return;
  warren_session_get_exit_node (session, &exit);
  allow_lan = warren_session_get_preference_flag (session, "ExitNodeAllowLan");
  if (!exit.set)
    gtk_check_button_set_active (self->none_check, TRUE);
  else if (exit.automatic)
    gtk_check_button_set_active (self->auto_check, TRUE);
  warren_switch_show (self->lan_switch, allow_lan, self);
  show_suggestion (self);
}

static void
on_devices_updated (WarrenExitPage *self, guint change)
{
  if ((change & WARREN_DEVICE_CHANGED_GROUP) != 0)
    gtk_filter_changed (self->filter, GTK_FILTER_CHANGE_DIFFERENT);
  show_suggestion (self);
}

void
warren_exit_page_set_client (WarrenExitPage *self, WarrenClient *client)
{
  WarrenDeviceList *devices = warren_client_get_devices (client);
  GtkFilterListModel *shown;
  GtkSortListModel *sorted;
  g_autoptr (GtkSliceListModel) few = NULL;

  g_set_object (&self->client, client);
  self->filter = GTK_FILTER (gtk_custom_filter_new (is_shown, self, NULL));
  shown = gtk_filter_list_model_new (G_LIST_MODEL (g_object_ref (devices)),
                                     g_object_ref (self->filter));
  sorted = gtk_sort_list_model_new (G_LIST_MODEL (shown),
                                    GTK_SORTER (gtk_custom_sorter_new (compare, NULL, NULL)));
  few = gtk_slice_list_model_new (G_LIST_MODEL (sorted), 0, NODES_MAX);
  gtk_list_box_bind_model (self->node_list, G_LIST_MODEL (few), create_row, self, NULL);
  g_signal_connect_object (devices, "updated", G_CALLBACK (on_devices_updated), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (client, "changed", G_CALLBACK (on_client_changed), self,
                           G_CONNECT_SWAPPED);
  on_client_changed (self);
}

/* --- widget
 * --------------------------------------------------------------------------------------- */

static void
warren_exit_page_dispose (GObject *object)
{
  WarrenExitPage *self = WARREN_EXIT_PAGE (object);

  if (self->node_list != NULL)
    gtk_list_box_bind_model (self->node_list, NULL, NULL, NULL, NULL);
  g_clear_object (&self->filter);
  g_clear_object (&self->client);
  g_clear_pointer (&self->needle, g_free);
  g_clear_pointer (&self->suggested, g_free);
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_EXIT_PAGE);
  G_OBJECT_CLASS (warren_exit_page_parent_class)->dispose (object);
}

static void
warren_exit_page_class_init (WarrenExitPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_exit_page_dispose;
  widget_class->map = warren_exit_page_map;
  widget_class->unmap = warren_exit_page_unmap;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/exit-page.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, none_check);
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, auto_check);
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, none_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, auto_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, suggested_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, fixed_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, node_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, search);
  gtk_widget_class_bind_template_child (widget_class, WarrenExitPage, lan_switch);
  gtk_widget_class_bind_template_callback (widget_class, on_fixed_activated);
  gtk_widget_class_bind_template_callback (widget_class, on_node_activated);
  gtk_widget_class_bind_template_callback (widget_class, on_search_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_lan_switch);
}

static void
warren_exit_page_init (WarrenExitPage *self)
{
  self->needle = g_strdup ("");
  gtk_widget_init_template (GTK_WIDGET (self));
}
