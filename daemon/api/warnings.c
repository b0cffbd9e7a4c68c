#include "api/warnings.h"

#include "base/clock.h"
#include "control/url.h"

#include <stdlib.h>
#include <string.h>

static void
begin (GVariantBuilder *b, const char *code, const char *severity, const char *title,
       const char *text, bool impacts)
{
  g_variant_builder_init (b, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (b, "{sv}", "Code", g_variant_new_string (code));
  g_variant_builder_add (b, "{sv}", "Severity", g_variant_new_string (severity));
  g_variant_builder_add (b, "{sv}", "Title", g_variant_new_string (title));
  g_variant_builder_add (b, "{sv}", "Text", g_variant_new_string (text));
  g_variant_builder_add (b, "{sv}", "ImpactsConnectivity", g_variant_new_boolean (impacts));
}

static void
add_own (GVariantBuilder *list, const Health *health, HealthCode code)
{
  const HealthInfo *info = health_info (code);
  const HealthItem *item = &health->items[code];
  g_autofree char *text = health_text (health, code);
  GVariantBuilder b, args;
  begin (&b, info->code, info->severity, info->title, text, info->impacts_connectivity);
  g_variant_builder_add (&b, "{sv}", "Since", g_variant_new_int64 (item->since_s));
  g_variant_builder_init (&args, G_VARIANT_TYPE ("a{ss}"));
  if (item->argument)
    g_variant_builder_add (&args, "{ss}", "arg", item->argument);
  g_variant_builder_add (&b, "{sv}", "Args", g_variant_builder_end (&args));
  g_variant_builder_add (list, "a{sv}", &b);
}

static void
add_notice (GVariantBuilder *list, const Notice *notice, const ControlUrl *server)
{
  static const char *const severities[] = {"low", "medium", "high"};
  g_autofree char *code = g_strconcat ("control-health.", notice->id, NULL);
  GVariantBuilder b;
  begin (&b, code, severities[notice->severity], notice->title, notice->text,
         notice->impacts_connectivity);
  if (*notice->action_url && control_url_may_open (server, notice->action_url)) {
    g_variant_builder_add (&b, "{sv}", "ActionLabel", g_variant_new_string (notice->action_label));
    g_variant_builder_add (&b, "{sv}", "ActionUrl", g_variant_new_string (notice->action_url));
  }
  g_variant_builder_add (list, "a{sv}", &b);
}

static const Notice *
notices_of (Session *s, size_t *n)
{
  const Netmap *map = session_is_active (s) ? session_netmap (s) : NULL;
  *n = 0;
  return map ? netmap_notices (map, n) : NULL;
}

GVariant *
warnings_to_variant (Engine *engine, Session *s)
{
  GVariantBuilder list;
  g_variant_builder_init (&list, G_VARIANT_TYPE ("aa{sv}"));
  const Health *health = session_health (s);
  int64_t now_us = clock_now_us ();
  for (int code = 0; code < HEALTH_N_CODES; code++)
    if (health_is_visible (health, (HealthCode)code, now_us))
      add_own (&list, health, (HealthCode)code);
  ControlUrl server;
  size_t n = 0;
  const Notice *notices = notices_of (s, &n);
  if (control_url_parse (session_profile (s)->preferences.login_server, &server))
    for (size_t i = 0; i < n; i++)
      add_notice (&list, &notices[i], &server);
  return g_variant_builder_end (&list);
}

static int
by_text (const void *a, const void *b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

char **
warnings_to_texts (Engine *engine, Session *s)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new ();
  const Health *health = session_health (s);
  int64_t now_us = clock_now_us ();
  for (int code = 0; code < HEALTH_N_CODES; code++)
    if (health_is_visible (health, (HealthCode)code, now_us))
      g_ptr_array_add (texts, health_text (health, (HealthCode)code));
  size_t n = 0;
  const Notice *notices = notices_of (s, &n);
  for (size_t i = 0; i < n; i++)
    g_ptr_array_add (texts, g_strdup_printf (*notices[i].title ? "%s: %s" : "%s%s",
                                             notices[i].title, notices[i].text));
  g_ptr_array_sort (texts, by_text);
  g_ptr_array_add (texts, NULL);
  return (char **)g_ptr_array_free (g_steal_pointer (&texts), FALSE);
}
