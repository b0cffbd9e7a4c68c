/* The text form of the small files in the state directory: a format number, named fields, an end.
 *
 *     format 1
 *     server https://vpn.example.org
 *     tag tag:lab
 *     end
 *
 * One field a line; bytes below 0x20, 0x7f and '%' of a value are written as %xx, so a value may be
 * any text. A file without its "end" is damaged (a cut file must never read as one with fewer
 * fields). Nothing is allocated, so that a file with keys can live in locked memory. Main thread.
 */
#pragma once

#include "base/bytes.h"

#define RECORD_FILE_MAX  65536 /* bytes; a longer file is damaged */
#define RECORD_NAME_MAX  32
#define RECORD_VALUE_MAX 2048 /* bytes of one value, decoded, with its NUL */

typedef enum
{
  RECORD_FIELD,          /* NAME and VALUE hold the next field */
  RECORD_END,            /* the file is complete */
  RECORD_UNKNOWN_FORMAT, /* written by another version: keep it and refuse */
  RECORD_DAMAGED,
} RecordResult;

typedef struct
{
  ByteReader bytes;
  unsigned format; /* the only one that is understood */
  bool begun;
  char name[RECORD_NAME_MAX];
  char value[RECORD_VALUE_MAX]; /* NUL-terminated; holds no NUL inside */
  size_t value_length;
} RecordReader;

/* A reader over the SIZE bytes of a file, borrowed. Wipe the reader when the file holds secrets. */
void record_reader_init (RecordReader *r, const void *data, size_t size, unsigned format);

/* The next field; after anything but RECORD_FIELD it must not be called again. */
RecordResult record_reader_next (RecordReader *r);

/* Writing: begin, any number of fields, end. The writer fails when its buffer is full or a value
 * is longer than RECORD_VALUE_MAX - 1. */
void record_begin (ByteWriter *w, unsigned format);
void record_field (ByteWriter *w, const char *name, const char *value);
void record_field_i64 (ByteWriter *w, const char *name, int64_t value);
void record_end (ByteWriter *w);
