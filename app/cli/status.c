/* status and ip: both read the official Status document that the daemon writes.
 * spec/local-services.md §3.3, §4.2, §4.4. With --json it is copied through unchanged. */
#include "cli/status-document.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const FlagSpec status_flags[] = {
    {"active", FLAG_SWITCH, NULL, NULL, N_ ("only devices with traffic in the last minute")},
    {"header", FLAG_SWITCH, NULL, NULL, N_ ("print a line of column names")},
    {"json", FLAG_SWITCH, NULL, NULL, N_ ("print the official Status document")},
    {"peers", FLAG_SWITCH, NULL, "true", N_ ("print the other devices")},
    {"self", FLAG_SWITCH, NULL, "true", N_ ("print this device")},
    {NULL},
};

static const FlagSpec ip_flags[] = {
    {"1", FLAG_SWITCH, NULL, NULL, N_ ("only one address")},
    {"4", FLAG_SWITCH, NULL, NULL, N_ ("only the IPv4 address")},
    {"6", FLAG_SWITCH, NULL, NULL, N_ ("only the IPv6 address")},
    {"assert", FLAG_TEXT, "IP", NULL, N_ ("fail unless this device has the address IP")},
    {NULL},
};

/* --- status -------------------------------------------------------------------------------------
 */

static char *
time_ago (const char *rfc3339)
{
  g_autoptr (GDateTime) then = g_date_time_new_from_iso8601 (rfc3339, NULL);
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  gint64 seconds;

  if (then == NULL || g_date_time_get_year (then) <= 1)
    return NULL;
  seconds = g_date_time_difference (now, then) / G_TIME_SPAN_SECOND;
  if (seconds < 60)
    return g_strdup ("1m ago");
  if (seconds < 3600)
    return g_strdup_printf ("%" G_GINT64_FORMAT "m ago", seconds / 60);
  if (seconds < 48 * 3600)
    return g_strdup_printf ("%" G_GINT64_FORMAT "h ago", seconds / 3600);
  return g_strdup_printf ("%" G_GINT64_FORMAT "d ago", seconds / 86400);
}

static void
append_active (GString *text, JsonObject *node)
{
  const char *address = status_string (node, "CurAddr");
  const char *peer_relay = status_string (node, "PeerRelay");
  const char *relay = status_string (node, "Relay");

  g_string_append (text, "active; ");
  if (status_flag (node, "ExitNode"))
    g_string_append (text, "exit node; ");
  else if (status_flag (node, "ExitNodeOption"))
    g_string_append (text, "offers exit node; ");
  if (*address != '\0')
    g_string_append_printf (text, "direct %s", address);
  else if (*peer_relay != '\0')
    g_string_append_printf (text, "peer-relay %s", peer_relay);
  else if (*relay != '\0')
    g_string_append_printf (text, "relay \"%s\"", relay);
}

static char *
state_text (JsonObject *node)
{
  GString *text = g_string_new (NULL);
  gint64 tx = status_number (node, "TxBytes");
  gint64 rx = status_number (node, "RxBytes");
  gboolean online = status_flag (node, "Online");
  g_autofree char *ago = time_ago (status_string (node, "LastSeen"));

  if (status_flag (node, "Active"))
    append_active (text, node);
  else if (status_flag (node, "ExitNode"))
    g_string_append (text, "idle; exit node");
  else if (status_flag (node, "ExitNodeOption"))
    g_string_append (text, "idle; offers exit node");
  else if (tx + rx > 0)
    g_string_append (text, "idle");
  else if (!online)
    g_string_append (text, "offline");
  else
    g_string_append (text, "-");
  if (!online && !g_str_equal (text->str, "offline"))
    g_string_append (text, "; offline");
  if (!online && ago != NULL)
    g_string_append_printf (text, ", last seen %s", ago);
  if (tx + rx > 0)
    g_string_append_printf (text, ", tx %" G_GINT64_FORMAT " rx %" G_GINT64_FORMAT, tx, rx);
  return g_string_free (text, FALSE);
}

static char *
owner_text (const StatusDocument *doc, JsonObject *node)
{
  g_autofree char *id = g_strdup_printf ("%" G_GINT64_FORMAT, status_number (node, "UserID"));
  JsonObject *users = status_object (doc->root, "User");
  JsonObject *user = users != NULL ? status_object (users, id) : NULL;
  const char *login = user != NULL ? status_string (user, "LoginName") : "";
  const char *at = strchr (login, '@');

  if (*login == '\0')
    return g_strdup ("-");
  return at != NULL ? g_strndup (login, at - login + 1) : g_strdup (login);
}

static void
add_row (GPtrArray *table, const StatusDocument *doc, JsonObject *node, gboolean own)
{
  char **row = g_new0 (char *, 6);

  row[0] = g_strdup (status_first_address (node));
  row[1] = status_base_name (doc, node);
  row[2] = owner_text (doc, node);
  row[3] = g_strdup (status_string (node, "OS"));
  row[4] = own && !status_flag (node, "ExitNode") && !status_flag (node, "ExitNodeOption")
               ? g_strdup ("-")
               : state_text (node);
  g_ptr_array_add (table, row);
}

static void
print_rows (GPtrArray *table)
{
  int width[5] = {15, 20, 12, 7, 0};

  for (guint i = 0; i < table->len; i++)
    for (guint column = 0; column < 4; column++)
      width[column]
          = MAX (width[column], (int)g_utf8_strlen (((char **)table->pdata[i])[column], -1));
  for (guint i = 0; i < table->len; i++) {
    char **row = table->pdata[i];

    for (guint column = 0; column < 4; column++)
      g_print ("%s%*s  ", row[column], width[column] - (int)g_utf8_strlen (row[column], -1), "");
    g_print ("%s\n", row[4]);
  }
}

static gboolean
is_shown (const StatusDocument *doc, JsonObject *node, gboolean only_active)
{
  gboolean provider = g_str_has_suffix (status_string (node, "DNSName"), ".mullvad.ts.net.");

  if (status_flag (node, "ShareeNode") || (only_active && !status_flag (node, "Active")))
    return FALSE;
  return !provider || status_flag (node, "ExitNode");
}

static void
print_table (const StatusDocument *doc, const Flags *flags)
{
  g_autoptr (GPtrArray) table = g_ptr_array_new_with_free_func ((GDestroyNotify)g_strfreev);
  g_autoptr (GPtrArray) peers = status_sorted_peers (doc);
  JsonObject *self = status_object (doc->root, "Self");
  gboolean hidden = FALSE;

  if (flags_get_switch (flags, "header")) {
    const char *head[] = {"# IP", "Hostname", "Owner", "OS", "Status", NULL};

    g_ptr_array_add (table, g_strdupv ((char **)head));
  }
  if (self != NULL && flags_get_switch (flags, "self"))
    add_row (table, doc, self, TRUE);
  for (guint i = 0; i < peers->len && flags_get_switch (flags, "peers"); i++) {
    if (is_shown (doc, peers->pdata[i], flags_get_switch (flags, "active")))
      add_row (table, doc, peers->pdata[i], FALSE);
    else
      hidden = hidden || status_flag (peers->pdata[i], "ExitNodeOption");
  }
  print_rows (table);
  if (hidden)
    g_print ("\n# To see all exit nodes, use `warren exit-node list`.\n");
}

static void
print_health (const StatusDocument *doc)
{
  JsonArray *health = status_array (doc->root, "Health");

  if (health == NULL || json_array_get_length (health) == 0)
    return;
  g_print ("\n# Health check:\n");
  for (guint i = 0; i < json_array_get_length (health); i++)
    g_print ("#     - %s\n", json_array_get_string_element (health, i));
}

/* What is wrong and what to do, also while the connection stands or is still to come; part of the
 * answer, so it goes to stdout. PREFIX begins each line. */
static void
print_problem (WarrenSession *session, const char *prefix)
{
  const char *text;
  const char *problem = warren_session_get_problem (session, &text);
  g_autofree char *host = warren_session_dup_server_host (session);
  g_autofree char *meaning = warren_problem_meaning (problem, host);
  g_autofree char *advice = warren_problem_advice (problem, host);

  if (*problem == '\0')
    return;
  g_print ("%s%s", prefix, meaning);
  if (*text != '\0')
    g_print (" (%s)", text);
  g_print ("\n%s%s\n", prefix, advice);
}

/* The official words, and beside them what a person should know. */
static WarrenExitCode
print_not_running (WarrenSession *session, const char *state)
{
  g_autofree char *url = NULL;

  if (g_str_equal (state, "NeedsLogin")) {
    g_print ("Logged out.\n");
    if (warren_session_get_login_pending (session)
        && warren_bus_session_call_get_login_url_sync (
            warren_session_get_bus (session), G_DBUS_CALL_FLAGS_NONE, -1, &url, NULL, NULL))
      g_print ("Log in at: %s\n", url);
  } else if (g_str_equal (state, "NeedsMachineAuth")) {
    g_print ("Machine is not yet approved by tailnet admin.\n");
  } else if (g_str_equal (state, "Stopped")) {
    g_print ("Warren is stopped.\n");
  } else {
    g_print ("unexpected state: %s\n", state);
  }
  print_problem (session, "");
  return WARREN_EXIT_FAILED;
}

static WarrenExitCode
run_status (Cli *cli, const Flags *flags)
{
  WarrenExitCode code;
  WarrenSession *session;
  g_auto (StatusDocument) doc = {0};
  const char *state;

  if (flags_get_switch (flags, "json")) {
    /* The daemon has a document for "nobody is signed in", too. */
    if (!cli_open (cli))
      return WARREN_EXIT_NO_SERVICE;
    return status_copy (cli, warren_client_get_session (cli->client),
                        flags_get_switch (flags, "peers"));
  }
  session = cli_open_session (cli, &code);
  if (session == NULL)
    return code;
  if (!status_read (cli, session, &doc, &code))
    return code;
  state = status_string (doc.root, "BackendState");
  if (!g_str_equal (state, "Running") && !g_str_equal (state, "Starting"))
    return print_not_running (session, state);
  print_table (&doc, flags);
  print_health (&doc);
  if (g_str_equal (state, "Starting")) {
    const WarrenUiState *shown = warren_client_get_ui_state (cli->client);

    g_print ("\n# %s %s\n", shown->headline, shown->detail);
  }
  print_problem (session, "# ");
  return WARREN_EXIT_OK;
}

/* --- ip -----------------------------------------------------------------------------------------
 */

static WarrenExitCode
print_addresses (JsonObject *node, const Flags *flags)
{
  JsonArray *addresses = status_array (node, "TailscaleIPs");
  gboolean only4 = flags_get_switch (flags, "4");
  gboolean only6 = flags_get_switch (flags, "6");
  const char *wanted = flags_get_text (flags, "assert");
  guint shown = 0;

  for (guint i = 0; addresses != NULL && i < json_array_get_length (addresses); i++) {
    const char *address = json_array_get_string_element (addresses, i);
    gboolean is6 = strchr (address, ':') != NULL;

    if (wanted != NULL && g_str_equal (wanted, address))
      return WARREN_EXIT_OK;
    if (wanted != NULL || (only4 && is6) || (only6 && !is6)
        || (shown > 0 && flags_get_switch (flags, "1")))
      continue;
    g_print ("%s\n", address);
    shown++;
  }
  if (shown > 0)
    return WARREN_EXIT_OK;
  if (wanted != NULL)
    cli_complain (_ ("this device does not have the address %s"), wanted);
  else if (only4 || only6)
    cli_complain ("no Tailscale IPv%d address", only4 ? 4 : 6);
  else
    cli_complain ("%s", _ ("no address. Connect with: warren up"));
  return WARREN_EXIT_FAILED;
}

static gboolean
only_one_kind (const Flags *flags)
{
  return flags_get_switch (flags, "1") + flags_get_switch (flags, "4")
             + flags_get_switch (flags, "6")
         <= 1;
}

static WarrenExitCode
run_ip (Cli *cli, const Flags *flags)
{
  const char *peer = flags_get_arguments (flags, NULL)[0];
  WarrenExitCode code;
  WarrenSession *session;
  g_auto (StatusDocument) doc = {0};
  JsonObject *node;

  if (!only_one_kind (flags)) {
    cli_complain ("%s", _ ("-1, -4 and -6 exclude each other"));
    return WARREN_EXIT_USAGE;
  }
  session = cli_open_session (cli, &code);
  if (session == NULL || !status_read (cli, session, &doc, &code))
    return code;
  node = peer != NULL ? status_find_node (&doc, peer) : status_object (doc.root, "Self");
  if (node == NULL) {
    cli_complain (_ ("no device is called “%s”"), peer != NULL ? peer : "");
    return WARREN_EXIT_FAILED;
  }
  return print_addresses (node, flags);
}

const Command cli_status_command
    = {"status",     "", N_ ("show the state and the devices of the network"),
       status_flags, 0,  run_status};
const Command cli_ip_command
    = {"ip", "[DEVICE]", N_ ("show the addresses of this or another device"), ip_flags, 1, run_ip};
