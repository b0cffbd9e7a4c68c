/* Records of an established control connection, and the early payload in front of HTTP/2
 * (control-protocol.md §5.4, §6). The same for client and server.
 *
 * A byte stream in, a byte stream out; record borders mean nothing. After the first failure the
 * connection is dead: there is no resynchronisation. Any thread. */
#pragma once

#include "wire/buffer.h"
#include "wire/noise.h"

#define NOISE_RECORD_MAX       4096 /* with its header */
#define NOISE_RECORD_PLAIN_MAX (NOISE_RECORD_MAX - NOISE_HEADER_SIZE - AEAD_TAG_SIZE) /* 4077 */
#define NOISE_EARLY_MAGIC_SIZE 9 /* magic and be32 length */
#define NOISE_EARLY_MAX        (10u << 20)

typedef struct
{
  uint8_t send_key[AEAD_KEY_SIZE];
  uint8_t receive_key[AEAD_KEY_SIZE];
  uint64_t send_counter;
  uint64_t receive_counter;
  size_t partial_size; /* bytes of an incomplete record at partial */
  uint8_t *partial;    /* NOISE_RECORD_MAX bytes, or NULL while there is none */
  bool failed;
} NoiseRecords;

void noise_records_init (NoiseRecords *records, const NoiseKeys *keys);
void noise_records_clear (NoiseRecords *records);

/* Appends SIZE bytes of plaintext to OUT as records, at most 4077 bytes each; one empty record for
 * SIZE 0. False when the counter is used up. */
bool noise_records_seal (NoiseRecords *records, const void *plain, size_t size, Buffer *out);

/* Takes SIZE bytes from the wire and appends the plaintext of complete records to OUT. False: the
 * stream is broken or forged, now and for ever. */
bool noise_records_open (NoiseRecords *records, const void *wire, size_t size, Buffer *out);

typedef enum
{
  NOISE_EARLY_MORE, /* not decided yet, keep collecting */
  NOISE_EARLY_DONE, /* any payload is gone from the buffer, the rest is HTTP/2 */
  NOISE_EARLY_BAD,  /* announced length above NOISE_EARLY_MAX */
} NoiseEarlyResult;

/* Client: looks for the early payload at the front of the plaintext collected so far and removes
 * it (its content is of no use, §2). A payload longer than what is buffered is skipped piece by
 * piece through *skip, which starts at 0. */
NoiseEarlyResult noise_early_take (Buffer *plain, size_t *skip);

/* Server: appends the early payload with CHALLENGE as its challenge key to PLAIN. */
void noise_early_append (const uint8_t challenge[KEY_SIZE], Buffer *plain);
