#include "tunnel/split.h"

#include "base/bytes.h"
#include "tunnel/checksum.h"
#include "tunnel/vnet.h"

#define IPV4_HEADER_MIN 20
#define IPV6_HEADER     40
#define TCP_HEADER_MIN  20
#define TCP_HEADER_MAX  60
#define UDP_HEADER      8
#define PROTOCOL_TCP    6
#define PROTOCOL_UDP    17
#define TCP_SEQUENCE    4
#define TCP_FLAGS       13
#define TCP_FIN         0x01
#define TCP_PSH         0x08
#define TCP_CWR         0x80

static size_t
ip_header_min (uint8_t version)
{
  return version == 4 ? IPV4_HEADER_MIN : IPV6_HEADER;
}

/* Where the L4 header of an UDP or TCP super-packet ends, 0 when the packet contradicts itself. */
static size_t
header_end (const SuperPacket *super)
{
  size_t at = super->l4_offset;
  size_t l4;

  if (super->protocol == PROTOCOL_UDP) {
    l4 = UDP_HEADER;
  } else {
    if (super->size < at + TCP_HEADER_MIN)
      return 0;
    l4 = (size_t)(super->packet[at + 12] >> 4) * 4;
    if (l4 < TCP_HEADER_MIN || l4 > TCP_HEADER_MAX)
      return 0;
  }
  return super->size > at + l4 ? at + l4 : 0;
}

static bool
parse_gso (SuperPacket *super, const VnetHeader *vnet)
{
  uint8_t type = vnet->gso_type & (uint8_t)~VNET_GSO_ECN;

  if (type == VNET_GSO_UDP)
    super->protocol = PROTOCOL_UDP;
  else if ((type == VNET_GSO_TCPV4 && super->version == 4)
           || (type == VNET_GSO_TCPV6 && super->version == 6))
    super->protocol = PROTOCOL_TCP;
  else
    return false;
  if (vnet->gso_size == 0 || !super->needs_checksum)
    return false;
  if (super->csum_offset != (super->protocol == PROTOCOL_TCP ? 16 : 6))
    return false;
  if (super->version == 4
      && (super->l4_offset != (size_t)(super->packet[0] & 15) * 4
          || super->packet[9] != super->protocol))
    return false;
  super->header_size = header_end (super);
  if (super->header_size == 0)
    return false;
  super->segment = vnet->gso_size;
  super->n_segments
      = (uint32_t)((super->size - super->header_size + vnet->gso_size - 1) / vnet->gso_size);
  return true;
}

bool
super_packet_parse (SuperPacket *super, uint8_t *data, size_t size, bool vnet)
{
  VnetHeader header = {0};

  *super = (SuperPacket){.n_segments = 1};
  if (vnet) {
    if (size < VNET_HEADER_SIZE)
      return false;
    memcpy (&header, data, sizeof header);
    data += VNET_HEADER_SIZE;
    size -= VNET_HEADER_SIZE;
  }
  if (size == 0)
    return false;
  super->packet = data;
  super->size = size;
  super->version = data[0] >> 4;
  if ((super->version != 4 && super->version != 6) || size < ip_header_min (super->version))
    return false;
  if ((header.flags & VNET_NEEDS_CSUM) != 0) {
    super->needs_checksum = true;
    super->l4_offset = header.csum_start;
    super->csum_offset = header.csum_offset;
    if (super->l4_offset < ip_header_min (super->version)
        || super->l4_offset + super->csum_offset + 2 > size)
      return false;
  }
  if (header.gso_type != VNET_GSO_NONE)
    return parse_gso (super, &header);
  return true;
}

size_t
super_packet_segment_size (const SuperPacket *super, uint32_t k)
{
  if (super->n_segments == 1)
    return super->size;
  if (k + 1 < super->n_segments)
    return super->header_size + super->segment;
  return super->size - (size_t)k * super->segment;
}

static void
patch_ip (const SuperPacket *super, uint32_t k, uint8_t *out, size_t size)
{
  size_t header = (size_t)(out[0] & 15) * 4;

  if (super->version == 6) {
    store_be16 (out + 4, (uint16_t)(size - IPV6_HEADER));
    return;
  }
  store_be16 (out + 2, (uint16_t)size);
  store_be16 (out + 4, (uint16_t)(load_be16 (super->packet + 4) + k));
  out[10] = out[11] = 0;
  checksum_store (out + 10, checksum_add (0, out, header));
}

static void
patch_l4 (const SuperPacket *super, uint32_t k, uint8_t *l4, size_t l4_size)
{
  if (super->protocol == PROTOCOL_UDP) {
    store_be16 (l4 + 4, (uint16_t)l4_size);
    return;
  }
  store_be32 (l4 + TCP_SEQUENCE, load_be32 (l4 + TCP_SEQUENCE) + k * super->segment);
  if (k + 1 < super->n_segments)
    l4[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
  if (k > 0)
    l4[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
}

/* Puts the checksum of the whole L4 part in place; the field itself is zero on entry. */
static void
store_l4_checksum (const SuperPacket *super, uint8_t *out, size_t size)
{
  uint8_t *l4 = out + super->l4_offset;
  size_t l4_size = size - super->l4_offset;
  uint64_t sum = super->version == 4
                     ? checksum_pseudo (out + 12, 8, super->protocol, (uint32_t)l4_size)
                     : checksum_pseudo (out + 8, 32, super->protocol, (uint32_t)l4_size);

  checksum_store (l4 + super->csum_offset, checksum_add (sum, l4, l4_size));
}

/* A computed zero means "no checksum" to UDP, which IPv6 forbids: send the other zero. */
static void
avoid_udp_zero (const SuperPacket *super, uint8_t *out)
{
  uint8_t *field = out + super->l4_offset + super->csum_offset;

  if (super->csum_offset == 6 && field[0] == 0 && field[1] == 0)
    field[0] = field[1] = 0xff;
}

size_t
super_packet_write (const SuperPacket *super, uint32_t k, uint8_t *out)
{
  size_t size = super_packet_segment_size (super, k);
  size_t header = super->header_size;
  uint8_t *l4 = out + super->l4_offset;

  if (super->n_segments == 1 && header == 0) {
    memcpy (out, super->packet, size);
    if (super->needs_checksum) {
      checksum_store (l4 + super->csum_offset, checksum_add (0, l4, size - super->l4_offset));
      avoid_udp_zero (super, out);
    }
    return size;
  }
  memcpy (out, super->packet, header);
  memcpy (out + header, super->packet + header + (size_t)k * super->segment, size - header);
  patch_ip (super, k, out, size);
  patch_l4 (super, k, l4, size - super->l4_offset);
  l4[super->csum_offset] = l4[super->csum_offset + 1] = 0;
  store_l4_checksum (super, out, size);
  avoid_udp_zero (super, out);
  return size;
}
