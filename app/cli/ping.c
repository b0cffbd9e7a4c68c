/* ping: the path to a device, in the lines of the official command. spec/local-services.md §4.4. */
#include "cli/cli.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const FlagSpec ping_flags[] = {
    {"c", FLAG_NUMBER, "COUNT", "10", N_ ("stop after COUNT pings; 0 goes on for ever")},
    {"icmp", FLAG_SWITCH, NULL, NULL, N_ ("ping through the tunnel, with ICMP")},
    {"timeout", FLAG_DURATION, "TIME", "5s", N_ ("wait this long for each answer")},
    {"tsmp", FLAG_SWITCH, NULL, NULL,
     N_ ("ping through the tunnel, to the other side's end of it")},
    {"until-direct", FLAG_SWITCH, NULL, "true", N_ ("stop as soon as the path is direct")},
    {"verbose", FLAG_SWITCH, NULL, NULL, N_ ("say what the name stands for")},
    {NULL},
};

typedef struct
{
  WarrenBusPeers *peers;
  WarrenDevice *device;
  const char *kind; /* "disco", "icmp", "tsmp" */
  guint timeout_ms;
  gboolean direct; /* the last answer came directly */
} Ping;

/* As Go prints a duration that was rounded to milliseconds. */
static char *
latency_text (guint microseconds)
{
  guint ms = (microseconds + 500) / 1000;

  if (ms == 0)
    return g_strdup ("0s");
  if (ms < 1000)
    return g_strdup_printf ("%ums", ms);
  g_autofree char *text = g_strdup_printf ("%u.%03u", ms / 1000, ms % 1000);

  while (g_str_has_suffix (text, "0"))
    text[strlen (text) - 1] = '\0';
  if (g_str_has_suffix (text, "."))
    text[strlen (text) - 1] = '\0';
  return g_strconcat (text, "s", NULL);
}

static char *
via_text (const Ping *ping, GVariant *result)
{
  const char *endpoint = "";
  const char *relay = "";
  const char *path = "";

  g_variant_lookup (result, "Endpoint", "&s", &endpoint);
  g_variant_lookup (result, "Relay", "&s", &relay);
  g_variant_lookup (result, "Path", "&s", &path);
  if (g_str_equal (ping->kind, "icmp"))
    return g_strdup ("ICMP");
  if (g_str_equal (ping->kind, "tsmp"))
    return g_strdup ("TSMP");
  if (*endpoint != '\0' && !g_str_equal (path, "relay"))
    return g_strdup (endpoint);
  return g_strdup_printf ("DERP(%s)", relay);
}

/* TRUE if an answer came. */
static gboolean
ping_once (Ping *ping, GError **error)
{
  g_autoptr (GVariant) result = NULL;
  g_autofree char *via = NULL;
  g_autofree char *latency = NULL;
  const char *path = "";
  guint latency_us = 0;

  if (!warren_bus_peers_call_ping_sync (ping->peers, warren_device_get_id (ping->device),
                                        ping->kind, ping->timeout_ms, CLI_CALL_FLAGS,
                                        CLI_CALL_TIMEOUT, &result, NULL, error))
    return FALSE;
  g_variant_lookup (result, "LatencyUs", "u", &latency_us);
  g_variant_lookup (result, "Path", "&s", &path);
  via = via_text (ping, result);
  latency = latency_text (latency_us);
  ping->direct = g_str_equal (path, "direct");
  g_print ("pong from %s (%s) via %s in %s\n", warren_device_get_name (ping->device),
           warren_device_get_address (ping->device), via, latency);
  return TRUE;
}

static WarrenExitCode
ping_many (Cli *cli, Ping *ping, gint64 count, gboolean until_direct)
{
  gboolean any = FALSE;

  until_direct = until_direct && g_str_equal (ping->kind, "disco");
  for (gint64 i = 0; count == 0 || i < count; i++) {
    g_autoptr (GError) error = NULL;

    if (i > 0)
      g_usleep (G_USEC_PER_SEC);
    if (ping_once (ping, &error)) {
      any = TRUE;
      if (until_direct && ping->direct)
        return WARREN_EXIT_OK;
    } else if (g_error_matches (error, WARREN_ERROR, WARREN_ERROR_TIMEOUT)) {
      g_print ("ping \"%s\" timed out\n", warren_device_get_address (ping->device));
    } else {
      return cli_fail (cli, error, "status");
    }
  }
  if (any && !until_direct)
    return WARREN_EXIT_OK;
  g_printerr ("%s\n", any ? "direct connection not established" : "no reply");
  return WARREN_EXIT_FAILED;
}

static gboolean
is_self (WarrenSession *session, const char *word)
{
  g_auto (GStrv) addresses = warren_session_dup_self_addresses (session);
  g_autofree char *name = warren_session_dup_self_string (session, "Name");
  g_autofree char *fqdn = warren_session_dup_self_string (session, "Fqdn");

  if (addresses != NULL && g_strv_contains ((const char *const *)addresses, word))
    return TRUE;
  return g_strcmp0 (name, word) == 0 || g_strcmp0 (fqdn, word) == 0;
}

static WarrenExitCode
run_ping (Cli *cli, const Flags *flags)
{
  const char *word = flags_get_arguments (flags, NULL)[0];
  WarrenExitCode code;
  WarrenSession *session;
  g_autoptr (WarrenDevice) device = NULL;
  g_autoptr (GError) error = NULL;
  Ping ping = {0};

  if (word == NULL) {
    cli_complain ("%s", _ ("name a device. Usage: warren ping DEVICE"));
    return WARREN_EXIT_USAGE;
  }
  session = cli_open_session (cli, &code);
  if (session == NULL)
    return code;
  if (is_self (session, word)) {
    g_print ("%s is local Tailscale IP\n", word);
    return WARREN_EXIT_OK;
  }
  device = cli_find_device (session, word, &error);
  if (device == NULL)
    return cli_fail (cli, error, "status");
  if (flags_get_switch (flags, "verbose"))
    g_print ("lookup \"%s\" => \"%s\"\n", word, warren_device_get_address (device));
  ping.peers = warren_session_get_peers (session);
  ping.device = device;
  ping.kind = flags_get_switch (flags, "tsmp")   ? "tsmp"
              : flags_get_switch (flags, "icmp") ? "icmp"
                                                 : "disco";
  ping.timeout_ms = MAX (1, MIN (flags_get_duration_ms (flags, "timeout"), G_MAXINT32));
  return ping_many (cli, &ping, flags_get_number (flags, "c"),
                    flags_get_switch (flags, "until-direct"));
}

const Command cli_ping_command
    = {"ping", "DEVICE", N_ ("find out how packets reach a device"), ping_flags, 1, run_ping};
