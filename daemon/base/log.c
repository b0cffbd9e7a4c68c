#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define LINE_MAX_SIZE 1024

static void
stderr_sink (LogLevel level, const char *domain, const char *field, const char *value,
             const char *message)
{
  static const char *const names[] = {"error", "warning", "info", "debug"};

  if (field)
    fprintf (stderr, "%s: %s: %s [%s=%s]\n", names[level], domain, message, field, value);
  else
    fprintf (stderr, "%s: %s: %s\n", names[level], domain, message);
}

static LogSink current_sink = stderr_sink;
static atomic_int most_verbose_level = LOG_LEVEL_INFO;

void
log_set_sink (LogSink sink)
{
  current_sink = sink;
}

void
log_set_level (LogLevel most_verbose)
{
  atomic_store (&most_verbose_level, (int)most_verbose);
}

bool
log_enabled (LogLevel level)
{
  return (int)level <= atomic_load_explicit (&most_verbose_level, memory_order_relaxed);
}

static void
emit (LogLevel level, const char *domain, const char *field, const char *value, const char *format,
      va_list args)
{
  char line[LINE_MAX_SIZE];

  vsnprintf (line, sizeof line, format, args);
  current_sink (level, domain, field, value, line);
}

void
log_line (LogLevel level, const char *domain, const char *format, ...)
{
  va_list args;

  if (!log_enabled (level))
    return;
  va_start (args, format);
  emit (level, domain, NULL, NULL, format, args);
  va_end (args);
}

void
log_field (LogLevel level, const char *domain, const char *field, const char *value,
           const char *format, ...)
{
  va_list args;

  if (!log_enabled (level))
    return;
  va_start (args, format);
  emit (level, domain, field, value, format, args);
  va_end (args);
}
