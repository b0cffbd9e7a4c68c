#include "coordinator/relay-limit.h"

#include "base/clock.h"
#include "base/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PLACES  4096
#define COST_US (USEC_PER_SEC / RELAY_LIMIT_RATE)

typedef struct
{
  uint64_t who;    /* hash of the address */
  int64_t paid_us; /* until when its connections are paid for */
} Place;

struct RelayLimit
{
  uint8_t key[crypto_shorthash_KEYBYTES];
  Place places[PLACES];
};

RelayLimit *
relay_limit_new (void)
{
  RelayLimit *limit = mem_new (sizeof *limit);

  randombytes_buf (limit->key, sizeof limit->key);
  return limit;
}

void
relay_limit_free (RelayLimit *limit)
{
  free (limit);
}

bool
relay_limit_take (RelayLimit *limit, const IpAddr *addr, int64_t now_us)
{
  uint8_t text[9] = {addr->family};
  uint64_t who;

  if (ip_is_loopback (addr))
    return true;
  memcpy (text + 1, addr->bytes, 8);
  crypto_shorthash ((uint8_t *)&who, text, sizeof text, limit->key);
  Place *place = &limit->places[who % PLACES];
  if (place->who != who)
    *place = (Place){.who = who};
  int64_t earliest = now_us - RELAY_LIMIT_BURST * COST_US;
  if (place->paid_us < earliest)
    place->paid_us = earliest;
  if (place->paid_us + COST_US > now_us)
    return false;
  place->paid_us += COST_US;
  return true;
}
