/* Where randomness comes from: the system in the programs, a seed in tests and simulations.
 *
 * Every protocol core takes a Random, so that a run can be replayed bit by bit. The system source
 * may be used from any thread; a seeded one belongs to one thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct Random Random;
struct Random
{
  void (*fill) (Random *random, void *out, size_t size);
};

typedef struct
{
  Random base;
  uint64_t state[4]; /* xoshiro256** */
} SeededRandom;

/* The kernel's generator. */
Random *random_system (void);

/* Starts RANDOM from SEED; equal seeds give equal streams on every machine. Not for secrets. */
void seeded_random_init (SeededRandom *random, uint64_t seed);

/* SIZE random bytes. */
void random_fill (Random *random, void *out, size_t size);

uint32_t random_u32 (Random *random);
uint64_t random_u64 (Random *random);

/* A value in [0, BOUND), without bias; BOUND > 0. */
uint64_t random_below (Random *random, uint64_t bound);

/* A value in [low, high), for jitter. LOW < HIGH. */
int64_t random_between (Random *random, int64_t low, int64_t high);
