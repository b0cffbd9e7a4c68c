/* Structs that travel as JSON objects: one table per struct says it all.
 *
 * From the table come the reader, the writer, the comparison and the deep copy into a single
 * allocation, so that no field can be forgotten in one of them. What a table cannot say (maps by
 * id, old spellings) is done by hand beside it. Private to netmap/. Any thread. */
#pragma once

#include "base/arena.h"
#include "wire/json-reader.h"
#include "wire/json-writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_LIST_MAX 65535 /* elements of one list */

typedef enum
{
  RECORD_BOOL,         /* bool */
  RECORD_TRI,          /* Tri */
  RECORD_U16,          /* uint16_t; out of range reads as 0 */
  RECORD_I32,          /* int32_t; out of range reads as 0 */
  RECORD_I64,          /* int64_t */
  RECORD_DOUBLE,       /* double; not finite reads as 0 */
  RECORD_TEXT,         /* const char *, "" when absent */
  RECORD_TEXT_OR_NULL, /* const char *, NULL when absent */
  RECORD_TIME,         /* WallTime */
  RECORD_NODE_KEY,     /* NodePublic */
  RECORD_DISCO_KEY,    /* DiscoPublic */
  RECORD_MACHINE_KEY,  /* MachinePublic */
  RECORD_LOCK_KEY,     /* LockPublic */
  RECORD_ADDR,         /* IpAddr */
  /* Lists: a pointer and a count. The pointer is NULL when the list is absent and not when it is
   * empty; texts that do not parse are left out. */
  RECORD_BYTES,      /* const uint8_t *, base64 */
  RECORD_TEXTS,      /* const char *const * */
  RECORD_ADDRS,      /* const IpAddr * */
  RECORD_PREFIXES,   /* const IpPrefix * */
  RECORD_ADDR_PORTS, /* const IpPort * */
  RECORD_CAPS,       /* const NodeCap *, an object on the wire; sorted by name */
  RECORD_LATENCIES,  /* const DerpLatency *, an object on the wire */
  RECORD_PLAIN,      /* const SUB *, without pointers and padding; not on the wire by itself */
  RECORD_STRUCTS,    /* const SUB * */
  RECORD_STRUCT,     /* const SUB *, no count, NULL when absent */
} RecordKind;

typedef struct RecordType RecordType;

typedef struct
{
  const char *name; /* member name; NULL: not on the wire by itself */
  RecordKind kind;
  bool always;     /* written even when empty */
  uint16_t offset; /* of the value in the struct */
  uint16_t n;      /* of a list's count */
  uint8_t n_size;  /* bytes of the count: 2, or sizeof (size_t) */
  uint16_t has;    /* of a bool that says whether it was given (not null); 0: none */
  uint32_t change; /* bits for record_diff */
  const RecordType *sub;
} RecordField;

struct RecordType
{
  const RecordField *fields;
  size_t n_fields;
  size_t size;
  const RecordType *base; /* the struct begins with one of this type; NULL: it does not */
  /* Takes the value of a member that the table does not know; false, and nothing taken, when it
   * does not know it either. NULL: no such members. NAME is valid until a text is read. */
  bool (*decode_other) (JsonString name, JsonReader *r, Arena *arena, void *out);
};

#define RECORD(Type, kind_, member, name_, ...)                                                    \
  {                                                                                                \
    .name = (name_), .kind = (kind_), .offset = offsetof (Type, member), __VA_ARGS__               \
  }
#define RECORD_N(Type, kind_, member, n_member, name_, ...)                                        \
  {                                                                                                \
    .name = (name_), .kind = (kind_), .offset = offsetof (Type, member),                           \
    .n = offsetof (Type, n_member), .n_size = sizeof (((Type *)0)->n_member), __VA_ARGS__          \
  }
#define RECORD_TYPE(Type, fields_, ...)                                                            \
  {                                                                                                \
    .fields = (fields_), .n_fields = sizeof (fields_) / sizeof *(fields_), .size = sizeof (Type),  \
    __VA_ARGS__                                                                                    \
  }

/* Gives every field of OUT its empty value. Members outside the table stay as they are. */
void record_init (const RecordType *type, void *out);

/* Reads one object into OUT (which is initialised first), texts and lists into ARENA; null reads as
 * empty. False: the reader is failed. */
bool record_decode (const RecordType *type, JsonReader *r, Arena *arena, void *out);

/* The members of a struct, or all of it with braces. */
void record_encode_members (const RecordType *type, const void *record, JsonWriter *w);
void record_encode (const RecordType *type, const void *record, JsonWriter *w);

/* The change bits of fields that differ; 1 for a field without bits. */
uint32_t record_diff (const RecordType *type, const void *a, const void *b);

/* SRC and everything it points to in one allocation of *SIZE bytes (may be NULL). Texts that are
 * NULL become "", except in RECORD_TEXT_OR_NULL. */
void *record_pack (const RecordType *type, const void *src, size_t *size);

/* The same with the parts in ARENA and the struct at DST. */
void record_copy (const RecordType *type, const void *src, void *dst, Arena *arena);

/* A list that grows in an arena: a zeroed element of SIZE bytes behind COUNT. */
void *record_list_add (Arena *arena, void **items, size_t count, size_t *room, size_t size);

/* A text of the reader, kept in ARENA. */
const char *record_text (JsonReader *r, Arena *arena);

/* Capabilities out of an object {name: [values] or null}, sorted, one of each name. */
const struct NodeCap *record_caps (JsonReader *r, Arena *arena, size_t *count);

/* Puts N capabilities in the order of their names, each once; returns how many are left. */
size_t record_sort_caps (struct NodeCap *caps, size_t n);
