#include "coordinator/jwt.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/json-reader.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX   1024 /* bytes of a number in a key: RSA up to 8192 bits */
#define RSA_MIN_BITS 2048
#define COORDINATE   32 /* bytes, on P-256 */
#define KEY_ID_MAX   128

typedef enum
{
  ALGORITHM_NONE,
  ALGORITHM_RS256,
  ALGORITHM_ES256,
} Algorithm;

typedef struct
{
  char id[KEY_ID_MAX]; /* "": none */
  Algorithm algorithm;
  EVP_PKEY *key;
} Key;

struct JwtKeys
{
  Key keys[JWT_KEYS_MAX];
  size_t n;
};

/* ---- base64url ---- */

ptrdiff_t
base64url_decode (const char *text, size_t length, void *out, size_t size)
{
  char *copy = mem_strndup (text, length);
  ptrdiff_t n = -1;
  bool plain = memchr (text, '+', length) || memchr (text, '/', length)
               || memchr (text, '=', length) || memchr (text, '\0', length);

  for (size_t i = 0; i < length; i++)
    copy[i] = copy[i] == '-' ? '+' : copy[i] == '_' ? '/' : copy[i];
  if (!plain)
    n = base64_decode (copy, length, out, size);
  free (copy);
  return n;
}

void
base64url_encode (const void *data, size_t size, char *out)
{
  base64_encode (data, size, out);
  for (char *at = out; *at; at++)
    *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
  out[strcspn (out, "=")] = '\0';
}

/* ---- keys ---- */

static Algorithm
algorithm_of (const char *name)
{
  return strcmp (name, "RS256") == 0   ? ALGORITHM_RS256
         : strcmp (name, "ES256") == 0 ? ALGORITHM_ES256
                                       : ALGORITHM_NONE;
}

static EVP_PKEY *
make_key (const char *type, OSSL_PARAM_BLD *builder)
{
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name (NULL, type, NULL);
  OSSL_PARAM *params = OSSL_PARAM_BLD_to_param (builder);
  EVP_PKEY *key = NULL;

  if (!context || !params || EVP_PKEY_fromdata_init (context) != 1
      || EVP_PKEY_fromdata (context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
    key = NULL;
  OSSL_PARAM_free (params);
  EVP_PKEY_CTX_free (context);
  return key;
}

static EVP_PKEY *
make_rsa (const uint8_t *n, size_t n_size, const uint8_t *e, size_t e_size)
{
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new ();
  BIGNUM *modulus = BN_bin2bn (n, (int)n_size, NULL), *exponent = BN_bin2bn (e, (int)e_size, NULL);
  EVP_PKEY *key = NULL;

  if (builder && modulus && exponent && BN_num_bits (modulus) >= RSA_MIN_BITS
      && OSSL_PARAM_BLD_push_BN (builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1
      && OSSL_PARAM_BLD_push_BN (builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
    key = make_key ("RSA", builder);
  BN_free (modulus);
  BN_free (exponent);
  OSSL_PARAM_BLD_free (builder);
  return key;
}

static EVP_PKEY *
make_ec (const uint8_t *x, const uint8_t *y)
{
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new ();
  uint8_t point[1 + 2 * COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED};
  EVP_PKEY *key = NULL;

  memcpy (point + 1, x, COORDINATE);
  memcpy (point + 1 + COORDINATE, y, COORDINATE);
  if (builder
      && OSSL_PARAM_BLD_push_utf8_string (builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1
      && OSSL_PARAM_BLD_push_octet_string (builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point)
             == 1)
    key = make_key ("EC", builder);
  OSSL_PARAM_BLD_free (builder);
  return key;
}

/* A key of the set as it was written. */
typedef struct
{
  char type[16], use[16], algorithm[16], curve[16], id[KEY_ID_MAX];
  uint8_t numbers[4][NUMBER_MAX]; /* n, e, x, y */
  ptrdiff_t sizes[4];             /* -1: none */
} WrittenKey;

static void
read_name (JsonReader *r, char *out, size_t size)
{
  JsonString s = json_reader_string (r);

  /* One that is cut off could be taken for another. */
  if (s.length >= size)
    s.length = 0;
  memcpy (out, s.text ? s.text : "", s.length);
  out[s.length] = '\0';
}

static void
read_key (JsonReader *r, WrittenKey *key)
{
  static const char *const numbers[] = {"n", "e", "x", "y"};
  JsonString name;

  *key = (WrittenKey){.sizes = {-1, -1, -1, -1}};
  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    int number = -1;
    for (int i = 0; i < 4; i++)
      if (json_string_equal (name, numbers[i]))
        number = i;
    if (number >= 0) {
      JsonString s = json_reader_string (r);
      key->sizes[number]
          = base64url_decode (s.text ? s.text : "", s.length, key->numbers[number], NUMBER_MAX);
    } else if (json_string_equal (name, "kty"))
      read_name (r, key->type, sizeof key->type);
    else if (json_string_equal (name, "use"))
      read_name (r, key->use, sizeof key->use);
    else if (json_string_equal (name, "alg"))
      read_name (r, key->algorithm, sizeof key->algorithm);
    else if (json_string_equal (name, "crv"))
      read_name (r, key->curve, sizeof key->curve);
    else if (json_string_equal (name, "kid"))
      read_name (r, key->id, sizeof key->id);
    else
      json_reader_skip (r);
  }
}

static void
add_key (JwtKeys *keys, const WrittenKey *written)
{
  const ptrdiff_t *sizes = written->sizes;
  Algorithm algorithm = ALGORITHM_NONE;
  EVP_PKEY *key = NULL;

  if (keys->n == JWT_KEYS_MAX || (written->use[0] && strcmp (written->use, "sig") != 0))
    return;
  if (strcmp (written->type, "RSA") == 0 && sizes[0] > 0 && sizes[1] > 0) {
    algorithm = ALGORITHM_RS256;
    key = make_rsa (written->numbers[0], (size_t)sizes[0], written->numbers[1], (size_t)sizes[1]);
  } else if (strcmp (written->type, "EC") == 0 && strcmp (written->curve, "P-256") == 0
             && sizes[2] == COORDINATE && sizes[3] == COORDINATE) {
    algorithm = ALGORITHM_ES256;
    key = make_ec (written->numbers[2], written->numbers[3]);
  }
  if (key && (!written->algorithm[0] || algorithm_of (written->algorithm) == algorithm)) {
    Key *added = &keys->keys[keys->n++];
    *added = (Key){.algorithm = algorithm, .key = key};
    memcpy (added->id, written->id, sizeof added->id);
  } else {
    EVP_PKEY_free (key);
  }
}

JwtKeys *
jwt_keys_parse (const void *data, size_t size)
{
  JwtKeys *keys = mem_new (sizeof *keys);
  WrittenKey *written = mem_new (sizeof *written);
  bool found = false;
  JsonString name;
  JsonReader r;

  json_reader_init (&r, data, size);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    if (!json_string_equal (name, "keys") || found) {
      json_reader_skip (&r);
      continue;
    }
    found = true;
    json_reader_enter_array (&r);
    while (json_reader_next_element (&r)) {
      read_key (&r, written);
      if (json_reader_ok (&r))
        add_key (keys, written);
    }
  }
  bool ok = found && json_reader_end (&r);
  json_reader_clear (&r);
  free (written);
  ERR_clear_error ();
  if (ok)
    return keys;
  jwt_keys_free (keys);
  return NULL;
}

void
jwt_keys_free (JwtKeys *keys)
{
  if (!keys)
    return;
  for (size_t i = 0; i < keys->n; i++)
    EVP_PKEY_free (keys->keys[i].key);
  free (keys);
}

size_t
jwt_keys_count (const JwtKeys *keys)
{
  return keys->n;
}

/* ---- tokens ---- */

typedef struct
{
  char algorithm[16], id[KEY_ID_MAX];
  bool critical; /* it says that there is something one must understand */
} Header;

static bool
read_header (const void *data, size_t size, Header *header)
{
  JsonString name;
  JsonReader r;

  *header = (Header){0};
  json_reader_init (&r, data, size);
  bool is_object = json_reader_peek (&r) == JSON_OBJECT;
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    if (json_string_equal (name, "alg"))
      read_name (&r, header->algorithm, sizeof header->algorithm);
    else if (json_string_equal (name, "kid"))
      read_name (&r, header->id, sizeof header->id);
    else {
      header->critical |= json_string_equal (name, "crit");
      json_reader_skip (&r);
    }
  }
  bool ok = is_object && json_reader_end (&r);
  json_reader_clear (&r);
  return ok;
}

/* r and s side by side, as tokens have them, in the form that OpenSSL reads; the size, 0 on error.
 */
static size_t
ecdsa_to_der (const uint8_t *signature, size_t size, uint8_t out[80])
{
  uint8_t *at = out;
  int length = 0;

  if (size != 2 * COORDINATE)
    return 0;
  ECDSA_SIG *both = ECDSA_SIG_new ();
  BIGNUM *r = BN_bin2bn (signature, COORDINATE, NULL);
  BIGNUM *s = BN_bin2bn (signature + COORDINATE, COORDINATE, NULL);
  if (both && r && s && ECDSA_SIG_set0 (both, r, s) == 1) {
    length = i2d_ECDSA_SIG (both, &at); /* at most 72 bytes */
  } else {
    BN_free (r);
    BN_free (s);
  }
  ECDSA_SIG_free (both);
  return length > 0 ? (size_t)length : 0;
}

static bool
signature_fits (const Key *key, const char *text, size_t text_size, const uint8_t *signature,
                size_t size)
{
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  uint8_t der[80];

  if (key->algorithm == ALGORITHM_ES256) {
    size = ecdsa_to_der (signature, size, der);
    signature = der;
  }
  bool ok = context && size > 0
            && EVP_DigestVerifyInit (context, NULL, EVP_sha256 (), NULL, key->key) == 1
            && EVP_DigestVerify (context, signature, size, (const uint8_t *)text, text_size) == 1;
  EVP_MD_CTX_free (context);
  ERR_clear_error ();
  return ok;
}

static JwtResult
find_signer (const JwtKeys *keys, const Header *header, const char *text, size_t text_size,
             const uint8_t *signature, size_t size)
{
  Algorithm algorithm = algorithm_of (header->algorithm);
  JwtResult result = JWT_UNKNOWN_KEY;

  if (algorithm == ALGORITHM_NONE)
    return JWT_ALGORITHM;
  for (size_t i = 0; i < keys->n && result != JWT_OK; i++) {
    const Key *key = &keys->keys[i];
    if (key->algorithm != algorithm || (header->id[0] && strcmp (header->id, key->id) != 0))
      continue;
    result = signature_fits (key, text, text_size, signature, size) ? JWT_OK : JWT_FORGED;
  }
  return result;
}

JwtResult
jwt_open (const char *token, size_t size, const JwtKeys *keys, Buffer *claims)
{
  const char *dot = size <= JWT_MAX ? memchr (token, '.', size) : NULL;
  const char *last = dot ? memchr (dot + 1, '.', size - (size_t)(dot + 1 - token)) : NULL;
  uint8_t signature[NUMBER_MAX];
  Header header;

  if (!last || memchr (last + 1, '.', size - (size_t)(last + 1 - token)))
    return JWT_MALFORMED;
  size_t payload = (size_t)(last - dot - 1);
  uint8_t *bytes = mem_new (size);
  ptrdiff_t n = base64url_decode (token, (size_t)(dot - token), bytes, size);
  ptrdiff_t n_signature
      = base64url_decode (last + 1, size - (size_t)(last + 1 - token), signature, sizeof signature);
  JwtResult result = JWT_MALFORMED;
  if (n > 0 && n_signature >= 0 && read_header (bytes, (size_t)n, &header) && !header.critical)
    result = find_signer (keys, &header, token, (size_t)(last - token), signature,
                          (size_t)n_signature);
  n = result == JWT_OK ? base64url_decode (dot + 1, payload, bytes, size) : 0;
  if (n < 0)
    result = JWT_MALFORMED;
  else
    buffer_append (claims, bytes, (size_t)n);
  free (bytes);
  return result;
}
