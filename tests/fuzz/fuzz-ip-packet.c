/* IP packets as they come out of the tunnel: parsing, rewriting, TSMP. */
#include "base/ip-packet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* Rewriting addresses there and back leaves the packet as it was. */
static void
check_rewrite (const IpPacket *p, const uint8_t *data, size_t size)
{
  uint8_t *copy = malloc (size);
  IpPacket q = *p, again;
  IpAddr other = p->src.family == 4 ? ip_from_v4 (0x64400001) : (IpAddr){6, {0xfd, 0x7a, 1}};

  memcpy (copy, data, size);
  ip_packet_set_src (&q, copy, &other);
  ip_packet_set_dst (&q, copy, &p->src);
  ip_packet_parse (&again, copy, size);
  assert (again.klass == p->klass && again.protocol == p->protocol);
  assert (ip_equal (&again.src, &other) && ip_equal (&again.dst, &p->src));
  ip_packet_set_src (&q, copy, &p->src);
  ip_packet_set_dst (&q, copy, &p->dst);
  ip_packet_parse (&again, copy, size);
  assert (memcmp (&again, p, sizeof again) == 0);
  ip_packet_echo_reply (&q, copy);
  free (copy);
}

/* What we build ourselves for the addresses of a packet reads back as it was meant. */
static void
check_built (const IpPacket *p)
{
  static const uint8_t data[8] = "pingdata";
  uint8_t out[TSMP_PACKET_MAX];
  DiscoPublic key = {{1}};
  IpPacket built;
  TsmpMessage m;

  ip_packet_parse (&built, out, tsmp_build_ping (&p->src, &p->dst, data, out));
  tsmp_parse (&built, out, &m);
  assert (m.type == TSMP_PING && ip_equal (&built.src, &p->src) && ip_equal (&built.dst, &p->dst));
  ip_packet_parse (&built, out, tsmp_build_disco (&p->src, &p->dst, &key, out));
  tsmp_parse (&built, out, &m);
  assert (m.type == TSMP_DISCO);
  ip_packet_parse (&built, out, ip_packet_build_echo (&p->src, &p->dst, 1, 2, 8, out));
  ip_packet_echo_reply (&built, out);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  uint8_t out[TSMP_PACKET_MAX];
  IpPacket p, reply;
  IpAddr addr;
  TsmpMessage m;

  ip_packet_parse (&p, data, size);
  tsmp_parse (&p, data, &m);
  assert (m.type == TSMP_NONE || p.protocol == IP_PROTO_TSMP);
  if (p.klass == PACKET_OK || p.klass == PACKET_FRAGMENT)
    assert (p.size <= size && p.header_size <= p.size && p.src.family == p.dst.family);
  if (p.src.family != 0) {
    assert (ip_packet_src (data, size, &addr) && ip_equal (&addr, &p.src));
    assert (ip_packet_dst (data, size, &addr) && ip_equal (&addr, &p.dst));
    check_rewrite (&p, data, size);
    check_built (&p);
  }
  if (m.type == TSMP_PING) {
    size_t n = tsmp_build_pong (&p, data, 7, out);
    ip_packet_parse (&reply, out, n);
    tsmp_parse (&reply, out, &m);
    assert (m.type == TSMP_PONG && m.peerapi_port == 7 && ip_equal (&m.dst, &p.src));
  }
  if (ip_packet_is_syn (&p) && p.klass == PACKET_OK) {
    size_t n = tsmp_build_reject (&p, TSMP_REASON_ACL, false, out);
    ip_packet_parse (&reply, out, n);
    tsmp_parse (&reply, out, &m);
    assert (m.type == TSMP_REJECT && m.flow_dst_port == p.dst_port);
  }
  return 0;
}
