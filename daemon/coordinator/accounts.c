#include "coordinator/accounts.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/memory.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BYTES  16
#define SECRET_SIZE  32
#define SESSIONS_MAX 256
#define GUESSERS_MAX 1024
#define CODE_LETTERS 10 /* 50 bits */

/* From one network: ten at once, then one each ten seconds. At one account: ten, then one a minute.
 */
#define GUESSES          10
#define GUESS_FROM_US    (10 * USEC_PER_SEC)
#define GUESS_ACCOUNT_US (60 * USEC_PER_SEC)

typedef struct
{
  uint8_t hash[BLAKE2S_SIZE]; /* of the token */
  UserId user;
  int64_t until_us;
} Session;

/* When all guesses of one network or at one account are given back. */
typedef struct
{
  uint8_t name[16];
  int64_t free_us;
} Guesser;

struct Accounts
{
  Random *random;
  uint8_t secret[SECRET_SIZE];
  Session sessions[SESSIONS_MAX]; /* oldest first */
  size_t n_sessions;
  Guesser guessers[GUESSERS_MAX];
  size_t n_guessers;
};

Accounts *
accounts_new (Random *random)
{
  Accounts *accounts = mem_new (sizeof *accounts);

  accounts->random = random;
  random_fill (random, accounts->secret, sizeof accounts->secret);
  return accounts;
}

void
accounts_free (Accounts *accounts)
{
  sodium_memzero (accounts, sizeof *accounts);
  free (accounts);
}

/* ---- sessions ---- */

void
accounts_stranger (Accounts *accounts, char token[ACCOUNTS_TOKEN_MAX])
{
  uint8_t bytes[TOKEN_BYTES];

  random_fill (accounts->random, bytes, sizeof bytes);
  hex_encode (bytes, sizeof bytes, token);
}

bool
accounts_is_token (const char *text)
{
  uint8_t bytes[TOKEN_BYTES];

  return hex_decode (text, strlen (text), bytes, sizeof bytes);
}

static void
hash_token (const char *token, uint8_t out[BLAKE2S_SIZE])
{
  blake2s (&(Slice){token, strlen (token)}, 1, out);
}

static void
drop_session (Accounts *accounts, size_t index)
{
  accounts->n_sessions--;
  memmove (accounts->sessions + index, accounts->sessions + index + 1,
           (accounts->n_sessions - index) * sizeof *accounts->sessions);
}

void
accounts_sign_in (Accounts *accounts, UserId user, int64_t now_us, char token[ACCOUNTS_TOKEN_MAX])
{
  if (accounts->n_sessions == SESSIONS_MAX)
    drop_session (accounts, 0);
  accounts_stranger (accounts, token);
  Session *session = &accounts->sessions[accounts->n_sessions++];
  hash_token (token, session->hash);
  session->user = user;
  session->until_us = now_us + ACCOUNTS_SESSION_US;
}

static size_t
find_session (const Accounts *accounts, const char *token)
{
  uint8_t hash[BLAKE2S_SIZE];
  size_t i = 0;

  hash_token (token, hash);
  while (i < accounts->n_sessions && memcmp (accounts->sessions[i].hash, hash, sizeof hash) != 0)
    i++;
  return i;
}

UserId
accounts_user (Accounts *accounts, const char *token, int64_t now_us)
{
  while (accounts->n_sessions > 0 && accounts->sessions[0].until_us <= now_us)
    drop_session (accounts, 0);
  size_t i = find_session (accounts, token);
  return i < accounts->n_sessions ? accounts->sessions[i].user : 0;
}

void
accounts_sign_out (Accounts *accounts, const char *token)
{
  size_t i = find_session (accounts, token);

  if (i < accounts->n_sessions)
    drop_session (accounts, i);
}

void
accounts_sign_out_user (Accounts *accounts, UserId user)
{
  for (size_t i = accounts->n_sessions; i > 0; i--)
    if (accounts->sessions[i - 1].user == user)
      drop_session (accounts, i - 1);
}

/* ---- forms ---- */

void
accounts_form_token (const Accounts *accounts, const char *cookie, const char *form,
                     char out[ACCOUNTS_TOKEN_MAX])
{
  uint8_t mac[BLAKE2S_SIZE];
  Slice parts[] = {{cookie, strlen (cookie) + 1}, {form, strlen (form)}};

  hmac_blake2s (accounts->secret, sizeof accounts->secret, parts, 2, mac);
  hex_encode (mac, TOKEN_BYTES, out);
}

bool
accounts_form_valid (const Accounts *accounts, const char *cookie, const char *form,
                     const char *token)
{
  char right[ACCOUNTS_TOKEN_MAX];

  accounts_form_token (accounts, cookie, form, right);
  return accounts_is_token (cookie) && strlen (token) == strlen (right)
         && sodium_memcmp (token, right, sizeof right - 1) == 0;
}

/* ---- guesses ---- */

static Guesser *
find_guesser (Accounts *accounts, const uint8_t name[16], int64_t now_us)
{
  Guesser *oldest = &accounts->guessers[0];

  for (size_t i = 0; i < accounts->n_guessers; i++) {
    Guesser *guesser = &accounts->guessers[i];
    if (memcmp (guesser->name, name, sizeof guesser->name) == 0)
      return guesser;
    if (guesser->free_us < oldest->free_us)
      oldest = guesser;
  }
  if (accounts->n_guessers < GUESSERS_MAX)
    oldest = &accounts->guessers[accounts->n_guessers++];
  memcpy (oldest->name, name, sizeof oldest->name);
  oldest->free_us = now_us;
  return oldest;
}

static bool
take_guess (Accounts *accounts, const uint8_t name[16], int64_t each_us, int64_t now_us)
{
  Guesser *guesser = find_guesser (accounts, name, now_us);

  if (guesser->free_us < now_us)
    guesser->free_us = now_us;
  if (guesser->free_us + each_us > now_us + GUESSES * each_us)
    return false;
  guesser->free_us += each_us;
  return true;
}

static void
name_of_user (UserId user, uint8_t out[16])
{
  memset (out, 0xff, 16); /* no address that anybody has */
  store_be64 (out + 8, (uint64_t)user);
}

bool
accounts_may_guess_from (Accounts *accounts, const IpAddr *address, int64_t now_us)
{
  uint8_t name[16];

  ip_to_mapped (address, name);
  if (address->family == 6)
    memset (name + 8, 0, 8); /* one subscriber has a whole /64 */
  return take_guess (accounts, name, GUESS_FROM_US, now_us);
}

bool
accounts_may_guess (Accounts *accounts, UserId user, int64_t now_us)
{
  uint8_t name[16];

  name_of_user (user, name);
  return take_guess (accounts, name, GUESS_ACCOUNT_US, now_us);
}

void
accounts_guessed_right (Accounts *accounts, UserId user)
{
  uint8_t name[16];

  name_of_user (user, name);
  find_guesser (accounts, name, 0)->free_us = 0;
}

/* ---- codes ---- */

static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* none looks like another */

/* What counts of a code as it was typed; false when it is none. */
static bool
normal_code (const char *text, char out[CODE_LETTERS + 1])
{
  size_t n = 0;

  for (; *text; text++) {
    char c = (char)tolower ((unsigned char)*text);
    if (c == '-' || c == ' ')
      continue;
    if (n == CODE_LETTERS || !strchr (letters, c))
      return false;
    out[n++] = c;
  }
  out[n] = '\0';
  return n == CODE_LETTERS;
}

void
accounts_make_code (Random *random, CoUser *user, WallTime until, char text[ACCOUNTS_CODE_MAX])
{
  char code[CODE_LETTERS + 1] = "";

  for (size_t i = 0; i < CODE_LETTERS; i++)
    code[i] = letters[random_below (random, sizeof letters - 1)];
  blake2s (&(Slice){code, CODE_LETTERS}, 1, user->code_hash);
  user->code_until = until;
  memcpy (text, code, 5);
  text[5] = '-';
  memcpy (text + 6, code + 5, 6);
}

CoUser *
accounts_match_code (const CoModel *model, const char *text, WallTime now)
{
  char code[CODE_LETTERS + 1];
  uint8_t hash[BLAKE2S_SIZE];
  CoUser *found = NULL;

  if (!normal_code (text, code))
    return NULL;
  blake2s (&(Slice){code, CODE_LETTERS}, 1, hash);
  for (size_t i = 0; i < model->n_users; i++) {
    CoUser *user = model->users[i];
    if (!wall_time_is_unset (user->code_until) && wall_time_compare (now, user->code_until) < 0
        && sodium_memcmp (hash, user->code_hash, sizeof hash) == 0)
      found = user;
  }
  return found;
}

void
accounts_use_code (CoUser *user)
{
  memset (user->code_hash, 0, sizeof user->code_hash);
  user->code_until = wall_time_unset ();
}
