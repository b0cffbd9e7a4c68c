/* What workers tell the state. */
#include "coordinator/server-private.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD_BYTES (16u << 20) /* that may wait for the state before workers stop reading */

ServerEvent *
server_event_new (StateEventType type, uint64_t request)
{
  ServerEvent *event = mem_new (sizeof *event);

  event->event.type = type;
  event->event.request = request;
  return event;
}

void
server_event_post (Server *server, ServerEvent *event)
{
  event->size = sizeof *event + event->request.size;
  if (event->command)
    event->size
        += sizeof *event->command + strlen (event->command->input ? event->command->input : "");
  atomic_fetch_add_explicit (&server->waiting_bytes, event->size, memory_order_relaxed);
  mailbox_push (&server->events, &event->item);
}

void
server_event_free (ServerEvent *event)
{
  server_request_clear (&event->request);
  if (event->command)
    command_request_clear (event->command);
  free (event->command);
  arena_clear (&event->arena);
  free (event);
}

bool
server_is_behind (Server *server)
{
  return atomic_load_explicit (&server->waiting_bytes, memory_order_relaxed) > AHEAD_BYTES;
}

void
server_stop (Server *server, bool deleted)
{
  if (deleted)
    atomic_store (&server->deleted, true);
  atomic_store (&server->stopping, true);
  mailbox_nudge (&server->events);
}
