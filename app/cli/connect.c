/* up, login, down and logout: the wish, then the wait until it has come true.
 * spec/local-services.md §4.3; DESIGN: another server is another profile. */
#include "cli/qr-text.h"
#include "cli/settings.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define DEFAULT_SERVER "https://controlplane.tailscale.com"

#define SIGN_IN_FLAGS                                                                              \
  {"auth-key", FLAG_TEXT, "KEY", NULL,                                                             \
   N_ ("sign in with this key instead of a browser; file:PATH reads it from a file")},             \
      {"login-server", FLAG_TEXT, "URL", NULL, N_ ("address of the coordination server")},         \
      {"qr", FLAG_SWITCH, NULL, NULL, N_ ("show the sign-in link as a QR code, too")},             \
  {                                                                                                \
    "timeout", FLAG_DURATION, "TIME", "0s", N_ ("give up after this time; 0s waits for ever")      \
  }

static const FlagSpec up_flags[] = {
    SETTING_FLAGS,
    SIGN_IN_FLAGS,
    {"force-reauth", FLAG_SWITCH, NULL, NULL,
     N_ ("sign in again although the sign-in still holds")},
    {"json", FLAG_SWITCH, NULL, NULL, N_ ("print what happens as JSON")},
    {"reset", FLAG_SWITCH, NULL, NULL, N_ ("set everything that is not named to its default")},
    {NULL},
};

static const FlagSpec login_flags[] = {SETTING_FLAGS, SIGN_IN_FLAGS, {NULL}};
static const FlagSpec no_flags[] = {{NULL}};

typedef struct
{
  Cli *cli;
  const Flags *flags;
  char *key; /* of --auth-key, or NULL */
  gboolean json;
  gint64 deadline;
  char *shown_url;   /* the link that was printed */
  char *old_key;     /* node key before a renewal that was asked for, else NULL */
  char *old_problem; /* from before our calls: not an answer to them */
  gboolean said_approval;
  gboolean said_problem;
  gboolean asked_login;
} Wait;

static void
wait_clear (Wait *w)
{
  g_free (w->key);
  g_free (w->shown_url);
  g_free (w->old_key);
  g_free (w->old_problem);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Wait, wait_clear)

static char *
normal_url (const char *url)
{
  g_autofree char *lower = g_ascii_strdown (url != NULL && *url != '\0' ? url : DEFAULT_SERVER, -1);
  gsize n = strlen (lower);

  while (n > 0 && lower[n - 1] == '/')
    lower[--n] = '\0';
  return g_steal_pointer (&lower);
}

static gboolean
serves (WarrenSession *session, const char *url)
{
  g_autofree char *a = normal_url (url);
  g_autofree char *b = normal_url (warren_session_get_server_url (session));

  return g_str_equal (a, b);
}

static char *
problem_mark (WarrenSession *session)
{
  GVariant *problem = warren_bus_session_get_problem (warren_session_get_bus (session));

  return problem != NULL ? g_variant_print (problem, FALSE) : g_strdup ("");
}

/* --- getting hold of the session that is meant --------------------------------------------------
 */

static GVariant *
session_options (const Flags *flags, const char *key)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_auto (GVariantDict) preferences = G_VARIANT_DICT_INIT (NULL);

  cli_settings_collect (flags, FALSE, &preferences);
  if (key != NULL)
    g_variant_dict_insert (&options, "AuthKey", "s", key);
  if (flags_is_given (flags, "hostname"))
    g_variant_dict_insert (&options, "Hostname", "s", flags_get_text (flags, "hostname"));
  g_variant_dict_insert_value (&options, "Preferences", g_variant_dict_end (&preferences));
  return g_variant_dict_end (&options);
}

static WarrenExitCode
create_session (Cli *cli, const Flags *flags, const char *key, char **path)
{
  const char *url = flags_get_text (flags, "login-server");
  g_autoptr (GError) error = NULL;

  cli_prepare_password (cli);
  if (warren_bus_manager_call_create_session_sync (
          warren_client_get_manager (cli->client), url != NULL ? url : "",
          session_options (flags, key), CLI_CALL_FLAGS, CLI_CALL_TIMEOUT, path, NULL, &error))
    return WARREN_EXIT_OK;
  return cli_fail (cli, error, "profile");
}

static WarrenSession *
find_session_for (Cli *cli, const char *url)
{
  WarrenSession *active = warren_client_get_session (cli->client);
  GPtrArray *sessions = warren_client_get_sessions (cli->client);

  if (active != NULL && (url == NULL || serves (active, url)))
    return active;
  for (guint i = 0; url != NULL && i < sessions->len; i++)
    if (serves (sessions->pdata[i], url))
      return sessions->pdata[i];
  return NULL;
}

/* The active session may still be on its way to us. */
static WarrenSession *
wait_for_active (Cli *cli, const char *path)
{
  for (;;) {
    WarrenSession *session = warren_client_get_session (cli->client);

    if (session != NULL && g_str_equal (warren_session_get_path (session), path))
      return session;
    if (warren_client_get_manager (cli->client) == NULL)
      return NULL;
    cli_wait (0);
  }
}

static WarrenExitCode
activate (Cli *cli, WarrenSession *session)
{
  g_autoptr (GError) error = NULL;

  if (session == warren_client_get_session (cli->client))
    return WARREN_EXIT_OK;
  cli_prepare_password (cli);
  if (warren_bus_manager_call_activate_session_sync (
          warren_client_get_manager (cli->client), warren_session_get_path (session),
          CLI_CALL_FLAGS, CLI_CALL_TIMEOUT, NULL, &error))
    return WARREN_EXIT_OK;
  return cli_fail (cli, error, "profile");
}

static WarrenExitCode
ask_login (Cli *cli, WarrenSession *session, const char *key, gboolean force)
{
  g_autoptr (GError) error = NULL;
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);

  if (key != NULL)
    g_variant_dict_insert (&options, "AuthKey", "s", key);
  if (force)
    g_variant_dict_insert (&options, "Force", "b", TRUE);
  cli_prepare_password (cli);
  if (warren_bus_session_call_login_sync (warren_session_get_bus (session),
                                          g_variant_dict_end (&options), CLI_CALL_FLAGS,
                                          CLI_CALL_TIMEOUT, NULL, &error))
    return WARREN_EXIT_OK;
  return cli_fail (cli, error, "profile");
}

static WarrenExitCode
ask_connect (Cli *cli, WarrenSession *session)
{
  g_autoptr (GError) error = NULL;

  cli_prepare_password (cli);
  if (warren_bus_session_call_connect_sync (warren_session_get_bus (session), CLI_CALL_FLAGS,
                                            CLI_CALL_TIMEOUT, NULL, &error))
    return WARREN_EXIT_OK;
  return cli_fail (cli, error, "connect");
}

/* --- waiting ------------------------------------------------------------------------------------
 */

static void
show_link (Wait *w, WarrenSession *session)
{
  g_autofree char *url = NULL;
  g_autofree char *quoted = NULL;

  if (w->shown_url != NULL
      || !warren_bus_session_call_get_login_url_sync (
          warren_session_get_bus (session), CLI_CALL_FLAGS, CLI_CALL_TIMEOUT, &url, NULL, NULL))
    return;
  w->shown_url = g_strdup (url);
  if (w->json) {
    quoted = cli_json_quote (url);
    g_print ("{\n  \"AuthURL\": %s,\n  \"BackendState\": \"NeedsLogin\"\n}\n", quoted);
    return;
  }
  g_printerr ("\nTo authenticate, visit:\n\n\t%s\n\n", url);
  if (flags_get_switch (w->flags, "qr")) {
    g_autofree char *qr = qr_text (url);

    g_printerr ("%s\n", qr);
  }
}

static void
show_approval (Wait *w, WarrenSession *session)
{
  const char *url = warren_bus_session_get_approval_url (warren_session_get_bus (session));

  if (w->said_approval)
    return;
  w->said_approval = TRUE;
  if (url == NULL || *url == '\0')
    url = warren_bus_session_get_admin_url (warren_session_get_bus (session));
  g_printerr ("\nTo approve your machine, visit (as admin):\n\n\t%s\n\n", url != NULL ? url : "");
}

/* A problem that the daemon goes on working at is told once; one that waits for the user ends us.
 */
static gboolean
look_at_problem (Wait *w, WarrenSession *session, WarrenExitCode *code)
{
  const char *text;
  const char *problem = warren_session_get_problem (session, &text);
  g_autofree char *mark = problem_mark (session);
  g_autofree char *host = warren_session_dup_server_host (session);
  const WarrenProblemInfo *info = warren_problem_info (problem);
  const char *state = warren_session_get_state (session);
  gboolean final = g_str_equal (state, "error") || g_str_equal (state, "needs-login");

  if (*problem == '\0' || g_str_equal (mark, w->old_problem)
      || warren_session_get_login_pending (session))
    return FALSE;
  if (final && info != NULL && info->needs_sign_in && !w->asked_login) {
    w->asked_login = TRUE; /* the sign-in of old is void: the server wants a new one */
    *code = ask_login (w->cli, session, w->key, FALSE);
    return *code != WARREN_EXIT_OK;
  }
  if (final) {
    *code = cli_fail_problem (problem, text, host);
    return TRUE;
  }
  if (!w->said_problem)
    cli_fail_problem (problem, text, host);
  w->said_problem = TRUE;
  return FALSE;
}

/* A renewal leaves the old sign-in running until the new one holds: that shows in the node key. */
static gboolean
is_renewed (Wait *w, WarrenSession *session)
{
  g_autofree char *key = warren_session_dup_self_string (session, "NodeKey");

  return w->old_key == NULL || g_strcmp0 (w->old_key, key) != 0;
}

static gboolean
look (Wait *w, WarrenSession *session, WarrenExitCode *code)
{
  const char *state = warren_session_get_state (session);

  if (g_str_equal (state, "running") && is_renewed (w, session)
      && (w->shown_url == NULL || !warren_session_get_login_pending (session))) {
    *code = WARREN_EXIT_OK;
    return TRUE;
  }
  if (look_at_problem (w, session, code))
    return TRUE;
  if (warren_session_get_login_pending (session)) {
    w->asked_login = TRUE;
    show_link (w, session);
  } else if (g_str_equal (state, "needs-login") && !w->asked_login) {
    w->asked_login = TRUE;
    *code = ask_login (w->cli, session, w->key, FALSE);
    return *code != WARREN_EXIT_OK;
  } else if (g_str_equal (state, "needs-approval")) {
    show_approval (w, session);
  }
  return FALSE;
}

static WarrenExitCode
wait_until_running (Wait *w, const char *path)
{
  WarrenExitCode code = WARREN_EXIT_FAILED;

  for (;;) {
    WarrenSession *session = wait_for_active (w->cli, path);

    if (session == NULL) {
      cli_complain ("%s", _ ("the Warren service stopped."));
      return WARREN_EXIT_NO_SERVICE;
    }
    if (look (w, session, &code))
      break;
    if (!cli_wait (w->deadline)) {
      cli_complain ("%s", _ ("not connected in time."));
      return WARREN_EXIT_FAILED;
    }
  }
  if (code == WARREN_EXIT_OK && w->json)
    g_print ("{\n  \"BackendState\": \"Running\"\n}\n");
  else if (code == WARREN_EXIT_OK && w->shown_url != NULL)
    g_printerr ("Success.\n");
  return code;
}

static gboolean
waits_for_sign_in (WarrenSession *session)
{
  return g_str_equal (warren_session_get_state (session), "needs-login");
}

/* --- up and login -------------------------------------------------------------------------------
 */

/* A session that exists: settings, sign-in if asked for, then the wish. */
static WarrenExitCode
take_up (Wait *w, WarrenSession *session, gboolean force, gboolean reset)
{
  gboolean late_exit_node = flags_is_given (w->flags, "exit-node")
                            && !g_str_equal (warren_session_get_state (session), "running");
  g_autofree char *path = g_strdup (warren_session_get_path (session));
  WarrenExitCode code = activate (w->cli, session);

  if (code == WARREN_EXIT_OK && !late_exit_node)
    code = cli_settings_apply (w->cli, session, w->flags, reset);
  w->old_problem = problem_mark (session);
  if (code == WARREN_EXIT_OK && (force || (w->key != NULL && waits_for_sign_in (session)))) {
    w->asked_login = TRUE;
    if (force && g_str_equal (warren_session_get_state (session), "running"))
      w->old_key = warren_session_dup_self_string (session, "NodeKey");
    code = ask_login (w->cli, session, w->key, force);
  }
  if (code == WARREN_EXIT_OK)
    code = ask_connect (w->cli, session);
  if (code == WARREN_EXIT_OK)
    code = wait_until_running (w, path);
  if (code == WARREN_EXIT_OK && late_exit_node)
    code = cli_settings_apply (w->cli, warren_client_get_session (w->cli->client), w->flags, reset);
  return code;
}

static WarrenExitCode
make_new (Wait *w)
{
  g_autofree char *path = NULL;
  WarrenExitCode code = create_session (w->cli, w->flags, w->key, &path);

  w->old_problem = g_strdup ("");
  w->asked_login = TRUE; /* CreateSession signs in by itself */
  if (code == WARREN_EXIT_OK)
    code = wait_until_running (w, path);
  if (code == WARREN_EXIT_OK && flags_is_given (w->flags, "exit-node"))
    code = cli_settings_apply (w->cli, warren_client_get_session (w->cli->client), w->flags, FALSE);
  return code;
}

static gboolean
wait_init (Wait *w, Cli *cli, const Flags *flags)
{
  gint64 timeout_ms = flags_get_duration_ms (flags, "timeout");
  g_autoptr (GError) error = NULL;

  *w = (Wait){.cli = cli, .flags = flags};
  if (timeout_ms > 0)
    w->deadline = g_get_monotonic_time () + timeout_ms * 1000;
  if (!flags_is_given (flags, "auth-key"))
    return TRUE;
  w->key = cli_read_value (flags_get_text (flags, "auth-key"), &error);
  if (w->key == NULL)
    cli_complain ("%s", error->message);
  return w->key != NULL;
}

static WarrenExitCode
run_up (Cli *cli, const Flags *flags)
{
  g_auto (Wait) w = {0};
  WarrenSession *session;

  if (!wait_init (&w, cli, flags))
    return WARREN_EXIT_FAILED;
  w.json = flags_get_switch (flags, "json");
  if (!cli_open (cli))
    return WARREN_EXIT_NO_SERVICE;
  session = find_session_for (cli, flags_get_text (flags, "login-server"));
  if (session == NULL)
    return make_new (&w);
  return take_up (&w, session, flags_get_switch (flags, "force-reauth"),
                  flags_get_switch (flags, "reset"));
}

/* Another account beside those that are signed in, unless one waits for just that. */
static WarrenExitCode
run_login (Cli *cli, const Flags *flags)
{
  g_auto (Wait) w = {0};
  WarrenSession *session;

  if (!wait_init (&w, cli, flags))
    return WARREN_EXIT_FAILED;
  if (!cli_open (cli))
    return WARREN_EXIT_NO_SERVICE;
  session = find_session_for (cli, flags_get_text (flags, "login-server"));
  if (session == NULL || !waits_for_sign_in (session))
    return make_new (&w);
  return take_up (&w, session, FALSE, FALSE);
}

/* --- down and logout ----------------------------------------------------------------------------
 */

static WarrenExitCode
run_down (Cli *cli, const Flags *flags)
{
  WarrenExitCode code = WARREN_EXIT_OK;
  WarrenSession *session;
  g_autoptr (GError) error = NULL;

  if (!cli_open (cli))
    return WARREN_EXIT_NO_SERVICE;
  session = warren_client_get_session (cli->client);
  if (session == NULL || !warren_session_get_wanted (session)) {
    g_printerr ("Warren was already stopped.\n");
    return WARREN_EXIT_OK;
  }
  cli_prepare_password (cli);
  if (!warren_bus_session_call_disconnect_sync (warren_session_get_bus (session), CLI_CALL_FLAGS,
                                                CLI_CALL_TIMEOUT, NULL, &error))
    code = cli_fail (cli, error, "connect");
  return code;
}

static WarrenExitCode
run_logout (Cli *cli, const Flags *flags)
{
  WarrenExitCode code;
  WarrenSession *session = cli_open_session (cli, &code);
  g_autoptr (GError) error = NULL;

  if (session == NULL)
    return code;
  cli_prepare_password (cli);
  if (warren_bus_session_call_logout_sync (warren_session_get_bus (session), CLI_CALL_FLAGS,
                                           CLI_CALL_TIMEOUT, NULL, &error))
    return WARREN_EXIT_OK;
  return cli_fail (cli, error, "profile");
}

const Command cli_up_command
    = {"up", "", N_ ("connect, and sign in if that is needed"), up_flags, 0, run_up};
const Command cli_login_command
    = {"login", "", N_ ("sign in with another account or server"), login_flags, 0, run_login};
const Command cli_down_command = {"down", "", N_ ("disconnect"), no_flags, 0, run_down};
const Command cli_logout_command
    = {"logout", "", N_ ("sign out and forget the keys of this device"), no_flags, 0, run_logout};
