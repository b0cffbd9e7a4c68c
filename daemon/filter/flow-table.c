#include "filter/flow-table.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define WAYS 8 /* places where a flow may stand */

typedef struct
{
  uint8_t src[16], dst[16]; /* as its answers have them; IPv4 in its IPv6 form */
  uint16_t src_port, dst_port;
  uint8_t protocol;   /* 0: free */
  uint8_t padding[3]; /* zero */
  uint32_t used_s;    /* seconds of the clock; wraps after 136 years */
} Flow;

#define FLOW_KEY_SIZE offsetof (Flow, used_s)

struct FlowTable
{
  size_t mask; /* sets - 1 */
  Flow flows[];
};

FlowTable *
flow_table_new (size_t entries)
{
  size_t sets = 1;

  while (sets * WAYS < (entries ? entries : FLOW_TABLE_ENTRIES))
    sets *= 2;
  FlowTable *table = mem_new (sizeof *table + sets * WAYS * sizeof (Flow));
  table->mask = sets - 1;
  return table;
}

void
flow_table_free (FlowTable *table)
{
  free (table);
}

void
flow_table_clear (FlowTable *table)
{
  memset (table->flows, 0, (table->mask + 1) * WAYS * sizeof (Flow));
}

/* The flow that PACKET answers, or that answers PACKET when REVERSE. */
static void
flow_of (const IpPacket *p, bool reverse, Flow *out)
{
  memset (out, 0, sizeof *out);
  ip_to_mapped (reverse ? &p->dst : &p->src, out->src);
  ip_to_mapped (reverse ? &p->src : &p->dst, out->dst);
  out->src_port = reverse ? p->dst_port : p->src_port;
  out->dst_port = reverse ? p->src_port : p->dst_port;
  out->protocol = p->protocol;
}

static Flow *
set_of (FlowTable *table, const Flow *flow)
{
  uint64_t words[5] = {0}, hash = 0;

  memcpy (words, flow, FLOW_KEY_SIZE);
  for (size_t i = 0; i < 5; i++) {
    hash = (hash ^ words[i]) * UINT64_C (0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
  }
  return &table->flows[(hash & table->mask) * WAYS];
}

static uint32_t
seconds (int64_t now_us)
{
  return (uint32_t)(now_us / 1000000);
}

void
flow_table_add (FlowTable *table, const IpPacket *packet, int64_t now_us)
{
  Flow wanted, *set, *victim = NULL;
  uint32_t now = seconds (now_us);

  flow_of (packet, true, &wanted);
  set = set_of (table, &wanted);
  for (Flow *f = set; f < set + WAYS; f++) {
    if (memcmp (f, &wanted, FLOW_KEY_SIZE) == 0) {
      f->used_s = now;
      return;
    }
    if (!victim || f->protocol == 0
        || (victim->protocol != 0 && now - f->used_s > now - victim->used_s))
      victim = f;
  }
  *victim = wanted;
  victim->used_s = now;
}

bool
flow_table_matches (FlowTable *table, const IpPacket *packet, int64_t now_us)
{
  Flow wanted, *set;
  uint32_t now = seconds (now_us);

  flow_of (packet, false, &wanted);
  set = set_of (table, &wanted);
  for (Flow *f = set; f < set + WAYS; f++) {
    if (memcmp (f, &wanted, FLOW_KEY_SIZE) != 0)
      continue;
    if (now - f->used_s > FLOW_IDLE_TIMEOUT_US / 1000000)
      return false;
    f->used_s = now;
    return true;
  }
  return false;
}
