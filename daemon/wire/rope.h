/* Immutable bytes that many connections send: chunks, and ropes of chunks.
 *
 * Both are counted, so that what ten thousand readers are told stands in memory once. References
 * may be taken and dropped on any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct
{
  _Atomic uint32_t references;
  size_t size;
  uint8_t data[];
} Chunk;

typedef struct
{
  _Atomic uint32_t references;
  uint32_t n;
  size_t size; /* bytes of all chunks */
  Chunk *chunks[];
} Rope;

/* A chunk with a copy of SIZE bytes. */
Chunk *chunk_new (const void *data, size_t size);
/* A chunk of SIZE bytes to be filled before anybody else sees it, and made smaller if need be. */
Chunk *chunk_alloc (size_t size);
Chunk *chunk_shrink (Chunk *chunk, size_t size);
Chunk *chunk_ref (Chunk *chunk);
void chunk_unref (Chunk *chunk); /* NULL does nothing */

/* The N chunks in a row, without those that are empty; takes their references over. */
Rope *rope_new (Chunk *const *chunks, size_t n);
Rope *rope_ref (Rope *rope);
void rope_unref (Rope *rope); /* NULL does nothing */
