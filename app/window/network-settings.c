#include "window/network-settings.h"

#include "client/network-check.h"
#include "window/rows.h"

#include <glib/gi18n-lib.h>

struct _WarrenNetworkSettings
{
  GtkWidget parent;

  GtkListBox *user_list;
  AdwEntryRow *new_user_row;
  GtkSwitch *magic_switch;
  AdwEntryRow *domain_row;
  AdwEntryRow *servers_row;
  GtkListBox *fact_list;

  WarrenNetworkData *data;
};

G_DEFINE_FINAL_TYPE (WarrenNetworkSettings, warren_network_settings, GTK_TYPE_WIDGET)

#define SHOWN (WARREN_NETWORK_USERS | WARREN_NETWORK_DNS)

static void show_dns (WarrenNetworkSettings *self);

static void
on_answered (gpointer view, gboolean ok, const char *text)
{
  WarrenNetworkSettings *self = view;

  if (ok)
    return;
  if (*text != '\0')
    gtk_widget_activate_action (GTK_WIDGET (view), "win.toast", "s", text);
  if (self->magic_switch != NULL)
    show_dns (self);
}

static void
run (WarrenNetworkSettings *self, const char *noun, const char *verb, const char *argument)
{
  const char *words[] = {noun, verb, argument, NULL};

  warren_network_data_run (self->data, words, NULL, self, on_answered);
}

static char *
dup_entry (AdwEntryRow *row)
{
  return g_strstrip (g_strdup (gtk_editable_get_text (GTK_EDITABLE (row))));
}

/* --- users
 * ------------------------------------------------------------------------------------------------
 */

static const char *
role_text (const char *role)
{
  if (g_str_equal (role, "owner"))
    return _ ("Owner");
  if (g_str_equal (role, "admin"))
    return _ ("Administrator");
  return "";
}

static GtkWidget *
create_row (gpointer item, gpointer user_data)
{
  const WarrenUserFacts *facts = warren_network_user_get (item);
  AdwActionRow *row = warren_row_new (facts->login);

  adw_action_row_set_subtitle (row, role_text (facts->role));
  adw_action_row_add_prefix (row, warren_icon_new ("avatar-default-symbolic"));
  return GTK_WIDGET (row);
}

static void
on_add_user (WarrenNetworkSettings *self)
{
  g_autofree char *login = dup_entry (self->new_user_row);

  if (*login == '\0')
    return;
  run (self, "users", "create", login);
  adw_entry_row_set_show_apply_button (self->new_user_row, FALSE);
  gtk_editable_set_text (GTK_EDITABLE (self->new_user_row), "");
  adw_entry_row_set_show_apply_button (self->new_user_row, TRUE);
}

/* --- names
 * ------------------------------------------------------------------------------------------------
 */

static gboolean
on_magic_switch (WarrenNetworkSettings *self, gboolean on)
{
  run (self, "dns", "magic", on ? "on" : "off");
  return TRUE; /* it moves when the network says so */
}

static void
on_domain (WarrenNetworkSettings *self)
{
  g_autofree char *domain = dup_entry (self->domain_row);

  run (self, "dns", "domain", domain);
}

static void
on_servers_changed (WarrenNetworkSettings *self)
{
  const char *text = gtk_editable_get_text (GTK_EDITABLE (self->servers_row));

  warren_entry_mark (self->servers_row, warren_check_servers (text) == NULL);
}

static void
on_servers (WarrenNetworkSettings *self)
{
  const char *text = gtk_editable_get_text (GTK_EDITABLE (self->servers_row));
  const char *wrong = warren_check_servers (text);
  g_auto (GStrv) servers = warren_check_split (text);
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  if (wrong != NULL) {
    gtk_widget_activate_action (GTK_WIDGET (self), "win.toast", "s", wrong);
    return;
  }
  g_ptr_array_add (words, (gpointer) "dns");
  g_ptr_array_add (words, (gpointer) "set");
  for (gsize i = 0; servers[i] != NULL; i++)
    g_ptr_array_add (words, servers[i]);
  g_ptr_array_add (words, NULL);
  warren_network_data_run (self->data, (const char *const *)words->pdata, NULL, self, on_answered);
}

static void
show_dns (WarrenNetworkSettings *self)
{
  const WarrenDnsFacts *dns = warren_network_data_get_dns (self->data);
  g_autofree char *servers = dns != NULL ? g_strjoinv (", ", dns->nameservers) : NULL;

  if (dns == NULL)
    return;
  warren_switch_show (self->magic_switch, dns->magic, self);
  warren_entry_show (self->domain_row, dns->domain);
  warren_entry_show (self->servers_row, servers);
}

static void
on_data_changed (WarrenNetworkSettings *self, guint lists)
{
  if ((lists & WARREN_NETWORK_DNS) != 0)
    show_dns (self);
}

/* --- facts
 * ------------------------------------------------------------------------------------------------
 */

static void
add_fact (WarrenNetworkSettings *self, const char *title, const char *value)
{
  if (*value != '\0')
    gtk_list_box_append (self->fact_list, GTK_WIDGET (warren_fact_row_new (title, value)));
}

static void
on_network_changed (WarrenNetworkSettings *self)
{
  WarrenNetwork *network = warren_network_data_get_network (self->data);

  warren_list_clear (self->fact_list);
  add_fact (self, _ ("Name"), warren_network_get_name (network));
  add_fact (self, _ ("Address"), warren_network_get_url (network));
  add_fact (self, _ ("IPv4 Range"), warren_network_get_prefix4 (network));
  add_fact (self, _ ("IPv6 Range"), warren_network_get_prefix6 (network));
}

void
warren_network_settings_set_data (WarrenNetworkSettings *self, WarrenNetworkData *data)
{
  self->data = g_object_ref (data);
  gtk_list_box_bind_model (self->user_list, warren_network_data_get_users (data), create_row, self,
                           NULL);
  g_signal_connect_object (data, "changed", G_CALLBACK (on_data_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (warren_network_data_get_network (data), "changed",
                           G_CALLBACK (on_network_changed), self, G_CONNECT_SWAPPED);
  on_network_changed (self);
}

/* --- widget
 * -----------------------------------------------------------------------------------------------
 */

static void
warren_network_settings_map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (warren_network_settings_parent_class)->map (widget);
  warren_network_data_want (WARREN_NETWORK_SETTINGS (widget)->data, SHOWN);
}

static void
warren_network_settings_unmap (GtkWidget *widget)
{
  warren_network_data_drop (WARREN_NETWORK_SETTINGS (widget)->data, SHOWN);
  GTK_WIDGET_CLASS (warren_network_settings_parent_class)->unmap (widget);
}

static void
warren_network_settings_dispose (GObject *object)
{
  WarrenNetworkSettings *self = WARREN_NETWORK_SETTINGS (object);

  if (self->user_list != NULL)
    gtk_list_box_bind_model (self->user_list, NULL, NULL, NULL, NULL);
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_NETWORK_SETTINGS);
  g_clear_object (&self->data);
  G_OBJECT_CLASS (warren_network_settings_parent_class)->dispose (object);
}

static void
warren_network_settings_class_init (WarrenNetworkSettingsClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_network_settings_dispose;
  widget_class->map = warren_network_settings_map;
  widget_class->unmap = warren_network_settings_unmap;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/network-settings.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkSettings, user_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkSettings, new_user_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkSettings, magic_switch);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkSettings, domain_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkSettings, servers_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkSettings, fact_list);
  gtk_widget_class_bind_template_callback (widget_class, on_add_user);
  gtk_widget_class_bind_template_callback (widget_class, on_magic_switch);
  gtk_widget_class_bind_template_callback (widget_class, on_domain);
  gtk_widget_class_bind_template_callback (widget_class, on_servers_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_servers);
}

static void
warren_network_settings_init (WarrenNetworkSettings *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
