/* Memory that lives and dies together: what a policy is parsed into, what a compilation produces.
 *
 * Allocation never fails (the process ends when there is no memory) and nothing is freed singly.
 * Any thread; one owner. */
#pragma once

#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new (void);
void arena_free (Arena *arena);

/* SIZE zeroed bytes, aligned for anything. */
void *arena_alloc (Arena *arena, size_t size);

/* A NUL-terminated copy of LENGTH bytes. */
char *arena_strndup (Arena *arena, const char *text, size_t length);
char *arena_strdup (Arena *arena, const char *text);
char *arena_printf (Arena *arena, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* Room for one more element of SIZE bytes in the growing ARRAY of COUNT elements: returns the
 * array, moved when it was full. Capacities are powers of two, so COUNT alone tells when. */
void *arena_grow (Arena *arena, void *array, size_t count, size_t size);

#define arena_new0(arena, type) ((type *)arena_alloc (arena, sizeof (type)))
#define arena_append(arena, array, n, value)                                                       \
  ((array) = arena_grow (arena, array, n, sizeof *(array)), (array)[(n)++] = (value))
