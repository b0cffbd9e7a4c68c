#include "control/backoff.h"

#include "base/clock.h"

#define STEP_US INT64_C (10000)
#define MAX_US  INT64_C (30000000)

void
backoff_fail (Backoff *backoff, Random *random, int64_t now_us)
{
  if (backoff->failures < 1000)
    backoff->failures++;
  int64_t n = backoff->failures;
  int64_t delay = time_min (n * n * STEP_US, MAX_US);
  backoff->retry_at = now_us + random_between (random, delay / 2, delay / 2 * 3);
}

void
backoff_wait (Backoff *backoff, int64_t now_us, int64_t delay_us)
{
  backoff->retry_at = now_us + delay_us;
}

void
backoff_reset (Backoff *backoff)
{
  *backoff = (Backoff){0};
}
