/* Finds values by the hash of a key that the values themselves hold: an open table of pointers.
 *
 * Equal hashes are told apart by the caller's match. Keys that come from outside are hashed with
 * hash_index_key, whose secret is drawn once for each process. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  uint64_t hash;
  void *value; /* NULL: free */
} HashSlot;

typedef struct
{
  HashSlot *slots;
  size_t n, room; /* room: 0 or a power of two */
} HashIndex;

typedef bool (*HashMatch) (const void *value, const void *key);

/* The hash of SIZE bytes that a stranger may have chosen. Any thread, after sodium_init. */
uint64_t hash_index_key (const void *data, size_t size);
/* The hash of a number that we chose. */
uint64_t hash_index_number (uint64_t number);

void hash_index_add (HashIndex *index, uint64_t hash, void *value);
/* Takes VALUE out; false when it is not there. */
bool hash_index_remove (HashIndex *index, uint64_t hash, const void *value);
/* The value with HASH for which MATCH (value, KEY) is true, or NULL. */
void *hash_index_find (const HashIndex *index, uint64_t hash, HashMatch match, const void *key);
void hash_index_clear (HashIndex *index);
