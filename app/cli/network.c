/* network: a private network of this computer, over the bus; or, for a server without desktop, the
 * coordinator of --data-dir itself. spec/desktop.md §8.5, warren-coordinator(1).
 *
 * The words behind "network" are the coordinator's: only those that concern the daemon, or files of
 * the user, are understood here. */
#include "cli/cli.h"
#include "cli/qr-text.h"
#include "client/invite.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_NETWORK      WARREN_DAEMON_PATH "/Network"
#define INTERFACE         WARREN_DAEMON_NAME ".Network"
#define INPUT_MAX         (200 * 1024) /* bytes; the bus takes 256 KiB of arguments */
#define COORDINATOR       "warren-coordinator"
#define START_DEADLINE_MS 10000

static const FlagSpec network_flags[] = {
    {"data-dir", FLAG_TEXT, "DIR", NULL, N_ ("manage the server that keeps its data there")},
    {"config", FLAG_TEXT, "FILE", NULL, N_ ("manage the server with this configuration")},
    {"json", FLAG_SWITCH, NULL, NULL, N_ ("print the answer as JSON")},
    {"no-join", FLAG_SWITCH, NULL, NULL, N_ ("create: do not join this computer to the network")},
    {NULL},
};

/* ---- words ---- */

static gboolean
take_switch (GPtrArray *words, const char *name)
{
  for (guint i = 0; i + 1 < words->len; i++)
    if (g_str_equal (words->pdata[i], name)) {
      g_ptr_array_remove_index (words, i);
      return TRUE;
    }
  return FALSE;
}

static gboolean
has_word (char **words, const char *word)
{
  return g_strv_contains ((const char *const *)words, word);
}

/* What a command reads besides its words, as a file among them; the coordinator's table has the
 * same, and a test compares them. */
static const char *
file_of (GPtrArray *words)
{
  static const char *const readers[][2] = {{"policy", "set"}, {"policy", "check"}, {"derp", "set"}};
  const char *plain[3] = {NULL};
  guint n = 0;

  for (guint i = 0; i + 1 < words->len && n < 3; i++)
    if (!g_str_has_prefix (words->pdata[i], "--"))
      plain[n++] = words->pdata[i];
  for (gsize i = 0; n >= 2 && i < G_N_ELEMENTS (readers); i++)
    if (g_str_equal (plain[0], readers[i][0]) && g_str_equal (plain[1], readers[i][1]))
      return plain[2] != NULL ? plain[2] : "-";
  if (n >= 2 && g_str_equal (plain[0], "users") && g_str_equal (plain[1], "password"))
    return "-";
  return NULL;
}

static char *
read_input (const char *path)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *block = g_malloc (INPUT_MAX + 1);
  int fd = g_str_equal (path, "-") ? dup (STDIN_FILENO) : g_open (path, O_RDONLY | O_CLOEXEC, 0);
  ssize_t n = 0;

  while (fd >= 0 && text->len <= INPUT_MAX && (n = read (fd, block, INPUT_MAX)) > 0)
    g_string_append_len (text, block, n);
  int reason = errno;
  if (fd >= 0)
    close (fd);
  if (fd < 0 || n < 0)
    cli_complain ("%s: %s", path, g_strerror (reason));
  else if (text->len > INPUT_MAX || !g_utf8_validate (text->str, (gssize)text->len, NULL))
    cli_complain (_ ("%s is too large, or no text"), path);
  else
    return g_string_free (g_steal_pointer (&text), FALSE);
  return NULL;
}

/* ---- the bus ---- */

static GVariant *
call_bus (Cli *cli, const char *path, const char *interface, const char *method, GVariant *args,
          GUnixFDList **fds, WarrenExitCode *code)
{
  GDBusConnection *connection = warren_client_get_connection (cli->client);
  GVariant *reply;
  g_autoptr (GError) error = NULL;

  cli_prepare_password (cli);
  reply = g_dbus_connection_call_with_unix_fd_list_sync (connection, WARREN_DAEMON_NAME, path,
                                                         interface, method, args, NULL,
                                                         CLI_CALL_FLAGS, CLI_CALL_TIMEOUT, NULL,
                                                         fds, NULL, &error);
  *code = reply != NULL ? WARREN_EXIT_OK : cli_fail (cli, error, "serve");
  return reply;
}

static gboolean
network_is_here (Cli *cli)
{
  const char *path = warren_bus_manager_get_network (warren_client_get_manager (cli->client));

  return path != NULL && !g_str_equal (path, "/");
}

static WarrenExitCode
call_plain (Cli *cli, const char *method)
{
  WarrenExitCode code;
  g_autoptr (GVariant) reply = call_bus (cli, PATH_NETWORK, INTERFACE, method, NULL, NULL, &code);

  return code;
}

/* The output of a command, or NULL with *CODE and an error line. */
static char *
run_words (Cli *cli, char **words, const char *input, WarrenExitCode *code)
{
  char *output = NULL;
  int result;
  g_autoptr (GVariant) reply
      = call_bus (cli, PATH_NETWORK, INTERFACE, "RunCommand",
                  g_variant_new ("(^ass)", words, input != NULL ? input : ""), NULL, code);

  if (reply == NULL)
    return NULL;
  g_variant_get (reply, "(is)", &result, &output);
  *code = (WarrenExitCode)result;
  if (result == 0 || *output == '{')
    return output;
  g_printerr ("%s", output);
  g_free (output);
  return NULL;
}

static WarrenExitCode
print_words (Cli *cli, GPtrArray *words)
{
  const char *file = file_of (words);
  g_autofree char *input = file != NULL ? read_input (file) : NULL;
  g_autofree char *output = NULL;
  WarrenExitCode code;

  if (file != NULL && input == NULL)
    return WARREN_EXIT_USAGE;
  output = run_words (cli, (char **)words->pdata, input, &code);
  if (output != NULL)
    g_print ("%s", output);
  return code;
}

/* ---- invite ---- */

static char *
dup_url (Cli *cli)
{
  GDBusConnection *connection = warren_client_get_connection (cli->client);
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
      connection, WARREN_DAEMON_NAME, PATH_NETWORK, "org.freedesktop.DBus.Properties", "Get",
      g_variant_new ("(ss)", INTERFACE, "Url"), G_VARIANT_TYPE ("(v)"), G_DBUS_CALL_FLAGS_NONE, -1,
      NULL, NULL);
  g_autoptr (GVariant) value = NULL;

  if (reply != NULL)
    g_variant_get (reply, "(v)", &value);
  return value != NULL ? g_variant_dup_string (value, NULL) : g_strdup ("");
}

static char *
create_key (Cli *cli, GPtrArray *options, WarrenExitCode *code)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  char *key;

  g_ptr_array_add (words, (char *)"keys");
  g_ptr_array_add (words, (char *)"create");
  for (guint i = 0; options != NULL && i < options->len; i++)
    if (options->pdata[i] != NULL)
      g_ptr_array_add (words, options->pdata[i]);
  if (options == NULL)
    g_ptr_array_add (words, (char *)"--expires=1d");
  g_ptr_array_add (words, NULL);
  key = run_words (cli, (char **)words->pdata, NULL, code);
  return key != NULL ? g_strchomp (key) : NULL;
}

static void
print_invite (const char *url, const char *key, gboolean json)
{
  g_autofree char *link = warren_invite_format (url, key);

  if (json) {
    g_autofree char *url_text = cli_json_quote (url), *key_text = cli_json_quote (key);
    g_autofree char *link_text = cli_json_quote (link);
    g_print ("{\"url\":%s,\"key\":%s,\"link\":%s}\n", url_text, key_text, link_text);
    return;
  }
  g_print (_ ("On another device, open this link with Warren:\n\n\t%s\n\n"
              "Or connect it by hand:\n\n\twarren up --login-server=%s --auth-key=%s\n\n"),
           link, url, key);
  if (isatty (STDOUT_FILENO)) {
    g_autofree char *qr = qr_text (link);
    g_print ("%s\n", qr);
  }
}

static WarrenExitCode
invite (Cli *cli, GPtrArray *words)
{
  gboolean json = take_switch (words, "--json");
  g_autofree char *url = dup_url (cli);
  g_autofree char *key = NULL;
  WarrenExitCode code;

  g_ptr_array_remove_index (words, 0);
  key = create_key (cli, words->len > 1 ? words : NULL, &code);
  if (key != NULL)
    print_invite (url, key, json);
  return code;
}

/* ---- create ---- */

/* "--name=home" or "--name home" as the options of CreateNetwork. */
static gboolean
read_options (GPtrArray *words, GVariantDict *options)
{
  static const struct
  {
    const char *word, *key;
  } known[] = {
      {"--name", "Name"},          {"--domain", "Domain"},
      {"--prefix4", "Prefix4"},    {"--prefix6", "Prefix6"},
      {"--url", "PublicUrl"},      {"--listen", "Listen"},
      {"--relay-url", "RelayUrl"}, {"--relay-listen", "RelayListen"},
  };

  for (guint i = 1; i + 1 < words->len; i++) {
    const char *word = words->pdata[i];
    const char *equals = strchr (word, '=');
    gsize n = equals != NULL ? (gsize)(equals - word) : strlen (word);
    const char *key = NULL;

    for (gsize k = 0; k < G_N_ELEMENTS (known); k++)
      if (strlen (known[k].word) == n && strncmp (known[k].word, word, n) == 0)
        key = known[k].key;
    if (key == NULL || (equals == NULL && words->pdata[i + 1] == NULL)) {
      cli_complain (key == NULL ? _ ("unknown flag: %s") : _ ("flag needs a value: %s"), word);
      return FALSE;
    }
    g_variant_dict_insert (options, key, "s", equals != NULL ? equals + 1 : words->pdata[++i]);
  }
  return TRUE;
}

/* This computer becomes a device of the network, as by `warren up`. */
static WarrenExitCode
join (Cli *cli, const char *url, const char *key)
{
  g_autofree char *server = g_strdup_printf ("--login-server=%s", url);
  g_autofree char *auth_key = g_strdup_printf ("--auth-key=%s", key);
  char *args[] = {server, auth_key, (char *)"--timeout=60s", NULL};
  g_autoptr (GError) error = NULL;
  g_autoptr (Flags) flags = flags_parse (cli_up_command.flags, args, &error);

  return flags != NULL ? cli_up_command.run (cli, flags) : WARREN_EXIT_FAILED;
}

static WarrenExitCode
create (Cli *cli, GPtrArray *words)
{
  gboolean joins = !take_switch (words, "--no-join"), json = take_switch (words, "--json");
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autofree char *url = NULL, *key = NULL, *next = NULL;
  g_autoptr (GVariant) reply = NULL;
  WarrenExitCode code;

  if (!read_options (words, &options))
    return WARREN_EXIT_USAGE;
  reply = call_bus (cli, WARREN_DAEMON_PATH "/Manager", WARREN_DAEMON_NAME ".Manager",
                    "CreateNetwork", g_variant_new ("(@a{sv})", g_variant_dict_end (&options)),
                    NULL, &code);
  if (reply == NULL)
    return code;
  url = dup_url (cli);
  if (!json)
    g_print (_ ("Your private network runs at %s.\n"), url);
  if (joins) {
    key = create_key (cli, NULL, &code);
    code = key != NULL ? join (cli, url, key) : code;
    if (code == WARREN_EXIT_OK && !json)
      g_print ("%s\n", _ ("This computer has joined it."));
  }
  if (code != WARREN_EXIT_OK)
    return code;
  next = create_key (cli, NULL, &code);
  if (next != NULL)
    print_invite (url, next, json);
  return code;
}

/* ---- backup ---- */

static gboolean
copy_to (int in, int out)
{
  char block[65536];
  ssize_t n;

  while ((n = read (in, block, sizeof block)) > 0)
    for (ssize_t done = 0, w; done < n; done += w)
      if ((w = write (out, block + done, (size_t)(n - done))) < 0)
        return FALSE;
  return n == 0 && fsync (out) == 0;
}

static WarrenExitCode
backup (Cli *cli, const char *path)
{
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) reply = NULL;
  WarrenExitCode code;
  int in, out;

  if (path == NULL) {
    cli_complain ("%s", _ ("backup needs a file."));
    return WARREN_EXIT_USAGE;
  }
  out = g_open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (out < 0) {
    cli_complain ("%s: %s", path, g_strerror (errno));
    return WARREN_EXIT_FAILED;
  }
  reply = call_bus (cli, PATH_NETWORK, INTERFACE, "Backup", NULL, &fds, &code);
  in = reply != NULL ? g_unix_fd_list_get (fds, 0, NULL) : -1;
  if (in >= 0 && !copy_to (in, out)) {
    cli_complain ("%s: %s", path, g_strerror (errno));
    code = WARREN_EXIT_FAILED;
  }
  if (in >= 0)
    close (in);
  close (out);
  if (code != WARREN_EXIT_OK)
    g_unlink (path);
  return code;
}

/* ---- without the bus ---- */

/* The coordinator's program, beside this one or in the path. Free with g_free. */
static char *
coordinator_program (void)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = self != NULL ? g_path_get_dirname (self) : NULL;
  g_autofree char *beside = folder != NULL ? g_build_filename (folder, COORDINATOR, NULL) : NULL;

  if (beside != NULL && g_access (beside, X_OK) == 0)
    return g_steal_pointer (&beside);
  return g_strdup (COORDINATOR);
}

static void
leave_terminal (gpointer data)
{
  setsid ();
}

/* A server in the background; there when this returns. */
static WarrenExitCode
start_server (const char *program, const char *place)
{
  const char *const serve[] = {program, "serve", place, NULL};
  const char *const status[] = {program, place, "status", NULL};
  GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL;
  gint64 deadline = g_get_monotonic_time () + START_DEADLINE_MS * 1000;
  g_autoptr (GError) error = NULL;
  int code = -1;
  GPid pid;

  if (!g_spawn_async (NULL, (char **)serve, NULL,
                      flags | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL,
                      leave_terminal, NULL, &pid, &error)) {
    cli_complain ("%s", error->message);
    return WARREN_EXIT_FAILED;
  }
  while (code != 0 && g_get_monotonic_time () < deadline && waitpid (pid, NULL, WNOHANG) == 0) {
    g_usleep (50 * 1000);
    g_spawn_sync (NULL, (char **)status, NULL, flags | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL,
                  NULL, &code, NULL);
  }
  if (code == 0)
    return WARREN_EXIT_OK;
  cli_complain (_ ("the server ended; see why with: %s serve %s"), program, place);
  return WARREN_EXIT_FAILED;
}

/* Becomes the coordinator's own command. */
static WarrenExitCode
run_directly (const char *place, GPtrArray *words)
{
  g_autofree char *program = coordinator_program ();
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();

  if (g_str_equal (words->pdata[0], "start"))
    return start_server (program, place);
  g_ptr_array_add (argv, program);
  g_ptr_array_add (argv, (char *)place);
  for (guint i = 0; i < words->len; i++)
    g_ptr_array_add (argv, words->pdata[i]);
  execvp (program, (char **)argv->pdata);
  cli_complain ("%s: %s", program, g_strerror (errno));
  return WARREN_EXIT_FAILED;
}

/* Takes "--data-dir DIR" or "--config FILE" out of WORDS; NULL without. Free with g_free. */
static char *
take_place (GPtrArray *words)
{
  static const char *const names[] = {"--data-dir", "--config"};

  for (guint i = 0; i + 1 < words->len; i++)
    for (gsize k = 0; k < G_N_ELEMENTS (names); k++) {
      const char *word = words->pdata[i], *value = NULL;
      gsize n = strlen (names[k]);

      if (strncmp (word, names[k], n) != 0 || (word[n] != '=' && word[n] != '\0'))
        continue;
      value = word[n] == '=' ? word + n + 1 : words->pdata[i + 1];
      if (word[n] == '\0' && value != NULL)
        g_ptr_array_remove_index (words, i + 1);
      g_ptr_array_remove_index (words, i);
      return g_strdup_printf ("%s=%s", names[k], value != NULL ? value : "");
    }
  return NULL;
}

/* ---- network ---- */

static WarrenExitCode
without_network (GPtrArray *words)
{
  if (g_str_equal (words->pdata[0], "status") && has_word ((char **)words->pdata, "--json")) {
    g_print ("{\"exists\":false}\n");
    return WARREN_EXIT_OK;
  }
  cli_complain ("%s", _ ("this computer runs no private network. Make one with:\n"
                         "warren network create"));
  return WARREN_EXIT_FAILED;
}

static WarrenExitCode
run_network (Cli *cli, char **args)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autofree char *place = NULL;
  const char *verb;

  for (; *args != NULL; args++)
    g_ptr_array_add (words, *args);
  g_ptr_array_add (words, NULL);
  place = take_place (words);
  verb = words->pdata[0];
  if (verb == NULL) {
    g_printerr ("%s\n", _ ("See: warren network --help"));
    return WARREN_EXIT_USAGE;
  }
  if (place != NULL)
    return run_directly (place, words);
  if (!cli_open (cli))
    return WARREN_EXIT_NO_SERVICE;
  if (g_str_equal (verb, "create"))
    return create (cli, words);
  if (!network_is_here (cli))
    return without_network (words);
  if (g_str_equal (verb, "start"))
    return call_plain (cli, "Start");
  if (g_str_equal (verb, "stop"))
    return call_plain (cli, "Stop");
  if (g_str_equal (verb, "delete") && has_word ((char **)words->pdata, "--yes"))
    return call_plain (cli, "Delete");
  if (g_str_equal (verb, "delete")) {
    cli_complain ("%s", _ ("this ends the network for all of its devices; say it with --yes."));
    return WARREN_EXIT_USAGE;
  }
  if (g_str_equal (verb, "invite"))
    return invite (cli, words);
  if (g_str_equal (verb, "backup"))
    return backup (cli, words->pdata[1]);
  if (g_str_equal (verb, "restore")) {
    cli_complain ("%s", _ ("stop the network, then restore with: warren network --data-dir=DIR "
                           "restore FILE"));
    return WARREN_EXIT_FAILED;
  }
  return print_words (cli, words);
}

const Command cli_network_command = {
    .name = "network",
    .arguments = "create|start|stop|status|invite|nodes|approve|… [WORDS]",
    .summary = N_ ("run a private network on this computer, and manage it"),
    .flags = network_flags,
    .run_words = run_network,
};
