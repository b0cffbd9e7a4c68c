#include "load-ledger.h"

#include "load-node.h"

#include "base/memory.h"
#include "base/bytes.h"
#include "netmap/map-message.h"
#include "wire/zstd-frames.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 4096 /* messages remembered by digest */

typedef struct
{
  uint32_t index, change;
} Change;

typedef struct
{
  uint64_t digest;
  Change *changes;
  size_t n, room;
} Known;

typedef struct
{
  int64_t sent_us, last_us;
  uint32_t told;
} Entry;

struct LoadLedger
{
  uint32_t n_nodes;
  Entry *entries; /* LEDGER_CHANGES_MAX for each node */
  Known known[SLOTS];
  uint64_t messages, different;
};

LoadLedger *
load_ledger_new (uint32_t n_nodes)
{
  LoadLedger *ledger = mem_new (sizeof *ledger);

  ledger->n_nodes = n_nodes;
  ledger->entries = mem_new ((size_t)n_nodes * LEDGER_CHANGES_MAX * sizeof *ledger->entries);
  return ledger;
}

void
load_ledger_free (LoadLedger *ledger)
{
  for (size_t i = 0; i < SLOTS; i++)
    free (ledger->known[i].changes);
  free (ledger->entries);
  free (ledger);
}

static Entry *
entry (LoadLedger *ledger, uint32_t index, uint32_t change)
{
  if (index >= ledger->n_nodes || change >= LEDGER_CHANGES_MAX)
    return NULL;
  return &ledger->entries[(size_t)index * LEDGER_CHANGES_MAX + change];
}

void
load_ledger_sent (LoadLedger *ledger, uint32_t index, uint32_t change, int64_t now_us)
{
  Entry *e = entry (ledger, index, change);

  if (e)
    e->sent_us = now_us;
}

/* ---- messages ---- */

static MapMessage *
decode (const void *data, size_t size)
{
  ZstdFrames *frames = zstd_frames_new (true);
  MapDecoder *decoder = map_decoder_new ();
  MapMessage *message = NULL;
  ZstdFramesResult result;
  const uint8_t *chunk;
  uint8_t length[4];
  size_t n;

  store_le32 (length, (uint32_t)size);
  zstd_frames_feed (frames, length, sizeof length);
  if (zstd_frames_next (frames, &chunk, &n) == ZSTD_FRAMES_MORE) {
    zstd_frames_feed (frames, data, size);
    while ((result = zstd_frames_next (frames, &chunk, &n)) == ZSTD_FRAMES_CHUNK_READY)
      if (!map_decoder_feed (decoder, chunk, n))
        break;
    if (result == ZSTD_FRAMES_END)
      message = map_decoder_finish (decoder);
  }
  map_decoder_free (decoder);
  zstd_frames_free (frames);
  return message;
}

static void
note (Known *known, const IpPort *endpoints, size_t n)
{
  Change change;

  if (n == 0 || endpoints[0].addr.family != 4
      || !load_endpoint_parse (endpoints[0].addr.bytes, endpoints[0].port, &change.index,
                               &change.change))
    return;
  known->changes = mem_grow (known->changes, known->n, &known->room, sizeof change);
  known->changes[known->n++] = change;
}

static uint64_t
digest_of (const uint8_t *data, size_t size)
{
  uint64_t digest = size;

  for (; size >= 8; size -= 8, data += 8) {
    digest = (digest ^ load_le64 (data)) * UINT64_C (0x9e3779b97f4a7c15);
    digest ^= digest >> 32;
  }
  for (; size > 0; size--, data++)
    digest = (digest ^ *data) * UINT64_C (0x100000001b3);
  return digest ^ digest >> 32;
}

/* What the message tells, decoded only when no node had it before. */
static Known *
look_up (LoadLedger *ledger, const void *data, size_t size)
{
  uint64_t digest = digest_of (data, size);
  Known *known = &ledger->known[digest % SLOTS];

  if (known->digest == digest)
    return known;
  MapMessage *message = decode (data, size);
  if (!message)
    return NULL;
  ledger->different++;
  known->digest = digest;
  known->n = 0;
  for (size_t i = 0; i < message->n_patches; i++)
    note (known, message->patches[i].endpoints, message->patches[i].n_endpoints);
  for (size_t i = 0; i < message->n_peers_changed; i++)
    note (known, message->peers_changed[i]->endpoints, message->peers_changed[i]->n_endpoints);
  map_message_free (message);
  return known;
}

bool
load_ledger_told (LoadLedger *ledger, const void *data, size_t size, int64_t now_us)
{
  Known *known = look_up (ledger, data, size);

  if (!known)
    return false;
  ledger->messages++;
  for (size_t i = 0; i < known->n; i++) {
    Entry *e = entry (ledger, known->changes[i].index, known->changes[i].change);
    if (!e || known->changes[i].change == 0)
      continue;
    e->told++;
    e->last_us = now_us;
  }
  return true;
}

long
load_ledger_check_map (const void *data, size_t size)
{
  MapMessage *message = decode (data, size);
  long n = message && message->node ? (long)message->n_peers : -1;

  map_message_free (message);
  return n;
}

void
load_ledger_write (const LoadLedger *ledger, FILE *out)
{
  for (uint32_t i = 0; i < ledger->n_nodes; i++)
    for (uint32_t c = 0; c < LEDGER_CHANGES_MAX; c++) {
      const Entry *e = &ledger->entries[(size_t)i * LEDGER_CHANGES_MAX + c];
      if (e->sent_us || e->told)
        fprintf (out, "%u %u %" PRId64 " %u %" PRId64 "\n", i, c, e->sent_us, e->told, e->last_us);
    }
}

void
load_ledger_counts (const LoadLedger *ledger, uint64_t *messages, uint64_t *different)
{
  *messages = ledger->messages;
  *different = ledger->different;
}
