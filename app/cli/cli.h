/* What every command of `warren` shares: the daemon, the password agent, waiting, error lines and
 * exit codes. spec/local-services.md §4.1, spec/desktop.md §8.6.
 *
 * A command is one function and one table of flags; main.c finds it by name. The terminal has
 * nothing else to do meanwhile, so that calls here may block. */
#pragma once

#include "cli/flags.h"
#include "client/client.h"
#include "client/error.h"

#define CLI_CALL_FLAGS   G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION
#define CLI_CALL_TIMEOUT G_MAXINT

typedef struct
{
  const char *bus; /* --bus or NULL */
  char **argv;     /* the whole command line, for the line with sudo */
  gboolean ask_password;
  WarrenClient *client;
  GSubprocess *agent;
} Cli;

typedef struct
{
  const char *name;      /* NULL ends a list */
  const char *arguments; /* what --help shows after the name, or "" */
  const char *summary;   /* untranslated; one line */
  const FlagSpec *flags;
  guint max_arguments;
  WarrenExitCode (*run) (Cli *cli, const Flags *flags);
  WarrenExitCode (*run_words) (Cli *cli, char **args); /* instead of run: takes its flags itself */
} Command;

extern const Command cli_down_command;
extern const Command cli_exit_node_command;
extern const Command cli_get_command;
extern const Command cli_ip_command;
extern const Command cli_login_command;
extern const Command cli_logout_command;
extern const Command cli_netcheck_command;
extern const Command cli_network_command;
extern const Command cli_ping_command;
extern const Command cli_set_command;
extern const Command cli_status_command;
extern const Command cli_up_command;
extern const Command cli_version_command;
extern const Command cli_whois_command;

/* Finds the daemon, starting it through the bus if needed. FALSE after an error line. */
gboolean cli_open (Cli *cli);
void cli_close (Cli *cli);

/* Opens, and gives the active session; NULL after an error line, with *CODE set. */
WarrenSession *cli_open_session (Cli *cli, WarrenExitCode *code);

/* Before the first call that may ask for a password: an agent for this terminal. */
void cli_prepare_password (Cli *cli);

/* One line on stderr: "warren: …". */
void cli_complain (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* Says why a call failed and gives the exit code. ACTION is the polkit action's suffix. */
WarrenExitCode cli_fail (Cli *cli, const GError *error, const char *action);

/* Says what is wrong with the session and what to do, and gives the exit code of the problem. */
WarrenExitCode cli_fail_problem (const char *code, const char *server_text, const char *server);

/* Turns the main loop until something happens, or until DEADLINE (monotonic µs; 0 = none).
 * FALSE when the time is up. */
gboolean cli_wait (gint64 deadline);

/* A device of the session by address, name or FQDN: a row of Peers.Subscribe, or NULL with ERROR.
 */
WarrenDevice *cli_find_device (WarrenSession *session, const char *word, GError **error);

/* All devices, sorted by name; free with g_ptr_array_unref. NULL with ERROR. */
GPtrArray *cli_list_devices (WarrenSession *session, GError **error);

/* VALUE, or the content of FILE for "file:FILE", without white space around. NULL with ERROR. */
char *cli_read_value (const char *value, GError **error);

/* The node for SetPreferences of --exit-node=WORD: an id, an address, "" or "auto:any". */
char *cli_resolve_exit_node (WarrenSession *session, const char *word, GError **error);

/* JSON string with quotes. Free with g_free. */
char *cli_json_quote (const char *text);
