#include "wireguard/index-table.h"

#include "base/memory.h"

#include <stdlib.h>

#define CHUNK_SLOTS 1024
#define N_CHUNKS    (WG_INDEX_MAX_SLOTS / CHUNK_SLOTS)
#define SLOT_MASK   (WG_INDEX_MAX_SLOTS - 1)
#define NO_SLOT     UINT32_MAX

typedef struct
{
  void *value;    /* NULL: free */
  uint32_t index; /* the whole index while in use, else the next free slot */
} Entry;

struct WgIndexTable
{
  unsigned worker;
  uint32_t used_slots; /* slots ever handed out */
  uint32_t free_first; /* oldest free slot: a slot rests as long as possible before its next use */
  uint32_t free_last;
  size_t count;
  Entry *chunks[N_CHUNKS];
};

static uint32_t
slot_of (uint32_t index)
{
  return index >> WG_INDEX_WORKER_BITS & SLOT_MASK;
}

static Entry *
entry_at (const WgIndexTable *table, uint32_t slot)
{
  Entry *chunk = table->chunks[slot / CHUNK_SLOTS];
  return chunk ? &chunk[slot % CHUNK_SLOTS] : NULL;
}

static Entry *
entry_make (WgIndexTable *table, uint32_t slot)
{
  Entry **chunk = &table->chunks[slot / CHUNK_SLOTS];

  if (!*chunk)
    *chunk = mem_new (CHUNK_SLOTS * sizeof **chunk);
  return &(*chunk)[slot % CHUNK_SLOTS];
}

WgIndexTable *
wg_index_table_new (unsigned worker)
{
  WgIndexTable *table = mem_new (sizeof *table);

  if (worker >= WG_INDEX_MAX_WORKERS)
    abort ();
  table->worker = worker;
  table->free_first = NO_SLOT;
  table->free_last = NO_SLOT;
  return table;
}

void
wg_index_table_free (WgIndexTable *table)
{
  if (!table)
    return;
  for (size_t i = 0; i < N_CHUNKS; i++)
    free (table->chunks[i]);
  free (table);
}

static uint32_t
take_slot (WgIndexTable *table)
{
  if (table->used_slots < WG_INDEX_MAX_SLOTS
      && (table->free_first == NO_SLOT || table->used_slots < CHUNK_SLOTS))
    return table->used_slots++;
  uint32_t slot = table->free_first;
  if (slot == NO_SLOT)
    return NO_SLOT;
  table->free_first = entry_at (table, slot)->index;
  if (table->free_first == NO_SLOT)
    table->free_last = NO_SLOT;
  return slot;
}

uint32_t
wg_index_table_allocate (WgIndexTable *table, Random *random, void *value)
{
  uint32_t slot = take_slot (table);
  uint32_t index;

  if (slot == NO_SLOT)
    return 0;
  do {
    uint32_t tag = random_u32 (random) << (WG_INDEX_WORKER_BITS + WG_INDEX_SLOT_BITS);
    index = tag | slot << WG_INDEX_WORKER_BITS | table->worker;
  } while (index == 0);
  *entry_make (table, slot) = (Entry){.value = value, .index = index};
  table->count++;
  return index;
}

uint32_t
wg_index_table_put (WgIndexTable *table, uint32_t index, void *value)
{
  if (wg_index_worker (index) != table->worker)
    return 0;
  Entry *entry = entry_make (table, slot_of (index));
  if (!entry->value)
    table->count++;
  *entry = (Entry){.value = value, .index = index};
  return index;
}

void *
wg_index_table_get (const WgIndexTable *table, uint32_t index)
{
  const Entry *entry = entry_at (table, slot_of (index));

  return entry && entry->value && entry->index == index ? entry->value : NULL;
}

void
wg_index_table_remove (WgIndexTable *table, uint32_t index)
{
  uint32_t slot = slot_of (index);

  if (!wg_index_table_get (table, index))
    return;
  Entry *entry = entry_at (table, slot);
  *entry = (Entry){.value = NULL, .index = NO_SLOT};
  table->count--;
  if (slot >= table->used_slots)
    return; /* a worker's table: net hands out its slots */
  if (table->free_last == NO_SLOT)
    table->free_first = slot;
  else
    entry_at (table, table->free_last)->index = slot;
  table->free_last = slot;
}

size_t
wg_index_table_count (const WgIndexTable *table)
{
  return table->count;
}
