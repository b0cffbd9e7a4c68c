#include "derp/bucket.h"

#include "base/clock.h"

void
derp_bucket_set (DerpBucket *b, uint64_t rate, uint64_t burst, int64_t now_us)
{
  *b = (DerpBucket){
      .rate = (double)rate, .burst = (double)burst, .tokens = (double)burst, .filled_us = now_us};
}

bool
derp_bucket_take (DerpBucket *b, size_t size, int64_t now_us)
{
  if (b->rate <= 0)
    return true;
  b->tokens += b->rate * (double)(now_us - b->filled_us) / (double)USEC_PER_SEC;
  b->filled_us = now_us;
  if (b->tokens > b->burst)
    b->tokens = b->burst;
  if (b->tokens < (double)size)
    return false;
  b->tokens -= (double)size;
  return true;
}
