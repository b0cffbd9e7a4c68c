#include "wire/noise-record.h"

#include "base/bytes.h"

#include <glib.h>
#include <string.h>

/* The vector of control-protocol.md §5.6; private keys are start, start + 1, … clamped. */
#define VERSION 131

static const char initiation_hex[]
    = "008301006079a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a3e3656b8d011d792"
      "89238e398d21992719757cfddd7b176b1542816cfce2502c688f16760228efc02de8d9cd702b771074009d0d81"
      "8e5c1937d4b6ce6c0fb62e";
static const char header_value[]
    = "AIMBAGB5pjHu3hv5yY8SAyzerdDnoHk5j8eGuIzIRuyJr4WlGj42VrjQEdeSiSOOOY0hmScZdXz93XsXaxVCgWz84l"
      "AsaI8WdgIo78At6NnNcCt3EHQAnQ2BjlwZN9S2zmwPti4=";
static const char response_hex[]
    = "020030605a725d2a4adfeeb1a29e17edd621c1b7593ee8cdbc44ac6c4ab6e2f805d23ce4c392014c87a18e0988"
      "22d3281ff410";
static const char hash_hex[] = "839da05e5ac053c17949d7f705cccb118fcfdef41260c1efc1982afa0a43d40e";
static const char up_hex[] = "5665783869166e49aad30bcd50671cd7c425c681b3bbbace35db84f098000a53";
static const char down_hex[] = "771bd460054c522e7c03f74313525ad8298df7bd2df9f3d4415ccdd26fd4de45";

static GByteArray *
unhex (const char *hex)
{
  GByteArray *bytes = g_byte_array_new ();

  g_byte_array_set_size (bytes, (guint)strlen (hex) / 2);
  g_assert_true (hex_decode (hex, strlen (hex), bytes->data, bytes->len));
  return bytes;
}

static void
assert_hex (const uint8_t *data, size_t size, const char *hex)
{
  g_autofree char *text = g_malloc (2 * size + 1);

  hex_encode (data, size, text);
  g_assert_cmpstr (text, ==, hex);
}

static void
ascending (uint8_t start, uint8_t out[KEY_SIZE])
{
  for (int i = 0; i < KEY_SIZE; i++)
    out[i] = (uint8_t)(start + i);
  out[0] &= 0xf8;
  out[31] = (uint8_t)((out[31] & 0x7f) | 0x40);
}

/* A "random" source that counts up from START. */
typedef struct
{
  Random base;
  uint8_t start;
} Ascending;

static void
ascending_fill (Random *random, void *out, size_t size)
{
  for (size_t i = 0; i < size; i++)
    ((uint8_t *)out)[i] = (uint8_t)(((Ascending *)random)->start + i);
}

static NoiseKeys client_keys, server_keys;

static void
test_initiator (void)
{
  Ascending random = {{ascending_fill}, 0x40};
  MachinePrivate machine;
  MachinePublic server;
  NoiseInitiator n;
  uint8_t server_private[KEY_SIZE], initiation[NOISE_INITIATION_SIZE];
  char header[200];

  ascending (0x10, machine.bytes);
  ascending (0x70, server_private);
  key_public (server_private, server.bytes);
  g_assert_true (noise_initiator_start (&n, &machine, &server, VERSION, &random.base, initiation));
  assert_hex (initiation, sizeof initiation, initiation_hex);
  base64_encode (initiation, sizeof initiation, header);
  g_assert_cmpstr (header, ==, header_value);

  g_autoptr (GByteArray) response = unhex (response_hex);
  g_assert_true (noise_initiator_finish (&n, response->data, &client_keys));
  assert_hex (client_keys.hash, BLAKE2S_SIZE, hash_hex);
  assert_hex (client_keys.send_key, AEAD_KEY_SIZE, up_hex);
  assert_hex (client_keys.receive_key, AEAD_KEY_SIZE, down_hex);
  noise_initiator_clear (&n);
}

static void
test_responder (void)
{
  Ascending random = {{ascending_fill}, 0xa0};
  MachinePrivate server;
  MachinePublic client;
  uint8_t response[NOISE_RESPONSE_SIZE];
  uint16_t version;

  ascending (0x70, server.bytes);
  g_autoptr (GByteArray) initiation = unhex (initiation_hex);
  g_assert_cmpint (noise_respond (&server, initiation->data, &random.base, &client, &version,
                                  response, &server_keys),
                   ==, NOISE_OK);
  g_assert_cmpuint (version, ==, VERSION);
  assert_hex (client.bytes, KEY_SIZE,
              "d89e3bad79437dbed9f843418304f460ff05c7fe81fe4a9577a804cb9367ff66");
  assert_hex (response, sizeof response, response_hex);
  assert_hex (server_keys.send_key, AEAD_KEY_SIZE, down_hex);
  assert_hex (server_keys.receive_key, AEAD_KEY_SIZE, up_hex);
}

static void
test_flipped_bits (void)
{
  MachinePrivate machine, server;
  MachinePublic server_public, client;
  NoiseInitiator n;
  NoiseKeys keys;
  uint8_t initiation[NOISE_INITIATION_SIZE], response[NOISE_RESPONSE_SIZE], scratch[200];
  uint16_t version;

  ascending (0x10, machine.bytes);
  ascending (0x70, server.bytes);
  key_public (server.bytes, server_public.bytes);
  noise_initiator_start (&n, &machine, &server_public, VERSION, random_system (), initiation);
  /* X25519 ignores the top bit of a public key, but the hash does not */
  for (size_t bit = 0; bit < 8 * sizeof initiation; bit++) {
    initiation[bit / 8] ^= (uint8_t)(1 << bit % 8);
    g_assert_cmpint (noise_respond (&server, initiation, random_system (), &client, &version,
                                    scratch, &keys),
                     !=, NOISE_OK);
    initiation[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  g_assert_cmpint (noise_respond (&server, initiation, random_system (), &client, &version,
                                  response, &keys),
                   ==, NOISE_OK);
  for (size_t bit = 0; bit < 8 * sizeof response; bit++) {
    response[bit / 8] ^= (uint8_t)(1 << bit % 8);
    g_assert_false (noise_initiator_finish (&n, response, &keys));
    response[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  g_assert_true (noise_initiator_finish (&n, response, &keys));

  MachinePublic zero = {0};
  g_assert_false (noise_initiator_start (&n, &machine, &zero, VERSION, random_system (), scratch));
}

static const char early_json[]
    = "{\"nodeKeyChallenge\":"
      "\"chalpub:6b3ee67463583cbe3dc08fe9d0765c2666ff5210dd527c9d8705e44927c80d55\"}";

static void
test_record_vectors (void)
{
  static const char *down[] = {
      "040015ff890c12dfbb870cf6e1376ebeaa878c59521203ef",
      "040014fdf754decbec7f96eb6846b77615a40098a51b57",
      "04006f84f39bcabd952b7727639b6f83d489f5740807bb32c63c05858b5956507ac345ca8eb46252bf55809529"
      "9eb006e793ce1bdc634ca68bb9a1fa2cce3e615d7ab54c9baf42563a71a9889da6691627d699d05cf1c814cb26"
      "6e3e9ac8698c52e973f5ad627fb422a9e160ff65a7ab38d2",
  };
  static const struct
  {
    const char *plain;
    size_t size;
    const char *wire;
  } up[] = {
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24,
       "0400286914bb0a93fc676f22a915b4936217c3fc05a84634d24e89661485c39d27718ff38dd51f11232db4"},
      {"\0\0\0\4\0\0\0\0\0", 9, "040019175348b1ba9c9716f2de1817393566ed8019dee05d386a2f6b"},
      {"", 0, "040010a8c62a32cdab4c2a8bba9dea43f7560c"},
  };
  NoiseRecords client, server;
  Buffer plain = {0}, wire = {0}, early = {0};
  uint8_t challenge[KEY_SIZE], challenge_public[KEY_SIZE];

  noise_records_init (&client, &client_keys);
  noise_records_init (&server, &server_keys);
  ascending (0xd0, challenge);
  key_public (challenge, challenge_public);
  noise_early_append (challenge_public, &early);
  g_assert_cmpmem (early.data + 9, early.size - 9, early_json, 95);
  static const size_t pieces[] = {5, 4, 95};
  for (size_t i = 0, at = 0; i < 3; at += pieces[i++]) {
    g_assert_true (noise_records_seal (&server, early.data + at, pieces[i], &wire));
    assert_hex (wire.data, wire.size, down[i]);
    g_assert_true (noise_records_open (&client, wire.data, wire.size, &plain));
    buffer_reset (&wire);
  }
  g_assert_cmpmem (plain.data, plain.size, early.data, early.size);

  for (size_t i = 0; i < G_N_ELEMENTS (up); i++) {
    buffer_reset (&plain);
    g_assert_true (noise_records_seal (&client, up[i].plain, up[i].size, &wire));
    assert_hex (wire.data, wire.size, up[i].wire);
    g_assert_true (noise_records_open (&server, wire.data, wire.size, &plain));
    g_assert_cmpmem (plain.data, plain.size, up[i].plain, up[i].size);
    buffer_reset (&wire);
  }
  client.send_counter = server.receive_counter = UINT64_C (1) << 32;
  g_assert_true (noise_records_seal (&client, "x", 1, &wire));
  assert_hex (wire.data, wire.size, "040011ad9eacb5df4bf1208696da15d1ce21d666");
  buffer_reset (&plain);
  g_assert_true (noise_records_open (&server, wire.data, wire.size, &plain));
  g_assert_cmpmem (plain.data, plain.size, "x", 1);
  buffer_free (&plain);
  buffer_free (&wire);
  buffer_free (&early);
}

static void
test_records_split (void)
{
  NoiseRecords client, server;
  Buffer wire = {0}, plain = {0};
  g_autofree uint8_t *bulk = g_malloc (10000);

  random_fill (random_system (), bulk, 10000);
  noise_records_init (&client, &client_keys);
  noise_records_init (&server, &server_keys);
  g_assert_true (noise_records_seal (&client, bulk, 10000, &wire));
  static const size_t sizes[] = {4077, 4077, 1846};
  size_t at = 0;
  for (size_t i = 0; i < 3; i++) {
    g_assert_cmpuint (load_be16 (wire.data + at + 1), ==, sizes[i] + 16);
    at += 3 + sizes[i] + 16;
  }
  g_assert_cmpuint (wire.size, ==, at);
  for (size_t i = 0; i < wire.size; i++)
    g_assert_true (noise_records_open (&server, wire.data + i, 1, &plain));
  g_assert_cmpmem (plain.data, plain.size, bulk, 10000);
  buffer_free (&wire);
  buffer_free (&plain);
}

static void
test_records_refuse (void)
{
  static const uint8_t wrong_type[] = {3, 0, 17}, too_long[] = {4, 0x0f, 0xfe},
                       too_short[] = {4, 0, 15}, longest[] = {4, 0x0f, 0xfd};
  NoiseRecords client, server;
  Buffer wire = {0}, plain = {0};

  noise_records_init (&server, &server_keys);
  g_assert_false (noise_records_open (&server, wrong_type, 3, &plain));
  noise_records_clear (&server);
  noise_records_init (&server, &server_keys);
  g_assert_false (noise_records_open (&server, too_long, 3, &plain));
  noise_records_clear (&server);
  noise_records_init (&server, &server_keys);
  g_assert_false (noise_records_open (&server, too_short, 3, &plain));
  noise_records_clear (&server);
  noise_records_init (&server, &server_keys);
  g_assert_true (noise_records_open (&server, longest, 3, &plain));
  noise_records_clear (&server);

  noise_records_init (&client, &client_keys);
  noise_records_seal (&client, "hello", 5, &wire);
  for (size_t bit = 0; bit < 8 * wire.size; bit++) {
    noise_records_init (&server, &server_keys);
    wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    bool ok = noise_records_open (&server, wire.data, wire.size, &plain);
    wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    /* a larger length is not wrong yet, but no byte of plaintext may come out */
    g_assert_true (!ok || server.partial_size > 0);
    g_assert_cmpuint (plain.size, ==, 0);
    if (!ok)
      g_assert_false (noise_records_open (&server, wire.data, wire.size, &plain));
    noise_records_clear (&server);
  }
  client.send_counter = UINT64_MAX;
  g_assert_false (noise_records_seal (&client, "x", 1, &wire));
  noise_records_clear (&client);
  buffer_free (&wire);
  buffer_free (&plain);
}

static void
check_early (const uint8_t *data, size_t size, NoiseEarlyResult expected, size_t left)
{
  for (size_t step = 1; step <= size; step += size > 1 ? size - 1 : 1) {
    Buffer plain = {0};
    size_t skip = 0;
    NoiseEarlyResult result = NOISE_EARLY_MORE;
    for (size_t i = 0; i < size; i += step) {
      buffer_append (&plain, data + i, MIN (step, size - i));
      if (result == NOISE_EARLY_MORE)
        result = noise_early_take (&plain, &skip);
    }
    g_assert_cmpint (result, ==, expected);
    if (expected == NOISE_EARLY_DONE)
      g_assert_cmpuint (plain.size, ==, left);
    buffer_free (&plain);
  }
}

static void
test_early (void)
{
  static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0},
                       too_long[] = {255, 255, 255, 'T', 'S', 0, 0xa0, 0, 1},
                       longest[] = {255, 255, 255, 'T', 'S', 0, 0xa0, 0, 0};
  uint8_t challenge[KEY_SIZE] = {1};
  Buffer early = {0};

  noise_early_append (challenge, &early);
  g_assert_cmpuint (early.size, ==, 104);
  buffer_append (&early, settings, sizeof settings);
  check_early (early.data, early.size, NOISE_EARLY_DONE, sizeof settings);
  check_early (settings, sizeof settings, NOISE_EARLY_DONE, sizeof settings);
  check_early (too_long, sizeof too_long, NOISE_EARLY_BAD, 0);
  check_early (longest, sizeof longest, NOISE_EARLY_MORE, 0);
  buffer_free (&early);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wire/noise/initiator-reproduces-the-vector", test_initiator);
  g_test_add_func ("/wire/noise/responder-reproduces-the-vector", test_responder);
  g_test_add_func ("/wire/noise/any-flipped-bit-ends-the-handshake", test_flipped_bits);
  g_test_add_func ("/wire/noise-record/reproduces-the-vectors-of-both-directions",
                   test_record_vectors);
  g_test_add_func ("/wire/noise-record/splits-and-joins-at-4077-bytes", test_records_split);
  g_test_add_func ("/wire/noise-record/any-flipped-bit-ends-the-stream", test_records_refuse);
  g_test_add_func ("/wire/noise-record/takes-the-early-payload-off-the-front", test_early);
  return g_test_run ();
}
