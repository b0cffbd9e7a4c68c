#include "client/settings.h"

#define SCHEMA     "org.warrenvpn.Warren"
#define RECENT     "recent-exit-nodes"
#define RECENT_MAX 5

GSettings *
warren_settings_new (void)
{
  GSettingsSchemaSource *source = g_settings_schema_source_get_default ();
  g_autoptr (GSettingsSchema) schema
      = source != NULL ? g_settings_schema_source_lookup (source, SCHEMA, TRUE) : NULL;

  return schema != NULL ? g_settings_new_full (schema, NULL, NULL) : NULL;
}

gboolean
warren_settings_get_flag (GSettings *settings, const char *key, gboolean fallback)
{
  return settings != NULL ? g_settings_get_boolean (settings, key) : fallback;
}

char **
warren_settings_get_recent_exit_nodes (GSettings *settings)
{
  return settings != NULL ? g_settings_get_strv (settings, RECENT) : g_new0 (char *, 1);
}

void
warren_settings_add_recent_exit_node (GSettings *settings, const char *id)
{
  g_auto (GStrv) before = warren_settings_get_recent_exit_nodes (settings);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) after = NULL;
  guint n = 1;

  if (settings == NULL)
    return;
  g_strv_builder_add (builder, id);
  for (gsize i = 0; before[i] != NULL && n < RECENT_MAX; i++) {
    if (g_str_equal (before[i], id))
      continue;
    g_strv_builder_add (builder, before[i]);
    n++;
  }
  after = g_strv_builder_end (builder);
  g_settings_set_strv (settings, RECENT, (const char *const *)after);
}
