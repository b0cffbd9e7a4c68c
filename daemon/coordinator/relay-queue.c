#include "coordinator/relay-queue.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct Packet Packet;
struct Packet
{
  Packet *next;
  size_t size;
  uint8_t frame[];
};

/* The packets of one source; only while there are some. */
struct RelayFlow
{
  RelayFlow *next, *previous; /* in the ring */
  NodePublic source;
  Packet *first, **end;
  size_t n;
};

RelayQueue *
relay_queue_new (RelayBudget *budget)
{
  RelayQueue *queue = mem_new (sizeof *queue);

  queue->budget = budget;
  return queue;
}

static RelayFlow *
find_flow (RelayLane *lane, const NodePublic *source)
{
  RelayFlow *flow = lane->turn;

  /* The newest joined at the end: a burst finds its own at once. */
  for (bool more = flow != NULL; more; more = flow != lane->turn) {
    flow = flow->previous;
    if (memcmp (flow->source.bytes, source->bytes, KEY_SIZE) == 0)
      return flow;
  }
  flow = mem_new (sizeof *flow);
  flow->source = *source;
  flow->end = &flow->first;
  flow->next = lane->turn ? lane->turn : flow;
  flow->previous = lane->turn ? lane->turn->previous : flow;
  flow->next->previous = flow;
  flow->previous->next = flow;
  if (!lane->turn)
    lane->turn = flow;
  return flow;
}

static void
remove_flow (RelayLane *lane, RelayFlow *flow)
{
  if (lane->turn == flow)
    lane->turn = flow->next == flow ? NULL : flow->next;
  flow->previous->next = flow->next;
  flow->next->previous = flow->previous;
  free (flow);
}

/* Takes the oldest packet of FLOW out, and the flow when it was the last. */
static Packet *
take_first (RelayQueue *queue, RelayLane *lane, RelayFlow *flow)
{
  Packet *packet = flow->first;

  flow->first = packet->next;
  if (!flow->first)
    flow->end = &flow->first;
  lane->n--;
  lane->bytes -= packet->size;
  atomic_fetch_sub_explicit (&queue->budget->bytes, packet->size, memory_order_relaxed);
  if (--flow->n == 0)
    remove_flow (lane, flow);
  return packet;
}

static void
drop_one (RelayQueue *queue, RelayLane *lane)
{
  RelayFlow *most = lane->turn;

  for (RelayFlow *flow = most->next; flow != lane->turn; flow = flow->next)
    if (flow->n > most->n)
      most = flow;
  free (take_first (queue, lane, most));
}

static void
clear_lane (RelayQueue *queue, RelayLane *lane)
{
  while (lane->turn)
    free (take_first (queue, lane, lane->turn));
}

void
relay_queue_free (RelayQueue *queue)
{
  if (!queue)
    return;
  clear_lane (queue, &queue->disco);
  clear_lane (queue, &queue->data);
  free (queue);
}

/* Bytes that LANE may hold now. */
static size_t
room_of (const RelayQueue *queue, bool disco)
{
  size_t used = atomic_load_explicit (&queue->budget->bytes, memory_order_relaxed);
  size_t limit = queue->budget->limit;

  if (disco)
    return used >= limit ? 0 : RELAY_QUEUE_DISCO_SIZE;
  if (used >= limit - limit / 10)
    return 0;
  return used >= limit / 2 ? RELAY_QUEUE_BYTES / 2 : RELAY_QUEUE_BYTES;
}

unsigned
relay_queue_push (RelayQueue *queue, const NodePublic *source, bool disco, const uint8_t *frame,
                  size_t size)
{
  RelayLane *lane = disco ? &queue->disco : &queue->data;
  size_t room = room_of (queue, disco), most = disco ? RELAY_QUEUE_DISCO : RELAY_QUEUE_DATA;
  unsigned dropped = 0;

  if (size > room)
    return 1;
  while (lane->n > 0 && (lane->n >= most || lane->bytes + size > room)) {
    drop_one (queue, lane);
    dropped++;
  }
  RelayFlow *flow = find_flow (lane, source);
  Packet *packet = mem_resize (NULL, sizeof *packet + size);
  packet->next = NULL;
  packet->size = size;
  memcpy (packet->frame, frame, size);
  *flow->end = packet;
  flow->end = &packet->next;
  flow->n++;
  lane->n++;
  lane->bytes += size;
  atomic_fetch_add_explicit (&queue->budget->bytes, size, memory_order_relaxed);
  return dropped;
}

static void
take_lane (RelayQueue *queue, RelayLane *lane, Buffer *out, size_t limit)
{
  while (lane->turn && out->size < limit) {
    RelayFlow *flow = lane->turn;
    lane->turn = flow->next;
    Packet *packet = take_first (queue, lane, flow);
    buffer_append (out, packet->frame, packet->size);
    free (packet);
  }
}

void
relay_queue_take (RelayQueue *queue, Buffer *out, size_t limit)
{
  take_lane (queue, &queue->disco, out, limit);
  take_lane (queue, &queue->data, out, limit);
}

size_t
relay_queue_bytes (const RelayQueue *queue)
{
  return queue->disco.bytes + queue->data.bytes;
}
