#include "base/bytes.h"
#include "base/crypto.h"

#include <glib.h>
#include <string.h>

static void
assert_hex (const void *data, size_t size, const char *expected)
{
  g_autofree char *text = g_malloc (2 * size + 1);

  hex_encode (data, size, text);
  g_assert_cmpstr (text, ==, expected);
}

static void
ascending (uint8_t start, uint8_t out[32])
{
  for (int i = 0; i < 32; i++)
    out[i] = (uint8_t)(start + i);
  out[0] &= 0xf8;
  out[31] = (uint8_t)((out[31] & 0x7f) | 0x40);
}

/* The first lines of spec/wireguard-dataplane.md §7. */
static void
test_wireguard_start (void)
{
  static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
  static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
  uint8_t ck[32], h[32], e_public[32], out[1][32], mac_key[32], s_r[32], s_i[32], ss[32];

  blake2s (&(Slice){construction, strlen (construction)}, 1, ck);
  assert_hex (ck, 32, "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36");
  blake2s ((Slice[]){{ck, 32}, {identifier, strlen (identifier)}}, 2, h);
  assert_hex (h, 32, "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3");
  hex_decode ("79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a", 64, e_public, 32);
  kdf_blake2s (ck, e_public, 32, out, 1);
  assert_hex (out[0], 32, "ab81178fe02a10a25498ac598b593536248b787bd1fff926bd98b79de8dbe989");
  hex_decode ("358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254", 64, s_r, 32);
  blake2s ((Slice[]){{"mac1----", 8}, {s_r, 32}}, 2, mac_key);
  assert_hex (mac_key, 32, "027b1cb8c420c32c942bea8ddb43ca7d20779ec4bd55578bfa5c3d7936c91d2f");
  ascending (0, s_i);
  g_assert_true (x25519 (s_i, s_r, ss));
  assert_hex (ss, 32, "9663aa1da97e848a914a436d04163dfbb89178f107f1b5b77ed3854203382854");
}

static void
test_small_order_is_refused (void)
{
  uint8_t private_key[32], zero[32] = {0}, out[32];

  ascending (0, private_key);
  g_assert_false (x25519 (private_key, zero, out));
}

static void
test_aead (void)
{
  uint8_t key[32] = {1}, nonce[12] = {2}, in[100] = {3}, sealed[116], opened[100];

  for (size_t size = 0; size <= sizeof in; size += 25) {
    aead_seal (key, nonce, "ad", 2, in, size, sealed);
    g_assert_true (aead_open (key, nonce, "ad", 2, sealed, size + 16, opened));
    g_assert_cmpmem (opened, size, in, size);
    g_assert_false (aead_open (key, nonce, "aD", 2, sealed, size + 16, opened));
    sealed[size] ^= 1;
    g_assert_false (aead_open (key, nonce, "ad", 2, sealed, size + 16, opened));
  }
  g_assert_false (aead_open (key, nonce, NULL, 0, sealed, 15, opened));
}

static void
test_box (void)
{
  uint8_t a[32], pub_b[32], shared[32];

  memset (a, 0x11, 32);
  hex_decode ("0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20", 64, pub_b, 32);
  g_assert_true (box_shared (a, pub_b, shared));
  assert_hex (shared, 32, "8abe7c8ae6800b76d4f5986b04b77f6e9b4f332403c90df02428336e8bd9b525");
}

static void
test_base64 (void)
{
  static const char *const cases[] = {"", "AA==", "AAE=", "AAEC", "AAECAw=="};
  static const uint8_t bytes[] = {0, 1, 2, 3};

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    char text[16];
    uint8_t out[8];
    base64_encode (bytes, i, text);
    g_assert_cmpstr (text, ==, cases[i]);
    g_assert_cmpint (base64_decode (text, strlen (text), out, sizeof out), ==, (int)i);
    g_assert_cmpmem (out, i, bytes, i);
  }
  g_assert_cmpint (base64_decode ("AAECA", 5, (uint8_t[8]){0}, 8), ==, -1);
  g_assert_cmpint (base64_decode ("A*==", 4, (uint8_t[8]){0}, 8), ==, -1);
  g_assert_cmpint (base64_decode ("AAEC", 4, (uint8_t[2]){0}, 2), ==, -1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/crypto/hash-mac-and-kdf-match-the-wireguard-vectors",
                   test_wireguard_start);
  g_test_add_func ("/base/crypto/a-point-of-small-order-is-refused", test_small_order_is_refused);
  g_test_add_func ("/base/crypto/aead-detects-every-change", test_aead);
  g_test_add_func ("/base/crypto/box-key-matches-the-disco-vector", test_box);
  g_test_add_func ("/base/crypto/base64-round-trips", test_base64);
  return g_test_run ();
}
