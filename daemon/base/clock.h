/* Time as protocols see it: microseconds of CLOCK_BOOTTIME, which goes on during suspend.
 *
 * Protocol cores never read a clock: they are told the time. Dates (what a calendar shows) are a
 * type of their own, see base/wall-time.h. Any thread. */
#pragma once

#include <stdint.h>

#define USEC_PER_MSEC INT64_C (1000)
#define USEC_PER_SEC  INT64_C (1000000)
#define TIME_NEVER    INT64_MAX /* no deadline */

/* Now, in microseconds since boot, suspend included. */
int64_t clock_now_us (void);

static inline int64_t
time_min (int64_t a, int64_t b)
{
  return a < b ? a : b;
}
