/* Flags of the command line as the official command reads them: one dash or two, --name=value or
 * --name value, switches without a value or with =true and =false, each at most once.
 * spec/local-services.md §4.1. Unlike there, flags may also follow the arguments. */
#pragma once

#include <glib.h>

typedef enum
{
  FLAG_SWITCH,
  FLAG_TEXT,
  FLAG_NUMBER,
  FLAG_DURATION, /* "300ms", "5s", "1m30s"; "0" or "0s" */
} FlagKind;

typedef struct
{
  const char *name; /* NULL ends a list */
  FlagKind kind;
  const char *metavar;  /* what --help calls the value; NULL for a switch */
  const char *fallback; /* value when the flag is not given */
  const char *help;     /* untranslated */
} FlagSpec;

typedef struct Flags Flags;

/* ARGV without the program's and the command's name. SPECS must outlive the result. */
Flags *flags_parse (const FlagSpec *specs, char **argv, GError **error);
void flags_free (Flags *flags);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Flags, flags_free)

gboolean flags_is_given (const Flags *flags, const char *name);
gboolean flags_get_switch (const Flags *flags, const char *name);
const char *flags_get_text (const Flags *flags, const char *name);
gint64 flags_get_number (const Flags *flags, const char *name);
gint64 flags_get_duration_ms (const Flags *flags, const char *name);

/* Positional arguments, NULL-terminated. */
const char *const *flags_get_arguments (const Flags *flags, guint *n);

/* "300ms", "5s", "1h2m3.5s" in milliseconds; FALSE if TEXT is none. */
gboolean duration_parse (const char *text, gint64 *ms);
