/* How long a routine waits after failing (control-protocol.md §9.5): the n-th failure in a row
 * costs min (n² · 10 ms, 30 s), give or take a half. Any thread. */
#pragma once

#include "base/random.h"

#include <stdint.h>

typedef struct
{
  unsigned failures;
  int64_t retry_at; /* microseconds; 0: at once */
} Backoff;

void backoff_fail (Backoff *backoff, Random *random, int64_t now_us);

/* Waits DELAY_US without counting a failure. */
void backoff_wait (Backoff *backoff, int64_t now_us, int64_t delay_us);
void backoff_reset (Backoff *backoff);
