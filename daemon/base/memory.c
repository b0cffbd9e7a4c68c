#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void *
mem_new (size_t size)
{
  void *memory = calloc (1, size ? size : 1);

  if (!memory)
    abort ();
  return memory;
}

void *
mem_resize (void *memory, size_t size)
{
  memory = realloc (memory, size ? size : 1);
  if (!memory)
    abort ();
  return memory;
}

void *
mem_dup (const void *data, size_t size)
{
  if (size == 0)
    return NULL;
  void *copy = mem_resize (NULL, size);
  memcpy (copy, data, size);
  return copy;
}

char *
mem_strndup (const char *text, size_t length)
{
  char *copy = mem_resize (NULL, length + 1);

  if (length > 0)
    memcpy (copy, text, length);
  copy[length] = '\0';
  return copy;
}

void *
mem_grow (void *array, size_t count, size_t *room, size_t size)
{
  if (count < *room)
    return array;
  *room = *room ? *room * 2 : 8;
  return mem_resize (array, *room * size);
}
