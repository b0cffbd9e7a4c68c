#include "base/arena.h"

#include "base/memory.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK 1024
#define BLOCK_MAX   65536 /* larger pieces get a block of their own */

struct ArenaBlock
{
  ArenaBlock *next;
  size_t size; /* bytes in data */
  size_t used;
  alignas (max_align_t) char data[];
};

static ArenaBlock *
add_block (Arena *arena, size_t size)
{
  size_t last = arena->blocks ? arena->blocks->size : FIRST_BLOCK / 2;
  size_t room = last < BLOCK_MAX / 2 ? last * 2 : BLOCK_MAX;

  if (room < size)
    room = size;
  ArenaBlock *block = mem_resize (NULL, sizeof *block + room);
  block->size = room;
  block->used = 0;
  block->next = arena->blocks;
  arena->blocks = block;
  return block;
}

void *
arena_alloc (Arena *arena, size_t size)
{
  size_t rounded = (size + alignof (max_align_t) - 1) & ~(alignof (max_align_t) - 1);
  ArenaBlock *block = arena->blocks;

  if (rounded < size)
    abort ();
  if (!block || block->size - block->used < rounded)
    block = add_block (arena, rounded);
  void *memory = block->data + block->used;
  block->used += rounded;
  return memset (memory, 0, size);
}

void *
arena_dup (Arena *arena, const void *data, size_t size)
{
  void *copy = arena_alloc (arena, size);

  if (size > 0)
    memcpy (copy, data, size);
  return copy;
}

char *
arena_strndup (Arena *arena, const char *text, size_t length)
{
  char *copy = arena_alloc (arena, length + 1);

  if (length > 0)
    memcpy (copy, text, length);
  return copy;
}

size_t
arena_size (const Arena *arena)
{
  size_t size = 0;

  for (const ArenaBlock *b = arena->blocks; b; b = b->next)
    size += sizeof *b + b->size;
  return size;
}

void
arena_reset (Arena *arena)
{
  if (!arena->blocks)
    return;
  while (arena->blocks->next) {
    ArenaBlock *next = arena->blocks->next;
    arena->blocks->next = next->next;
    free (next);
  }
  arena->blocks->used = 0;
}

void
arena_clear (Arena *arena)
{
  while (arena->blocks) {
    ArenaBlock *next = arena->blocks->next;
    free (arena->blocks);
    arena->blocks = next;
  }
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
  arena_clear (arena);
  free (arena);
}
