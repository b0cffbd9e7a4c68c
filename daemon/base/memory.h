/* Allocation that does not fail: a process that has no memory left aborts, as there is nothing
 * sensible to do without it. Sizes that come from outside are checked against a named limit before
 * they get here. Any thread; not on the packet path. */
#pragma once

#include <stddef.h>

/* SIZE zeroed bytes (never NULL, also for 0). Free with free (). */
void *mem_new (size_t size);

/* Like realloc; the new part is not zeroed. */
void *mem_resize (void *memory, size_t size);

/* A copy of SIZE bytes; NULL for SIZE 0. */
void *mem_dup (const void *data, size_t size);

/* A NUL-terminated copy of LENGTH characters. */
char *mem_strndup (const char *text, size_t length);

/* Room for one more element of SIZE bytes behind COUNT in ARRAY; *ROOM is the capacity in elements
 * and starts at 0. Returns the array, which may have moved. */
void *mem_grow (void *array, size_t count, size_t *room, size_t size);

/* Gives back what was needed in passing, when quiet comes: free memory, and the pages of programs
 * and libraries that starting took. What is needed again comes back from the files by itself. */
void memory_rest (void);
