#include "wire/tls-records.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HEADER     5
#define TAG        16
#define NONCE      12
#define PLAIN_MAX  16384
#define SEALED_MAX (PLAIN_MAX + 256)
#define SEQUENCE_UP                                                                                \
  (UINT64_C (1) << 23) /* records under one key, below what RFC 8446 §5.5 allows */
#define KEY_MAX     32
#define UPDATES_MAX 32 /* key updates of the peer between two records of data */

typedef enum
{
  CONTENT_ALERT = 21,
  CONTENT_HANDSHAKE = 22,
  CONTENT_DATA = 23,
} ContentType;

#define HANDSHAKE_KEY_UPDATE 24
#define ALERT_CLOSE_NOTIFY   0

typedef struct
{
  EVP_CIPHER_CTX *ctx;
  uint64_t sequence;
  uint8_t iv[NONCE];
  uint8_t secret[TLS_SECRET_MAX];
} Direction;

struct TlsRecords
{
  uint16_t cipher;
  uint8_t secret_size;
  uint8_t updates; /* of the peer since its last data */
  Direction read, write;
};

/* Fetched once: a look-up by name for each connection would be dear. */
static EVP_CIPHER *ciphers[3];

static void
fetch_ciphers (void)
{
  ciphers[0] = EVP_CIPHER_fetch (NULL, "AES-128-GCM", NULL);
  ciphers[1] = EVP_CIPHER_fetch (NULL, "AES-256-GCM", NULL);
  ciphers[2] = EVP_CIPHER_fetch (NULL, "ChaCha20-Poly1305", NULL);
}

static const EVP_MD *
hash_of (uint16_t cipher)
{
  return cipher == 0x1302 ? EVP_sha384 () : EVP_sha256 ();
}

/* HKDF-Expand-Label with an empty context, for at most one block. */
static bool
expand (const TlsRecords *records, const uint8_t *secret, const char *label, uint8_t *out,
        size_t size)
{
  uint8_t info[32], block[EVP_MAX_MD_SIZE];
  size_t n = strlen (label);
  unsigned got = 0;

  store_be16 (info, (uint16_t)size);
  info[2] = (uint8_t)(6 + n);
  memcpy (info + 3, "tls13 ", 6);
  memcpy (info + 9, label, n);
  info[9 + n] = 0;  /* no context */
  info[10 + n] = 1; /* first block */
  bool ok
      = HMAC (hash_of (records->cipher), secret, records->secret_size, info, 11 + n, block, &got)
            != NULL
        && got >= size;
  if (ok)
    memcpy (out, block, size);
  sodium_memzero (block, sizeof block);
  return ok;
}

static bool
set_keys (TlsRecords *records, Direction *d, bool seal)
{
  const EVP_CIPHER *cipher = ciphers[records->cipher - 0x1301];
  uint8_t key[KEY_MAX];
  size_t size = cipher ? (size_t)EVP_CIPHER_get_key_length (cipher) : sizeof key;
  bool ok = cipher && expand (records, d->secret, "key", key, size)
            && expand (records, d->secret, "iv", d->iv, NONCE)
            && EVP_CipherInit_ex (d->ctx, cipher, NULL, key, NULL, seal) == 1;

  sodium_memzero (key, sizeof key);
  d->sequence = 0;
  return ok;
}

/* The next generation of keys (§7.2). */
static bool
update_keys (TlsRecords *records, Direction *d, bool seal)
{
  uint8_t next[TLS_SECRET_MAX];
  bool ok = expand (records, d->secret, "traffic upd", next, records->secret_size);

  memcpy (d->secret, next, records->secret_size);
  sodium_memzero (next, sizeof next);
  return ok && set_keys (records, d, seal);
}

TlsRecords *
tls_records_new (uint16_t cipher, const uint8_t *read_secret, const uint8_t *write_secret,
                 size_t secret_size)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  TlsRecords *records;

  pthread_once (&once, fetch_ciphers);
  if (cipher < 0x1301 || cipher > 0x1303
      || secret_size != (size_t)EVP_MD_get_size (hash_of (cipher)))
    return NULL;
  records = mem_new (sizeof *records);
  records->cipher = cipher;
  records->secret_size = (uint8_t)secret_size;
  memcpy (records->read.secret, read_secret, secret_size);
  memcpy (records->write.secret, write_secret, secret_size);
  records->read.ctx = EVP_CIPHER_CTX_new ();
  records->write.ctx = EVP_CIPHER_CTX_new ();
  if (records->read.ctx && records->write.ctx && set_keys (records, &records->read, false)
      && set_keys (records, &records->write, true))
    return records;
  tls_records_free (records);
  return NULL;
}

void
tls_records_free (TlsRecords *records)
{
  if (!records)
    return;
  EVP_CIPHER_CTX_free (records->read.ctx);
  EVP_CIPHER_CTX_free (records->write.ctx);
  sodium_memzero (records, sizeof *records);
  free (records);
}

static void
next_nonce (Direction *d, uint8_t nonce[NONCE])
{
  uint8_t sequence[8];

  store_be64 (sequence, d->sequence++);
  memcpy (nonce, d->iv, NONCE);
  for (size_t i = 0; i < sizeof sequence; i++)
    nonce[4 + i] ^= sequence[i];
}

/* ---- writing ---- */

static bool
seal_record (TlsRecords *records, ContentType type, const uint8_t *plain, size_t size, Buffer *out)
{
  Direction *d = &records->write;
  uint8_t *record = buffer_reserve (out, HEADER + size + 1 + TAG);
  uint8_t nonce[NONCE], inner = (uint8_t)type;
  int n;

  record[0] = CONTENT_DATA;
  store_be16 (record + 1, 0x0303);
  store_be16 (record + 3, (uint16_t)(size + 1 + TAG));
  next_nonce (d, nonce);
  if (EVP_EncryptInit_ex (d->ctx, NULL, NULL, NULL, nonce) != 1
      || EVP_EncryptUpdate (d->ctx, NULL, &n, record, HEADER) != 1
      || (size > 0 && EVP_EncryptUpdate (d->ctx, record + HEADER, &n, plain, (int)size) != 1)
      || EVP_EncryptUpdate (d->ctx, record + HEADER + size, &n, &inner, 1) != 1
      || EVP_EncryptFinal_ex (d->ctx, record + HEADER + size + 1, &n) != 1
      || EVP_CIPHER_CTX_ctrl (d->ctx, EVP_CTRL_AEAD_GET_TAG, TAG, record + HEADER + size + 1) != 1)
    return false;
  buffer_commit (out, HEADER + size + 1 + TAG);
  return true;
}

/* Tells the peer that our keys change, and changes them. */
static bool
announce_keys (TlsRecords *records, Buffer *out)
{
  static const uint8_t message[] = {HANDSHAKE_KEY_UPDATE, 0, 0, 1, 0};

  return seal_record (records, CONTENT_HANDSHAKE, message, sizeof message, out)
         && update_keys (records, &records->write, true);
}

bool
tls_records_seal (TlsRecords *records, const uint8_t *plain, size_t size, Buffer *out)
{
  while (size > 0) {
    size_t n = size < PLAIN_MAX ? size : PLAIN_MAX;
    if (records->write.sequence >= SEQUENCE_UP && !announce_keys (records, out))
      return false;
    if (!seal_record (records, CONTENT_DATA, plain, n, out))
      return false;
    plain += n;
    size -= n;
  }
  return true;
}

bool
tls_records_close (TlsRecords *records, Buffer *out)
{
  static const uint8_t alert[] = {1, ALERT_CLOSE_NOTIFY};

  return seal_record (records, CONTENT_ALERT, alert, sizeof alert, out);
}

/* ---- reading ---- */

/* Opens the body of SIZE bytes at RECORD behind its header into PLAIN, which is reserved; gives the
 * content's size and type. */
static bool
open_record (TlsRecords *records, const uint8_t *record, size_t size, uint8_t *plain,
             size_t *content, uint8_t *type)
{
  Direction *d = &records->read;
  uint8_t nonce[NONCE], tag[TAG];
  int n;

  next_nonce (d, nonce);
  memcpy (tag, record + HEADER + size - TAG, TAG);
  if (EVP_DecryptInit_ex (d->ctx, NULL, NULL, NULL, nonce) != 1
      || EVP_DecryptUpdate (d->ctx, NULL, &n, record, HEADER) != 1
      || EVP_DecryptUpdate (d->ctx, plain, &n, record + HEADER, (int)(size - TAG)) != 1
      || EVP_CIPHER_CTX_ctrl (d->ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1
      || EVP_DecryptFinal_ex (d->ctx, plain + n, &n) != 1)
    return false;
  /* Padding of zeros behind the type. */
  for (size -= TAG; size > 0 && plain[size - 1] == 0;)
    size--;
  if (size == 0)
    return false;
  *type = plain[size - 1];
  *content = size - 1;
  return true;
}

/* Key updates are the only handshake messages that may come; one fills a record. */
static bool
take_handshake (TlsRecords *records, const uint8_t *message, size_t size, Buffer *out)
{
  if (size != 5 || message[0] != HANDSHAKE_KEY_UPDATE || message[1] != 0 || message[2] != 0
      || message[3] != 1 || message[4] > 1 || ++records->updates > UPDATES_MAX
      || !update_keys (records, &records->read, false))
    return false;
  return message[4] == 0 || announce_keys (records, out);
}

TlsRecordsResult
tls_records_open (TlsRecords *records, const uint8_t *data, size_t size, size_t *used,
                  Buffer *plain, Buffer *out)
{
  *used = 0;
  for (;;) {
    const uint8_t *record = data + *used;
    size_t left = size - *used, body, content = 0;
    uint8_t type = 0;
    if (left < HEADER)
      return TLS_RECORDS_MORE;
    body = load_be16 (record + 3);
    if (record[0] != CONTENT_DATA || body < TAG + 1 || body > SEALED_MAX)
      return TLS_RECORDS_FAILED;
    if (left < HEADER + body)
      return TLS_RECORDS_MORE;
    uint8_t *room = buffer_reserve (plain, body);
    if (!open_record (records, record, body, room, &content, &type) || content > PLAIN_MAX)
      return TLS_RECORDS_FAILED;
    *used += HEADER + body;
    if (type == CONTENT_DATA) {
      records->updates = 0;
      buffer_commit (plain, content);
    } else if (type == CONTENT_ALERT) {
      return content == 2 && room[1] == ALERT_CLOSE_NOTIFY ? TLS_RECORDS_CLOSED
                                                           : TLS_RECORDS_FAILED;
    } else if (type != CONTENT_HANDSHAKE || !take_handshake (records, room, content, out)) {
      return TLS_RECORDS_FAILED;
    }
  }
}
