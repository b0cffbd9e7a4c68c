#include "base/bytes.h"
#include "derp/frame.h"

#include <glib.h>
#include <string.h>

#define ROOM 1024

#define A_PUBLIC "879062e5b5a8e3d82ddfc00d54b7a83f9395350d8808aa916ab22088e3f60661"
#define B_PUBLIC "f401e8ca72886a1f087a5bd8f20a3af7f7bfd9144f0b38ccf8b61c86330b0332"
#define PACKET   "04000000785634120000000000000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"

typedef struct
{
  DerpPublic server;
  NodePublic a, b;
  uint8_t shared[32];
} Vectors;

static size_t
from_hex (const char *text, uint8_t *out)
{
  size_t size = strlen (text) / 2;

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

static void
vectors_init (Vectors *v)
{
  uint8_t server[32], a[32], shared[32];

  from_hex ("c804316cc342926197514ee20f88ffb4ed4980cf0ec6a62f44baf6ffeb3c9154", server);
  from_hex ("0031a851a816d8ece5367a26f6b393c460670ffd1d7ff759abba09d53555e97d", a);
  key_public (server, v->server.bytes);
  key_public (a, v->a.bytes);
  from_hex (B_PUBLIC, v->b.bytes);
  g_assert_true (box_shared (a, v->server.bytes, v->shared));
  g_assert_true (box_shared (server, v->a.bytes, shared));
  g_assert_cmpmem (shared, 32, v->shared, 32);
  assert_bytes (v->shared, 32, "84a6aa53bd8ca082399cc562d65f2d767fede916321116c69f5605aef19786fd");
  assert_bytes (v->a.bytes, 32, A_PUBLIC);
}

static DerpFrame
read_one (const uint8_t *bytes, size_t size)
{
  DerpFrame frame;
  size_t used;

  g_assert_cmpint (derp_frame_read (bytes, size, DERP_BODY_MAX, &frame, &used), ==,
                   DERP_READ_FRAME);
  g_assert_cmpuint (used, ==, size);
  for (size_t n = 0; n < size; n++) {
    DerpFrame other;
    g_assert_cmpint (derp_frame_read (bytes, n, DERP_BODY_MAX, &other, &used), ==, DERP_READ_MORE);
  }
  return frame;
}

static void
test_server_key (void)
{
  Vectors v;
  uint8_t out[ROOM], longer[ROOM];
  DerpPublic key;

  vectors_init (&v);
  derp_server_key_encode (&v.server, out);
  assert_bytes (out, DERP_SERVER_KEY_SIZE,
                "010000002844455250f09f949161e469479afd62bcdcc586e4b77d5fb9e4f8d84a7827e0420d13f893"
                "d1eb1940");
  DerpFrame frame = read_one (out, DERP_SERVER_KEY_SIZE);
  g_assert_true (derp_server_key_parse (&frame, &key));
  g_assert_true (key_same (&key, &v.server));
  memcpy (longer, out, DERP_SERVER_KEY_SIZE);
  derp_header_encode (DERP_SERVER_KEY, 50, longer);
  frame = read_one (longer, 55);
  g_assert_true (derp_server_key_parse (&frame, &key));
  frame.size = 39;
  g_assert_false (derp_server_key_parse (&frame, &key));
  out[5] ^= 1;
  frame = read_one (out, DERP_SERVER_KEY_SIZE);
  g_assert_false (derp_server_key_parse (&frame, &key));
  out[5] ^= 1;
  out[0] = DERP_SERVER_INFO;
  frame = read_one (out, DERP_SERVER_KEY_SIZE);
  g_assert_false (derp_server_key_parse (&frame, &key));
}

static void
test_client_info (void)
{
  static const char json[] = "{\"version\":2,\"CanAckPings\":true}";
  Vectors v;
  uint8_t out[ROOM], nonce[24], opened[ROOM];
  const uint8_t *got_nonce, *box;
  size_t box_size;
  NodePublic key;

  vectors_init (&v);
  ascending (0x00, nonce, sizeof nonce);
  size_t size
      = derp_client_info_encode (&v.a, v.shared, nonce, json, strlen (json), out, sizeof out);
  assert_bytes (out, size,
                "0200000068" A_PUBLIC "000102030405060708090a0b0c0d0e0f1011121314151617"
                "4e990c3823e2dfc3f09cb3d5ee9c1e6d"
                "7994d786d3b228a523216c4df987899d6b23e2f288828fc9629760b1da6424b6");
  DerpFrame frame = read_one (out, size);
  g_assert_true (derp_client_info_parse (&frame, &key, &got_nonce, &box, &box_size));
  g_assert_true (key_same (&key, &v.a));
  g_assert_true (box_open (v.shared, got_nonce, box, box_size, opened));
  g_assert_cmpmem (opened, box_size - 16, json, strlen (json));
  g_assert_cmpuint (
      derp_client_info_encode (&v.a, v.shared, nonce, json, strlen (json), out, size - 1), ==, 0);
  memset (out + 5, 0, 32);
  frame = read_one (out, size);
  g_assert_false (derp_client_info_parse (&frame, &key, &got_nonce, &box, &box_size));
  frame.size = 55;
  g_assert_false (derp_client_info_parse (&frame, &key, &got_nonce, &box, &box_size));
}

static void
test_server_info (void)
{
  static const char plain[] = "{\"version\":2}";
  static const char limits[]
      = "{\"version\":2,\"TokenBucketBytesPerSecond\":1250000,\"TokenBucketBytesBurst\":262144}";
  Vectors v;
  uint8_t out[ROOM], nonce[24], opened[ROOM];

  vectors_init (&v);
  ascending (0x80, nonce, sizeof nonce);
  size_t size = derp_server_info_encode (v.shared, nonce, plain, strlen (plain), out, sizeof out);
  assert_bytes (out, size,
                "0300000035808182838485868788898a8b8c8d8e8f9091929394959697"
                "59d645c6dc052a3d002ea922592ac0ecb307241d46af41a9ea3d63bff2");
  DerpFrame frame = read_one (out, size);
  g_assert_cmpuint (derp_server_info_open (&frame, v.shared, opened, sizeof opened), ==,
                    strlen (plain));
  g_assert_cmpuint (derp_server_info_open (&frame, v.shared, opened, 12), ==, 0);
  out[size - 1] ^= 1;
  g_assert_cmpuint (derp_server_info_open (&frame, v.shared, opened, sizeof opened), ==, 0);
  size = derp_server_info_encode (v.shared, nonce, limits, strlen (limits), out, sizeof out);
  assert_bytes (out, size,
                "0300000078808182838485868788898a8b8c8d8e8f9091929394959697"
                "eae5d761db82ebbffa30d3e93262ab8c"
                "b307241d46af41a9ea3d63bfa3386ec7296bb0e3c601e8445f6f7c02bf9268961af13b543027a2403e"
                "a892f6dd55435bf09004d11217d8e584a9b612c13de4e7eb368eee778c61f99e2734c47b5d86d3");
}

static void
test_packets (void)
{
  Vectors v;
  uint8_t out[ROOM];
  NodePublic key;
  const uint8_t *packet;
  size_t packet_size;
  DerpGoneReason reason;

  vectors_init (&v);
  derp_send_packet_head (&v.b, 32, out);
  from_hex (PACKET, out + DERP_SEND_OVERHEAD);
  assert_bytes (out, 69, "0400000040" B_PUBLIC PACKET);
  derp_recv_packet_head (&v.a, 32, out);
  assert_bytes (out, 69, "0500000040" A_PUBLIC PACKET);
  DerpFrame frame = read_one (out, 69);
  g_assert_true (derp_packet_parse (&frame, &key, &packet, &packet_size));
  g_assert_true (key_same (&key, &v.a));
  g_assert_cmpuint (packet_size, ==, 32);
  frame.size = 31;
  g_assert_false (derp_packet_parse (&frame, &key, &packet, &packet_size));
  frame.size = 32;
  g_assert_true (derp_packet_parse (&frame, &key, &packet, &packet_size));
  g_assert_cmpuint (packet_size, ==, 0);

  derp_peer_gone_encode (&v.a, DERP_GONE_NOT_HERE, out);
  assert_bytes (out, DERP_PEER_GONE_SIZE, "0800000021" A_PUBLIC "01");
  frame = read_one (out, DERP_PEER_GONE_SIZE);
  g_assert_true (derp_peer_gone_parse (&frame, &key, &reason));
  g_assert_cmpint (reason, ==, DERP_GONE_NOT_HERE);
  frame.size = 32; /* no reason */
  g_assert_true (derp_peer_gone_parse (&frame, &key, &reason));
  g_assert_cmpint (reason, ==, DERP_GONE_DISCONNECTED);
  frame.size = 31;
  g_assert_false (derp_peer_gone_parse (&frame, &key, &reason));

  IpPort at;
  ip_port_parse ("192.0.2.10:49152", 16, &at);
  derp_peer_present_encode (&v.a, &at, DERP_PRESENT_REGULAR, out);
  assert_bytes (out, DERP_PEER_PRESENT_SIZE,
                "0900000033" A_PUBLIC "00000000000000000000ffffc000020ac00001");
}

static void
test_limits (void)
{
  uint8_t header[5];
  DerpFrame frame;
  size_t used;

  derp_header_encode (0x7f, DERP_BODY_MAX + 1, header);
  g_assert_cmpint (derp_frame_read (header, 5, DERP_BODY_MAX, &frame, &used), ==, DERP_READ_ERROR);
  derp_header_encode (0x7f, DERP_BODY_MAX, header);
  g_assert_cmpint (derp_frame_read (header, 5, DERP_BODY_MAX, &frame, &used), ==, DERP_READ_MORE);
}

static void
test_disco_looking (void)
{
  uint8_t packet[64] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};

  g_assert_true (derp_packet_is_disco (packet, 62));
  g_assert_false (derp_packet_is_disco (packet, 61));
  packet[5] ^= 1;
  g_assert_false (derp_packet_is_disco (packet, 64));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/derp/frame/server-key", test_server_key);
  g_test_add_func ("/derp/frame/client-info-is-byte-exact", test_client_info);
  g_test_add_func ("/derp/frame/server-info-is-byte-exact", test_server_info);
  g_test_add_func ("/derp/frame/packets-are-byte-exact", test_packets);
  g_test_add_func ("/derp/frame/limits-are-kept", test_limits);
  g_test_add_func ("/derp/frame/disco-looking", test_disco_looking);
  return g_test_run ();
}
