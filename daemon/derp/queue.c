#include "derp/queue.h"

#include "base/memory.h"
#include "derp/client.h"

#include <stdlib.h>
#include <string.h>

static void
lane_init (DerpQueueLane *lane, size_t room, size_t bytes_max)
{
  *lane = (DerpQueueLane){
      .ring = mem_new (room * sizeof *lane->ring), .room = room, .bytes_max = bytes_max};
}

static void
lane_pop (DerpQueueLane *lane)
{
  DerpQueued *head = &lane->ring[lane->first];

  lane->bytes -= head->size;
  free (head->frame);
  *head = (DerpQueued){0};
  lane->first = (lane->first + 1) % lane->room;
  lane->count--;
}

static void
lane_clear (DerpQueueLane *lane)
{
  while (lane->count > 0)
    lane_pop (lane);
  free (lane->ring);
  lane->ring = NULL;
}

void
derp_queue_init (DerpQueue *queue)
{
  lane_init (&queue->disco, DERP_QUEUE_DISCO, DERP_QUEUE_BYTES);
  lane_init (&queue->data, DERP_QUEUE_PACKETS, DERP_QUEUE_BYTES);
  queue->dropped = 0;
}

void
derp_queue_clear (DerpQueue *queue)
{
  lane_clear (&queue->disco);
  lane_clear (&queue->data);
}

/* Header and keys in front of a packet. */
static size_t
head_size (const NodePublic *source)
{
  return DERP_SEND_OVERHEAD + (source ? KEY_SIZE : 0);
}

static void
write_head (uint8_t *frame, const NodePublic *source, const NodePublic *peer, size_t size)
{
  if (source)
    derp_forward_packet_head (source, peer, size, frame);
  else
    derp_send_packet_head (peer, size, frame);
}

void
derp_queue_push (DerpQueue *queue, const NodePublic *source, const NodePublic *peer,
                 const void *packet, size_t size, int64_t now_us)
{
  DerpQueueLane *lane = derp_packet_is_disco (packet, size) ? &queue->disco : &queue->data;
  size_t frame_size = head_size (source) + size;

  if (size > DERP_PACKET_MAX) {
    queue->dropped++;
    return;
  }
  while (lane->count == lane->room
         || (lane->count > 0 && lane->bytes + frame_size > lane->bytes_max)) {
    lane_pop (lane);
    queue->dropped++;
  }
  DerpQueued *tail = &lane->ring[(lane->first + lane->count) % lane->room];
  *tail = (DerpQueued){
      .queued_us = now_us, .size = frame_size, .frame = mem_resize (NULL, frame_size)};
  write_head (tail->frame, source, peer, size);
  if (size > 0)
    memcpy (tail->frame + head_size (source), packet, size);
  lane->count++;
  lane->bytes += frame_size;
}

static DerpQueueLane *
first_lane (DerpQueue *queue)
{
  return queue->disco.count > 0 ? &queue->disco : &queue->data;
}

const DerpQueued *
derp_queue_peek (DerpQueue *queue, int64_t now_us)
{
  for (;;) {
    DerpQueueLane *lane = first_lane (queue);
    if (lane->count == 0)
      return NULL;
    const DerpQueued *head = &lane->ring[lane->first];
    /* A burst may be long, but what stands is short: senders notice soon that a way is slow. */
    bool stands = lane->count > DERP_QUEUE_STANDING || lane->bytes > DERP_QUEUE_STANDING_BYTES;
    if (now_us - head->queued_us < (stands ? DERP_QUEUE_BURST_US : DERP_QUEUE_AGE_US))
      return head;
    lane_pop (lane);
    queue->dropped++;
  }
}

void
derp_queue_pop (DerpQueue *queue)
{
  lane_pop (first_lane (queue));
}

bool
derp_queue_empty (const DerpQueue *queue)
{
  return queue->disco.count == 0 && queue->data.count == 0;
}
