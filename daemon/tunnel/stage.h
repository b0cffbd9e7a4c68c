/* Packets that wait for a session: at most 64 and 128 KiB for a peer, the oldest go first
 * (spec/wireguard-dataplane.md §10.4). Owner's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAGE_PACKETS_MAX 64
#define STAGE_BYTES_MAX   (128 * 1024)
#define STAGE_TOTAL_MAX   (8 * 1024 * 1024) /* of all peers of a worker */

/* All that wait in one worker. */
typedef struct Stage Stage;
typedef struct
{
  Stage *first;
  size_t bytes;
  uint64_t dropped; /* packets */
} StageTotal;

/* Puts a copy of SIZE bytes (one read of the TUN device) behind what waits on *STAGE, which is made
 * when it is NULL. Drops the oldest packets of the fattest peer where a limit is passed. */
void stage_add (Stage **stage, StageTotal *total, const void *data, size_t size);

/* The oldest packet and its size, or NULL. Valid until the next call for this stage. */
uint8_t *stage_first (Stage *stage, size_t *size);
void stage_pop (Stage *stage, StageTotal *total);

/* Bytes that wait; 0 for NULL. */
size_t stage_bytes (const Stage *stage);

/* Drops what waits and gives the memory back. NULL is allowed. */
void stage_free (Stage *stage, StageTotal *total);
