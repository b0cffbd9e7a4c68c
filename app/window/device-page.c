#include "window/device-page.h"

#include "client/device-watch.h"
#include "client/error.h"
#include "window/device-row.h"
#include "window/format.h"
#include "window/rows.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

#define WATCH_INTERVAL_MS 1000
#define PING_TIMEOUT_MS   5000

struct _WarrenDevicePage
{
  GtkWidget parent;

  GtkImage *icon;
  GtkLabel *name;
  GtkLabel *reach;
  AdwPreferencesGroup *addresses;
  AdwPreferencesGroup *connection;
  AdwPreferencesGroup *exit_group;
  AdwPreferencesGroup *about;
  GtkLabel *path;
  GtkLabel *latency;
  GtkLabel *traffic;
  GtkSwitch *exit_switch;

  WarrenClient *client;
  WarrenDevice *device;
  WarrenDeviceWatch *watch;  /* while mapped */
  GCancellable *cancellable; /* of the questions about the present device */
  GPtrArray *rows;           /* rows of our own making in addresses and about */
};

G_DEFINE_FINAL_TYPE (WarrenDevicePage, warren_device_page, GTK_TYPE_WIDGET)

/* --- rows
 * ----------------------------------------------------------------------------------------- */

static void
forget_rows (WarrenDevicePage *self)
{
  for (guint i = 0; i < self->rows->len; i++) {
    GtkWidget *row = self->rows->pdata[i];
    AdwPreferencesGroup *group = g_object_get_data (G_OBJECT (row), "group");

    adw_preferences_group_remove (group, row);
  }
  g_ptr_array_set_size (self->rows, 0);
}

static void
add_row (WarrenDevicePage *self, AdwPreferencesGroup *group, AdwActionRow *row)
{
  g_object_set_data (G_OBJECT (row), "group", group);
  adw_preferences_group_add (group, GTK_WIDGET (row));
  g_ptr_array_add (self->rows, row);
}

static void
add_copy_row (WarrenDevicePage *self, const char *value, const char *kind)
{
  add_row (self, self->addresses, warren_copy_row_new (value, kind));
}

static void
add_fact (WarrenDevicePage *self, const char *title, const char *value)
{
  if (value != NULL && *value != '\0')
    add_row (self, self->about, warren_fact_row_new (title, value));
}

static void
show_addresses (WarrenDevicePage *self)
{
  g_auto (GStrv) addresses = warren_device_dup_addresses (self->device);
  const char *fqdn = warren_device_get_fqdn (self->device);

  for (gsize i = 0; addresses[i] != NULL; i++)
    add_copy_row (self, addresses[i], strchr (addresses[i], ':') != NULL ? "IPv6" : "IPv4");
  if (*fqdn != '\0')
    add_copy_row (self, fqdn, _ ("Name"));
}

static char *
join (char **words)
{
  return words != NULL ? g_strjoinv (", ", words) : NULL;
}

static void
show_facts (WarrenDevicePage *self)
{
  g_auto (GStrv) tags = warren_device_dup_extra_strv (self->device, "Tags");
  g_auto (GStrv) routes = warren_device_dup_extra_strv (self->device, "Routes");
  g_autofree char *tag_list = join (tags);
  g_autofree char *route_list = join (routes);
  g_autofree char *place = warren_device_dup_place (self->device);
  gint64 expiry = warren_device_get_extra_time (self->device, "KeyExpiry");
  g_autofree char *expiry_date = expiry > 0 ? format_date (expiry) : NULL;

  add_fact (self, _ ("System"), format_os (warren_device_get_os (self->device)));
  add_fact (self, _ ("Owner"), warren_device_get_owner (self->device));
  add_fact (self, _ ("Tags"), tag_list);
  add_fact (self, _ ("Routes"), route_list);
  add_fact (self, _ ("Place"), place);
  add_fact (self, _ ("Sign-In Expires"), expiry_date);
}

static void
show_state (WarrenDevicePage *self)
{
  WarrenDeviceFlags flags = warren_device_get_flags (self->device);
  g_autofree char *reach = warren_device_describe_reach (self->device);

  gtk_label_set_label (self->reach, reach);
  gtk_widget_set_visible (GTK_WIDGET (self->connection), warren_device_is_online (self->device));
  gtk_widget_set_visible (GTK_WIDGET (self->exit_group), (flags & WARREN_DEVICE_EXIT_CAPABLE) != 0);
  warren_switch_show (self->exit_switch, (flags & WARREN_DEVICE_EXIT_CURRENT) != 0, self);
}

static void
show_device (WarrenDevicePage *self)
{
  forget_rows (self);
  gtk_image_set_from_icon_name (self->icon, format_os_icon (warren_device_get_os (self->device)));
  gtk_label_set_label (self->name, warren_device_get_name (self->device));
  show_state (self);
  show_addresses (self);
  show_facts (self);
}

/* The switch and the flags go together only when the daemon says so. */
static gboolean
on_exit_switch (WarrenDevicePage *self, gboolean wanted)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.set-exit-node", "s",
                              wanted ? warren_device_get_id (self->device) : "");
  return TRUE;
}

static void
on_device_changed (WarrenDevicePage *self, guint change)
{
  if ((change & ~WARREN_DEVICE_CHANGED_FLAGS) != 0)
    show_device (self);
  else
    show_state (self);
}

/* --- live numbers
 * --------------------------------------------------------------------------------- */

static char *
path_text (GVariant *detail)
{
  const char *path = "";
  const char *endpoint = "";
  const char *relay = "";

  g_variant_lookup (detail, "Path", "&s", &path);
  g_variant_lookup (detail, "Endpoint", "&s", &endpoint);
  g_variant_lookup (detail, "Relay", "&s", &relay);
  if (g_str_equal (path, "direct"))
    return g_strdup_printf (_ ("Direct, %s"), endpoint);
  if (g_str_equal (path, "relay"))
    return g_strdup_printf (_ ("Through relay %s"), relay);
  return g_strdup (_ ("No connection yet"));
}

static void
on_detail (WarrenDevicePage *self, GVariant *detail)
{
  g_autofree char *path = path_text (detail);
  g_autofree char *traffic = NULL;
  g_autofree char *received = NULL;
  g_autofree char *sent = NULL;
  g_autofree char *latency = NULL;
  guint64 rx = 0, tx = 0;
  guint latency_us = 0;

  g_variant_lookup (detail, "RxBytes", "t", &rx);
  g_variant_lookup (detail, "TxBytes", "t", &tx);
  g_variant_lookup (detail, "LatencyUs", "u", &latency_us);
  received = g_format_size (rx);
  sent = g_format_size (tx);
  traffic = g_strdup_printf ("↓ %s  ↑ %s", received, sent);
  latency = latency_us > 0 ? format_latency (latency_us) : g_strdup ("–");
  gtk_label_set_label (self->path, path);
  gtk_label_set_label (self->latency, latency);
  gtk_label_set_label (self->traffic, traffic);
}

static void
update_watch (WarrenDevicePage *self)
{
  WarrenSession *session = self->client != NULL ? warren_client_get_session (self->client) : NULL;

  g_clear_object (&self->watch);
  if (session == NULL || self->device == NULL || !gtk_widget_get_mapped (GTK_WIDGET (self)))
    return;
  gtk_label_set_label (self->path, "…");
  gtk_label_set_label (self->latency, "…");
  gtk_label_set_label (self->traffic, "…");
  self->watch
      = warren_device_watch_new (session, warren_device_get_id (self->device), WATCH_INTERVAL_MS);
  g_signal_connect_object (self->watch, "detail", G_CALLBACK (on_detail), self, G_CONNECT_SWAPPED);
}

static void
say (WarrenDevicePage *self, const char *text)
{
  gtk_widget_activate_action (GTK_WIDGET (self), "win.toast", "s", text);
}

static void
on_pong (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenDevicePage) self = user_data;
  g_autoptr (GVariant) answer = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  g_autofree char *latency = NULL;
  const char *path = "";
  guint latency_us = 0;

  if (!warren_bus_peers_call_ping_finish (WARREN_BUS_PEERS (source), &answer, result, &error)) {
    if (warren_error_is_silent (error))
      return;
    text = warren_error_describe (error, NULL);
    say (self, text);
    return;
  }
  g_variant_lookup (answer, "LatencyUs", "u", &latency_us);
  g_variant_lookup (answer, "Path", "&s", &path);
  latency = format_latency (latency_us);
  text = g_strdup_printf (g_str_equal (path, "relay") ? _ ("Answer after %s, through a relay")
                                                      : _ ("Answer after %s, directly"),
                          latency);
  say (self, text);
}

void
warren_device_page_ping (WarrenDevicePage *self)
{
  WarrenSession *session = self->client != NULL ? warren_client_get_session (self->client) : NULL;

  if (session != NULL && self->device != NULL)
    warren_bus_peers_call_ping (warren_session_get_peers (session),
                                warren_device_get_id (self->device), "disco", PING_TIMEOUT_MS,
                                G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, G_MAXINT,
                                self->cancellable, on_pong, g_object_ref (self));
}

/* --- widget
 * --------------------------------------------------------------------------------------- */

void
warren_device_page_set_client (WarrenDevicePage *self, WarrenClient *client)
{
  g_set_object (&self->client, client);
}

void
warren_device_page_set_device (WarrenDevicePage *self, WarrenDevice *device)
{
  if (self->device == device)
    return;
  if (self->device != NULL)
    g_signal_handlers_disconnect_by_data (self->device, self);
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  self->cancellable = g_cancellable_new ();
  g_set_object (&self->device, device);
  if (device != NULL) {
    g_signal_connect_object (device, "changed", G_CALLBACK (on_device_changed), self,
                             G_CONNECT_SWAPPED);
    show_device (self);
  }
  update_watch (self);
}

WarrenDevice *
warren_device_page_get_device (WarrenDevicePage *self)
{
  return self->device;
}

static void
warren_device_page_map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (warren_device_page_parent_class)->map (widget);
  update_watch (WARREN_DEVICE_PAGE (widget));
}

static void
warren_device_page_unmap (GtkWidget *widget)
{
  g_clear_object (&WARREN_DEVICE_PAGE (widget)->watch);
  GTK_WIDGET_CLASS (warren_device_page_parent_class)->unmap (widget);
}

static void
warren_device_page_dispose (GObject *object)
{
  WarrenDevicePage *self = WARREN_DEVICE_PAGE (object);

  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->watch);
  g_clear_object (&self->device);
  g_clear_object (&self->client);
  g_clear_pointer (&self->rows, g_ptr_array_unref);
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_DEVICE_PAGE);
  G_OBJECT_CLASS (warren_device_page_parent_class)->dispose (object);
}

static void
warren_device_page_class_init (WarrenDevicePageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_device_page_dispose;
  widget_class->map = warren_device_page_map;
  widget_class->unmap = warren_device_page_unmap;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/device-page.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, icon);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, name);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, reach);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, addresses);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, connection);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, exit_group);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, about);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, path);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, latency);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, traffic);
  gtk_widget_class_bind_template_child (widget_class, WarrenDevicePage, exit_switch);
  gtk_widget_class_bind_template_callback (widget_class, on_exit_switch);
}

static void
warren_device_page_init (WarrenDevicePage *self)
{
  self->rows = g_ptr_array_new ();
  self->cancellable = g_cancellable_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
}
