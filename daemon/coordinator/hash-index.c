#include "coordinator/hash-index.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#define FIRST_ROOM 16

static uint8_t secret[crypto_shorthash_KEYBYTES];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void
draw_secret (void)
{
  randombytes_buf (secret, sizeof secret);
}

uint64_t
hash_index_key (const void *data, size_t size)
{
  uint8_t hash[crypto_shorthash_BYTES];

  pthread_once (&secret_once, draw_secret);
  crypto_shorthash (hash, data, size, secret);
  return load_le64 (hash);
}

uint64_t
hash_index_number (uint64_t number)
{
  number = (number ^ number >> 32) * UINT64_C (0x9e3779b97f4a7c15);
  return number ^ number >> 29;
}

static void
put (HashIndex *index, HashSlot slot)
{
  size_t at = slot.hash & (index->room - 1);

  while (index->slots[at].value)
    at = (at + 1) & (index->room - 1);
  index->slots[at] = slot;
}

static void
grow (HashIndex *index)
{
  HashIndex old = *index;

  index->room = old.room ? old.room * 2 : FIRST_ROOM;
  index->slots = mem_new (index->room * sizeof *index->slots);
  for (size_t i = 0; i < old.room; i++)
    if (old.slots[i].value)
      put (index, old.slots[i]);
  free (old.slots);
}

void
hash_index_add (HashIndex *index, uint64_t hash, void *value)
{
  if ((index->n + 1) * 4 > index->room * 3)
    grow (index);
  put (index, (HashSlot){hash, value});
  index->n++;
}

/* Moves what was pushed aside back into the gap. */
static void
close_gap (HashIndex *index, size_t gap)
{
  size_t mask = index->room - 1;

  for (size_t at = (gap + 1) & mask; index->slots[at].value; at = (at + 1) & mask) {
    size_t home = index->slots[at].hash & mask;
    if (((at - home) & mask) < ((at - gap) & mask))
      continue;
    index->slots[gap] = index->slots[at];
    gap = at;
  }
  index->slots[gap] = (HashSlot){0};
}

bool
hash_index_remove (HashIndex *index, uint64_t hash, const void *value)
{
  if (index->room == 0)
    return false;
  for (size_t at = hash & (index->room - 1); index->slots[at].value;
       at = (at + 1) & (index->room - 1)) {
    if (index->slots[at].value != value)
      continue;
    close_gap (index, at);
    index->n--;
    return true;
  }
  return false;
}

void *
hash_index_find (const HashIndex *index, uint64_t hash, HashMatch match, const void *key)
{
  if (index->room == 0)
    return NULL;
  for (size_t at = hash & (index->room - 1); index->slots[at].value;
       at = (at + 1) & (index->room - 1))
    if (index->slots[at].hash == hash && match (index->slots[at].value, key))
      return index->slots[at].value;
  return NULL;
}

void
hash_index_clear (HashIndex *index)
{
  free (index->slots);
  *index = (HashIndex){0};
}
