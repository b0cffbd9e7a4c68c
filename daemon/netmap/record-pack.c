#include "base/memory.h"
#include "netmap/hostinfo.h"
#include "netmap/node.h"
#include "netmap/record-access.h"

#include <stdalign.h>
#include <string.h>

static const RecordField cap_fields[] = {
    RECORD (NodeCap, RECORD_TEXT, name, NULL),
    RECORD (NodeCap, RECORD_TEXT_OR_NULL, values, NULL),
};
static const RecordType cap_type = RECORD_TYPE (NodeCap, cap_fields);

size_t
record_size_of (const RecordField *f)
{
  static const size_t sizes[] = {
      [RECORD_BOOL] = sizeof (bool),
      [RECORD_TRI] = sizeof (Tri),
      [RECORD_U16] = sizeof (uint16_t),
      [RECORD_I32] = sizeof (int32_t),
      [RECORD_I64] = sizeof (int64_t),
      [RECORD_DOUBLE] = sizeof (double),
      [RECORD_TEXT] = sizeof (char *),
      [RECORD_TEXT_OR_NULL] = sizeof (char *),
      [RECORD_TIME] = sizeof (WallTime),
      [RECORD_NODE_KEY] = KEY_SIZE,
      [RECORD_DISCO_KEY] = KEY_SIZE,
      [RECORD_MACHINE_KEY] = KEY_SIZE,
      [RECORD_LOCK_KEY] = KEY_SIZE,
      [RECORD_ADDR] = sizeof (IpAddr),
      [RECORD_BYTES] = 1,
      [RECORD_TEXTS] = sizeof (char *),
      [RECORD_ADDRS] = sizeof (IpAddr),
      [RECORD_PREFIXES] = sizeof (IpPrefix),
      [RECORD_ADDR_PORTS] = sizeof (IpPort),
      [RECORD_CAPS] = sizeof (NodeCap),
      [RECORD_LATENCIES] = sizeof (DerpLatency),
  };

  return f->sub ? f->sub->size : sizes[f->kind];
}

const RecordType *
record_element_type (const RecordField *f)
{
  if (f->kind == RECORD_CAPS)
    return &cap_type;
  return f->kind == RECORD_PLAIN ? NULL : f->sub;
}

/* ---- comparing ---- */

static bool
same_text (const char *a, const char *b)
{
  return a == b || strcmp (a ? a : "", b ? b : "") == 0;
}

static bool
same_list (const RecordField *f, const void *a, const void *b)
{
  size_t n = record_count (f, a), size = record_size_of (f);
  const char *x = record_pointer (a, f->offset), *y = record_pointer (b, f->offset);
  const RecordType *type = record_element_type (f);

  if (n != record_count (f, b))
    return false;
  if (x == y || n == 0)
    return true;
  for (size_t i = 0; i < n; i++, x += size, y += size) {
    if (type && record_diff (type, x, y) != 0)
      return false;
    if (f->kind == RECORD_TEXTS && !same_text (*(const char *const *)x, *(const char *const *)y))
      return false;
    if (!type && f->kind != RECORD_TEXTS && f->kind != RECORD_LATENCIES && memcmp (x, y, size) != 0)
      return false;
    if (f->kind == RECORD_LATENCIES
        && (!same_text (((const DerpLatency *)x)->region, ((const DerpLatency *)y)->region)
            || ((const DerpLatency *)x)->seconds != ((const DerpLatency *)y)->seconds))
      return false;
  }
  return true;
}

static bool
same_field (const RecordField *f, const void *a, const void *b)
{
  const void *x = record_at (a, f->offset), *y = record_at (b, f->offset);

  if (f->has && *(const bool *)record_at (a, f->has) != *(const bool *)record_at (b, f->has))
    return false;
  if (record_is_list (f->kind))
    return same_list (f, a, b);
  switch (f->kind) {
    case RECORD_TEXT:
    case RECORD_TEXT_OR_NULL:
      return same_text (record_pointer (a, f->offset), record_pointer (b, f->offset));
    case RECORD_TIME:
      return wall_time_compare (*(const WallTime *)x, *(const WallTime *)y) == 0;
    case RECORD_DOUBLE:
      return *(const double *)x == *(const double *)y;
    case RECORD_STRUCT: {
      const void *p = record_pointer (a, f->offset), *q = record_pointer (b, f->offset);
      return p == q || (p && q && record_diff (f->sub, p, q) == 0);
    }
    default:
      return memcmp (x, y, record_size_of (f)) == 0;
  }
}

uint32_t
record_diff (const RecordType *type, const void *a, const void *b)
{
  uint32_t changed = type->base ? record_diff (type->base, a, b) : 0;

  for (size_t i = 0; i < type->n_fields; i++) {
    const RecordField *f = &type->fields[i];
    if (!same_field (f, a, b))
      changed |= f->change ? f->change : 1;
  }
  return changed;
}

/* ---- copying ---- */

/* Where copies go: an arena, a block that was measured before, or nowhere while measuring. */
typedef struct
{
  Arena *arena;
  char *block;
  size_t used;
} Target;

static void *
place (Target *t, const void *data, size_t size, size_t alignment)
{
  if (t->arena)
    return arena_dup (t->arena, data, size);
  t->used = (t->used + alignment - 1) & ~(alignment - 1);
  char *copy = t->block ? t->block + t->used : NULL;
  t->used += size;
  if (copy && size > 0)
    memcpy (copy, data, size);
  return copy;
}

static void copy_parts (const RecordType *type, Target *t, void *dst, const void *src);

/* An empty text needs no room of its own. */
static const char *
place_text (Target *t, const char *text, bool or_null)
{
  if (!text || !*text)
    return text || !or_null ? "" : NULL;
  return place (t, text, strlen (text) + 1, 1);
}

static void
copy_list (const RecordField *f, Target *t, void *dst, const void *src)
{
  size_t n = record_count (f, src), size = record_size_of (f);
  const char *from = record_pointer (src, f->offset);
  const RecordType *type = record_element_type (f);
  size_t alignment = type || f->kind == RECORD_TEXTS || f->kind == RECORD_LATENCIES
                         ? alignof (void *)
                         : alignof (IpPort);
  char *to = n > 0 ? place (t, from, n * size, alignment) : NULL;

  for (size_t i = 0; i < n; i++) {
    void *element = to ? to + i * size : NULL;
    if (type) {
      copy_parts (type, t, element, from + i * size);
    } else if (f->kind == RECORD_TEXTS) {
      const char *text = place_text (t, *(const char *const *)(from + i * size), false);
      if (element)
        *(const char **)element = text;
    }
  }
  if (dst)
    *(const void **)record_at (dst, f->offset) = to;
}

/* Replaces the pointers of DST, a flat copy of SRC, by copies of what they point to. DST is NULL
 * while measuring. */
static void
copy_parts (const RecordType *type, Target *t, void *dst, const void *src)
{
  if (type->base)
    copy_parts (type->base, t, dst, src);
  for (size_t i = 0; i < type->n_fields; i++) {
    const RecordField *f = &type->fields[i];
    const void *from, *to;
    if (record_is_list (f->kind)) {
      copy_list (f, t, dst, src);
      continue;
    }
    if (f->kind != RECORD_TEXT && f->kind != RECORD_TEXT_OR_NULL && f->kind != RECORD_STRUCT)
      continue;
    from = record_pointer (src, f->offset);
    if (f->kind == RECORD_STRUCT) {
      to = from ? place (t, from, f->sub->size, alignof (max_align_t)) : NULL;
      if (from)
        copy_parts (f->sub, t, (void *)to, from);
    } else {
      to = place_text (t, from, f->kind == RECORD_TEXT_OR_NULL);
    }
    if (dst)
      *(const void **)record_at (dst, f->offset) = to;
  }
}

void *
record_pack (const RecordType *type, const void *src, size_t *size)
{
  Target t = {.used = type->size};

  copy_parts (type, &t, NULL, src);
  t.block = mem_resize (NULL, t.used);
  t.used = type->size;
  memcpy (t.block, src, type->size);
  copy_parts (type, &t, t.block, src);
  if (size)
    *size = t.used;
  return t.block;
}

void
record_copy (const RecordType *type, const void *src, void *dst, Arena *arena)
{
  Target t = {.arena = arena};

  memmove (dst, src, type->size);
  copy_parts (type, &t, dst, src);
}
