/* warren: finds the command, prints help, gives exit codes. spec/local-services.md §4. */
#include "cli/cli.h"
#include "client/language.h"

#include <glib/gi18n-lib.h>
#include <stdio.h>
#include <string.h>

static const Command *const commands[] = {
    &cli_up_command,     &cli_down_command,    &cli_login_command,    &cli_logout_command,
    &cli_status_command, &cli_ip_command,      &cli_ping_command,     &cli_exit_node_command,
    &cli_set_command,    &cli_get_command,     &cli_netcheck_command, &cli_network_command,
    &cli_whois_command,  &cli_version_command,
};

/* Understood before and after the name of a command. */
static const FlagSpec global_flags[] = {
    {"bus", FLAG_TEXT, "ADDRESS", NULL, N_ ("message bus of the service, instead of $WARREN_BUS")},
    {"no-ask-password", FLAG_SWITCH, NULL, NULL, N_ ("do not ask for a password on this terminal")},
    {NULL},
};

static void
print_flags (const FlagSpec *flags)
{
  for (; flags->name != NULL; flags++) {
    g_autofree char *left = NULL;

    if (flags->metavar != NULL)
      left = g_strdup_printf ("--%s=%s", flags->name, flags->metavar);
    else
      left = g_strdup_printf ("--%s", flags->name);
    if (flags->fallback != NULL)
      g_print ("  %-34s %s (%s)\n", left, _ (flags->help), flags->fallback);
    else
      g_print ("  %-34s %s\n", left, _ (flags->help));
  }
}

static void
print_help (void)
{
  g_print ("%s\n\n", _ ("Connect this computer to a private network of your devices."));
  g_print ("%s\n  warren [--bus=ADDRESS] [--no-ask-password] COMMAND [FLAGS] [ARGUMENTS]\n\n",
           _ ("USAGE"));
  g_print ("%s\n", _ ("COMMANDS"));
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    g_print ("  %-12s %s\n", commands[i]->name, _ (commands[i]->summary));
  g_print ("  %-12s %s\n\n", "help", _ ("show this, or the flags of a command"));
  g_print ("%s\n", _ ("FLAGS"));
  print_flags (global_flags);
  g_print ("  %-34s %s\n", "--version", _ ("print the version"));
}

static void
print_command_help (const Command *command)
{
  g_print ("%s\n\n", _ (command->summary));
  g_print ("%s\n  warren %s", _ ("USAGE"), command->name);
  g_print (*command->arguments != '\0' ? " [FLAGS] %s\n\n" : " [FLAGS]%s\n\n", command->arguments);
  g_print ("%s\n", _ ("FLAGS"));
  print_flags (command->flags);
  print_flags (global_flags);
}

static const Command *
find_command (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (commands[i]->name, name))
      return commands[i];
  return NULL;
}

static gboolean
is_help (const char *word)
{
  return g_str_equal (word, "--help") || g_str_equal (word, "-help") || g_str_equal (word, "-h");
}

/* Takes the global flags out of ARGS wherever they stand; what is left is the command's. */
static gboolean
take_globals (Cli *cli, char **argv, GPtrArray *rest, gboolean *help)
{
  for (gsize i = 1; argv[i] != NULL; i++) {
    const char *word = argv[i];

    if (g_str_equal (word, "--")) {
      for (; argv[i] != NULL; i++)
        g_ptr_array_add (rest, argv[i]);
      break;
    }
    if (g_str_has_prefix (word, "--bus=")) {
      cli->bus = word + strlen ("--bus=");
    } else if (g_str_equal (word, "--bus") || g_str_equal (word, "-bus")) {
      if (argv[i + 1] == NULL) {
        cli_complain (_ ("flag needs a value: --%s"), "bus");
        return FALSE;
      }
      cli->bus = argv[++i];
    } else if (g_str_equal (word, "--no-ask-password")) {
      cli->ask_password = FALSE;
    } else if (is_help (word)) {
      *help = TRUE;
    } else {
      g_ptr_array_add (rest, argv[i]);
    }
  }
  g_ptr_array_add (rest, NULL);
  return TRUE;
}

static WarrenExitCode
run_command (Cli *cli, const Command *command, char **args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Flags) flags
      = command->run_words == NULL ? flags_parse (command->flags, args, &error) : NULL;
  guint n = 0;

  if (command->run_words != NULL)
    return command->run_words (cli, args);
  if (flags != NULL)
    flags_get_arguments (flags, &n);
  if (flags != NULL && n <= command->max_arguments)
    return command->run (cli, flags);
  if (error != NULL)
    cli_complain ("%s", error->message);
  else
    cli_complain ("%s", _ ("too many arguments"));
  g_printerr (_ ("Usage: warren %s [FLAGS] %s\nSee: warren %s --help\n"), command->name,
              command->arguments, command->name);
  return WARREN_EXIT_USAGE;
}

static WarrenExitCode
dispatch (Cli *cli, char **args, gboolean help)
{
  const Command *command;

  if (args[0] != NULL && g_str_equal (args[0], "help")) {
    help = TRUE;
    args++;
  }
  if (args[0] == NULL) {
    print_help ();
    return help ? WARREN_EXIT_OK : WARREN_EXIT_USAGE;
  }
  if (g_str_equal (args[0], "--version") || g_str_equal (args[0], "-V"))
    args[0] = (char *)"version";
  command = find_command (args[0]);
  if (command == NULL) {
    cli_complain (args[0][0] == '-' ? _ ("unknown flag: %s") : _ ("unknown subcommand: %s"),
                  args[0]);
    g_printerr ("%s\n", _ ("See: warren help"));
    return args[0][0] == '-' ? WARREN_EXIT_USAGE : WARREN_EXIT_FAILED;
  }
  if (help) {
    print_command_help (command);
    return WARREN_EXIT_OK;
  }
  return run_command (cli, command, args + 1);
}

int
main (int argc, char **argv)
{
  g_autoptr (GPtrArray) rest = g_ptr_array_new ();
  Cli cli = {.argv = argv, .ask_password = TRUE};
  WarrenExitCode code = WARREN_EXIT_USAGE;
  gboolean help = FALSE;

  warren_language_init ();
  if (take_globals (&cli, argv, rest, &help))
    code = dispatch (&cli, (char **)rest->pdata, help);
  cli_close (&cli);
  fflush (stdout);
  return code;
}
