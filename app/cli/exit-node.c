/* exit-node list, exit-node use and exit-node suggest. spec/local-services.md §4.4. */
#include "cli/cli.h"

#include <glib/gi18n-lib.h>

static const FlagSpec exit_node_flags[] = {
    {"filter", FLAG_TEXT, "COUNTRY", NULL, N_ ("list only the exit nodes of this country")},
    {NULL},
};

static char *
column (const char *text)
{
  return text != NULL && *text != '\0' ? g_strdup (text) : g_strdup ("-");
}

static const char *
status_of (WarrenDevice *device)
{
  gboolean selected = (warren_device_get_flags (device) & WARREN_DEVICE_EXIT_CURRENT) != 0;

  if (warren_device_is_online (device))
    return selected ? "selected" : "-";
  return selected ? "selected but offline" : "offline";
}

static void
print_row (const char *a, const char *b, const char *c, const char *d, const char *e)
{
  g_print (" %-18s %-36s %-18s %-18s %s\n", a, b, c, d, e);
}

static WarrenExitCode
list (Cli *cli, WarrenSession *session, const char *filter)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) devices = cli_list_devices (session, &error);
  guint shown = 0;

  if (devices == NULL)
    return cli_fail (cli, error, "status");
  for (guint i = 0; i < devices->len; i++) {
    WarrenDevice *device = devices->pdata[i];
    g_autofree char *country = warren_device_dup_extra_string (device, "Country");
    g_autofree char *city = warren_device_dup_extra_string (device, "City");
    g_autofree char *country_text = column (country);
    g_autofree char *city_text = column (city);

    if ((warren_device_get_flags (device) & WARREN_DEVICE_EXIT_CAPABLE) == 0
        || (filter != NULL && (country == NULL || g_ascii_strcasecmp (filter, country) != 0)))
      continue;
    if (shown++ == 0) {
      g_print ("\n");
      print_row ("IP", "HOSTNAME", "COUNTRY", "CITY", "STATUS");
    }
    print_row (warren_device_get_address (device), warren_device_get_fqdn (device), country_text,
               city_text, status_of (device));
  }
  if (shown == 0) {
    cli_complain ("%s", _ ("no exit nodes found"));
    return WARREN_EXIT_FAILED;
  }
  g_print ("\n# %s\n",
           _ ("To use one: warren exit-node use NAME; to use none: warren exit-node use none"));
  return WARREN_EXIT_OK;
}

static WarrenExitCode
use (Cli *cli, WarrenSession *session, const char *word)
{
  g_auto (GVariantDict) changes = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *node = NULL;

  if (g_str_equal (word, "none"))
    word = "";
  else if (g_str_equal (word, "auto"))
    word = "auto:any";
  node = cli_resolve_exit_node (session, word, &error);
  if (node == NULL) {
    cli_complain ("%s", error->message);
    return WARREN_EXIT_FAILED;
  }
  g_variant_dict_insert (&changes, "ExitNode", "s", node);
  cli_prepare_password (cli);
  if (warren_bus_session_call_set_preferences_sync (warren_session_get_bus (session),
                                                    g_variant_dict_end (&changes), CLI_CALL_FLAGS,
                                                    CLI_CALL_TIMEOUT, NULL, &error))
    return WARREN_EXIT_OK;
  return cli_fail (cli, error, "exit-node");
}

static WarrenExitCode
suggest (Cli *cli, WarrenSession *session)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) details = NULL;
  g_autofree char *id = NULL, *name = NULL;
  const char *fqdn;

  if (!warren_bus_session_call_suggest_exit_node_sync (warren_session_get_bus (session),
                                                       G_DBUS_CALL_FLAGS_NONE, CLI_CALL_TIMEOUT,
                                                       &id, &name, &details, NULL, &error)) {
    if (!g_error_matches (error, WARREN_ERROR, WARREN_ERROR_NOT_FOUND))
      return cli_fail (cli, error, "status");
    g_print ("No exit node suggestion is available.\n");
    return WARREN_EXIT_OK;
  }
  if (!g_variant_lookup (details, "Fqdn", "&s", &fqdn))
    fqdn = name;
  g_print ("Suggested exit node: %s\nTo accept this suggestion, use `warren set --exit-node=%s`.\n",
           fqdn, fqdn);
  return WARREN_EXIT_OK;
}

static WarrenExitCode
run_exit_node (Cli *cli, const Flags *flags)
{
  const char *const *words = flags_get_arguments (flags, NULL);
  gboolean wants_use = g_strcmp0 (words[0], "use") == 0 && words[1] != NULL;
  WarrenExitCode code;
  WarrenSession *session;

  gboolean wants_suggestion = g_strcmp0 (words[0], "suggest") == 0 && words[1] == NULL;
  gboolean wants_list = g_strcmp0 (words[0], "list") == 0 && words[1] == NULL;
  if (!wants_use && !wants_suggestion && !wants_list) {
    cli_complain ("%s",
                  _ ("Usage: warren exit-node list | suggest | use NAME | use auto | use none"));
    return WARREN_EXIT_USAGE;
  }
  session = cli_open_session (cli, &code);
  if (session == NULL)
    return code;
  if (wants_suggestion)
    return suggest (cli, session);
  return wants_use ? use (cli, session, words[1])
                   : list (cli, session, flags_get_text (flags, "filter"));
}

const Command cli_exit_node_command = {"exit-node",
                                       "list|suggest|use NAME|use auto|use none",
                                       N_ ("list or choose exit nodes"),
                                       exit_node_flags,
                                       2,
                                       run_exit_node};
