/* The lists of peers in first maps. Ten thousand nodes that come back at once are each told of the
 * ten thousand others: nodes are taken together in blocks, and a block that is the same for many
 * viewers is written and compressed once. What holds the viewer itself is made of smaller blocks,
 * and at last of single nodes. */

#include "coordinator/state-private.h"

#include "base/memory.h"

#include <stdlib.h>

#define LEVELS      3
#define SHARED_MIN  16         /* peers that are worth a chunk of their own */
#define CACHE_BYTES (64 << 20) /* of chunks that are not of everybody */
#define IDLE_ROUNDS 16         /* after which a chunk is forgotten */

static const unsigned shifts[LEVELS] = {10, 7, 4}; /* a block holds 2^shift ids */

/* What a block's chunk depends on. */
typedef struct
{
  NodeId block;
  unsigned level;
  uint64_t nodes; /* hash of those in it, and of the routes that the viewer gets on them */
  bool comma;     /* it follows another */
  bool compressed;
} BlockKey;

typedef struct
{
  BlockKey key;
  uint64_t hash;
  uint64_t version; /* of the block */
  uint64_t used;    /* round */
  Chunk *chunk;
} Cached;

struct PeerBlocks
{
  HashIndex cache;
  Cached **all;
  size_t n, room;
  size_t bytes;
  uint64_t round;
  uint64_t *versions[LEVELS]; /* by block */
  size_t n_versions[LEVELS];
};

/* The visible nodes of one block, for one viewer. */
typedef struct
{
  size_t first, end; /* in CoModel.nodes */
  size_t n;          /* visible */
  bool has_self;
  uint64_t hash;
} Content;

typedef struct
{
  State *state;
  const CoNode *viewer;
  const Reach *reach;
  MapParts *parts;
} Walk;

PeerBlocks *
peer_blocks_new (void)
{
  return mem_new (sizeof (PeerBlocks));
}

static void
cached_free (PeerBlocks *blocks, Cached *cached)
{
  blocks->bytes -= cached->chunk->size;
  chunk_unref (cached->chunk);
  free (cached);
}

void
peer_blocks_free (PeerBlocks *blocks)
{
  for (size_t i = 0; i < blocks->n; i++)
    cached_free (blocks, blocks->all[i]);
  for (int level = 0; level < LEVELS; level++)
    free (blocks->versions[level]);
  free (blocks->all);
  hash_index_clear (&blocks->cache);
  free (blocks);
}

static uint64_t
version_of (const PeerBlocks *blocks, unsigned level, NodeId block)
{
  return (size_t)block < blocks->n_versions[level] ? blocks->versions[level][block] : 0;
}

void
peer_blocks_touch (PeerBlocks *blocks, NodeId node)
{
  for (int level = 0; level < LEVELS; level++) {
    size_t block = (size_t)(node >> shifts[level]), n = blocks->n_versions[level];
    if (block >= n) {
      size_t more = block + 1 + n / 2;
      blocks->versions[level]
          = mem_resize (blocks->versions[level], more * sizeof *blocks->versions[level]);
      for (; n < more; n++)
        blocks->versions[level][n] = 0;
      blocks->n_versions[level] = more;
    }
    blocks->versions[level][block]++;
  }
}

void
peer_blocks_rest (PeerBlocks *blocks)
{
  size_t kept = 0;

  blocks->round++;
  for (size_t i = 0; i < blocks->n; i++) {
    Cached *cached = blocks->all[i];
    bool stale = cached->version != version_of (blocks, cached->key.level, cached->key.block);
    if (!stale && cached->used + IDLE_ROUNDS > blocks->round) {
      blocks->all[kept++] = cached;
      continue;
    }
    hash_index_remove (&blocks->cache, cached->hash, cached);
    cached_free (blocks, cached);
  }
  blocks->n = kept;
}

/* ---- chunks ---- */

static bool
same_key (const void *value, const void *key)
{
  const BlockKey *a = &((const Cached *)value)->key, *b = key;

  return a->block == b->block && a->level == b->level && a->nodes == b->nodes
         && a->comma == b->comma && a->compressed == b->compressed;
}

static bool
is_visible (const Walk *walk, const CoNode *node)
{
  return node != walk->viewer
         && reach_word (walk->reach, walk->viewer->slot, node->slot / 64) >> node->slot % 64 & 1;
}

static void
write_nodes (const Walk *walk, const Content *content, JsonWriter *w)
{
  for (size_t i = content->first; i < content->end; i++) {
    CoNode *node = walk->state->model.nodes[i];
    if (!is_visible (walk, node))
      continue;
    Chunk *text = peer_text (walk->state, walk->viewer, node);
    json_writer_raw (w, (const char *)text->data, text->size);
    chunk_unref (text);
  }
}

static Cached *
make_chunk (const Walk *walk, const Content *content, const BlockKey *key, uint64_t hash)
{
  PeerBlocks *blocks = walk->state->blocks;
  Cached *cached = mem_new (sizeof *cached);
  JsonWriter w;

  json_writer_init (&w);
  w.comma = key->comma;
  write_nodes (walk, content, &w);
  cached->key = *key;
  cached->hash = hash;
  cached->version = version_of (blocks, key->level, key->block);
  cached->chunk = map_pack (walk->parts->packer, w.data, w.size, key->compressed, true);
  json_writer_clear (&w);
  blocks->bytes += cached->chunk->size;
  blocks->all = mem_grow (blocks->all, blocks->n, &blocks->room, sizeof (Cached *));
  blocks->all[blocks->n++] = cached;
  hash_index_add (&blocks->cache, hash, cached);
  return cached;
}

static void
add_shared (const Walk *walk, const Content *content, unsigned level)
{
  PeerBlocks *blocks = walk->state->blocks;
  BlockKey key = {
      .block = walk->state->model.nodes[content->first]->id >> shifts[level],
      .level = level,
      .nodes = content->hash,
      .comma = walk->parts->text.comma,
      .compressed = walk->parts->compressed,
  };
  uint64_t hash = hash_index_number (content->hash + (uint64_t)key.block * 64 + level * 4
                                     + key.comma * 2 + key.compressed);
  Cached *cached = hash_index_find (&blocks->cache, hash, same_key, &key);

  if (cached && cached->version != version_of (blocks, level, key.block)) {
    /* What it shows has changed; peer_blocks_rest sweeps it away. */
    hash_index_remove (&blocks->cache, hash, cached);
    cached = NULL;
  }
  if (!cached && blocks->bytes > CACHE_BYTES) {
    write_nodes (walk, content, &walk->parts->text);
    return;
  }
  if (!cached)
    cached = make_chunk (walk, content, &key, hash);
  cached->used = blocks->round;
  map_parts_add (walk->parts, cached->chunk);
  walk->parts->text.comma = true;
}

/* ---- the list ---- */

/* The block at LEVEL that begins with the node at FIRST. */
static Content
look_at (const Walk *walk, size_t first, size_t end, unsigned level)
{
  const CoModel *model = &walk->state->model;
  NodeId block = model->nodes[first]->id >> shifts[level];
  Content content = {.first = first, .hash = 1};
  size_t i;

  for (i = first; i < end && model->nodes[i]->id >> shifts[level] == block; i++) {
    const CoNode *node = model->nodes[i];
    content.has_self |= node == walk->viewer;
    if (!is_visible (walk, node))
      continue;
    content.n++;
    content.hash = hash_index_number (content.hash ^ (uint64_t)node->id)
                   + peer_routes (walk->state, walk->viewer, node);
  }
  content.end = i;
  return content;
}

static void
add_range (const Walk *walk, size_t first, size_t end, unsigned level)
{
  while (first < end) {
    Content content = look_at (walk, first, end, level);
    if (content.n >= SHARED_MIN && !content.has_self)
      add_shared (walk, &content, level);
    else if (content.n >= SHARED_MIN && level + 1 < LEVELS)
      add_range (walk, content.first, content.end, level + 1);
    else
      write_nodes (walk, &content, &walk->parts->text);
    first = content.end;
  }
}

void
peer_blocks_add (State *state, const CoNode *viewer, const Reach *reach, MapParts *parts)
{
  Walk walk = {state, viewer, reach, parts};

  add_range (&walk, 0, state->model.n_nodes, 0);
}
