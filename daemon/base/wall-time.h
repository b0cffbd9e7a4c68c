/* Dates: what servers write in RFC 3339 and what a person reads on a calendar.
 *
 * Never used for deadlines (base/clock.h). The zero value is "0001-01-01T00:00:00Z", which the
 * protocol uses for "not set". Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WALL_TIME_TEXT_MAX 40                     /* longest text form and its NUL */
#define WALL_TIME_UNSET    INT64_C (-62135596800) /* Unix seconds of 0001-01-01T00:00:00Z */

typedef struct
{
  int64_t seconds; /* since 1970-01-01T00:00:00Z */
  int32_t nanos;   /* 0 .. 999,999,999 */
} WallTime;

/* The unset date. */
WallTime wall_time_unset (void);
bool wall_time_is_unset (WallTime t);

/* Now, by CLOCK_REALTIME. */
WallTime wall_time_now (void);

/* RFC 3339 with any number of fraction digits (beyond nine are cut) and any offset. */
bool wall_time_parse (const char *text, size_t length, WallTime *out);

/* RFC 3339 in UTC, fraction only when there is one; returns the length without the NUL. */
size_t wall_time_format (WallTime t, char out[WALL_TIME_TEXT_MAX]);

/* < 0, 0, > 0 like memcmp. */
int wall_time_compare (WallTime a, WallTime b);

/* T plus MICROS microseconds. */
WallTime wall_time_add_us (WallTime t, int64_t micros);
