#include "window/login-page.h"

#include "client/error.h"
#include "client/sign-in.h"
#include "window/qr-paintable.h"

#include <adwaita.h>
#include <glib/gi18n-lib.h>

struct _WarrenLoginPage
{
  GtkWidget parent;

  GtkStack *code_stack;
  GtkPicture *code;
  GtkWidget *link_list;
  AdwActionRow *link_row;
  GtkLabel *error_label;
  GtkWidget *open_button;

  WarrenClient *client;
  WarrenSession *session; /* whose link is shown or asked for */
  GCancellable *cancellable;
  gint64 expires; /* of the link that is shown: another one means another link */
  char *url;
  gboolean expected; /* open the browser when the link comes */
};

G_DEFINE_FINAL_TYPE (WarrenLoginPage, warren_login_page, GTK_TYPE_WIDGET)

static void
say (WarrenLoginPage *self, const char *text)
{
  gtk_label_set_label (self->error_label, text != NULL ? text : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error_label), text != NULL);
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenLoginPage) self = user_data;
  g_autoptr (GError) error = NULL;

  if (!gtk_show_uri_full_finish (GTK_WINDOW (source), result, &error))
    say (self, _ ("No browser could be started. Open the link on another device."));
}

static void
open_page (WarrenLoginPage *self)
{
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));

  say (self, NULL);
  if (self->url != NULL && self->session != NULL
      && warren_url_is_openable (self->url, warren_session_get_server_url (self->session)))
    gtk_show_uri_full (GTK_WINDOW (root), self->url, GDK_CURRENT_TIME, NULL, on_opened,
                       g_object_ref (self));
}

static void
on_open (WarrenLoginPage *self)
{
  open_page (self);
}

static void
on_copy (WarrenLoginPage *self)
{
  if (self->url != NULL)
    gtk_widget_activate_action (GTK_WIDGET (self), "win.copy", "s", self->url);
}

static void
show_url (WarrenLoginPage *self)
{
  g_autoptr (GdkPaintable) code = self->url != NULL ? warren_qr_paintable_new (self->url) : NULL;

  gtk_picture_set_paintable (self->code, code);
  gtk_stack_set_visible_child_name (self->code_stack, code != NULL ? "code" : "waiting");
  gtk_widget_set_visible (self->link_list, self->url != NULL);
  gtk_widget_set_sensitive (self->open_button, self->url != NULL);
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self->link_row),
                                 self->url != NULL ? self->url : "");
}

static void
on_url (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenLoginPage) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *url
      = warren_session_get_login_url_finish (WARREN_SESSION (source), result, &error);

  if (WARREN_SESSION (source) != self->session)
    return;
  if (url == NULL) {
    g_autofree char *text
        = warren_error_is_silent (error) ? NULL : warren_error_describe (error, NULL);

    say (self, text);
    return;
  }
  g_free (self->url);
  self->url = g_steal_pointer (&url);
  show_url (self);
  if (self->expected)
    open_page (self);
  self->expected = FALSE;
}

static void
forget (WarrenLoginPage *self)
{
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->session);
  g_clear_pointer (&self->url, g_free);
  self->expires = 0;
}

/* Follows the session: a new link is fetched by itself when the old one has run out. */
static void
on_client_changed (WarrenLoginPage *self)
{
  WarrenSession *session = warren_client_get_session (self->client);
  gint64 expires;

  if (warren_client_is_stale (self->client))
    return;
  if (session == NULL || !warren_session_get_login_pending (session)) {
    if (self->session != NULL) {
      forget (self);
      show_url (self);
      say (self, NULL);
    }
    return;
  }
  expires = warren_bus_session_get_login_expires (warren_session_get_bus (session));
  if (session == self->session && expires == self->expires)
    return;
  forget (self);
  self->session = g_object_ref (session);
  self->expires = expires;
  self->cancellable = g_cancellable_new ();
  show_url (self);
  warren_session_get_login_url_async (session, self->cancellable, on_url, g_object_ref (self));
}

void
warren_login_page_set_client (WarrenLoginPage *self, WarrenClient *client)
{
  g_set_object (&self->client, client);
  g_signal_connect_object (client, "changed", G_CALLBACK (on_client_changed), self,
                           G_CONNECT_SWAPPED);
  on_client_changed (self);
}

void
warren_login_page_expect (WarrenLoginPage *self)
{
  self->expected = self->url == NULL;
  if (self->url != NULL)
    open_page (self);
}

const char *
warren_login_page_get_url (WarrenLoginPage *self)
{
  return self->url;
}

static void
warren_login_page_dispose (GObject *object)
{
  WarrenLoginPage *self = WARREN_LOGIN_PAGE (object);

  forget (self);
  g_clear_object (&self->client);
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_LOGIN_PAGE);
  G_OBJECT_CLASS (warren_login_page_parent_class)->dispose (object);
}

static void
warren_login_page_class_init (WarrenLoginPageClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_login_page_dispose;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/login-page.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenLoginPage, code_stack);
  gtk_widget_class_bind_template_child (widget_class, WarrenLoginPage, code);
  gtk_widget_class_bind_template_child (widget_class, WarrenLoginPage, link_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenLoginPage, link_row);
  gtk_widget_class_bind_template_child (widget_class, WarrenLoginPage, error_label);
  gtk_widget_class_bind_template_child (widget_class, WarrenLoginPage, open_button);
  gtk_widget_class_bind_template_callback (widget_class, on_open);
  gtk_widget_class_bind_template_callback (widget_class, on_copy);
}

static void
warren_login_page_init (WarrenLoginPage *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
