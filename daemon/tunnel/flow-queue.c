#include "tunnel/flow-queue.h"

#include "base/bytes.h"
#include "base/ip-packet.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FLOWS     64
#define ALIGNMENT 6 /* behind a virtio header of ten bytes the IP packet is aligned */
#define STRIDE    (FLOW_QUEUE_PACKET + 64)
#define NONE      UINT8_MAX

_Static_assert(FLOW_QUEUE_PACKETS + 1 < NONE, "slots are numbered by bytes");

typedef struct
{
  uint8_t next; /* slot, or NONE */
  uint32_t size;
  int64_t added_us;
} Slot;

/* Which list a flow stands in. */
typedef enum
{
  FLOW_IDLE,
  FLOW_NEW, /* sent nothing for a while: before all others, for one quantum */
  FLOW_OLD,
} FlowState;

typedef struct
{
  FlowState state;
  uint8_t next;        /* flow in the same list, or NONE */
  uint8_t first, last; /* slots, or NONE */
  int32_t deficit;     /* bytes that it may still send in this turn */
  uint32_t bytes;
  /* CoDel's, as RFC 8289 names them. */
  bool dropping;
  uint32_t count, last_count;
  int64_t first_above_us;
  int64_t drop_next_us;
} Flow;

typedef struct
{
  uint8_t first, last;
} FlowList;

struct FlowQueue
{
  uint8_t *memory; /* mapped: what no packet has touched yet costs nothing */
  uint32_t salt;
  uint8_t room;                         /* slot that flow_queue_room gave out */
  uint8_t given;                        /* slot that flow_queue_next gave out, or NONE */
  uint8_t free[FLOW_QUEUE_PACKETS + 1]; /* used last is used first again, for the cache's sake */
  unsigned n_free;
  unsigned n_waiting;
  uint32_t bytes;
  uint64_t drops;
  FlowList fresh, old;
  Slot slots[FLOW_QUEUE_PACKETS + 2];
  Flow flows[FLOWS];
};

#define N_SLOTS                                                                                    \
  (FLOW_QUEUE_PACKETS + 2) /* those that wait, the one being read, the one being sent */

FlowQueue *
flow_queue_new (uint32_t salt)
{
  FlowQueue *q = mem_new (sizeof *q);

  q->memory = mmap (NULL, (size_t)N_SLOTS * STRIDE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (q->memory == MAP_FAILED)
    abort ();
  q->salt = salt;
  q->given = NONE;
  q->fresh = q->old = (FlowList){NONE, NONE};
  for (int i = N_SLOTS - 1; i > 0; i--)
    q->free[q->n_free++] = (uint8_t)i;
  for (int i = 0; i < FLOWS; i++)
    q->flows[i].first = q->flows[i].last = q->flows[i].next = NONE;
  return q;
}

void
flow_queue_free (FlowQueue *q)
{
  if (q == NULL)
    return;
  munmap (q->memory, (size_t)N_SLOTS * STRIDE);
  free (q);
}

static uint8_t *
slot_data (const FlowQueue *q, uint8_t slot)
{
  return q->memory + (size_t)slot * STRIDE + ALIGNMENT;
}

/* ---- which flow ---- */

static uint32_t
mix (uint32_t hash, uint32_t word)
{
  hash = (hash ^ word) * 0x9e3779b1u;
  return hash ^ hash >> 15;
}

/* Addresses, protocol, and the ports where the protocol has them and no fragment lacks them. */
static Flow *
flow_of (FlowQueue *q, const uint8_t *p, size_t size)
{
  uint32_t hash = q->salt;
  size_t from = 0, to = 0, l4 = 0;
  uint8_t protocol = 0;

  if (size >= 20 && p[0] >> 4 == 4) {
    from = 12, to = 20, protocol = p[9];
    l4 = (load_be16 (p + 6) & 0x3fff) == 0 ? (size_t)(p[0] & 15) * 4 : 0;
  } else if (size >= 40 && p[0] >> 4 == 6) {
    from = 8, to = l4 = 40, protocol = p[6];
  }
  for (size_t at = from; at < to; at += 4)
    hash = mix (hash, load_le32 (p + at));
  if (l4 != 0 && l4 + 4 <= size
      && (protocol == IP_PROTO_TCP || protocol == IP_PROTO_UDP || protocol == IP_PROTO_SCTP))
    hash = mix (hash, load_le32 (p + l4));
  return &q->flows[mix (hash, protocol) % FLOWS];
}

/* ---- lists ---- */

static void
list_append (FlowQueue *q, FlowList *list, Flow *flow, FlowState state)
{
  uint8_t number = (uint8_t)(flow - q->flows);

  flow->state = state;
  flow->next = NONE;
  if (list->last == NONE)
    list->first = number;
  else
    q->flows[list->last].next = number;
  list->last = number;
}

static void
list_shift (FlowQueue *q, FlowList *list)
{
  Flow *flow = &q->flows[list->first];

  list->first = flow->next;
  if (list->first == NONE)
    list->last = NONE;
  flow->state = FLOW_IDLE;
}

/* ---- packets ---- */

static void
give_back (FlowQueue *q, uint8_t slot)
{
  q->free[q->n_free++] = slot;
}

static uint8_t
take_first (FlowQueue *q, Flow *flow)
{
  uint8_t slot = flow->first;

  flow->first = q->slots[slot].next;
  if (flow->first == NONE)
    flow->last = NONE;
  flow->bytes -= q->slots[slot].size;
  q->bytes -= q->slots[slot].size;
  q->n_waiting--;
  return slot;
}

static void
drop_first (FlowQueue *q, Flow *flow)
{
  give_back (q, take_first (q, flow));
  q->drops++;
}

uint8_t *
flow_queue_room (FlowQueue *q)
{
  return q->n_waiting < FLOW_QUEUE_PACKETS ? slot_data (q, q->room) : NULL;
}

void
flow_queue_add (FlowQueue *q, size_t size, size_t at, int64_t now_us)
{
  uint8_t slot = q->room;
  Flow *flow = flow_of (q, slot_data (q, slot) + at, size > at ? size - at : 0);

  q->slots[slot] = (Slot){.next = NONE, .size = (uint32_t)size, .added_us = now_us};
  if (flow->last == NONE)
    flow->first = slot;
  else
    q->slots[flow->last].next = slot;
  flow->last = slot;
  flow->bytes += (uint32_t)size;
  q->bytes += (uint32_t)size;
  q->n_waiting++;
  if (flow->state == FLOW_IDLE) {
    flow->deficit = FLOW_QUEUE_QUANTUM;
    list_append (q, &q->fresh, flow, FLOW_NEW);
  }
  while (q->bytes > FLOW_QUEUE_BYTES) {
    Flow *fattest = flow;

    for (int i = 0; i < FLOWS; i++)
      if (q->flows[i].bytes > fattest->bytes)
        fattest = &q->flows[i];
    drop_first (q, fattest);
  }
  q->room = q->free[--q->n_free];
}

/* ---- CoDel ---- */

static uint32_t
square_root (uint32_t n)
{
  uint32_t root = 0;

  while ((root + 1) * (root + 1) <= n)
    root++;
  return root;
}

/* When to drop again after COUNT drops; their rate grows with the root of their number. */
static int64_t
control_law (int64_t from_us, uint32_t count)
{
  /* Roots in sixteenths. */
  return from_us + FLOW_QUEUE_INTERVAL_US * 16 / square_root ((count < 4096 ? count : 4096) * 256);
}

/* The first packet of FLOW has waited too long, and so did all within the last interval. */
static bool
waits_too_long (const FlowQueue *q, Flow *flow, int64_t now_us)
{
  if (flow->first == NONE || now_us - q->slots[flow->first].added_us < FLOW_QUEUE_TARGET_US
      || flow->bytes <= FLOW_QUEUE_QUANTUM) {
    flow->first_above_us = 0;
    return false;
  }
  if (flow->first_above_us == 0) {
    flow->first_above_us = now_us + FLOW_QUEUE_INTERVAL_US;
    return false;
  }
  return now_us >= flow->first_above_us;
}

/* Drops what CoDel wants dropped before the next packet of FLOW. */
static void
control_delay (FlowQueue *q, Flow *flow, int64_t now_us)
{
  bool late = waits_too_long (q, flow, now_us);

  if (!flow->dropping) {
    if (!late)
      return;
    drop_first (q, flow);
    waits_too_long (q, flow, now_us);
    flow->dropping = true;
    /* Shortly after the last time it goes on where it was. */
    flow->count = now_us - flow->drop_next_us < 16 * FLOW_QUEUE_INTERVAL_US && flow->count > 2
                          && flow->count > flow->last_count + 1
                      ? flow->count - flow->last_count
                      : 1;
    flow->last_count = flow->count;
    flow->drop_next_us = control_law (now_us, flow->count);
    return;
  }
  while (late && now_us >= flow->drop_next_us) {
    drop_first (q, flow);
    flow->count++;
    late = waits_too_long (q, flow, now_us);
    flow->drop_next_us = control_law (flow->drop_next_us, flow->count);
  }
  flow->dropping = late;
}

/* ---- whose turn it is ---- */

/* The flow at the head of the lists that may send, or NULL. */
static Flow *
next_flow (FlowQueue *q, int64_t now_us)
{
  while (q->fresh.first != NONE || q->old.first != NONE) {
    FlowList *list = q->fresh.first != NONE ? &q->fresh : &q->old;
    Flow *flow = &q->flows[list->first];

    if (flow->deficit <= 0) {
      flow->deficit += FLOW_QUEUE_QUANTUM;
      list_shift (q, list);
      list_append (q, &q->old, flow, FLOW_OLD);
      continue;
    }
    control_delay (q, flow, now_us);
    if (flow->first != NONE)
      return flow;
    list_shift (q, list);
    /* A flow that comes and goes may not stay ahead of the others for ever. */
    if (list == &q->fresh && q->old.first != NONE)
      list_append (q, &q->old, flow, FLOW_OLD);
  }
  return NULL;
}

uint8_t *
flow_queue_next (FlowQueue *q, int64_t now_us, size_t *size)
{
  Flow *flow;

  if (q->given != NONE)
    give_back (q, q->given);
  q->given = NONE;
  flow = next_flow (q, now_us);
  if (flow == NULL)
    return NULL;
  q->given = take_first (q, flow);
  *size = q->slots[q->given].size;
  flow->deficit -= (int32_t)*size;
  return slot_data (q, q->given);
}

bool
flow_queue_empty (const FlowQueue *q)
{
  return q->n_waiting == 0;
}

uint64_t
flow_queue_take_drops (FlowQueue *q)
{
  uint64_t drops = q->drops;

  q->drops = 0;
  return drops;
}
