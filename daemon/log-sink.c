#include "log-sink.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const priorities[] = {"3", "4", "6", "7"};
static const char *const words[] = {"error", "warning", "info", "debug"};

static bool
stderr_is_journal (void)
{
  static gsize known;
  if (g_once_init_enter (&known))
    g_once_init_leave (&known, g_log_writer_is_journald (STDERR_FILENO) ? 2 : 1);
  return known == 2;
}

void
log_sink_write (LogLevel level, const char *domain, const char *field, const char *value,
                const char *message)
{
  if (!stderr_is_journal ()) {
    if (field)
      fprintf (stderr, "%s: %s: %s (%s)\n", words[level], domain, message, value);
    else
      fprintf (stderr, "%s: %s: %s\n", words[level], domain, message);
    return;
  }
  GLogField fields[] = {{"MESSAGE", message, -1},
                        {"PRIORITY", priorities[level], -1},
                        {"WARREN_MODULE", domain, -1},
                        {field ? field : "", value, -1}};
  g_log_writer_journald (G_LOG_LEVEL_INFO, fields, G_N_ELEMENTS (fields) - (field ? 0 : 1), NULL);
}
