#include "hex.h"
#include "vectors.h"
#include "wireguard/messages.h"

#include <glib.h>
#include <string.h>

static void
test_lengths (void)
{
  static const struct
  {
    uint32_t type;
    size_t size;
  } exact[] = {{1, 148}, {2, 92}, {3, 64}};
  uint8_t message[256] = {0};

  for (size_t size = 0; size <= sizeof message; size++) {
    for (size_t i = 0; i < G_N_ELEMENTS (exact); i++) {
      store_le32 (message, exact[i].type);
      g_assert_cmpint (wg_message_classify (message, size), ==,
                       size == exact[i].size ? (int)exact[i].type : WG_MESSAGE_NONE);
    }
    store_le32 (message, 4);
    g_assert_cmpint (wg_message_classify (message, size), ==,
                     size >= 32 ? WG_MESSAGE_DATA : WG_MESSAGE_NONE);
  }
}

static void
test_foreign (void)
{
  static const size_t sizes[] = {32, 64, 92, 148};
  uint8_t message[148] = {0};

  for (uint32_t type = 1; type <= 4; type++) {
    for (int reserved = 1; reserved < 4; reserved++) {
      store_le32 (message, type | 1u << 8 * reserved);
      for (size_t i = 0; i < G_N_ELEMENTS (sizes); i++)
        g_assert_cmpint (wg_message_classify (message, sizes[i]), ==, WG_MESSAGE_NONE);
    }
  }
  for (uint32_t type = 0; type < 256; type++) {
    store_le32 (message, type);
    if (type == 0 || type > 4)
      for (size_t i = 0; i < G_N_ELEMENTS (sizes); i++)
        g_assert_cmpint (wg_message_classify (message, sizes[i]), ==, WG_MESSAGE_NONE);
  }
  /* Disco, STUN, the one-byte tail of a GSO run, hybrid handshakes of other lengths. */
  memcpy (message, "TS\xf0\x9f\x92\xac", 6);
  g_assert_cmpint (wg_message_classify (message, 148), ==, WG_MESSAGE_NONE);
  g_assert_cmpint (wg_message_classify ("\x07", 1), ==, WG_MESSAGE_NONE);
  uint8_t *hybrid = g_malloc0 (1348);
  hybrid[0] = 1;
  g_assert_cmpint (wg_message_classify (hybrid, 1348), ==, WG_MESSAGE_NONE);
  g_assert_cmpint (wg_message_classify (NULL, 0), ==, WG_MESSAGE_NONE);
  g_free (hybrid);
}

static void
test_padding (void)
{
  for (size_t size = 0; size <= 1280; size++) {
    size_t padded = wg_padded_size (size, 1280);
    g_assert_cmpuint (padded % 16, ==, 0);
    g_assert_true (padded >= size && padded < size + 16);
  }
  g_assert_cmpuint (wg_padded_size (1420, 1420), ==, 1420);
  g_assert_cmpuint (wg_padded_size (1410, 1420), ==, 1420);
  g_assert_cmpuint (wg_padded_size (1408, 1420), ==, 1408);
  g_assert_cmpuint (wg_padded_size (1500, 1420), ==, 1500);
}

static void
test_inner_size (void)
{
  uint8_t v4[64] = {0x45}, v6[128] = {0x60};

  store_be16 (v4 + 2, 30);
  g_assert_cmpint (wg_inner_size (v4, 30), ==, 30);
  g_assert_cmpint (wg_inner_size (v4, 32), ==, 30);
  memset (v4 + 30, 0xff, 34);
  g_assert_cmpint (wg_inner_size (v4, 64), ==, 30);
  g_assert_cmpint (wg_inner_size (v4, 29), ==, -1);
  g_assert_cmpint (wg_inner_size (v4, 19), ==, -1);
  store_be16 (v4 + 2, 19);
  g_assert_cmpint (wg_inner_size (v4, 64), ==, -1);

  g_assert_cmpint (wg_inner_size (v6, 40), ==, 40);
  g_assert_cmpint (wg_inner_size (v6, 48), ==, 40);
  g_assert_cmpint (wg_inner_size (v6, 39), ==, -1);
  store_be16 (v6 + 4, 8);
  g_assert_cmpint (wg_inner_size (v6, 48), ==, 48);
  g_assert_cmpint (wg_inner_size (v6, 47), ==, -1);
  store_be16 (v6 + 4, 0xffff); /* 65535 + 40 does not fit 16 bits */
  g_assert_cmpint (wg_inner_size (v6, sizeof v6), ==, -1);
  g_assert_cmpint (wg_inner_size (NULL, 0), ==, 0);
  g_assert_cmpint (wg_inner_size ("\x50", 1), ==, -1);
  g_assert_cmpint (wg_inner_size ("\x00", 1), ==, -1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wireguard/messages/length-belongs-to-type", test_lengths);
  g_test_add_func ("/wireguard/messages/reserved-bytes-and-foreign-types-are-refused",
                   test_foreign);
  g_test_add_func ("/wireguard/messages/padding-stays-below-the-mtu", test_padding);
  g_test_add_func ("/wireguard/messages/inner-packet-is-cut-to-its-own-length", test_inner_size);
  return g_test_run ();
}
