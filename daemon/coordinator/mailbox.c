#include "coordinator/mailbox.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool
mailbox_init (Mailbox *box, size_t limit)
{
  *box = (Mailbox){.limit = limit};
  box->last = &box->first;
  pthread_mutex_init (&box->lock, NULL);
  pthread_cond_init (&box->room, NULL);
  box->fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  return box->fd >= 0;
}

void
mailbox_clear (Mailbox *box)
{
  if (box->fd >= 0)
    close (box->fd);
  pthread_cond_destroy (&box->room);
  pthread_mutex_destroy (&box->lock);
}

void
mailbox_nudge (Mailbox *box)
{
  uint64_t one = 1;

  /* It only fails when it is readable anyway. */
  if (write (box->fd, &one, sizeof one) < 0)
    return;
}

static void
send (Mailbox *box, MailItem *item, bool patient)
{
  item->next = NULL;
  pthread_mutex_lock (&box->lock);
  while (patient && box->n >= box->limit)
    pthread_cond_wait (&box->room, &box->lock);
  bool was_empty = box->n++ == 0;
  *box->last = item;
  box->last = &item->next;
  pthread_mutex_unlock (&box->lock);
  if (was_empty)
    mailbox_nudge (box);
}

void
mailbox_put (Mailbox *box, MailItem *item)
{
  send (box, item, true);
}

void
mailbox_push (Mailbox *box, MailItem *item)
{
  send (box, item, false);
}

MailItem *
mailbox_take (Mailbox *box)
{
  uint64_t count;

  /* Quiet first: what comes from here on rings again. */
  if (read (box->fd, &count, sizeof count) < 0)
    count = 0;
  pthread_mutex_lock (&box->lock);
  MailItem *first = box->first;
  box->first = NULL;
  box->last = &box->first;
  box->n = 0;
  pthread_cond_broadcast (&box->room);
  pthread_mutex_unlock (&box->lock);
  return first;
}

void
mailbox_close (Mailbox *box)
{
  pthread_mutex_lock (&box->lock);
  box->closed = true;
  pthread_mutex_unlock (&box->lock);
  mailbox_nudge (box);
}

bool
mailbox_is_closed (Mailbox *box)
{
  pthread_mutex_lock (&box->lock);
  bool closed = box->closed;
  pthread_mutex_unlock (&box->lock);
  return closed;
}
