#include "base/clock.h"

#include <time.h>

int64_t
clock_now_us (void)
{
  struct timespec ts;

  clock_gettime (CLOCK_BOOTTIME, &ts);
  return ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}
