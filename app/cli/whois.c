/* whois and version. spec/local-services.md §4.4. */
#include "cli/cli.h"

#include <glib/gi18n-lib.h>

/* What this program speaks to servers; the daemon announces the same (control/capability.h). */
#define CAPABILITY_VERSION 131

static const FlagSpec whois_flags[] = {
    {"json", FLAG_SWITCH, NULL, NULL, N_ ("print the official WhoIs document")},
    {"proto", FLAG_TEXT, "PROTOCOL", NULL, N_ ("tcp or udp, where a port is given")},
    {NULL},
};

static const FlagSpec version_flags[] = {
    {"daemon", FLAG_SWITCH, NULL, NULL, N_ ("print the version of the service, too")},
    {"json", FLAG_SWITCH, NULL, NULL, N_ ("print JSON")},
    {NULL},
};

static const char *
text_of (GVariant *who, const char *key)
{
  const char *text = "";

  g_variant_lookup (who, key, "&s", &text);
  return text;
}

static void
print_list (GVariant *who, const char *key, const char *title)
{
  g_autoptr (GVariant) list = g_variant_lookup_value (who, key, G_VARIANT_TYPE_STRING_ARRAY);
  g_autofree const char **words = list != NULL ? g_variant_get_strv (list, NULL) : NULL;
  g_autofree char *joined = words != NULL ? g_strjoinv (" ", (char **)words) : NULL;

  if (joined != NULL && *joined != '\0')
    g_print ("  %-15s[%s]\n", title, joined);
}

static void
print_capabilities (GVariant *who)
{
  g_autoptr (GVariant) map
      = g_variant_lookup_value (who, "Capabilities", G_VARIANT_TYPE ("a{sas}"));
  GVariantIter iter;
  const char *name;
  GVariant *values;

  if (map == NULL || g_variant_n_children (map) == 0)
    return;
  g_print ("Capabilities:\n");
  g_variant_iter_init (&iter, map);
  while (g_variant_iter_next (&iter, "{&s@as}", &name, &values)) {
    g_autofree const char **words = g_variant_get_strv (values, NULL);

    g_print ("  - %s%s\n", name, words[0] != NULL ? ":" : "");
    for (gsize i = 0; words[i] != NULL; i++)
      g_print ("      %s\n", words[i]);
    g_variant_unref (values);
  }
}

static void
print_who (GVariant *who)
{
  guint64 user = 0;

  g_print ("Machine:\n  %-15s%s\n  %-15s%s\n", "Name:", text_of (who, "Fqdn"),
           "ID:", text_of (who, "Id"));
  print_list (who, "Addresses", "Addresses:");
  print_list (who, "AllowedIPs", "AllowedIPs:");
  print_list (who, "Tags", "Tags:");
  if (g_variant_lookup (who, "UserId", "t", &user) && *text_of (who, "UserLogin") != '\0')
    g_print ("User:\n  %-10s%s\n  %-10s%" G_GUINT64_FORMAT "\n",
             "Name:", text_of (who, "UserLogin"), "ID:", user);
  print_capabilities (who);
}

static WarrenExitCode
run_whois (Cli *cli, const Flags *flags)
{
  const char *address = flags_get_arguments (flags, NULL)[0];
  const char *proto = flags_get_text (flags, "proto");
  WarrenExitCode code;
  WarrenSession *session;
  GDBusProxy *proxy;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariant) who = NULL;
  g_autoptr (GError) error = NULL;

  if (address == NULL) {
    cli_complain ("%s", _ ("name an address. Usage: warren whois IP[:PORT]"));
    return WARREN_EXIT_USAGE;
  }
  session = cli_open_session (cli, &code);
  if (session == NULL)
    return code;
  proxy = G_DBUS_PROXY (warren_session_get_bus (session));
  reply = g_dbus_connection_call_sync (
      g_dbus_proxy_get_connection (proxy), g_dbus_proxy_get_name (proxy),
      g_dbus_proxy_get_object_path (proxy), WARREN_DAEMON_NAME ".Diagnostics", "WhoIs",
      g_variant_new ("(ss)", address, proto != NULL ? proto : ""), G_VARIANT_TYPE ("(a{sv})"),
      CLI_CALL_FLAGS, CLI_CALL_TIMEOUT, NULL, &error);
  if (reply == NULL)
    return cli_fail (cli, error, "status");
  who = g_variant_get_child_value (reply, 0);
  if (flags_get_switch (flags, "json"))
    g_print ("%s\n", text_of (who, "Json"));
  else
    print_who (who);
  return WARREN_EXIT_OK;
}

static WarrenExitCode
run_version (Cli *cli, const Flags *flags)
{
  const char *daemon = NULL;

  if (flags_get_switch (flags, "daemon")) {
    if (!cli_open (cli))
      return WARREN_EXIT_NO_SERVICE;
    daemon = warren_bus_manager_get_version (warren_client_get_manager (cli->client));
  }
  if (flags_get_switch (flags, "json")) {
    g_print (
        "{\n  \"majorMinorPatch\": \"%s\",\n  \"short\": \"%s\",\n  \"long\": \"%s-warren\",\n",
        WARREN_VERSION, WARREN_VERSION, WARREN_VERSION);
    if (daemon != NULL)
      g_print ("  \"daemonLong\": \"%s\",\n", daemon);
    g_print ("  \"cap\": %d\n}\n", CAPABILITY_VERSION);
  } else if (daemon != NULL) {
    g_print ("Client: %s\nDaemon: %s\n", WARREN_VERSION, daemon);
  } else {
    g_print ("%s\n", WARREN_VERSION);
  }
  return WARREN_EXIT_OK;
}

const Command cli_whois_command
    = {"whois", "IP[:PORT]", N_ ("show which device and whose it is"), whois_flags, 1, run_whois};
const Command cli_version_command
    = {"version", "", N_ ("print the version"), version_flags, 0, run_version};
