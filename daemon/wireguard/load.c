#include "wireguard/load.h"

#include <sodium.h>
#include <string.h>

#define TOKEN INT64_C (1000000)

/* Takes one token of a bucket that gains RATE a second up to BURST. */
static bool
bucket_take (WgBucket *bucket, int64_t rate, int64_t burst, int64_t now_us)
{
  int64_t room = burst * TOKEN - bucket->tokens;
  int64_t passed_us = now_us - bucket->filled_us;

  if (passed_us > room / rate)
    bucket->tokens = burst * TOKEN;
  else if (passed_us > 0)
    bucket->tokens += passed_us * rate;
  bucket->filled_us = now_us;
  if (bucket->tokens < TOKEN)
    return false;
  bucket->tokens -= TOKEN;
  return true;
}

void
wg_load_init (WgLoad *load, Random *random, int64_t now_us)
{
  *load = (WgLoad){.under_load_until_us = now_us};
  load->global = (WgBucket){.filled_us = now_us, .tokens = WG_LOAD_BURST * TOKEN};
  random_fill (random, load->hash_key, sizeof load->hash_key);
}

bool
wg_load_count (WgLoad *load, int64_t now_us)
{
  if (!bucket_take (&load->global, WG_LOAD_RATE, WG_LOAD_BURST, now_us))
    load->under_load_until_us = now_us + WG_UNDER_LOAD_HOLD_US;
  return now_us < load->under_load_until_us;
}

/* Where the part of a source id ends that names who pays: not the port, not the host in a /64. */
static size_t
payer_size (const uint8_t source_id[WG_SOURCE_ID_SIZE])
{
  switch (source_id[0]) {
    case 4:
      return 1 + 4;
    case 6:
      return 1 + 8;
    default:
      return WG_SOURCE_ID_SIZE;
  }
}

bool
wg_load_admit_source (WgLoad *load, const uint8_t source_id[WG_SOURCE_ID_SIZE], int64_t now_us)
{
  uint8_t hash[crypto_shorthash_BYTES];

  crypto_shorthash (hash, source_id, payer_size (source_id), load->hash_key);
  uint64_t tag = load_le64 (hash) | 1;
  size_t i = load_le64 (hash) / 2 % WG_LOAD_SOURCES;
  /* Sources that meet in one slot share it, unless its owner has been quiet until it was full
   * again: memory stays fixed, and a crowd of sources gains nothing. */
  if (load->sources[i].tag != tag) {
    int64_t quiet_us = now_us - load->sources[i].bucket.filled_us;
    bool unused = load->sources[i].tag == 0;
    if (unused || quiet_us * WG_LOAD_SOURCE_RATE >= WG_LOAD_SOURCE_BURST * TOKEN) {
      load->sources[i].tag = tag;
      load->sources[i].bucket
          = (WgBucket){.filled_us = now_us, .tokens = WG_LOAD_SOURCE_BURST * TOKEN};
    }
  }
  return bucket_take (&load->sources[i].bucket, WG_LOAD_SOURCE_RATE, WG_LOAD_SOURCE_BURST, now_us);
}
