#include "window/network-invite.h"

#include "client/invite.h"
#include "client/network-check.h"
#include "window/format.h"
#include "window/qr-paintable.h"
#include "window/rows.h"

#include <glib/gi18n-lib.h>

#define KEYS_MAX 100 /* rows at once */

struct _WarrenNetworkInvite
{
  GtkWidget parent;

  AdwComboRow *lifetime_row;
  GtkSwitch *reusable_switch;
  GtkSwitch *ephemeral_switch;
  AdwEntryRow *tags_row;
  GtkLabel *error_label;
  GtkWidget *create_button;
  GtkWidget *result;
  GtkPicture *code;
  GtkListBox *result_list;
  GtkListBox *key_list;

  WarrenNetworkData *data;
};

G_DEFINE_FINAL_TYPE (WarrenNetworkInvite, warren_network_invite, GTK_TYPE_WIDGET)

/* As in the list of the template. */
static const char *const lifetimes[] = {"1h", "1d", "7d", "90d"};

static void
say_error (WarrenNetworkInvite *self, const char *text)
{
  gtk_label_set_label (self->error_label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error_label), text != NULL && *text != '\0');
}

/* --- a new one
 * -------------------------------------------------------------------------------------------- */

static void
add_result (WarrenNetworkInvite *self, const char *value, const char *kind)
{
  AdwActionRow *row = warren_copy_row_new (value, kind);

  adw_action_row_set_title_lines (row, 2);
  gtk_list_box_append (self->result_list, GTK_WIDGET (row));
}

/* The focus brings the link and the code above it into view, once they have their place. */
static gboolean
on_placed (GtkWidget *list, GdkFrameClock *clock, gpointer user_data)
{
  GtkListBoxRow *row = gtk_list_box_get_row_at_index (GTK_LIST_BOX (list), 0);

  if (row == NULL || gtk_widget_get_height (GTK_WIDGET (row)) == 0)
    return gtk_widget_get_visible (list);
  gtk_widget_grab_focus (GTK_WIDGET (row));
  return G_SOURCE_REMOVE;
}

static void
show_key (WarrenNetworkInvite *self, const char *key)
{
  const char *url = warren_network_get_url (warren_network_data_get_network (self->data));
  g_autofree char *link = warren_invite_format (url, key);
  g_autoptr (GdkPaintable) code = warren_qr_paintable_new (link);

  gtk_picture_set_paintable (self->code, code);
  gtk_widget_set_visible (GTK_WIDGET (self->code), code != NULL);
  warren_list_clear (self->result_list);
  add_result (self, link, _ ("Link"));
  add_result (self, url, _ ("Server"));
  add_result (self, key, _ ("Key"));
  gtk_widget_set_visible (self->result, TRUE);
  gtk_widget_add_tick_callback (GTK_WIDGET (self->result_list), on_placed, NULL, NULL);
}

static void
hide_key (WarrenNetworkInvite *self)
{
  gtk_widget_set_visible (self->result, FALSE);
  gtk_picture_set_paintable (self->code, NULL);
  warren_list_clear (self->result_list);
}

static void
on_created (gpointer view, gboolean ok, const char *text)
{
  WarrenNetworkInvite *self = view;
  g_autofree char *key = ok ? warren_network_parse_new_key (text) : NULL;

  gtk_widget_set_sensitive (self->create_button, TRUE);
  say_error (self, ok ? NULL : text);
  if (key != NULL)
    show_key (self, key);
  else if (ok)
    say_error (self, _ ("The network gave no key."));
}

static void
on_create (WarrenNetworkInvite *self)
{
  guint chosen
      = MIN (adw_combo_row_get_selected (self->lifetime_row), G_N_ELEMENTS (lifetimes) - 1);
  g_autofree char *expires = g_strdup_printf ("--expires=%s", lifetimes[chosen]);
  g_autofree char *tags = warren_check_tags (gtk_editable_get_text (GTK_EDITABLE (self->tags_row)));
  g_autofree char *tag_word = g_strdup_printf ("--tags=%s", tags);
  const char *words[8] = {"keys", "create", "--json", expires};
  gsize n = 4;

  if (!gtk_widget_get_sensitive (self->create_button))
    return;
  if (gtk_switch_get_active (self->reusable_switch))
    words[n++] = "--reusable";
  if (gtk_switch_get_active (self->ephemeral_switch))
    words[n++] = "--ephemeral";
  if (*tags != '\0')
    words[n++] = tag_word;
  hide_key (self);
  say_error (self, NULL);
  gtk_widget_set_sensitive (self->create_button, FALSE);
  warren_network_data_run (self->data, words, NULL, self, on_created);
}

/* --- those that exist
 * ------------------------------------------------------------------------------------- */

static void
on_revoked (gpointer view, gboolean ok, const char *text)
{
  if (!ok && *text != '\0')
    gtk_widget_activate_action (GTK_WIDGET (view), "win.toast", "s", text);
}

static void
on_revoke (WarrenNetworkInvite *self, GtkButton *button)
{
  const char *words[] = {"keys", "revoke", g_object_get_data (G_OBJECT (button), "id"), NULL};

  warren_network_data_run (self->data, words, NULL, self, on_revoked);
}

static char *
describe (const WarrenKeyFacts *facts)
{
  g_autofree char *tags = g_strjoinv (", ", facts->tags);
  g_autofree char *date = facts->expires > 0 ? format_date (facts->expires) : NULL;
  GString *text = g_string_new (facts->reusable ? _ ("for several devices") : _ ("for one device"));

  if (facts->ephemeral)
    g_string_append_printf (text, " · %s", _ ("for guests"));
  if (*tags != '\0')
    g_string_append_printf (text, " · %s", tags);
  if (date != NULL) {
    g_string_append (text, " · ");
    g_string_append_printf (text, _ ("until %s"), date);
  }
  return g_string_free (text, FALSE);
}

static GtkWidget *
create_row (gpointer item, gpointer user_data)
{
  const WarrenKeyFacts *facts = warren_network_key_get (item);
  g_autofree char *about = describe (facts);
  g_autofree char *name = g_strdup_printf (_ ("Revoke %s"), facts->id);
  AdwActionRow *row = warren_row_new (facts->id);
  GtkButton *button = warren_row_add_button (row, _ ("Revoke"), name);

  adw_action_row_set_subtitle (row, about);
  adw_action_row_set_subtitle_lines (row, 2);
  g_object_set_data_full (G_OBJECT (button), "id", g_strdup (facts->id), g_free);
  g_signal_connect_swapped (button, "clicked", G_CALLBACK (on_revoke), user_data);
  return GTK_WIDGET (row);
}

static gboolean
is_shown (gpointer item, gpointer user_data)
{
  const WarrenKeyFacts *facts = warren_network_key_get (item);

  return (*facts->state == '\0' || g_str_equal (facts->state, "valid"))
         && (facts->expires == 0 || facts->expires > g_get_real_time () / G_USEC_PER_SEC);
}

void
warren_network_invite_set_data (WarrenNetworkInvite *self, WarrenNetworkData *data)
{
  GtkFilter *filter = GTK_FILTER (gtk_custom_filter_new (is_shown, NULL, NULL));
  GListModel *valid = G_LIST_MODEL (
      gtk_filter_list_model_new (g_object_ref (warren_network_data_get_keys (data)), filter));
  g_autoptr (GtkSliceListModel) few = gtk_slice_list_model_new (valid, 0, KEYS_MAX);

  self->data = g_object_ref (data);
  gtk_list_box_bind_model (self->key_list, G_LIST_MODEL (few), create_row, self, NULL);
}

/* --- widget
 * -----------------------------------------------------------------------------------------------
 */

static void
warren_network_invite_map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (warren_network_invite_parent_class)->map (widget);
  warren_network_data_want (WARREN_NETWORK_INVITE (widget)->data, WARREN_NETWORK_KEYS);
}

/* Who comes back later does not find the key lying open. */
static void
warren_network_invite_unmap (GtkWidget *widget)
{
  WarrenNetworkInvite *self = WARREN_NETWORK_INVITE (widget);

  warren_network_data_drop (self->data, WARREN_NETWORK_KEYS);
  hide_key (self);
  GTK_WIDGET_CLASS (warren_network_invite_parent_class)->unmap (widget);
}

static void
warren_network_invite_dispose (GObject *object)
{
  WarrenNetworkInvite *self = WARREN_NETWORK_INVITE (object);

  if (self->key_list != NULL)
    gtk_list_box_bind_model (self->key_list, NULL, NULL, NULL, NULL);
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_NETWORK_INVITE);
  g_clear_object (&self->data);
  G_OBJECT_CLASS (warren_network_invite_parent_class)->dispose (object);
}

static void
warren_network_invite_class_init (WarrenNetworkInviteClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_network_invite_dispose;
  widget_class->map = warren_network_invite_map;
  widget_class->unmap = warren_network_invite_unmap;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/network-invite.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, lifetime_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, reusable_switch);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, ephemeral_switch);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, tags_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, error_label);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, create_button);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, result);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, code);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, result_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkInvite, key_list);
  gtk_widget_class_bind_template_callback (widget_class, on_create);
}

static void
warren_network_invite_init (WarrenNetworkInvite *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
