#include "wireguard/timestamp.h"

#include <string.h>

#define TAI64_BASE      UINT64_C (0x400000000000000a) /* of Unix second 0; ignores leap seconds */
#define RESERVE_US      (3600 * USEC_PER_SEC)
#define RENEW_BEFORE_US (RESERVE_US / 2)
#define NANOS_PER_SEC   1000000000

static WallTime
mask (WallTime time)
{
  time.nanos -= time.nanos % WG_TIMESTAMP_STEP_NS;
  return time;
}

static WallTime
later (WallTime a, WallTime b)
{
  return wall_time_compare (a, b) < 0 ? b : a;
}

/* The smallest masked date after TIME. */
static WallTime
step (WallTime time)
{
  time = mask (time);
  time.nanos += WG_TIMESTAMP_STEP_NS;
  if (time.nanos >= NANOS_PER_SEC) {
    time.nanos = 0;
    time.seconds++;
  }
  return time;
}

void
wg_timestamp_write (WallTime time, uint8_t out[WG_TIMESTAMP_SIZE])
{
  time = mask (time);
  store_be64 (out, TAI64_BASE + (uint64_t)time.seconds);
  store_be32 (out + 8, (uint32_t)time.nanos);
}

WallTime
wg_timestamp_read (const uint8_t bytes[WG_TIMESTAMP_SIZE])
{
  uint32_t nanos = load_be32 (bytes + 8);

  if (load_be64 (bytes) == 0)
    return wall_time_unset ();
  return (WallTime){
      .seconds = (int64_t)(load_be64 (bytes) - TAI64_BASE),
      .nanos = nanos < NANOS_PER_SEC ? (int32_t)nanos : NANOS_PER_SEC - 1,
  };
}

void
wg_timestamp_reserve (const uint8_t floor[WG_TIMESTAMP_SIZE], WallTime now,
                      uint8_t out[WG_TIMESTAMP_SIZE])
{
  WallTime last = wg_timestamp_read (floor);

  wg_timestamp_write (
      wall_time_add_us (wall_time_is_unset (last) ? now : later (now, last), RESERVE_US), out);
}

void
wg_timestamps_init (WgTimestamps *timestamps, WallTime wall_time, int64_t now_us,
                    const uint8_t floor[WG_TIMESTAMP_SIZE])
{
  *timestamps = (WgTimestamps){.base = wall_time, .base_us = now_us};
  timestamps->last = wg_timestamp_read (floor);
  timestamps->reserved = timestamps->last;
}

void
wg_timestamps_set_clock (WgTimestamps *timestamps, WallTime wall_time, int64_t now_us)
{
  timestamps->base = wall_time;
  timestamps->base_us = now_us;
}

bool
wg_timestamps_next (WgTimestamps *timestamps, int64_t now_us, uint8_t out[WG_TIMESTAMP_SIZE],
                    uint8_t out_reserved[WG_TIMESTAMP_SIZE])
{
  WallTime now = mask (wall_time_add_us (timestamps->base, now_us - timestamps->base_us));

  if (wall_time_is_unset (timestamps->last))
    timestamps->last = now;
  else
    timestamps->last = later (now, step (timestamps->last));
  wg_timestamp_write (timestamps->last, out);
  if (!wall_time_is_unset (timestamps->reserved)
      && wall_time_compare (wall_time_add_us (timestamps->last, RENEW_BEFORE_US),
                            timestamps->reserved)
             < 0)
    return false;
  timestamps->reserved = wall_time_add_us (timestamps->last, RESERVE_US);
  wg_timestamp_write (timestamps->reserved, out_reserved);
  return true;
}
