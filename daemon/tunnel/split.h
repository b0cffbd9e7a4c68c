/* Takes apart what the TUN device gives: a packet, or a TCP or UDP super-packet that is to become
 * many. The result of each segment is what the kernel's own segmentation would have produced, with
 * its checksums. Pure; spec/wireguard-dataplane.md §8.3. Worker threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was read, checked. Borrows the bytes it was parsed from. */
typedef struct
{
  uint8_t *packet;     /* the IP header */
  size_t size;         /* bytes at packet */
  size_t header_size;  /* IP and L4 header, repeated in each segment */
  size_t l4_offset;    /* of the TCP or UDP header; 0 when there is one segment without checksum */
  size_t csum_offset;  /* where the L4 checksum stands, from l4_offset */
  uint32_t segment;    /* payload bytes of all segments but the last */
  uint32_t n_segments; /* at least 1 */
  uint8_t version;     /* 4 or 6 */
  uint8_t protocol;    /* 6 or 17 when n_segments > 1 */
  bool needs_checksum; /* the L4 checksum holds the pseudo header's sum and is to be completed */
} SuperPacket;

/* Parses SIZE bytes from a TUN device with (VNET) or without a virtio header. False: not an IP
 * packet, or a header that contradicts its packet. */
bool super_packet_parse (SuperPacket *super, uint8_t *data, size_t size, bool vnet);

/* Bytes of segment K. */
size_t super_packet_segment_size (const SuperPacket *super, uint32_t k);

/* Writes segment K as a complete IP packet to OUT; returns its size. */
size_t super_packet_write (const SuperPacket *super, uint32_t k, uint8_t *out);
