/* How many handshake messages are answered: a global budget, then a budget for each source.
 *
 * Handshakes run synchronously on the net thread, so load is defined by cost: 400 messages a
 * second, 100 at once. Beyond that, sources must first show that they receive what is sent to them
 * (cookies), and each of those has 20 a second, 5 at once. spec/wireguard-dataplane.md §3.1. Net
 * thread. */
#pragma once

#include "base/random.h"
#include "wireguard/cookie.h"

#define WG_LOAD_RATE         400
#define WG_LOAD_BURST        100
#define WG_LOAD_SOURCE_RATE  20
#define WG_LOAD_SOURCE_BURST 5
#define WG_LOAD_SOURCES      512

typedef struct
{
  int64_t filled_us; /* when tokens was computed */
  int64_t tokens;    /* in millionths of a message */
} WgBucket;

typedef struct
{
  WgBucket global;
  int64_t under_load_until_us;
  uint8_t hash_key[16];
  struct
  {
    WgBucket bucket;
    uint64_t tag;
  } sources[WG_LOAD_SOURCES];
} WgLoad;

void wg_load_init (WgLoad *load, Random *random, int64_t now_us);

/* Counts one handshake message; true while cookies are to be demanded. */
bool wg_load_count (WgLoad *load, int64_t now_us);

/* Counts one message of a source that showed a cookie; false when it has had its share. A source is
 * an IPv4 address, an IPv6 /64 or a node key; the port does not matter. */
bool
wg_load_admit_source (WgLoad *load, const uint8_t source_id[WG_SOURCE_ID_SIZE], int64_t now_us);
