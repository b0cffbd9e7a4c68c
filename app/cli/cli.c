#include "cli/cli.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define DAEMON_START_MS 10000
#define AGENT_START_MS  3000

void
cli_complain (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_printerr ("warren: %s\n", text);
}

static gboolean
on_deadline (gpointer data)
{
  *(gboolean *)data = TRUE;
  return G_SOURCE_REMOVE;
}

gboolean
cli_wait (gint64 deadline)
{
  gboolean over = FALSE;
  guint id = 0;

  if (deadline != 0) {
    gint64 left_ms = (deadline - g_get_monotonic_time ()) / 1000;

    if (left_ms <= 0)
      return FALSE;
    id = g_timeout_add (MIN (left_ms + 1, G_MAXINT), on_deadline, &over);
  }
  g_main_context_iteration (NULL, TRUE);
  if (!over)
    g_clear_handle_id (&id, g_source_remove);
  return !over;
}

static void
on_started (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GError) error = NULL;

  *(int *)data = warren_client_call_finish (WARREN_CLIENT (source), result, &error) ? 1 : -1;
  if (error != NULL)
    g_debug ("start: %s", error->message);
}

static gboolean
daemon_is_there (Cli *cli)
{
  return warren_client_get_ui_state (cli->client)->kind != WARREN_UI_DAEMON_MISSING;
}

/* The outcome outlives this function if the time is up first. */
static gboolean
start_daemon (Cli *cli)
{
  static int outcome;
  gint64 deadline = g_get_monotonic_time () + DAEMON_START_MS * 1000;

  outcome = 0;
  warren_client_start_service_async (cli->client, NULL, on_started, &outcome);
  while (outcome >= 0 && !daemon_is_there (cli) && cli_wait (deadline))
    ;
  return daemon_is_there (cli);
}

gboolean
cli_open (Cli *cli)
{
  if (cli->client != NULL)
    return TRUE;
  cli->client = warren_client_new (cli->bus, WARREN_CLIENT_DEFAULT);
  while (!warren_client_is_ready (cli->client))
    cli_wait (0);
  if (daemon_is_there (cli) || start_daemon (cli))
    return TRUE;
  cli_complain ("%s", _ ("the Warren service is not running and could not be started.\n"
                         "Start it with: sudo systemctl start warrend"));
  return FALSE;
}

void
cli_close (Cli *cli)
{
  if (cli->agent != NULL)
    g_subprocess_send_signal (cli->agent, SIGTERM);
  g_clear_object (&cli->agent);
  g_clear_object (&cli->client);
}

WarrenSession *
cli_open_session (Cli *cli, WarrenExitCode *code)
{
  WarrenSession *session;

  if (!cli_open (cli)) {
    *code = WARREN_EXIT_NO_SERVICE;
    return NULL;
  }
  session = warren_client_get_session (cli->client);
  if (session == NULL) {
    cli_complain ("%s", _ ("not signed in. Sign in with: warren up"));
    *code = WARREN_EXIT_SIGN_IN;
  }
  return session;
}

/* The agent closes the pipe once it is registered; until then a question would find nobody. */
static void
wait_for_agent (int fd)
{
  struct pollfd p = {.fd = fd, .events = POLLIN};
  char byte;

  while (poll (&p, 1, AGENT_START_MS) > 0 && read (fd, &byte, 1) > 0)
    ;
  close (fd);
}

/* Whether a desktop may have an agent of its own for this terminal, whose dialog people know.
 * polkit looks for one, and then for ours as its fallback, only where there is a login session. */
static gboolean
is_in_session (void)
{
  return g_getenv ("XDG_SESSION_ID") != NULL || g_getenv ("DISPLAY") != NULL
         || g_getenv ("WAYLAND_DISPLAY") != NULL;
}

void
cli_prepare_password (Cli *cli)
{
  g_autoptr (GSubprocessLauncher) launcher = NULL;
  g_autofree char *program = g_find_program_in_path ("pkttyagent");
  g_autofree char *pid = g_strdup_printf ("%d", getpid ());
  const char *address = cli->bus != NULL ? cli->bus : g_getenv ("WARREN_BUS");
  int fds[2];

  if (cli->agent != NULL || !cli->ask_password || getuid () == 0 || program == NULL
      || !isatty (STDIN_FILENO) || !isatty (STDERR_FILENO)
      || !g_unix_open_pipe (fds, FD_CLOEXEC, NULL))
    return;
  launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_subprocess_launcher_take_fd (launcher, fds[1], 3);
  if (address != NULL) /* polkit is looked up where the daemon is */
    g_subprocess_launcher_setenv (launcher, "DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
  cli->agent
      = g_subprocess_launcher_spawn (launcher, NULL, program, "--process", pid, "--notify-fd", "3",
                                     is_in_session () ? "--fallback" : NULL, NULL);
  g_clear_object (&launcher); /* closes our copy of the writing end */
  if (cli->agent != NULL)
    wait_for_agent (fds[0]);
  else
    close (fds[0]);
}

static WarrenExitCode
exit_code_of (const GError *error)
{
  if (warren_error_is_no_service (error))
    return WARREN_EXIT_NO_SERVICE;
  if (error->domain != WARREN_ERROR)
    return WARREN_EXIT_FAILED;
  switch ((WarrenError)error->code) {
    case WARREN_ERROR_NOT_AUTHORIZED:
    case WARREN_ERROR_AUTH_DISMISSED:
      return WARREN_EXIT_NOT_AUTHORIZED;
    case WARREN_ERROR_SERVER_UNREACHABLE:
    case WARREN_ERROR_SERVER_REFUSED:
    case WARREN_ERROR_NO_NETWORK:
      return WARREN_EXIT_SERVER;
    case WARREN_ERROR_NEEDS_LOGIN:
    case WARREN_ERROR_KEY_EXPIRED:
      return WARREN_EXIT_SIGN_IN;
    case WARREN_ERROR_FAILED:
    case WARREN_ERROR_INVALID_ARGUMENT:
    case WARREN_ERROR_NOT_FOUND:
    case WARREN_ERROR_WRONG_STATE:
    case WARREN_ERROR_LOCKED:
    case WARREN_ERROR_CONFLICT:
    case WARREN_ERROR_PEER_OFFLINE:
    case WARREN_ERROR_PEER_REFUSED:
    case WARREN_ERROR_TIMEOUT:
    case WARREN_ERROR_CANCELLED:
    case WARREN_ERROR_UNSUPPORTED:
    case WARREN_ERROR_BUSY:
    case WARREN_ERROR_LIMIT_EXCEEDED:
    default:
      return WARREN_EXIT_FAILED;
  }
}

/* The command line again, with secrets left out. */
static char *
repeat_command (Cli *cli)
{
  GString *line = g_string_new ("warren");

  for (gsize i = 1; cli->argv[0] != NULL && cli->argv[i] != NULL; i++) {
    g_autofree char *word = NULL;

    if (strstr (cli->argv[i], "auth") != NULL && strchr (cli->argv[i], '=') != NULL)
      word = g_strdup ("--auth-key=…");
    else if (i > 1 && g_str_has_suffix (cli->argv[i - 1], "key"))
      word = g_strdup ("…");
    else
      word = strpbrk (cli->argv[i], " \"'\\$&;|<>()*?") != NULL ? g_shell_quote (cli->argv[i])
                                                                : g_strdup (cli->argv[i]);
    g_string_append_printf (line, " %s", word);
  }
  return g_string_free (line, FALSE);
}

WarrenExitCode
cli_fail (Cli *cli, const GError *error, const char *action)
{
  WarrenExitCode code = exit_code_of (error);
  g_autofree char *text = NULL;

  if (g_error_matches (error, WARREN_ERROR, WARREN_ERROR_NOT_AUTHORIZED)) {
    g_autofree char *command = repeat_command (cli);

    cli_complain (_ ("not authorized for %s.%s.\n"
                     "Members of the group “warren” may do this, or use: sudo %s"),
                  WARREN_DAEMON_NAME, action, command);
    return code;
  }
  text = warren_error_describe (error, NULL);
  cli_complain ("%s", text);
  if (code == WARREN_EXIT_NO_SERVICE)
    g_printerr ("%s\n", _ ("Start it with: sudo systemctl start warrend"));
  return code;
}

WarrenExitCode
cli_fail_problem (const char *code, const char *server_text, const char *server)
{
  const WarrenProblemInfo *info = warren_problem_info (code);
  g_autofree char *meaning = warren_problem_meaning (code, server);
  g_autofree char *advice = warren_problem_advice (code, server);

  if (server_text != NULL && *server_text != '\0')
    cli_complain ("%s (%s)\n%s", meaning, server_text, advice);
  else
    cli_complain ("%s\n%s", meaning, advice);
  return info != NULL ? info->exit_code : WARREN_EXIT_FAILED;
}

static int
compare_devices (gconstpointer a, gconstpointer b)
{
  return warren_device_compare (*(WarrenDevice *const *)a, *(WarrenDevice *const *)b);
}

GPtrArray *
cli_list_devices (WarrenSession *session, GError **error)
{
  g_autoptr (GPtrArray) devices = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GVariant) rows = NULL;
  WarrenBusPeers *peers = warren_session_get_peers (session);
  gsize n;

  if (!warren_bus_peers_call_subscribe_sync (peers, 0, CLI_CALL_FLAGS, CLI_CALL_TIMEOUT, NULL, NULL,
                                             &rows, NULL, NULL, error))
    return NULL;
  warren_bus_peers_call_unsubscribe (peers, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  n = g_variant_n_children (rows);
  for (gsize i = 0; i < n; i++) {
    g_autoptr (GVariant) row = g_variant_get_child_value (rows, i);

    g_ptr_array_add (devices, warren_device_new (row));
  }
  g_ptr_array_sort (devices, compare_devices);
  return g_steal_pointer (&devices);
}

static gboolean
device_is (WarrenDevice *device, const char *word)
{
  g_auto (GStrv) addresses = warren_device_dup_addresses (device);
  g_autofree char *dotless = g_strdup (word);

  if (g_str_has_suffix (dotless, "."))
    dotless[strlen (dotless) - 1] = '\0';
  return g_strv_contains ((const char *const *)addresses, word)
         || g_ascii_strcasecmp (warren_device_get_name (device), dotless) == 0
         || g_ascii_strcasecmp (warren_device_get_fqdn (device), dotless) == 0
         || g_str_equal (warren_device_get_id (device), word);
}

WarrenDevice *
cli_find_device (WarrenSession *session, const char *word, GError **error)
{
  g_autoptr (GPtrArray) devices = cli_list_devices (session, error);
  WarrenDevice *found = NULL;

  if (devices == NULL)
    return NULL;
  for (guint i = 0; i < devices->len; i++) {
    if (!device_is (devices->pdata[i], word))
      continue;
    if (found != NULL) {
      g_set_error (error, WARREN_ERROR, WARREN_ERROR_INVALID_ARGUMENT,
                   _ ("more than one device is called “%s”; use its address"), word);
      return NULL;
    }
    found = devices->pdata[i];
  }
  if (found == NULL)
    g_set_error (error, WARREN_ERROR, WARREN_ERROR_NOT_FOUND, _ ("no device is called “%s”"), word);
  return found != NULL ? g_object_ref (found) : NULL;
}

char *
cli_read_value (const char *value, GError **error)
{
  char *content;

  if (!g_str_has_prefix (value, "file:"))
    return g_strdup (value);
  if (!g_file_get_contents (value + strlen ("file:"), &content, NULL, error))
    return NULL;
  return g_strstrip (content);
}

char *
cli_resolve_exit_node (WarrenSession *session, const char *word, GError **error)
{
  g_autoptr (WarrenDevice) device = NULL;
  g_autoptr (GError) why = NULL;

  if (*word == '\0' || g_str_equal (word, "auto:any"))
    return g_strdup (word);
  device = cli_find_device (session, word, &why);
  if (device == NULL && g_hostname_is_ip_address (word))
    return g_strdup (word); /* known once the device list is there */
  if (device == NULL) {
    g_propagate_error (error, g_steal_pointer (&why));
    return NULL;
  }
  if ((warren_device_get_flags (device) & WARREN_DEVICE_EXIT_CAPABLE) == 0) {
    g_set_error (error, WARREN_ERROR, WARREN_ERROR_INVALID_ARGUMENT,
                 _ ("“%s” does not offer to be an exit node"), word);
    return NULL;
  }
  return g_strdup (warren_device_get_id (device));
}

char *
cli_json_quote (const char *text)
{
  GString *out = g_string_new ("\"");

  for (const char *p = text; *p != '\0'; p++) {
    if (*p == '"' || *p == '\\')
      g_string_append_c (out, '\\');
    if ((guchar)*p < 0x20)
      g_string_append_printf (out, "\\u%04x", (guint)(guchar)*p);
    else
      g_string_append_c (out, *p);
  }
  g_string_append_c (out, '"');
  return g_string_free (out, FALSE);
}
