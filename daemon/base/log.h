/* Log lines from code that knows no GLib, with the fields that journald users search for.
 *
 * The sink is set once by main before any thread starts; without one, lines go to stderr. Nothing
 * logs per packet. Keys appear in their short form only. Any thread. */
#pragma once

#include <stdbool.h>

typedef enum
{
  LOG_LEVEL_ERROR,   /* something does not work and somebody must act */
  LOG_LEVEL_WARNING, /* something is odd, Warren goes on */
  LOG_LEVEL_INFO,    /* quiet when nothing changes */
  LOG_LEVEL_DEBUG,   /* -v */
} LogLevel;

/* DOMAIN is the module's name, FIELD a journald field such as "PEER" with VALUE, or both NULL. */
typedef void (*LogSink) (LogLevel level, const char *domain, const char *field, const char *value,
                         const char *message);

void log_set_sink (LogSink sink);
void log_set_level (LogLevel most_verbose);
bool log_enabled (LogLevel level);

/* One line, without a newline. */
void log_line (LogLevel level, const char *domain, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
void log_field (LogLevel level, const char *domain, const char *field, const char *value,
                const char *format, ...) __attribute__ ((format (printf, 5, 6)));

#define log_error(domain, ...)   log_line (LOG_LEVEL_ERROR, domain, __VA_ARGS__)
#define log_warning(domain, ...) log_line (LOG_LEVEL_WARNING, domain, __VA_ARGS__)
#define log_info(domain, ...)    log_line (LOG_LEVEL_INFO, domain, __VA_ARGS__)
#define log_debug(domain, ...)   log_line (LOG_LEVEL_DEBUG, domain, __VA_ARGS__)
