#include "path/pings.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void
pings_clear (SentPings *pings)
{
  free (pings->items);
  *pings = (SentPings){0};
}

static void
drop (SentPings *pings, size_t i)
{
  memmove (&pings->items[i], &pings->items[i + 1], (pings->count - i - 1) * sizeof *pings->items);
  pings->count--;
}

void
pings_add (SentPings *pings, const SentPing *ping, size_t limit)
{
  while (pings->count >= limit && pings->count > 0)
    drop (pings, 0);
  pings->items = mem_grow (pings->items, pings->count, &pings->room, sizeof *pings->items);
  pings->items[pings->count++] = *ping;
}

bool
pings_take (SentPings *pings, const DiscoTxId *tx_id, SentPing *out)
{
  for (size_t i = 0; i < pings->count; i++)
    if (memcmp (&pings->items[i].tx_id, tx_id, sizeof *tx_id) == 0) {
      *out = pings->items[i];
      drop (pings, i);
      return true;
    }
  return false;
}

bool
pings_take_expired (SentPings *pings, int64_t now_us, SentPing *out)
{
  for (size_t i = 0; i < pings->count; i++)
    if (now_us - pings->items[i].sent_us >= PING_TIMEOUT_US) {
      *out = pings->items[i];
      drop (pings, i);
      return true;
    }
  return false;
}

const SentPing *
pings_next_missed (SentPings *pings, int64_t now_us)
{
  for (size_t i = 0; i < pings->count; i++)
    if (now_us >= pings->items[i].miss_us) {
      pings->items[i].miss_us = TIME_NEVER;
      return &pings->items[i];
    }
  return NULL;
}

bool
pings_has_command (const SentPings *pings, uint32_t command)
{
  for (size_t i = 0; i < pings->count; i++)
    if (pings->items[i].purpose == PING_COMMAND && pings->items[i].command == command)
      return true;
  return false;
}

void
pings_drop_command (SentPings *pings, uint32_t command)
{
  for (size_t i = 0; i < pings->count;)
    if (pings->items[i].purpose == PING_COMMAND && pings->items[i].command == command)
      drop (pings, i);
    else
      i++;
}

void
pings_drop_sides (SentPings *pings, uint32_t first, uint32_t count)
{
  size_t kept = 0;

  for (size_t i = 0; i < pings->count; i++)
    if (pings->items[i].side == 0 || pings->items[i].side - first >= count)
      pings->items[kept++] = pings->items[i];
  pings->count = kept;
}

bool
pings_has_heartbeat (const SentPings *pings)
{
  for (size_t i = 0; i < pings->count; i++)
    if (pings->items[i].purpose == PING_HEARTBEAT && pings->items[i].miss_us != TIME_NEVER)
      return true;
  return false;
}

int64_t
pings_next_deadline (const SentPings *pings)
{
  int64_t deadline = TIME_NEVER;

  for (size_t i = 0; i < pings->count; i++) {
    deadline = time_min (deadline, pings->items[i].sent_us + PING_TIMEOUT_US);
    deadline = time_min (deadline, pings->items[i].miss_us);
  }
  return deadline;
}
