#include "base/bytes.h"
#include "path/classify.h"
#include "path/disco.h"

#include <glib.h>
#include <string.h>

#define ROOM 2048

static const char ping_packet[]
    = "5453f09f92ac7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f130001020304050607"
      "08090a0b0c0d0e0f1011121314151617e5b8814da8980e0908d62ee33c72008b5a8c09874c80eedd2cba2db5cb4a"
      "8d"
      "9401831398af5a3075d4654223ea4fa7ed79a3d54152417452f3b743391d41";
static const char pong_packet[]
    = "5453f09f92ac0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f204041424344454647"
      "48494a4b4c4d4e4f50515253545556579098b7ce4d0f7869d2f1bbb987387c3249b6a0a4f2a3efbcbeb36d264ef3"
      "93"
      "d9b1abd6605051240447fa0924e94fecc4";
static const char call_me_maybe_packet[]
    = "5453f09f92ac7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f138081828384858687"
      "88898a8b8c8d8e8f90919293949596979b1a1533081db55c590844e4645301c76559ed26d1c6b7fd9d135c62f91b"
      "e8"
      "3e65db88c4e5f23f9837a5db18ba3de17f4ecf8ec2c8b2446f2079cb79f10f8b1f4882e4f7ca31f627";
static const char bind_datagram[]
    = "00807a1100abcd005453f09f92ac7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
      "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b708347c2fe3d2c1198a3010c7ff450b39ed333222b393"
      "eaa4"
      "f1ee4dbbad20b55a21eb766172966715699703d7bbe7d41acb120984dd29890942be1d1d0a241cb9ff78543a3dd2"
      "6a5e"
      "be76909eb385fa0f2b4e140c36836ac6536a";

typedef struct
{
  DiscoPublic a, b, r;
  NodePublic node_a;
  uint8_t ab[32], ar[32];
  DiscoTxId tx_id;
} Vectors;

static size_t
from_hex (const char *text, uint8_t *out)
{
  size_t size = strlen (text) / 2;

  g_assert_cmpuint (size, <=, ROOM);
  g_assert_true (hex_decode (text, strlen (text), out, size));
  return size;
}

static void
assert_bytes (const uint8_t *bytes, size_t size, const char *expected)
{
  g_autofree char *text = g_malloc (2 * size + 1);

  hex_encode (bytes, size, text);
  g_assert_cmpstr (text, ==, expected);
}

static void
ascending (uint8_t start, uint8_t *out, size_t size)
{
  for (size_t i = 0; i < size; i++)
    out[i] = (uint8_t)(start + i);
}

static IpPort
address (const char *text)
{
  IpPort at;

  g_assert_true (ip_port_parse (text, strlen (text), &at));
  return at;
}

static void
vectors_init (Vectors *v)
{
  uint8_t a[32], b[32], r[32], node[32];

  memset (a, 0x11, 32);
  memset (b, 0x22, 32);
  memset (r, 0x33, 32);
  memset (node, 0x44, 32);
  key_public (a, v->a.bytes);
  key_public (b, v->b.bytes);
  key_public (r, v->r.bytes);
  key_public (node, v->node_a.bytes);
  g_assert_true (box_shared (a, v->b.bytes, v->ab));
  g_assert_true (box_shared (a, v->r.bytes, v->ar));
  ascending (0x10, v->tx_id.bytes, sizeof v->tx_id);
}

static void
assert_seals (const DiscoMessage *m, const DiscoPublic *from, const uint8_t shared[32],
              uint8_t nonce_start, const char *inner, const char *packet)
{
  uint8_t out[ROOM], nonce[24], opened[ROOM];

  ascending (nonce_start, nonce, sizeof nonce);
  size_t size = disco_encode (m, out, sizeof out);
  if (inner)
    assert_bytes (out, size, inner);
  size = disco_seal (m, from, shared, nonce, out, sizeof out);
  g_assert_cmpuint (size, ==, disco_sealed_size (m));
  assert_bytes (out, size, packet);
  DiscoPublic sender;
  g_assert_true (disco_sender (out, size, &sender));
  g_assert_true (key_same (&sender, from));
  size_t opened_size = disco_open (out, size, shared, opened);
  g_assert_cmpuint (opened_size, ==, size - 78);
  DiscoMessage parsed;
  g_assert_true (disco_parse (opened, opened_size, &parsed));
  g_assert_cmpint (parsed.type, ==, m->type);
  out[size - 1] ^= 1;
  g_assert_cmpuint (disco_open (out, size, shared, opened), ==, 0);
}

static void
test_keys (void)
{
  Vectors v;

  vectors_init (&v);
  assert_bytes (v.a.bytes, 32, "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13");
  assert_bytes (v.b.bytes, 32, "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20");
  assert_bytes (v.r.bytes, 32, "7b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b14");
  assert_bytes (v.node_a.bytes, 32,
                "ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b");
  assert_bytes (v.ab, 32, "8abe7c8ae6800b76d4f5986b04b77f6e9b4f332403c90df02428336e8bd9b525");
  assert_bytes (v.ar, 32, "f90a562055afce1c541f3d8d7dd633e08c2dfbc9a1b1fa234a3baae59e2f2e12");
}

static void
test_ping (void)
{
  Vectors v;

  vectors_init (&v);
  DiscoMessage m = {.type = DISCO_PING, .tx_id = v.tx_id, .node_key = v.node_a};
  assert_seals (&m, &v.a, v.ab, 0x00,
                "0100101112131415161718191a1b"
                "ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b",
                ping_packet);
  m.padding = 900;
  g_assert_cmpuint (disco_sealed_size (&m), ==, DISCO_PING_SIZE + 900);
}

static void
test_pong (void)
{
  Vectors v;
  uint8_t packet[ROOM], inner[ROOM];
  DiscoMessage parsed;

  vectors_init (&v);
  DiscoMessage m = {.type = DISCO_PONG, .tx_id = v.tx_id, .source = address ("203.0.113.7:41641")};
  assert_seals (&m, &v.b, v.ab, 0x40,
                "0200101112131415161718191a1b00000000000000000000ffffcb007107a2a9", pong_packet);
  size_t size = from_hex (pong_packet, packet);
  size = disco_open (packet, size, v.ab, inner);
  g_assert_true (disco_parse (inner, size, &parsed));
  g_assert_true (ip_port_equal (&parsed.source, &m.source));
  g_assert_cmpmem (&parsed.tx_id, 12, &v.tx_id, 12);
}

static void
test_call_me_maybe (void)
{
  Vectors v;
  uint8_t packet[ROOM], inner[ROOM];
  DiscoMessage parsed;
  IpPort list[3] = {address ("203.0.113.7:41641"), address ("192.168.1.20:41641"),
                    address ("[2001:db8::7]:41641")};

  vectors_init (&v);
  DiscoMessage m = {.type = DISCO_CALL_ME_MAYBE, .encode_endpoints = list, .n_endpoints = 3};
  assert_seals (&m, &v.a, v.ab, 0x80,
                "030000000000000000000000ffffcb007107a2a900000000000000000000ffffc0a80114a2a9"
                "20010db8000000000000000000000007a2a9",
                call_me_maybe_packet);
  size_t size = from_hex (call_me_maybe_packet, packet);
  size = disco_open (packet, size, v.ab, inner);
  g_assert_true (disco_parse (inner, size, &parsed));
  g_assert_cmpuint (parsed.n_endpoints, ==, 3);
  for (size_t i = 0; i < 3; i++) {
    IpPort at = disco_message_endpoint (&parsed, i);
    g_assert_true (ip_port_equal (&at, &list[i]));
  }
}

static void
test_relay_messages (void)
{
  Vectors v;
  uint8_t out[ROOM];
  IpPort list[2] = {address ("198.51.100.9:40000"), address ("[2001:db8::9]:40000")};
  DiscoMessage parsed;

  vectors_init (&v);
  DiscoMessage request
      = {.type = DISCO_ALLOCATE_REQUEST, .generation = 7, .client_keys = {v.b, v.a}};
  size_t size = disco_encode (&request, out, sizeof out);
  assert_bytes (out, size,
                "08000faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"
                "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f1300000007");
  g_assert_true (disco_parse (out, size, &parsed));
  g_assert_cmpuint (parsed.generation, ==, 7);

  DiscoMessage via = {.type = DISCO_CALL_ME_MAYBE_VIA,
                      .relay = {.server_key = v.r,
                                .client_keys = {v.b, v.a},
                                .lamport_id = 5,
                                .vni = 0xabcd,
                                .bind_lifetime_ns = 30000000000,
                                .steady_state_lifetime_ns = 300000000000},
                      .encode_endpoints = list,
                      .n_endpoints = 2};
  size = disco_encode (&via, out, sizeof out);
  g_assert_cmpuint (size, ==, 162);
  assert_bytes (out, size,
                "07007b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b14"
                "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"
                "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
                "00000000000000050000abcd00000006fc23ac0000000045d964b800"
                "00000000000000000000ffffc63364099c4020010db80000000000000000000000099c40");
  g_assert_true (disco_parse (out, size, &parsed));
  g_assert_cmpuint (parsed.n_endpoints, ==, 2);
  g_assert_cmpuint (parsed.relay.vni, ==, 0xabcd);
  via.type = DISCO_ALLOCATE_RESPONSE;
  via.generation = 7;
  size = disco_encode (&via, out, sizeof out);
  g_assert_cmpuint (size, ==, 166);
  g_assert_true (disco_parse (out, size, &parsed));
  g_assert_cmpuint (parsed.generation, ==, 7);
  g_assert_false (disco_parse (out, size - 1, &parsed));
}

static void
test_bind (void)
{
  Vectors v;
  uint8_t packet[ROOM], nonce[24];

  vectors_init (&v);
  DiscoMessage m
      = {.type = DISCO_BIND, .bind = {.vni = 0xabcd, .generation = 1, .remote_key = v.b}};
  GeneveHeader geneve = {.protocol = GENEVE_PROTOCOL_DISCO, .vni = 0xabcd, .control = true};
  geneve_encode (&geneve, packet);
  ascending (0xa0, nonce, sizeof nonce);
  size_t size = disco_seal (&m, &v.a, v.ar, nonce, packet + 8, sizeof packet - 8);
  assert_bytes (packet, size + 8, bind_datagram);
  g_assert_cmpint (packet_classify (packet, size + 8), ==, PACKET_GENEVE_DISCO);
  geneve = (GeneveHeader){.protocol = GENEVE_PROTOCOL_WIREGUARD, .vni = 0xabcd};
  geneve_encode (&geneve, packet);
  assert_bytes (packet, 8, "00007a1200abcd00");
}

static bool
parses (const char *hex, DiscoMessage *out)
{
  static uint8_t inner[ROOM];
  size_t size = from_hex (hex, inner);

  return disco_parse (inner, size, out);
}

static void
test_tolerance (void)
{
  DiscoMessage m;

  g_assert_true (parses ("0100101112131415161718191a1b", &m)); /* ancient: no node key */
  g_assert_true (key_zero (&m.node_key));
  g_assert_true (parses ("0101101112131415161718191a1b", &m)); /* version 1 */
  g_assert_false (parses ("0100101112131415161718191a", &m));
  g_assert_false (parses ("0200101112131415161718191a1b00000000000000000000ffffcb007107a2", &m));
  g_assert_true (parses ("0200101112131415161718191a1b00000000000000000000ffffcb007107a2a9ff", &m));
  g_assert_true (parses ("0300", &m));
  g_assert_cmpuint (m.n_endpoints, ==, 0);
  g_assert_true (parses ("030000", &m)); /* not a multiple of 18 */
  g_assert_cmpuint (m.n_endpoints, ==, 0);
  g_assert_true (parses ("030100000000000000000000ffffcb007107a2a9", &m)); /* version 1 */
  g_assert_cmpuint (m.n_endpoints, ==, 0);
  g_assert_false (parses ("6300", &m)); /* unknown type */
  g_assert_false (parses ("01", &m));
}

static void
test_classify (void)
{
  uint8_t b[ROOM] = {0};
  size_t size;

  for (uint8_t type = 1; type <= 4; type++) {
    memset (b, 0, sizeof b);
    b[0] = type;
    memset (b + 4, 0xff, 60);
    g_assert_cmpint (packet_classify (b, 148), ==, PACKET_WIREGUARD);
  }
  g_assert_cmpint (packet_classify (b, 1), ==, PACKET_WIREGUARD);
  g_assert_cmpint (packet_classify (b, 0), ==, PACKET_WIREGUARD);
  size = from_hex ("000100142112a442101112131415161718191a1b", b);
  g_assert_cmpint (packet_classify (b, size), ==, PACKET_STUN);
  g_assert_cmpint (packet_classify (b, size - 1), ==, PACKET_WIREGUARD);
  b[1] = 0; /* the cookie alone does not make it STUN */
  g_assert_cmpint (packet_classify (b, size), ==, PACKET_WIREGUARD);
  size = from_hex (ping_packet, b);
  g_assert_cmpint (packet_classify (b, size), ==, PACKET_DISCO);
  memmove (b + 8, b, size);
  hex_decode ("00007a1100abcd00", 16, b, 8);
  g_assert_cmpint (packet_classify (b, size + 8), ==, PACKET_GENEVE_DISCO);
  b[8] ^= 1; /* 0x7a11 without disco behind it */
  g_assert_cmpint (packet_classify (b, size + 8), ==, PACKET_WIREGUARD);
  b[3] = 0x12;
  g_assert_cmpint (packet_classify (b, size + 8), ==, PACKET_GENEVE_WIREGUARD);
  b[7] = 1;
  g_assert_cmpint (packet_classify (b, size + 8), ==, PACKET_WIREGUARD);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/path/disco/keys-of-the-vectors", test_keys);
  g_test_add_func ("/path/disco/ping-is-byte-exact", test_ping);
  g_test_add_func ("/path/disco/pong-is-byte-exact", test_pong);
  g_test_add_func ("/path/disco/call-me-maybe-is-byte-exact", test_call_me_maybe);
  g_test_add_func ("/path/disco/relay-messages-are-byte-exact", test_relay_messages);
  g_test_add_func ("/path/disco/bind-is-byte-exact", test_bind);
  g_test_add_func ("/path/disco/is-as-tolerant-as-official-peers", test_tolerance);
  g_test_add_func ("/path/classify/each-datagram-goes-to-the-right-place", test_classify);
  return g_test_run ();
}
