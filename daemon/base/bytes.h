/* Bounded cursors over byte strings: the only way this program walks over input from outside.
 *
 * A ByteReader that is asked for more than it has becomes "failed", gives zeros from then on and
 * stays failed, so a parser may read a whole layout and check once at the end. A ByteWriter behaves
 * the same when its buffer is full. Neither allocates. Any thread; not shared between threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  const uint8_t *data; /* start of the input, borrowed */
  size_t size;         /* bytes in data */
  size_t pos;          /* next byte to read, <= size */
  bool failed;         /* something was read that is not there */
} ByteReader;

typedef struct
{
  uint8_t *data; /* start of the output, borrowed */
  size_t size;   /* capacity in bytes */
  size_t pos;    /* bytes written so far, <= size */
  bool failed;   /* something did not fit */
} ByteWriter;

/* A reader over DATA, which must outlive it. */
ByteReader byte_reader (const void *data, size_t size);

/* Bytes left to read; 0 once failed. */
size_t byte_reader_left (const ByteReader *r);

/* Fixed-width integers, big-endian (be) or little-endian (le). 0 when the input is too short. */
uint8_t byte_reader_u8 (ByteReader *r);
uint16_t byte_reader_be16 (ByteReader *r);
uint32_t byte_reader_be32 (ByteReader *r);
uint64_t byte_reader_be64 (ByteReader *r);
uint16_t byte_reader_le16 (ByteReader *r);
uint32_t byte_reader_le32 (ByteReader *r);
uint64_t byte_reader_le64 (ByteReader *r);

/* Copies SIZE bytes to OUT, or zeros OUT when the input is too short. */
void byte_reader_copy (ByteReader *r, void *out, size_t size);

/* SIZE bytes in place (borrowed from the input), or NULL when the input is too short. */
const uint8_t *byte_reader_take (ByteReader *r, size_t size);

/* Steps over SIZE bytes. */
void byte_reader_skip (ByteReader *r, size_t size);

/* A writer into DATA, which must outlive it. */
ByteWriter byte_writer (void *data, size_t size);

void byte_writer_u8 (ByteWriter *w, uint8_t value);
void byte_writer_be16 (ByteWriter *w, uint16_t value);
void byte_writer_be32 (ByteWriter *w, uint32_t value);
void byte_writer_be64 (ByteWriter *w, uint64_t value);
void byte_writer_le16 (ByteWriter *w, uint16_t value);
void byte_writer_le32 (ByteWriter *w, uint32_t value);
void byte_writer_le64 (ByteWriter *w, uint64_t value);
void byte_writer_copy (ByteWriter *w, const void *data, size_t size);
void byte_writer_zero (ByteWriter *w, size_t size);

/* SIZE bytes of room in place, or NULL when they do not fit. */
uint8_t *byte_writer_take (ByteWriter *w, size_t size);

/* Fixed-width loads and stores at an address that is known to be in bounds. */
uint16_t load_be16 (const void *p);
uint32_t load_be32 (const void *p);
uint64_t load_be64 (const void *p);
uint16_t load_le16 (const void *p);
uint32_t load_le32 (const void *p);
uint64_t load_le64 (const void *p);
void store_be16 (void *p, uint16_t value);
void store_be32 (void *p, uint32_t value);
void store_be64 (void *p, uint64_t value);
void store_le16 (void *p, uint16_t value);
void store_le32 (void *p, uint32_t value);
void store_le64 (void *p, uint64_t value);

/* Hex, lower case on output, either case on input. hex_decode needs exactly 2·SIZE digits at TEXT
 * and returns false otherwise; hex_encode writes 2·SIZE digits and a NUL. */
bool hex_decode (const char *text, size_t text_length, void *out, size_t size);
void hex_encode (const void *data, size_t size, char *out);

/* Standard padded base64. base64_encode writes base64_encoded_size (size) characters and a NUL.
 * base64_decode accepts padded or unpadded text of the standard alphabet, returns the number of
 * bytes written to OUT (capacity SIZE), or -1 when the text is not base64 or does not fit. */
size_t base64_encoded_size (size_t size);
void base64_encode (const void *data, size_t size, char *out);
ptrdiff_t base64_decode (const char *text, size_t text_length, void *out, size_t size);
