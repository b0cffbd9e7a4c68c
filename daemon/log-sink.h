/* Where log lines go: to the journal with their fields when stderr is the journal, else to stderr.
 */
#pragma once

#include "base/log.h"

void log_sink_write (LogLevel level, const char *domain, const char *field, const char *value,
                     const char *message);
