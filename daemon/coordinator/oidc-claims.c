#include "coordinator/oidc-claims.h"

#include "base/memory.h"
#include "coordinator/jwt.h"
#include "wire/json-reader.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A text that does not fit counts as not said: half of one might be somebody else's. */
static void
read_text (JsonReader *r, char out[OIDC_TEXT_MAX])
{
  JsonString s;

  if (json_reader_peek (r) != JSON_STRING) {
    json_reader_skip (r);
    return;
  }
  s = json_reader_string (r);
  if (out[0] || s.length >= OIDC_TEXT_MAX || memchr (s.text, '\0', s.length))
    return;
  memcpy (out, s.text, s.length);
  out[s.length] = '\0';
}

/* Dates are numbers, of which some providers write a fraction. */
static int64_t
read_seconds (JsonReader *r)
{
  double seconds;

  if (json_reader_peek (r) != JSON_NUMBER) {
    json_reader_skip (r);
    return 0;
  }
  seconds = json_reader_double (r);
  return seconds > 0 && seconds < 1e15 ? (int64_t)seconds : 0;
}

static bool
read_truth (JsonReader *r)
{
  JsonType type = json_reader_peek (r);

  if (type == JSON_BOOL)
    return json_reader_bool (r);
  if (type == JSON_STRING)
    return json_string_equal (json_reader_string (r), "true");
  json_reader_skip (r);
  return false;
}

static bool
in_list (JsonString s, const char *const *list)
{
  for (; list && *list; list++)
    if (json_string_equal (s, *list))
      return true;
  return false;
}

static void
read_audience (JsonReader *r, OidcClaims *claims, const OidcConfig *config)
{
  if (json_reader_peek (r) == JSON_STRING) {
    claims->n_audiences = 1;
    claims->for_us = json_string_equal (json_reader_string (r), config->client_id);
    return;
  }
  claims->n_audiences = 0;
  json_reader_enter_array (r);
  while (json_reader_next_element (r)) {
    claims->n_audiences++;
    claims->for_us |= json_string_equal (json_reader_string (r), config->client_id);
  }
}

static void
read_groups (JsonReader *r, OidcClaims *claims, const OidcConfig *config)
{
  size_t n = 0;

  if (json_reader_peek (r) == JSON_STRING) {
    claims->in_group |= in_list (json_reader_string (r), config->allowed_groups);
  } else if (json_reader_peek (r) == JSON_ARRAY) {
    json_reader_enter_array (r);
    while (json_reader_next_element (r)) {
      if (json_reader_peek (r) == JSON_STRING && n++ < OIDC_GROUPS_MAX)
        claims->in_group |= in_list (json_reader_string (r), config->allowed_groups);
      else
        json_reader_skip (r);
    }
  } else {
    json_reader_skip (r);
    return;
  }
  claims->has_groups = true;
}

static bool
read_token_claim (JsonReader *r, JsonString name, OidcClaims *claims, const OidcConfig *config)
{
  if (json_string_equal (name, "iss"))
    read_text (r, claims->issuer);
  else if (json_string_equal (name, "azp"))
    read_text (r, claims->party);
  else if (json_string_equal (name, "nonce"))
    read_text (r, claims->nonce);
  else if (json_string_equal (name, "at_hash"))
    read_text (r, claims->access_hash);
  else if (json_string_equal (name, "aud"))
    read_audience (r, claims, config);
  else if (json_string_equal (name, "iat"))
    claims->issued_s = read_seconds (r);
  else if (json_string_equal (name, "exp"))
    claims->expires_s = read_seconds (r);
  else if (json_string_equal (name, "nbf"))
    claims->not_before_s = read_seconds (r);
  else
    return false;
  return true;
}

bool
oidc_claims_read (OidcClaims *claims, const OidcConfig *config, const void *data, size_t size)
{
  bool had_email = claims->email[0] != '\0', had_groups = claims->has_groups;
  JsonString name;
  JsonReader r;

  json_reader_init (&r, data, size);
  bool is_object = json_reader_peek (&r) == JSON_OBJECT;
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    if (json_string_equal (name, "sub"))
      read_text (&r, claims->subject);
    else if (json_string_equal (name, "email"))
      read_text (&r, claims->email);
    else if (json_string_equal (name, "email_verified") && !had_email)
      claims->email_verified = read_truth (&r);
    else if (json_string_equal (name, "preferred_username"))
      read_text (&r, claims->user_name);
    else if (json_string_equal (name, "name"))
      read_text (&r, claims->name);
    else if (json_string_equal (name, "groups") && !had_groups)
      read_groups (&r, claims, config);
    else if (!read_token_claim (&r, name, claims, config))
      json_reader_skip (&r);
  }
  bool ok = is_object && json_reader_end (&r);
  json_reader_clear (&r);
  return ok;
}

/* The left half of the access token's SHA-256. */
static bool
access_hash_fits (const char *hash, const char *access_token)
{
  uint8_t digest[crypto_hash_sha256_BYTES];
  char text[32];

  crypto_hash_sha256 (digest, (const uint8_t *)access_token, strlen (access_token));
  base64url_encode (digest, sizeof digest / 2, text);
  return strcmp (text, hash) == 0;
}

const char *
oidc_claims_check (const OidcClaims *claims, const OidcConfig *config, const char *nonce,
                   const char *access_token, WallTime now)
{
  if (strcmp (claims->issuer, config->issuer) != 0)
    return "it is from another issuer";
  if (!claims->for_us)
    return "it is for another program";
  if (claims->n_audiences > 1 && !claims->party[0])
    return "it is for several programs, and does not say which asked";
  if (claims->party[0] && strcmp (claims->party, config->client_id) != 0)
    return "another program asked for it";
  if (claims->expires_s + OIDC_LEEWAY_S <= now.seconds)
    return "it has expired";
  if (claims->issued_s > now.seconds + OIDC_LEEWAY_S
      || claims->not_before_s > now.seconds + OIDC_LEEWAY_S)
    return "it is from the future; look at the clocks";
  if (claims->issued_s < now.seconds - OIDC_AGE_S)
    return "it is too old";
  if (strlen (claims->nonce) != strlen (nonce)
      || sodium_memcmp (claims->nonce, nonce, strlen (nonce)) != 0)
    return "it is not the one that was asked for";
  if (!claims->subject[0])
    return "it names nobody";
  if (claims->access_hash[0] && access_token[0]
      && !access_hash_fits (claims->access_hash, access_token))
    return "it does not belong to its access token";
  return NULL;
}

static bool
has (const char *const *list)
{
  return list && list[0];
}

bool
oidc_claims_lack (const OidcClaims *claims, const OidcConfig *config)
{
  return !claims->email[0] || (has (config->allowed_groups) && !claims->has_groups)
         || (!claims->name[0] && !claims->user_name[0]);
}

static bool
email_allowed (const OidcClaims *claims, const OidcConfig *config)
{
  const char *at = strrchr (claims->email, '@');

  if (!claims->email_verified || !at)
    return false;
  for (const char *const *list = config->allowed_emails; list && *list; list++)
    if (strcasecmp (claims->email, *list) == 0)
      return true;
  for (const char *const *list = config->allowed_domains; list && *list; list++)
    if (strcasecmp (at + 1, *list) == 0)
      return true;
  return false;
}

bool
oidc_claims_allowed (const OidcClaims *claims, const OidcConfig *config)
{
  if ((has (config->allowed_emails) || has (config->allowed_domains))
      && !email_allowed (claims, config))
    return false;
  return !has (config->allowed_groups) || claims->in_group;
}
