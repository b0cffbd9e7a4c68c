#include "tunnel/checksum.h"

/* The loop is written for the compiler's vectoriser (this folder is built with -O3) and compiled
 * once for each instruction set worth having. 32-bit words cannot overflow 64-bit lanes in any
 * packet. */
static inline __attribute__ ((always_inline)) uint64_t
sum_words (const uint8_t *data, size_t words)
{
  uint64_t sum = 0;

  for (size_t i = 0; i < words; i++) {
    uint32_t word;

    memcpy (&word, data + 4 * i, sizeof word);
    sum += word;
  }
  return sum;
}

static uint64_t
sum_words_any (const uint8_t *data, size_t words)
{
  return sum_words (data, words);
}

#ifdef __x86_64__
__attribute__ ((target ("avx2"))) static uint64_t
sum_words_avx2 (const uint8_t *data, size_t words)
{
  return sum_words (data, words);
}

__attribute__ ((target ("avx512f"))) static uint64_t
sum_words_avx512 (const uint8_t *data, size_t words)
{
  return sum_words (data, words);
}
#endif

static uint64_t (*sum_words_best) (const uint8_t *data, size_t words) = sum_words_any;

__attribute__ ((constructor)) static void
choose_sum_words (void)
{
#ifdef __x86_64__
  __builtin_cpu_init ();
  if (__builtin_cpu_supports ("avx512f"))
    sum_words_best = sum_words_avx512;
  else if (__builtin_cpu_supports ("avx2"))
    sum_words_best = sum_words_avx2;
#endif
}

uint64_t
checksum_add (uint64_t sum, const void *data, size_t size)
{
  const uint8_t *p = data;
  size_t words = size / 4;
  uint8_t tail[4] = {0};
  uint32_t word;

  sum = (sum & 0xffffffff) + (sum >> 32);
  sum += words >= 16 ? sum_words_best (p, words) : sum_words (p, words);
  memcpy (tail, p + 4 * words, size & 3);
  memcpy (&word, tail, sizeof word);
  return sum + word;
}
