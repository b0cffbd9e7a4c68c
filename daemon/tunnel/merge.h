/* Joins decrypted packets of one receive batch into the super-packets that the TUN device takes.
 *
 * Merging changes nothing that a receiver can tell: each flow's bytes arrive in order, whatever may
 * not be merged is written as it came. Nothing is held back beyond the batch. Pure;
 * spec/wireguard-dataplane.md §8.4. Worker threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MERGE_PACKETS_MAX 512 /* packets in one batch */

typedef struct Merge Merge;

/* Which packets may be merged; none without a virtio header. */
typedef struct
{
  bool vnet; /* packets are given out with a virtio header */
  bool tcp;
  bool udp;
} MergeOptions;

Merge *merge_new (const MergeOptions *options);
void merge_free (Merge *merge);
void merge_set_options (Merge *merge, const MergeOptions *options);
const MergeOptions *merge_options (const Merge *merge);

/* Takes an IP packet of the batch, whose length has been checked (wg_inner_size). The bytes stay
 * untouched and must stay valid until merge_reset; the 10 bytes before them may be overwritten.
 * False when the batch is full: write it out first. */
bool merge_add (Merge *merge, uint8_t *packet, size_t size);

/* The next thing to write to the device, in order of arrival; false at the end of the batch. */
bool merge_next (Merge *merge, const uint8_t **data, size_t *size);

/* The kernel refused what merge_next gave last: its packets come again, one by one. True when it
 * had been merged. */
bool merge_next_singly (Merge *merge);

/* Empties the batch. */
void merge_reset (Merge *merge);
