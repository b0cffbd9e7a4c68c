#include "window/application.h"

#include "client/invite.h"
#include "client/settings.h"
#include "window/window.h"

#include <glib/gi18n-lib.h>

#define INACTIVITY_MS 10000

struct _WarrenApplication
{
  AdwApplication parent;

  char *bus_address;
  WarrenClient *client;
  GSettings *settings; /* NULL without the schema */
};

G_DEFINE_FINAL_TYPE (WarrenApplication, warren_application, ADW_TYPE_APPLICATION)

static WarrenWindow *
get_window (WarrenApplication *self)
{
  GtkWindow *window = gtk_application_get_active_window (GTK_APPLICATION (self));

  if (window != NULL && WARREN_IS_WINDOW (window))
    return WARREN_WINDOW (window);
  if (self->client == NULL)
    self->client = warren_client_new (self->bus_address, WARREN_CLIENT_WITH_DEVICES);
  return warren_window_new (GTK_APPLICATION (self), self->client, self->settings);
}

static WarrenWindow *
present_window (WarrenApplication *self)
{
  WarrenWindow *window = get_window (self);

  gtk_window_present (GTK_WINDOW (window));
  return window;
}

static void
on_exit_node (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_show_exit_nodes (present_window (self));
}

static void
on_network (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_show_network (present_window (self));
}

static void
on_add_account (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  warren_window_add_account (present_window (self));
}

/* For a tray that has no way of its own to the clipboard. */
static void
on_copy (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  g_action_group_activate_action (G_ACTION_GROUP (present_window (self)), "copy", parameter);
}

static void
on_toggle (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  g_action_group_activate_action (G_ACTION_GROUP (present_window (self)), "toggle-connection",
                                  NULL);
}

static void
on_quit (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  g_application_quit (G_APPLICATION (self));
}

static void
on_about (GSimpleAction *action, GVariant *parameter, gpointer self)
{
  adw_show_about_window (gtk_application_get_active_window (GTK_APPLICATION (self)),
                         "application-name", "Warren", "application-icon", "org.warrenvpn.Warren",
                         "version", WARREN_VERSION, "developer-name", _ ("The Warren Project"),
                         "license-type", GTK_LICENSE_GPL_3_0, "comments",
                         _ ("Your devices in one private network, wherever they are"),
                         /* Translators: your names, one a line */
                         "translator-credits", _ ("translator-credits"), NULL);
}

static void
set_accelerators (GtkApplication *app)
{
  static const struct
  {
    const char *action;
    const char *keys[3];
  } accelerators[] = {
      {"win.toggle-connection", {"<Control>d"}},
      {"win.search", {"<Control>f"}},
      {"win.exit-node", {"<Control>e"}},
      {"win.copy-address", {"<Control>c"}},
      {"win.copy-name", {"<Control><Shift>c"}},
      {"win.ping", {"<Control>p"}},
      {"win.add-account", {"<Control>n"}},
      {"win.network", {"<Control><Shift>n"}},
      {"win.back", {"<Alt>Left", "Escape"}},
      {"window.close", {"<Control>w"}},
      {"app.quit", {"<Control>q"}},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (accelerators); i++)
    gtk_application_set_accels_for_action (app, accelerators[i].action,
                                           (const char **)accelerators[i].keys);
}

static void
warren_application_startup (GApplication *app)
{
  static const GActionEntry entries[] = {
      {"exit-node", on_exit_node, NULL, NULL, NULL, {0}},
      {"network", on_network, NULL, NULL, NULL, {0}},
      {"add-account", on_add_account, NULL, NULL, NULL, {0}},
      {"copy", on_copy, "s", NULL, NULL, {0}},
      {"toggle", on_toggle, NULL, NULL, NULL, {0}},
      {"about", on_about, NULL, NULL, NULL, {0}},
      {"quit", on_quit, NULL, NULL, NULL, {0}},
  };
  WarrenApplication *self = WARREN_APPLICATION (app);

  G_APPLICATION_CLASS (warren_application_parent_class)->startup (app);
  self->settings = warren_settings_new ();
  gtk_window_set_default_icon_name ("org.warrenvpn.Warren");
  g_action_map_add_action_entries (G_ACTION_MAP (app), entries, G_N_ELEMENTS (entries), app);
  set_accelerators (GTK_APPLICATION (app));
}

static void
warren_application_activate (GApplication *app)
{
  present_window (WARREN_APPLICATION (app));
}

/* A link of ours, from a browser or a QR code: nothing happens before the user says so. */
static void
warren_application_open (GApplication *app, GFile **files, int n_files, const char *hint)
{
  WarrenWindow *window = present_window (WARREN_APPLICATION (app));

  for (int i = 0; i < n_files; i++) {
    g_autofree char *link = g_file_get_uri (files[i]);
    g_autofree char *server = NULL;
    g_autofree char *key = NULL;

    if (warren_invite_parse (link, &server, &key))
      warren_window_invite (window, server, key);
  }
}

static int
warren_application_handle_local_options (GApplication *app, GVariantDict *options)
{
  WarrenApplication *self = WARREN_APPLICATION (app);

  g_variant_dict_lookup (options, "bus", "s", &self->bus_address);
  if (g_variant_dict_contains (options, "version")) {
    g_print ("%s\n", WARREN_VERSION);
    return 0;
  }
  return -1;
}

static void
warren_application_dispose (GObject *object)
{
  WarrenApplication *self = WARREN_APPLICATION (object);

  g_clear_object (&self->client);
  g_clear_object (&self->settings);
  g_clear_pointer (&self->bus_address, g_free);
  G_OBJECT_CLASS (warren_application_parent_class)->dispose (object);
}

static void
warren_application_class_init (WarrenApplicationClass *klass)
{
  GApplicationClass *app_class = G_APPLICATION_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_application_dispose;
  app_class->startup = warren_application_startup;
  app_class->activate = warren_application_activate;
  app_class->open = warren_application_open;
  app_class->handle_local_options = warren_application_handle_local_options;
}

static void
warren_application_init (WarrenApplication *self)
{
  static const GOptionEntry entries[]
      = {{"bus", 0, 0, G_OPTION_ARG_STRING, NULL,
          N_ ("Message bus of the service, instead of $WARREN_BUS"), N_ ("ADDRESS")},
         {"version", 0, 0, G_OPTION_ARG_NONE, NULL, N_ ("Print the version"), NULL},
         {NULL}};

  g_application_add_main_option_entries (G_APPLICATION (self), entries);
  g_application_set_option_context_summary (G_APPLICATION (self), _ ("The window of Warren"));
  g_application_set_inactivity_timeout (G_APPLICATION (self), INACTIVITY_MS);
}

GApplication *
warren_application_new (void)
{
  return g_object_new (WARREN_TYPE_APPLICATION, "application-id", "org.warrenvpn.Warren", "flags",
                       G_APPLICATION_HANDLES_OPEN, "resource-base-path", "/org/warrenvpn/Warren",
                       NULL);
}
