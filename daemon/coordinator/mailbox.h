/* What one thread of the server hands to another: a queue with many senders and one taker.
 *
 * Items are embedded in what is sent and belong to the queue until they are taken. The taker sleeps
 * on a descriptor. Who owns what: server-private.h. Any thread may send. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct MailItem MailItem;
struct MailItem
{
  MailItem *next;
};

typedef struct
{
  pthread_mutex_t lock;
  pthread_cond_t room; /* senders wait for it */
  MailItem *first;
  MailItem **last;
  size_t n, limit;
  bool closed;
  int fd; /* eventfd, readable when something came */
} Mailbox;

/* LIMIT: items that may wait before mailbox_put waits. False with errno when there is no
 * descriptor. */
bool mailbox_init (Mailbox *box, size_t limit);
/* Nobody sends or takes any more; what is left must have been taken. */
void mailbox_clear (Mailbox *box);

/* Sends; waits while the box is full. Never to be called by a thread that another one's taker may
 * be waiting for. */
void mailbox_put (Mailbox *box, MailItem *item);
/* Sends without a look at the limit, for what is bounded elsewhere. */
void mailbox_push (Mailbox *box, MailItem *item);

/* Everything that came, oldest first, and the descriptor is quiet again. */
MailItem *mailbox_take (Mailbox *box);

/* Wakes the taker although nothing came. */
void mailbox_nudge (Mailbox *box);
/* Says that nothing more comes, and wakes the taker. */
void mailbox_close (Mailbox *box);
bool mailbox_is_closed (Mailbox *box);
