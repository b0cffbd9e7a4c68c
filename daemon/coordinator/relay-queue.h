/* Packets that wait until a client of the relay takes more bytes (spec/derp.md §6.4, §9.5).
 *
 * Disco apart from data and ahead of it. Each source has a line of its own and they take turns, so
 * that one that floods crowds out only itself: when there is no room, the oldest packet of the
 * source with the most goes. All queues together keep to a budget. One thread; the budget is
 * shared. */
#pragma once

#include "base/key.h"
#include "wire/buffer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_QUEUE_DISCO      32          /* packets */
#define RELAY_QUEUE_DATA       512         /* packets */
#define RELAY_QUEUE_BYTES      (256 << 10) /* of either kind; one packet always fits */
#define RELAY_QUEUE_DISCO_SIZE 65573       /* bytes */

/* What all queues of a relay may hold. Half full: each may hold half. Nine tenths: disco only. */
typedef struct
{
  size_t limit;         /* bytes */
  _Atomic size_t bytes; /* waiting now */
} RelayBudget;

typedef struct RelayFlow RelayFlow;

typedef struct
{
  RelayFlow *turn; /* whose packet is next; a ring */
  size_t n, bytes; /* of packets, frames */
} RelayLane;

typedef struct
{
  RelayBudget *budget;
  RelayLane disco, data;
} RelayQueue;

RelayQueue *relay_queue_new (RelayBudget *budget);
void relay_queue_free (RelayQueue *queue);

/* Queues a copy of a frame of SIZE bytes from SOURCE; the number of packets that were dropped. */
unsigned relay_queue_push (RelayQueue *queue, const NodePublic *source, bool disco,
                           const uint8_t *frame, size_t size);

/* Appends whole frames to OUT until it holds at least LIMIT bytes or nothing waits. */
void relay_queue_take (RelayQueue *queue, Buffer *out, size_t limit);

/* Bytes that wait. */
size_t relay_queue_bytes (const RelayQueue *queue);
