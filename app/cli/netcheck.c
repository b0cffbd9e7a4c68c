/* netcheck: what this computer's network lets through. The daemon probes; this only prints.
 * spec/local-services.md §4.4, spec/desktop.md §8.5. */
#include "cli/cli.h"

#include <glib/gi18n-lib.h>

#define UNKNOWN_LATENCY 0xffffffffu

static const FlagSpec netcheck_flags[] = {
    {"format", FLAG_TEXT, "FORMAT", NULL, N_ ("text, json or json-line")},
    {NULL},
};

typedef struct
{
  gboolean udp, ipv4, ipv6, varies, varies_known;
  const char *global4, *global6; /* borrowed from the report */
  guint home;
  GVariant *regions; /* a(ussuu) */
  GVariant *mapping; /* as */
} Report;

static void
read_report (GVariant *dict, Report *r)
{
  *r = (Report){.global4 = "", .global6 = ""};
  g_variant_lookup (dict, "UDP", "b", &r->udp);
  g_variant_lookup (dict, "IPv4", "b", &r->ipv4);
  g_variant_lookup (dict, "IPv6", "b", &r->ipv6);
  g_variant_lookup (dict, "NatVaries", "b", &r->varies);
  g_variant_lookup (dict, "NatVariesKnown", "b", &r->varies_known);
  g_variant_lookup (dict, "GlobalV4", "&s", &r->global4);
  g_variant_lookup (dict, "GlobalV6", "&s", &r->global6);
  g_variant_lookup (dict, "Home", "u", &r->home);
  r->regions = g_variant_lookup_value (dict, "Regions", G_VARIANT_TYPE ("a(ussuu)"));
  r->mapping = g_variant_lookup_value (dict, "PortMapping", G_VARIANT_TYPE_STRING_ARRAY);
}

static void
report_clear (Report *r)
{
  g_clear_pointer (&r->regions, g_variant_unref);
  g_clear_pointer (&r->mapping, g_variant_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Report, report_clear)

static char *
now_text (void)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();

  return g_date_time_format_iso8601 (now);
}

static char *
mapping_text (const Report *r)
{
  g_autofree const char **names = r->mapping != NULL ? g_variant_get_strv (r->mapping, NULL) : NULL;

  return names != NULL ? g_strjoinv (", ", (char **)names) : g_strdup ("");
}

static void
print_text (const Report *r)
{
  g_autofree char *now = now_text ();
  g_autofree char *mapping = mapping_text (r);
  GVariantIter iter;
  guint id, latency4, latency6;
  const char *code;
  const char *name;

  g_print ("\nReport:\n\t* Time: %s\n\t* UDP: %s\n", now, r->udp ? "true" : "false");
  g_print ("\t* IPv4: %s%s%s\n", r->ipv4 ? "yes" : "(no addr found)",
           *r->global4 != '\0' ? ", " : "", r->global4);
  g_print ("\t* IPv6: %s%s%s\n", r->ipv6 ? "yes" : "no", *r->global6 != '\0' ? ", " : "",
           r->global6);
  g_print ("\t* MappingVariesByDestIP: %s\n", !r->varies_known ? "" : r->varies ? "true" : "false");
  g_print ("\t* PortMapping: %s\n", mapping);
  if (r->regions == NULL)
    return;
  g_variant_iter_init (&iter, r->regions);
  while (g_variant_iter_next (&iter, "(u&s&suu)", &id, &code, &name, NULL, NULL))
    if (id == r->home)
      g_print ("\t* Nearest DERP: %s\n", name);
  g_print ("\t* DERP latency:\n");
  g_variant_iter_init (&iter, r->regions);
  while (g_variant_iter_next (&iter, "(u&s&suu)", &id, &code, &name, &latency4, &latency6)) {
    guint latency = MIN (latency4, latency6);
    g_autofree char *shown
        = latency == UNKNOWN_LATENCY ? g_strdup ("") : g_strdup_printf ("%.1fms", latency / 1000.0);

    g_print ("\t\t- %3s: %-7s (%s)\n", code, shown, name);
  }
}

static void
append_latencies (GString *out, const Report *r, const char *key, int family)
{
  GVariantIter iter;
  guint id, latency4, latency6;
  const char *comma = "";

  g_string_append_printf (out, ",\n  \"%s\": {", key);
  if (r->regions != NULL) {
    g_variant_iter_init (&iter, r->regions);
    while (g_variant_iter_next (&iter, "(u&s&suu)", &id, NULL, NULL, &latency4, &latency6)) {
      guint latency = family == 4 ? latency4 : family == 6 ? latency6 : MIN (latency4, latency6);

      if (latency == UNKNOWN_LATENCY)
        continue;
      g_string_append_printf (out, "%s\n    \"%u\": %" G_GUINT64_FORMAT, comma, id,
                              (guint64)latency * 1000);
      comma = ",";
    }
  }
  g_string_append (out, *comma != '\0' ? "\n  }" : "}");
}

static const char *
json_flag (gboolean value)
{
  return value ? "true" : "false";
}

static void
print_json (const Report *r, gboolean one_line)
{
  g_autoptr (GString) out = g_string_new ("{\n");
  g_autofree char *now = now_text ();
  g_autofree char *global4 = cli_json_quote (r->global4);
  g_autofree char *global6 = cli_json_quote (r->global6);
  const char *const none[] = {NULL};
  g_autofree const char **mapping
      = r->mapping != NULL ? g_variant_get_strv (r->mapping, NULL) : NULL;
  const char *const *names = mapping != NULL ? mapping : none;

  g_string_append_printf (out, "  \"Now\": \"%s\",\n  \"UDP\": %s,\n", now, json_flag (r->udp));
  g_string_append_printf (out, "  \"IPv6\": %s,\n  \"IPv4\": %s,\n", json_flag (r->ipv6),
                          json_flag (r->ipv4));
  g_string_append_printf (out, "  \"MappingVariesByDestIP\": %s,\n",
                          r->varies_known ? json_flag (r->varies) : "\"\"");
  g_string_append_printf (out, "  \"UPnP\": %s,\n  \"PMP\": %s,\n  \"PCP\": %s,\n",
                          json_flag (g_strv_contains (names, "UPnP")),
                          json_flag (g_strv_contains (names, "NAT-PMP")),
                          json_flag (g_strv_contains (names, "PCP")));
  g_string_append_printf (out, "  \"PreferredDERP\": %u", r->home);
  append_latencies (out, r, "RegionLatency", 0);
  append_latencies (out, r, "RegionV4Latency", 4);
  append_latencies (out, r, "RegionV6Latency", 6);
  g_string_append_printf (out, ",\n  \"GlobalV4\": %s,\n  \"GlobalV6\": %s\n}", global4, global6);
  if (one_line)
    g_strdelimit (out->str, "\n", ' ');
  g_print ("%s\n", out->str);
}

static WarrenExitCode
run_netcheck (Cli *cli, const Flags *flags)
{
  const char *format = flags_get_text (flags, "format");
  const char *const formats[] = {"text", "json", "json-line", "", NULL};
  WarrenExitCode code;
  WarrenSession *session;
  GDBusProxy *proxy;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariant) dict = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (Report) report = {0};

  if (format != NULL && !g_strv_contains (formats, format)) {
    cli_complain (_ ("invalid value “%s” for flag --%s"), format, "format");
    return WARREN_EXIT_USAGE;
  }
  session = cli_open_session (cli, &code);
  if (session == NULL)
    return code;
  proxy = G_DBUS_PROXY (warren_session_get_bus (session));
  reply = g_dbus_connection_call_sync (
      g_dbus_proxy_get_connection (proxy), g_dbus_proxy_get_name (proxy),
      g_dbus_proxy_get_object_path (proxy), WARREN_DAEMON_NAME ".Diagnostics", "NetCheck",
      g_variant_new_parsed ("(@a{sv} {},)"), G_VARIANT_TYPE ("(a{sv})"), CLI_CALL_FLAGS,
      CLI_CALL_TIMEOUT, NULL, &error);
  if (reply == NULL)
    return cli_fail (cli, error, "status");
  dict = g_variant_get_child_value (reply, 0);
  read_report (dict, &report);
  if (g_strcmp0 (format, "json") == 0 || g_strcmp0 (format, "json-line") == 0)
    print_json (&report, g_str_equal (format, "json-line"));
  else
    print_text (&report);
  return WARREN_EXIT_OK;
}

const Command cli_netcheck_command
    = {"netcheck",     "", N_ ("show what this network lets through, and the relays"),
       netcheck_flags, 0,  run_netcheck};
