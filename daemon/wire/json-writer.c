#include "wire/json-writer.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/json-utf8.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
json_writer_init (JsonWriter *w)
{
  *w = (JsonWriter){0};
}

void
json_writer_clear (JsonWriter *w)
{
  free (w->data);
  *w = (JsonWriter){0};
}

/* SIZE bytes of room at the end, plus one for the NUL. */
static char *
reserve (JsonWriter *w, size_t size)
{
  if (w->size + size + 1 > w->room) {
    w->room = w->room ? w->room : 256;
    while (w->room < w->size + size + 1)
      w->room *= 2;
    w->data = mem_resize (w->data, w->room);
  }
  return w->data + w->size;
}

static void
append (JsonWriter *w, const char *text, size_t size)
{
  char *end = reserve (w, size);

  if (size > 0)
    memcpy (end, text, size);
  end[size] = '\0';
  w->size += size;
}

char *
json_writer_take (JsonWriter *w, size_t *size)
{
  assert (w->depth == 0);
  reserve (w, 0)[0] = '\0';
  char *text = w->data;
  if (size)
    *size = w->size;
  *w = (JsonWriter){0};
  return text;
}

/* Before a value or a member name. */
static void
separate (JsonWriter *w)
{
  if (w->comma)
    append (w, ",", 1);
  w->comma = true;
}

static void
begin (JsonWriter *w, const char *open)
{
  separate (w);
  append (w, open, 1);
  w->comma = false;
  w->depth++;
}

static void
end (JsonWriter *w, const char *close)
{
  assert (w->depth > 0);
  w->depth--;
  append (w, close, 1);
  w->comma = true;
}

void
json_writer_begin_object (JsonWriter *w)
{
  begin (w, "{");
}

void
json_writer_end_object (JsonWriter *w)
{
  end (w, "}");
}

void
json_writer_begin_array (JsonWriter *w)
{
  begin (w, "[");
}

void
json_writer_end_array (JsonWriter *w)
{
  end (w, "]");
}

/* One character that cannot stand in a string as it is. */
static void
append_escaped (JsonWriter *w, uint8_t c)
{
  static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
  const char *found = c ? strchr (letters, c) : NULL;
  char text[8];

  if (found)
    snprintf (text, sizeof text, "\\%c", names[found - letters]);
  else
    snprintf (text, sizeof text, "\\u%04x", c);
  append (w, text, strlen (text));
}

static void
append_quoted (JsonWriter *w, const char *text, size_t length)
{
  size_t plain = 0, used;

  append (w, "\"", 1);
  for (size_t i = 0; i < length; i += used) {
    uint8_t c = (uint8_t)text[i];
    used = 1;
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\')
      continue;
    append (w, text + plain, i - plain);
    if (c < 0x80) {
      append_escaped (w, c);
    } else {
      char utf8[UTF8_MAX];
      uint32_t code = utf8_read ((const uint8_t *)text + i, length - i, &used);
      append (w, utf8, utf8_write (code, utf8));
    }
    plain = i + used;
  }
  append (w, text + plain, length - plain);
  append (w, "\"", 1);
}

void
json_writer_name_n (JsonWriter *w, const char *name, size_t length)
{
  separate (w);
  append_quoted (w, name, length);
  append (w, ":", 1);
  w->comma = false;
}

void
json_writer_name (JsonWriter *w, const char *name)
{
  json_writer_name_n (w, name, strlen (name));
}

void
json_writer_name_i64 (JsonWriter *w, int64_t name)
{
  char text[24];

  snprintf (text, sizeof text, "%lld", (long long)name);
  json_writer_name (w, text);
}

void
json_writer_raw (JsonWriter *w, const char *text, size_t length)
{
  separate (w);
  append (w, text, length);
}

void
json_writer_null (JsonWriter *w)
{
  json_writer_raw (w, "null", 4);
}

void
json_writer_bool (JsonWriter *w, bool value)
{
  if (value)
    json_writer_raw (w, "true", 4);
  else
    json_writer_raw (w, "false", 5);
}

void
json_writer_i64 (JsonWriter *w, int64_t value)
{
  char text[24];
  int n = snprintf (text, sizeof text, "%lld", (long long)value);

  json_writer_raw (w, text, (size_t)n);
}

void
json_writer_double (JsonWriter *w, double value)
{
  char text[40];
  int n = 0;

  if (!isfinite (value)) {
    json_writer_null (w);
    return;
  }
  for (int digits = 6; digits <= 17; digits++) {
    n = snprintf (text, sizeof text, "%.*g", digits, value);
    if (strtod (text, NULL) == value)
      break;
  }
  /* The locale may have another decimal point. */
  for (int i = 0; i < n; i++)
    if (!strchr ("0123456789+-e", text[i]))
      text[i] = '.';
  json_writer_raw (w, text, (size_t)n);
}

void
json_writer_string_n (JsonWriter *w, const char *text, size_t length)
{
  separate (w);
  append_quoted (w, text, length);
}

void
json_writer_string (JsonWriter *w, const char *text)
{
  json_writer_string_n (w, text ? text : "", text ? strlen (text) : 0);
}

void
json_writer_copy (JsonWriter *w, JsonReader *r)
{
  JsonString text;

  switch (json_reader_peek (r)) {
    case JSON_BOOL:
      json_writer_bool (w, json_reader_bool (r));
      break;
    case JSON_NUMBER:
      text = json_reader_number (r);
      json_writer_raw (w, json_reader_ok (r) ? text.text : "null",
                       json_reader_ok (r) ? text.length : 4);
      break;
    case JSON_STRING:
      text = json_reader_string (r);
      json_writer_string_n (w, text.text, text.length);
      break;
    case JSON_ARRAY:
      json_writer_begin_array (w);
      for (json_reader_enter_array (r); json_reader_next_element (r);)
        json_writer_copy (w, r);
      json_writer_end_array (w);
      break;
    case JSON_OBJECT:
      json_writer_begin_object (w);
      for (json_reader_enter_object (r); json_reader_next_member (r, &text);) {
        json_writer_name_n (w, text.text, text.length);
        json_writer_copy (w, r);
      }
      json_writer_end_object (w);
      break;
    default:
      if (!json_reader_null (r))
        json_reader_fail (r, "a value was expected");
      json_writer_null (w);
      break;
  }
}

/* ---- values with a text form ---- */

void
json_writer_key (JsonWriter *w, KeyKind kind, const void *key)
{
  char text[KEY_TEXT_MAX];

  key_format (kind, key, text);
  json_writer_string (w, text);
}

void
json_writer_time (JsonWriter *w, WallTime time)
{
  char text[WALL_TIME_TEXT_MAX];

  wall_time_format (time, text);
  json_writer_string (w, text);
}

void
json_writer_addr (JsonWriter *w, const IpAddr *addr)
{
  char text[IP_TEXT_MAX] = "";

  if (addr->family != 0)
    ip_format (addr, text);
  json_writer_string (w, text);
}

void
json_writer_addr_port (JsonWriter *w, const IpPort *ap)
{
  char text[IP_PORT_TEXT_MAX];

  ip_port_format (ap, text);
  json_writer_string (w, text);
}

void
json_writer_prefix (JsonWriter *w, const IpPrefix *prefix)
{
  char text[IP_PREFIX_TEXT_MAX];

  ip_prefix_format (prefix, text);
  json_writer_string (w, text);
}

void
json_writer_base64 (JsonWriter *w, const void *data, size_t size)
{
  size_t length = base64_encoded_size (size);

  separate (w);
  append (w, "\"", 1);
  base64_encode (data, size, reserve (w, length + 1));
  w->size += length;
  append (w, "\"", 1);
}

/* ---- members that may be left out ---- */

void
json_writer_opt_string (JsonWriter *w, const char *name, const char *value)
{
  if (!value || !*value)
    return;
  json_writer_name (w, name);
  json_writer_string (w, value);
}

void
json_writer_opt_i64 (JsonWriter *w, const char *name, int64_t value)
{
  if (value == 0)
    return;
  json_writer_name (w, name);
  json_writer_i64 (w, value);
}

void
json_writer_opt_bool (JsonWriter *w, const char *name, bool value)
{
  if (!value)
    return;
  json_writer_name (w, name);
  json_writer_bool (w, true);
}

void
json_writer_opt_time (JsonWriter *w, const char *name, WallTime value)
{
  if (wall_time_is_unset (value))
    return;
  json_writer_name (w, name);
  json_writer_time (w, value);
}

void
json_writer_opt_key (JsonWriter *w, const char *name, KeyKind kind, const void *key)
{
  if (key_is_zero (key, KEY_SIZE))
    return;
  json_writer_name (w, name);
  json_writer_key (w, kind, key);
}
