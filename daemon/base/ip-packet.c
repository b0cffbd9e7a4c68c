#include "base/ip-packet.h"

#include "base/bytes.h"

#include <string.h>

#define IP4_HEADER        20
#define IP6_HEADER        40
#define IP6_FRAGMENT      44
#define FRAGMENT_HEADER   8
#define IP_RESERVED       255
#define FRAGMENT_FIRST_OK 10 /* units of 8 bytes: a later fragment cannot overwrite a header */

/* Bytes of a transport header that must be there to know what a packet is. */
static size_t
header_needed (uint8_t protocol, int family)
{
  switch (protocol) {
    case IP_PROTO_TCP:
      return 20;
    case IP_PROTO_UDP:
      return 8;
    case IP_PROTO_SCTP:
      return 12;
    case IP_PROTO_TSMP:
      return 7;
    case IP_PROTO_IGMP:
      return 8;
    case IP_PROTO_ICMP4:
      return family == 4 ? 4 : 0;
    case IP_PROTO_ICMP6:
      return family == 6 ? 4 : 0;
    default:
      return 0;
  }
}

/* Ports, flags and types. The transport header starts at header_size. */
static void
parse_transport (IpPacket *p, const uint8_t *data)
{
  const uint8_t *t = data + p->header_size;
  size_t left = p->size - p->header_size;
  int family = p->src.family;

  if (p->protocol == 0 || p->protocol == IP_RESERVED
      || left < header_needed (p->protocol, family)) {
    p->klass = PACKET_UNKNOWN;
    return;
  }
  p->klass = PACKET_OK;
  if (p->protocol == IP_PROTO_TCP || p->protocol == IP_PROTO_UDP || p->protocol == IP_PROTO_SCTP) {
    p->src_port = load_be16 (t);
    p->dst_port = load_be16 (t + 2);
  }
  if (p->protocol == IP_PROTO_TCP)
    p->tcp_flags = t[13];
  if (p->protocol == (family == 4 ? IP_PROTO_ICMP4 : IP_PROTO_ICMP6)) {
    p->icmp_type = t[0];
    p->icmp_code = t[1];
  }
}

/* A packet that is part of a larger one; OFFSET in units of 8 bytes, MORE: others follow. */
static void
parse_fragment (IpPacket *p, const uint8_t *data, unsigned offset, bool more)
{
  p->fragmented = offset > 0 || more;
  if (offset >= FRAGMENT_FIRST_OK)
    p->klass = PACKET_FRAGMENT;
  else if (offset > 0 || (more && p->protocol == IP_PROTO_TSMP))
    p->klass = PACKET_UNKNOWN;
  else
    parse_transport (p, data);
}

static void
parse_v4 (IpPacket *p, const uint8_t *data, size_t size)
{
  size_t header = (size_t)(data[0] & 0x0f) * 4;
  unsigned fragment = load_be16 (data + 6);

  p->src = ip_from_v4_bytes (data + 12);
  p->dst = ip_from_v4_bytes (data + 16);
  p->protocol = data[9];
  p->size = load_be16 (data + 2);
  p->header_size = (uint16_t)header;
  p->klass = PACKET_UNKNOWN;
  if (size < p->size || header < IP4_HEADER || header > p->size)
    return;
  parse_fragment (p, data, fragment & 0x1fff, (fragment & 0x2000) != 0);
}

static void
parse_v6 (IpPacket *p, const uint8_t *data, size_t size)
{
  p->src.family = p->dst.family = 6;
  memcpy (p->src.bytes, data + 8, 16);
  memcpy (p->dst.bytes, data + 24, 16);
  p->protocol = data[6];
  p->size = IP6_HEADER + load_be16 (data + 4);
  p->header_size = IP6_HEADER;
  p->klass = PACKET_UNKNOWN;
  if (size < p->size)
    return;
  if (p->protocol != IP6_FRAGMENT) {
    parse_transport (p, data);
    return;
  }
  if (p->size < IP6_HEADER + FRAGMENT_HEADER)
    return;
  unsigned fragment = load_be16 (data + IP6_HEADER + 2);
  p->protocol = data[IP6_HEADER];
  p->header_size = IP6_HEADER + FRAGMENT_HEADER;
  parse_fragment (p, data, fragment >> 3, (fragment & 1) != 0);
}

void
ip_packet_parse (IpPacket *packet, const void *data, size_t size)
{
  const uint8_t *bytes = data;

  memset (packet, 0, sizeof *packet);
  packet->klass = size == 0 ? PACKET_KEEPALIVE : PACKET_TOO_SHORT;
  if (size < IP4_HEADER)
    return;
  if (bytes[0] >> 4 == 4)
    parse_v4 (packet, bytes, size);
  else if (bytes[0] >> 4 == 6 && size >= IP6_HEADER)
    parse_v6 (packet, bytes, size);
}

static bool
address_at (const uint8_t *data, size_t size, size_t offset4, size_t offset6, IpAddr *out)
{
  if (size >= IP4_HEADER && data[0] >> 4 == 4) {
    *out = ip_from_v4_bytes (data + offset4);
    return true;
  }
  if (size >= IP6_HEADER && data[0] >> 4 == 6) {
    *out = (IpAddr){.family = 6};
    memcpy (out->bytes, data + offset6, 16);
    return true;
  }
  return false;
}

bool
ip_packet_dst (const void *data, size_t size, IpAddr *out)
{
  return address_at (data, size, 16, 24, out);
}

bool
ip_packet_src (const void *data, size_t size, IpAddr *out)
{
  return address_at (data, size, 12, 8, out);
}

/* ---- checksums ---- */

uint32_t
ip_checksum_add (uint32_t sum, const void *data, size_t size)
{
  const uint8_t *p = data;
  uint64_t wide = sum;

  for (; size >= 2; size -= 2, p += 2)
    wide += load_be16 (p);
  if (size > 0)
    wide += (uint32_t)*p << 8;
  while (wide >> 32)
    wide = (wide & 0xffffffff) + (wide >> 32);
  return (uint32_t)wide;
}

uint16_t
ip_checksum_fold (uint32_t sum)
{
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

/* Replaces OLD by NEW (SIZE bytes, even) in the checksum at P (RFC 1624). */
static void
update_checksum (uint8_t *p, const uint8_t *old, const uint8_t *new_bytes, size_t size)
{
  uint32_t sum = (uint16_t)~load_be16 (p);

  for (size_t i = 0; i < size; i += 2)
    sum += (uint16_t)~load_be16 (old + i);
  sum = ip_checksum_add (sum, new_bytes, size);
  store_be16 (p, ip_checksum_fold (sum));
}

/* Where the transport's checksum is that covers the addresses; 0: there is none. */
static size_t
transport_checksum (const IpPacket *p, const uint8_t *data)
{
  size_t offset = p->header_size;

  if (p->klass != PACKET_OK)
    return 0;
  switch (p->protocol) {
    case IP_PROTO_TCP:
      return offset + 16;
    case IP_PROTO_UDP:
      /* An IPv4 datagram may have none. */
      return load_be16 (data + offset + 6) == 0 ? 0 : offset + 6;
    case IP_PROTO_ICMP6:
      return p->src.family == 6 ? offset + 2 : 0;
    default:
      return 0;
  }
}

static void
set_address (IpPacket *p, uint8_t *data, size_t offset, const IpAddr *addr)
{
  size_t size = addr->family == 4 ? 4 : 16, transport = transport_checksum (p, data);
  uint8_t *field = data + offset;

  if (addr->family == 4)
    update_checksum (data + 10, field, addr->bytes, size);
  if (transport) {
    update_checksum (data + transport, field, addr->bytes, size);
    /* A sum of zero would mean "no checksum" in UDP. */
    if (p->protocol == IP_PROTO_UDP && load_be16 (data + transport) == 0)
      store_be16 (data + transport, 0xffff);
  }
  memcpy (field, addr->bytes, size);
}

void
ip_packet_set_src (IpPacket *packet, void *data, const IpAddr *addr)
{
  if (packet->src.family == 0 || packet->src.family != addr->family)
    return;
  set_address (packet, data, addr->family == 4 ? 12 : 8, addr);
  packet->src = *addr;
}

void
ip_packet_set_dst (IpPacket *packet, void *data, const IpAddr *addr)
{
  if (packet->dst.family == 0 || packet->dst.family != addr->family)
    return;
  set_address (packet, data, addr->family == 4 ? 16 : 24, addr);
  packet->dst = *addr;
}

/* ---- ICMP echo ---- */

#define ICMP4_ECHO       8
#define ICMP4_ECHO_REPLY 0
#define ICMP6_ECHO       128
#define ICMP6_ECHO_REPLY 129
#define ICMP_ECHO_HEADER 8

static void
swap_bytes (uint8_t *a, uint8_t *b, size_t size)
{
  uint8_t kept[16];

  memcpy (kept, a, size);
  memcpy (a, b, size);
  memcpy (b, kept, size);
}

bool
ip_packet_echo_reply (IpPacket *p, void *data)
{
  uint8_t *bytes = data, *icmp = bytes + p->header_size;
  bool v4 = p->src.family == 4;

  if (p->klass != PACKET_OK || p->fragmented || p->icmp_code != 0
      || p->protocol != (v4 ? IP_PROTO_ICMP4 : IP_PROTO_ICMP6)
      || p->icmp_type != (v4 ? ICMP4_ECHO : ICMP6_ECHO)
      || p->size - p->header_size < ICMP_ECHO_HEADER)
    return false;
  uint8_t old[2] = {icmp[0], icmp[1]};
  icmp[0] = p->icmp_type = v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
  update_checksum (icmp + 2, old, icmp, 2);
  /* Addresses that change places keep every sum. */
  if (v4)
    swap_bytes (bytes + 12, bytes + 16, 4);
  else
    swap_bytes (bytes + 8, bytes + 24, 16);
  IpAddr kept = p->src;
  p->src = p->dst;
  p->dst = kept;
  return true;
}

/* Writes the IP header of a packet without options; returns where its payload begins. */
static size_t
write_header (const IpAddr *src, const IpAddr *dst, uint8_t protocol, size_t payload, uint16_t id,
              uint8_t *out)
{
  if (src->family == 4) {
    memset (out, 0, IP4_HEADER);
    out[0] = 0x45;
    store_be16 (out + 2, (uint16_t)(IP4_HEADER + payload));
    store_be16 (out + 4, id);
    out[8] = 64;
    out[9] = protocol;
    memcpy (out + 12, src->bytes, 4);
    memcpy (out + 16, dst->bytes, 4);
    store_be16 (out + 10, ip_checksum_fold (ip_checksum_add (0, out, IP4_HEADER)));
    return IP4_HEADER;
  }
  memset (out, 0, IP6_HEADER);
  out[0] = 0x60;
  store_be16 (out + 4, (uint16_t)payload);
  out[6] = protocol;
  out[7] = 64;
  memcpy (out + 8, src->bytes, 16);
  memcpy (out + 24, dst->bytes, 16);
  return IP6_HEADER;
}

size_t
ip_packet_build_echo (const IpAddr *src, const IpAddr *dst, uint16_t id, uint16_t sequence,
                      size_t size, uint8_t *out)
{
  bool v4 = src->family == 4;
  size_t length = ICMP_ECHO_HEADER + size;
  size_t header = write_header (src, dst, v4 ? IP_PROTO_ICMP4 : IP_PROTO_ICMP6, length, 0, out);
  uint8_t *icmp = out + header;
  uint32_t sum = 0;

  memset (icmp, 0, length);
  icmp[0] = v4 ? ICMP4_ECHO : ICMP6_ECHO;
  store_be16 (icmp + 4, id);
  store_be16 (icmp + 6, sequence);
  if (!v4)
    sum = ip_checksum_add (ip_checksum_add (0, src->bytes, 16), dst->bytes, 16) + (uint32_t)length
          + IP_PROTO_ICMP6;
  store_be16 (icmp + 2, ip_checksum_fold (ip_checksum_add (sum, icmp, length)));
  return header + length;
}

/* ---- TSMP ---- */

void
tsmp_parse (const IpPacket *p, const void *data, TsmpMessage *out)
{
  const uint8_t *t = (const uint8_t *)data + p->header_size;
  size_t left = p->klass == PACKET_OK ? p->size - p->header_size : 0;

  memset (out, 0, sizeof *out);
  if (p->klass != PACKET_OK || p->protocol != IP_PROTO_TSMP || p->fragmented)
    return;
  out->src = p->src;
  out->dst = p->dst;
  if (t[0] == TSMP_REJECT) {
    out->type = TSMP_REJECT;
    out->protocol = t[1];
    out->reason = t[2];
    out->flow_src_port = load_be16 (t + 3);
    out->flow_dst_port = load_be16 (t + 5);
    out->maybe_broken = left > 7 && (t[7] & 1) != 0;
  } else if ((t[0] == TSMP_PING || t[0] == TSMP_PONG) && left >= 9) {
    out->type = t[0] == TSMP_PING ? TSMP_PING : TSMP_PONG;
    memcpy (out->data, t + 1, sizeof out->data);
    if (out->type == TSMP_PONG && left >= 11)
      out->peerapi_port = load_be16 (t + 9);
  } else if (t[0] == TSMP_DISCO && left >= 1 + KEY_SIZE) {
    memcpy (out->disco_key.bytes, t + 1, KEY_SIZE);
    if (!key_zero (&out->disco_key))
      out->type = TSMP_DISCO;
  }
}

size_t
tsmp_build_reject (const IpPacket *refused, uint8_t reason, bool maybe_broken, uint8_t *out)
{
  size_t length = maybe_broken ? 8 : 7;
  size_t header = write_header (&refused->dst, &refused->src, IP_PROTO_TSMP, length, 0, out);
  uint8_t *t = out + header;

  t[0] = TSMP_REJECT;
  t[1] = refused->protocol;
  t[2] = reason;
  store_be16 (t + 3, refused->src_port);
  store_be16 (t + 5, refused->dst_port);
  if (maybe_broken)
    t[7] = 1;
  return header + length;
}

size_t
tsmp_build_pong (const IpPacket *ping, const void *data, uint16_t peerapi_port, uint8_t *out)
{
  const uint8_t *bytes = data;
  bool v4 = ping->src.family == 4;
  uint16_t id = v4 ? (uint16_t)~load_be16 (bytes + 4) : 0;
  size_t header = write_header (&ping->dst, &ping->src, IP_PROTO_TSMP, 11, id, out);

  if (!v4) {
    uint32_t label = ~load_be32 (bytes) & 0xfffff;
    store_be32 (out, 0x60000000 | label);
  }
  out[header] = TSMP_PONG;
  memcpy (out + header + 1, bytes + ping->header_size + 1, 8);
  store_be16 (out + header + 9, peerapi_port);
  return header + 11;
}

size_t
tsmp_build_ping (const IpAddr *src, const IpAddr *dst, const uint8_t data[8], uint8_t *out)
{
  size_t header = write_header (src, dst, IP_PROTO_TSMP, 9, 0, out);

  out[header] = TSMP_PING;
  memcpy (out + header + 1, data, 8);
  return header + 9;
}

size_t
tsmp_build_disco (const IpAddr *src, const IpAddr *dst, const DiscoPublic *key, uint8_t *out)
{
  size_t header = write_header (src, dst, IP_PROTO_TSMP, 1 + KEY_SIZE, 0, out);

  out[header] = TSMP_DISCO;
  memcpy (out + header + 1, key->bytes, KEY_SIZE);
  return header + 1 + KEY_SIZE;
}
