/* A ring for messages that may not be lost: what does not fit waits with the sender.
 *
 * Order is kept. The sender calls mailbox_flush once in each of its loops and does not sleep long
 * while mailbox_waiting. DESIGN rule 3: packets may be dropped when a ring is full, commands and
 * key installation may not. */
#pragma once

#include "base/ring.h"

typedef struct Letter Letter;

typedef struct
{
  Ring *ring;
  Letter *first; /* did not fit yet, oldest first */
  Letter **end;
} Mailbox;

/* CAPACITY and BELL as for ring_new. */
void mailbox_init (Mailbox *box, size_t capacity, Bell *bell);
void mailbox_clear (Mailbox *box);

/* Sender: posts SIZE bytes at MESSAGE; they arrive, sooner or later. */
void mailbox_post (Mailbox *box, const void *message, size_t size);

/* Sender: moves waiting messages into the ring. */
void mailbox_flush (Mailbox *box);

static inline bool
mailbox_waiting (const Mailbox *box)
{
  return box->first != NULL;
}
