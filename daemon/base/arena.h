/* A region of memory that is filled piece by piece and freed at once.
 *
 * For immutable values with many small parts (the relay map, DNS settings, filter rules) and as
 * scratch room of decoders. Not shared between threads while it is filled. */
#pragma once

#include <stddef.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct
{
  ArenaBlock *blocks; /* newest first; NULL when nothing was allocated */
} Arena;

/* SIZE zeroed bytes, aligned for any type; never NULL. */
void *arena_alloc (Arena *arena, size_t size);

/* COUNT zeroed elements of a type. */
#define arena_array(arena, Type, count) ((Type *)arena_alloc ((arena), sizeof (Type) * (count)))

/* Copies into the arena. arena_strndup adds a NUL. */
void *arena_dup (Arena *arena, const void *data, size_t size);
char *arena_strndup (Arena *arena, const char *text, size_t length);

/* Bytes taken from the system. */
size_t arena_size (const Arena *arena);

/* Forgets everything but keeps one block for reuse. */
void arena_reset (Arena *arena);

/* Frees everything. */
void arena_clear (Arena *arena);
