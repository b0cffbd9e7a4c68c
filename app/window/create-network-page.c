#include "window/create-network-page.h"

#include "client/error.h"
#include "client/join.h"
#include "client/network-check.h"
#include "window/rows.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

#define PORT          8080
#define DEFAULT_RANGE "100.64.0.0/16"

struct _WarrenCreateNetworkPage
{
  GtkWidget parent;

  AdwEntryRow *name_row;
  AdwEntryRow *device_row;
  AdwExpanderRow *more_row;
  AdwEntryRow *listen_row;
  AdwEntryRow *url_row;
  AdwEntryRow *prefix_row;
  GtkLabel *error_label;
  GtkWidget *create_button;
  GtkStack *create_stack;

  WarrenClient *client;
  gboolean busy;
  gboolean url_typed; /* the user wrote an address: it no longer follows "listens on" */
};

enum
{
  SIGNAL_CREATED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenCreateNetworkPage, warren_create_network_page, GTK_TYPE_WIDGET)

static const char *
text_of (AdwEntryRow *row)
{
  return gtk_editable_get_text (GTK_EDITABLE (row));
}

static void
say_error (WarrenCreateNetworkPage *self, const char *text)
{
  gtk_label_set_label (self->error_label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error_label), text != NULL && *text != '\0');
}

/* The first thing that is wrong, with its row marked; NULL if all is right. */
static const char *
check (WarrenCreateNetworkPage *self)
{
  const struct
  {
    AdwEntryRow *row;
    const char *wrong;
  } checks[] = {
      {self->name_row, warren_check_label (text_of (self->name_row))},
      {self->device_row, warren_check_label (text_of (self->device_row))},
      {self->listen_row, warren_check_listen (text_of (self->listen_row))},
      {self->url_row, warren_check_url (text_of (self->url_row))},
      {self->prefix_row, warren_check_prefix4 (text_of (self->prefix_row))},
  };
  const char *first = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (checks); i++) {
    warren_entry_mark (checks[i].row, checks[i].wrong == NULL);
    if (first == NULL)
      first = checks[i].wrong;
  }
  return first;
}

static void
update (WarrenCreateNetworkPage *self)
{
  const char *wrong = check (self);

  say_error (self, wrong);
  adw_expander_row_set_subtitle (self->more_row, text_of (self->url_row));
  gtk_widget_set_sensitive (self->create_button, wrong == NULL && !self->busy);
  gtk_stack_set_visible_child_name (self->create_stack, self->busy ? "busy" : "label");
}

static void
on_changed (WarrenCreateNetworkPage *self)
{
  update (self);
}

static void
show_url (WarrenCreateNetworkPage *self, const char *url)
{
  g_signal_handlers_block_matched (self->url_row, G_SIGNAL_MATCH_DATA, 0, 0, NULL, NULL, self);
  gtk_editable_set_text (GTK_EDITABLE (self->url_row), url);
  g_signal_handlers_unblock_matched (self->url_row, G_SIGNAL_MATCH_DATA, 0, 0, NULL, NULL, self);
}

static void
on_listen_changed (WarrenCreateNetworkPage *self)
{
  g_autofree char *url = g_strdup_printf ("http://%s", text_of (self->listen_row));

  if (!self->url_typed)
    show_url (self, url);
  update (self);
}

static void
on_url_changed (WarrenCreateNetworkPage *self)
{
  self->url_typed = TRUE;
  update (self);
}

/* --- creating
 * --------------------------------------------------------------------------------------------- */

static void
end (WarrenCreateNetworkPage *self, const char *path, const GError *error)
{
  g_autofree char *text = NULL;

  self->busy = FALSE;
  update (self);
  if (path != NULL) {
    g_signal_emit (self, signals[SIGNAL_CREATED], 0, path);
  } else if (!warren_error_is_silent (error)) {
    text = warren_error_describe (error, _ ("to create a network"));
    say_error (self, text);
  }
}

static void
on_joined (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenCreateNetworkPage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = warren_join_own_network_finish (WARREN_CLIENT (source), result, &error);

  if (self->client != NULL)
    end (self, path, error);
}

static void
on_network_created (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenCreateNetworkPage) self = user_data;
  g_autoptr (GError) error = NULL;

  if (self->client == NULL)
    return;
  if (warren_network_call_finish (WARREN_NETWORK (source), result, &error))
    warren_join_own_network_async (self->client, text_of (self->device_row), NULL, on_joined,
                                   g_object_ref (self));
  else
    end (self, NULL, error);
}

static void
on_create (WarrenCreateNetworkPage *self)
{
  GVariantDict options;

  if (self->busy || check (self) != NULL)
    return;
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "Name", "s", text_of (self->name_row));
  g_variant_dict_insert (&options, "Prefix4", "s", text_of (self->prefix_row));
  g_variant_dict_insert (&options, "Listen", "s", text_of (self->listen_row));
  g_variant_dict_insert (&options, "PublicUrl", "s", text_of (self->url_row));
  self->busy = TRUE;
  update (self);
  warren_network_create_async (warren_client_get_network (self->client),
                               g_variant_dict_end (&options), NULL, on_network_created,
                               g_object_ref (self));
}

void
warren_create_network_page_set_client (WarrenCreateNetworkPage *self, WarrenClient *client)
{
  g_set_object (&self->client, client);
}

/* A computer's name in the form that a network takes. */
static char *
device_name (void)
{
  g_auto (GStrv) labels = g_strsplit (g_get_host_name (), ".", 2);
  g_autofree char *name = g_strdup (labels[0] != NULL ? labels[0] : "");

  g_strcanon (name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-", '-');
  return warren_check_label (name) == NULL ? g_steal_pointer (&name) : g_strdup ("computer");
}

void
warren_create_network_page_reset (WarrenCreateNetworkPage *self)
{
  g_autofree char *address = warren_local_address ();
  g_autofree char *listen
      = g_strdup_printf ("%s:%d", address != NULL ? address : "127.0.0.1", PORT);
  g_autofree char *device = device_name ();

  self->url_typed = FALSE;
  gtk_editable_set_text (GTK_EDITABLE (self->name_row), _ ("home"));
  gtk_editable_set_text (GTK_EDITABLE (self->device_row), device);
  gtk_editable_set_text (GTK_EDITABLE (self->listen_row), listen);
  gtk_editable_set_text (GTK_EDITABLE (self->prefix_row), DEFAULT_RANGE);
  adw_expander_row_set_expanded (self->more_row, FALSE);
  update (self);
}

/* --- widget
 * -----------------------------------------------------------------------------------------------
 */

static gboolean
warren_create_network_page_grab_focus (GtkWidget *widget)
{
  return gtk_widget_grab_focus (GTK_WIDGET (WARREN_CREATE_NETWORK_PAGE (widget)->name_row));
}

static void
warren_create_network_page_dispose (GObject *object)
{
  g_clear_object (&WARREN_CREATE_NETWORK_PAGE (object)->client);
  gtk_widget_dispose_template (GTK_WIDGET (object), WARREN_TYPE_CREATE_NETWORK_PAGE);
  G_OBJECT_CLASS (warren_create_network_page_parent_class)->dispose (object);
}

static void
warren_create_network_page_class_init (WarrenCreateNetworkPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_create_network_page_dispose;
  widget_class->grab_focus = warren_create_network_page_grab_focus;
  signals[SIGNAL_CREATED]
      = g_signal_new ("created", WARREN_TYPE_CREATE_NETWORK_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                      NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/create-network-page.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, name_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, device_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, more_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, listen_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, url_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, prefix_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, error_label);
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, create_button);
  gtk_widget_class_bind_template_child (widget_class, WarrenCreateNetworkPage, create_stack);
  gtk_widget_class_bind_template_callback (widget_class, on_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_listen_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_url_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_create);
}

static void
warren_create_network_page_init (WarrenCreateNetworkPage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
