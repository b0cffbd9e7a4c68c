#include "coordinator/oidc.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "coordinator/jwt.h"
#include "coordinator/oidc-claims.h"
#include "coordinator/oidc-provider.h"
#include "coordinator/web.h"
#include "wire/json-reader.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_MAX    4096 /* bytes of an authorization code, and of an access token */
#define RANDOM_SIZE 32
#define RANDOM_TEXT 44 /* of RANDOM_SIZE bytes, with its NUL */
#define METADATA_US (60 * 60 * USEC_PER_SEC)

/* Somebody who was sent to the provider. */
typedef struct
{
  char state[RANDOM_TEXT], nonce[RANDOM_TEXT], verifier[RANDOM_TEXT];
  char browser[OIDC_BROWSER_SIZE];
  char device[OIDC_DEVICE_MAX];
  int64_t until_us;
} Attempt;

/* A visit that waits for an answer of the provider. */
typedef struct
{
  uint64_t visit;
  uint64_t fetch; /* what it waits for */
  enum
  {
    FLIGHT_BEGIN, /* the provider's metadata, then to be sent there */
    FLIGHT_TOKEN,
    FLIGHT_KEYS,
    FLIGHT_USERINFO,
  } stage;
  Attempt attempt;
  char *id_token, *access_token;
  OidcClaims claims;
} Flight;

struct Oidc
{
  OidcConfig config;
  Random *random;
  char *redirect_uri;
  /* The provider. */
  OidcProvider provider;
  int64_t metadata_until_us; /* 0: not known */
  JwtKeys *keys;
  uint64_t metadata_fetch, keys_fetch; /* under way; 0: not */
  uint64_t last_fetch;
  /* The people. */
  Attempt attempts[OIDC_ATTEMPTS_MAX]; /* oldest first */
  size_t n_attempts;
  Flight *flights[OIDC_FLIGHTS_MAX];
  size_t n_flights;
  OidcAction *actions; /* queue */
  size_t n_actions, actions_room, first_action;
};

Oidc *
oidc_new (const OidcConfig *config, const char *redirect_uri, Random *random)
{
  Oidc *oidc = mem_new (sizeof *oidc);

  oidc->config = *config;
  oidc->random = random;
  oidc->redirect_uri = mem_strndup (redirect_uri, strlen (redirect_uri));
  return oidc;
}

static void
free_secret (char *text)
{
  if (text)
    sodium_memzero (text, strlen (text));
  free (text);
}

static void
flight_free (Flight *flight)
{
  free_secret (flight->id_token);
  free_secret (flight->access_token);
  free (flight);
}

void
oidc_free (Oidc *oidc)
{
  if (!oidc)
    return;
  for (size_t i = 0; i < oidc->n_flights; i++)
    flight_free (oidc->flights[i]);
  for (OidcAction action; oidc_next_action (oidc, &action);)
    oidc_action_clear (&action);
  free (oidc->actions);
  jwt_keys_free (oidc->keys);
  free (oidc->redirect_uri);
  free (oidc);
}

/* ---- actions ---- */

static OidcAction *
push (Oidc *oidc, OidcActionType type, uint64_t number)
{
  oidc->actions
      = mem_grow (oidc->actions, oidc->n_actions, &oidc->actions_room, sizeof *oidc->actions);
  OidcAction *action = &oidc->actions[oidc->n_actions++];
  *action = (OidcAction){.type = type, .number = number};
  return action;
}

bool
oidc_next_action (Oidc *oidc, OidcAction *action)
{
  if (oidc->first_action == oidc->n_actions) {
    oidc->first_action = oidc->n_actions = 0;
    return false;
  }
  *action = oidc->actions[oidc->first_action++];
  return true;
}

void
oidc_action_clear (OidcAction *action)
{
  free (action->url);
  free_secret (action->form);
  free_secret (action->auth);
  free (action->text);
  *action = (OidcAction){0};
}

static char *
take_text (Buffer *buffer)
{
  uint8_t *data;

  buffer_append (buffer, "", 1);
  buffer_steal (buffer, &data);
  return (char *)data;
}

static uint64_t
fetch (Oidc *oidc, const char *url, char *form, char *auth)
{
  OidcAction *action = push (oidc, OIDC_ACTION_FETCH, ++oidc->last_fetch);

  action->url = mem_strndup (url, strlen (url));
  action->form = form;
  action->auth = auth;
  return oidc->last_fetch;
}

static void
fail (Oidc *oidc, uint64_t visit, const char *device, const char *format, const char *why)
{
  OidcAction *action = push (oidc, OIDC_ACTION_FAILED, visit);
  Buffer text = {0};

  buffer_append_format (&text, format, why);
  action->text = take_text (&text);
  snprintf (action->device, sizeof action->device, "%s", device);
}

/* ---- flights ---- */

/* NULL, and the visit is answered, when too many are under way. */
static Flight *
begin_flight (Oidc *oidc, uint64_t visit, const Attempt *attempt)
{
  if (oidc->n_flights == OIDC_FLIGHTS_MAX) {
    fail (oidc, visit, attempt->device, "%s",
          "Too many people sign in right now. Try again in a minute.");
    return NULL;
  }
  Flight *flight = mem_new (sizeof *flight);
  flight->visit = visit;
  flight->attempt = *attempt;
  oidc->flights[oidc->n_flights++] = flight;
  return flight;
}

static void
end_flight (Oidc *oidc, Flight *flight)
{
  size_t i = 0;

  while (oidc->flights[i] != flight)
    i++;
  oidc->flights[i] = oidc->flights[--oidc->n_flights];
  flight_free (flight);
}

static void
fail_flight (Oidc *oidc, Flight *flight, const char *format, const char *why)
{
  fail (oidc, flight->visit, flight->attempt.device, format, why);
  end_flight (oidc, flight);
}

/* ---- the provider's metadata and keys ---- */

static void
fetch_metadata (Oidc *oidc)
{
  Buffer url = {0};
  size_t n = strlen (oidc->config.issuer);

  if (oidc->metadata_fetch)
    return;
  while (n > 0 && oidc->config.issuer[n - 1] == '/')
    n--;
  buffer_append (&url, oidc->config.issuer, n);
  buffer_append_text (&url, "/.well-known/openid-configuration");
  char *text = take_text (&url);
  oidc->metadata_fetch = fetch (oidc, text, NULL, NULL);
  free (text);
}

static void
fetch_keys (Oidc *oidc)
{
  if (!oidc->keys_fetch)
    oidc->keys_fetch = fetch (oidc, oidc->provider.keys_url, NULL, NULL);
}

/* ---- to the provider ---- */

static void
random_text (Oidc *oidc, char out[RANDOM_TEXT])
{
  uint8_t bytes[RANDOM_SIZE];
  char text[48];

  random_fill (oidc->random, bytes, sizeof bytes);
  base64url_encode (bytes, sizeof bytes, text);
  memcpy (out, text, RANDOM_TEXT);
}

static void
append_field (Buffer *out, const char *name, const char *value)
{
  buffer_append_format (out, "%s=", name);
  web_append_encoded (out, value);
  buffer_append_text (out, "&");
}

static void
redirect (Oidc *oidc, uint64_t visit, const Attempt *attempt)
{
  uint8_t digest[crypto_hash_sha256_BYTES];
  char challenge[48];
  const char *scopes = oidc->config.scopes;
  Buffer url = {0};

  crypto_hash_sha256 (digest, (const uint8_t *)attempt->verifier, strlen (attempt->verifier));
  base64url_encode (digest, sizeof digest, challenge);
  buffer_append_format (&url, "%s%c", oidc->provider.authorize_url,
                        strchr (oidc->provider.authorize_url, '?') ? '&' : '?');
  append_field (&url, "response_type", "code");
  append_field (&url, "client_id", oidc->config.client_id);
  append_field (&url, "redirect_uri", oidc->redirect_uri);
  append_field (&url, "scope", scopes && scopes[0] ? scopes : "openid email profile");
  append_field (&url, "state", attempt->state);
  append_field (&url, "nonce", attempt->nonce);
  append_field (&url, "code_challenge", challenge);
  buffer_append_text (&url, "code_challenge_method=S256");
  push (oidc, OIDC_ACTION_REDIRECT, visit)->url = take_text (&url);
}

static void
drop_attempt (Oidc *oidc, size_t index)
{
  oidc->n_attempts--;
  memmove (oidc->attempts + index, oidc->attempts + index + 1,
           (oidc->n_attempts - index) * sizeof *oidc->attempts);
}

void
oidc_begin (Oidc *oidc, uint64_t visit, const char *browser, const char *device, int64_t now_us)
{
  if (oidc->n_attempts == OIDC_ATTEMPTS_MAX)
    drop_attempt (oidc, 0);
  Attempt *attempt = &oidc->attempts[oidc->n_attempts++];
  *attempt = (Attempt){.until_us = now_us + OIDC_ATTEMPT_US};
  random_text (oidc, attempt->state);
  random_text (oidc, attempt->nonce);
  random_text (oidc, attempt->verifier);
  snprintf (attempt->browser, sizeof attempt->browser, "%s", browser);
  snprintf (attempt->device, sizeof attempt->device, "%s", device);
  if (now_us < oidc->metadata_until_us) {
    redirect (oidc, visit, attempt);
    return;
  }
  Flight *flight = begin_flight (oidc, visit, attempt);
  if (!flight)
    return;
  flight->stage = FLIGHT_BEGIN;
  fetch_metadata (oidc);
  flight->fetch = oidc->metadata_fetch;
}

/* ---- back from it ---- */

/* Takes the attempt that STATE names, once. */
static bool
take_attempt (Oidc *oidc, const char *state, const char *browser, int64_t now_us, Attempt *out)
{
  for (size_t i = 0; i < oidc->n_attempts; i++) {
    const Attempt *attempt = &oidc->attempts[i];
    if (strcmp (attempt->state, state) != 0)
      continue;
    *out = *attempt;
    drop_attempt (oidc, i);
    return now_us < out->until_us && strcmp (out->browser, browser) == 0;
  }
  return false;
}

static void
ask_for_token (Oidc *oidc, Flight *flight, const char *code)
{
  const OidcConfig *config = &oidc->config;
  bool has_secret = config->client_secret && config->client_secret[0];
  Buffer form = {0}, pair = {0}, auth = {0};

  append_field (&form, "grant_type", "authorization_code");
  append_field (&form, "code", code);
  append_field (&form, "redirect_uri", oidc->redirect_uri);
  if (!has_secret || oidc->provider.secret_in_form)
    append_field (&form, "client_id", config->client_id);
  if (has_secret && oidc->provider.secret_in_form)
    append_field (&form, "client_secret", config->client_secret);
  buffer_append_format (&form, "code_verifier=%s", flight->attempt.verifier);
  if (has_secret && !oidc->provider.secret_in_form) {
    web_append_encoded (&pair, config->client_id);
    buffer_append_text (&pair, ":");
    web_append_encoded (&pair, config->client_secret);
    char *text = mem_new (base64_encoded_size (pair.size) + 1);
    base64_encode (pair.data, pair.size, text);
    buffer_append_format (&auth, "Basic %s", text);
    free_secret (text);
    sodium_memzero (pair.data, pair.size);
    buffer_free (&pair);
  }
  flight->stage = FLIGHT_TOKEN;
  flight->fetch = fetch (oidc, oidc->provider.token_url, take_text (&form),
                         auth.size > 0 ? take_text (&auth) : NULL);
}

void
oidc_return (Oidc *oidc, uint64_t visit, const char *browser, const char *query, WallTime wall,
             int64_t now_us)
{
  static const char again[] = "Go back to the device's sign-in page, and start there again.";
  Attempt attempt = {.device = ""};
  WebForm form;

  bool readable = web_form_parse (query, strlen (query), &form);
  const char *code = web_form_get (&form, "code"), *error = web_form_get (&form, "error");
  const char *issuer = web_form_get (&form, "iss");
  if (!readable || !take_attempt (oidc, web_form_get (&form, "state"), browser, now_us, &attempt))
    fail (oidc, visit, "",
          "This sign-in was used already, took too long, or began in another "
          "browser. %s",
          again);
  else if (issuer[0] && strcmp (issuer, oidc->config.issuer) != 0)
    fail (oidc, visit, attempt.device, "The answer came from another identity provider. %s", again);
  else if (error[0])
    fail (oidc, visit, attempt.device, "The identity provider did not sign you in (%.200s).",
          error);
  else if (!code[0] || strlen (code) > CODE_MAX)
    fail (oidc, visit, attempt.device, "The identity provider gave no code. %s", again);
  else {
    Flight *flight = begin_flight (oidc, visit, &attempt);
    if (flight)
      ask_for_token (oidc, flight, code);
  }
  web_form_clear (&form);
}

/* ---- answers ---- */

static void
finish (Oidc *oidc, Flight *flight)
{
  const OidcClaims *claims = &flight->claims;
  const char *who = claims->email[0]  ? claims->email
                    : claims->name[0] ? claims->name
                                      : "This account";

  if (!oidc_claims_allowed (claims, &oidc->config)) {
    fail_flight (oidc, flight,
                 "%s may not join this network. Ask whoever runs it, or sign in with another "
                 "account.",
                 who);
    return;
  }
  OidcAction *action = push (oidc, OIDC_ACTION_PERSON, flight->visit);
  OidcPerson *person = &action->person;
  snprintf (person->subject, sizeof person->subject, "%s %s", claims->issuer, claims->subject);
  if (claims->email_verified)
    memcpy (person->email, claims->email, sizeof person->email);
  memcpy (person->user_name, claims->user_name, sizeof person->user_name);
  memcpy (person->name, claims->name, sizeof person->name);
  memcpy (action->device, flight->attempt.device, sizeof action->device);
  end_flight (oidc, flight);
}

/* The token is genuine: is it right, and does it say enough? */
static void
judge (Oidc *oidc, Flight *flight, const Buffer *token, WallTime wall)
{
  const char *access_token = flight->access_token;
  const char *wrong = "it cannot be read";
  Buffer auth = {0};

  if (oidc_claims_read (&flight->claims, &oidc->config, token->data, token->size))
    wrong = oidc_claims_check (&flight->claims, &oidc->config, flight->attempt.nonce, access_token,
                               wall);
  if (wrong) {
    fail_flight (oidc, flight, "The identity provider's token was refused: %s.", wrong);
    return;
  }
  if (!oidc_claims_lack (&flight->claims, &oidc->config) || !oidc->provider.userinfo_url[0]
      || !access_token[0]) {
    finish (oidc, flight);
    return;
  }
  buffer_append_format (&auth, "Bearer %s", access_token);
  flight->stage = FLIGHT_USERINFO;
  flight->fetch = fetch (oidc, oidc->provider.userinfo_url, NULL, take_text (&auth));
}

/* FRESH: the keys were asked for because of this token. */
static void
open_token (Oidc *oidc, Flight *flight, bool fresh, WallTime wall)
{
  static const char *const reasons[] = {
      [JWT_OK] = "",
      [JWT_MALFORMED] = "it cannot be read",
      [JWT_ALGORITHM] = "it is not signed in a way that can be trusted",
      [JWT_UNKNOWN_KEY] = "nobody knows the key that signed it",
      [JWT_FORGED] = "its signature is wrong",
  };
  Buffer claims = {0};
  JwtResult result = JWT_UNKNOWN_KEY;

  if (oidc->keys)
    result = jwt_open (flight->id_token, strlen (flight->id_token), oidc->keys, &claims);
  /* Providers change their keys, sometimes without changing their names. A token comes from the
   * provider itself, so that asking once for each cannot be made to do harm. */
  bool may_be_old = result == JWT_UNKNOWN_KEY || result == JWT_FORGED;
  if (result == JWT_OK) {
    judge (oidc, flight, &claims, wall);
  } else if (may_be_old && !fresh) {
    flight->stage = FLIGHT_KEYS;
    fetch_keys (oidc);
    flight->fetch = oidc->keys_fetch;
  } else {
    fail_flight (oidc, flight, "The identity provider's token was refused: %s.", reasons[result]);
  }
  buffer_free (&claims);
}

static char *
copy_string (JsonReader *r, size_t max)
{
  JsonString s = json_reader_string (r);

  return mem_strndup (s.text ? s.text : "", s.length <= max ? s.length : 0);
}

static void
take_token (Oidc *oidc, Flight *flight, const char *body, size_t size, WallTime wall)
{
  JsonString name;
  JsonReader r;

  json_reader_init (&r, body, size);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    if (json_string_equal (name, "id_token") && !flight->id_token)
      flight->id_token = copy_string (&r, JWT_MAX);
    else if (json_string_equal (name, "access_token") && !flight->access_token)
      flight->access_token = copy_string (&r, CODE_MAX);
    else
      json_reader_skip (&r);
  }
  bool ok = json_reader_end (&r) && flight->id_token && flight->id_token[0];
  json_reader_clear (&r);
  if (!flight->access_token)
    flight->access_token = mem_strndup ("", 0);
  if (strpbrk (flight->access_token, "\r\n"))
    flight->access_token[0] = '\0';
  if (ok)
    open_token (oidc, flight, false, wall);
  else
    fail_flight (oidc, flight, "%s", "The identity provider gave no token.");
}

/* Without it the person may still be known well enough. */
static void
take_userinfo (Oidc *oidc, Flight *flight, int status, const char *body, size_t size)
{
  OidcClaims *told = mem_new (sizeof *told);

  if (status == 200 && oidc_claims_read (told, &oidc->config, body, size)
      && strcmp (told->subject, flight->claims.subject) == 0)
    oidc_claims_read (&flight->claims, &oidc->config, body, size);
  free (told);
  finish (oidc, flight);
}

static void
take_metadata (Oidc *oidc, Flight *flight, bool ok)
{
  if (ok) {
    redirect (oidc, flight->visit, &flight->attempt);
    end_flight (oidc, flight);
  } else {
    fail_flight (oidc, flight,
                 "The identity provider %s cannot be reached, or is not one. Try again later, or "
                 "use a password or a one-time code.",
                 oidc->config.issuer);
  }
}

static void
take_keys (Oidc *oidc, int status, const char *body, size_t size)
{
  JwtKeys *keys = status == 200 ? jwt_keys_parse (body, size) : NULL;

  if (!keys)
    return;
  jwt_keys_free (oidc->keys);
  oidc->keys = keys;
}

static void
land (Oidc *oidc, Flight *flight, int status, const char *body, size_t size, WallTime wall,
      int64_t now_us)
{
  switch (flight->stage) {
    case FLIGHT_BEGIN:
      take_metadata (oidc, flight, now_us < oidc->metadata_until_us);
      break;
    case FLIGHT_TOKEN:
      if (status == 200)
        take_token (oidc, flight, body, size, wall);
      else
        fail_flight (oidc, flight, "%s",
                     status == 0 ? "The identity provider does not answer. Try again later."
                                 : "The identity provider refused the sign-in. Start again at the "
                                   "device's sign-in page.");
      break;
    case FLIGHT_KEYS:
      open_token (oidc, flight, true, wall);
      break;
    case FLIGHT_USERINFO:
      take_userinfo (oidc, flight, status, body, size);
      break;
  }
}

void
oidc_fetched (Oidc *oidc, uint64_t number, int status, const char *body, size_t size, WallTime wall,
              int64_t now_us)
{
  if (number == oidc->metadata_fetch) {
    oidc->metadata_fetch = 0;
    bool ok
        = status == 200 && oidc_provider_read (&oidc->provider, oidc->config.issuer, body, size);
    oidc->metadata_until_us = ok ? now_us + METADATA_US : 0;
  } else if (number == oidc->keys_fetch) {
    oidc->keys_fetch = 0;
    take_keys (oidc, status, body, size);
  }
  /* One answer may end several flights; a landing never begins one that waits for this number. */
  for (size_t i = 0; i < oidc->n_flights;) {
    Flight *flight = oidc->flights[i];
    if (flight->fetch == number)
      land (oidc, flight, status, body, size, wall, now_us);
    else
      i++;
  }
}
