/* Bulk encryption: vectors, agreement with the small primitives, refusal of everything forged. */
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/random.h"
#include "tunnel/open.h"
#include "tunnel/seal.h"
#include "wireguard/messages.h"

#include <glib.h>
#include <string.h>

#define SEED            20261123
#define SIZE_MAX_TESTED 1600

static Sealer *sealer;
static Opener *opener;
static uint8_t buffer[70000];

/* spec/wireguard-dataplane.md §7: keepalive with counter 0, then the echo with counter 1. */
static void
test_vectors (void)
{
  uint8_t key[32], expected[64];
  Run run = {.data = buffer, .n = 1};

  g_assert_true (
      hex_decode ("8c467a49ee5feffc8b390fba6ff460b5d66abf66f5e4bf9e0a5612b256498238", 64, key, 32));
  hex_decode ("04000000ddccbbaa0000000000000000291241ac6c6d0b472543a7c56d5dbcd0", 64, expected, 32);
  run.segment = run.last = 32;
  seal_run (sealer, key, 0xaabbccdd, 0, &run);
  g_assert_cmpmem (buffer, 32, expected, 32);
  hex_decode ("4500001e000100004001b25b644000016440000208007d6112340001686900000000", 64,
              buffer + 16, 32);
  hex_decode ("04000000ddccbbaa0100000000000000edb9011b09b833b29a63dc972b6ce46d"
              "5caf592ae61b1e7c8217bad5a05487977bb3af72fe78f80de89241aa5933ef56",
              128, expected, 64);
  run.segment = run.last = 64;
  seal_run (sealer, key, 0xaabbccdd, 1, &run);
  g_assert_cmpmem (buffer, 64, expected, 64);
}

/* RFC 8439 appendix A.5 has AAD, which WireGuard never uses; its key and nonce serve as one more
 * fixed point through base/crypto.h, which has the RFC's vectors. */
static void
check_run (Random *random, size_t segment, size_t last, uint32_t n, uint64_t first)
{
  static uint8_t plain[70000], reference[4096];
  uint8_t key[32];
  Run run = {buffer, n, (uint32_t)segment, (uint32_t)last};
  size_t total = run_size (&run);
  OpenItem items[64];

  random_fill (random, key, sizeof key);
  random_fill (random, plain, total);
  memcpy (buffer, plain, total);
  seal_run (sealer, key, 7, first, &run);
  for (uint32_t i = 0; i < n; i++) {
    uint8_t *message = buffer + i * segment;
    size_t size = i + 1 < n ? segment : last;
    uint8_t nonce[12] = {0};
    WgTransport t;

    store_le64 (nonce + 4, first + i);
    aead_seal (key, nonce, NULL, 0, plain + i * segment + 16, size - 32, reference);
    g_assert_cmpmem (message + 16, size - 16, reference, size - 16);
    g_assert_true (wg_transport_parse (message, size, &t));
    g_assert_cmpuint (t.receiver, ==, 7);
    g_assert_cmpuint (t.counter, ==, first + i);
    items[i] = (OpenItem){message + 16, (uint32_t)size - 16, first + i, false};
  }
  open_batch (opener, key, items, n);
  for (uint32_t i = 0; i < n; i++) {
    size_t size = i + 1 < n ? segment : last;

    g_assert_true (items[i].ok);
    g_assert_cmpmem (items[i].data, size - 32, plain + i * segment + 16, size - 32);
  }
}

static void
test_sizes (void)
{
  SeededRandom random;

  seeded_random_init (&random, SEED);
  for (size_t size = 0; size <= SIZE_MAX_TESTED; size++)
    check_run (&random.base, size + 32, size + 32, 1, random_u64 (&random.base) >> 1);
}

static void
test_runs (void)
{
  SeededRandom random;

  seeded_random_init (&random, SEED + 1);
  for (int i = 0; i < 600; i++) {
    size_t segment = 32 + random_below (&random.base, 1500);
    uint32_t n = 1 + (uint32_t)random_below (&random.base, 40);

    check_run (&random.base, segment, 32 + random_below (&random.base, segment - 31), n,
               random_u32 (&random.base));
  }
}

/* Every size also in the widths that go through the processor's vectors. */
static void
test_batches (void)
{
  SeededRandom random;

  seeded_random_init (&random, SEED + 3);
  for (size_t size = 0; size <= SIZE_MAX_TESTED; size++)
    check_run (&random.base, size + 32, size + 32, 8 + (uint32_t)(size % 33),
               random_u64 (&random.base) >> 1);
}

static void
test_forged (void)
{
  SeededRandom random;
  uint8_t key[32];

  seeded_random_init (&random, SEED + 2);
  random_fill (&random.base, key, sizeof key);
  for (int i = 0; i < 3000; i++) {
    uint32_t n = 1 + (uint32_t)random_below (&random.base, 20);
    uint32_t size = 32 + (uint32_t)random_below (&random.base, 600);
    uint32_t victim = (uint32_t)random_below (&random.base, n);
    size_t bit = random_below (&random.base, (size - 16) * 8u);
    Run run = {buffer, n, size, size};
    OpenItem items[20];

    random_fill (&random.base, buffer, run_size (&run));
    seal_run (sealer, key, 1, 100, &run);
    for (uint32_t k = 0; k < n; k++)
      items[k] = (OpenItem){buffer + k * size + 16, size - 16, 100 + k, false};
    items[victim].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    open_batch (opener, key, items, n);
    for (uint32_t k = 0; k < n; k++)
      g_assert_true (items[k].ok == (k != victim));
    /* What was decrypted of it is gone. */
    for (uint32_t k = 0; k < size - 16; k++)
      g_assert_cmpuint (items[victim].data[k], ==, 0);
  }
}

static void
test_wrong_counter (void)
{
  const uint8_t key[32] = {1}, other[32] = {2};
  Run run = {buffer, 1, 64, 64};
  OpenItem item = {buffer + 16, 48, 6, false};

  seal_run (sealer, key, 1, 5, &run);
  open_batch (opener, key, &item, 1);
  g_assert_false (item.ok);
  seal_run (sealer, key, 1, 5, &run);
  item.counter = 5;
  open_batch (opener, other, &item, 1);
  g_assert_false (item.ok);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  sealer = sealer_new ();
  opener = opener_new ();
  g_test_add_func ("/tunnel/seal/reproduces-the-vectors", test_vectors);
  g_test_add_func ("/tunnel/seal/agrees-with-the-primitive-for-every-size", test_sizes);
  g_test_add_func ("/tunnel/seal/agrees-with-the-primitive-for-runs", test_runs);
  g_test_add_func ("/tunnel/seal/agrees-with-the-primitive-for-batches", test_batches);
  g_test_add_func ("/tunnel/open/refuses-any-flipped-bit-and-shows-nothing", test_forged);
  g_test_add_func ("/tunnel/open/refuses-another-counter-or-key", test_wrong_counter);
  return g_test_run ();
}
