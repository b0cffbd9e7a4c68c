#include "wire/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_MIN 256

uint8_t *
buffer_reserve (Buffer *buffer, size_t size)
{
  size_t start = buffer->base ? (size_t)(buffer->data - buffer->base) : 0;

  if (size <= buffer->capacity - start - buffer->size)
    return buffer->data + buffer->size;
  if (size <= buffer->capacity - buffer->size && start >= buffer->size) {
    /* more is dead in front than alive: moving is cheaper than growing, and amortised */
    memmove (buffer->base, buffer->data, buffer->size);
    buffer->data = buffer->base;
    return buffer->data + buffer->size;
  }

  size_t needed, capacity = buffer->capacity > BUFFER_MIN ? buffer->capacity : BUFFER_MIN;
  if (__builtin_add_overflow (buffer->size, size, &needed) || needed > SIZE_MAX / 2)
    abort ();
  while (capacity < needed)
    capacity *= 2;
  uint8_t *base = malloc (capacity);
  if (!base)
    abort ();
  if (buffer->size > 0)
    memcpy (base, buffer->data, buffer->size);
  free (buffer->base);
  buffer->base = base;
  buffer->data = base;
  buffer->capacity = capacity;
  return base + buffer->size;
}

void
buffer_commit (Buffer *buffer, size_t count)
{
  buffer->size += count;
}

void
buffer_append (Buffer *buffer, const void *data, size_t size)
{
  if (size == 0)
    return;
  memcpy (buffer_reserve (buffer, size), data, size);
  buffer->size += size;
}

void
buffer_append_text (Buffer *buffer, const char *text)
{
  buffer_append (buffer, text, strlen (text));
}

void
buffer_append_format (Buffer *buffer, const char *format, ...)
{
  va_list args, again;

  va_start (args, format);
  va_copy (again, args);
  int length = vsnprintf (NULL, 0, format, args);
  va_end (args);
  if (length < 0)
    abort ();
  vsnprintf ((char *)buffer_reserve (buffer, (size_t)length + 1), (size_t)length + 1, format,
             again);
  va_end (again);
  buffer->size += (size_t)length;
}

void
buffer_consume (Buffer *buffer, size_t size)
{
  if (size > buffer->size)
    abort ();
  buffer->size -= size;
  if (buffer->size == 0)
    buffer->data = buffer->base;
  else
    buffer->data += size;
}

void
buffer_reset (Buffer *buffer)
{
  buffer->size = 0;
  buffer->data = buffer->base;
}

void
buffer_free (Buffer *buffer)
{
  free (buffer->base);
  *buffer = (Buffer){0};
}

size_t
buffer_steal (Buffer *buffer, uint8_t **data)
{
  size_t size = buffer->size;

  if (size == 0) {
    buffer_free (buffer);
    *data = NULL;
    return 0;
  }
  if (buffer->data != buffer->base)
    memmove (buffer->base, buffer->data, size);
  *data = buffer->base;
  *buffer = (Buffer){0};
  return size;
}
