#include "base/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* In front of each record. A size of RECORD_SKIP tells the consumer to go on at the start. */
typedef struct
{
  uint64_t size;
  uint64_t unused;
} RecordHead;

#define RECORD_SKIP UINT64_MAX

_Static_assert(sizeof (RecordHead) == RING_ALIGN, "records stay aligned behind their head");

/* Positions grow for ever; a position modulo the capacity is an offset. Each side's own words and
 * its copy of the other side's position share a line that the other side rarely reads. */
struct Ring
{
  alignas (64) _Atomic uint64_t tail; /* written by the producer */
  uint64_t head_seen;
  uint64_t reserved;                  /* where the reserved record begins */
  alignas (64) _Atomic uint64_t head; /* written by the consumer */
  uint64_t tail_seen;
  alignas (64) Bell *bell;
  uint8_t *data;
  size_t capacity;
};

bool
bell_init (Bell *bell)
{
  atomic_init (&bell->asleep, false);
  bell->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  return bell->fd >= 0;
}

void
bell_clear (Bell *bell)
{
  if (bell->fd >= 0)
    close (bell->fd);
  bell->fd = -1;
}

void
bell_sleep (Bell *bell)
{
  atomic_store_explicit (&bell->asleep, true, memory_order_seq_cst);
}

void
bell_wake (Bell *bell)
{
  uint64_t count;

  /* When the flag is already down, a producer took it down and wrote, or is about to: a write that
   * comes later only makes the next sleep short. */
  if (!atomic_exchange_explicit (&bell->asleep, false, memory_order_seq_cst))
    while (read (bell->fd, &count, sizeof count) < 0 && errno == EINTR)
      ;
}

void
bell_ring (Bell *bell)
{
  const uint64_t one = 1;

  /* Pairs with bell_sleep: either the consumer sees the record or this sees the flag. The exchange
   * is a full barrier also when the flag is down, so it must not be replaced by a plain load. */
  if (atomic_exchange_explicit (&bell->asleep, false, memory_order_seq_cst))
    while (write (bell->fd, &one, sizeof one) < 0 && errno == EINTR)
      ;
}

Ring *
ring_new (size_t capacity, Bell *bell)
{
  Ring *ring = aligned_alloc (64, sizeof *ring);

  if (ring == NULL)
    abort ();
  memset (ring, 0, sizeof *ring);
  ring->bell = bell;
  ring->capacity = capacity;
  ring->data = mmap (NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (ring->data == MAP_FAILED)
    abort ();
  return ring;
}

void
ring_free (Ring *ring)
{
  if (ring == NULL)
    return;
  munmap (ring->data, ring->capacity);
  free (ring);
}

static size_t
record_bytes (size_t size)
{
  return sizeof (RecordHead) + ((size + RING_ALIGN - 1) & ~(size_t)(RING_ALIGN - 1));
}

static RecordHead *
record_at (const Ring *ring, uint64_t position)
{
  return (RecordHead *)(void *)(ring->data + (position & (ring->capacity - 1)));
}

void *
ring_reserve (Ring *ring, size_t size)
{
  uint64_t tail = atomic_load_explicit (&ring->tail, memory_order_relaxed);
  size_t to_end = ring->capacity - (tail & (ring->capacity - 1));
  size_t bytes = record_bytes (size);
  size_t skip = bytes > to_end ? to_end : 0;

  if (size > ring->capacity / 2 - sizeof (RecordHead))
    return NULL;
  if (ring->capacity - (tail - ring->head_seen) < skip + bytes) {
    ring->head_seen = atomic_load_explicit (&ring->head, memory_order_acquire);
    if (ring->capacity - (tail - ring->head_seen) < skip + bytes)
      return NULL;
  }
  if (skip > 0)
    record_at (ring, tail)->size = RECORD_SKIP;
  ring->reserved = tail + skip;
  return record_at (ring, ring->reserved) + 1;
}

void
ring_commit_quietly (Ring *ring, size_t size)
{
  record_at (ring, ring->reserved)->size = size;
  atomic_store_explicit (&ring->tail, ring->reserved + record_bytes (size), memory_order_release);
}

void
ring_commit (Ring *ring, size_t size)
{
  ring_commit_quietly (ring, size);
  bell_ring (ring->bell);
}

void *
ring_peek (Ring *ring, size_t *size)
{
  uint64_t head = atomic_load_explicit (&ring->head, memory_order_relaxed);
  RecordHead *record;

  if (head == ring->tail_seen) {
    /* Sequentially consistent: must not move before the store in bell_sleep. */
    ring->tail_seen = atomic_load_explicit (&ring->tail, memory_order_seq_cst);
    if (head == ring->tail_seen)
      return NULL;
  }
  record = record_at (ring, head);
  if (record->size == RECORD_SKIP) {
    head += ring->capacity - (head & (ring->capacity - 1));
    atomic_store_explicit (&ring->head, head, memory_order_release);
    record = record_at (ring, head);
  }
  *size = record->size;
  return record + 1;
}

void
ring_pop (Ring *ring)
{
  uint64_t head = atomic_load_explicit (&ring->head, memory_order_relaxed);

  atomic_store_explicit (&ring->head, head + record_bytes (record_at (ring, head)->size),
                         memory_order_release);
}

uint64_t
ring_head (const Ring *ring)
{
  return atomic_load_explicit (&ring->head, memory_order_relaxed);
}

void *
ring_next (Ring *ring, uint64_t *at, size_t *size)
{
  RecordHead *record;

  if (*at == ring->tail_seen) {
    ring->tail_seen = atomic_load_explicit (&ring->tail, memory_order_seq_cst);
    if (*at == ring->tail_seen)
      return NULL;
  }
  record = record_at (ring, *at);
  if (record->size == RECORD_SKIP) {
    *at += ring->capacity - (*at & (ring->capacity - 1));
    record = record_at (ring, *at);
  }
  *size = record->size;
  *at += record_bytes (record->size);
  return record + 1;
}

void
ring_pop_until (Ring *ring, uint64_t at)
{
  atomic_store_explicit (&ring->head, at, memory_order_release);
}
