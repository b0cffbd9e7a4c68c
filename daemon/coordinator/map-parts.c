#include "coordinator/map-parts.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdlib.h>
#include <zstd.h>

#define OWN_LEVEL    1
#define SHARED_LEVEL 3

struct MapPacker
{
  ZSTD_CCtx *zstd;
};

MapPacker *
map_packer_new (void)
{
  MapPacker *packer = mem_new (sizeof *packer);

  packer->zstd = ZSTD_createCCtx ();
  if (!packer->zstd)
    abort ();
  return packer;
}

void
map_packer_free (MapPacker *packer)
{
  ZSTD_freeCCtx (packer->zstd);
  free (packer);
}

Chunk *
map_pack (MapPacker *packer, const void *data, size_t size, bool compressed, bool shared)
{
  if (!compressed)
    return chunk_new (data, size);
  Chunk *chunk = chunk_alloc (ZSTD_compressBound (size));
  size_t n = ZSTD_compressCCtx (packer->zstd, chunk->data, chunk->size, data, size,
                                shared ? SHARED_LEVEL : OWN_LEVEL);
  if (ZSTD_isError (n))
    abort ();
  return chunk_shrink (chunk, n);
}

void
map_parts_init (MapParts *parts, MapPacker *packer, bool compressed)
{
  *parts = (MapParts){.packer = packer, .compressed = compressed};
  json_writer_init (&parts->text);
}

static void
put (MapParts *parts, Chunk *chunk)
{
  parts->chunks = mem_grow (parts->chunks, parts->n, &parts->room, sizeof (Chunk *));
  parts->chunks[parts->n++] = chunk;
}

/* The text so far becomes a chunk. The writer stays inside of its containers. */
static void
end_text (MapParts *parts, bool shared)
{
  if (parts->text.size == 0)
    return;
  put (parts,
       map_pack (parts->packer, parts->text.data, parts->text.size, parts->compressed, shared));
  parts->text.size = 0;
}

void
map_parts_add (MapParts *parts, Chunk *chunk)
{
  end_text (parts, false);
  put (parts, chunk_ref (chunk));
}

Rope *
map_parts_finish (MapParts *parts, bool shared)
{
  uint8_t length[4];
  size_t size = 0;

  end_text (parts, shared);
  for (size_t i = 0; i < parts->n; i++)
    size += parts->chunks[i]->size;
  store_le32 (length, (uint32_t)size);
  put (parts, NULL);
  for (size_t i = parts->n - 1; i > 0; i--)
    parts->chunks[i] = parts->chunks[i - 1];
  parts->chunks[0] = chunk_new (length, sizeof length);
  Rope *rope = rope_new (parts->chunks, parts->n);
  json_writer_clear (&parts->text);
  free (parts->chunks);
  *parts = (MapParts){0};
  return rope;
}
