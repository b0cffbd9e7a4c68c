#include "wireguard/replay.h"

#include <string.h>

static uint64_t
block_of (uint64_t counter)
{
  return counter / 64;
}

void
wg_replay_init (WgReplay *replay)
{
  memset (replay, 0, sizeof *replay);
}

bool
wg_replay_check (const WgReplay *replay, uint64_t counter)
{
  if (counter > replay->greatest)
    return true;
  if (replay->greatest - counter > WG_REPLAY_WINDOW)
    return false;
  return !(replay->bits[block_of (counter) % WG_REPLAY_BLOCKS] & UINT64_C (1) << counter % 64);
}

bool
wg_replay_accept (WgReplay *replay, uint64_t counter)
{
  if (!wg_replay_check (replay, counter))
    return false;
  if (counter > replay->greatest) {
    uint64_t first = block_of (replay->greatest) + 1;
    uint64_t last = block_of (counter);

    if (last >= first + WG_REPLAY_BLOCKS)
      first = last - WG_REPLAY_BLOCKS + 1;
    for (uint64_t block = first; block <= last; block++)
      replay->bits[block % WG_REPLAY_BLOCKS] = 0;
    replay->greatest = counter;
  }
  replay->bits[block_of (counter) % WG_REPLAY_BLOCKS] |= UINT64_C (1) << counter % 64;
  return true;
}
