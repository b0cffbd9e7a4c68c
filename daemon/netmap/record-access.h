/* Where the fields of a record are in memory. Private to netmap/record*.c. */
#pragma once

#include "netmap/record.h"

static inline void *
record_at (const void *record, size_t offset)
{
  return (char *)record + offset;
}

static inline const void *
record_pointer (const void *record, size_t offset)
{
  return *(const void *const *)record_at (record, offset);
}

static inline size_t
record_count (const RecordField *f, const void *record)
{
  if (f->n_size == sizeof (uint16_t))
    return *(const uint16_t *)record_at (record, f->n);
  return *(const size_t *)record_at (record, f->n);
}

static inline bool
record_is_list (RecordKind kind)
{
  return kind >= RECORD_BYTES && kind <= RECORD_STRUCTS;
}

/* Bytes of a scalar, or of one element of a list or of the struct pointed to. */
size_t record_size_of (const RecordField *f);

/* The table of the elements of a list or of the struct pointed to; NULL when they are plain. */
const RecordType *record_element_type (const RecordField *f);
