/* What an identity provider and its guests send: metadata, token answers, keys, claims, tokens, and
 * queries of returning browsers. Input: pieces of a letter that says what it is, two bytes of size,
 * and so many bytes. */
#include "base/bytes.h"
#include "base/memory.h"
#include "coordinator/jwt.h"
#include "coordinator/oidc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static const char *const groups[] = {"family", NULL};
static const char *const domains[] = {"burrow.example", NULL};

static const OidcConfig config = {
    .issuer = "https://id.example",
    .client_id = "warren",
    .client_secret = "secret",
    .allowed_domains = domains,
    .allowed_groups = groups,
};

/* What the core wants is remembered: numbers of open requests, and the state that a browser has. */
typedef struct
{
  Oidc *oidc;
  uint64_t fetch;
  char state[64];
} Rig;

static void
take_actions (Rig *rig)
{
  OidcAction action;

  while (oidc_next_action (rig->oidc, &action)) {
    const char *state = action.url ? strstr (action.url, "&state=") : NULL;
    if (action.type == OIDC_ACTION_FETCH)
      rig->fetch = action.number;
    if (action.type == OIDC_ACTION_REDIRECT && state) {
      memcpy (rig->state, state + 7, 43);
      assert (!strpbrk (action.url, "\r\n"));
    }
    if (action.type == OIDC_ACTION_PERSON)
      assert (strncmp (action.person.subject, "https://id.example ", 19) == 0);
    oidc_action_clear (&action);
  }
}

static void
play (Rig *rig, char what, const char *text, size_t size)
{
  WallTime wall = {.seconds = 1800000000};
  Buffer query = {0}, claims = {0};
  JwtKeys *keys;

  switch (what) {
    case 'b':
      oidc_begin (rig->oidc, 1, "browser", text, USEC_PER_SEC);
      break;
    case 'q':
      oidc_return (rig->oidc, 2, "browser", text, wall, USEC_PER_SEC);
      break;
    case 'r': /* with the right state in front */
      buffer_append_format (&query, "state=%s&%s", rig->state, text);
      buffer_append (&query, "", 1);
      oidc_return (rig->oidc, 2, "browser", (char *)query.data, wall, USEC_PER_SEC);
      buffer_free (&query);
      break;
    case 'k':
      keys = jwt_keys_parse (text, size);
      if (keys)
        assert (jwt_keys_count (keys) <= JWT_KEYS_MAX);
      jwt_keys_free (keys);
      break;
    case 't':
      keys = jwt_keys_parse ("{\"keys\":[]}", 11);
      assert (jwt_open (text, size, keys, &claims) != JWT_OK);
      assert (claims.size == 0);
      jwt_keys_free (keys);
      break;
    default:
      oidc_fetched (rig->oidc, rig->fetch, what == 'f' ? 404 : 200, text, size, wall, USEC_PER_SEC);
  }
  take_actions (rig);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  ByteReader r = byte_reader (data, size);
  SeededRandom random;
  Rig rig = {0};

  seeded_random_init (&random, 1);
  rig.oidc = oidc_new (&config, "https://net.example/oidc/callback", &random.base);
  while (byte_reader_left (&r) >= 3) {
    char what = (char)byte_reader_u8 (&r);
    size_t n = byte_reader_be16 (&r);
    if (n > byte_reader_left (&r))
      n = byte_reader_left (&r);
    const uint8_t *piece = byte_reader_take (&r, n);
    char *text = mem_strndup (piece ? (const char *)piece : "", n);
    play (&rig, what, text, n);
    free (text);
  }
  oidc_free (rig.oidc);
  return 0;
}
