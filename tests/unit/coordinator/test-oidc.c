/* Sign-in by an identity provider, with the test as the provider: honest, mistaken and forging. */

#include "token-maker.h"

#include "base/wall-time.h"
#include "coordinator/oidc.h"
#include "coordinator/web.h"

#include <sodium.h>
#include <string.h>

#define ISSUER  "https://id.example"
#define BROWSER "0123456789abcdef0123456789abcdef"
#define DEVICE  "00112233445566778899aabbccddeeff"
#define NOW     1800000000

static TokenKey key, next_key, ec_key;
static const char metadata[]
    = "{\"issuer\":\"" ISSUER "\",\"authorization_endpoint\":\"" ISSUER "/auth?tenant=1\","
      "\"token_endpoint\":\"" ISSUER "/token\",\"jwks_uri\":\"" ISSUER "/keys\","
      "\"userinfo_endpoint\":\"" ISSUER "/me\"}";

typedef struct
{
  SeededRandom random;
  OidcConfig config;
  Oidc *oidc;
  int64_t now_us;
  OidcAction action;
  WebForm sent; /* what the browser was sent to the provider with */
} Rig;

static void
rig_open (Rig *rig)
{
  static const char *const domains[] = {"burrow.example", NULL};

  *rig = (Rig){.now_us = USEC_PER_SEC};
  rig->config = (OidcConfig){
      .issuer = ISSUER,
      .client_id = "warren",
      .client_secret = "a secret: 1+1",
      .allowed_domains = domains,
  };
  seeded_random_init (&rig->random, 7);
}

static void
rig_start (Rig *rig)
{
  rig->oidc = oidc_new (&rig->config, "https://net.example/oidc/callback", &rig->random.base);
}

static void
rig_close (Rig *rig)
{
  oidc_action_clear (&rig->action);
  g_assert_false (oidc_next_action (rig->oidc, &rig->action));
  web_form_clear (&rig->sent);
  oidc_free (rig->oidc);
}

static OidcAction *
next (Rig *rig, OidcActionType type)
{
  oidc_action_clear (&rig->action);
  g_assert_true (oidc_next_action (rig->oidc, &rig->action));
  if (rig->action.type == OIDC_ACTION_FAILED && type != OIDC_ACTION_FAILED)
    g_test_message ("failed: %s", rig->action.text);
  g_assert_cmpint (rig->action.type, ==, type);
  return &rig->action;
}

static void
give (Rig *rig, uint64_t number, int status, const char *body)
{
  WallTime wall = {.seconds = NOW};

  oidc_fetched (rig->oidc, number, status, body, strlen (body), wall, rig->now_us);
}

/* Asks for the request at hand to be answered so. */
static void
answer (Rig *rig, const char *url, int status, const char *body)
{
  OidcAction *action = next (rig, OIDC_ACTION_FETCH);

  g_assert_cmpstr (action->url, ==, url);
  give (rig, action->number, status, body);
}

/* Up to the browser at the provider. */
static void
go (Rig *rig)
{
  web_form_clear (&rig->sent);
  oidc_begin (rig->oidc, 1, BROWSER, DEVICE, rig->now_us);
  oidc_action_clear (&rig->action);
  g_assert_true (oidc_next_action (rig->oidc, &rig->action));
  if (rig->action.type == OIDC_ACTION_FETCH) {
    g_assert_cmpstr (rig->action.url, ==, ISSUER "/.well-known/openid-configuration");
    give (rig, rig->action.number, 200, metadata);
    next (rig, OIDC_ACTION_REDIRECT);
  }
  g_assert_true (g_str_has_prefix (rig->action.url, ISSUER "/auth?tenant=1&"));
  const char *query = web_query (rig->action.url);
  g_assert_true (web_form_parse (query, strlen (query), &rig->sent));
}

static void
come_back (Rig *rig, const char *browser, const char *state, const char *more)
{
  g_autofree char *query = g_strdup_printf ("state=%s&%s", state, more);
  WallTime wall = {.seconds = NOW};

  oidc_return (rig->oidc, 2, browser, query, wall, rig->now_us);
}

/* The claims of an honest token; MORE stands before them: the first of two counts. */
static char *
claims (const Rig *rig, const char *more)
{
  return g_strdup_printf ("{%s\"iss\":\"" ISSUER "\",\"sub\":\"h1\",\"aud\":\"warren\","
                          "\"iat\":%d,\"exp\":%d,\"nonce\":\"%s\",\"name\":\"Hazel\","
                          "\"email\":\"hazel@burrow.example\",\"email_verified\":true}",
                          more, NOW, NOW + 300, web_form_get (&rig->sent, "nonce"));
}

/* The provider's whole answer, and the keys when they are asked for. */
static void
hand_over (Rig *rig, const TokenKey *signer, const char *payload)
{
  g_autofree char *token = token_make (signer, NULL, payload);
  g_autofree char *body = g_strdup_printf ("{\"id_token\":\"%s\",\"access_token\":\"at\"}", token);
  g_autofree char *set = token_key_set (&key, 1);

  come_back (rig, BROWSER, web_form_get (&rig->sent, "state"), "code=c0de");
  answer (rig, ISSUER "/token", 200, body);
  oidc_action_clear (&rig->action);
  g_assert_true (oidc_next_action (rig->oidc, &rig->action));
  if (rig->action.type == OIDC_ACTION_FETCH && strcmp (rig->action.url, ISSUER "/keys") == 0) {
    give (rig, rig->action.number, 200, set);
    oidc_action_clear (&rig->action);
    g_assert_true (oidc_next_action (rig->oidc, &rig->action));
  }
}

/* ---- tests ---- */

static void
test_whole_way (void)
{
  uint8_t digest[32];
  char challenge[64];
  Rig rig;

  rig_open (&rig);
  rig_start (&rig);
  go (&rig);
  g_assert_cmpstr (web_form_get (&rig.sent, "response_type"), ==, "code");
  g_assert_cmpstr (web_form_get (&rig.sent, "client_id"), ==, "warren");
  g_assert_cmpstr (web_form_get (&rig.sent, "scope"), ==, "openid email profile");
  g_assert_cmpstr (web_form_get (&rig.sent, "redirect_uri"), ==,
                   "https://net.example/oidc/callback");
  g_assert_cmpstr (web_form_get (&rig.sent, "code_challenge_method"), ==, "S256");
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=a%20b&iss=https://id.example");
  OidcAction *action = next (&rig, OIDC_ACTION_FETCH);
  g_assert_cmpstr (action->url, ==, ISSUER "/token");
  /* "warren:a%20secret%3A%201%2B1" */
  g_assert_cmpstr (action->auth, ==, "Basic d2FycmVuOmElMjBzZWNyZXQlM0ElMjAxJTJCMQ==");
  WebForm form;
  g_assert_true (web_form_parse (action->form, strlen (action->form), &form));
  g_assert_cmpstr (web_form_get (&form, "grant_type"), ==, "authorization_code");
  g_assert_cmpstr (web_form_get (&form, "code"), ==, "a b");
  g_assert_cmpstr (web_form_get (&form, "client_secret"), ==, "");
  const char *verifier = web_form_get (&form, "code_verifier");
  g_assert_cmpuint (strlen (verifier), >=, 43);
  crypto_hash_sha256 (digest, (const uint8_t *)verifier, strlen (verifier));
  sodium_bin2base64 (challenge, sizeof challenge, digest, 32,
                     sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  g_assert_cmpstr (web_form_get (&rig.sent, "code_challenge"), ==, challenge);
  web_form_clear (&form);
  g_autofree char *payload = claims (&rig, "");
  g_autofree char *token = token_make (&key, NULL, payload);
  g_autofree char *body = g_strdup_printf ("{\"id_token\":\"%s\"}", token);
  g_autofree char *set = token_key_set (&key, 1);
  give (&rig, action->number, 200, body);
  answer (&rig, ISSUER "/keys", 200, set);
  action = next (&rig, OIDC_ACTION_PERSON);
  g_assert_cmpuint (action->number, ==, 2);
  g_assert_cmpstr (action->device, ==, DEVICE);
  g_assert_cmpstr (action->person.subject, ==, ISSUER " h1");
  g_assert_cmpstr (action->person.email, ==, "hazel@burrow.example");
  g_assert_cmpstr (action->person.name, ==, "Hazel");
  rig_close (&rig);
}

static void
test_forged_claims (void)
{
  static const struct
  {
    const char *more, *why;
  } cases[] = {
      {"\"iss\":\"https://id.example/\",", "another issuer"},
      {"\"iss\":\"https://evil.example\",", "another issuer"},
      {"\"nonce\":\"replayed\",", "asked for"},
      {"\"azp\":\"other\",", "another program"},
      {"\"at_hash\":\"AAAAAAAAAAAAAAAAAAAAAA\",", "access token"},
  };
  static const struct
  {
    const char *from, *to, *why;
  } changes[] = {
      {"\"aud\":\"warren\"", "\"aud\":\"other\"", "another program"},
      {"\"aud\":\"warren\"", "\"aud\":[]", "another program"},
      {"\"aud\":\"warren\"", "\"aud\":[\"warren\",\"other\"]", "several programs"},
      {"\"aud\":\"warren\"", "\"aud\":\"warren \"", "another program"},
      {"\"sub\":\"h1\"", "\"sub\":\"\"", "names nobody"},
      {"\"sub\":\"h1\"", "\"sub\":7", "names nobody"},
      {"\"iat\":1800000000", "\"iat\":1799990000", "too old"},
      {"\"iat\":1800000000", "\"iat\":1800009000", "future"},
      {"\"iat\":1800000000", "\"iat\":\"now\"", "too old"},
      {"\"exp\":1800000300", "\"exp\":1799999900", "expired"},
      {"\"exp\":1800000300", "\"exp\":null", "expired"},
      {"\"exp\":1800000300", "\"exp\":1800000300,\"nbf\":1800009000", "future"},
      {"\"email_verified\":true", "\"email_verified\":false", "may not join"},
      {"\"email_verified\":true", "\"email_verified\":\"no\"", "may not join"},
      {"hazel@burrow.example", "hazel@evil.example", "may not join"},
      {"hazel@burrow.example", "hazel@burrow.example.evil.example", "may not join"},
      {"hazel@burrow.example", "hazel@evilburrow.example", "may not join"},
      {"hazel@burrow.example", "hazel@burrow.example@evil.example", "may not join"},
      {"hazel@burrow.example", "burrow.example", "may not join"},
      {"\"nonce\"", "\"nonsense\"", "asked for"},
  };
  Rig rig;

  rig_open (&rig);
  rig_start (&rig);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    go (&rig);
    g_autofree char *payload = claims (&rig, cases[i].more);
    hand_over (&rig, &key, payload);
    g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_FAILED);
    g_assert_nonnull (strstr (rig.action.text, cases[i].why));
  }
  for (size_t i = 0; i < G_N_ELEMENTS (changes); i++) {
    go (&rig);
    g_autofree char *honest = claims (&rig, "");
    g_auto (GStrv) parts = g_strsplit (honest, changes[i].from, 2);
    g_assert_nonnull (parts[1]);
    g_autofree char *payload = g_strjoinv (changes[i].to, parts);
    hand_over (&rig, &key, payload);
    if (rig.action.type == OIDC_ACTION_FETCH) { /* more is asked of the person */
      give (&rig, rig.action.number, 404, "");
      next (&rig, OIDC_ACTION_FAILED);
    }
    g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_FAILED);
    g_test_message ("%s: %s", changes[i].to, rig.action.text);
    g_assert_nonnull (strstr (rig.action.text, changes[i].why));
  }
  go (&rig); /* and after all that an honest one */
  g_autofree char *payload = claims (&rig, "\"azp\":\"warren\",");
  hand_over (&rig, &key, payload);
  g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_PERSON);
  rig_close (&rig);
}

static void
test_answers_serve_once (void)
{
  Rig rig;

  rig_open (&rig);
  rig_start (&rig);
  come_back (&rig, BROWSER, "guess", "code=c");
  next (&rig, OIDC_ACTION_FAILED);
  come_back (&rig, BROWSER, "", "code=c");
  next (&rig, OIDC_ACTION_FAILED);
  /* Another browser: somebody was sent the link of an attacker's sign-in. */
  go (&rig);
  come_back (&rig, "ffffffffffffffffffffffffffffffff", web_form_get (&rig.sent, "state"), "code=c");
  next (&rig, OIDC_ACTION_FAILED);
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=c");
  next (&rig, OIDC_ACTION_FAILED);
  /* A second time. */
  go (&rig);
  g_autofree char *payload = claims (&rig, "");
  hand_over (&rig, &key, payload);
  g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_PERSON);
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=c0de");
  next (&rig, OIDC_ACTION_FAILED);
  /* Too late. */
  go (&rig);
  rig.now_us += OIDC_ATTEMPT_US;
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=c");
  next (&rig, OIDC_ACTION_FAILED);
  /* Another provider's answer (RFC 9207), an error, no code. */
  go (&rig);
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=c&iss=https://evil.example");
  next (&rig, OIDC_ACTION_FAILED);
  go (&rig);
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "error=access_denied");
  g_assert_nonnull (strstr (next (&rig, OIDC_ACTION_FAILED)->text, "access_denied"));
  go (&rig);
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=");
  g_assert_cmpstr (next (&rig, OIDC_ACTION_FAILED)->device, ==, DEVICE);
  rig_close (&rig);
}

static void
test_metadata (void)
{
  static const char *const bad[] = {
      "",
      "[]",
      "{}",
      "{\"issuer\":\"https://evil.example\",\"authorization_endpoint\":\"https://id.example/a\","
      "\"token_endpoint\":\"https://id.example/t\",\"jwks_uri\":\"https://id.example/k\"}",
      "{\"issuer\":\"https://id.example\",\"authorization_endpoint\":\"http://id.example/a\","
      "\"token_endpoint\":\"https://id.example/t\",\"jwks_uri\":\"https://id.example/k\"}",
      "{\"issuer\":\"https://id.example\",\"authorization_endpoint\":\"javascript:alert(1)\","
      "\"token_endpoint\":\"https://id.example/t\",\"jwks_uri\":\"https://id.example/k\"}",
      "{\"issuer\":\"https://id.example\",\"authorization_endpoint\":\"https://id.example/a\","
      "\"token_endpoint\":\"file:///etc/passwd\",\"jwks_uri\":\"https://id.example/k\"}",
  };
  Rig rig;

  rig_open (&rig);
  rig_start (&rig);
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    oidc_begin (rig.oidc, 1, BROWSER, DEVICE, rig.now_us);
    answer (&rig, ISSUER "/.well-known/openid-configuration", 200, bad[i]);
    g_assert_nonnull (strstr (next (&rig, OIDC_ACTION_FAILED)->text, "cannot be reached"));
  }
  /* Several wait for one answer; it is asked for once. */
  for (int i = 0; i < 3; i++)
    oidc_begin (rig.oidc, 10 + (uint64_t)i, BROWSER, "", rig.now_us);
  answer (&rig, ISSUER "/.well-known/openid-configuration", 200, metadata);
  for (int i = 0; i < 3; i++)
    next (&rig, OIDC_ACTION_REDIRECT);
  go (&rig);
  g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_REDIRECT);
  rig_close (&rig);
}

static void
test_key_rotation (void)
{
  Rig rig;

  rig_open (&rig);
  rig_start (&rig);
  go (&rig);
  g_autofree char *first = claims (&rig, "");
  hand_over (&rig, &key, first);
  g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_PERSON);
  /* Not among the keys that the provider has now: asked for once. */
  go (&rig);
  g_autofree char *second = claims (&rig, "");
  hand_over (&rig, &next_key, second);
  g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_FAILED);
  go (&rig);
  g_autofree char *third = claims (&rig, "");
  g_autofree char *token = token_make (&next_key, NULL, third);
  g_autofree char *body = g_strdup_printf ("{\"id_token\":\"%s\"}", token);
  g_autofree char *set = token_key_set ((TokenKey[]){key, next_key, ec_key}, 3);
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=c");
  answer (&rig, ISSUER "/token", 200, body);
  answer (&rig, ISSUER "/keys", 200, set);
  next (&rig, OIDC_ACTION_PERSON);
  go (&rig);
  g_autofree char *fourth = claims (&rig, "");
  hand_over (&rig, &ec_key, fourth);
  g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_PERSON);
  /* Keys that cannot be had: the old ones stay. */
  TokenKey stranger = {next_key.key, "stranger", "RS256"};
  go (&rig);
  g_autofree char *fifth = claims (&rig, "");
  g_autofree char *odd = token_make (&stranger, NULL, fifth);
  g_autofree char *odd_body = g_strdup_printf ("{\"id_token\":\"%s\"}", odd);
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=c");
  answer (&rig, ISSUER "/token", 200, odd_body);
  answer (&rig, ISSUER "/keys", 500, "");
  next (&rig, OIDC_ACTION_FAILED);
  go (&rig);
  g_autofree char *sixth = claims (&rig, "");
  hand_over (&rig, &key, sixth);
  g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_PERSON);
  rig_close (&rig);
}

static char *
bare_claims (const Rig *rig)
{
  return g_strdup_printf ("{\"iss\":\"" ISSUER "\",\"sub\":\"h1\",\"aud\":[\"warren\"],"
                          "\"iat\":%d.25,\"exp\":%d,\"nonce\":\"%s\"}",
                          NOW, NOW + 300, web_form_get (&rig->sent, "nonce"));
}

static void
test_userinfo (void)
{
  static const char *const groups[] = {"family", NULL};
  static const struct
  {
    const char *told;
    bool allowed;
  } cases[] = {
      {"{\"sub\":\"h1\",\"email\":\"a@burrow.example\",\"email_verified\":true,"
       "\"groups\":[\"guests\",\"family\"]}",
       true},
      {"{\"sub\":\"h2\",\"email\":\"a@burrow.example\",\"email_verified\":true,"
       "\"groups\":[\"family\"]}",
       false}, /* somebody else's */
      {"{\"email\":\"a@burrow.example\",\"email_verified\":true,\"groups\":[\"family\"]}", false},
      {"{\"sub\":\"h1\",\"email\":\"a@burrow.example\",\"groups\":[\"family\"]}", false},
      {"{\"sub\":\"h1\",\"email\":\"a@burrow.example\",\"email_verified\":true,"
       "\"groups\":[\"family2\",\"famil\",{\"a\":1},null]}",
       false},
      {"{\"sub\":\"h1\",\"email\":\"a@burrow.example\",\"email_verified\":true,\"groups\":{}}",
       false},
      {"<html>", false},
  };
  Rig rig;

  rig_open (&rig);
  rig.config.allowed_groups = groups;
  rig_start (&rig);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    go (&rig);
    g_autofree char *payload = bare_claims (&rig);
    hand_over (&rig, &key, payload);
    g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_FETCH);
    g_assert_cmpstr (rig.action.url, ==, ISSUER "/me");
    g_assert_cmpstr (rig.action.auth, ==, "Bearer at");
    give (&rig, rig.action.number, 200, cases[i].told);
    next (&rig, cases[i].allowed ? OIDC_ACTION_PERSON : OIDC_ACTION_FAILED);
  }
  rig_close (&rig);
}

static void
test_lists (void)
{
  static const char *const emails[] = {"FIVER@warren.example", "hazel@burrow.example", NULL};
  static const char *const domains[] = {"Burrow.Example", NULL};
  Rig rig;

  rig_open (&rig);
  rig.config.allowed_domains = domains;
  rig.config.allowed_emails = emails;
  rig_start (&rig);
  for (size_t i = 0; i < 3; i++) {
    static const char *const more[]
        = {"", "\"email\":\"fiver@Warren.example\",", "\"email\":\"bigwig@warren.example\","};
    go (&rig);
    g_autofree char *payload = claims (&rig, more[i]);
    hand_over (&rig, &key, payload);
    g_assert_cmpint (rig.action.type, ==, i < 2 ? OIDC_ACTION_PERSON : OIDC_ACTION_FAILED);
  }
  rig_close (&rig);
  /* Without lists everybody may whom the provider knows; an address that is not verified is none.
   */
  rig_open (&rig);
  rig.config.allowed_domains = NULL;
  rig_start (&rig);
  go (&rig);
  g_autofree char *honest = claims (&rig, "");
  g_auto (GStrv) parts = g_strsplit (honest, "\"email_verified\":true", 2);
  g_autofree char *payload = g_strjoinv ("\"email_verified\":false", parts);
  hand_over (&rig, &key, payload);
  g_assert_cmpint (rig.action.type, ==, OIDC_ACTION_PERSON);
  g_assert_cmpstr (rig.action.person.email, ==, "");
  rig_close (&rig);
}

static void
test_is_bounded (void)
{
  Rig rig;
  size_t failed = 0;

  rig_open (&rig);
  rig_start (&rig);
  for (int i = 0; i < OIDC_FLIGHTS_MAX + 5; i++)
    oidc_begin (rig.oidc, (uint64_t)i, BROWSER, "", rig.now_us);
  OidcAction *fetch = next (&rig, OIDC_ACTION_FETCH);
  uint64_t number = fetch->number;
  for (OidcAction action; oidc_next_action (rig.oidc, &action); oidc_action_clear (&action))
    failed += action.type == OIDC_ACTION_FAILED;
  g_assert_cmpuint (failed, ==, 5);
  give (&rig, number, 200, metadata);
  for (OidcAction action; oidc_next_action (rig.oidc, &action);)
    oidc_action_clear (&action);
  go (&rig);
  for (int i = 0; i < OIDC_ATTEMPTS_MAX; i++) {
    oidc_begin (rig.oidc, 9, BROWSER, "", rig.now_us);
    next (&rig, OIDC_ACTION_REDIRECT);
  }
  come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=c"); /* the oldest went */
  next (&rig, OIDC_ACTION_FAILED);
  give (&rig, 4711, 200, "{}"); /* nobody asked */
  rig_close (&rig);
}

static void
test_token_answers (void)
{
  static const struct
  {
    int status;
    const char *body;
  } answers[] = {
      {0, ""},
      {400, "{\"error\":\"invalid_grant\"}"},
      {302, ""},
      {200, ""},
      {200, "{}"},
      {200, "{\"id_token\":7}"},
      {200, "{\"id_token\":\"\"}"},
      {200, "{\"access_token\":\"a\"}"},
  };
  Rig rig;

  rig_open (&rig);
  rig_start (&rig);
  for (size_t i = 0; i < G_N_ELEMENTS (answers); i++) {
    go (&rig);
    come_back (&rig, BROWSER, web_form_get (&rig.sent, "state"), "code=c");
    answer (&rig, ISSUER "/token", answers[i].status, answers[i].body);
    g_assert_cmpstr (next (&rig, OIDC_ACTION_FAILED)->device, ==, DEVICE);
  }
  rig_close (&rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  key = token_key_new ("RS256", "one");
  next_key = token_key_new ("RS256", "two");
  ec_key = token_key_new ("ES256", "three");
  g_test_add_func ("/oidc/signs-a-person-in", test_whole_way);
  g_test_add_func ("/oidc/refuses-forged-claims", test_forged_claims);
  g_test_add_func ("/oidc/answers-serve-one-browser-once", test_answers_serve_once);
  g_test_add_func ("/oidc/takes-only-the-issuers-own-metadata", test_metadata);
  g_test_add_func ("/oidc/follows-new-keys", test_key_rotation);
  g_test_add_func ("/oidc/asks-userinfo-for-what-is-missing", test_userinfo);
  g_test_add_func ("/oidc/lists-say-who-may-come", test_lists);
  g_test_add_func ("/oidc/is-bounded", test_is_bounded);
  g_test_add_func ("/oidc/survives-every-answer-of-the-token-endpoint", test_token_answers);
  int result = g_test_run ();
  token_key_clear (&key);
  token_key_clear (&next_key);
  token_key_clear (&ec_key);
  return result;
}
