#include "cli/flags.h"

#include <gio/gio.h>
#include <glib/gi18n-lib.h>
#include <string.h>

struct Flags
{
  const FlagSpec *specs;
  GHashTable *values; /* name → text */
  GPtrArray *arguments;
};

static const struct
{
  const char *alias;
  const char *name;
} aliases[] = {
    {"authkey", "auth-key"},
};

static const FlagSpec *
find_spec (const FlagSpec *specs, const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (aliases); i++)
    if (g_str_equal (aliases[i].alias, name))
      name = aliases[i].name;
  for (; specs->name != NULL; specs++)
    if (g_str_equal (specs->name, name))
      return specs;
  return NULL;
}

gboolean
duration_parse (const char *text, gint64 *ms)
{
  static const struct
  {
    const char *unit;
    double ms;
  } units[] = {{"ms", 1}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3}};
  double sum = 0;

  if (g_str_equal (text, "0")) {
    *ms = 0;
    return TRUE;
  }
  if (*text == '\0')
    return FALSE;
  while (*text != '\0') {
    char *end;
    double number;
    gsize i;

    if (!g_ascii_isdigit (*text) && *text != '.')
      return FALSE;
    number = g_ascii_strtod (text, &end);
    for (i = 0; i < G_N_ELEMENTS (units); i++)
      if (end != text && g_str_has_prefix (end, units[i].unit))
        break;
    if (i == G_N_ELEMENTS (units))
      return FALSE;
    sum += number * units[i].ms;
    text = end + strlen (units[i].unit);
  }
  if (!(sum >= 0 && sum < 1e15))
    return FALSE;
  *ms = (gint64)sum;
  return TRUE;
}

static gboolean
parse_switch (const char *text, gboolean *value)
{
  static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True", NULL};
  static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False", NULL};

  *value = g_strv_contains (yes, text);
  return *value || g_strv_contains (no, text);
}

static gboolean
value_fits (const FlagSpec *spec, const char *text)
{
  gint64 ignored;
  gboolean ignored_switch;

  switch (spec->kind) {
    case FLAG_SWITCH:
      return parse_switch (text, &ignored_switch);
    case FLAG_NUMBER:
      return g_ascii_string_to_signed (text, 10, 0, G_MAXINT32, &ignored, NULL);
    case FLAG_DURATION:
      return duration_parse (text, &ignored);
    case FLAG_TEXT:
    default:
      return TRUE;
  }
}

/* Handles the flag at ARGV[*I] and moves *I past a value of its own. */
static gboolean
parse_one (Flags *flags, char **argv, gsize *i, GError **error)
{
  const char *word = argv[*i] + (g_str_has_prefix (argv[*i], "--") ? 2 : 1);
  const char *equals = strchr (word, '=');
  g_autofree char *name = equals != NULL ? g_strndup (word, equals - word) : g_strdup (word);
  const FlagSpec *spec = find_spec (flags->specs, name);
  const char *value = equals != NULL ? equals + 1 : NULL;

  if (spec == NULL) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, _ ("unknown flag: %s"), argv[*i]);
    return FALSE;
  }
  if (value == NULL && spec->kind == FLAG_SWITCH)
    value = "true";
  if (value == NULL && argv[*i + 1] != NULL)
    value = argv[++*i];
  if (value == NULL) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, _ ("flag needs a value: --%s"),
                 spec->name);
    return FALSE;
  }
  if (!value_fits (spec, value)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 _ ("invalid value “%s” for flag --%s"), value, spec->name);
    return FALSE;
  }
  if (!g_hash_table_insert (flags->values, (gpointer)spec->name, g_strdup (value))) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, _ ("flag given twice: --%s"),
                 spec->name);
    return FALSE;
  }
  return TRUE;
}

Flags *
flags_parse (const FlagSpec *specs, char **argv, GError **error)
{
  g_autoptr (Flags) flags = g_new0 (Flags, 1);
  gboolean only_arguments = FALSE;

  flags->specs = specs;
  flags->values = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  flags->arguments = g_ptr_array_new_with_free_func (g_free);
  for (gsize i = 0; argv[i] != NULL; i++) {
    if (only_arguments || argv[i][0] != '-' || argv[i][1] == '\0') {
      g_ptr_array_add (flags->arguments, g_strdup (argv[i]));
    } else if (g_str_equal (argv[i], "--")) {
      only_arguments = TRUE;
    } else if (!parse_one (flags, argv, &i, error)) {
      return NULL;
    }
  }
  g_ptr_array_add (flags->arguments, NULL);
  return g_steal_pointer (&flags);
}

void
flags_free (Flags *flags)
{
  g_clear_pointer (&flags->values, g_hash_table_unref);
  g_clear_pointer (&flags->arguments, g_ptr_array_unref);
  g_free (flags);
}

gboolean
flags_is_given (const Flags *flags, const char *name)
{
  return g_hash_table_contains (flags->values, name);
}

const char *
flags_get_text (const Flags *flags, const char *name)
{
  const char *value = g_hash_table_lookup (flags->values, name);
  const FlagSpec *spec;

  if (value != NULL)
    return value;
  spec = find_spec (flags->specs, name);
  g_assert (spec != NULL);
  return spec->fallback;
}

gboolean
flags_get_switch (const Flags *flags, const char *name)
{
  const char *text = flags_get_text (flags, name);
  gboolean value = FALSE;

  if (text != NULL)
    parse_switch (text, &value);
  return value;
}

gint64
flags_get_number (const Flags *flags, const char *name)
{
  const char *text = flags_get_text (flags, name);

  return text != NULL ? g_ascii_strtoll (text, NULL, 10) : 0;
}

gint64
flags_get_duration_ms (const Flags *flags, const char *name)
{
  const char *text = flags_get_text (flags, name);
  gint64 ms = 0;

  if (text != NULL)
    duration_parse (text, &ms);
  return ms;
}

const char *const *
flags_get_arguments (const Flags *flags, guint *n)
{
  if (n != NULL)
    *n = flags->arguments->len - 1;
  return (const char *const *)flags->arguments->pdata;
}
