/* A growing byte queue: written at the end, read and consumed at the front.
 *
 * Every codec of wire/ takes its output as one. It has no limit of its own: whoever fills it from
 * outside bytes names the limit. Aborts when there is no memory. Zero-initialised is empty and
 * ready. Any thread; not shared between threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  uint8_t *data;   /* first unread byte; NULL when nothing was ever written */
  size_t size;     /* unread bytes at data */
  uint8_t *base;   /* start of the allocation */
  size_t capacity; /* bytes at base */
} Buffer;

/* Appends SIZE bytes. */
void buffer_append (Buffer *buffer, const void *data, size_t size);

/* Appends text without its NUL. */
void buffer_append_text (Buffer *buffer, const char *text);
void buffer_append_format (Buffer *buffer, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

/* Room for SIZE bytes behind the unread ones; buffer_commit makes the first COUNT of them unread.
 */
uint8_t *buffer_reserve (Buffer *buffer, size_t size);
void buffer_commit (Buffer *buffer, size_t count);

/* Drops SIZE bytes (<= size) from the front. */
void buffer_consume (Buffer *buffer, size_t size);

/* Empties the buffer and keeps its memory; buffer_free gives it back and zeroes the struct. */
void buffer_reset (Buffer *buffer);
void buffer_free (Buffer *buffer);

/* Moves the contents out: *data is malloc'd (NULL when empty) and the caller's to free. Returns
 * its size. */
size_t buffer_steal (Buffer *buffer, uint8_t **data);
