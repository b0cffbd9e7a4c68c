#include "events.h"

#include <glib.h>
#include <string.h>

#define FNV_START UINT64_C (0xcbf29ce484222325)
#define FNV_PRIME UINT64_C (0x100000001b3)

void
sim_events_init (SimEvents *events)
{
  *events = (SimEvents){.trace = FNV_START};
}

void
sim_events_clear (SimEvents *events)
{
  for (size_t i = 0; i < events->count; i++)
    g_free (events->heap[i].data);
  g_free (events->heap);
  events->heap = NULL;
  events->count = 0;
}

static bool
before (const SimEvent *a, const SimEvent *b)
{
  return a->time_us != b->time_us ? a->time_us < b->time_us : a->order < b->order;
}

void
sim_events_add (SimEvents *events, const SimEvent *event, const void *data, size_t size)
{
  if (events->count == events->capacity) {
    events->capacity = events->capacity ? 2 * events->capacity : 1024;
    events->heap = g_renew (SimEvent, events->heap, events->capacity);
  }
  SimEvent added = *event;
  added.order = events->planned++;
  added.data = size > 0 ? g_memdup2 (data, size) : NULL;
  added.size = size;
  size_t i = events->count++;
  while (i > 0 && before (&added, &events->heap[(i - 1) / 2])) {
    events->heap[i] = events->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  events->heap[i] = added;
}

static void
sift_down (SimEvents *events)
{
  SimEvent moved = events->heap[0];
  size_t i = 0;

  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= events->count)
      break;
    if (child + 1 < events->count && before (&events->heap[child + 1], &events->heap[child]))
      child++;
    if (!before (&events->heap[child], &moved))
      break;
    events->heap[i] = events->heap[child];
    i = child;
  }
  events->heap[i] = moved;
}

void
sim_events_trace (SimEvents *events, const void *data, size_t size)
{
  const uint8_t *bytes = data;
  uint64_t hash = events->trace;

  for (size_t i = 0; i < size; i++)
    hash = (hash ^ bytes[i]) * FNV_PRIME;
  events->trace = hash;
}

bool
sim_events_take (SimEvents *events, SimEvent *event)
{
  if (events->count == 0)
    return false;
  *event = events->heap[0];
  events->count--;
  if (events->count > 0) {
    events->heap[0] = events->heap[events->count];
    sift_down (events);
  }
  events->taken++;
  uint64_t facts[] = {(uint64_t)event->time_us, event->type, event->target, event->serial};
  sim_events_trace (events, facts, sizeof facts);
  sim_events_trace (events, event->data, event->size);
  return true;
}

void
sim_event_clear (SimEvent *event)
{
  g_free (event->data);
  event->data = NULL;
}
