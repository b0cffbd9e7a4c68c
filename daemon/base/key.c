#include "base/key.h"

#include "base/bytes.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const struct
{
  const char *prefix;
  const char *other_prefix; /* accepted on input only */
  size_t size;
} kinds[] = {
    [KEY_MACHINE_PUBLIC] = {"mkey:", NULL, KEY_SIZE},
    [KEY_NODE_PUBLIC] = {"nodekey:", NULL, KEY_SIZE},
    [KEY_DISCO_PUBLIC] = {"discokey:", NULL, KEY_SIZE},
    [KEY_CHALLENGE_PUBLIC] = {"chalpub:", NULL, KEY_SIZE},
    [KEY_LOCK_PUBLIC] = {"nlpub:", "tlpub:", KEY_SIZE},
    [KEY_PRIVATE] = {"privkey:", NULL, KEY_SIZE},
    [KEY_LOCK_PRIVATE] = {"nlpriv:", NULL, LOCK_PRIVATE_SIZE},
};

static bool
skip_prefix (const char **text, size_t *length, const char *prefix)
{
  size_t n = prefix ? strlen (prefix) : 0;

  if (n == 0 || *length < n || memcmp (*text, prefix, n) != 0)
    return false;
  *text += n;
  *length -= n;
  return true;
}

bool
key_parse (KeyKind kind, const char *text, size_t length, void *out)
{
  if (!skip_prefix (&text, &length, kinds[kind].prefix)
      && !skip_prefix (&text, &length, kinds[kind].other_prefix))
    return false;
  return hex_decode (text, length, out, kinds[kind].size);
}

size_t
key_format (KeyKind kind, const void *key, char out[KEY_TEXT_MAX])
{
  size_t n = strlen (kinds[kind].prefix);

  memcpy (out, kinds[kind].prefix, n);
  hex_encode (key, kinds[kind].size, out + n);
  return n + 2 * kinds[kind].size;
}

void
key_short (KeyKind kind, const void *key, char out[KEY_SHORT_MAX])
{
  out[0] = '\0';
  if (key_is_zero (key, KEY_SIZE))
    return;
  if (kind == KEY_DISCO_PUBLIC) {
    memcpy (out, "d:", 2);
    hex_encode (key, 8, out + 2);
    return;
  }
  char text[9];
  base64_encode (key, 6, text);
  out[0] = '[';
  memcpy (out + 1, text, 5);
  memcpy (out + 6, "]", 2);
}

void
key_generate (Random *random, uint8_t out[KEY_SIZE])
{
  random_fill (random, out, KEY_SIZE);
  out[0] &= 0xf8;
  out[31] = (uint8_t)((out[31] & 0x7f) | 0x40);
}

void
key_public (const uint8_t private_key[KEY_SIZE], uint8_t out[KEY_SIZE])
{
  /* The base point multiplication cannot fail for any scalar. */
  (void)crypto_scalarmult_curve25519_base (out, private_key);
}

void
lock_key_generate (Random *random, LockPrivate *out)
{
  uint8_t seed[crypto_sign_SEEDBYTES];
  LockPublic public_key;

  random_fill (random, seed, sizeof seed);
  crypto_sign_seed_keypair (public_key.bytes, out->bytes, seed);
  sodium_memzero (seed, sizeof seed);
}

void
lock_key_public (const LockPrivate *private_key, LockPublic *out)
{
  memcpy (out->bytes, private_key->bytes + crypto_sign_SEEDBYTES, KEY_SIZE);
}

bool
key_is_zero (const void *key, size_t size)
{
  return sodium_is_zero (key, size) == 1;
}

bool
key_equal (const void *a, const void *b, size_t size)
{
  return sodium_memcmp (a, b, size) == 0;
}

void *
secret_new (size_t size)
{
  if (sodium_init () < 0)
    abort ();
  void *secret = sodium_malloc (size);
  if (!secret)
    abort ();
  memset (secret, 0, size);
  return secret;
}

void
secret_free (void *secret)
{
  sodium_free (secret);
}
