/* How numbers, times and systems are said to a person, translated. No widgets. Main thread. */
#pragma once

#include <glib.h>

/* "2 hours ago"; "just now" under a minute. THEN and NOW are Unix seconds. Free with g_free. */
char *format_ago (gint64 then, gint64 now);

/* "3 March 2027" as the locale writes it. */
char *format_date (gint64 when);

/* "3.4 ms", "21 ms". */
char *format_latency (guint microseconds);

/* "Linux" for "linux"; what the server sent for others. Static or OS itself. */
const char *format_os (const char *os);

/* The symbolic icon for the kind of device that runs OS. */
const char *format_os_icon (const char *os);
