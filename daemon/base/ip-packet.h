/* IP packets as the filter sees them, header checksums, address rewriting, and TSMP messages.
 *
 * Parsing reads nothing outside the packet and never fails: what cannot be understood gets a class
 * that the filter drops (spec/netmap-and-policy.md B.4). TSMP is the tunnel's own little protocol,
 * IP protocol 99 (B.8). No allocation, no state. Any thread. */
#pragma once

#include "base/ip.h"
#include "base/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_PROTO_ICMP4 1
#define IP_PROTO_IGMP  2
#define IP_PROTO_TCP   6
#define IP_PROTO_UDP   17
#define IP_PROTO_ICMP6 58
#define IP_PROTO_TSMP  99
#define IP_PROTO_SCTP  132

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define TSMP_PACKET_MAX 80 /* longest TSMP packet with its IP header, bytes */

typedef enum
{
  PACKET_OK,        /* everything below is filled in */
  PACKET_KEEPALIVE, /* no bytes at all */
  PACKET_TOO_SHORT, /* no room for an IP header, or not IP */
  PACKET_UNKNOWN,   /* addresses may be filled in; to be dropped */
  PACKET_FRAGMENT,  /* a later fragment: addresses and protocol, no ports */
} PacketClass;

typedef struct
{
  PacketClass klass;
  uint8_t protocol;  /* of the transport header; IPv6: the first header that is not skipped */
  uint8_t tcp_flags; /* TCP only */
  uint8_t icmp_type, icmp_code; /* ICMP of the packet's family only */
  bool fragmented;              /* first fragment of several, or PACKET_FRAGMENT */
  uint16_t src_port, dst_port;  /* TCP, UDP, SCTP */
  uint16_t header_size;         /* bytes before the transport header */
  uint32_t size; /* bytes of the packet by its own header (<= bytes given, unless UNKNOWN) */
  IpAddr src, dst;
} IpPacket;

/* Parses the packet in SIZE bytes at DATA. */
void ip_packet_parse (IpPacket *packet, const void *data, size_t size);

/* Just the destination (source) address; false when there is no IP header. */
bool ip_packet_dst (const void *data, size_t size, IpAddr *out);
bool ip_packet_src (const void *data, size_t size, IpAddr *out);

/* A TCP packet that opens a connection: SYN without ACK. */
static inline bool
ip_packet_is_syn (const IpPacket *p)
{
  return p->protocol == IP_PROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* RFC 1071 sum of SIZE bytes added to SUM (not folded); fold gives the checksum, complemented. */
uint32_t ip_checksum_add (uint32_t sum, const void *data, size_t size);
uint16_t ip_checksum_fold (uint32_t sum);

/* Writes a new source or destination address of the same family into the packet and corrects the IP
 * header's checksum and those of TCP, UDP and ICMPv6, which cover addresses. PACKET must be the
 * parse of DATA. Fragments get their IP header corrected, and their transport header too if they
 * carry it. */
void ip_packet_set_src (IpPacket *packet, void *data, const IpAddr *addr);
void ip_packet_set_dst (IpPacket *packet, void *data, const IpAddr *addr);

/* ---- TSMP ---- */

typedef enum
{
  TSMP_NONE, /* not a TSMP message that we know */
  TSMP_REJECT = 0x21,
  TSMP_DISCO = 0x61,
  TSMP_PONG = 0x6f,
  TSMP_PING = 0x70,
} TsmpType;

typedef enum
{
  TSMP_REASON_ACL = 'A',
  TSMP_REASON_SHIELDS_UP = 'S',
  TSMP_REASON_FORWARDING_OFF = 'F',
  TSMP_REASON_HOST_FIREWALL = 'W',
  TSMP_REASON_UNKNOWN_ADDRESS = 'T',
} TsmpReason;

typedef struct
{
  TsmpType type;
  IpAddr src, dst;       /* of the IP header */
  uint8_t data[8];       /* PING, PONG */
  uint16_t peerapi_port; /* PONG; 0 none or not said */
  DiscoPublic disco_key; /* DISCO, not zero */
  uint8_t protocol;      /* REJECT: of the refused flow */
  uint8_t reason;        /* REJECT: TsmpReason or something newer */
  uint16_t flow_src_port,
      flow_dst_port; /* REJECT: the refused flow's; its addresses are dst, src */
  bool maybe_broken; /* REJECT: not final */
} TsmpMessage;

/* Reads the TSMP message in a packet that parsed as PACKET; TSMP_NONE when there is none. */
void tsmp_parse (const IpPacket *packet, const void *data, TsmpMessage *out);

/* Each writes a complete IP packet to OUT (room for TSMP_PACKET_MAX) and returns its size. */

/* Refusal of the TCP or UDP packet REFUSED. */
size_t tsmp_build_reject (const IpPacket *refused, uint8_t reason, bool maybe_broken, uint8_t *out);
/* Answer to the TSMP ping in the packet PING at DATA; PEERAPI_PORT 0: none. */
size_t
tsmp_build_pong (const IpPacket *ping, const void *data, uint16_t peerapi_port, uint8_t *out);
size_t tsmp_build_ping (const IpAddr *src, const IpAddr *dst, const uint8_t data[8], uint8_t *out);
size_t
tsmp_build_disco (const IpAddr *src, const IpAddr *dst, const DiscoPublic *key, uint8_t *out);

/* Turns the ICMP echo request DATA (parsed as PACKET) into its reply in place; false when it is no
 * complete, unfragmented echo request of its family. */
bool ip_packet_echo_reply (IpPacket *packet, void *data);

/* Writes an ICMP echo request with SIZE payload bytes of zeros and returns the packet's size; OUT
 * has room for 48 + SIZE. */
size_t ip_packet_build_echo (const IpAddr *src, const IpAddr *dst, uint16_t id, uint16_t sequence,
                             size_t size, uint8_t *out);
