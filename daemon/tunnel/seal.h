/* The one place where packets of a run are encrypted: ChaCha20-Poly1305 of OpenSSL, used as
 * spec/wireguard-dataplane.md §11.2 says. A batched kernel of our own will stand here too. One
 * Sealer per worker. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Messages for one peer, back to back in one buffer: header, plaintext (padding included) and room
 * for the tag in each. All are of the same size but for the last, which may be shorter. */
typedef struct
{
  uint8_t *data;
  uint32_t n;       /* messages */
  uint32_t segment; /* bytes of each message but the last, header and tag included */
  uint32_t last;    /* bytes of the last message */
} Run;

/* Bytes of the whole run. */
static inline size_t
run_size (const Run *run)
{
  return run->n == 0 ? 0 : (size_t)(run->n - 1) * run->segment + run->last;
}

typedef struct Sealer Sealer;

Sealer *sealer_new (void);
void sealer_free (Sealer *sealer);

/* Writes the headers (receiver REMOTE_INDEX, counters from FIRST on) and encrypts in place. */
void seal_run (Sealer *sealer, const uint8_t key[32], uint32_t remote_index, uint64_t first,
               const Run *run);

/* Forgets the last key, which the cipher context keeps otherwise. For a worker that goes to rest.
 */
void sealer_forget (Sealer *sealer);
