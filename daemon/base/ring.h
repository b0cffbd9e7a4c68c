/* A bounded queue from one thread to one other: records of any size in one block of memory.
 *
 * Producer: reserve, fill in place, commit. Consumer: peek, use in place, pop. Neither side locks,
 * allocates or waits; a full ring says so and the producer drops or keeps its record. A Bell wakes
 * a consumer that sleeps, with one system call per sleep and none while it is awake. DESIGN rule 3,
 * spec/wireguard-dataplane.md §10. */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_ALIGN 16 /* of every record */

/* What a consumer sleeps on; one for all rings that it reads. */
typedef struct
{
  int fd; /* eventfd, readable after a ring rang */
  _Atomic bool asleep;
} Bell;

typedef struct Ring Ring;

/* False with errno when there is no file descriptor left. */
bool bell_init (Bell *bell);
void bell_clear (Bell *bell);

/* Consumer: about to sleep. Look into every ring once more after this, then wait for fd. */
void bell_sleep (Bell *bell);

/* Consumer: awake again; takes a ring that came meanwhile. */
void bell_wake (Bell *bell);

/* Producer: wakes the consumer if it sleeps. Called by ring_commit; any thread. */
void bell_ring (Bell *bell);

/* A ring of CAPACITY bytes (a power of two, 4 KiB or more; pages are touched as they are used)
 * whose consumer sleeps on BELL, which outlives it. The largest record has CAPACITY / 2 - 16 bytes.
 */
Ring *ring_new (size_t capacity, Bell *bell);
void ring_free (Ring *ring);

/* Producer: room for a record of SIZE bytes, 16-byte aligned, or NULL when it does not fit now. */
void *ring_reserve (Ring *ring, size_t size);

/* Producer: the reserved record shrinks to SIZE bytes (at most what was reserved), is given to the
 * consumer, and the bell rings. */
void ring_commit (Ring *ring, size_t size);

/* Producer: as ring_commit, but the bell stays silent: for runs, with bell_ring at their end. */
void ring_commit_quietly (Ring *ring, size_t size);

/* Consumer: the oldest record and its size, or NULL. Stays valid until ring_pop. */
void *ring_peek (Ring *ring, size_t *size);
void ring_pop (Ring *ring);

/* Consumer, for several records at once: AT begins as ring_head; the record there, or NULL, and AT
 * moves behind it. All stay valid until ring_pop_until (AT). Not mixed with ring_pop in between. */
uint64_t ring_head (const Ring *ring);
void *ring_next (Ring *ring, uint64_t *at, size_t *size);
void ring_pop_until (Ring *ring, uint64_t at);
