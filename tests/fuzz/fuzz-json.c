/* JSON texts: the reader, the stream in pieces of any size, and the writer's copy must agree. */
#include "wire/json-reader.h"
#include "wire/json-writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Writes the value in DATA without white space; NULL when it is none. */
static char *
canonical (const void *data, size_t size, size_t *length)
{
  JsonReader r;
  JsonWriter w;

  json_reader_init (&r, data, size);
  json_writer_init (&w);
  json_writer_copy (&w, &r);
  bool good = json_reader_end (&r);
  char *text = json_writer_take (&w, length);
  json_reader_clear (&r);
  if (good)
    return text;
  free (text);
  return NULL;
}

/* Descends where the name's length is even, discards where it is a multiple of five. */
static JsonStreamEvent
stream_all (const uint8_t *data, size_t size, size_t piece)
{
  JsonStream *s = json_stream_new ();
  JsonStreamEvent event = JSON_STREAM_MORE;

  for (size_t at = 0; at < size && event != JSON_STREAM_ERROR; at += piece) {
    json_stream_feed (s, data + at, size - at < piece ? size - at : piece);
    while ((event = json_stream_next (s)) != JSON_STREAM_MORE && event < JSON_STREAM_DONE) {
      size_t length = json_stream_name (s).length;
      if (event == JSON_STREAM_BEGIN && (json_stream_depth (s) == 0 || length % 2 == 0))
        json_stream_descend (s);
      else if (event == JSON_STREAM_BEGIN && length % 5 == 0)
        json_stream_discard (s);
    }
  }
  json_stream_free (s);
  return event;
}

/* Reads every value as what the first letter of its member's name says. */
static void
read_typed (JsonReader *r, char letter)
{
  JsonString name = {"", 0};
  NodePublic key;
  WallTime when;
  int64_t id;

  switch (letter) {
    case 'b':
      json_reader_bool (r);
      return;
    case 'i':
      json_reader_i64 (r);
      return;
    case 'd':
      json_reader_double (r);
      return;
    case 'k':
      json_reader_key (r, KEY_NODE_PUBLIC, &key);
      return;
    case 's':
      json_reader_skip (r);
      return;
    case 't':
      json_reader_time (r, &when);
      return;
    case 'a':
      for (json_reader_enter_array (r); json_reader_next_element (r);)
        read_typed (r, 'o');
      return;
    default:
      for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
        json_string_i64 (name, &id);
        read_typed (r, name.length > 0 && !json_string_equal (name, "object") ? name.text[0] : 'o');
      }
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  JsonReader r;
  size_t length, again_length;
  char *text = canonical (data, size, &length), *again;
  JsonStreamEvent whole = stream_all (data, size, size ? size : 1);

  json_reader_init (&r, data, size);
  read_typed (&r, 'o');
  json_reader_clear (&r);
  assert (stream_all (data, size, 1) == whole);
  assert (stream_all (data, size, 7) == whole);
  if (!text)
    return 0;
  again = canonical (text, length, &again_length);
  assert (again && length == again_length && memcmp (text, again, length) == 0);
  if (text[0] == '{' || text[0] == '[')
    assert (whole == JSON_STREAM_DONE);
  free (text);
  free (again);
  return 0;
}
