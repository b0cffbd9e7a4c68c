/* Signed JSON Web Tokens as identity providers make them: compact form, RS256 and ES256 only
 * (RFC 7515, RFC 7517, RFC 7518 §3.3 and §3.4).
 *
 * Opens what is signed by a key of a given set; what the claims mean is the caller's business
 * (oidc.h). Bytes in, bytes out. Any thread. */
#pragma once

#include "wire/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_MAX      (64u << 10) /* bytes of a token */
#define JWT_KEYS_MAX 64          /* keys of a set that are looked at */

typedef enum
{
  JWT_OK,
  JWT_MALFORMED,
  JWT_ALGORITHM,   /* none, a shared secret, or one that we do not know */
  JWT_UNKNOWN_KEY, /* signed by a key that is not in the set */
  JWT_FORGED,      /* the signature does not fit */
} JwtResult;

/* A provider's public keys. */
typedef struct JwtKeys JwtKeys;

/* Keys of other kinds and those that are not for signing are left out. NULL: not a key set. */
JwtKeys *jwt_keys_parse (const void *data, size_t size);
void jwt_keys_free (JwtKeys *keys);
size_t jwt_keys_count (const JwtKeys *keys);

/* Checks TOKEN (SIZE bytes) and appends its claims, JSON, to CLAIMS. */
JwtResult jwt_open (const char *token, size_t size, const JwtKeys *keys, Buffer *claims);

/* base64url without padding; the number of bytes written to OUT, or -1. */
ptrdiff_t base64url_decode (const char *text, size_t length, void *out, size_t size);
/* Writes without padding, and a NUL; OUT has room for base64_encoded_size (SIZE) characters. */
void base64url_encode (const void *data, size_t size, char *out);
