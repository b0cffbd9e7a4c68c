#include "base/random.h"

#include "base/bytes.h"

#include <sodium.h>
#include <string.h>

static void
system_fill (Random *random, void *out, size_t size)
{
  randombytes_buf (out, size);
}

Random *
random_system (void)
{
  static Random system_random = {.fill = system_fill};
  return &system_random;
}

static uint64_t
rotate_left (uint64_t x, int k)
{
  return x << k | x >> (64 - k);
}

static uint64_t
seeded_next (SeededRandom *random)
{
  uint64_t *s = random->state;
  uint64_t result = rotate_left (s[1] * 5, 7) * 9;
  uint64_t t = s[1] << 17;

  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left (s[3], 45);
  return result;
}

static void
seeded_fill (Random *base, void *out, size_t size)
{
  SeededRandom *random = (SeededRandom *)base;
  uint8_t *bytes = out;

  while (size > 0) {
    uint8_t chunk[8];
    size_t n = size < sizeof chunk ? size : sizeof chunk;
    store_le64 (chunk, seeded_next (random));
    memcpy (bytes, chunk, n);
    bytes += n;
    size -= n;
  }
}

void
seeded_random_init (SeededRandom *random, uint64_t seed)
{
  random->base.fill = seeded_fill;
  for (int i = 0; i < 4; i++) {
    /* splitmix64, the usual way to spread a small seed over the state */
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    random->state[i] = z ^ z >> 31;
  }
}

void
random_fill (Random *random, void *out, size_t size)
{
  random->fill (random, out, size);
}

uint32_t
random_u32 (Random *random)
{
  uint8_t bytes[4];
  random_fill (random, bytes, sizeof bytes);
  return load_le32 (bytes);
}

uint64_t
random_u64 (Random *random)
{
  uint8_t bytes[8];
  random_fill (random, bytes, sizeof bytes);
  return load_le64 (bytes);
}

uint64_t
random_below (Random *random, uint64_t bound)
{
  uint64_t reject_below = -bound % bound;
  uint64_t value;

  do
    value = random_u64 (random);
  while (value < reject_below);
  return value % bound;
}

int64_t
random_between (Random *random, int64_t low, int64_t high)
{
  return low + (int64_t)random_below (random, (uint64_t)(high - low));
}
