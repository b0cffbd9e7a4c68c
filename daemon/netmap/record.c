#include "netmap/record.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "netmap/hostinfo.h"
#include "netmap/node.h"
#include "netmap/record-access.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- access ---- */

static void
set_list (const RecordField *f, void *record, const void *items, size_t count)
{
  *(const void **)record_at (record, f->offset) = items;
  if (f->n_size == sizeof (uint16_t))
    *(uint16_t *)record_at (record, f->n) = (uint16_t)count;
  else
    *(size_t *)record_at (record, f->n) = count;
}

static KeyKind
key_kind (RecordKind kind)
{
  switch (kind) {
    case RECORD_NODE_KEY:
      return KEY_NODE_PUBLIC;
    case RECORD_DISCO_KEY:
      return KEY_DISCO_PUBLIC;
    case RECORD_MACHINE_KEY:
      return KEY_MACHINE_PUBLIC;
    default:
      return KEY_LOCK_PUBLIC;
  }
}

void
record_init (const RecordType *type, void *out)
{
  if (type->base)
    record_init (type->base, out);
  for (size_t i = 0; i < type->n_fields; i++) {
    const RecordField *f = &type->fields[i];
    void *value = record_at (out, f->offset);
    if (f->has)
      *(bool *)record_at (out, f->has) = false;
    if (record_is_list (f->kind))
      set_list (f, out, NULL, 0);
    else if (f->kind == RECORD_STRUCT || f->kind == RECORD_TEXT_OR_NULL)
      *(void **)value = NULL;
    else if (f->kind == RECORD_TEXT)
      *(const char **)value = "";
    else if (f->kind == RECORD_TIME)
      *(WallTime *)value = wall_time_unset ();
    else if (f->kind == RECORD_TRI)
      *(Tri *)value = TRI_UNKNOWN;
    else
      memset (value, 0, record_size_of (f));
  }
}

/* ---- reading ---- */

void *
record_list_add (Arena *arena, void **items, size_t count, size_t *room, size_t size)
{
  if (count == *room) {
    size_t more = *room ? *room * 2 : 4;
    void *bigger = arena_alloc (arena, more * size);
    if (count > 0)
      memcpy (bigger, *items, count * size);
    *items = bigger;
    *room = more;
  }
  return (char *)*items + count * size;
}

const char *
record_text (JsonReader *r, Arena *arena)
{
  JsonString s = json_reader_string (r);

  return s.length ? arena_strndup (arena, s.text, s.length) : "";
}

static int
compare_caps (const void *a, const void *b)
{
  const NodeCap *x = a, *y = b;

  return strcmp (x->name, y->name);
}

/* The canonical text of the array that comes next; NULL when it is empty or null. */
static const char *
cap_values (JsonReader *r, Arena *arena)
{
  const char *kept = NULL;
  JsonWriter w;

  if (json_reader_null (r))
    return NULL;
  if (json_reader_peek (r) != JSON_ARRAY) {
    json_reader_fail (r, "a list of capability values was expected");
    return NULL;
  }
  json_writer_init (&w);
  json_writer_copy (&w, r);
  if (w.size > 2)
    kept = arena_strndup (arena, w.data, w.size);
  json_writer_clear (&w);
  return kept;
}

size_t
record_sort_caps (NodeCap *caps, size_t n)
{
  size_t kept = 0;

  if (n > 1)
    qsort (caps, n, sizeof *caps, compare_caps);
  for (size_t i = 0; i < n; i++)
    if (i + 1 == n || strcmp (caps[i].name, caps[i + 1].name) != 0)
      caps[kept++] = caps[i];
  return kept;
}

const NodeCap *
record_caps (JsonReader *r, Arena *arena, size_t *count)
{
  void *items = arena_alloc (arena, 0);
  size_t n = 0, room = 0;
  JsonString name;

  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    if (n == RECORD_LIST_MAX) {
      json_reader_fail (r, "too many capabilities");
      break;
    }
    NodeCap *cap = record_list_add (arena, &items, n, &room, sizeof *cap);
    cap->name = arena_strndup (arena, name.text, name.length);
    cap->values = cap_values (r, arena);
    n++;
  }
  *count = record_sort_caps (items, n);
  return items;
}

static const DerpLatency *
latencies (JsonReader *r, Arena *arena, size_t *count)
{
  void *items = arena_alloc (arena, 0);
  size_t n = 0, room = 0;
  JsonString name;

  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    DerpLatency latency = {0};
    bool fits = name.length < sizeof latency.region && n < NETINFO_LATENCIES_MAX;
    if (fits)
      memcpy (latency.region, name.text, name.length);
    latency.seconds = json_reader_double (r);
    if (fits && isfinite (latency.seconds)) {
      *(DerpLatency *)record_list_add (arena, &items, n, &room, sizeof latency) = latency;
      n++;
    }
  }
  *count = n;
  return items;
}

static const uint8_t *
bytes (JsonReader *r, Arena *arena, size_t *count)
{
  JsonString s = json_reader_string (r);
  uint8_t *data = arena_alloc (arena, s.length);
  ptrdiff_t n = base64_decode (s.text, s.length, data, s.length);

  *count = n > 0 ? (size_t)n : 0;
  return data;
}

/* One element of a list into OUT; false when its text does not parse. */
static bool
decode_element (const RecordField *f, JsonReader *r, Arena *arena, void *out)
{
  JsonString s;

  if (f->kind == RECORD_STRUCTS)
    return record_decode (f->sub, r, arena, out);
  if (f->kind == RECORD_TEXTS) {
    *(const char **)out = record_text (r, arena);
    return true;
  }
  s = json_reader_string (r);
  if (f->kind == RECORD_ADDRS)
    return ip_parse (s.text, s.length, out);
  if (f->kind == RECORD_PREFIXES)
    return ip_prefix_parse (s.text, s.length, out);
  return ip_port_parse (s.text, s.length, out);
}

static void
decode_list (const RecordField *f, JsonReader *r, Arena *arena, void *record)
{
  void *items = arena_alloc (arena, 0);
  size_t n = 0, room = 0, size = record_size_of (f);

  if (f->kind == RECORD_BYTES) {
    items = (void *)bytes (r, arena, &n);
  } else if (f->kind == RECORD_CAPS) {
    items = (void *)record_caps (r, arena, &n);
  } else if (f->kind == RECORD_LATENCIES) {
    items = (void *)latencies (r, arena, &n);
  } else {
    for (json_reader_enter_array (r); json_reader_next_element (r);) {
      void *element = record_list_add (arena, &items, n, &room, size);
      memset (element, 0, size);
      if (decode_element (f, r, arena, element))
        n++;
      if (n > RECORD_LIST_MAX)
        json_reader_fail (r, "a list is too long");
    }
  }
  if (n > RECORD_LIST_MAX) {
    json_reader_fail (r, "a list is too long");
    n = 0;
  }
  set_list (f, record, items, n);
}

static void
decode_number (const RecordField *f, JsonReader *r, void *out)
{
  if (f->kind == RECORD_DOUBLE) {
    double value = json_reader_double (r);
    *(double *)out = isfinite (value) ? value : 0;
    return;
  }
  int64_t value = json_reader_i64 (r);
  if (f->kind == RECORD_I64)
    *(int64_t *)out = value;
  else if (f->kind == RECORD_I32)
    *(int32_t *)out = value < INT32_MIN || value > INT32_MAX ? 0 : (int32_t)value;
  else
    *(uint16_t *)out = value < 0 || value > UINT16_MAX ? 0 : (uint16_t)value;
}

static void
decode_field (const RecordField *f, JsonReader *r, Arena *arena, void *record)
{
  void *out = record_at (record, f->offset);
  JsonString s;

  if (json_reader_null (r))
    return;
  if (f->has)
    *(bool *)record_at (record, f->has) = true;
  switch (f->kind) {
    case RECORD_BOOL:
      *(bool *)out = json_reader_bool (r);
      break;
    case RECORD_TRI:
      *(Tri *)out = json_reader_bool (r) ? TRI_TRUE : TRI_FALSE;
      break;
    case RECORD_U16:
    case RECORD_I32:
    case RECORD_I64:
    case RECORD_DOUBLE:
      decode_number (f, r, out);
      break;
    case RECORD_TEXT:
    case RECORD_TEXT_OR_NULL:
      *(const char **)out = record_text (r, arena);
      break;
    case RECORD_TIME:
      json_reader_time (r, out);
      break;
    case RECORD_NODE_KEY:
    case RECORD_DISCO_KEY:
    case RECORD_MACHINE_KEY:
    case RECORD_LOCK_KEY:
      json_reader_key (r, key_kind (f->kind), out);
      break;
    case RECORD_ADDR:
      s = json_reader_string (r);
      if (!ip_parse (s.text, s.length, out))
        *(IpAddr *)out = (IpAddr){0};
      break;
    case RECORD_STRUCT: {
      void *sub = arena_alloc (arena, f->sub->size);
      record_decode (f->sub, r, arena, sub);
      *(const void **)out = sub;
      break;
    }
    default:
      decode_list (f, r, arena, record);
      break;
  }
}

static const RecordField *
find_field (const RecordType *type, JsonString name)
{
  if (name.length == 0)
    return NULL;
  for (; type; type = type->base) {
    for (size_t i = 0; i < type->n_fields; i++) {
      const char *known = type->fields[i].name;
      if (known && known[0] == name.text[0] && json_string_equal (name, known))
        return &type->fields[i];
    }
  }
  return NULL;
}

bool
record_decode (const RecordType *type, JsonReader *r, Arena *arena, void *out)
{
  JsonString name;

  record_init (type, out);
  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    const RecordField *f = find_field (type, name);
    if (f)
      decode_field (f, r, arena, out);
    else if (!type->decode_other || !type->decode_other (name, r, arena, out))
      json_reader_skip (r);
  }
  return json_reader_ok (r);
}

/* ---- writing ---- */

static bool
is_empty (const RecordField *f, const void *record)
{
  const void *value = record_at (record, f->offset);
  static const uint8_t zeros[KEY_SIZE];

  if (f->has)
    return !*(const bool *)record_at (record, f->has);
  if (record_is_list (f->kind))
    return record_count (f, record) == 0;
  switch (f->kind) {
    case RECORD_TRI:
      return *(const Tri *)value == TRI_UNKNOWN;
    case RECORD_TIME:
      return wall_time_is_unset (*(const WallTime *)value);
    case RECORD_TEXT:
    case RECORD_TEXT_OR_NULL: {
      const char *text = record_pointer (record, f->offset);
      return !text || !*text;
    }
    case RECORD_STRUCT:
      return record_pointer (record, f->offset) == NULL;
    case RECORD_DOUBLE:
      return *(const double *)value == 0;
    default:
      return memcmp (value, zeros, record_size_of (f)) == 0;
  }
}

static void
encode_caps (const NodeCap *caps, size_t n, JsonWriter *w)
{
  json_writer_begin_object (w);
  for (size_t i = 0; i < n; i++) {
    json_writer_name (w, caps[i].name);
    if (caps[i].values)
      json_writer_raw (w, caps[i].values, strlen (caps[i].values));
    else
      json_writer_null (w);
  }
  json_writer_end_object (w);
}

static void
encode_latencies (const DerpLatency *list, size_t n, JsonWriter *w)
{
  json_writer_begin_object (w);
  for (size_t i = 0; i < n; i++) {
    json_writer_name (w, list[i].region);
    json_writer_double (w, list[i].seconds);
  }
  json_writer_end_object (w);
}

static void
encode_list (const RecordField *f, const void *record, JsonWriter *w)
{
  const char *items = record_pointer (record, f->offset);
  size_t n = record_count (f, record), size = record_size_of (f);

  if (f->kind == RECORD_BYTES && (n > 0 || f->has))
    json_writer_base64 (w, items, n);
  else if (f->kind == RECORD_BYTES)
    json_writer_null (w);
  else if (f->kind == RECORD_CAPS)
    encode_caps ((const NodeCap *)items, n, w);
  else if (f->kind == RECORD_LATENCIES)
    encode_latencies ((const DerpLatency *)items, n, w);
  if (f->kind == RECORD_BYTES || f->kind == RECORD_CAPS || f->kind == RECORD_LATENCIES)
    return;
  json_writer_begin_array (w);
  for (size_t i = 0; i < n; i++) {
    const void *item = items + i * size;
    if (f->kind == RECORD_STRUCTS)
      record_encode (f->sub, item, w);
    else if (f->kind == RECORD_TEXTS)
      json_writer_string (w, *(const char *const *)item);
    else if (f->kind == RECORD_ADDRS)
      json_writer_addr (w, item);
    else if (f->kind == RECORD_PREFIXES)
      json_writer_prefix (w, item);
    else
      json_writer_addr_port (w, item);
  }
  json_writer_end_array (w);
}

static void
encode_field (const RecordField *f, const void *record, JsonWriter *w)
{
  const void *value = record_at (record, f->offset);

  switch (f->kind) {
    case RECORD_BOOL:
      json_writer_bool (w, *(const bool *)value);
      break;
    case RECORD_TRI:
      if (*(const Tri *)value == TRI_UNKNOWN)
        json_writer_null (w);
      else
        json_writer_bool (w, *(const Tri *)value == TRI_TRUE);
      break;
    case RECORD_U16:
      json_writer_i64 (w, *(const uint16_t *)value);
      break;
    case RECORD_I32:
      json_writer_i64 (w, *(const int32_t *)value);
      break;
    case RECORD_I64:
      json_writer_i64 (w, *(const int64_t *)value);
      break;
    case RECORD_DOUBLE:
      json_writer_double (w, *(const double *)value);
      break;
    case RECORD_TEXT:
    case RECORD_TEXT_OR_NULL:
      json_writer_string (w, record_pointer (record, f->offset));
      break;
    case RECORD_TIME:
      json_writer_time (w, *(const WallTime *)value);
      break;
    case RECORD_NODE_KEY:
    case RECORD_DISCO_KEY:
    case RECORD_MACHINE_KEY:
    case RECORD_LOCK_KEY:
      json_writer_key (w, key_kind (f->kind), value);
      break;
    case RECORD_ADDR:
      json_writer_addr (w, value);
      break;
    case RECORD_STRUCT:
      if (record_pointer (record, f->offset))
        record_encode (f->sub, record_pointer (record, f->offset), w);
      else
        json_writer_null (w);
      break;
    default:
      encode_list (f, record, w);
      break;
  }
}

void
record_encode_members (const RecordType *type, const void *record, JsonWriter *w)
{
  if (type->base)
    record_encode_members (type->base, record, w);
  for (size_t i = 0; i < type->n_fields; i++) {
    const RecordField *f = &type->fields[i];
    if (!f->name || (!f->always && is_empty (f, record)))
      continue;
    json_writer_name (w, f->name);
    encode_field (f, record, w);
  }
}

void
record_encode (const RecordType *type, const void *record, JsonWriter *w)
{
  json_writer_begin_object (w);
  record_encode_members (type, record, w);
  json_writer_end_object (w);
}
