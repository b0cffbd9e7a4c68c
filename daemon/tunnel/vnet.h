/* The header that stands in front of every packet of the TUN device (struct virtio_net_hdr): 10
 * bytes in the machine's byte order. spec/wireguard-dataplane.md §8.2. */
#pragma once

#include <stdint.h>

#define VNET_HEADER_SIZE 10

#define VNET_NEEDS_CSUM 1 /* flags */

#define VNET_GSO_NONE  0 /* gso_type */
#define VNET_GSO_TCPV4 1
#define VNET_GSO_TCPV6 4
#define VNET_GSO_UDP   5
#define VNET_GSO_ECN   0x80

typedef struct __attribute__ ((packed))
{
  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len; /* not to be trusted on read */
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
} VnetHeader;

_Static_assert(sizeof (VnetHeader) == VNET_HEADER_SIZE, "virtio_net_hdr layout");
