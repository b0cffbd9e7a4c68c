#include "tunnel/stage.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Packets lie one behind the other in a block that holds the limit twice over, so that none is ever
 * cut in two; the block is mapped, so its untouched pages cost nothing. */
#define STAGE_ROOM (2 * STAGE_BYTES_MAX)

struct Stage
{
  Stage *next;
  Stage **link; /* what points to this one */
  uint8_t *data;
  size_t start; /* offset of the oldest packet */
  size_t end;   /* offset behind the newest */
  size_t n;
};

static size_t
room_of (size_t size)
{
  return sizeof (uint64_t) + ((size + 7) & ~(size_t)7);
}

static Stage *
stage_new (StageTotal *total)
{
  Stage *stage = mem_new (sizeof *stage);

  stage->data = mmap (NULL, STAGE_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stage->data == MAP_FAILED)
    abort ();
  stage->next = total->first;
  stage->link = &total->first;
  if (stage->next != NULL)
    stage->next->link = &stage->next;
  total->first = stage;
  return stage;
}

static Stage *
fattest (const StageTotal *total)
{
  Stage *found = total->first;

  for (Stage *s = total->first; s != NULL; s = s->next)
    if (s->end - s->start > found->end - found->start)
      found = s;
  return found;
}

static void
drop_oldest (Stage *stage, StageTotal *total)
{
  stage_pop (stage, total);
  total->dropped++;
}

void
stage_add (Stage **at, StageTotal *total, const void *data, size_t size)
{
  Stage *stage = *at;
  size_t room = room_of (size);
  uint64_t size64 = size;

  if (room > STAGE_BYTES_MAX) {
    total->dropped++;
    return;
  }
  if (stage == NULL)
    stage = *at = stage_new (total);
  while (stage->n > 0
         && (stage->n == STAGE_PACKETS_MAX || stage->end - stage->start + room > STAGE_BYTES_MAX))
    drop_oldest (stage, total);
  while (total->bytes + room > STAGE_TOTAL_MAX)
    drop_oldest (fattest (total), total);
  if (stage->end + room > STAGE_ROOM) {
    memmove (stage->data, stage->data + stage->start, stage->end - stage->start);
    stage->end -= stage->start;
    stage->start = 0;
  }
  memcpy (stage->data + stage->end, &size64, sizeof size64);
  memcpy (stage->data + stage->end + sizeof size64, data, size);
  stage->end += room;
  stage->n++;
  total->bytes += room;
}

uint8_t *
stage_first (Stage *stage, size_t *size)
{
  uint64_t size64;

  if (stage == NULL || stage->n == 0)
    return NULL;
  memcpy (&size64, stage->data + stage->start, sizeof size64);
  *size = size64;
  return stage->data + stage->start + sizeof size64;
}

void
stage_pop (Stage *stage, StageTotal *total)
{
  size_t size;

  if (stage_first (stage, &size) == NULL)
    return;
  stage->start += room_of (size);
  stage->n--;
  total->bytes -= room_of (size);
  if (stage->n == 0)
    stage->start = stage->end = 0;
}

size_t
stage_bytes (const Stage *stage)
{
  return stage == NULL ? 0 : stage->end - stage->start;
}

void
stage_free (Stage *stage, StageTotal *total)
{
  if (stage == NULL)
    return;
  total->bytes -= stage->end - stage->start;
  *stage->link = stage->next;
  if (stage->next != NULL)
    stage->next->link = stage->link;
  munmap (stage->data, STAGE_ROOM);
  free (stage);
}
