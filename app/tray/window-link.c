#include "tray/window-link.h"

#define WINDOW_PATH "/org/warrenvpn/Warren"
#define INTERFACE   "org.freedesktop.Application"

static GVariant *
platform_data (const char *token)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  if (token != NULL) {
    g_variant_dict_insert (&dict, "desktop-startup-id", "s", token); /* all that GTK 4.8 knows */
    g_variant_dict_insert (&dict, "activation-token", "s", token);
  }
  return g_variant_dict_end (&dict);
}

/* Without an installed service file, as in a build directory, the program is started directly. */
static void
on_activated (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  const char *program = g_getenv ("WARREN_APP");
  char *argv[] = {(char *)(program != NULL ? program : "warren-app"), NULL};

  if (reply != NULL || !g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN))
    return;
  if (!g_spawn_async (NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL))
    g_message ("the window could not be started: %s", error->message);
}

void
window_link_activate (GDBusConnection *session_bus, const char *action, GVariant *parameter,
                      const char *token)
{
  GVariantBuilder parameters;
  GVariant *args;

  g_variant_builder_init (&parameters, G_VARIANT_TYPE ("av"));
  if (parameter != NULL)
    g_variant_builder_add (&parameters, "v", parameter);
  if (action == NULL) {
    g_variant_builder_clear (&parameters);
    args = g_variant_new ("(@a{sv})", platform_data (token));
  } else {
    args = g_variant_new ("(sav@a{sv})", action, &parameters, platform_data (token));
  }
  g_dbus_connection_call (session_bus, WINDOW_NAME, WINDOW_PATH, INTERFACE,
                          action != NULL ? "ActivateAction" : "Activate", args, NULL,
                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_activated, NULL);
}
