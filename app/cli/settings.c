#include "cli/settings.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const Setting settings[] = {
    {"accept-dns", "AcceptDns", "b"},
    {"accept-routes", "AcceptRoutes", "b"},
    {"advertise-exit-node", "AdvertiseExitNode", "b"},
    {"advertise-routes", "AdvertiseRoutes", "as"},
    {"advertise-tags", "Tags", "as"},
    {"exit-node", "ExitNode", "s"},
    {"exit-node-allow-lan-access", "ExitNodeAllowLan", "b"},
    {"hostname", "Hostname", "s"},
    {"proxy", "Proxy", "s"},
    {"shields-up", "ShieldsUp", "b"},
    {"snat-subnet-routes", "SnatRoutes", "b"},
    {NULL, NULL, NULL},
};

const Setting *
cli_settings (void)
{
  return settings;
}

static GVariant *
value_of (const Setting *setting, const char *text)
{
  if (*setting->type == 'b')
    return g_variant_new_boolean (g_ascii_tolower (*text) == 't' || *text == '1');
  if (*setting->type == 's')
    return g_variant_new_string (text);
  g_auto (GStrv) words = *text != '\0' ? g_strsplit (text, ",", -1) : g_new0 (char *, 1);

  return g_variant_new_strv ((const char *const *)words, -1);
}

static const char *
default_of (const Setting *setting)
{
  static const char *const on[] = {"AcceptDns", "SnatRoutes", NULL};

  return g_strv_contains (on, setting->key) ? "true" : *setting->type == 'b' ? "false" : "";
}

void
cli_settings_collect (const Flags *flags, gboolean reset, GVariantDict *changes)
{
  for (const Setting *s = settings; s->flag != NULL; s++) {
    if (g_str_equal (s->key, "ExitNode"))
      continue;
    if (flags_is_given (flags, s->flag))
      g_variant_dict_insert_value (changes, s->key, value_of (s, flags_get_text (flags, s->flag)));
    else if (reset)
      g_variant_dict_insert_value (changes, s->key, value_of (s, default_of (s)));
  }
}

char *
cli_setting_show (WarrenSession *session, const Setting *setting)
{
  g_autoptr (GVariant) value
      = warren_session_lookup_preference (session, setting->key, setting->type);

  if (value == NULL)
    return g_strdup (default_of (setting));
  if (*setting->type == 'b')
    return g_strdup (g_variant_get_boolean (value) ? "true" : "false");
  if (*setting->type == 's')
    return g_variant_dup_string (value, NULL);
  g_autofree const char **words = g_variant_get_strv (value, NULL);

  return g_strjoinv (",", (char **)words);
}

static gboolean
add_exit_node (WarrenSession *session, const Flags *flags, gboolean reset, GVariantDict *changes,
               GError **error)
{
  g_autofree char *node = NULL;

  if (!flags_is_given (flags, "exit-node")) {
    if (reset)
      g_variant_dict_insert (changes, "ExitNode", "s", "");
    return TRUE;
  }
  node = cli_resolve_exit_node (session, flags_get_text (flags, "exit-node"), error);
  if (node != NULL)
    g_variant_dict_insert (changes, "ExitNode", "s", node);
  return node != NULL;
}

WarrenExitCode
cli_settings_apply (Cli *cli, WarrenSession *session, const Flags *flags, gboolean reset)
{
  g_auto (GVariantDict) changes = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GVariant) sent = NULL;
  g_autoptr (GError) error = NULL;

  cli_settings_collect (flags, reset, &changes);
  if (!add_exit_node (session, flags, reset, &changes, &error)) {
    cli_complain ("%s", error->message);
    return WARREN_EXIT_FAILED;
  }
  sent = g_variant_ref_sink (g_variant_dict_end (&changes));
  if (g_variant_n_children (sent) == 0)
    return WARREN_EXIT_OK;
  cli_prepare_password (cli);
  if (warren_bus_session_call_set_preferences_sync (warren_session_get_bus (session), sent,
                                                    CLI_CALL_FLAGS, CLI_CALL_TIMEOUT, NULL, &error))
    return WARREN_EXIT_OK;
  return cli_fail (cli, error, "settings");
}
