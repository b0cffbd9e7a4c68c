/* The replay window of one session: which counters have been seen (RFC 6479).
 *
 * 128 blocks of 64 bits; a counter up to 8128 behind the greatest is still taken, once. Bits are
 * set only after a packet was found authentic. spec/wireguard-dataplane.md §4.4. Owner's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WG_REPLAY_BLOCKS 128
#define WG_REPLAY_WINDOW ((WG_REPLAY_BLOCKS - 1) * 64)

typedef struct
{
  uint64_t greatest; /* highest counter accepted */
  uint64_t bits[WG_REPLAY_BLOCKS];
} WgReplay;

/* An empty window. */
void wg_replay_init (WgReplay *replay);

/* Would COUNTER be accepted? Changes nothing: saves decrypting what would be dropped. */
bool wg_replay_check (const WgReplay *replay, uint64_t counter);

/* Accepts COUNTER of an authentic packet; false when it was seen before or is too old. */
bool wg_replay_accept (WgReplay *replay, uint64_t counter);
