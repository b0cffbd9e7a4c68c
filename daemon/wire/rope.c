#include "wire/rope.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

Chunk *
chunk_alloc (size_t size)
{
  Chunk *chunk = mem_resize (NULL, sizeof *chunk + size);

  atomic_init (&chunk->references, 1);
  chunk->size = size;
  return chunk;
}

Chunk *
chunk_shrink (Chunk *chunk, size_t size)
{
  chunk = mem_resize (chunk, sizeof *chunk + size);
  chunk->size = size;
  return chunk;
}

Chunk *
chunk_new (const void *data, size_t size)
{
  Chunk *chunk = chunk_alloc (size);

  if (size > 0)
    memcpy (chunk->data, data, size);
  return chunk;
}

Chunk *
chunk_ref (Chunk *chunk)
{
  atomic_fetch_add_explicit (&chunk->references, 1, memory_order_relaxed);
  return chunk;
}

void
chunk_unref (Chunk *chunk)
{
  if (chunk && atomic_fetch_sub_explicit (&chunk->references, 1, memory_order_acq_rel) == 1)
    free (chunk);
}

Rope *
rope_new (Chunk *const *chunks, size_t n)
{
  Rope *rope = mem_resize (NULL, sizeof *rope + n * sizeof *chunks);

  atomic_init (&rope->references, 1);
  rope->n = 0;
  rope->size = 0;
  for (size_t i = 0; i < n; i++) {
    if (chunks[i]->size == 0) {
      chunk_unref (chunks[i]);
      continue;
    }
    rope->chunks[rope->n++] = chunks[i];
    rope->size += chunks[i]->size;
  }
  return rope;
}

Rope *
rope_ref (Rope *rope)
{
  atomic_fetch_add_explicit (&rope->references, 1, memory_order_relaxed);
  return rope;
}

void
rope_unref (Rope *rope)
{
  if (!rope || atomic_fetch_sub_explicit (&rope->references, 1, memory_order_acq_rel) != 1)
    return;
  for (uint32_t i = 0; i < rope->n; i++)
    chunk_unref (rope->chunks[i]);
  free (rope);
}
