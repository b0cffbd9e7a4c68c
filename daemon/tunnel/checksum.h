/* Internet checksums (RFC 1071) over whole packets, as fast as the processor adds.
 *
 * Sums are kept unfolded and in the byte order of the machine: a folded sum is stored with memcpy,
 * never with a swap. base/ip-packet.h has the small ones of single headers. Any thread. */
#pragma once

#include "base/ip.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* SUM plus the 16-bit words of SIZE bytes; an odd last byte counts as if a zero followed it. */
uint64_t checksum_add (uint64_t sum, const void *data, size_t size);

/* SUM brought into 16 bits; not complemented. */
static inline uint16_t
checksum_fold (uint64_t sum)
{
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

/* The pseudo header of an L4 checksum: ADDRESSES are source and destination as they stand in the IP
 * header (8 or 32 bytes), LENGTH the bytes from the L4 header on. */
static inline uint64_t
checksum_pseudo (const void *addresses, size_t addresses_size, uint8_t protocol, uint32_t length)
{
  uint8_t tail[8] = {(uint8_t)(length >> 24),
                     (uint8_t)(length >> 16),
                     (uint8_t)(length >> 8),
                     (uint8_t)length,
                     0,
                     0,
                     0,
                     protocol};

  return checksum_add (checksum_add (0, addresses, addresses_size), tail, sizeof tail);
}

/* Stores SUM, folded and complemented, at AT. */
static inline void
checksum_store (void *at, uint64_t sum)
{
  uint16_t folded = (uint16_t)~checksum_fold (sum);

  memcpy (at, &folded, sizeof folded);
}
