#include "tunnel/cipher-batch.h"

#include "base/crypto.h"

#include <sodium.h>
#include <string.h>

#ifdef __x86_64__

#include <immintrin.h>

/* Not under AddressSanitizer: its stack for detect_stack_use_after_return does not keep the 64 byte
 * alignment of these vectors (GCC bug 110027). */
#define FAST                                                                                       \
  __attribute__ ((target ("avx512f,avx512bw,avx512dq,avx512vl,avx512ifma"), no_sanitize_address))
#define INLINE FAST __attribute__ ((always_inline)) static inline

#define LIMB_BITS  44
#define LIMB_MASK  ((UINT64_C (1) << 44) - 1)
#define TOP_MASK   ((UINT64_C (1) << 42) - 1)
#define BLOCK_BIT  (UINT64_C (1) << 40) /* 2^128 in the third limb */
#define CLAMP_LOW  UINT64_C (0x0ffffffc0fffffff)
#define CLAMP_HIGH UINT64_C (0x0ffffffc0ffffffc)

/* Eight Poly1305 states, one per lane. */
typedef struct
{
  __m512i r0, r1, r2; /* key, limbs of 44, 44 and 42 bits */
  __m512i s1, s2;     /* 20·r1, 20·r2 */
  __m512i h0, h1, h2; /* accumulator */
  __m512i pad_low, pad_high;
} Poly;

/* ---- ChaCha20: sixteen blocks, lane i of each vector belongs to block i ---- */

typedef struct
{
  __m512i words[16]; /* initial state */
} Chacha;

INLINE void
quarter (__m512i *a, __m512i *b, __m512i *c, __m512i *d)
{
  *a = _mm512_add_epi32 (*a, *b);
  *d = _mm512_rol_epi32 (_mm512_xor_si512 (*d, *a), 16);
  *c = _mm512_add_epi32 (*c, *d);
  *b = _mm512_rol_epi32 (_mm512_xor_si512 (*b, *c), 12);
  *a = _mm512_add_epi32 (*a, *b);
  *d = _mm512_rol_epi32 (_mm512_xor_si512 (*d, *a), 8);
  *c = _mm512_add_epi32 (*c, *d);
  *b = _mm512_rol_epi32 (_mm512_xor_si512 (*b, *c), 7);
}

FAST static void
chacha_init (Chacha *c, const uint8_t key[32], const uint64_t *counters, size_t n)
{
  static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  uint32_t low[16] = {0}, high[16] = {0}, word;

  for (size_t i = 0; i < n; i++) {
    low[i] = (uint32_t)counters[i];
    high[i] = (uint32_t)(counters[i] >> 32);
  }
  for (int i = 0; i < 4; i++)
    c->words[i] = _mm512_set1_epi32 ((int)constants[i]);
  for (int i = 0; i < 8; i++) {
    memcpy (&word, key + 4 * i, sizeof word);
    c->words[4 + i] = _mm512_set1_epi32 ((int)word);
  }
  c->words[12] = _mm512_setzero_si512 ();
  c->words[13] = _mm512_setzero_si512 ();
  c->words[14] = _mm512_loadu_si512 (low);
  c->words[15] = _mm512_loadu_si512 (high);
}

INLINE void
chacha_block (const Chacha *c, uint32_t block, __m512i x[16])
{
  __m512i counter = _mm512_set1_epi32 ((int)block);

  for (int i = 0; i < 16; i++)
    x[i] = c->words[i];
  x[12] = counter;
  for (int i = 0; i < 10; i++) {
    quarter (&x[0], &x[4], &x[8], &x[12]);
    quarter (&x[1], &x[5], &x[9], &x[13]);
    quarter (&x[2], &x[6], &x[10], &x[14]);
    quarter (&x[3], &x[7], &x[11], &x[15]);
    quarter (&x[0], &x[5], &x[10], &x[15]);
    quarter (&x[1], &x[6], &x[11], &x[12]);
    quarter (&x[2], &x[7], &x[8], &x[13]);
    quarter (&x[3], &x[4], &x[9], &x[14]);
  }
  for (int i = 0; i < 16; i++)
    x[i] = _mm512_add_epi32 (x[i], i == 12 ? counter : c->words[i]);
}

/* Words by block become blocks of words. */
INLINE void
transpose_words (__m512i x[16])
{
  __m512i t[16];

  for (int i = 0; i < 16; i += 4) {
    __m512i a = _mm512_unpacklo_epi32 (x[i], x[i + 1]);
    __m512i b = _mm512_unpackhi_epi32 (x[i], x[i + 1]);
    __m512i c = _mm512_unpacklo_epi32 (x[i + 2], x[i + 3]);
    __m512i d = _mm512_unpackhi_epi32 (x[i + 2], x[i + 3]);

    t[i] = _mm512_unpacklo_epi64 (a, c);
    t[i + 1] = _mm512_unpackhi_epi64 (a, c);
    t[i + 2] = _mm512_unpacklo_epi64 (b, d);
    t[i + 3] = _mm512_unpackhi_epi64 (b, d);
  }
  for (int i = 0; i < 4; i++) {
    __m512i a = _mm512_shuffle_i32x4 (t[i], t[4 + i], 0x88);
    __m512i b = _mm512_shuffle_i32x4 (t[i], t[4 + i], 0xdd);
    __m512i c = _mm512_shuffle_i32x4 (t[8 + i], t[12 + i], 0x88);
    __m512i d = _mm512_shuffle_i32x4 (t[8 + i], t[12 + i], 0xdd);

    x[i] = _mm512_shuffle_i32x4 (a, c, 0x88);
    x[4 + i] = _mm512_shuffle_i32x4 (b, d, 0x88);
    x[8 + i] = _mm512_shuffle_i32x4 (a, c, 0xdd);
    x[12 + i] = _mm512_shuffle_i32x4 (b, d, 0xdd);
  }
}

FAST static void
chacha_xor (const Chacha *c, uint8_t *const *messages, size_t n, size_t size)
{
  __m512i x[16];

  for (size_t at = 0; at < size; at += 64) {
    __mmask64 mask = size - at >= 64 ? ~UINT64_C (0) : (UINT64_C (1) << (size - at)) - 1;

    chacha_block (c, (uint32_t)(at / 64) + 1, x);
    transpose_words (x);
    for (size_t i = 0; i < n; i++) {
      uint8_t *data = messages[i] + at;
      __m512i text = _mm512_maskz_loadu_epi8 (mask, data);

      _mm512_mask_storeu_epi8 (data, mask, _mm512_xor_si512 (text, x[i]));
    }
  }
}

/* ---- Poly1305 ---- */

/* The key of eight messages from words 0 to 7 of their blocks 0; HALF 0 or 1 chooses which eight.
 */
INLINE void
poly_init (Poly *p, const __m512i x[16], int half)
{
  __m512i w[8], low, high;
  const __m512i mask = _mm512_set1_epi64 ((long long)LIMB_MASK);

  for (int i = 0; i < 8; i++)
    w[i] = _mm512_cvtepu32_epi64 (half == 0 ? _mm512_castsi512_si256 (x[i])
                                            : _mm512_extracti64x4_epi64 (x[i], 1));
  low = _mm512_and_si512 (_mm512_or_si512 (w[0], _mm512_slli_epi64 (w[1], 32)),
                          _mm512_set1_epi64 ((long long)CLAMP_LOW));
  high = _mm512_and_si512 (_mm512_or_si512 (w[2], _mm512_slli_epi64 (w[3], 32)),
                           _mm512_set1_epi64 ((long long)CLAMP_HIGH));
  p->r0 = _mm512_and_si512 (low, mask);
  p->r1 = _mm512_and_si512 (
      _mm512_or_si512 (_mm512_srli_epi64 (low, 44), _mm512_slli_epi64 (high, 20)), mask);
  p->r2 = _mm512_srli_epi64 (high, 24);
  p->s1 = _mm512_add_epi64 (_mm512_slli_epi64 (p->r1, 4), _mm512_slli_epi64 (p->r1, 2));
  p->s2 = _mm512_add_epi64 (_mm512_slli_epi64 (p->r2, 4), _mm512_slli_epi64 (p->r2, 2));
  p->h0 = p->h1 = p->h2 = _mm512_setzero_si512 ();
  p->pad_low = _mm512_or_si512 (w[4], _mm512_slli_epi64 (w[5], 32));
  p->pad_high = _mm512_or_si512 (w[6], _mm512_slli_epi64 (w[7], 32));
}

/* h = (h + block) · r, where the block is LOW + 2^64·HIGH + 2^128. */
INLINE void
poly_block (Poly *p, __m512i low, __m512i high)
{
  const __m512i mask = _mm512_set1_epi64 ((long long)LIMB_MASK);
  const __m512i top = _mm512_set1_epi64 ((long long)TOP_MASK);
  const __m512i bit = _mm512_set1_epi64 ((long long)BLOCK_BIT);
  const __m512i zero = _mm512_setzero_si512 ();
  __m512i h0, h1, h2, l0, l1, l2, u0, u1, u2, c;

  h0 = _mm512_add_epi64 (p->h0, _mm512_and_si512 (low, mask));
  h1 = _mm512_add_epi64 (p->h1, _mm512_and_si512 (_mm512_or_si512 (_mm512_srli_epi64 (low, 44),
                                                                   _mm512_slli_epi64 (high, 20)),
                                                  mask));
  h2 = _mm512_add_epi64 (p->h2, _mm512_or_si512 (_mm512_srli_epi64 (high, 24), bit));

  l0 = _mm512_madd52lo_epu64 (zero, h0, p->r0);
  u0 = _mm512_madd52hi_epu64 (zero, h0, p->r0);
  l1 = _mm512_madd52lo_epu64 (zero, h0, p->r1);
  u1 = _mm512_madd52hi_epu64 (zero, h0, p->r1);
  l2 = _mm512_madd52lo_epu64 (zero, h0, p->r2);
  u2 = _mm512_madd52hi_epu64 (zero, h0, p->r2);
  l0 = _mm512_madd52lo_epu64 (l0, h1, p->s2);
  u0 = _mm512_madd52hi_epu64 (u0, h1, p->s2);
  l1 = _mm512_madd52lo_epu64 (l1, h1, p->r0);
  u1 = _mm512_madd52hi_epu64 (u1, h1, p->r0);
  l2 = _mm512_madd52lo_epu64 (l2, h1, p->r1);
  u2 = _mm512_madd52hi_epu64 (u2, h1, p->r1);
  l0 = _mm512_madd52lo_epu64 (l0, h2, p->s1);
  u0 = _mm512_madd52hi_epu64 (u0, h2, p->s1);
  l1 = _mm512_madd52lo_epu64 (l1, h2, p->s2);
  u1 = _mm512_madd52hi_epu64 (u1, h2, p->s2);
  l2 = _mm512_madd52lo_epu64 (l2, h2, p->r0);
  u2 = _mm512_madd52hi_epu64 (u2, h2, p->r0);

  /* The upper halves weigh 2^52 = 2^8 limbs; above the third limb 2^132 becomes 20. */
  l1 = _mm512_add_epi64 (l1, _mm512_slli_epi64 (u0, 8));
  l2 = _mm512_add_epi64 (l2, _mm512_slli_epi64 (u1, 8));
  l0 = _mm512_add_epi64 (l0,
                         _mm512_add_epi64 (_mm512_slli_epi64 (u2, 12), _mm512_slli_epi64 (u2, 10)));
  c = _mm512_srli_epi64 (l0, 44);
  l1 = _mm512_add_epi64 (l1, c);
  c = _mm512_srli_epi64 (l1, 44);
  l2 = _mm512_add_epi64 (l2, c);
  c = _mm512_srli_epi64 (l2, 42);
  p->h0 = _mm512_add_epi64 (_mm512_and_si512 (l0, mask),
                            _mm512_add_epi64 (c, _mm512_slli_epi64 (c, 2)));
  p->h1 = _mm512_and_si512 (l1, mask);
  p->h2 = _mm512_and_si512 (l2, top);
}

/* Eight rows of 64 bytes become eight columns of 8 bytes. */
INLINE void
transpose_rows (__m512i x[8])
{
  __m512i t[8];

  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_unpacklo_epi64 (x[i], x[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi64 (x[i], x[i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    __m512i a = _mm512_shuffle_i64x2 (t[i], t[2 + i], 0x88);
    __m512i b = _mm512_shuffle_i64x2 (t[i], t[2 + i], 0xdd);
    __m512i c = _mm512_shuffle_i64x2 (t[4 + i], t[6 + i], 0x88);
    __m512i d = _mm512_shuffle_i64x2 (t[4 + i], t[6 + i], 0xdd);

    x[i] = _mm512_shuffle_i64x2 (a, c, 0x88);
    x[2 + i] = _mm512_shuffle_i64x2 (b, d, 0x88);
    x[4 + i] = _mm512_shuffle_i64x2 (a, c, 0xdd);
    x[6 + i] = _mm512_shuffle_i64x2 (b, d, 0xdd);
  }
}

INLINE void
load_rows (__m512i x[8], const uint8_t *const *rows, size_t at, __mmask64 mask)
{
  for (int i = 0; i < 8; i++)
    x[i] = _mm512_maskz_loadu_epi8 (mask, rows[i] + at);
  transpose_rows (x);
}

/* Both halves side by side: each hides the other's latency. */
INLINE void
poly_update (Poly *a, Poly *b, const uint8_t *const *rows, size_t size)
{
  __m512i x[8], y[8];
  size_t at = 0;

  for (; size - at >= 64; at += 64) {
    load_rows (x, rows, at, ~UINT64_C (0));
    load_rows (y, rows + 8, at, ~UINT64_C (0));
    for (int i = 0; i < 4; i++) {
      poly_block (a, x[2 * i], x[2 * i + 1]);
      poly_block (b, y[2 * i], y[2 * i + 1]);
    }
  }
  if (at < size) {
    __mmask64 mask = (UINT64_C (1) << (size - at)) - 1;

    load_rows (x, rows, at, mask);
    load_rows (y, rows + 8, at, mask);
    for (size_t i = 0; i < (size - at + 15) / 16; i++) {
      poly_block (a, x[2 * i], x[2 * i + 1]);
      poly_block (b, y[2 * i], y[2 * i + 1]);
    }
  }
  /* Lengths: no additional data, SIZE bytes of ciphertext. */
  poly_block (a, _mm512_setzero_si512 (), _mm512_set1_epi64 ((long long)size));
  poly_block (b, _mm512_setzero_si512 (), _mm512_set1_epi64 ((long long)size));
}

/* Tags of eight messages, as they stand on the wire. */
INLINE void
poly_finish (Poly *p, uint64_t low_out[8], uint64_t high_out[8])
{
  const __m512i mask = _mm512_set1_epi64 ((long long)LIMB_MASK);
  const __m512i top = _mm512_set1_epi64 ((long long)TOP_MASK);
  __m512i h0 = p->h0, h1 = p->h1, h2 = p->h2, g0, g1, g2, c, low, high, sum;
  __mmask8 over, carry;

  for (int i = 0; i < 2; i++) {
    c = _mm512_srli_epi64 (h0, 44);
    h0 = _mm512_and_si512 (h0, mask);
    h1 = _mm512_add_epi64 (h1, c);
    c = _mm512_srli_epi64 (h1, 44);
    h1 = _mm512_and_si512 (h1, mask);
    h2 = _mm512_add_epi64 (h2, c);
    c = _mm512_srli_epi64 (h2, 42);
    h2 = _mm512_and_si512 (h2, top);
    h0 = _mm512_add_epi64 (h0, _mm512_add_epi64 (c, _mm512_slli_epi64 (c, 2)));
  }
  c = _mm512_srli_epi64 (h0, 44);
  h0 = _mm512_and_si512 (h0, mask);
  h1 = _mm512_add_epi64 (h1, c);
  c = _mm512_srli_epi64 (h1, 44);
  h1 = _mm512_and_si512 (h1, mask);
  h2 = _mm512_add_epi64 (h2, c);
  /* Once less 2^130 - 5, where that is not negative. */
  g0 = _mm512_add_epi64 (h0, _mm512_set1_epi64 (5));
  g1 = _mm512_add_epi64 (h1, _mm512_srli_epi64 (g0, 44));
  g0 = _mm512_and_si512 (g0, mask);
  g2 = _mm512_add_epi64 (h2, _mm512_srli_epi64 (g1, 44));
  g1 = _mm512_and_si512 (g1, mask);
  over = _mm512_cmpgt_epu64_mask (g2, top);
  g2 = _mm512_and_si512 (g2, top);
  h0 = _mm512_mask_mov_epi64 (h0, over, g0);
  h1 = _mm512_mask_mov_epi64 (h1, over, g1);
  h2 = _mm512_mask_mov_epi64 (h2, over, g2);

  low = _mm512_or_si512 (h0, _mm512_slli_epi64 (h1, 44));
  high = _mm512_or_si512 (_mm512_srli_epi64 (h1, 20), _mm512_slli_epi64 (h2, 24));
  sum = _mm512_add_epi64 (low, p->pad_low);
  carry = _mm512_cmplt_epu64_mask (sum, low);
  high = _mm512_add_epi64 (high, p->pad_high);
  high = _mm512_mask_add_epi64 (high, carry, high, _mm512_set1_epi64 (1));
  _mm512_storeu_si512 (low_out, sum);
  _mm512_storeu_si512 (high_out, high);
}

typedef struct
{
  uint64_t low[CIPHER_BATCH];
  uint64_t high[CIPHER_BATCH];
} Tags;

FAST static void
compute_tags (const Chacha *c, uint8_t *const *messages, size_t n, size_t size, Tags *tags)
{
  const uint8_t *rows[CIPHER_BATCH];
  __m512i x[16];
  Poly a, b;

  /* Lanes without a message read the first one, and nobody looks at what comes of it. */
  for (size_t i = 0; i < CIPHER_BATCH; i++)
    rows[i] = messages[i < n ? i : 0];
  chacha_block (c, 0, x);
  poly_init (&a, x, 0);
  poly_init (&b, x, 1);
  poly_update (&a, &b, rows, size);
  poly_finish (&a, tags->low, tags->high);
  poly_finish (&b, tags->low + 8, tags->high + 8);
  sodium_memzero (&a, sizeof a);
  sodium_memzero (&b, sizeof b);
  sodium_memzero (x, sizeof x);
}

FAST void
cipher_batch_seal (const uint8_t key[32], uint8_t *const *messages, const uint64_t *counters,
                   size_t n, size_t size)
{
  Chacha c;
  Tags tags;

  chacha_init (&c, key, counters, n);
  chacha_xor (&c, messages, n, size);
  compute_tags (&c, messages, n, size, &tags);
  for (size_t i = 0; i < n; i++) {
    memcpy (messages[i] + size, &tags.low[i], 8);
    memcpy (messages[i] + size + 8, &tags.high[i], 8);
  }
  sodium_memzero (&c, sizeof c);
}

FAST uint32_t
cipher_batch_open (const uint8_t key[32], uint8_t *const *messages, const uint64_t *counters,
                   size_t n, size_t size)
{
  uint32_t good = 0;
  Chacha c;
  Tags tags;

  chacha_init (&c, key, counters, n);
  compute_tags (&c, messages, n, size, &tags);
  for (size_t i = 0; i < n; i++) {
    uint64_t low, high;

    memcpy (&low, messages[i] + size, 8);
    memcpy (&high, messages[i] + size + 8, 8);
    /* Without a branch: equal tags give 0 here. */
    good |= (uint32_t)(((low ^ tags.low[i]) | (high ^ tags.high[i])) == 0) << i;
  }
  chacha_xor (&c, messages, n, size);
  sodium_memzero (&c, sizeof c);
  return good;
}

bool
cipher_batch_available (void)
{
  __builtin_cpu_init ();
  return __builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512bw")
         && __builtin_cpu_supports ("avx512dq") && __builtin_cpu_supports ("avx512vl")
         && __builtin_cpu_supports ("avx512ifma");
}

#else

bool
cipher_batch_available (void)
{
  return false;
}

void
cipher_batch_seal (const uint8_t key[32], uint8_t *const *messages, const uint64_t *counters,
                   size_t n, size_t size)
{
}

uint32_t
cipher_batch_open (const uint8_t key[32], uint8_t *const *messages, const uint64_t *counters,
                   size_t n, size_t size)
{
  return 0;
}

#endif
