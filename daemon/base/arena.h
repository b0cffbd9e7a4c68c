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

char *arena_strdup (Arena *arena, const char *text);
char *arena_printf (Arena *arena, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* Room for one more element of SIZE bytes behind the COUNT elements of a growing ARRAY: the array,
 * moved when it was full. Capacities are powers of two, so COUNT alone tells when. */
void *arena_grow (Arena *arena, void *array, size_t count, size_t size);

/* Adds VALUE to the growing array of *N elements. */
#define arena_append(arena, array, n, value)                                                       \
  ((array) = arena_grow ((arena), (array), (n), sizeof *(array)), (array)[(n)++] = (value))

/* Bytes taken from the system. */
size_t arena_size (const Arena *arena);

/* Forgets everything but keeps one block for reuse. */
void arena_reset (Arena *arena);

/* Frees everything. */
void arena_clear (Arena *arena);

/* An empty arena of its own, and its end. */
Arena *arena_new (void);
void arena_free (Arena *arena);
