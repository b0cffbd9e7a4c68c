/* Packets that wait for a relay connection: bounded, disco before data, the oldest is dropped.
 *
 * A packet that waited too long is worth nothing to the tunnel, so age is a limit too.
 * spec/derp.md §5.4. Net thread, inside derp only. */
#pragma once

#include "derp/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  int64_t queued_us;
  size_t size;    /* of the whole SendPacket frame */
  uint8_t *frame; /* malloc'd */
} DerpQueued;

typedef struct
{
  DerpQueued *ring; /* room entries */
  size_t room;
  size_t first;
  size_t count;
  size_t bytes; /* of all frames */
  size_t bytes_max;
} DerpQueueLane;

typedef struct
{
  DerpQueueLane disco;
  DerpQueueLane data;
  uint64_t dropped;
} DerpQueue;

void derp_queue_init (DerpQueue *queue);
void derp_queue_clear (DerpQueue *queue);

/* Queues a copy of PACKET as a SendPacket frame, or as a ForwardPacket frame from SOURCE (NULL: the
 * former). */
void derp_queue_push (DerpQueue *queue, const NodePublic *source, const NodePublic *peer,
                      const void *packet, size_t size, int64_t now_us);

/* The next frame that is younger than DERP_QUEUE_AGE_US, or NULL; older ones are dropped on the
 * way. It stays in the queue until derp_queue_pop. */
const DerpQueued *derp_queue_peek (DerpQueue *queue, int64_t now_us);
void derp_queue_pop (DerpQueue *queue);

bool derp_queue_empty (const DerpQueue *queue);
