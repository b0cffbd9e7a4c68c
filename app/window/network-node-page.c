#include "window/network-node-page.h"

#include "client/network-check.h"
#include "window/format.h"
#include "window/rows.h"

#include <glib/gi18n-lib.h>

struct _WarrenNetworkNodePage
{
  GtkWidget parent;

  GtkImage *icon;
  GtkLabel *title;
  GtkLabel *state;
  AdwEntryRow *name_row;
  AdwEntryRow *tags_row;
  GtkWidget *routes_group;
  GtkListBox *routes_list;
  GtkListBox *address_list;
  GtkListBox *fact_list;
  GtkWidget *expire_button;

  WarrenNetworkData *data;
  WarrenNetworkNode *node;
};

enum
{
  SIGNAL_REMOVE,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenNetworkNodePage, warren_network_node_page, GTK_TYPE_WIDGET)

static void show_node (WarrenNetworkNodePage *self);

/* What was typed goes back to what is true when the network refused it. */
static void
on_answered (gpointer view, gboolean ok, const char *text)
{
  WarrenNetworkNodePage *self = view;

  if (ok)
    return;
  if (*text != '\0')
    gtk_widget_activate_action (GTK_WIDGET (view), "win.toast", "s", text);
  if (self->node != NULL)
    show_node (self);
}

static void
run (WarrenNetworkNodePage *self, const char *noun, const char *verb, const char *argument)
{
  const char *words[] = {noun, verb, warren_network_node_get (self->node)->id, argument, NULL};

  warren_network_data_run (self->data, words, NULL, self, on_answered);
}

/* --- routes
 * -----------------------------------------------------------------------------------------------
 */

static gboolean
is_default (const char *route)
{
  return g_str_equal (route, "0.0.0.0/0") || g_str_equal (route, "::/0");
}

/* All routes that are to be approved, with ROUTE on or off; both families of the Internet as one.
 */
static void
approve (WarrenNetworkNodePage *self, const char *route, gboolean on)
{
  const WarrenNodeFacts *facts = warren_network_node_get (self->node);
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  g_ptr_array_add (words, (gpointer) "routes");
  g_ptr_array_add (words, (gpointer) "approve");
  g_ptr_array_add (words, facts->id);
  for (gsize i = 0; facts->advertised[i] != NULL; i++) {
    char *offered = facts->advertised[i];
    gboolean concerned = is_default (route) ? is_default (offered) : g_str_equal (route, offered);
    gboolean approved = g_strv_contains ((const char *const *)facts->routes, offered);

    if (concerned ? on : approved)
      g_ptr_array_add (words, offered);
  }
  g_ptr_array_add (words, NULL);
  warren_network_data_run (self->data, (const char *const *)words->pdata, NULL, self, on_answered);
}

static gboolean
on_route_switch (WarrenNetworkNodePage *self, gboolean on, GtkSwitch *toggle)
{
  approve (self, g_object_get_data (G_OBJECT (toggle), "route"), on);
  return TRUE; /* it moves when the network says so */
}

static void
add_route (WarrenNetworkNodePage *self, const char *route, const char *title, const char *about)
{
  const WarrenNodeFacts *facts = warren_network_node_get (self->node);
  AdwActionRow *row = warren_row_new (title);
  GtkWidget *toggle = gtk_switch_new ();

  if (about != NULL)
    adw_action_row_set_subtitle (row, about);
  gtk_widget_set_valign (toggle, GTK_ALIGN_CENTER);
  gtk_switch_set_active (GTK_SWITCH (toggle),
                         g_strv_contains ((const char *const *)facts->routes, route));
  g_object_set_data_full (G_OBJECT (toggle), "route", g_strdup (route), g_free);
  g_signal_connect_swapped (toggle, "state-set", G_CALLBACK (on_route_switch), self);
  adw_action_row_add_suffix (row, toggle);
  adw_action_row_set_activatable_widget (row, toggle);
  gtk_list_box_append (self->routes_list, GTK_WIDGET (row));
}

static void
show_routes (WarrenNetworkNodePage *self)
{
  const WarrenNodeFacts *facts = warren_network_node_get (self->node);
  gboolean exit_shown = FALSE;

  warren_list_clear (self->routes_list);
  gtk_widget_set_visible (self->routes_group, facts->advertised[0] != NULL);
  for (gsize i = 0; facts->advertised[i] != NULL; i++) {
    if (!is_default (facts->advertised[i]))
      add_route (self, facts->advertised[i], facts->advertised[i], NULL);
    else if (!exit_shown)
      add_route (self, facts->advertised[i], _ ("Exit Node"),
                 _ ("Others may send their Internet traffic through it"));
    exit_shown = exit_shown || is_default (facts->advertised[i]);
  }
}

/* --- showing
 * ---------------------------------------------------------------------------------------------- */

static void
add_fact (WarrenNetworkNodePage *self, const char *title, const char *value)
{
  if (*value != '\0')
    gtk_list_box_append (self->fact_list, GTK_WIDGET (warren_fact_row_new (title, value)));
}

static void
show_facts (WarrenNetworkNodePage *self)
{
  const WarrenNodeFacts *facts = warren_network_node_get (self->node);
  g_autofree char *fingerprint = warren_network_node_dup_fingerprint (self->node);
  g_autofree char *expiry
      = facts->key_expiry > 0 ? format_date (facts->key_expiry) : g_strdup (_ ("Never"));

  warren_list_clear (self->fact_list);
  add_fact (self, _ ("System"), format_os (facts->os));
  add_fact (self, _ ("Owner"), facts->user);
  if (!g_str_equal (facts->hostname, facts->name))
    add_fact (self, _ ("Calls Itself"), facts->hostname);
  add_fact (self, _ ("Fingerprint"), fingerprint);
  add_fact (self, _ ("Sign-In Expires"), facts->expired ? _ ("Expired") : expiry);
}

static void
show_addresses (WarrenNetworkNodePage *self)
{
  char **addresses = warren_network_node_get (self->node)->addresses;

  warren_list_clear (self->address_list);
  for (gsize i = 0; addresses[i] != NULL; i++)
    gtk_list_box_append (self->address_list,
                         GTK_WIDGET (warren_copy_row_new (
                             addresses[i], strchr (addresses[i], ':') != NULL ? "IPv6" : "IPv4")));
}

static void
show_node (WarrenNetworkNodePage *self)
{
  const WarrenNodeFacts *facts = warren_network_node_get (self->node);
  g_autofree char *tags = g_strjoinv (", ", facts->tags);
  g_autofree char *ago = format_ago (facts->last_seen, g_get_real_time () / G_USEC_PER_SEC);
  g_autofree char *seen = facts->last_seen > 0 ? g_strdup_printf (_ ("Offline, seen %s"), ago)
                                               : g_strdup (_ ("Offline"));

  gtk_image_set_from_icon_name (self->icon, format_os_icon (facts->os));
  gtk_label_set_label (self->title, facts->name);
  gtk_label_set_label (self->state, facts->expired  ? _ ("Its sign-in has expired")
                                    : facts->online ? _ ("Online")
                                                    : seen);
  warren_entry_show (self->name_row, facts->name);
  warren_entry_show (self->tags_row, tags);
  gtk_widget_set_sensitive (self->expire_button, !facts->expired);
  show_routes (self);
  show_addresses (self);
  show_facts (self);
}

/* --- doing
 * ------------------------------------------------------------------------------------------------
 */

static void
on_name_changed (WarrenNetworkNodePage *self)
{
  const char *name = gtk_editable_get_text (GTK_EDITABLE (self->name_row));

  warren_entry_mark (self->name_row, warren_check_label (name) == NULL);
}

static void
on_rename (WarrenNetworkNodePage *self)
{
  g_autofree char *name
      = g_strstrip (g_strdup (gtk_editable_get_text (GTK_EDITABLE (self->name_row))));
  const char *wrong = warren_check_label (name);

  if (self->node == NULL)
    return;
  if (wrong != NULL)
    on_answered (self, FALSE, wrong);
  else
    run (self, "nodes", "rename", name);
}

static void
on_tag (WarrenNetworkNodePage *self)
{
  g_autofree char *tags = warren_check_tags (gtk_editable_get_text (GTK_EDITABLE (self->tags_row)));

  if (self->node != NULL)
    run (self, "nodes", "tag", tags);
}

static void
on_expire_answer (WarrenNetworkNodePage *self, const char *response)
{
  if (g_str_equal (response, "yes") && self->node != NULL)
    run (self, "nodes", "expire", NULL);
}

static void
on_expire (WarrenNetworkNodePage *self)
{
  warren_confirm (GTK_WIDGET (self), _ ("End the Sign-In of This Device?"),
                  _ ("It is cut off from the network until somebody signs it in again."),
                  _ ("_End Sign-In"), G_CALLBACK (on_expire_answer));
}

static void
on_remove (WarrenNetworkNodePage *self)
{
  if (self->node != NULL)
    g_signal_emit (self, signals[SIGNAL_REMOVE], 0, self->node);
}

void
warren_network_node_page_set_data (WarrenNetworkNodePage *self, WarrenNetworkData *data)
{
  g_set_object (&self->data, data);
}

void
warren_network_node_page_set_node (WarrenNetworkNodePage *self, WarrenNetworkNode *node)
{
  if (self->node == node)
    return;
  if (self->node != NULL)
    g_signal_handlers_disconnect_by_data (self->node, self);
  g_set_object (&self->node, node);
  if (node == NULL)
    return;
  g_signal_connect_object (node, "changed", G_CALLBACK (show_node), self, G_CONNECT_SWAPPED);
  show_node (self);
}

/* --- widget
 * -----------------------------------------------------------------------------------------------
 */

static void
warren_network_node_page_map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (warren_network_node_page_parent_class)->map (widget);
  warren_network_data_want (WARREN_NETWORK_NODE_PAGE (widget)->data, WARREN_NETWORK_NODES);
}

static void
warren_network_node_page_unmap (GtkWidget *widget)
{
  warren_network_data_drop (WARREN_NETWORK_NODE_PAGE (widget)->data, WARREN_NETWORK_NODES);
  GTK_WIDGET_CLASS (warren_network_node_page_parent_class)->unmap (widget);
}

static void
warren_network_node_page_dispose (GObject *object)
{
  WarrenNetworkNodePage *self = WARREN_NETWORK_NODE_PAGE (object);

  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_NETWORK_NODE_PAGE);
  g_clear_object (&self->node);
  g_clear_object (&self->data);
  G_OBJECT_CLASS (warren_network_node_page_parent_class)->dispose (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, icon);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, title);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, state);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, name_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, tags_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, routes_group);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, routes_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, address_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, fact_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkNodePage, expire_button);
}

static void
warren_network_node_page_class_init (WarrenNetworkNodePageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_network_node_page_dispose;
  widget_class->map = warren_network_node_page_map;
  widget_class->unmap = warren_network_node_page_unmap;
  signals[SIGNAL_REMOVE]
      = g_signal_new ("remove", WARREN_TYPE_NETWORK_NODE_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                      NULL, G_TYPE_NONE, 1, WARREN_TYPE_NETWORK_NODE);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/network-node-page.ui");
  bind_children (widget_class);
  gtk_widget_class_bind_template_callback (widget_class, on_name_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_rename);
  gtk_widget_class_bind_template_callback (widget_class, on_tag);
  gtk_widget_class_bind_template_callback (widget_class, on_expire);
  gtk_widget_class_bind_template_callback (widget_class, on_remove);
}

static void
warren_network_node_page_init (WarrenNetworkNodePage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
