/* Tokens, genuine and forged in each way that is known. */

#include "token-maker.h"

#include "coordinator/jwt.h"

#include <string.h>

#define PAYLOAD "{\"sub\":\"hazel\"}"

static TokenKey rsa, rsa_other, ec, ec_other;

static JwtResult
open_with (const char *set, const char *token, Buffer *claims)
{
  JwtKeys *keys = jwt_keys_parse (set, strlen (set));

  g_assert_nonnull (keys);
  JwtResult result = jwt_open (token, strlen (token), keys, claims);
  jwt_keys_free (keys);
  return result;
}

static JwtResult
open_token (const char *token)
{
  const TokenKey both[] = {rsa, ec};
  g_autofree char *set = token_key_set (both, 2);
  Buffer claims = {0};
  JwtResult result = open_with (set, token, &claims);

  if (result != JWT_OK)
    g_assert_cmpuint (claims.size, ==, 0);
  else
    g_assert_cmpmem (claims.data, claims.size, PAYLOAD, strlen (PAYLOAD));
  buffer_free (&claims);
  return result;
}

static void
test_genuine (void)
{
  const TokenKey *const keys[] = {&rsa, &ec};

  for (size_t i = 0; i < 2; i++) {
    g_autofree char *token = token_make (keys[i], NULL, PAYLOAD);
    g_assert_cmpint (open_token (token), ==, JWT_OK);
    g_autofree char *header = g_strdup_printf ("{\"alg\":\"%s\"}", keys[i]->algorithm);
    g_autofree char *nameless = token_make (keys[i], header, PAYLOAD);
    g_assert_cmpint (open_token (nameless), ==, JWT_OK);
  }
}

static void
test_no_signature (void)
{
  static const char *const headers[] = {
      "{\"alg\":\"none\"}",
      "{\"alg\":\"NONE\"}",
      "{\"alg\":\"None\",\"kid\":\"r\"}",
      "{\"alg\":\"\"}",
      "{}",
      "{\"kid\":\"r\"}",
  };

  for (size_t i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autofree char *token = token_make_unsigned (headers[i], PAYLOAD);
    g_assert_cmpint (open_token (token), ==, JWT_ALGORITHM);
  }
  g_autofree char *stripped = token_make_unsigned ("{\"alg\":\"RS256\",\"kid\":\"r\"}", PAYLOAD);
  g_assert_cmpint (open_token (stripped), ==, JWT_FORGED);
  g_autofree char *stripped_ec = token_make_unsigned ("{\"alg\":\"ES256\",\"kid\":\"e\"}", PAYLOAD);
  g_assert_cmpint (open_token (stripped_ec), ==, JWT_FORGED);
}

/* The public key as a shared secret: what libraries fell for that let the token choose. */
static void
test_shared_secret (void)
{
  g_autofree char *set = token_key_set (&rsa, 1);

  for (size_t i = 0; i < 3; i++) {
    static const char *const names[] = {"HS256", "HS384", "HS512"};
    g_autofree char *header = g_strdup_printf ("{\"alg\":\"%s\",\"kid\":\"r\"}", names[i]);
    g_autofree char *token = token_make_hmac (set, header, PAYLOAD);
    g_assert_cmpint (open_token (token), ==, JWT_ALGORITHM);
  }
}

static void
test_other_algorithms (void)
{
  static const char *const names[]
      = {"RS384", "PS256", "ES384", "ES512", "EdDSA", "rs256", "RS2566"};

  for (size_t i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *header = g_strdup_printf ("{\"alg\":\"%s\",\"kid\":\"r\"}", names[i]);
    g_autofree char *token = token_make (&rsa, header, PAYLOAD);
    g_assert_cmpint (open_token (token), ==, JWT_ALGORITHM);
  }
}

static void
test_wrong_key (void)
{
  g_autofree char *unknown = token_make (&rsa_other, NULL, PAYLOAD);
  g_autofree char *claimed = token_make (&rsa_other, "{\"alg\":\"RS256\",\"kid\":\"r\"}", PAYLOAD);
  g_autofree char *claimed_ec
      = token_make (&ec_other, "{\"alg\":\"ES256\",\"kid\":\"e\"}", PAYLOAD);
  /* A key of one kind never serves for the other. */
  g_autofree char *crossed = token_make (&rsa, "{\"alg\":\"RS256\",\"kid\":\"e\"}", PAYLOAD);
  g_autofree char *crossed_ec = token_make (&ec, "{\"alg\":\"ES256\",\"kid\":\"r\"}", PAYLOAD);
  g_autofree char *confused = token_make (&rsa, "{\"alg\":\"ES256\",\"kid\":\"e\"}", PAYLOAD);

  g_assert_cmpint (open_token (unknown), ==, JWT_UNKNOWN_KEY);
  g_assert_cmpint (open_token (claimed), ==, JWT_FORGED);
  g_assert_cmpint (open_token (claimed_ec), ==, JWT_FORGED);
  g_assert_cmpint (open_token (crossed), ==, JWT_UNKNOWN_KEY);
  g_assert_cmpint (open_token (crossed_ec), ==, JWT_UNKNOWN_KEY);
  g_assert_cmpint (open_token (confused), ==, JWT_FORGED);
}

static void
test_changed (void)
{
  const TokenKey *const keys[] = {&rsa, &ec};

  for (size_t k = 0; k < 2; k++) {
    g_autofree char *token = token_make (keys[k], NULL, PAYLOAD);
    for (size_t i = 0; token[i]; i++) {
      g_autofree char *changed = g_strdup (token);
      /* The last character of a part may hold bits that nobody reads. */
      if (token[i] == '.' || token[i + 1] == '.' || token[i + 1] == '\0')
        continue;
      changed[i] = token[i] == 'A' ? 'B' : 'A';
      g_assert_cmpint (open_token (changed), !=, JWT_OK);
    }
  }
}

static void
test_embedded_key (void)
{
  g_autofree char *set = token_key_set (&rsa_other, 1);
  g_autofree char *jwk = g_strndup (set + 9, strlen (set) - 11);
  g_autofree char *header = g_strdup_printf ("{\"alg\":\"RS256\",\"kid\":\"r\",\"jwk\":%s}", jwk);
  g_autofree char *token = token_make (&rsa_other, header, PAYLOAD);
  g_autofree char *critical
      = token_make (&rsa, "{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[\"b64\"],\"b64\":false}",
                    PAYLOAD);

  g_assert_cmpint (open_token (token), ==, JWT_FORGED);
  g_assert_cmpint (open_token (critical), ==, JWT_MALFORMED);
}

static void
test_malformed (void)
{
  static const char *const tokens[] = {"",
                                       ".",
                                       "..",
                                       "...",
                                       "a.b",
                                       "a.b.c.d",
                                       "e30.e30",
                                       "!!.e30.e30",
                                       "e30=.e30.e30",
                                       "bnVsbA.e30.e30",
                                       "W10.e30.e30",
                                       "e30e30",
                                       "eyJhbGciOiJSUzI1NiJ9eyJ9.e30.e30"};
  g_autofree char *large = g_strnfill (JWT_MAX + 1, 'e');

  for (size_t i = 0; i < G_N_ELEMENTS (tokens); i++)
    g_assert_cmpint (open_token (tokens[i]), !=, JWT_OK);
  large[10] = large[20] = '.';
  g_assert_cmpint (open_token (large), ==, JWT_MALFORMED);
}

static void
test_key_sets (void)
{
  static const char *const bad[]
      = {"", "{}", "[]", "null", "{\"keys\":1}", "{\"keys\":[1]}", "{\"keys\":[}"};
  static const char useless[]
      = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":"
        "\"AQAB\"},"
        "{\"kty\":\"RSA\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
        "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"},{}]}";

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_null (jwt_keys_parse (bad[i], strlen (bad[i])));
  JwtKeys *keys = jwt_keys_parse (useless, strlen (useless));
  g_assert_cmpuint (jwt_keys_count (keys), ==, 0); /* short, not on the curve, secret, empty */
  jwt_keys_free (keys);
  /* A key for encryption, or for another algorithm, signs nothing. */
  g_autofree char *set = token_key_set (&rsa, 1);
  g_autofree char *token = token_make (&rsa, NULL, PAYLOAD);
  char *use = strstr (set, "\"sig\"");
  memcpy (use, "\"enc\"", 5);
  Buffer claims = {0};
  g_assert_cmpint (open_with (set, token, &claims), ==, JWT_UNKNOWN_KEY);
  buffer_free (&claims);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  rsa = token_key_new ("RS256", "r");
  rsa_other = token_key_new ("RS256", "other");
  ec = token_key_new ("ES256", "e");
  ec_other = token_key_new ("ES256", "other");
  g_test_add_func ("/jwt/opens-genuine-tokens", test_genuine);
  g_test_add_func ("/jwt/refuses-what-is-not-signed", test_no_signature);
  g_test_add_func ("/jwt/refuses-public-keys-as-shared-secrets", test_shared_secret);
  g_test_add_func ("/jwt/refuses-other-algorithms", test_other_algorithms);
  g_test_add_func ("/jwt/refuses-other-keys", test_wrong_key);
  g_test_add_func ("/jwt/refuses-every-changed-character", test_changed);
  g_test_add_func ("/jwt/believes-no-key-inside-a-token", test_embedded_key);
  g_test_add_func ("/jwt/refuses-what-is-no-token", test_malformed);
  g_test_add_func ("/jwt/takes-only-keys-that-sign", test_key_sets);
  int result = g_test_run ();
  token_key_clear (&rsa);
  token_key_clear (&rsa_other);
  token_key_clear (&ec);
  token_key_clear (&ec_other);
  return result;
}
