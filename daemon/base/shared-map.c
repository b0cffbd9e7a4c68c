#include "base/shared-map.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LEAF_MAX   64
#define LEAF_MERGE 48 /* neighbours that hold no more than this together become one */

typedef struct
{
  _Atomic uint32_t references;
  uint32_t n;
  SharedMapEntry entries[LEAF_MAX];
} Leaf;

struct SharedMap
{
  _Atomic uint32_t references;
  const SharedMapType *type;
  size_t size;   /* entries */
  Leaf **leaves; /* none of them empty */
  size_t n_leaves, room;
};

static const SharedMapType plain_type;

static void
unref_leaf (const SharedMapType *type, Leaf *leaf)
{
  if (atomic_fetch_sub_explicit (&leaf->references, 1, memory_order_acq_rel) > 1)
    return;
  if (type->unref)
    for (uint32_t i = 0; i < leaf->n; i++)
      type->unref (leaf->entries[i].value);
  free (leaf);
}

static Leaf *
new_leaf (void)
{
  Leaf *leaf = mem_resize (NULL, sizeof *leaf);

  leaf->references = 1;
  leaf->n = 0;
  return leaf;
}

SharedMap *
shared_map_new (const SharedMapType *type)
{
  SharedMap *map = mem_new (sizeof *map);

  map->references = 1;
  map->type = type ? type : &plain_type;
  return map;
}

SharedMap *
shared_map_ref (const SharedMap *map)
{
  SharedMap *m = (SharedMap *)map;

  if (m)
    atomic_fetch_add_explicit (&m->references, 1, memory_order_relaxed);
  return m;
}

void
shared_map_unref (const SharedMap *map)
{
  SharedMap *m = (SharedMap *)map;

  if (!m || atomic_fetch_sub_explicit (&m->references, 1, memory_order_acq_rel) > 1)
    return;
  for (size_t i = 0; i < m->n_leaves; i++)
    unref_leaf (m->type, m->leaves[i]);
  free (m->leaves);
  free (m);
}

SharedMap *
shared_map_edit (const SharedMap *map)
{
  SharedMap *copy = shared_map_new (map->type);

  copy->size = map->size;
  copy->n_leaves = copy->room = map->n_leaves;
  copy->leaves = mem_dup (map->leaves, map->n_leaves * sizeof (Leaf *));
  for (size_t i = 0; i < map->n_leaves; i++)
    atomic_fetch_add_explicit (&map->leaves[i]->references, 1, memory_order_relaxed);
  return copy;
}

static bool
is_less (const SharedMapEntry *e, uint64_t key, uint64_t value)
{
  return e->key < key || (e->key == key && e->value < value);
}

/* The last leaf that starts at or before (KEY, VALUE), or the first. */
static size_t
find_leaf (const SharedMap *map, uint64_t key, uint64_t value)
{
  size_t low = 0, high = map->n_leaves;

  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    const SharedMapEntry *first = &map->leaves[middle]->entries[0];
    if (is_less (first, key, value) || (first->key == key && first->value == value))
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* How many entries of LEAF come before (KEY, VALUE). */
static uint32_t
find_entry (const Leaf *leaf, uint64_t key, uint64_t value)
{
  uint32_t low = 0, high = leaf->n;

  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (is_less (&leaf->entries[middle], key, value))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Leaf number I as one that this version alone has. */
static Leaf *
own_leaf (SharedMap *own, size_t i)
{
  Leaf *old = own->leaves[i];

  if (atomic_load_explicit (&old->references, memory_order_acquire) == 1)
    return old;
  Leaf *leaf = new_leaf ();
  leaf->n = old->n;
  memcpy (leaf->entries, old->entries, old->n * sizeof *old->entries);
  if (own->type->ref)
    for (uint32_t k = 0; k < leaf->n; k++)
      own->type->ref (leaf->entries[k].value);
  unref_leaf (own->type, old);
  own->leaves[i] = leaf;
  return leaf;
}

static void
insert_leaf (SharedMap *own, size_t at, Leaf *leaf)
{
  own->leaves = mem_grow (own->leaves, own->n_leaves, &own->room, sizeof *own->leaves);
  memmove (own->leaves + at + 1, own->leaves + at, (own->n_leaves - at) * sizeof *own->leaves);
  own->leaves[at] = leaf;
  own->n_leaves++;
}

static void
remove_leaf (SharedMap *own, size_t at)
{
  own->n_leaves--;
  memmove (own->leaves + at, own->leaves + at + 1, (own->n_leaves - at) * sizeof *own->leaves);
}

/* Makes room in the full leaf I for an entry at position AT; returns the leaf that has it then,
 * with *AT adjusted. */
static Leaf *
split (SharedMap *own, size_t i, uint32_t *at)
{
  Leaf *left = own->leaves[i], *right = new_leaf ();
  /* Appending to the very end is how maps are filled: leave full leaves behind. */
  uint32_t keep = *at == LEAF_MAX && i + 1 == own->n_leaves ? LEAF_MAX : LEAF_MAX / 2;

  right->n = left->n - keep;
  memcpy (right->entries, left->entries + keep, right->n * sizeof *right->entries);
  left->n = keep;
  insert_leaf (own, i + 1, right);
  if (*at < keep || (*at == keep && keep < LEAF_MAX))
    return left;
  *at -= keep;
  return right;
}

static void
insert (SharedMap *own, uint64_t key, uint64_t value)
{
  if (own->n_leaves == 0)
    insert_leaf (own, 0, new_leaf ());
  size_t i = find_leaf (own, key, value);
  Leaf *leaf = own_leaf (own, i);
  uint32_t at = find_entry (leaf, key, value);

  if (leaf->n == LEAF_MAX)
    leaf = split (own, i, &at);
  memmove (leaf->entries + at + 1, leaf->entries + at, (leaf->n - at) * sizeof *leaf->entries);
  leaf->entries[at] = (SharedMapEntry){key, value};
  leaf->n++;
  own->size++;
  if (own->type->ref)
    own->type->ref (value);
}

/* The place of the first entry at or behind (KEY, VALUE). */
static SharedMapIter
seek (const SharedMap *map, uint64_t key, uint64_t value)
{
  SharedMapIter iter = {map, 0, 0};

  if (map->n_leaves == 0)
    return iter;
  iter.leaf = find_leaf (map, key, value);
  iter.index = find_entry (map->leaves[iter.leaf], key, value);
  if (iter.index == map->leaves[iter.leaf]->n) {
    iter.leaf++;
    iter.index = 0;
  }
  return iter;
}

static const SharedMapEntry *
entry_at (const SharedMapIter *iter)
{
  if (iter->leaf >= iter->map->n_leaves)
    return NULL;
  return &iter->map->leaves[iter->leaf]->entries[iter->index];
}

static void
step (SharedMapIter *iter)
{
  if (++iter->index == iter->map->leaves[iter->leaf]->n) {
    iter->leaf++;
    iter->index = 0;
  }
}

void
shared_map_add (SharedMap *own, uint64_t key, uint64_t value)
{
  insert (own, key, value);
}

void
shared_map_set (SharedMap *own, uint64_t key, uint64_t value)
{
  SharedMapIter iter = seek (own, key, 0);
  const SharedMapEntry *found = entry_at (&iter);

  if (!found || found->key != key) {
    insert (own, key, value);
    return;
  }
  if (found->value == value)
    return;
  SharedMapEntry *entry = &own_leaf (own, iter.leaf)->entries[iter.index];
  if (own->type->ref)
    own->type->ref (value);
  if (own->type->unref)
    own->type->unref (entry->value);
  entry->value = value;
}

static void
remove_at (SharedMap *own, const SharedMapIter *iter)
{
  Leaf *leaf = own_leaf (own, iter->leaf);
  size_t i = iter->leaf;

  if (own->type->unref)
    own->type->unref (leaf->entries[iter->index].value);
  leaf->n--;
  own->size--;
  memmove (leaf->entries + iter->index, leaf->entries + iter->index + 1,
           (leaf->n - iter->index) * sizeof *leaf->entries);
  if (leaf->n == 0) {
    unref_leaf (own->type, leaf);
    remove_leaf (own, i);
    return;
  }
  if (i + 1 == own->n_leaves || leaf->n + own->leaves[i + 1]->n > LEAF_MERGE)
    return;
  Leaf *next = own_leaf (own, i + 1);
  memcpy (leaf->entries + leaf->n, next->entries, next->n * sizeof *next->entries);
  leaf->n += next->n;
  free (next);
  remove_leaf (own, i + 1);
}

bool
shared_map_remove (SharedMap *own, uint64_t key)
{
  SharedMapIter iter = seek (own, key, 0);
  const SharedMapEntry *found = entry_at (&iter);

  if (!found || found->key != key)
    return false;
  remove_at (own, &iter);
  return true;
}

bool
shared_map_remove_entry (SharedMap *own, uint64_t key, uint64_t value)
{
  SharedMapIter iter = seek (own, key, value);
  const SharedMapEntry *found = entry_at (&iter);

  if (!found || found->key != key || found->value != value)
    return false;
  remove_at (own, &iter);
  return true;
}

size_t
shared_map_size (const SharedMap *map)
{
  return map->size;
}

bool
shared_map_get (const SharedMap *map, uint64_t key, uint64_t *value)
{
  SharedMapIter iter = seek (map, key, 0);
  const SharedMapEntry *found = entry_at (&iter);

  if (!found || found->key != key)
    return false;
  *value = found->value;
  return true;
}

SharedMapIter
shared_map_begin (const SharedMap *map)
{
  return (SharedMapIter){map, 0, 0};
}

SharedMapIter
shared_map_seek (const SharedMap *map, uint64_t key)
{
  return seek (map, key, 0);
}

bool
shared_map_next (SharedMapIter *iter, SharedMapEntry *entry)
{
  const SharedMapEntry *found = entry_at (iter);

  if (!found)
    return false;
  *entry = *found;
  step (iter);
  return true;
}

SharedMapDiff
shared_map_diff (const SharedMap *old, const SharedMap *new_map)
{
  return (SharedMapDiff){shared_map_begin (old), shared_map_begin (new_map)};
}

/* Both iterators stand at the start of the same leaf. */
static bool
at_shared_leaf (const SharedMapDiff *d)
{
  const SharedMapIter *a = &d->old_iter, *b = &d->new_iter;

  return a->index == 0 && b->index == 0 && a->leaf < a->map->n_leaves && b->leaf < b->map->n_leaves
         && a->map->leaves[a->leaf] == b->map->leaves[b->leaf];
}

bool
shared_map_diff_next (SharedMapDiff *d, SharedMapChange *change)
{
  for (;;) {
    if (at_shared_leaf (d)) {
      d->old_iter.leaf++;
      d->new_iter.leaf++;
      continue;
    }
    const SharedMapEntry *a = entry_at (&d->old_iter), *b = entry_at (&d->new_iter);
    if (!a && !b)
      return false;
    bool in_old = a && (!b || a->key <= b->key), in_new = b && (!a || b->key <= a->key);
    *change = (SharedMapChange){in_old ? a->key : b->key, in_old, in_new, in_old ? a->value : 0,
                                in_new ? b->value : 0};
    if (in_old)
      step (&d->old_iter);
    if (in_new)
      step (&d->new_iter);
    if (!in_old || !in_new || change->old_value != change->new_value)
      return true;
  }
}

size_t
shared_map_leaves (const SharedMap *map)
{
  return map->n_leaves;
}

size_t
shared_map_shared_leaves (const SharedMap *a, const SharedMap *b)
{
  size_t shared = 0;

  for (size_t i = 0, k = 0; i < a->n_leaves && k < b->n_leaves;) {
    const SharedMapEntry *x = &a->leaves[i]->entries[0], *y = &b->leaves[k]->entries[0];
    shared += a->leaves[i] == b->leaves[k];
    bool forward_a = !is_less (y, x->key, x->value), forward_b = !is_less (x, y->key, y->value);
    i += forward_a;
    k += forward_b;
  }
  return shared;
}
