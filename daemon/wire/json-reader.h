/* JSON input without a document tree, in two layers.
 *
 * JsonReader walks one complete value: the caller says what it expects next, and the first thing
 * that is not as expected makes the reader "failed" for good, with a reason. JsonStream cuts a long
 * text that arrives in chunks into such values, so that a map of 10,000 peers needs the memory of
 * one peer (RFC 8259; spec/netmap-and-policy.md A.1). Strings come out as UTF-8 without NUL:
 * whatever is not becomes U+FFFD. Integers are exact 64-bit. Depth and sizes are limited. Any
 * thread; one owner. */
#pragma once

#include "base/key.h"
#include "base/wall-time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX  64                     /* nested containers */
#define JSON_VALUE_MAX  (64 * 1024 * 1024)     /* bytes of one value that a stream collects */
#define JSON_KEY_MAX    1024                   /* bytes of a member name in a stream */
#define JSON_STREAM_MAX (UINT64_C (256) << 20) /* bytes of one stream */

typedef enum
{
  JSON_NONE, /* failed, or nothing left */
  JSON_NULL,
  JSON_BOOL,
  JSON_NUMBER,
  JSON_STRING,
  JSON_ARRAY,
  JSON_OBJECT,
} JsonType;

/* Text that is not NUL-terminated. Valid until the next string or member name is read. */
typedef struct
{
  const char *text;
  size_t length;
} JsonString;

typedef struct
{
  const char *data; /* borrowed */
  size_t size;
  size_t pos;
  unsigned depth;    /* open containers */
  bool first;        /* no element of the innermost container has been read */
  bool null_open;    /* the container just entered was a null */
  const char *error; /* static text, NULL while all is well */
  char *scratch;     /* where strings with escapes are put together */
  size_t scratch_size;
} JsonReader;

/* A reader over one value in SIZE bytes at DATA, which must outlive it. Clear frees its scratch. */
void json_reader_init (JsonReader *r, const void *data, size_t size);
void json_reader_clear (JsonReader *r);

/* Nothing went wrong so far; at the end also: nothing but white space is left. */
bool json_reader_ok (const JsonReader *r);
bool json_reader_end (JsonReader *r);

/* Marks the reader as failed for ERROR (static text), unless it already is. */
void json_reader_fail (JsonReader *r, const char *error);

/* What comes next, without taking it. */
JsonType json_reader_peek (JsonReader *r);

/* Takes a null if one comes next; false, and nothing taken, otherwise. */
bool json_reader_null (JsonReader *r);

/* Containers: "for (enter; while next) read one value". A null is an empty container. Next returns
 * false at the end (which it takes) or on failure. */
void json_reader_enter_object (JsonReader *r);
bool json_reader_next_member (JsonReader *r, JsonString *name);
void json_reader_enter_array (JsonReader *r);
bool json_reader_next_element (JsonReader *r);

/* Scalars. A null reads as false, 0, "" and leaves the reader well; another type fails it. */
bool json_reader_bool (JsonReader *r);
int64_t json_reader_i64 (JsonReader *r); /* whole numbers within int64 only */
double json_reader_double (JsonReader *r);
JsonString json_reader_string (JsonReader *r);

/* The text of a number as it stands in the input (borrowed from DATA), grammar checked. */
JsonString json_reader_number (JsonReader *r);

/* Steps over any value, checking that it is one. To keep it, see json_writer_copy. */
void json_reader_skip (JsonReader *r);

/* Strings with a meaning. Null, "" and text that is not what it should be give the unset value
 * (zero key, unset time) and false; only another JSON type fails the reader. */
bool json_reader_key (JsonReader *r, KeyKind kind, void *out);
bool json_reader_time (JsonReader *r, WallTime *out);

bool json_string_equal (JsonString s, const char *text);
/* A decimal int64, as ids appear in member names. */
bool json_string_i64 (JsonString s, int64_t *out);

/* ---- values out of a long text that comes in chunks ---- */

typedef enum
{
  JSON_STREAM_MORE,  /* feed more bytes */
  JSON_STREAM_BEGIN, /* a value begins: type and name are known. Answer with json_stream_descend,
                        json_stream_discard, or nothing (then VALUE follows) */
  JSON_STREAM_VALUE, /* a complete value: json_stream_value */
  JSON_STREAM_LEAVE, /* the end of a container that was descended into */
  JSON_STREAM_DONE,  /* the top value is complete */
  JSON_STREAM_ERROR, /* json_stream_error says why; stays so */
} JsonStreamEvent;

typedef struct JsonStream JsonStream;

JsonStream *json_stream_new (void);
void json_stream_free (JsonStream *s);

/* Gives the next chunk; borrowed until json_stream_next has said MORE. */
void json_stream_feed (JsonStream *s, const void *data, size_t size);

/* What is next. After DONE only white space may be fed. */
JsonStreamEvent json_stream_next (JsonStream *s);

/* After BEGIN: type of the value, and its member name ("" in an array and at the top). */
JsonType json_stream_type (const JsonStream *s);
JsonString json_stream_name (const JsonStream *s);

/* After BEGIN: number of containers descended into around the value (0 for the top value). */
unsigned json_stream_depth (const JsonStream *s);

/* Only right after BEGIN: hand out the members or elements one by one (arrays and objects only), or
 * throw the value away unseen. */
void json_stream_descend (JsonStream *s);
void json_stream_discard (JsonStream *s);

/* After VALUE: the text of the value, valid until the next call of json_stream_next. */
JsonString json_stream_value (const JsonStream *s);

const char *json_stream_error (const JsonStream *s);
