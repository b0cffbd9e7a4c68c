#include "quick-login.h"

#include "base/bytes.h"
#include "base/random.h"
#include "derp/login.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER    5 /* of a record */
#define TAG       16
#define READ_SIZE 16384

enum
{
  RECORD_CHANGE = 20,
  RECORD_HANDSHAKE = 22,
  RECORD_DATA = 23,
};

enum
{
  MESSAGE_SERVER_HELLO = 2,
  MESSAGE_FINISHED = 20,
};

static IpPort relay;
static DerpPublic server_key;
static uint8_t share_private[32];
static uint8_t derived[32]; /* from the early secret, which is the same for all */
static uint8_t hello[256];
static size_t hello_size;
static EVP_CIPHER_CTX *sealing, *opening;

/* ---- the key schedule (§7.1) ---- */

static void
hmac (const uint8_t key[32], const void *data, size_t size, uint8_t out[32])
{
  crypto_auth_hmacsha256_state state;

  crypto_auth_hmacsha256_init (&state, key, 32);
  crypto_auth_hmacsha256_update (&state, data, size);
  crypto_auth_hmacsha256_final (&state, out);
}

/* HKDF-Expand-Label for at most 32 bytes; HASH: 32 bytes of context, or NULL. */
static void
expand (const uint8_t secret[32], const char *label, const uint8_t *hash, uint8_t *out, size_t size)
{
  uint8_t info[80], block[32];
  size_t n = strlen (label), at = 9 + n;

  store_be16 (info, (uint16_t)size);
  info[2] = (uint8_t)(6 + n);
  memcpy (info + 3, "tls13 ", 6);
  memcpy (info + 9, label, n);
  info[at++] = hash ? 32 : 0;
  if (hash)
    memcpy (info + at, hash, 32);
  at += hash ? 32 : 0;
  info[at++] = 1;
  hmac (secret, info, at, block);
  memcpy (out, block, size);
}

static void
set_keys (QuickKeys *keys, const uint8_t secret[32])
{
  expand (secret, "key", NULL, keys->key, sizeof keys->key);
  expand (secret, "iv", NULL, keys->iv, sizeof keys->iv);
  keys->sequence = 0;
}

static void
transcript_hash (const QuickLogin *q, uint8_t out[32])
{
  crypto_hash_sha256_state copy = q->transcript;

  crypto_hash_sha256_final (&copy, out);
}

/* The secret of the next stage: what was derived from the one before, and INPUT. */
static void
extract (const uint8_t salt[32], const uint8_t input[32], uint8_t out[32])
{
  hmac (salt, input, 32, out);
}

static void
derive (const uint8_t secret[32], uint8_t out[32])
{
  uint8_t nothing[32];

  crypto_hash_sha256 (nothing, (const uint8_t *)"", 0);
  expand (secret, "derived", nothing, out, 32);
}

/* ---- records (§5.2) ---- */

static void
next_nonce (QuickKeys *keys, uint8_t nonce[12])
{
  memcpy (nonce, keys->iv, 12);
  store_be64 (nonce + 4, load_be64 (nonce + 4) ^ keys->sequence++);
}

static void
seal (QuickKeys *keys, uint8_t type, const uint8_t *data, size_t size, Buffer *out)
{
  uint8_t *record = buffer_reserve (out, HEADER + size + 1 + TAG), nonce[12];
  int n;

  next_nonce (keys, nonce);
  memcpy (record, (uint8_t[]){RECORD_DATA, 3, 3}, 3);
  store_be16 (record + 3, (uint16_t)(size + 1 + TAG));
  EVP_EncryptInit_ex (sealing, NULL, NULL, keys->key, nonce);
  EVP_EncryptUpdate (sealing, NULL, &n, record, HEADER);
  EVP_EncryptUpdate (sealing, record + HEADER, &n, data, (int)size);
  EVP_EncryptUpdate (sealing, record + HEADER + size, &n, &type, 1);
  EVP_EncryptFinal_ex (sealing, record + HEADER + size + 1, &n);
  EVP_CIPHER_CTX_ctrl (sealing, EVP_CTRL_AEAD_GET_TAG, TAG, record + HEADER + size + 1);
  buffer_commit (out, HEADER + size + 1 + TAG);
}

/* Opens a record of BODY bytes behind its header where it is; its content's size, -1: it is broken.
 */
static int
open_record (QuickKeys *keys, uint8_t *record, size_t body, uint8_t *type)
{
  uint8_t nonce[12], *data = record + HEADER;
  size_t size = body - TAG;
  int n;

  next_nonce (keys, nonce);
  EVP_DecryptInit_ex (opening, NULL, NULL, keys->key, nonce);
  EVP_CIPHER_CTX_ctrl (opening, EVP_CTRL_AEAD_SET_TAG, TAG, data + size);
  EVP_DecryptUpdate (opening, NULL, &n, record, HEADER);
  EVP_DecryptUpdate (opening, data, &n, data, (int)size);
  if (EVP_DecryptFinal_ex (opening, data + size, &n) != 1)
    return -1;
  while (size > 0 && data[size - 1] == 0)
    size--;
  *type = size > 0 ? data[size - 1] : 0;
  return (int)size - 1;
}

/* ---- the handshake ---- */

/* Everything but the 32 random bytes at 11. */
static void
write_hello (const uint8_t share[32])
{
  static const uint8_t fixed[]
      = {0,                 /* no session */
         0, 2,  0x13, 0x01, /* AES-128-GCM */
         1, 0,              /* no compression */
         0, 91,             /* bytes of extensions */
         0, 0,  0,    14,   0, 12, 0, 0,  9, 'r', 'e', 'l', 'a', 'y', '.', 'l', 'a', 'b', /* name */
         0, 43, 0,    3,    2, 3,  4,                                         /* TLS 1.3 */
         0, 10, 0,    4,    0, 2,  0, 29,                                     /* X25519 */
         0, 13, 0,    12,   0, 10, 4, 3,  8, 7,   8,   4,   4,   1,   8,   5, /* signatures */
         0, 51, 0,    38,   0, 36, 0, 29, 0, 32};
  size_t size = 4 + 34 + sizeof fixed + 32;

  memcpy (hello, (uint8_t[]){RECORD_HANDSHAKE, 3, 1}, 3);
  store_be16 (hello + 3, (uint16_t)size);
  memcpy (hello + HEADER, (uint8_t[]){1, 0, 0, (uint8_t)(size - 4), 3, 3}, 6);
  memcpy (hello + HEADER + 38, fixed, sizeof fixed);
  memcpy (hello + HEADER + 38 + sizeof fixed, share, 32);
  hello_size = HEADER + size;
}

/* The server's key share; NULL: there is none. */
static const uint8_t *
find_share (const uint8_t *message, size_t size)
{
  size_t at = 4 + 34, end;

  at += at < size ? 1u + message[at] + 3u : 0;
  end = at + 2 <= size ? at + 2 + load_be16 (message + at) : 0;
  for (at += 2; at + 4 <= end && end <= size; at += 4u + load_be16 (message + at + 2))
    if (load_be16 (message + at) == 51 && at + 8 + 32 <= end)
      return message + at + 8;
  return NULL;
}

static void
take_hello (QuickLogin *q, const uint8_t *message, size_t size)
{
  const uint8_t *share = find_share (message, size);
  uint8_t shared[32], hash[32], secret[32];

  q->stage = QUICK_FAILED;
  if (message[0] != MESSAGE_SERVER_HELLO || !share
      || crypto_scalarmult (shared, share_private, share) != 0)
    return;
  q->stage = QUICK_FINISHED;
  crypto_hash_sha256_update (&q->transcript, message, size);
  transcript_hash (q, hash);
  extract (derived, shared, q->secret);
  expand (q->secret, "c hs traffic", hash, q->client_secret, 32);
  expand (q->secret, "s hs traffic", hash, secret, 32);
  set_keys (&q->read, secret);
  set_keys (&q->write, q->client_secret);
}

static void
send_all (QuickLogin *q, const void *data, size_t size)
{
  if (send (q->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
    q->stage = QUICK_FAILED;
}

/* The server's part is over: ours, and the login behind it. */
static void
finish (QuickLogin *q)
{
  static const uint8_t zero[32];
  uint8_t hash[32], key[32], message[36] = {MESSAGE_FINISHED, 0, 0, 32}, salt[32], master[32];
  Buffer out = {0};

  transcript_hash (q, hash);
  expand (q->client_secret, "finished", NULL, key, 32);
  hmac (key, hash, 32, message + 4);
  seal (&q->write, RECORD_HANDSHAKE, message, sizeof message, &out);
  derive (q->secret, salt);
  extract (salt, zero, master);
  expand (master, "c ap traffic", hash, key, 32);
  set_keys (&q->write, key);
  expand (master, "s ap traffic", hash, key, 32);
  set_keys (&q->read, key);
  seal (&q->write, RECORD_DATA, q->flight, q->flight_size, &out);
  q->stage = QUICK_LOGGING_IN;
  send_all (q, out.data, out.size);
  buffer_free (&out);
}

static void
take_messages (QuickLogin *q)
{
  while (q->stage == QUICK_FINISHED && q->messages.size >= 4) {
    const uint8_t *m = q->messages.data;
    size_t size = 4 + ((size_t)m[1] << 16 | load_be16 (m + 2));
    bool last = m[0] == MESSAGE_FINISHED;

    if (q->messages.size < size)
      return;
    crypto_hash_sha256_update (&q->transcript, m, size);
    buffer_consume (&q->messages, size);
    if (last)
      finish (q);
  }
}

/* Up, when the answer to the login stands behind the server's key. */
static void
take_frames (QuickLogin *q)
{
  if (q->messages.size > DERP_SERVER_KEY_SIZE && q->stage == QUICK_LOGGING_IN)
    q->stage = q->messages.data[DERP_SERVER_KEY_SIZE] == DERP_SERVER_INFO ? QUICK_UP : QUICK_FAILED;
  if (q->stage == QUICK_UP)
    buffer_free (&q->messages);
}

static void
take_record (QuickLogin *q, uint8_t *record, size_t body)
{
  uint8_t type = record[0];

  if (type == RECORD_CHANGE)
    return;
  if (q->stage == QUICK_SERVER_HELLO) {
    take_hello (q, record + HEADER, body);
    return;
  }
  int size = type == RECORD_DATA && body > TAG ? open_record (&q->read, record, body, &type) : -1;
  if (size < 0) {
    q->stage = QUICK_FAILED;
    return;
  }
  if (type == RECORD_HANDSHAKE && q->stage != QUICK_FINISHED)
    return; /* a ticket, which nobody asked for */
  buffer_append (&q->messages, record + HEADER, (size_t)size);
  if (type == RECORD_HANDSHAKE)
    take_messages (q);
  else
    take_frames (q);
}

/* ---- the face ---- */

bool
quick_login_begin (const IpPort *at, const DerpPublic *server)
{
  static const uint8_t zero[32];
  uint8_t share[32], early[32];

  relay = *at;
  server_key = *server;
  key_generate (random_system (), share_private);
  key_public (share_private, share);
  extract (zero, zero, early);
  derive (early, derived);
  write_hello (share);
  sealing = EVP_CIPHER_CTX_new ();
  opening = EVP_CIPHER_CTX_new ();
  return EVP_EncryptInit_ex (sealing, EVP_aes_128_gcm (), NULL, NULL, NULL) == 1
         && EVP_DecryptInit_ex (opening, EVP_aes_128_gcm (), NULL, NULL, NULL) == 1;
}

void
quick_login_init (QuickLogin *q)
{
  uint8_t private_key[32], shared[32], nonce[BOX_NONCE_SIZE];
  NodePublic key;

  *q = (QuickLogin){.fd = -1};
  key_generate (random_system (), private_key);
  key_public (private_key, key.bytes);
  random_fill (random_system (), nonce, sizeof nonce);
  if (!box_shared (private_key, server_key.bytes, shared))
    return;
  q->flight_size = (size_t)snprintf ((char *)q->flight, sizeof q->flight,
                                     "GET /derp HTTP/1.1\r\nHost: relay.lab:%u\r\n"
                                     "Connection: Upgrade\r\nDerp-Fast-Start: 1\r\n"
                                     "Upgrade: DERP\r\n\r\n",
                                     relay.port);
  q->flight_size += derp_login_encode (&key, shared, nonce, NULL, q->flight + q->flight_size,
                                       sizeof q->flight - q->flight_size);
  derp_header_encode (DERP_NOTE_PREFERRED, 1, q->flight + q->flight_size);
  q->flight[q->flight_size + DERP_HEADER_SIZE] = 1;
  q->flight_size += DERP_HEADER_SIZE + 1;
}

bool
quick_login_dial (QuickLogin *q)
{
  struct sockaddr_storage address;
  socklen_t size = ip_port_to_sockaddr (&relay, &address);
  int one = 1;

  q->stage = QUICK_CONNECTING;
  q->fd = socket (address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (q->fd < 0)
    return false;
  setsockopt (q->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect (q->fd, (struct sockaddr *)&address, size) != 0 && errno != EINPROGRESS)
    q->stage = QUICK_FAILED;
  return true;
}

static void
say_hello (QuickLogin *q)
{
  random_fill (random_system (), hello + HEADER + 6, 32);
  crypto_hash_sha256_init (&q->transcript);
  crypto_hash_sha256_update (&q->transcript, hello + HEADER, hello_size - HEADER);
  q->stage = QUICK_SERVER_HELLO;
  send_all (q, hello, hello_size);
}

void
quick_login_io (QuickLogin *q)
{
  if (q->stage == QUICK_CONNECTING)
    say_hello (q);
  ssize_t n = recv (q->fd, buffer_reserve (&q->in, READ_SIZE), READ_SIZE, 0);
  if (n == 0 || (n < 0 && errno != EAGAIN))
    q->stage = QUICK_FAILED;
  if (n <= 0)
    return;
  buffer_commit (&q->in, (size_t)n);
  while (q->stage != QUICK_FAILED && q->in.size >= HEADER) {
    size_t body = load_be16 (q->in.data + 3);
    if (q->in.size < HEADER + body)
      return;
    take_record (q, q->in.data, body);
    buffer_consume (&q->in, HEADER + body);
  }
  if (q->in.size == 0)
    buffer_free (&q->in);
}

void
quick_login_close (QuickLogin *q)
{
  if (q->fd >= 0)
    close (q->fd);
  q->fd = -1;
  buffer_free (&q->in);
  buffer_free (&q->messages);
}
