#include "base/epoch.h"

#include <stdalign.h>
#include <stdlib.h>

#define EPOCH_OFFLINE UINT64_MAX

typedef struct Retired Retired;
struct Retired
{
  Retired *next;
  void *object;
  void (*destroy) (void *object);
  uint64_t epoch; /* free once every reader has passed it */
};

typedef struct
{
  alignas (64) _Atomic uint64_t seen;
} EpochReader;

struct EpochDomain
{
  EpochReader readers[EPOCH_READERS_MAX];
  alignas (64) _Atomic uint64_t now;
  unsigned n_readers;
  Retired *first; /* oldest */
  Retired **end;
};

EpochDomain *
epoch_domain_new (void)
{
  EpochDomain *domain = aligned_alloc (64, sizeof *domain);

  if (domain == NULL)
    abort ();
  for (unsigned i = 0; i < EPOCH_READERS_MAX; i++)
    atomic_init (&domain->readers[i].seen, EPOCH_OFFLINE);
  atomic_init (&domain->now, 1);
  domain->n_readers = 0;
  domain->first = NULL;
  domain->end = &domain->first;
  return domain;
}

void
epoch_domain_free (EpochDomain *domain)
{
  if (domain == NULL)
    return;
  epoch_reclaim (domain);
  free (domain);
}

unsigned
epoch_reader_add (EpochDomain *domain)
{
  if (domain->n_readers == EPOCH_READERS_MAX)
    abort ();
  return domain->n_readers++;
}

void
epoch_quiescent (EpochDomain *domain, unsigned reader)
{
  uint64_t now = atomic_load_explicit (&domain->now, memory_order_acquire);

  /* Sequentially consistent, so that no later read of a published pointer moves before it: the
   * writer either sees this reader online, or the reader sees the new pointer. */
  atomic_store_explicit (&domain->readers[reader].seen, now, memory_order_seq_cst);
}

void
epoch_offline (EpochDomain *domain, unsigned reader)
{
  atomic_store_explicit (&domain->readers[reader].seen, EPOCH_OFFLINE, memory_order_release);
}

uint64_t
epoch_advance (EpochDomain *domain)
{
  return atomic_fetch_add_explicit (&domain->now, 1, memory_order_seq_cst) + 1;
}

bool
epoch_passed (const EpochDomain *domain, uint64_t epoch)
{
  for (unsigned i = 0; i < domain->n_readers; i++)
    if (atomic_load_explicit (&domain->readers[i].seen, memory_order_seq_cst) < epoch)
      return false;
  return true;
}

void
epoch_retire (EpochDomain *domain, void *object, void (*destroy) (void *object))
{
  Retired *retired;

  if (object == NULL)
    return;
  retired = malloc (sizeof *retired);
  if (retired == NULL)
    abort ();
  *retired = (Retired){NULL, object, destroy, epoch_advance (domain)};
  *domain->end = retired;
  domain->end = &retired->next;
}

bool
epoch_reclaim (EpochDomain *domain)
{
  while (domain->first != NULL && epoch_passed (domain, domain->first->epoch)) {
    Retired *retired = domain->first;

    domain->first = retired->next;
    if (domain->first == NULL)
      domain->end = &domain->first;
    retired->destroy (retired->object);
    free (retired);
  }
  return domain->first != NULL;
}
