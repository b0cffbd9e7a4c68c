/* set and get: one setting at a time. spec/local-services.md §4.3, §4.4. */
#include "cli/settings.h"

#include <glib/gi18n-lib.h>

static const FlagSpec set_flags[] = {SETTING_FLAGS, {NULL}};

static const FlagSpec get_flags[] = {
    {"json", FLAG_SWITCH, NULL, NULL, N_ ("print JSON")},
    {"set-flags", FLAG_SWITCH, NULL, NULL, N_ ("print the flags of `set` that lead here")},
    {NULL},
};

static WarrenExitCode
run_set (Cli *cli, const Flags *flags)
{
  gboolean any = FALSE;
  WarrenExitCode code;
  WarrenSession *session;

  for (const Setting *s = cli_settings (); s->flag != NULL; s++)
    any = any || flags_is_given (flags, s->flag);
  if (!any) {
    cli_complain ("%s", _ ("nothing to set. See: warren set --help"));
    return WARREN_EXIT_USAGE;
  }
  session = cli_open_session (cli, &code);
  return session != NULL ? cli_settings_apply (cli, session, flags, FALSE) : code;
}

static void
print_json (WarrenSession *session, const char *only)
{
  const char *comma = "";

  g_print ("{");
  for (const Setting *s = cli_settings (); s->flag != NULL; s++) {
    g_autofree char *value = cli_setting_show (session, s);
    g_autofree char *quoted = cli_json_quote (value);

    if (only != NULL && !g_str_equal (only, s->flag))
      continue;
    g_print ("%s\n  \"%s\": %s", comma, s->flag, *s->type == 'b' ? value : quoted);
    comma = ",";
  }
  g_print ("\n}\n");
}

static void
print_set_flags (WarrenSession *session)
{
  const char *space = "";

  for (const Setting *s = cli_settings (); s->flag != NULL; s++) {
    g_autofree char *value = cli_setting_show (session, s);
    g_autofree char *quoted = *value != '\0' ? g_shell_quote (value) : g_strdup ("");

    g_print ("%s--%s=%s", space, s->flag, *s->type == 'b' ? value : quoted);
    space = " ";
  }
  g_print ("\n");
}

static void
print_table (WarrenSession *session)
{
  g_print ("%-28s %s\n", "SETTING", "VALUE");
  for (const Setting *s = cli_settings (); s->flag != NULL; s++) {
    g_autofree char *value = cli_setting_show (session, s);

    g_print ("%-28s %s\n", s->flag, value);
  }
}

static WarrenExitCode
run_get (Cli *cli, const Flags *flags)
{
  const char *name = flags_get_arguments (flags, NULL)[0];
  const Setting *s = cli_settings ();
  WarrenExitCode code;
  WarrenSession *session;

  if (g_strcmp0 (name, "all") == 0)
    name = NULL;
  while (name != NULL && s->flag != NULL && !g_str_equal (s->flag, name))
    s++;
  if (s->flag == NULL) {
    cli_complain (_ ("unknown setting: %s"), name);
    return WARREN_EXIT_FAILED;
  }
  session = cli_open_session (cli, &code);
  if (session == NULL)
    return code;
  if (flags_get_switch (flags, "json")) {
    print_json (session, name);
  } else if (flags_get_switch (flags, "set-flags")) {
    print_set_flags (session);
  } else if (name != NULL) {
    g_autofree char *value = cli_setting_show (session, s);

    g_print ("%s\n", value);
  } else {
    print_table (session);
  }
  return WARREN_EXIT_OK;
}

const Command cli_set_command
    = {"set", "", N_ ("change settings, and nothing that is not named"), set_flags, 0, run_set};
const Command cli_get_command = {"get", "[NAME|all]", N_ ("show settings"), get_flags, 1, run_get};
