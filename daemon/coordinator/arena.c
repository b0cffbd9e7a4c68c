#include "coordinator/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 * 1024)
#define ALIGNMENT  ((size_t)16)

typedef struct Block Block;
struct Block
{
  Block *next;
  size_t size; /* bytes of data */
  size_t used;
  _Alignas(16) unsigned char data[];
};

struct Arena
{
  Block *blocks; /* the first one has room */
};

static Block *
block_new (size_t size)
{
  Block *block = malloc (sizeof *block + size);

  if (!block)
    abort ();
  block->next = NULL;
  block->size = size;
  block->used = 0;
  return block;
}

Arena *
arena_new (void)
{
  Arena *arena = calloc (1, sizeof *arena);

  if (!arena)
    abort ();
  return arena;
}

void
arena_free (Arena *arena)
{
  if (!arena)
    return;
  for (Block *block = arena->blocks; block;) {
    Block *next = block->next;
    free (block);
    block = next;
  }
  free (arena);
}

void *
arena_alloc (Arena *arena, size_t size)
{
  Block *block = arena->blocks;

  size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
  if (!block || block->size - block->used < size) {
    block = block_new (size > BLOCK_SIZE ? size : BLOCK_SIZE);
    block->next = arena->blocks;
    arena->blocks = block;
  }
  void *p = block->data + block->used;
  block->used += size;
  return memset (p, 0, size);
}

char *
arena_strndup (Arena *arena, const char *text, size_t length)
{
  char *copy = arena_alloc (arena, length + 1);

  if (length > 0)
    memcpy (copy, text, length);
  return copy;
}

char *
arena_strdup (Arena *arena, const char *text)
{
  return arena_strndup (arena, text, strlen (text));
}

char *
arena_printf (Arena *arena, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  int length = vsnprintf (NULL, 0, format, args);
  va_end (args);
  char *text = arena_alloc (arena, (size_t)length + 1);
  va_start (args, format);
  vsnprintf (text, (size_t)length + 1, format, args);
  va_end (args);
  return text;
}

void *
arena_grow (Arena *arena, void *array, size_t count, size_t size)
{
  if (count & (count - 1))
    return array; /* full only at powers of two, and at 0 */
  void *bigger = arena_alloc (arena, (count ? count * 2 : 1) * size);
  if (count > 0)
    memcpy (bigger, array, count * size);
  return bigger;
}
