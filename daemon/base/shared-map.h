/* An ordered map from 64-bit keys to 64-bit values whose versions share what they have in common.
 *
 * A version that others may see is never changed: shared_map_edit makes a new one in O(√n) that its
 * owner may change until it is shown around; each change copies one leaf at most. Equal keys may
 * occur more than once with different values (for indexes by hash), in order of the values.
 * References to versions may be dropped on any thread; a version is read by many threads, edited by
 * one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How values are kept: called for every copy of a value; NULL for plain numbers. */
typedef struct
{
  void (*ref) (uint64_t value);
  void (*unref) (uint64_t value);
} SharedMapType;

typedef struct
{
  uint64_t key, value;
} SharedMapEntry;

typedef struct SharedMap SharedMap;

/* An empty version. TYPE (may be NULL) must outlive the map. */
SharedMap *shared_map_new (const SharedMapType *type);
SharedMap *shared_map_ref (const SharedMap *map);
void shared_map_unref (const SharedMap *map);

/* A version of the caller's own with the content of MAP. */
SharedMap *shared_map_edit (const SharedMap *map);

/* Changes; only on a version nobody else has seen. Set replaces the value of KEY (the first, if
 * there are several) or inserts; add inserts beside equal keys. Remove returns false if there is no
 * such entry. */
void shared_map_set (SharedMap *own, uint64_t key, uint64_t value);
void shared_map_add (SharedMap *own, uint64_t key, uint64_t value);
bool shared_map_remove (SharedMap *own, uint64_t key);
bool shared_map_remove_entry (SharedMap *own, uint64_t key, uint64_t value);

size_t shared_map_size (const SharedMap *map);

/* The first value of KEY; false when there is none. */
bool shared_map_get (const SharedMap *map, uint64_t key, uint64_t *value);

/* A place in a map, in order of keys. */
typedef struct
{
  const SharedMap *map;
  size_t leaf, index;
} SharedMapIter;

SharedMapIter shared_map_begin (const SharedMap *map);
/* The first entry with a key >= KEY. */
SharedMapIter shared_map_seek (const SharedMap *map, uint64_t key);
bool shared_map_next (SharedMapIter *iter, SharedMapEntry *entry);

/* One entry that is in only one of two versions, or whose value differs. */
typedef struct
{
  uint64_t key;
  bool in_old, in_new;
  uint64_t old_value, new_value;
} SharedMapChange;

/* Walks two versions of a map without double keys and stops at differences only; leaves that both
 * share are stepped over unseen. */
typedef struct
{
  SharedMapIter old_iter, new_iter;
} SharedMapDiff;

SharedMapDiff shared_map_diff (const SharedMap *old, const SharedMap *new_map);
bool shared_map_diff_next (SharedMapDiff *diff, SharedMapChange *change);

/* Leaves of a map, and how many of them two versions share: for tests of cost. */
size_t shared_map_leaves (const SharedMap *map);
size_t shared_map_shared_leaves (const SharedMap *a, const SharedMap *b);
