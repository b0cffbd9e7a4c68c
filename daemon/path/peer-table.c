#include "path/peer-table.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS  16
#define ENDPOINTS_KEPT 64 /* of one peer */

static size_t
bucket_of (const PeerTable *table, const uint8_t key[KEY_SIZE])
{
  uint64_t hash = load_le64 (key) * table->seed[0] ^ load_le64 (key + 8) * table->seed[1];

  hash ^= hash >> 32;
  hash *= table->seed[0];
  return (hash >> 24) & (table->n_buckets - 1);
}

void
peer_table_init (PeerTable *table, Random *random)
{
  *table = (PeerTable){.n_buckets = FIRST_BUCKETS};
  table->seed[0] = random_u64 (random) | 1;
  table->seed[1] = random_u64 (random) | 1;
  table->by_key = mem_new (FIRST_BUCKETS * sizeof *table->by_key);
  table->by_disco = mem_new (FIRST_BUCKETS * sizeof *table->by_disco);
}

static void
forget_shared (PeerRecord *record)
{
  if (record->shared)
    sodium_memzero (record->shared, KEY_SIZE);
  free (record->shared);
  record->shared = NULL;
}

static void
record_free (PeerRecord *record)
{
  forget_shared (record);
  free (record->endpoints);
  free (record);
}

void
peer_table_clear (PeerTable *table)
{
  for (size_t i = 0; i < table->n_buckets; i++)
    while (table->by_key[i]) {
      PeerRecord *record = table->by_key[i];
      table->by_key[i] = record->next_by_key;
      record_free (record);
    }
  free (table->by_key);
  free (table->by_disco);
  *table = (PeerTable){0};
}

PeerRecord *
peer_table_find (const PeerTable *table, const NodePublic *key)
{
  PeerRecord *record = table->by_key[bucket_of (table, key->bytes)];

  while (record && memcmp (record->key.bytes, key->bytes, KEY_SIZE) != 0)
    record = record->next_by_key;
  return record;
}

static PeerRecord *
same_disco (PeerRecord *record, const DiscoPublic *key)
{
  while (record && memcmp (record->disco_key.bytes, key->bytes, KEY_SIZE) != 0)
    record = record->next_by_disco;
  return record;
}

PeerRecord *
peer_table_first_by_disco (const PeerTable *table, const DiscoPublic *key)
{
  return key_zero (key) ? NULL : same_disco (table->by_disco[bucket_of (table, key->bytes)], key);
}

PeerRecord *
peer_table_next_by_disco (const PeerRecord *record)
{
  return same_disco (record->next_by_disco, &record->disco_key);
}

static void
link_key (PeerTable *table, PeerRecord *record)
{
  PeerRecord **bucket = &table->by_key[bucket_of (table, record->key.bytes)];

  record->next_by_key = *bucket;
  *bucket = record;
}

static void
link_disco (PeerTable *table, PeerRecord *record)
{
  if (key_zero (&record->disco_key))
    return;
  PeerRecord **bucket = &table->by_disco[bucket_of (table, record->disco_key.bytes)];
  record->next_by_disco = *bucket;
  *bucket = record;
}

static void
unlink_disco (PeerTable *table, PeerRecord *record)
{
  if (key_zero (&record->disco_key))
    return;
  PeerRecord **at = &table->by_disco[bucket_of (table, record->disco_key.bytes)];
  while (*at != record)
    at = &(*at)->next_by_disco;
  *at = record->next_by_disco;
  record->next_by_disco = NULL;
}

static void
grow (PeerTable *table)
{
  PeerRecord **old = table->by_key;
  size_t n_old = table->n_buckets;

  free (table->by_disco);
  table->n_buckets *= 2;
  table->by_key = mem_new (table->n_buckets * sizeof *table->by_key);
  table->by_disco = mem_new (table->n_buckets * sizeof *table->by_disco);
  for (size_t i = 0; i < n_old; i++)
    for (PeerRecord *record = old[i], *next; record; record = next) {
      next = record->next_by_key;
      record->next_by_disco = NULL;
      link_key (table, record);
      link_disco (table, record);
    }
  free (old);
}

PeerRecord *
peer_table_add (PeerTable *table, const NodePublic *key)
{
  PeerRecord *record = mem_new (sizeof *record);

  if (table->count >= table->n_buckets)
    grow (table);
  record->key = *key;
  link_key (table, record);
  table->count++;
  return record;
}

void
peer_table_remove (PeerTable *table, PeerRecord *record)
{
  PeerRecord **at = &table->by_key[bucket_of (table, record->key.bytes)];

  unlink_disco (table, record);
  while (*at != record)
    at = &(*at)->next_by_key;
  *at = record->next_by_key;
  table->count--;
  record_free (record);
}

void
peer_table_set_disco (PeerTable *table, PeerRecord *record, const DiscoPublic *key)
{
  unlink_disco (table, record);
  forget_shared (record);
  record->disco_key = *key;
  link_disco (table, record);
}

void
peer_record_set_endpoints (PeerRecord *record, const IpPort *endpoints, size_t count)
{
  free (record->endpoints);
  record->n_endpoints = (uint16_t)(count < ENDPOINTS_KEPT ? count : ENDPOINTS_KEPT);
  record->endpoints = mem_dup (endpoints, record->n_endpoints * sizeof *endpoints);
}

PeerRecord *
peer_table_next (const PeerTable *table, const PeerRecord *record)
{
  size_t i = 0;

  if (record) {
    if (record->next_by_key)
      return record->next_by_key;
    i = bucket_of (table, record->key.bytes) + 1;
  }
  for (; i < table->n_buckets; i++)
    if (table->by_key[i])
      return table->by_key[i];
  return NULL;
}
