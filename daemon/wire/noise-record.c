#include "wire/noise-record.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t early_magic[5] = {0xff, 0xff, 0xff, 'T', 'S'};

void
noise_records_init (NoiseRecords *records, const NoiseKeys *keys)
{
  memset (records, 0, sizeof *records);
  memcpy (records->send_key, keys->send_key, AEAD_KEY_SIZE);
  memcpy (records->receive_key, keys->receive_key, AEAD_KEY_SIZE);
}

void
noise_records_clear (NoiseRecords *records)
{
  free (records->partial);
  sodium_memzero (records, sizeof *records);
}

/* Four zero bytes and the counter, big-endian: not what the Noise specification says. */
static void
make_nonce (uint64_t counter, uint8_t nonce[AEAD_NONCE_SIZE])
{
  memset (nonce, 0, 4);
  store_be64 (nonce + 4, counter);
}

static bool
seal_one (NoiseRecords *records, const uint8_t *plain, size_t size, Buffer *out)
{
  uint8_t nonce[AEAD_NONCE_SIZE];

  if (records->failed || records->send_counter == UINT64_MAX) {
    records->failed = true;
    return false;
  }
  make_nonce (records->send_counter++, nonce);
  uint8_t *room = buffer_reserve (out, NOISE_HEADER_SIZE + size + AEAD_TAG_SIZE);
  room[0] = NOISE_TYPE_RECORD;
  store_be16 (room + 1, (uint16_t)(size + AEAD_TAG_SIZE));
  aead_seal (records->send_key, nonce, NULL, 0, plain, size, room + NOISE_HEADER_SIZE);
  buffer_commit (out, NOISE_HEADER_SIZE + size + AEAD_TAG_SIZE);
  return true;
}

bool
noise_records_seal (NoiseRecords *records, const void *plain, size_t size, Buffer *out)
{
  const uint8_t *data = plain;

  do {
    size_t n = size < NOISE_RECORD_PLAIN_MAX ? size : NOISE_RECORD_PLAIN_MAX;
    if (!seal_one (records, data, n, out))
      return false;
    data = n > 0 ? data + n : data;
    size -= n;
  } while (size > 0);
  return true;
}

/* Size of the record that begins with HEADER; 0 when there may be none like it. */
static size_t
record_size (const uint8_t *header)
{
  size_t sealed = load_be16 (header + 1);

  if (header[0] != NOISE_TYPE_RECORD || sealed < AEAD_TAG_SIZE
      || sealed > NOISE_RECORD_MAX - NOISE_HEADER_SIZE)
    return 0;
  return NOISE_HEADER_SIZE + sealed;
}

/* Opens the complete record of SIZE bytes. */
static bool
open_one (NoiseRecords *records, const uint8_t *record, size_t size, Buffer *out)
{
  uint8_t nonce[AEAD_NONCE_SIZE];
  size_t sealed = size - NOISE_HEADER_SIZE;

  if (records->receive_counter == UINT64_MAX)
    return false;
  make_nonce (records->receive_counter++, nonce);
  if (!aead_open (records->receive_key, nonce, NULL, 0, record + NOISE_HEADER_SIZE, sealed,
                  buffer_reserve (out, sealed - AEAD_TAG_SIZE + 1)))
    return false;
  buffer_commit (out, sealed - AEAD_TAG_SIZE);
  return true;
}

/* Adds bytes to the record at partial until it is complete, and opens it then. Returns how many it
 * took. */
static size_t
fill_partial (NoiseRecords *records, const uint8_t *data, size_t size, Buffer *out)
{
  size_t used = 0;

  if (!records->partial)
    records->partial = mem_resize (NULL, NOISE_RECORD_MAX);
  while (used < size) {
    size_t want = records->partial_size < NOISE_HEADER_SIZE ? NOISE_HEADER_SIZE
                                                            : record_size (records->partial);
    size_t missing = want - records->partial_size;
    size_t n = missing < size - used ? missing : size - used;
    memcpy (records->partial + records->partial_size, data + used, n);
    records->partial_size += n;
    used += n;
    if (records->partial_size < want)
      break;
    if (want == NOISE_HEADER_SIZE) {
      records->failed = record_size (records->partial) == 0;
      if (records->failed)
        break;
      continue;
    }
    records->failed = !open_one (records, records->partial, want, out);
    records->partial_size = 0;
    free (records->partial);
    records->partial = NULL;
    break;
  }
  return used;
}

/* Records that are whole are opened where they lie; an idle connection holds no memory. */
bool
noise_records_open (NoiseRecords *records, const void *wire, size_t size, Buffer *out)
{
  const uint8_t *data = wire;

  while (size > 0 && !records->failed) {
    size_t whole = records->partial_size == 0 && size >= NOISE_HEADER_SIZE ? record_size (data) : 1;
    size_t used = whole;
    if (whole == 0)
      records->failed = true;
    else if (whole > 1 && size >= whole)
      records->failed = !open_one (records, data, whole, out);
    else
      used = fill_partial (records, data, size, out);
    data += used;
    size -= used;
  }
  return !records->failed;
}

NoiseEarlyResult
noise_early_take (Buffer *plain, size_t *skip)
{
  if (*skip == 0) {
    size_t n = plain->size < sizeof early_magic ? plain->size : sizeof early_magic;
    if (memcmp (plain->data ? plain->data : early_magic, early_magic, n) != 0)
      return NOISE_EARLY_DONE;
    if (plain->size < NOISE_EARLY_MAGIC_SIZE)
      return NOISE_EARLY_MORE;
    uint32_t length = load_be32 (plain->data + sizeof early_magic);
    if (length > NOISE_EARLY_MAX)
      return NOISE_EARLY_BAD;
    *skip = NOISE_EARLY_MAGIC_SIZE + length;
  }
  size_t n = plain->size < *skip ? plain->size : *skip;
  buffer_consume (plain, n);
  *skip -= n;
  return *skip == 0 ? NOISE_EARLY_DONE : NOISE_EARLY_MORE;
}

void
noise_early_append (const uint8_t challenge[KEY_SIZE], Buffer *plain)
{
  char text[KEY_TEXT_MAX], json[KEY_TEXT_MAX + 32];
  uint8_t length[4];

  key_format (KEY_CHALLENGE_PUBLIC, challenge, text);
  int size = snprintf (json, sizeof json, "{\"nodeKeyChallenge\":\"%s\"}", text);
  store_be32 (length, (uint32_t)size);
  buffer_append (plain, early_magic, sizeof early_magic);
  buffer_append (plain, length, sizeof length);
  buffer_append (plain, json, (size_t)size);
}
