#include "window/device-row.h"

#include "window/format.h"

#include <glib/gi18n-lib.h>

struct _WarrenDeviceRow
{
  GtkWidget parent;

  GtkWidget *box;
  GtkWidget *device_box;
  GtkLabel *heading;
  GtkImage *icon;
  GtkInscription *name;
  GtkInscription *address;
  GtkLabel *reach;
  GtkWidget *dot;

  WarrenDevice *device; /* NULL while it shows a heading or nothing */
};

G_DEFINE_FINAL_TYPE (WarrenDeviceRow, warren_device_row, GTK_TYPE_WIDGET)

/* The short form for the right end of the row. */
static char *
reach_label (WarrenDevice *device)
{
  WarrenDeviceFlags flags = warren_device_get_flags (device);
  gint64 seen = warren_device_get_last_seen (device);

  if (flags & WARREN_DEVICE_EXPIRED)
    return g_strdup (_ ("expired"));
  if (flags & WARREN_DEVICE_LOCKED_OUT)
    return g_strdup (_ ("locked out"));
  if ((flags & WARREN_DEVICE_ONLINE) == 0)
    return seen > 0 ? format_ago (seen, g_get_real_time () / G_USEC_PER_SEC) : g_strdup ("");
  if (flags & WARREN_DEVICE_DIRECT)
    return g_strdup (_ ("direct"));
  return g_strdup ((flags & (WARREN_DEVICE_RELAYED | WARREN_DEVICE_PEER_RELAY)) ? _ ("relayed")
                                                                                : "");
}

char *
warren_device_describe_reach (WarrenDevice *device)
{
  g_autofree char *label = reach_label (device);
  const char *state = warren_device_is_online (device) ? _ ("online") : _ ("offline");

  return *label != '\0' ? g_strdup_printf ("%s, %s", state, label) : g_strdup (state);
}

static void
set_class (GtkWidget *widget, const char *name, gboolean on)
{
  if (on)
    gtk_widget_add_css_class (widget, name);
  else
    gtk_widget_remove_css_class (widget, name);
}

static void
show_device (WarrenDeviceRow *self)
{
  WarrenDevice *device = self->device;
  gboolean online = warren_device_is_online (device);
  g_autofree char *reach = reach_label (device);
  g_autofree char *spoken_reach = warren_device_describe_reach (device);
  g_autofree char *spoken = g_strdup_printf ("%s, %s, %s", warren_device_get_name (device),
                                             spoken_reach, warren_device_get_address (device));

  gtk_image_set_from_icon_name (self->icon, format_os_icon (warren_device_get_os (device)));
  gtk_inscription_set_text (self->name, warren_device_get_name (device));
  gtk_inscription_set_text (self->address, warren_device_get_address (device));
  gtk_label_set_label (self->reach, reach);
  set_class (self->dot, "online", online);
  set_class (self->device_box, "offline", !online);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, spoken, -1);
}

void
warren_device_row_set_item (WarrenDeviceRow *self, gpointer item)
{
  gboolean is_device = WARREN_IS_DEVICE (item);
  WarrenDevice *device = is_device ? item : NULL;

  if (self->device != NULL)
    g_signal_handlers_disconnect_by_func (self->device, show_device, self);
  g_set_object (&self->device, device);
  gtk_widget_set_visible (self->device_box, is_device);
  gtk_widget_set_visible (GTK_WIDGET (self->heading), WARREN_IS_GROUP (item));
  if (is_device) {
    g_signal_connect_swapped (self->device, "changed", G_CALLBACK (show_device), self);
    show_device (self);
  } else if (WARREN_IS_GROUP (item)) {
    gtk_label_set_label (self->heading, warren_group_get_title (item));
    gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                    warren_group_get_title (item), -1);
  }
}

static void
warren_device_row_dispose (GObject *object)
{
  WarrenDeviceRow *self = WARREN_DEVICE_ROW (object);

  if (self->device != NULL)
    g_signal_handlers_disconnect_by_func (self->device, show_device, self);
  g_clear_object (&self->device);
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_DEVICE_ROW);
  G_OBJECT_CLASS (warren_device_row_parent_class)->dispose (object);
}

static void
warren_device_row_class_init (WarrenDeviceRowClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_device_row_dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/device-row.ui");
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
  gtk_widget_class_bind_template_child (widget_class, WarrenDeviceRow, box);
  gtk_widget_class_bind_template_child (widget_class, WarrenDeviceRow, device_box);
  gtk_widget_class_bind_template_child (widget_class, WarrenDeviceRow, heading);
  gtk_widget_class_bind_template_child (widget_class, WarrenDeviceRow, icon);
  gtk_widget_class_bind_template_child (widget_class, WarrenDeviceRow, name);
  gtk_widget_class_bind_template_child (widget_class, WarrenDeviceRow, address);
  gtk_widget_class_bind_template_child (widget_class, WarrenDeviceRow, reach);
  gtk_widget_class_bind_template_child (widget_class, WarrenDeviceRow, dot);
}

static void
warren_device_row_init (WarrenDeviceRow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

GtkWidget *
warren_device_row_new (void)
{
  return g_object_new (WARREN_TYPE_DEVICE_ROW, NULL);
}
