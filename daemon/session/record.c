#include "session/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
record_reader_init (RecordReader *r, const void *data, size_t size, unsigned format)
{
  memset (r, 0, sizeof *r);
  r->bytes = byte_reader (data, size);
  r->format = format;
  if (size > RECORD_FILE_MAX)
    r->bytes.failed = true;
}

/* Reads the raw line up to its newline. */
static const uint8_t *
next_line (ByteReader *bytes, size_t *length)
{
  size_t left = byte_reader_left (bytes);
  if (left == 0)
    return NULL;
  const uint8_t *start = bytes->data + bytes->pos;
  const uint8_t *newline = memchr (start, '\n', left);
  if (!newline)
    return NULL;
  *length = (size_t)(newline - start);
  byte_reader_skip (bytes, *length + 1);
  return start;
}

static bool
decode_value (RecordReader *r, const uint8_t *text, size_t length)
{
  ByteReader in = byte_reader (text, length);
  size_t out = 0;
  while (byte_reader_left (&in) > 0) {
    uint8_t c = byte_reader_u8 (&in);
    if (c == '%') {
      const uint8_t *digits = byte_reader_take (&in, 2);
      if (!digits || !hex_decode ((const char *)digits, 2, &c, 1))
        return false;
    } else if (c < 0x20 || c == 0x7f) {
      return false;
    }
    if (c == 0 || out + 1 >= sizeof r->value)
      return false;
    r->value[out++] = (char)c;
  }
  r->value[out] = '\0';
  r->value_length = out;
  return true;
}

static bool
split_line (RecordReader *r, const uint8_t *line, size_t length)
{
  const uint8_t *space = memchr (line, ' ', length);
  size_t name_length = space ? (size_t)(space - line) : length;
  if (name_length == 0 || name_length >= sizeof r->name)
    return false;
  for (size_t i = 0; i < name_length; i++)
    if (!((line[i] >= 'a' && line[i] <= 'z') || line[i] == '-'))
      return false;
  memcpy (r->name, line, name_length);
  r->name[name_length] = '\0';
  if (!space) {
    r->value[0] = '\0';
    r->value_length = 0;
    return true;
  }
  return decode_value (r, space + 1, length - name_length - 1);
}

RecordResult
record_reader_next (RecordReader *r)
{
  size_t length = 0;
  const uint8_t *line = next_line (&r->bytes, &length);
  if (!line || !split_line (r, line, length))
    return RECORD_DAMAGED;
  if (!r->begun) {
    char *end = NULL;
    unsigned long format = strtoul (r->value, &end, 10);
    if (strcmp (r->name, "format") != 0 || r->value_length == 0 || *end != '\0')
      return RECORD_DAMAGED;
    if (format != r->format)
      return RECORD_UNKNOWN_FORMAT;
    r->begun = true;
    return record_reader_next (r);
  }
  if (strcmp (r->name, "end") == 0)
    return byte_reader_left (&r->bytes) == 0 ? RECORD_END : RECORD_DAMAGED;
  return RECORD_FIELD;
}

void
record_begin (ByteWriter *w, unsigned format)
{
  record_field_i64 (w, "format", format);
}

void
record_field (ByteWriter *w, const char *name, const char *value)
{
  static const char digits[] = "0123456789abcdef";
  size_t length = strlen (value);
  if (length >= RECORD_VALUE_MAX) {
    w->failed = true;
    return;
  }
  byte_writer_copy (w, name, strlen (name));
  byte_writer_u8 (w, ' ');
  for (size_t i = 0; i < length; i++) {
    uint8_t c = (uint8_t)value[i];
    if (c >= 0x20 && c != 0x7f && c != '%') {
      byte_writer_u8 (w, c);
      continue;
    }
    byte_writer_u8 (w, '%');
    byte_writer_u8 (w, (uint8_t)digits[c >> 4]);
    byte_writer_u8 (w, (uint8_t)digits[c & 15]);
  }
  byte_writer_u8 (w, '\n');
}

void
record_field_i64 (ByteWriter *w, const char *name, int64_t value)
{
  char text[24];
  snprintf (text, sizeof text, "%" PRId64, value);
  record_field (w, name, text);
}

void
record_end (ByteWriter *w)
{
  byte_writer_copy (w, "end\n", 4);
}
