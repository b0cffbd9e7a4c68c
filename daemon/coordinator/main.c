/* warren-coordinator: options and words. */

#include "base/log.h"
#include "base/memory.h"
#include "coordinator/backup.h"
#include "coordinator/command.h"
#include "coordinator/policy-preview.h"
#include "coordinator/server-files.h"
#include "coordinator/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define INPUT_MAX  (4u << 20)

static const char help_head[]
    = "Usage: warren-coordinator serve [--config FILE] [--data-dir DIR] [SETTING…]\n"
      "       warren-coordinator [--config FILE] --data-dir DIR COMMAND…\n"
      "       warren-coordinator policy preview --policy FILE --nodes FILE\n"
      "       warren-coordinator policy check --policy FILE [--nodes FILE]\n";

static const char help_options[]
    = "\n"
      "  --config FILE         settings, see warren-coordinator.conf(5)\n"
      "  --data-dir DIR        database, keys and command socket\n"
      "  --idle                serve: without a network, wait until one is created\n"
      "  --json                an answer as JSON\n"
      "  --policy FILE         policy (HuJSON); - reads standard input\n"
      "  --nodes FILE          users and nodes (JSON)\n"
      "  -v, --verbose         log debug messages\n"
      "  --version             print the version\n"
      "  -h, --help            print this\n";

typedef struct
{
  const char *config, *policy, *nodes;
  bool idle;
  const char **settings; /* option and value by turns */
  unsigned n_settings;
  const char **words; /* the command and what is said with it */
  unsigned n_words;
} Line;

/* ---- help ---- */

static void
print_help (FILE *out)
{
  size_t n;
  const CommandRow *rows = command_table (&n);
  const ConfigKey *keys;

  fputs (help_head, out);
  fputs ("\nCommands:\n", out);
  for (size_t i = 0; i < n; i++)
    fprintf (out, "  %s%s%s%s%s\n      %s\n", rows[i].name, rows[i].arguments[0] ? " " : "",
             rows[i].arguments, rows[i].options[0] ? " " : "", rows[i].options, rows[i].summary);
  fputs (help_options, out);
  fputs ("\nSettings of serve:\n", out);
  keys = config_keys (&n);
  for (size_t i = 0; i < n; i++)
    fprintf (out, "  --%s\n", keys[i].option);
}

static int
usage (const char *reason)
{
  fprintf (stderr, "warren-coordinator: %s\nSee: warren-coordinator --help\n", reason);
  return EXIT_USAGE;
}

/* ---- options ---- */

/* The value of "--NAME VALUE" or "--NAME=VALUE" at ARGV[*I], NULL when it is another option. */
static const char *
value_of (char **argv, int *i, const char *name)
{
  size_t n = strlen (name);
  const char *word = argv[*i] + 2;

  if (strncmp (word, name, n) != 0 || (word[n] != '=' && word[n] != '\0'))
    return NULL;
  if (word[n] == '=')
    return word + n + 1;
  return argv[*i + 1] ? argv[++*i] : "";
}

static bool
take_setting (Line *line, char **argv, int *i)
{
  size_t n;
  const ConfigKey *keys = config_keys (&n);

  for (size_t k = 0; k < n; k++) {
    bool is_switch = keys[k].kind == CONFIG_SWITCH && strcmp (argv[*i] + 2, keys[k].option) == 0;
    const char *value = is_switch ? "true" : value_of (argv, i, keys[k].option);
    if (!value)
      continue;
    line->settings[line->n_settings++] = keys[k].option;
    line->settings[line->n_settings++] = value;
    return true;
  }
  return false;
}

/* Options of the program stand before a command; what follows the command is the command's, but for
 * "serve" and "policy", which take theirs behind them. False for a word that is not known. */
static bool
take_option (Line *line, char **argv, int *i)
{
  const char *value;

  if ((value = value_of (argv, i, "config")))
    line->config = value;
  else if ((value = value_of (argv, i, "policy")))
    line->policy = value;
  else if ((value = value_of (argv, i, "nodes")))
    line->nodes = value;
  else if (strcmp (argv[*i], "--idle") == 0)
    line->idle = true;
  else if (strcmp (argv[*i], "--verbose") == 0 || strcmp (argv[*i], "-v") == 0)
    log_set_level (LOG_LEVEL_DEBUG);
  else
    return take_setting (line, argv, i);
  return true;
}

static bool
takes_options (const Line *line)
{
  return line->n_words == 0 || strcmp (line->words[0], "serve") == 0
         || (strcmp (line->words[0], "policy") == 0 && (line->policy || line->n_words < 3));
}

/* An exit code, or -1 to go on. */
static int
parse (int argc, char **argv, Line *line)
{
  line->settings = mem_new (2 * ((size_t)argc + 1) * sizeof *line->settings);
  line->words = mem_new (((size_t)argc + 1) * sizeof *line->words);
  for (int i = 1; i < argc; i++) {
    if (strcmp (argv[i], "--help") == 0 || strcmp (argv[i], "-h") == 0) {
      print_help (stdout);
      return 0;
    }
    if (strcmp (argv[i], "--version") == 0) {
      puts (WARREN_VERSION);
      return 0;
    }
    bool is_option = argv[i][0] == '-' && argv[i][1] != '\0';
    if (is_option && takes_options (line) && take_option (line, argv, &i))
      continue;
    if (is_option && (line->n_words == 0 || strcmp (line->words[0], "serve") == 0)) {
      fprintf (stderr, "warren-coordinator: unknown option %s\n", argv[i]);
      return usage ("it is not understood");
    }
    line->words[line->n_words++] = argv[i];
  }
  return line->n_words > 0 ? -1 : usage ("a command is missing");
}

/* ---- settings ---- */

static bool
read_config_file (Config *config, const char *path, bool must_be_there)
{
  char *text = server_read_file (path), *error = NULL;

  if (!text) {
    if (must_be_there || errno != ENOENT)
      fprintf (stderr, "warren-coordinator: %s: %s\n", path, strerror (errno));
    return !must_be_there && errno == ENOENT;
  }
  bool ok = config_read (config, text, strlen (text), &error);
  if (!ok)
    fprintf (stderr, "warren-coordinator: %s: %s\n", path, error);
  free (error);
  free (text);
  return ok;
}

static bool
read_settings (const Line *line, Config *config)
{
  const char *state_dir = getenv ("STATE_DIRECTORY"); /* set by systemd */
  char *error = NULL;

  if (line->config && !read_config_file (config, line->config, true))
    return false;
  for (unsigned i = 0; i < line->n_settings; i += 2) {
    if (config_set_option (config, line->settings[i], line->settings[i + 1], &error))
      continue;
    fprintf (stderr, "warren-coordinator: %s\n", error);
    free (error);
    return false;
  }
  if (!config->options.data_dir && state_dir && *state_dir)
    config_set_option (config, "data-dir", state_dir, &error);
  return true;
}

/* The provider's secret stands in a file of its own. */
static bool
read_secret (Config *config)
{
  const char *path = config->options.oidc_secret_file;
  char *text = path ? server_read_file (path) : NULL;

  if (text) {
    text[strcspn (text, "\r\n")] = '\0';
    config->options.oidc.client_secret = config_keep (config, text);
  } else if (path) {
    fprintf (stderr, "warren-coordinator: %s: %s\n", path, strerror (errno));
  }
  return text || !path;
}

/* What the network's own file says, under what this line and its file say. */
static bool
load (const Line *line, Config *config)
{
  char path[4096];
  Config first;

  config_init (&first);
  bool ok = read_settings (line, &first);
  config_init (config);
  if (ok && first.options.data_dir) {
    snprintf (path, sizeof path, "%s/" SETUP_CONFIG_NAME, first.options.data_dir);
    ok = read_config_file (config, path, false) && read_settings (line, config);
  }
  config_clear (&first);
  return ok && read_secret (config);
}

/* ---- what is asked for ---- */

static int
serve (const Line *line)
{
  Config config;
  int code = SERVER_DELETED;

  while (code == SERVER_DELETED) {
    if (!load (line, &config))
      return EXIT_USAGE;
    if (line->idle && config.options.data_dir && !config.options.url) {
      int made = setup_wait (&config.options);
      config_clear (&config);
      if (made <= 0)
        return made < 0;
      continue;
    }
    const char *wrong = config_check (&config);
    code = wrong ? usage (wrong) : server_run (&config.options);
    if (code == SERVER_DELETED && !wrong)
      setup_forget (config.options.data_dir);
    if (wrong || !line->idle) {
      config_clear (&config);
      return wrong ? EXIT_USAGE : code == SERVER_FAILED;
    }
    config_clear (&config);
  }
  return code == SERVER_FAILED;
}

static int
run_policy (const Line *line)
{
  const char *verb = line->n_words > 1 ? line->words[1] : "";

  if (line->policy && line->nodes && strcmp (verb, "preview") == 0)
    return policy_preview (line->policy, line->nodes);
  if (line->policy && strcmp (verb, "check") == 0)
    return policy_check (line->policy, line->nodes);
  return usage ("policy preview and policy check take --policy FILE");
}

static char *
read_input (const char *path)
{
  FILE *file = strcmp (path, "-") == 0 ? stdin : fopen (path, "re");
  char *text = mem_new (INPUT_MAX + 1);

  if (!file || (fread (text, 1, INPUT_MAX, file) == 0 && ferror (file))) {
    perror (path);
    free (text);
    text = NULL;
  }
  if (file && file != stdin)
    fclose (file);
  return text;
}

/* The last word that the command may have is the file; without it, standard input. */
static const char *
input_file (const Line *line, const CommandRow *row, size_t used)
{
  unsigned n = 0;

  for (size_t i = used; i < line->n_words; i++)
    if (strncmp (line->words[i], "--", 2) != 0 && ++n == row->max
        && strstr (row->arguments, "FILE"))
      return line->words[i];
  return "-";
}

static int
create (const ServerOptions *options, const Line *line)
{
  Buffer out = {0};

  /* A server that waits for a network makes it itself, and serves it. */
  int fd = server_connect (options);
  if (fd >= 0) {
    close (fd);
    return server_command (options, line->words, line->n_words, NULL, STDOUT_FILENO);
  }
  int code = setup_create (options->data_dir, line->words + 1, line->n_words - 1, &out);
  fprintf (code == 0 ? stdout : stderr, "%.*s", (int)out.size, (const char *)out.data);
  buffer_free (&out);
  return code;
}

/* FILE is made anew, and readable by nobody else. */
static int
back_up (const ServerOptions *options, const char *path)
{
  static const char *const words[] = {"backup"};
  char *error = NULL;
  int out = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), code = 1;

  if (out < 0) {
    perror (path);
    return 1;
  }
  int fd = server_connect (options);
  if (fd >= 0) {
    close (fd);
    code = server_command (options, words, 1, NULL, out);
  } else if (backup_write (options->data_dir, out, &error)) {
    code = 0;
  } else {
    fprintf (stderr, "warren-coordinator: %s\n", error);
  }
  if (code == 0 && fsync (out) != 0) {
    perror (path);
    code = 1;
  }
  close (out);
  if (code != 0)
    unlink (path);
  free (error);
  return code;
}

static int
restore (const ServerOptions *options, const char *path)
{
  char *aside = NULL, *error = NULL;
  int fd = server_connect (options);

  if (fd >= 0) {
    close (fd);
    fprintf (stderr, "warren-coordinator: the server runs; stop it first\n");
    return 1;
  }
  bool ok = backup_restore (options->data_dir, path, &aside, &error);
  if (!ok)
    fprintf (stderr, "warren-coordinator: %s: %s\n", path, error ? error : "out of memory");
  else if (aside)
    printf ("What was there before is in %s\n", aside);
  free (aside);
  free (error);
  return ok ? 0 : 1;
}

static int
command (const Line *line)
{
  size_t used;
  const CommandRow *row = command_find (line->words, line->n_words, &used);
  char *input = NULL;
  Config config;

  Line here = *line;
  if (!here.config && here.n_settings == 0 && access (CONFIG_DEFAULT, R_OK) == 0)
    here.config = CONFIG_DEFAULT;
  if (!load (&here, &config))
    return EXIT_USAGE;
  if (!config.options.data_dir) {
    config_clear (&config);
    return usage ("which network? Say --data-dir DIR");
  }
  int code = EXIT_USAGE;
  if (row && row->reads)
    input = read_input (input_file (line, row, used));
  if (row && strcmp (row->name, "create") == 0)
    code = create (&config.options, line);
  else if (row && strcmp (row->name, "backup") == 0)
    code = line->n_words == 2 ? back_up (&config.options, line->words[1]) : usage ("backup FILE");
  else if (row && strcmp (row->name, "restore") == 0)
    code = line->n_words == 2 ? restore (&config.options, line->words[1]) : usage ("restore FILE");
  else if (!row || !row->reads || input)
    code = server_command (&config.options, line->words, line->n_words, input, STDOUT_FILENO);
  free (input);
  config_clear (&config);
  return code;
}

int
main (int argc, char **argv)
{
  Line line = {0};
  int code = parse (argc, argv, &line);

  if (code < 0 && strcmp (line.words[0], "serve") == 0)
    code = serve (&line);
  else if (code < 0 && strcmp (line.words[0], "policy") == 0 && line.policy)
    code = run_policy (&line);
  else if (code < 0 && line.n_words > 1 && strcmp (line.words[0], "policy") == 0
           && strcmp (line.words[1], "preview") == 0)
    code = run_policy (&line);
  else if (code < 0)
    code = command (&line);
  free (line.settings);
  free (line.words);
  return code;
}
