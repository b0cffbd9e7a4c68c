#include "wire/json-reader.h"

#include "base/memory.h"
#include "wire/json-utf8.h"

#include <stdlib.h>
#include <string.h>

void
json_reader_init (JsonReader *r, const void *data, size_t size)
{
  *r = (JsonReader){.data = data, .size = size};
}

void
json_reader_clear (JsonReader *r)
{
  free (r->scratch);
  r->scratch = NULL;
  r->scratch_size = 0;
}

bool
json_reader_ok (const JsonReader *r)
{
  return r->error == NULL;
}

void
json_reader_fail (JsonReader *r, const char *error)
{
  if (!r->error)
    r->error = error;
}

/* The next byte that is not white space, not taken; 0 at the end or when failed. */
static char
next_byte (JsonReader *r)
{
  if (r->error)
    return 0;
  while (r->pos < r->size) {
    char c = r->data[r->pos];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
      return c;
    r->pos++;
  }
  return 0;
}

bool
json_reader_end (JsonReader *r)
{
  if (!r->error && (next_byte (r) != 0 || r->pos < r->size))
    json_reader_fail (r, "text behind the value");
  return r->error == NULL;
}

JsonType
json_reader_peek (JsonReader *r)
{
  switch (next_byte (r)) {
    case 'n':
      return JSON_NULL;
    case 't':
    case 'f':
      return JSON_BOOL;
    case '"':
      return JSON_STRING;
    case '[':
      return JSON_ARRAY;
    case '{':
      return JSON_OBJECT;
    case '-':
    case '0' ... '9':
      return JSON_NUMBER;
    default:
      return JSON_NONE;
  }
}

static bool
take_word (JsonReader *r, const char *word)
{
  size_t n = strlen (word);

  if (r->size - r->pos < n || memcmp (r->data + r->pos, word, n) != 0) {
    json_reader_fail (r, "unknown word");
    return false;
  }
  r->pos += n;
  return true;
}

bool
json_reader_null (JsonReader *r)
{
  return json_reader_peek (r) == JSON_NULL && take_word (r, "null");
}

/* ---- containers ---- */

static void
enter (JsonReader *r, char open, const char *error)
{
  r->null_open = false;
  if (json_reader_null (r)) {
    r->null_open = true;
    return;
  }
  if (next_byte (r) != open) {
    json_reader_fail (r, error);
    return;
  }
  if (r->depth >= JSON_DEPTH_MAX) {
    json_reader_fail (r, "nested too deeply");
    return;
  }
  r->pos++;
  r->depth++;
  r->first = true;
}

/* True when one more member or element follows; its separator is taken then, else the end is. */
static bool
more (JsonReader *r, char close)
{
  if (r->null_open) {
    r->null_open = false;
    r->first = false;
    return false;
  }
  char c = next_byte (r);
  if (c == close && c != 0) {
    r->pos++;
    r->depth--;
    r->first = false;
    return false;
  }
  if (!r->first) {
    if (c != ',') {
      json_reader_fail (r, "a comma or the end of a list is missing");
      return false;
    }
    r->pos++;
  }
  r->first = false;
  return r->error == NULL;
}

void
json_reader_enter_object (JsonReader *r)
{
  enter (r, '{', "an object was expected");
}

void
json_reader_enter_array (JsonReader *r)
{
  enter (r, '[', "an array was expected");
}

bool
json_reader_next_element (JsonReader *r)
{
  return more (r, ']');
}

bool
json_reader_next_member (JsonReader *r, JsonString *name)
{
  *name = (JsonString){"", 0};
  if (!more (r, '}'))
    return false;
  if (next_byte (r) != '"') {
    json_reader_fail (r, "a member name was expected");
    return false;
  }
  *name = json_reader_string (r);
  if (next_byte (r) != ':')
    json_reader_fail (r, "a colon was expected");
  else
    r->pos++;
  return r->error == NULL;
}

/* ---- strings ---- */

static int
hex_value (char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \uXXXX at POS, or -1. */
static int32_t
hex4 (const JsonReader *r, size_t pos)
{
  int32_t value = 0;

  if (r->size - pos < 4)
    return -1;
  for (size_t i = 0; i < 4; i++) {
    int digit = hex_value (r->data[pos + i]);
    if (digit < 0)
      return -1;
    value = value << 4 | digit;
  }
  return value;
}

/* Reads the escape whose letter is at pos; a character, or U+FFFD with the reader failed. */
static uint32_t
take_escape (JsonReader *r)
{
  static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  char c = r->pos < r->size ? r->data[r->pos++] : 0;
  const char *simple = c ? strchr (letters, c) : NULL;

  if (simple)
    return (uint8_t)values[simple - letters];
  int32_t code = c == 'u' ? hex4 (r, r->pos) : -1;
  if (code < 0) {
    json_reader_fail (r, "bad escape in a string");
    return UTF8_REPLACEMENT;
  }
  r->pos += 4;
  if (code >= 0xd800 && code < 0xdc00 && r->size - r->pos >= 6 && r->data[r->pos] == '\\'
      && r->data[r->pos + 1] == 'u') {
    int32_t low = hex4 (r, r->pos + 2);
    if (low >= 0xdc00 && low < 0xe000) {
      r->pos += 6;
      return 0x10000u + ((uint32_t)code - 0xd800u) * 0x400u + ((uint32_t)low - 0xdc00u);
    }
  }
  return code == 0 ? UTF8_REPLACEMENT : (uint32_t)code;
}

/* The rest of a string that starts at START and is not plain ASCII, put together in scratch. */
static JsonString
slow_string (JsonReader *r, size_t start)
{
  size_t n = 0;

  r->pos = start;
  for (;;) {
    uint8_t c = r->pos < r->size ? (uint8_t)r->data[r->pos] : 0;
    uint32_t code = c;
    size_t used = 1;
    if (c == '"')
      break;
    if (c < 0x20) {
      json_reader_fail (r, "a string does not end, or has a control character");
      return (JsonString){"", 0};
    }
    if (c == '\\') {
      r->pos++;
      code = take_escape (r);
      used = 0;
    } else if (c >= 0x80) {
      code = utf8_read ((const uint8_t *)r->data + r->pos, r->size - r->pos, &used);
    }
    r->pos += used;
    if (n + UTF8_MAX > r->scratch_size) {
      r->scratch_size = r->scratch_size ? r->scratch_size * 2 : 256;
      r->scratch = mem_resize (r->scratch, r->scratch_size);
    }
    n += utf8_write (code, r->scratch + n);
  }
  r->pos++;
  return r->error ? (JsonString){"", 0} : (JsonString){n ? r->scratch : "", n};
}

JsonString
json_reader_string (JsonReader *r)
{
  if (json_reader_null (r))
    return (JsonString){"", 0};
  if (next_byte (r) != '"') {
    json_reader_fail (r, "a string was expected");
    return (JsonString){"", 0};
  }
  size_t start = ++r->pos;
  while (r->pos < r->size) {
    uint8_t c = (uint8_t)r->data[r->pos];
    if (c == '"')
      return (JsonString){r->data + start, r->pos++ - start};
    if (c == '\\' || c < 0x20 || c >= 0x80)
      break;
    r->pos++;
  }
  return slow_string (r, start);
}

bool
json_string_equal (JsonString s, const char *text)
{
  return strlen (text) == s.length && memcmp (s.text, text, s.length) == 0;
}

/* ---- scalars ---- */

bool
json_reader_bool (JsonReader *r)
{
  char c = next_byte (r);

  if (c == 't')
    return take_word (r, "true");
  if (c == 'f')
    take_word (r, "false");
  else if (!json_reader_null (r))
    json_reader_fail (r, "true or false was expected");
  return false;
}

/* Takes digits at pos; how many. */
static size_t
take_digits (JsonReader *r)
{
  size_t start = r->pos;

  while (r->pos < r->size && r->data[r->pos] >= '0' && r->data[r->pos] <= '9')
    r->pos++;
  return r->pos - start;
}

static bool
at (const JsonReader *r, char c)
{
  return r->pos < r->size && r->data[r->pos] == c;
}

JsonString
json_reader_number (JsonReader *r)
{
  bool good = json_reader_peek (r) == JSON_NUMBER;
  size_t start = r->pos;

  if (good && at (r, '-'))
    r->pos++;
  bool zero = at (r, '0');
  size_t digits = good ? take_digits (r) : 0;
  good = digits > 0 && (!zero || digits == 1);
  if (good && at (r, '.')) {
    r->pos++;
    good = take_digits (r) > 0;
  }
  if (good && (at (r, 'e') || at (r, 'E'))) {
    r->pos++;
    if (at (r, '+') || at (r, '-'))
      r->pos++;
    good = take_digits (r) > 0;
  }
  if (!good) {
    json_reader_fail (r, "a number was expected");
    return (JsonString){"", 0};
  }
  return (JsonString){r->data + start, r->pos - start};
}

bool
json_string_i64 (JsonString s, int64_t *out)
{
  bool negative = s.length > 0 && s.text[0] == '-';
  size_t i = negative;
  int64_t value = 0;

  if (i == s.length)
    return false;
  for (; i < s.length; i++) {
    if (s.text[i] < '0' || s.text[i] > '9' || __builtin_mul_overflow (value, 10, &value)
        || __builtin_sub_overflow (value, s.text[i] - '0', &value))
      return false;
  }
  if (!negative && value == INT64_MIN)
    return false;
  *out = negative ? value : -value;
  return true;
}

int64_t
json_reader_i64 (JsonReader *r)
{
  int64_t value = 0;

  if (json_reader_null (r))
    return 0;
  JsonString text = json_reader_number (r);
  if (!r->error && !json_string_i64 (text, &value))
    json_reader_fail (r, "a whole number of 64 bits was expected");
  return r->error ? 0 : value;
}

/* TEXT has the grammar of a JSON number. Not strtod, which asks the locale what a point is. */
static double
parse_double (JsonString text)
{
  uint64_t mantissa = 0;
  long exponent = 0, written = 0;
  bool fraction = false, negative = text.text[0] == '-';
  size_t i = negative;

  for (; i < text.length && (text.text[i] | 0x20) != 'e'; i++) {
    if (text.text[i] == '.') {
      fraction = true;
    } else if (mantissa < UINT64_MAX / 10 - 1) {
      mantissa = mantissa * 10 + (uint64_t)(text.text[i] - '0');
      exponent -= fraction;
    } else {
      exponent += !fraction;
    }
  }
  bool minus = i + 1 < text.length && text.text[i + 1] == '-';
  for (; i < text.length; i++)
    if (text.text[i] >= '0' && text.text[i] <= '9' && written < 100000)
      written = written * 10 + (text.text[i] - '0');
  exponent += minus ? -written : written;
  long double value = (long double)mantissa;
  for (; exponent > 0 && value != 0 && value < 1e4000L; exponent--)
    value *= 10;
  long double divisor = 1;
  for (; exponent < 0 && value != 0 && divisor < 1e4000L; exponent++)
    divisor *= 10;
  value /= divisor;
  return (double)(negative ? -value : value);
}

double
json_reader_double (JsonReader *r)
{
  if (json_reader_null (r))
    return 0;
  JsonString text = json_reader_number (r);
  return r->error ? 0 : parse_double (text);
}

void
json_reader_skip (JsonReader *r)
{
  JsonString name;

  switch (json_reader_peek (r)) {
    case JSON_NULL:
      json_reader_null (r);
      break;
    case JSON_BOOL:
      json_reader_bool (r);
      break;
    case JSON_NUMBER:
      json_reader_number (r);
      break;
    case JSON_STRING:
      json_reader_string (r);
      break;
    case JSON_ARRAY:
      for (json_reader_enter_array (r); json_reader_next_element (r);)
        json_reader_skip (r);
      break;
    case JSON_OBJECT:
      for (json_reader_enter_object (r); json_reader_next_member (r, &name);)
        json_reader_skip (r);
      break;
    case JSON_NONE:
      json_reader_fail (r, "a value was expected");
      break;
  }
}

bool
json_reader_key (JsonReader *r, KeyKind kind, void *out)
{
  size_t size = kind == KEY_LOCK_PRIVATE ? LOCK_PRIVATE_SIZE : KEY_SIZE;
  JsonString text = json_reader_string (r);

  if (key_parse (kind, text.text, text.length, out))
    return true;
  memset (out, 0, size);
  return false;
}

bool
json_reader_time (JsonReader *r, WallTime *out)
{
  JsonString text = json_reader_string (r);

  if (wall_time_parse (text.text, text.length, out))
    return true;
  *out = wall_time_unset ();
  return false;
}
