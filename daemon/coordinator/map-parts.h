/* Map messages put together from parts: text of one's own, and chunks that many share.
 *
 * A message may consist of several zstd frames (spec/control-protocol.md §10.3): what many viewers
 * get is compressed once, only the small own parts are compressed for each. State thread. */
#pragma once

#include "wire/json-writer.h"
#include "wire/rope.h"

typedef struct MapPacker MapPacker;

MapPacker *map_packer_new (void);
void map_packer_free (MapPacker *packer);

/* SIZE bytes as a part of a message: one zstd frame, or as they are. SHARED: worth more effort. */
Chunk *map_pack (MapPacker *packer, const void *data, size_t size, bool compressed, bool shared);

typedef struct
{
  MapPacker *packer;
  bool compressed;
  JsonWriter text; /* not yet a chunk */
  Chunk **chunks;
  size_t n, room;
} MapParts;

void map_parts_init (MapParts *parts, MapPacker *packer, bool compressed);
/* CHUNK follows the text so far; a reference is taken. */
void map_parts_add (MapParts *parts, Chunk *chunk);
/* The whole message with its length in front; PARTS is empty afterwards. SHARED: others get it too.
 */
Rope *map_parts_finish (MapParts *parts, bool shared);
