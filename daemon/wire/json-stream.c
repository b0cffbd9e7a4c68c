#include "base/memory.h"
#include "wire/json-reader.h"

#include <stdlib.h>
#include <string.h>

typedef enum
{
  AT_VALUE, /* a value must follow */
  AT_FIRST, /* behind an opening bracket */
  AT_NAME,  /* a member name must follow */
  IN_NAME,  /* within a member name */
  AT_COLON,
  BEGUN,      /* BEGIN was told; the caller has not answered */
  COLLECTING, /* within a value that the caller wants whole */
  DISCARDING, /* within a value that nobody wants */
  GIVEN,      /* VALUE was told */
  AT_COMMA,   /* behind a value of a container */
  FINISHED,
  FAILED,
} State;

struct JsonStream
{
  State state;
  const char *chunk; /* borrowed */
  size_t size, pos;
  uint64_t total;

  unsigned depth;   /* containers descended into */
  uint64_t objects; /* bit i: container i is an object */

  JsonType type; /* of the value that began */
  char *name;    /* decoded member name */
  size_t name_length;
  char *buffer; /* text of a name or value that spans chunks */
  size_t used, room;
  JsonString value;
  unsigned inner;   /* brackets open within the value being scanned */
  bool in_string;   /* the scan is within a string */
  bool after_slash; /* the last byte was the backslash of an escape */
  const char *error;
};

JsonStream *
json_stream_new (void)
{
  JsonStream *s = mem_new (sizeof *s);

  s->name = mem_new (1);
  return s;
}

void
json_stream_free (JsonStream *s)
{
  if (!s)
    return;
  free (s->name);
  free (s->buffer);
  free (s);
}

static JsonStreamEvent
fail (JsonStream *s, const char *error)
{
  s->state = FAILED;
  s->error = error;
  return JSON_STREAM_ERROR;
}

void
json_stream_feed (JsonStream *s, const void *data, size_t size)
{
  s->chunk = data;
  s->size = size;
  s->pos = 0;
  s->total += size;
  if (s->total > JSON_STREAM_MAX)
    fail (s, "the text is too long");
}

JsonType
json_stream_type (const JsonStream *s)
{
  return s->type;
}

static bool
in_object (const JsonStream *s)
{
  return s->depth > 0 && (s->objects >> (s->depth - 1) & 1) != 0;
}

JsonString
json_stream_name (const JsonStream *s)
{
  return in_object (s) ? (JsonString){s->name, s->name_length} : (JsonString){"", 0};
}

unsigned
json_stream_depth (const JsonStream *s)
{
  return s->depth;
}

JsonString
json_stream_value (const JsonStream *s)
{
  return s->value;
}

const char *
json_stream_error (const JsonStream *s)
{
  return s->error;
}

void
json_stream_descend (JsonStream *s)
{
  if (s->state != BEGUN || (s->type != JSON_ARRAY && s->type != JSON_OBJECT))
    return;
  if (s->depth >= JSON_DEPTH_MAX) {
    fail (s, "nested too deeply");
    return;
  }
  uint64_t bit = UINT64_C (1) << s->depth;
  s->objects = s->type == JSON_OBJECT ? s->objects | bit : s->objects & ~bit;
  s->depth++;
  s->pos++;
  s->state = AT_FIRST;
}

void
json_stream_discard (JsonStream *s)
{
  if (s->state == BEGUN)
    s->state = DISCARDING;
}

/* Keeps SIZE bytes at DATA behind those kept before; false when there are too many. */
static bool
keep (JsonStream *s, const char *data, size_t size, size_t limit)
{
  if (s->used + size > limit)
    return false;
  if (s->used + size > s->room) {
    s->room = s->room ? s->room : 1024;
    while (s->room < s->used + size)
      s->room *= 2;
    s->buffer = mem_resize (s->buffer, s->room);
  }
  if (size > 0)
    memcpy (s->buffer + s->used, data, size);
  s->used += size;
  return true;
}

/* Moves over a string's bytes up to and with its closing quote; true when that was found. */
static bool
scan_string (JsonStream *s)
{
  while (s->pos < s->size) {
    char c = s->chunk[s->pos++];
    if (s->after_slash)
      s->after_slash = false;
    else if (c == '\\')
      s->after_slash = true;
    else if (c == '"')
      return true;
  }
  return false;
}

/* Moves over the value that began; true when its end was found, which for words and numbers is
 * before the byte that cannot belong to them. */
static bool
scan_value (JsonStream *s)
{
  if (s->type != JSON_ARRAY && s->type != JSON_OBJECT && s->type != JSON_STRING) {
    for (; s->pos < s->size; s->pos++)
      if (strchr (",]} \t\r\n", s->chunk[s->pos]))
        return true;
    return false;
  }
  while (s->pos < s->size) {
    if (s->in_string) {
      if (!scan_string (s))
        return false;
      s->in_string = false;
      if (s->inner == 0)
        return true;
      continue;
    }
    char c = s->chunk[s->pos++];
    if (c == '"')
      s->in_string = true;
    else if (c == '[' || c == '{')
      s->inner++;
    else if ((c == ']' || c == '}') && --s->inner == 0)
      return true;
  }
  return false;
}

static JsonStreamEvent
begin (JsonStream *s)
{
  JsonReader r;

  json_reader_init (&r, s->chunk + s->pos, 1);
  s->type = json_reader_peek (&r);
  if (s->type == JSON_NONE)
    return fail (s, "a value was expected");
  if (s->depth == 0 && s->type != JSON_OBJECT && s->type != JSON_ARRAY)
    return fail (s, "an object was expected");
  s->state = BEGUN;
  s->used = 0;
  s->inner = 0;
  s->in_string = s->after_slash = false;
  return JSON_STREAM_BEGIN;
}

static JsonStreamEvent
collect (JsonStream *s)
{
  bool discard = s->state == DISCARDING;
  size_t start = s->pos;
  bool complete = scan_value (s);
  size_t size = s->pos - start;

  if (!discard && (!complete || s->used > 0) && !keep (s, s->chunk + start, size, JSON_VALUE_MAX))
    return fail (s, "a value is too long");
  if (!complete)
    return JSON_STREAM_MORE;
  if (discard) {
    s->state = s->depth == 0 ? FINISHED : AT_COMMA;
    return JSON_STREAM_VALUE;
  }
  s->value = s->used > 0 ? (JsonString){s->buffer, s->used} : (JsonString){s->chunk + start, size};
  s->state = GIVEN;
  return JSON_STREAM_VALUE;
}

/* Within a name, whose opening quote is taken. */
static JsonStreamEvent
read_name (JsonStream *s)
{
  size_t start = s->pos;
  bool complete = scan_string (s);
  JsonReader r;

  if (!keep (s, s->chunk + start, s->pos - start, JSON_KEY_MAX))
    return fail (s, "a member name is too long");
  if (!complete)
    return JSON_STREAM_MORE;
  json_reader_init (&r, s->buffer, s->used);
  JsonString name = json_reader_string (&r);
  bool good = json_reader_ok (&r);
  if (good) {
    free (s->name);
    s->name = mem_strndup (name.text, name.length);
    s->name_length = name.length;
  }
  json_reader_clear (&r);
  if (!good)
    return fail (s, "bad member name");
  s->state = AT_COLON;
  return JSON_STREAM_VALUE;
}

static JsonStreamEvent
leave (JsonStream *s)
{
  s->pos++;
  s->depth--;
  s->state = s->depth == 0 ? FINISHED : AT_COMMA;
  return JSON_STREAM_LEAVE;
}

/* Handles the byte C, which is not white space, between values. VALUE means "go on". */
static JsonStreamEvent
punctuation (JsonStream *s, char c)
{
  char close = in_object (s) ? '}' : ']';

  switch (s->state) {
    case AT_FIRST:
      if (c == close)
        return leave (s);
      s->state = in_object (s) ? AT_NAME : AT_VALUE;
      return JSON_STREAM_VALUE;
    case AT_NAME:
      if (c != '"')
        return fail (s, "a member name was expected");
      s->pos++;
      s->used = 0;
      s->after_slash = false;
      /* The reader wants the opening quote, too. */
      keep (s, "\"", 1, JSON_KEY_MAX);
      s->state = IN_NAME;
      return JSON_STREAM_VALUE;
    case AT_COLON:
      if (c != ':')
        return fail (s, "a colon was expected");
      s->pos++;
      s->state = AT_VALUE;
      return JSON_STREAM_VALUE;
    case AT_COMMA:
      if (c == close)
        return leave (s);
      if (c != ',')
        return fail (s, "a comma or the end of a list is missing");
      s->pos++;
      s->state = in_object (s) ? AT_NAME : AT_VALUE;
      return JSON_STREAM_VALUE;
    case FINISHED:
      return fail (s, "text behind the value");
    default:
      return begin (s);
  }
}

/* One step; VALUE with a state other than GIVEN means "go on". */
static JsonStreamEvent
step (JsonStream *s)
{
  switch (s->state) {
    case FAILED:
      return JSON_STREAM_ERROR;
    case BEGUN:
      s->state = COLLECTING;
      return JSON_STREAM_VALUE;
    case COLLECTING:
    case DISCARDING:
      return collect (s);
    case IN_NAME:
      return read_name (s);
    case GIVEN:
      s->state = s->depth == 0 ? FINISHED : AT_COMMA;
      return JSON_STREAM_VALUE;
    default:
      break;
  }
  while (s->pos < s->size && strchr (" \t\r\n", s->chunk[s->pos]) && s->chunk[s->pos])
    s->pos++;
  if (s->pos == s->size)
    return s->state == FINISHED ? JSON_STREAM_DONE : JSON_STREAM_MORE;
  return punctuation (s, s->chunk[s->pos]);
}

JsonStreamEvent
json_stream_next (JsonStream *s)
{
  JsonStreamEvent event;

  do
    event = step (s);
  while (event == JSON_STREAM_VALUE && s->state != GIVEN);
  return event;
}
