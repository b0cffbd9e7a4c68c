#include "base/ip-packet.h"

#include "base/bytes.h"
#include "base/random.h"

#include <glib.h>
#include <string.h>

static IpAddr
addr (const char *text)
{
  IpAddr a;

  g_assert_true (ip_parse (text, strlen (text), &a));
  return a;
}

/* A packet from hex digits with spaces; returns its size. */
static size_t
from_hex (const char *text, uint8_t *out)
{
  size_t n = 0;

  for (; *text; text += 2) {
    while (*text == ' ')
      text++;
    g_assert_true (hex_decode (text, 2, out + n++, 1));
  }
  return n;
}

static const struct
{
  const char *what;
  const char *hex;
  PacketClass klass;
  int protocol, src_port, dst_port;
} rows[] = {
    {"nothing", "", PACKET_KEEPALIVE, 0, 0, 0},
    {"19 bytes", "45000013000000004006000064400007644000", PACKET_TOO_SHORT, 0, 0, 0},
    {"version 5", "5500001400000000400600006440000764400009", PACKET_TOO_SHORT, 0, 0, 0},
    {"IPv6 of 39 bytes",
     "600000000000114000000000000000000000000000000000000000000000000000000000000000",
     PACKET_TOO_SHORT, 0, 0, 0},
    {"UDP", "4500001c0000000040110000644000076440000915b30035 00080000", PACKET_OK, 17, 5555, 53},
    {"cut off", "4500001d0000000040110000644000076440000915b30035 00080000", PACKET_UNKNOWN, 17, 0,
     0},
    {"header length 16", "4400001c0000000040110000644000076440000915b30035 00080000",
     PACKET_UNKNOWN, 17, 0, 0},
    {"header beyond the end", "4f00001c0000000040110000644000076440000915b30035 00080000",
     PACKET_UNKNOWN, 17, 0, 0},
    {"total length 19", "450000130000000040110000644000076440000915b30035 00080000", PACKET_UNKNOWN,
     17, 0, 0},
    {"UDP of 7 bytes", "4500001b0000000040110000644000076440000915b30035 00080000", PACKET_UNKNOWN,
     17, 0, 0},
    {"TCP of 19 bytes",
     "45000027 0000000040060000644000076440000900500051 00000000000000005002 00000000 00",
     PACKET_UNKNOWN, 6, 0, 0},
    {"SCTP", "450000200000000040840000644000076440000900500051 0000000000000000", PACKET_OK, 132,
     80, 81},
    {"SCTP of 11 bytes", "4500001f0000000040840000644000076440000900500051 00000000000000",
     PACKET_UNKNOWN, 132, 0, 0},
    {"IGMP of 7 bytes", "4500001b0000000040020000644000076440000911000000 000000", PACKET_UNKNOWN,
     2, 0, 0},
    {"GRE", "4500001500000000402f0000 6440000764400009 00", PACKET_OK, 47, 0, 0},
    {"protocol 0", "4500001c0000000040000000644000076440000915b30035 00080000", PACKET_UNKNOWN, 0,
     0, 0},
    {"protocol 255", "4500001c0000000040ff0000644000076440000915b30035 00080000", PACKET_UNKNOWN,
     255, 0, 0},
    {"first fragment", "4500001c0000200040110000644000076440000915b30035 00080000", PACKET_OK, 17,
     5555, 53},
    {"fragment at 8", "4500001c0000000140110000644000076440000915b30035 00080000", PACKET_UNKNOWN,
     17, 0, 0},
    {"fragment at 72", "4500001c0000000940110000644000076440000915b30035 00080000", PACKET_UNKNOWN,
     17, 0, 0},
    {"fragment at 80", "4500001c0000000a40110000644000076440000915b30035 00080000", PACKET_FRAGMENT,
     17, 0, 0},
    {"first fragment of TSMP", "4500001b0000200040630000644000076440000921064100 000000",
     PACKET_UNKNOWN, 99, 0, 0},
    {"TSMP of 6 bytes", "4500001a0000000040630000644000076440000921064100 0000", PACKET_UNKNOWN, 99,
     0, 0},
    {"ICMP of 4 bytes", "45000018000000004001000064400007644000090b000000", PACKET_OK, 1, 0, 0},
    {"ICMP of 3 bytes", "4500001700000000400100006440000764400009 0b0000", PACKET_UNKNOWN, 1, 0, 0},
    {"IPv6 UDP",
     "6000000000081140 fd7a115ca1e00000000000000000 0007 fd7a115ca1e00000000000000000 0009"
     "15b3003500080000",
     PACKET_OK, 17, 5555, 53},
    {"IPv6 first fragment",
     "6000000000102c40 fd7a115ca1e00000000000000000 0007 fd7a115ca1e00000000000000000 0009"
     "1100000100000001 15b3003500080000",
     PACKET_OK, 17, 5555, 53},
    {"IPv6 fragment at 8",
     "6000000000102c40 fd7a115ca1e00000000000000000 0007 fd7a115ca1e00000000000000000 0009"
     "1100000800000001 15b3003500080000",
     PACKET_UNKNOWN, 17, 0, 0},
    {"IPv6 fragment at 80",
     "6000000000102c40 fd7a115ca1e00000000000000000 0007 fd7a115ca1e00000000000000000 0009"
     "1100005000000001 15b3003500080000",
     PACKET_FRAGMENT, 17, 0, 0},
    {"IPv6 fragment header cut off",
     "6000000000042c40 fd7a115ca1e00000000000000000 0007 fd7a115ca1e00000000000000000 0009"
     "11000050",
     PACKET_UNKNOWN, 44, 0, 0},
    {"hop-by-hop",
     "6000000000100040 fd7a115ca1e00000000000000000 0007 fd7a115ca1e00000000000000000 0009"
     "1100000000000000 15b3003500080000",
     PACKET_UNKNOWN, 0, 0, 0},
    {"routing header is a protocol of its own",
     "6000000000102b40 fd7a115ca1e00000000000000000 0007 fd7a115ca1e00000000000000000 0009"
     "1100000000000000 15b3003500080000",
     PACKET_OK, 43, 0, 0},
    {"ICMPv4 inside IPv6 needs no header",
     "6000000000010140 fd7a115ca1e00000000000000000 0007 fd7a115ca1e00000000000000000 0009"
     "08",
     PACKET_OK, 1, 0, 0},
};

static void
test_parse (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    uint8_t data[128];
    size_t size = from_hex (rows[i].hex, data);
    /* A copy of the exact size, so that a sanitizer sees reads behind it. */
    g_autofree uint8_t *exact = g_memdup2 (data, size);
    IpPacket p;
    g_test_message ("%s", rows[i].what);
    ip_packet_parse (&p, exact, size);
    g_assert_cmpint (p.klass, ==, rows[i].klass);
    g_assert_cmpint (p.protocol, ==, rows[i].protocol);
    g_assert_cmpint (p.src_port, ==, rows[i].src_port);
    g_assert_cmpint (p.dst_port, ==, rows[i].dst_port);
  }
}

static void
test_syn (void)
{
  static const struct
  {
    uint8_t flags;
    bool syn;
  } flags[] = {{TCP_SYN, true},
               {TCP_SYN | TCP_ACK, false},
               {TCP_ACK, false},
               {0, false},
               {TCP_SYN | TCP_FIN, true}};

  for (size_t i = 0; i < G_N_ELEMENTS (flags); i++) {
    uint8_t data[64];
    size_t size = from_hex ("450000280000000040060000644000076440000900500051"
                            "0000000000000000500000000000 0000",
                            data);
    IpPacket p;
    data[33] = flags[i].flags;
    ip_packet_parse (&p, data, size);
    g_assert_cmpint (p.klass, ==, PACKET_OK);
    g_assert_cmpint (ip_packet_is_syn (&p), ==, flags[i].syn);
  }
}

/* spec/netmap-and-policy.md B.8. */
static void
test_reject_vectors (void)
{
  IpPacket p = {.klass = PACKET_OK, .protocol = 6, .src_port = 40000, .dst_port = 22};
  uint8_t expected[64], out[TSMP_PACKET_MAX];
  TsmpMessage m;

  p.src = addr ("100.64.0.7");
  p.dst = addr ("100.64.0.9");
  size_t n = from_hex (
      "45 00 00 1b 00 00 00 00 40 63 b1 f0 64 40 00 09 64 40 00 07 21 06 41 9c 40 00 16", expected);
  g_assert_cmpmem (out, tsmp_build_reject (&p, TSMP_REASON_ACL, false, out), expected, n);
  IpPacket parsed;
  ip_packet_parse (&parsed, out, n);
  tsmp_parse (&parsed, out, &m);
  g_assert_cmpint (m.type, ==, TSMP_REJECT);
  g_assert_cmpint (m.flow_src_port, ==, 40000);
  g_assert_cmpint (m.flow_dst_port, ==, 22);
  g_assert_false (m.maybe_broken);

  expected[22] = 'S';
  g_assert_cmpmem (out, tsmp_build_reject (&p, TSMP_REASON_SHIELDS_UP, false, out), expected, n);
  n = from_hex (
      "45 00 00 1c 00 00 00 00 40 63 b1 ef 64 40 00 09 64 40 00 07 21 06 46 9c 40 00 16 01",
      expected);
  g_assert_cmpmem (out, tsmp_build_reject (&p, TSMP_REASON_FORWARDING_OFF, true, out), expected, n);
  ip_packet_parse (&parsed, out, n);
  tsmp_parse (&parsed, out, &m);
  g_assert_true (m.maybe_broken);
  g_assert_cmpint (m.reason, ==, 'F');
}

/* spec/live-peers.md (d), both families. */
static void
test_ping_pong (void)
{
  static const char *const pairs[][2]
      = {{"100.64.0.7", "100.64.0.9"}, {"fd7a:115c:a1e0::7", "fd7a:115c:a1e0::9"}};
  uint8_t data[8], ping[TSMP_PACKET_MAX], pong[TSMP_PACKET_MAX], body[16];

  for (size_t i = 0; i < G_N_ELEMENTS (pairs); i++) {
    IpAddr src = addr (pairs[i][0]), dst = addr (pairs[i][1]);
    IpPacket p;
    TsmpMessage m;
    from_hex ("1edc1012816fc3df", data);
    size_t size = tsmp_build_ping (&src, &dst, data, ping);
    g_assert_cmpmem (ping + size - 9, 9, body, from_hex ("701edc1012816fc3df", body));
    store_be16 (ping + (i == 0 ? 4 : 2), 0x1234);
    ip_packet_parse (&p, ping, size);
    tsmp_parse (&p, ping, &m);
    g_assert_cmpint (m.type, ==, TSMP_PING);
    size = tsmp_build_pong (&p, ping, 1234, pong);
    g_assert_cmpmem (pong + size - 11, 11, body, from_hex ("6f1edc1012816fc3df04d2", body));
    g_assert_cmphex (load_be16 (pong + (i == 0 ? 4 : 2)), ==, 0xedcb);
    ip_packet_parse (&p, pong, size);
    tsmp_parse (&p, pong, &m);
    g_assert_cmpint (m.type, ==, TSMP_PONG);
    g_assert_cmpint (m.peerapi_port, ==, 1234);
    g_assert_true (ip_equal (&m.src, &dst));
    g_assert_cmpmem (m.data, 8, data, 8);
  }
}

static void
test_disco (void)
{
  IpAddr src = addr ("100.64.0.7"), dst = addr ("100.64.0.9");
  DiscoPublic key = {{1, 2, 3}}, zero = {{0}};
  uint8_t out[TSMP_PACKET_MAX];
  IpPacket p;
  TsmpMessage m;

  size_t size = tsmp_build_disco (&src, &dst, &key, out);
  ip_packet_parse (&p, out, size);
  tsmp_parse (&p, out, &m);
  g_assert_cmpint (m.type, ==, TSMP_DISCO);
  g_assert_true (key_same (&m.disco_key, &key));
  size = tsmp_build_disco (&src, &dst, &zero, out);
  ip_packet_parse (&p, out, size);
  tsmp_parse (&p, out, &m);
  g_assert_cmpint (m.type, ==, TSMP_NONE);
}

/* The sum over pseudo header and transport; 0xffff when it is right. */
static uint16_t
transport_sum (const IpPacket *p, const uint8_t *data)
{
  size_t n = p->src.family == 4 ? 4 : 16, length = p->size - p->header_size;
  uint32_t sum = ip_checksum_add (0, p->src.bytes, n);

  sum = ip_checksum_add (sum, p->dst.bytes, n) + (uint32_t)length + p->protocol;
  return (uint16_t)~ip_checksum_fold (ip_checksum_add (sum, data + p->header_size, length));
}

/* A valid TCP, UDP or ICMPv6 packet. */
static size_t
build (const char *from, const char *to, uint8_t protocol, Random *random, uint8_t *out)
{
  IpAddr src = addr (from), dst = addr (to);
  size_t header = src.family == 4 ? 20 : 40, length = 20 + random_below (random, 30);
  size_t offset = protocol == 6 ? 16 : protocol == 17 ? 6 : 2;
  IpPacket p;

  size_t size = ip_packet_build_echo (&src, &dst, 1, 1, length - 8, out);
  out[src.family == 4 ? 9 : 6] = protocol;
  if (src.family == 4) {
    store_be16 (out + 10, 0);
    store_be16 (out + 10, ip_checksum_fold (ip_checksum_add (0, out, 20)));
  }
  random_fill (random, out + header, length);
  store_be16 (out + header + offset, 0);
  ip_packet_parse (&p, out, size);
  store_be16 (out + header + offset, (uint16_t)~transport_sum (&p, out));
  g_assert_cmphex (transport_sum (&p, out), ==, 0xffff);
  return size;
}

/* Checklist 22: checksums stay valid when addresses are rewritten. */
static void
test_rewrite (void)
{
  SeededRandom random;
  static const uint8_t protocols[] = {6, 17, 58};

  seeded_random_init (&random, 1);
  for (int i = 0; i < 600; i++) {
    bool v6 = i % 2;
    uint8_t protocol = protocols[i % 3], data[128];
    if (!v6 && protocol == 58)
      continue;
    size_t size = build (v6 ? "fd7a:115c:a1e0::7" : "100.64.0.7", v6 ? "2001:db8::1" : "10.0.0.9",
                         protocol, &random.base, data);
    IpPacket p, again;
    IpAddr src = addr (v6 ? "fd7a:115c:a1e0::ffff" : "100.99.255.1"),
           dst = addr (v6 ? "fe00::" : "0.0.0.0");
    ip_packet_parse (&p, data, size);
    ip_packet_set_src (&p, data, &src);
    ip_packet_set_dst (&p, data, &dst);
    ip_packet_parse (&again, data, size);
    g_assert_true (ip_equal (&again.src, &src));
    g_assert_true (ip_equal (&again.dst, &dst));
    g_assert_cmphex (transport_sum (&again, data), ==, 0xffff);
    if (!v6)
      g_assert_cmphex (ip_checksum_fold (ip_checksum_add (0, data, 20)), ==, 0);
    g_assert_cmpmem (&p, sizeof p, &again, sizeof again);
  }
}

static void
test_echo (void)
{
  static const char *const pairs[][2]
      = {{"100.64.0.7", "100.100.100.100"}, {"fd7a:115c:a1e0::7", "fd7a:115c:a1e0::53"}};

  for (size_t i = 0; i < G_N_ELEMENTS (pairs); i++) {
    IpAddr src = addr (pairs[i][0]), dst = addr (pairs[i][1]);
    uint8_t data[128];
    size_t size = ip_packet_build_echo (&src, &dst, 7, 9, 56, data);
    IpPacket p, again;
    ip_packet_parse (&p, data, size);
    if (i == 1)
      g_assert_cmphex (transport_sum (&p, data), ==, 0xffff);
    g_assert_true (ip_packet_echo_reply (&p, data));
    ip_packet_parse (&again, data, size);
    g_assert_cmpmem (&p, sizeof p, &again, sizeof again);
    g_assert_true (ip_equal (&p.dst, &src));
    g_assert_cmpint (p.icmp_type, ==, i == 0 ? 0 : 129);
    if (i == 1)
      g_assert_cmphex (transport_sum (&p, data), ==, 0xffff);
    else
      g_assert_cmphex (ip_checksum_fold (ip_checksum_add (0, data + 20, size - 20)), ==, 0);
    g_assert_false (ip_packet_echo_reply (&p, data));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ip-packet/classes-of-the-table", test_parse);
  g_test_add_func ("/ip-packet/only-syn-without-ack-opens", test_syn);
  g_test_add_func ("/tsmp/reject-vectors", test_reject_vectors);
  g_test_add_func ("/tsmp/ping-and-pong-vectors", test_ping_pong);
  g_test_add_func ("/tsmp/disco-keys-are-not-zero", test_disco);
  g_test_add_func ("/ip-packet/rewritten-addresses-keep-checksums-valid", test_rewrite);
  g_test_add_func ("/ip-packet/echo-requests-turn-into-replies", test_echo);
  return g_test_run ();
}
