#include "tunnel/mailbox.h"

#include "base/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct Letter
{
  Letter *next;
  size_t size;
  uint8_t bytes[];
};

void
mailbox_init (Mailbox *box, size_t capacity, Bell *bell)
{
  box->ring = ring_new (capacity, bell);
  box->first = NULL;
  box->end = &box->first;
}

static void
drop_first (Mailbox *box)
{
  Letter *letter = box->first;

  box->first = letter->next;
  if (box->first == NULL)
    box->end = &box->first;
  /* It may have carried session keys. */
  sodium_memzero (letter->bytes, letter->size);
  free (letter);
}

void
mailbox_clear (Mailbox *box)
{
  while (box->first != NULL)
    drop_first (box);
  ring_free (box->ring);
  box->ring = NULL;
}

static bool
put (Mailbox *box, const void *message, size_t size)
{
  void *room = ring_reserve (box->ring, size);

  if (room == NULL)
    return false;
  memcpy (room, message, size);
  ring_commit (box->ring, size);
  return true;
}

void
mailbox_post (Mailbox *box, const void *message, size_t size)
{
  Letter *letter;

  if (box->first == NULL && put (box, message, size))
    return;
  letter = mem_new (sizeof *letter + size);
  letter->size = size;
  memcpy (letter->bytes, message, size);
  *box->end = letter;
  box->end = &letter->next;
}

void
mailbox_flush (Mailbox *box)
{
  while (box->first != NULL && put (box, box->first->bytes, box->first->size))
    drop_first (box);
}
