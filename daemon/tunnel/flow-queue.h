/* Packets of the host that wait to be encrypted, each flow in its turn: flows that send little go
 * first, flows that let their packets wait lose some (fq_codel, RFC 8290 and 8289, with one read of
 * the TUN device as the unit). Without it a ping would wait behind all that a download has put into
 * the device's queue, which is counted in packets of up to 64 KiB.
 *
 * Pure; holds the buffers that the device is read into. spec/wireguard-dataplane.md §10.5. A
 * worker's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_QUEUE_PACKET      (66 * 1024)   /* room for one packet */
#define FLOW_QUEUE_PACKETS     64            /* that may wait, of all flows */
#define FLOW_QUEUE_BYTES       (1024 * 1024) /* and bytes; the fattest flow loses what is more */
#define FLOW_QUEUE_QUANTUM     (64 * 1024)   /* bytes of a flow in one turn */
#define FLOW_QUEUE_TARGET_US   (5 * INT64_C (1000))   /* a packet may wait so long, */
#define FLOW_QUEUE_INTERVAL_US (100 * INT64_C (1000)) /* or longer for such a time at most */

typedef struct FlowQueue FlowQueue;

/* SALT keeps others from choosing which flows share a queue. */
FlowQueue *flow_queue_new (uint32_t salt);
void flow_queue_free (FlowQueue *queue);

/* Where the next packet may be read to: FLOW_QUEUE_PACKET bytes. NULL when as many wait as may. The
 * same until the packet is added. */
uint8_t *flow_queue_room (FlowQueue *queue);

/* The packet in that room, SIZE bytes of which the IP packet begins at AT, waits from now on. */
void flow_queue_add (FlowQueue *queue, size_t size, size_t at, int64_t now_us);

/* The packet whose turn it is and its size, valid until the next call; NULL when none waits. */
uint8_t *flow_queue_next (FlowQueue *queue, int64_t now_us, size_t *size);

bool flow_queue_empty (const FlowQueue *queue);

/* Packets (reads of the device) that were dropped since the last call. */
uint64_t flow_queue_take_drops (FlowQueue *queue);
