/* TAI64N timestamps of initiations: always increasing, whatever the wall clock does.
 *
 * A peer drops an initiation whose timestamp is not greater than the last one it accepted, without
 * a word, so ours must never step back: not when the clock is set, not across restarts. What is
 * stored reserves an hour ahead; nothing beyond the stored value is sent.
 * spec/wireguard-dataplane.md §3.2. Net thread. */
#pragma once

#include "base/wall-time.h"
#include "wireguard/messages.h"

typedef struct
{
  WallTime base; /* the date at base_us */
  int64_t base_us;
  WallTime last;     /* sent last, or the floor of an earlier run */
  WallTime reserved; /* what is stored; last never exceeds it for long */
} WgTimestamps;

/* Granularity: the low 24 bits of the nanoseconds are cleared, which hides the exact clock. */
#define WG_TIMESTAMP_STEP_NS 0x01000000

/* The 12 bytes for a date, masked; and back. All zeros is "none" (wall_time_unset). */
void wg_timestamp_write (WallTime time, uint8_t out[WG_TIMESTAMP_SIZE]);
WallTime wg_timestamp_read (const uint8_t bytes[WG_TIMESTAMP_SIZE]);

/* What to store before a run that starts above FLOOR sends anything: an hour that is its own, which
 * no later run begins in. */
void wg_timestamp_reserve (const uint8_t floor[WG_TIMESTAMP_SIZE], WallTime now,
                           uint8_t out[WG_TIMESTAMP_SIZE]);

/* Starts at the date WALL_TIME of NOW_US, above FLOOR (zeros: none). */
void wg_timestamps_init (WgTimestamps *timestamps, WallTime wall_time, int64_t now_us,
                         const uint8_t floor[WG_TIMESTAMP_SIZE]);

/* The clock was set: WALL_TIME is the date at NOW_US. */
void wg_timestamps_set_clock (WgTimestamps *timestamps, WallTime wall_time, int64_t now_us);

/* The next timestamp to send, greater than every earlier one. True: OUT_RESERVED is to be stored.
 */
bool wg_timestamps_next (WgTimestamps *timestamps, int64_t now_us, uint8_t out[WG_TIMESTAMP_SIZE],
                         uint8_t out_reserved[WG_TIMESTAMP_SIZE]);
