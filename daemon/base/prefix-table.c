#include "base/prefix-table.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_FILL 48 /* single addresses per chunk before there are more chunks */

typedef struct
{
  uint64_t high, low; /* the address in its IPv6 form */
  uint64_t value;
} Slot;

/* A small hash table: open addressing, at most half full. */
typedef struct
{
  _Atomic uint32_t references;
  uint32_t n;
  uint32_t mask; /* capacity - 1 */
  uint8_t *tags; /* 0: the slot is empty */
  Slot slots[];
} Chunk;

/* A path-compressed binary trie of prefixes that are not single addresses. */
typedef struct Branch Branch;
struct Branch
{
  _Atomic uint32_t references;
  bool has_value;
  IpPrefix prefix;
  uint64_t value;
  Branch *child[2];
};

struct PrefixTable
{
  _Atomic uint32_t references;
  size_t size;      /* entries */
  size_t n_singles; /* of them in chunks */
  unsigned bits;    /* log2 of the number of chunks */
  Chunk **chunks;   /* NULL: empty */
  Branch *roots[2]; /* IPv4, IPv6 */
};

/* ---- single addresses ---- */

static Slot
slot_of (const IpAddr *addr)
{
  uint8_t bytes[16];
  Slot slot = {0};

  ip_to_mapped (addr, bytes);
  memcpy (&slot.high, bytes, 8);
  memcpy (&slot.low, bytes + 8, 8);
  return slot;
}

static uint64_t
hash_slot (const Slot *slot)
{
  uint64_t h = slot->high * UINT64_C (0x9e3779b97f4a7c15) ^ slot->low;

  h = (h ^ h >> 32) * UINT64_C (0xd6e8feb86659fd93);
  h = (h ^ h >> 32) * UINT64_C (0xd6e8feb86659fd93);
  return h ^ h >> 32;
}

static uint8_t
tag_of (uint64_t hash)
{
  return (uint8_t)(hash >> 24) | 1;
}

static size_t
chunk_of (const PrefixTable *table, uint64_t hash)
{
  return table->bits ? hash >> (64 - table->bits) : 0;
}

static Chunk *
new_chunk (uint32_t capacity)
{
  Chunk *chunk = mem_new (sizeof *chunk + capacity * (sizeof (Slot) + 1));

  chunk->references = 1;
  chunk->mask = capacity - 1;
  chunk->tags = (uint8_t *)(chunk->slots + capacity);
  return chunk;
}

static void
unref_chunk (Chunk *chunk)
{
  if (chunk && atomic_fetch_sub_explicit (&chunk->references, 1, memory_order_acq_rel) == 1)
    free (chunk);
}

static inline Slot *
find_slot (const Chunk *chunk, const Slot *wanted, uint64_t hash)
{
  uint8_t tag = tag_of (hash);

  for (uint32_t i = (uint32_t)hash & chunk->mask; chunk->tags[i]; i = (i + 1) & chunk->mask)
    if (chunk->tags[i] == tag && chunk->slots[i].low == wanted->low
        && chunk->slots[i].high == wanted->high)
      return (Slot *)&chunk->slots[i];
  return NULL;
}

/* CHUNK has room and does not have the slot. */
static void
insert_slot (Chunk *chunk, const Slot *slot, uint64_t hash)
{
  uint32_t i = (uint32_t)hash & chunk->mask;

  while (chunk->tags[i])
    i = (i + 1) & chunk->mask;
  chunk->tags[i] = tag_of (hash);
  chunk->slots[i] = *slot;
  chunk->n++;
}

/* A chunk of its own with the slots of OLD (may be NULL) but WITHOUT, and room for one more. */
static Chunk *
rebuild_chunk (const Chunk *old, const Slot *without)
{
  uint32_t capacity = 8, needed = old ? old->n + 1 : 1;

  while (capacity < 2 * needed)
    capacity *= 2;
  Chunk *chunk = new_chunk (capacity);
  for (uint32_t i = 0; old && i <= old->mask; i++)
    if (old->tags[i] && &old->slots[i] != without)
      insert_slot (chunk, &old->slots[i], hash_slot (&old->slots[i]));
  return chunk;
}

/* Twice as many chunks. */
static void
grow_chunks (PrefixTable *own)
{
  size_t n = own->chunks ? (size_t)1 << own->bits : 0;
  Chunk **old = own->chunks;

  own->bits = old ? own->bits + 1 : 0;
  own->chunks = mem_new (sizeof *own->chunks << own->bits);
  for (size_t k = 0; k < n; k++) {
    for (uint32_t i = 0; old[k] && i <= old[k]->mask; i++) {
      if (!old[k]->tags[i])
        continue;
      uint64_t hash = hash_slot (&old[k]->slots[i]);
      Chunk **to = &own->chunks[chunk_of (own, hash)];
      if (!*to || 2 * ((*to)->n + 1) > (*to)->mask + 1) {
        Chunk *bigger = rebuild_chunk (*to, NULL);
        unref_chunk (*to);
        *to = bigger;
      }
      insert_slot (*to, &old[k]->slots[i], hash);
    }
    unref_chunk (old[k]);
  }
  free (old);
}

static void
set_single (PrefixTable *own, const IpAddr *addr, uint64_t value)
{
  if (!own->chunks || own->n_singles >= (size_t)CHUNK_FILL << own->bits)
    grow_chunks (own);
  Slot slot = slot_of (addr);
  uint64_t hash = hash_slot (&slot);
  Chunk **chunk = &own->chunks[chunk_of (own, hash)];
  Slot *found = *chunk ? find_slot (*chunk, &slot, hash) : NULL;

  if (found && found->value == value)
    return;
  if (!*chunk || atomic_load (&(*chunk)->references) > 1
      || 2 * ((*chunk)->n + 1) > (*chunk)->mask + 1) {
    Chunk *mine = rebuild_chunk (*chunk, NULL);
    unref_chunk (*chunk);
    *chunk = mine;
    found = find_slot (mine, &slot, hash);
  }
  if (found) {
    found->value = value;
    return;
  }
  slot.value = value;
  insert_slot (*chunk, &slot, hash);
  own->n_singles++;
  own->size++;
}

static bool
remove_single (PrefixTable *own, const IpAddr *addr)
{
  if (!own->chunks)
    return false;
  Slot slot = slot_of (addr);
  uint64_t hash = hash_slot (&slot);
  Chunk **chunk = &own->chunks[chunk_of (own, hash)];
  Slot *found = *chunk ? find_slot (*chunk, &slot, hash) : NULL;

  if (!found)
    return false;
  Chunk *rest = rebuild_chunk (*chunk, found);
  unref_chunk (*chunk);
  *chunk = rest;
  own->n_singles--;
  own->size--;
  return true;
}

static bool
lookup_single (const PrefixTable *table, const IpAddr *addr, uint64_t *value)
{
  if (table->n_singles == 0)
    return false;
  Slot slot = slot_of (addr);
  uint64_t hash = hash_slot (&slot);
  const Chunk *chunk = table->chunks[chunk_of (table, hash)];
  const Slot *found = chunk ? find_slot (chunk, &slot, hash) : NULL;

  if (found)
    *value = found->value;
  return found != NULL;
}

/* ---- prefixes ---- */

static inline unsigned
bit_of (const IpAddr *addr, unsigned bit)
{
  return addr->bytes[bit / 8] >> (7 - bit % 8) & 1;
}

static unsigned
common_bits (const IpPrefix *a, const IpPrefix *b)
{
  unsigned limit = a->bits < b->bits ? a->bits : b->bits, n = 0;

  while (n + 8 <= limit && a->addr.bytes[n / 8] == b->addr.bytes[n / 8])
    n += 8;
  while (n < limit && bit_of (&a->addr, n) == bit_of (&b->addr, n))
    n++;
  return n;
}

static Branch *
ref_branch (Branch *branch)
{
  if (branch)
    atomic_fetch_add_explicit (&branch->references, 1, memory_order_relaxed);
  return branch;
}

static void
unref_branch (Branch *branch)
{
  if (!branch || atomic_fetch_sub_explicit (&branch->references, 1, memory_order_acq_rel) > 1)
    return;
  unref_branch (branch->child[0]);
  unref_branch (branch->child[1]);
  free (branch);
}

static Branch *
new_branch (IpPrefix prefix)
{
  Branch *branch = mem_new (sizeof *branch);

  branch->references = 1;
  branch->prefix = prefix;
  return branch;
}

/* BRANCH, whose reference is given away, as one that nobody else has. */
static Branch *
own_branch (Branch *branch)
{
  if (atomic_load (&branch->references) == 1)
    return branch;
  Branch *copy = mem_dup (branch, sizeof *branch);
  atomic_init (&copy->references, 1);
  ref_branch (copy->child[0]);
  ref_branch (copy->child[1]);
  unref_branch (branch);
  return copy;
}

/* BRANCH (given away, may be NULL) with PREFIX in it. */
static Branch *
set_branch (Branch *branch, const IpPrefix *prefix, uint64_t value)
{
  unsigned common = branch ? common_bits (&branch->prefix, prefix) : prefix->bits;

  if (branch && common == branch->prefix.bits && common < prefix->bits) {
    Branch *own = own_branch (branch);
    Branch **child = &own->child[bit_of (&prefix->addr, common)];
    *child = set_branch (*child, prefix, value);
    return own;
  }
  if (branch && common == branch->prefix.bits) {
    Branch *own = own_branch (branch);
    own->has_value = true;
    own->value = value;
    return own;
  }
  IpPrefix fork = {prefix->addr, (uint8_t)common};
  Branch *parent = new_branch (ip_prefix_mask (fork));
  if (branch)
    parent->child[bit_of (&branch->prefix.addr, common)] = branch;
  if (common < prefix->bits) {
    parent->child[bit_of (&prefix->addr, common)] = set_branch (NULL, prefix, value);
  } else {
    parent->has_value = true;
    parent->value = value;
  }
  return parent;
}

/* BRANCH (given away) without PREFIX, which it has. */
static Branch *
remove_branch (Branch *branch, const IpPrefix *prefix)
{
  Branch *own = own_branch (branch);

  if (own->prefix.bits < prefix->bits) {
    Branch **child = &own->child[bit_of (&prefix->addr, own->prefix.bits)];
    *child = remove_branch (*child, prefix);
  } else {
    own->has_value = false;
  }
  if (own->has_value || (own->child[0] && own->child[1]))
    return own;
  Branch *only = ref_branch (own->child[0] ? own->child[0] : own->child[1]);
  unref_branch (own);
  return only;
}

static Branch **
root_of (PrefixTable *own, const IpAddr *addr)
{
  return &own->roots[addr->family == 6];
}

static const Branch *
find_branch (const PrefixTable *table, const IpPrefix *prefix)
{
  const Branch *branch = table->roots[prefix->addr.family == 6];

  while (branch && branch->prefix.bits <= prefix->bits
         && common_bits (&branch->prefix, prefix) == branch->prefix.bits) {
    if (branch->prefix.bits == prefix->bits)
      return branch->has_value ? branch : NULL;
    branch = branch->child[bit_of (&prefix->addr, branch->prefix.bits)];
  }
  return NULL;
}

/* ---- the table ---- */

PrefixTable *
prefix_table_new (void)
{
  PrefixTable *table = mem_new (sizeof *table);

  table->references = 1;
  return table;
}

PrefixTable *
prefix_table_ref (const PrefixTable *table)
{
  PrefixTable *t = (PrefixTable *)table;

  if (t)
    atomic_fetch_add_explicit (&t->references, 1, memory_order_relaxed);
  return t;
}

void
prefix_table_unref (const PrefixTable *table)
{
  PrefixTable *t = (PrefixTable *)table;

  if (!t || atomic_fetch_sub_explicit (&t->references, 1, memory_order_acq_rel) > 1)
    return;
  for (size_t i = 0; t->chunks && i < (size_t)1 << t->bits; i++)
    unref_chunk (t->chunks[i]);
  free (t->chunks);
  unref_branch (t->roots[0]);
  unref_branch (t->roots[1]);
  free (t);
}

PrefixTable *
prefix_table_edit (const PrefixTable *table)
{
  PrefixTable *own = mem_dup (table, sizeof *table);

  atomic_init (&own->references, 1);
  if (own->chunks)
    own->chunks = mem_dup (table->chunks, sizeof *own->chunks << own->bits);
  for (size_t i = 0; own->chunks && i < (size_t)1 << own->bits; i++)
    if (own->chunks[i])
      atomic_fetch_add_explicit (&own->chunks[i]->references, 1, memory_order_relaxed);
  ref_branch (own->roots[0]);
  ref_branch (own->roots[1]);
  return own;
}

void
prefix_table_set (PrefixTable *own, const IpPrefix *prefix, uint64_t value)
{
  IpPrefix masked = ip_prefix_mask (*prefix);
  Branch **root = root_of (own, &masked.addr);

  if (ip_prefix_is_single (&masked)) {
    set_single (own, &masked.addr, value);
    return;
  }
  own->size += find_branch (own, &masked) == NULL;
  *root = set_branch (*root, &masked, value);
}

bool
prefix_table_remove (PrefixTable *own, const IpPrefix *prefix)
{
  IpPrefix masked = ip_prefix_mask (*prefix);
  Branch **root = root_of (own, &masked.addr);

  if (ip_prefix_is_single (&masked))
    return remove_single (own, &masked.addr);
  if (!find_branch (own, &masked))
    return false;
  *root = remove_branch (*root, &masked);
  own->size--;
  return true;
}

size_t
prefix_table_size (const PrefixTable *table)
{
  return table->size;
}

bool
prefix_table_lookup (const PrefixTable *table, const IpAddr *addr, uint64_t *value)
{
  bool found = lookup_single (table, addr, value);

  if (found)
    return true;
  for (const Branch *b = table->roots[addr->family == 6];
       b && ip_prefix_contains (&b->prefix, addr); b = b->child[bit_of (addr, b->prefix.bits)]) {
    if (b->has_value) {
      *value = b->value;
      found = true;
    }
  }
  return found;
}

bool
prefix_table_get (const PrefixTable *table, const IpPrefix *prefix, uint64_t *value)
{
  IpPrefix masked = ip_prefix_mask (*prefix);

  if (ip_prefix_is_single (&masked))
    return lookup_single (table, &masked.addr, value);
  const Branch *branch = find_branch (table, &masked);
  if (branch)
    *value = branch->value;
  return branch != NULL;
}

size_t
prefix_table_covering (const PrefixTable *table, const IpAddr *addr, uint64_t *values, size_t max)
{
  size_t n = 0;
  uint64_t value;

  for (const Branch *b = table->roots[addr->family == 6];
       b && n < max && ip_prefix_contains (&b->prefix, addr);
       b = b->child[bit_of (addr, b->prefix.bits)])
    if (b->has_value)
      values[n++] = b->value;
  if (n < max && lookup_single (table, addr, &value))
    values[n++] = value;
  return n;
}

typedef void (*EntryFunc) (const IpPrefix *prefix, uint64_t value, void *data);

static void
foreach_branch (const Branch *branch, EntryFunc func, void *data)
{
  if (!branch)
    return;
  if (branch->has_value)
    func (&branch->prefix, branch->value, data);
  foreach_branch (branch->child[0], func, data);
  foreach_branch (branch->child[1], func, data);
}

void
prefix_table_foreach (const PrefixTable *table, EntryFunc func, void *data)
{
  for (size_t k = 0; table->chunks && k < (size_t)1 << table->bits; k++) {
    const Chunk *chunk = table->chunks[k];
    for (uint32_t i = 0; chunk && i <= chunk->mask; i++) {
      uint8_t bytes[16];
      if (!chunk->tags[i])
        continue;
      memcpy (bytes, &chunk->slots[i].high, 8);
      memcpy (bytes + 8, &chunk->slots[i].low, 8);
      IpAddr addr = ip_from_mapped (bytes);
      IpPrefix prefix = ip_single (&addr);
      func (&prefix, chunk->slots[i].value, data);
    }
  }
  foreach_branch (table->roots[0], func, data);
  foreach_branch (table->roots[1], func, data);
}
