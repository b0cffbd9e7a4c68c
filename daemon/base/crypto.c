#include "base/crypto.h"

#include "base/bytes.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

/* OpenSSL objects of this thread; freed by the destructor of the thread-specific key. */
typedef struct
{
  EVP_MD *md;
  EVP_MD_CTX *md_ctx;
  EVP_MAC *mac;
  EVP_MAC_CTX *mac_ctx;
  EVP_CIPHER *cipher;
  EVP_CIPHER_CTX *cipher_ctx;
} Contexts;

static once_flag contexts_once = ONCE_FLAG_INIT;
static tss_t contexts_key;

static void
contexts_free (void *data)
{
  Contexts *c = data;

  EVP_MD_CTX_free (c->md_ctx);
  EVP_MD_free (c->md);
  EVP_MAC_CTX_free (c->mac_ctx);
  EVP_MAC_free (c->mac);
  EVP_CIPHER_CTX_free (c->cipher_ctx);
  EVP_CIPHER_free (c->cipher);
  free (c);
}

static void
contexts_init_once (void)
{
  if (sodium_init () < 0 || tss_create (&contexts_key, contexts_free) != thrd_success)
    abort ();
}

static Contexts *
contexts (void)
{
  call_once (&contexts_once, contexts_init_once);
  Contexts *c = tss_get (contexts_key);
  if (c)
    return c;
  c = calloc (1, sizeof *c);
  if (!c)
    abort ();
  c->md = EVP_MD_fetch (NULL, "BLAKE2S-256", NULL);
  c->md_ctx = EVP_MD_CTX_new ();
  c->mac = EVP_MAC_fetch (NULL, "BLAKE2SMAC", NULL);
  c->mac_ctx = c->mac ? EVP_MAC_CTX_new (c->mac) : NULL;
  c->cipher = EVP_CIPHER_fetch (NULL, "ChaCha20-Poly1305", NULL);
  c->cipher_ctx = EVP_CIPHER_CTX_new ();
  if (!c->md || !c->md_ctx || !c->mac_ctx || !c->cipher || !c->cipher_ctx)
    abort ();
  tss_set (contexts_key, c);
  return c;
}

/* These calls fail only when the library is out of memory, and then no answer is safe. */
static void
must (int ok)
{
  if (ok != 1)
    abort ();
}

void
blake2s (const Slice *slices, size_t count, uint8_t out[BLAKE2S_SIZE])
{
  Contexts *c = contexts ();
  unsigned size = BLAKE2S_SIZE;

  must (EVP_DigestInit_ex2 (c->md_ctx, c->md, NULL));
  for (size_t i = 0; i < count; i++)
    must (EVP_DigestUpdate (c->md_ctx, slices[i].data, slices[i].size));
  must (EVP_DigestFinal_ex (c->md_ctx, out, &size));
}

void
blake2s_mac (const void *key, size_t key_size, const void *data, size_t size, uint8_t out[16])
{
  Contexts *c = contexts ();
  size_t out_size = 16;
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_size_t (OSSL_MAC_PARAM_SIZE, &out_size),
      OSSL_PARAM_construct_end (),
  };

  must (EVP_MAC_init (c->mac_ctx, key, key_size, params));
  must (EVP_MAC_update (c->mac_ctx, data, size));
  must (EVP_MAC_final (c->mac_ctx, out, &out_size, 16));
}

#define HMAC_BLOCK 64

void
hmac_blake2s (const void *key, size_t key_size, const Slice *slices, size_t count,
              uint8_t out[BLAKE2S_SIZE])
{
  Contexts *c = contexts ();
  uint8_t block[HMAC_BLOCK] = {0};
  uint8_t inner[BLAKE2S_SIZE];
  unsigned size = BLAKE2S_SIZE;

  if (key_size > HMAC_BLOCK)
    blake2s (&(Slice){key, key_size}, 1, block);
  else if (key_size > 0)
    memcpy (block, key, key_size);
  for (size_t i = 0; i < HMAC_BLOCK; i++)
    block[i] ^= 0x36;
  must (EVP_DigestInit_ex2 (c->md_ctx, c->md, NULL));
  must (EVP_DigestUpdate (c->md_ctx, block, HMAC_BLOCK));
  for (size_t i = 0; i < count; i++)
    must (EVP_DigestUpdate (c->md_ctx, slices[i].data, slices[i].size));
  must (EVP_DigestFinal_ex (c->md_ctx, inner, &size));
  for (size_t i = 0; i < HMAC_BLOCK; i++)
    block[i] ^= 0x36 ^ 0x5c;
  blake2s ((Slice[]){{block, HMAC_BLOCK}, {inner, sizeof inner}}, 2, out);
  sodium_memzero (block, sizeof block);
  sodium_memzero (inner, sizeof inner);
}

void
kdf_blake2s (const uint8_t chaining_key[BLAKE2S_SIZE], const void *input, size_t input_size,
             uint8_t (*out)[BLAKE2S_SIZE], size_t count)
{
  uint8_t secret[BLAKE2S_SIZE];

  hmac_blake2s (chaining_key, BLAKE2S_SIZE, &(Slice){input, input_size}, 1, secret);
  for (size_t i = 0; i < count; i++) {
    uint8_t number = (uint8_t)(i + 1);
    Slice slices[2] = {{i > 0 ? out[i - 1] : NULL, i > 0 ? BLAKE2S_SIZE : 0}, {&number, 1}};
    hmac_blake2s (secret, sizeof secret, slices, 2, out[i]);
  }
  sodium_memzero (secret, sizeof secret);
}

void
aead_seal (const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const void *ad,
           size_t ad_size, const void *in, size_t size, void *out)
{
  Contexts *c = contexts ();
  uint8_t *bytes = out;
  int n;

  must (EVP_EncryptInit_ex2 (c->cipher_ctx, c->cipher, key, nonce, NULL));
  if (ad_size > 0)
    must (EVP_EncryptUpdate (c->cipher_ctx, NULL, &n, ad, (int)ad_size));
  if (size > 0)
    must (EVP_EncryptUpdate (c->cipher_ctx, bytes, &n, in, (int)size));
  must (EVP_EncryptFinal_ex (c->cipher_ctx, bytes + size, &n));
  must (EVP_CIPHER_CTX_ctrl (c->cipher_ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, bytes + size));
}

bool
aead_open (const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const void *ad,
           size_t ad_size, const void *in, size_t size, void *out)
{
  Contexts *c = contexts ();
  const uint8_t *bytes = in;
  uint8_t tag[AEAD_TAG_SIZE];
  int n;

  if (size < AEAD_TAG_SIZE)
    return false;
  size -= AEAD_TAG_SIZE;
  memcpy (tag, bytes + size, AEAD_TAG_SIZE);
  must (EVP_DecryptInit_ex2 (c->cipher_ctx, c->cipher, key, nonce, NULL));
  must (EVP_CIPHER_CTX_ctrl (c->cipher_ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag));
  if (ad_size > 0)
    must (EVP_DecryptUpdate (c->cipher_ctx, NULL, &n, ad, (int)ad_size));
  if (size > 0)
    must (EVP_DecryptUpdate (c->cipher_ctx, out, &n, in, (int)size));
  uint8_t end[1];
  if (EVP_DecryptFinal_ex (c->cipher_ctx, end, &n) == 1)
    return true;
  if (size > 0)
    memset (out, 0, size);
  return false;
}

void
xaead_seal (const uint8_t key[32], const uint8_t nonce[24], const void *ad, size_t ad_size,
            const void *in, size_t size, void *out)
{
  crypto_aead_xchacha20poly1305_ietf_encrypt (out, NULL, in, size, ad, ad_size, NULL, nonce, key);
}

bool
xaead_open (const uint8_t key[32], const uint8_t nonce[24], const void *ad, size_t ad_size,
            const void *in, size_t size, void *out)
{
  return crypto_aead_xchacha20poly1305_ietf_decrypt (out, NULL, NULL, in, size, ad, ad_size, nonce,
                                                     key)
         == 0;
}

bool
x25519 (const uint8_t private_key[32], const uint8_t public_key[32], uint8_t out[32])
{
  return crypto_scalarmult_curve25519 (out, private_key, public_key) == 0;
}

bool
box_shared (const uint8_t private_key[32], const uint8_t public_key[32], uint8_t out[32])
{
  return crypto_box_beforenm (out, public_key, private_key) == 0;
}

void
box_seal (const uint8_t shared[32], const uint8_t nonce[BOX_NONCE_SIZE], const void *in,
          size_t size, void *out)
{
  crypto_box_easy_afternm (out, in, size, nonce, shared);
}

bool
box_open (const uint8_t shared[32], const uint8_t nonce[BOX_NONCE_SIZE], const void *in,
          size_t size, void *out)
{
  return crypto_box_open_easy_afternm (out, in, size, nonce, shared) == 0;
}
