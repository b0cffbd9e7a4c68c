/* Who we spoke to first: UDP and SCTP flows whose replies may come in without a rule.
 *
 * One table per worker (and filter class), of fixed size, with CLOCK eviction and an idle time-out
 * (spec/netmap-and-policy.md B.5). The worker that owns it is the only one that touches it. */
#pragma once

#include "base/ip-packet.h"

#define FLOW_TABLE_ENTRIES   16384
#define FLOW_IDLE_TIMEOUT_US (300 * INT64_C (1000000))

typedef struct FlowTable FlowTable;

/* Room for ENTRIES flows (rounded up to a power of two); 0: FLOW_TABLE_ENTRIES. The memory is taken
 * from the system as it is used. */
FlowTable *flow_table_new (size_t entries);
void flow_table_free (FlowTable *table);

/* Forgets all flows. */
void flow_table_clear (FlowTable *table);

/* An outgoing packet with ports: its answers may come in. */
void flow_table_add (FlowTable *table, const IpPacket *packet, int64_t now_us);

/* True when the incoming PACKET answers a known flow, which counts as use of it. */
bool flow_table_matches (FlowTable *table, const IpPacket *packet, int64_t now_us);
