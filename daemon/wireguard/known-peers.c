#include "wireguard/known-peers.h"

#include "base/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MIN_CAPACITY 16

/* Node keys are chosen by whoever owns the node, so the hash is keyed. */
static size_t
home_slot (const WgKnownPeers *peers, const NodePublic *key)
{
  uint8_t hash[crypto_shorthash_BYTES];

  crypto_shorthash (hash, key->bytes, KEY_SIZE, peers->hash_key);
  return load_le64 (hash) & (peers->capacity - 1);
}

void
wg_known_peers_init (WgKnownPeers *peers, Random *random)
{
  *peers = (WgKnownPeers){0};
  random_fill (random, peers->hash_key, sizeof peers->hash_key);
}

void
wg_known_peers_clear (WgKnownPeers *peers)
{
  free (peers->slots);
  peers->slots = NULL;
  peers->capacity = 0;
  peers->count = 0;
}

/* The slot of KEY, or the free one where it would be. */
static WgKnownPeer *
probe (const WgKnownPeers *peers, const NodePublic *key)
{
  size_t i = home_slot (peers, key);

  while (peers->slots[i].used && memcmp (peers->slots[i].key.bytes, key->bytes, KEY_SIZE) != 0)
    i = (i + 1) & (peers->capacity - 1);
  return &peers->slots[i];
}

WgKnownPeer *
wg_known_peers_find (const WgKnownPeers *peers, const NodePublic *key)
{
  if (peers->count == 0)
    return NULL;
  WgKnownPeer *peer = probe (peers, key);
  return peer->used ? peer : NULL;
}

static void
grow (WgKnownPeers *peers)
{
  WgKnownPeers old = *peers;

  peers->capacity = old.capacity ? 2 * old.capacity : MIN_CAPACITY;
  peers->slots = mem_new (peers->capacity * sizeof *peers->slots);
  for (size_t i = 0; i < old.capacity; i++)
    if (old.slots[i].used)
      *probe (peers, &old.slots[i].key) = old.slots[i];
  free (old.slots);
}

WgKnownPeer *
wg_known_peers_add (WgKnownPeers *peers, const NodePublic *key)
{
  if ((peers->count + 1) * 4 > peers->capacity * 3)
    grow (peers);
  WgKnownPeer *peer = probe (peers, key);
  if (!peer->used) {
    *peer = (WgKnownPeer){.key = *key, .used = true};
    peers->count++;
  }
  return peer;
}

void
wg_known_peers_remove (WgKnownPeers *peers, const NodePublic *key)
{
  WgKnownPeer *gone = wg_known_peers_find (peers, key);
  if (!gone)
    return;

  size_t mask = peers->capacity - 1;
  size_t hole = (size_t)(gone - peers->slots);
  /* Close the gap, so that no tombstones are needed: move back whatever may stand in the hole. */
  for (size_t i = (hole + 1) & mask; peers->slots[i].used; i = (i + 1) & mask) {
    size_t home = home_slot (peers, &peers->slots[i].key);
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      peers->slots[hole] = peers->slots[i];
      hole = i;
    }
  }
  peers->slots[hole] = (WgKnownPeer){0};
  peers->count--;
}
