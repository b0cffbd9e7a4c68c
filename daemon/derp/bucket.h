/* The limit that a relay announces at the login: bytes per second and at once (spec/derp.md §4.4).
 * Net thread, inside derp only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  double rate; /* bytes per second, 0: no limit */
  double burst;
  double tokens;
  int64_t filled_us;
} DerpBucket;

/* A full one. */
void derp_bucket_set (DerpBucket *bucket, uint64_t rate, uint64_t burst, int64_t now_us);

/* Whether a frame of SIZE bytes may pass now; it is paid for then. */
bool derp_bucket_take (DerpBucket *bucket, size_t size, int64_t now_us);
