#include "window/welcome-page.h"

#include "client/error.h"
#include "client/invite.h"
#include "client/join.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

struct _WarrenWelcomePage
{
  GtkWidget parent;

  GtkWidget *cancel_button;
  GtkCheckButton *tailscale_check;
  GtkCheckButton *own_check;
  AdwActionRow *network_row;
  GtkCheckButton *network_check;
  AdwEntryRow *server_row;
  AdwEntryRow *name_row;
  AdwExpanderRow *key_expander;
  AdwEntryRow *key_row;
  GtkLabel *error_label;
  GtkWidget *continue_button;
  GtkStack *continue_stack;

  WarrenClient *client;
  gboolean busy;
};

enum
{
  SIGNAL_CREATED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenWelcomePage, warren_welcome_page, GTK_TYPE_WIDGET)

static const char *
text_of (AdwEntryRow *row)
{
  return gtk_editable_get_text (GTK_EDITABLE (row));
}

static gboolean
uses_own_server (WarrenWelcomePage *self)
{
  return gtk_check_button_get_active (self->own_check);
}

static gboolean
uses_network (WarrenWelcomePage *self)
{
  return gtk_check_button_get_active (self->network_check);
}

/* "vpn.example.com" is taken as https; NULL if it cannot be an address of a server. */
static char *
server_url (WarrenWelcomePage *self)
{
  g_autofree char *text = g_strstrip (g_strdup (text_of (self->server_row)));
  g_autofree char *url = NULL;
  g_autoptr (GUri) uri = NULL;

  if (!uses_own_server (self))
    return g_strdup ("");
  if (*text == '\0')
    return NULL;
  url = strstr (text, "://") != NULL ? g_strdup (text) : g_strconcat ("https://", text, NULL);
  uri = g_uri_parse (url, G_URI_FLAGS_NONE, NULL);
  if (uri == NULL || g_uri_get_host (uri) == NULL || *g_uri_get_host (uri) == '\0'
      || (g_strcmp0 (g_uri_get_scheme (uri), "https") != 0
          && g_strcmp0 (g_uri_get_scheme (uri), "http") != 0))
    return NULL;
  while (g_str_has_suffix (url, "/"))
    url[strlen (url) - 1] = '\0';
  return g_steal_pointer (&url);
}

static void
say_error (WarrenWelcomePage *self, const char *text)
{
  gtk_label_set_label (self->error_label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error_label), text != NULL);
}

/* The network of this computer is offered where it runs, and a new one where it could. */
static void
show_network (WarrenWelcomePage *self)
{
  WarrenNetwork *network = warren_client_get_network (self->client);
  gboolean exists = warren_network_exists (network);
  gboolean may = !g_str_equal (warren_client_get_permission (self->client, "serve"), "no");
  g_autofree char *title
      = exists ? g_strdup_printf (_ ("Private Network “%s”"), warren_network_get_name (network))
               : g_strdup (_ ("New Private Network"));

  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->network_row), title);
  adw_action_row_set_subtitle (self->network_row, exists
                                                      ? _ ("It runs on this computer")
                                                      : _ ("On this computer, without an account"));
  gtk_widget_set_visible (GTK_WIDGET (self->network_row),
                          may && (exists || warren_network_is_supported (network)));
}

static void
update (WarrenWelcomePage *self)
{
  g_autofree char *url = server_url (self);

  gtk_widget_set_visible (GTK_WIDGET (self->server_row), uses_own_server (self));
  gtk_widget_set_visible (GTK_WIDGET (self->key_expander), !uses_network (self));
  gtk_widget_set_sensitive (self->continue_button, url != NULL && !self->busy);
  gtk_stack_set_visible_child_name (self->continue_stack, self->busy ? "busy" : "label");
}

static void
on_server_toggled (WarrenWelcomePage *self)
{
  say_error (self, NULL);
  update (self);
  if (uses_own_server (self))
    gtk_widget_grab_focus (GTK_WIDGET (self->server_row));
}

/* An invitation may be put where the address goes: it holds address and key. */
static void
on_server_changed (WarrenWelcomePage *self)
{
  g_autofree char *server = NULL;
  g_autofree char *key = NULL;

  say_error (self, NULL);
  if (warren_invite_parse (text_of (self->server_row), &server, &key))
    warren_welcome_page_invite (self, server, key);
  update (self);
}

static void
on_entry_changed (WarrenWelcomePage *self)
{
  say_error (self, NULL);
  update (self);
}

static void
end (WarrenWelcomePage *self, const char *path, const GError *error)
{
  self->busy = FALSE;
  update (self);
  if (path != NULL) {
    gtk_editable_set_text (GTK_EDITABLE (self->key_row), "");
    g_signal_emit (self, signals[SIGNAL_CREATED], 0, path);
  } else if (!warren_error_is_silent (error)) {
    g_autofree char *text = warren_error_describe (error, _ ("to sign in"));

    say_error (self, text);
  }
}

static void
on_created (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenWelcomePage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path
      = warren_client_create_session_finish (WARREN_CLIENT (source), result, &error);

  end (self, path, error);
}

static void
on_joined (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenWelcomePage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = warren_join_own_network_finish (WARREN_CLIENT (source), result, &error);

  end (self, path, error);
}

static void
continue_with_network (WarrenWelcomePage *self)
{
  if (!warren_network_exists (warren_client_get_network (self->client))) {
    gtk_widget_activate_action (GTK_WIDGET (self), "win.create-network", NULL);
    return;
  }
  self->busy = TRUE;
  update (self);
  warren_join_own_network_async (self->client, text_of (self->name_row), NULL, on_joined,
                                 g_object_ref (self));
}

/* The key is handed on once and kept nowhere. */
static void
on_continue (WarrenWelcomePage *self)
{
  g_autofree char *url = server_url (self);
  g_autofree char *key = g_strstrip (g_strdup (text_of (self->key_row)));
  g_autofree char *name = g_strstrip (g_strdup (text_of (self->name_row)));
  GVariantDict options;

  if (url == NULL || self->busy)
    return;
  if (uses_network (self)) {
    continue_with_network (self);
    return;
  }
  g_variant_dict_init (&options, NULL);
  if (adw_expander_row_get_expanded (self->key_expander) && *key != '\0')
    g_variant_dict_insert (&options, "AuthKey", "s", key);
  if (*name != '\0' && g_strcmp0 (name, g_get_host_name ()) != 0)
    g_variant_dict_insert (&options, "Hostname", "s", name);
  self->busy = TRUE;
  say_error (self, NULL);
  update (self);
  warren_client_create_session_async (self->client, url, g_variant_dict_end (&options), NULL,
                                      on_created, g_object_ref (self));
}

void
warren_welcome_page_set_client (WarrenWelcomePage *self, WarrenClient *client)
{
  g_set_object (&self->client, client);
  g_signal_connect_object (client, "changed", G_CALLBACK (show_network), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (warren_client_get_network (client), "changed", G_CALLBACK (show_network),
                           self, G_CONNECT_SWAPPED);
  show_network (self);
}

void
warren_welcome_page_invite (WarrenWelcomePage *self, const char *server, const char *key)
{
  gtk_check_button_set_active (self->own_check, TRUE);
  gtk_editable_set_text (GTK_EDITABLE (self->server_row), server);
  adw_expander_row_set_expanded (self->key_expander, *key != '\0');
  gtk_editable_set_text (GTK_EDITABLE (self->key_row), key);
  update (self);
}

void
warren_welcome_page_reset (WarrenWelcomePage *self, gboolean can_cancel)
{
  gtk_widget_set_visible (self->cancel_button, can_cancel);
  gtk_check_button_set_active (self->tailscale_check, TRUE);
  gtk_editable_set_text (GTK_EDITABLE (self->server_row), "");
  gtk_editable_set_text (GTK_EDITABLE (self->key_row), "");
  gtk_editable_set_text (GTK_EDITABLE (self->name_row), g_get_host_name ());
  adw_expander_row_set_expanded (self->key_expander, FALSE);
  say_error (self, NULL);
  update (self);
}

static void
warren_welcome_page_dispose (GObject *object)
{
  g_clear_object (&WARREN_WELCOME_PAGE (object)->client);
  gtk_widget_dispose_template (GTK_WIDGET (object), WARREN_TYPE_WELCOME_PAGE);
  G_OBJECT_CLASS (warren_welcome_page_parent_class)->dispose (object);
}

static void
warren_welcome_page_class_init (WarrenWelcomePageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_welcome_page_dispose;
  signals[SIGNAL_CREATED] = g_signal_new ("created", WARREN_TYPE_WELCOME_PAGE, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/welcome-page.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, cancel_button);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, tailscale_check);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, own_check);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, network_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, network_check);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, server_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, name_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, key_expander);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, key_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, error_label);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, continue_button);
  gtk_widget_class_bind_template_child (widget_class, WarrenWelcomePage, continue_stack);
  gtk_widget_class_bind_template_callback (widget_class, on_server_toggled);
  gtk_widget_class_bind_template_callback (widget_class, on_entry_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_server_changed);
  gtk_widget_class_bind_template_callback (widget_class, on_continue);
}

static void
warren_welcome_page_init (WarrenWelcomePage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  warren_welcome_page_reset (self, FALSE);
}
