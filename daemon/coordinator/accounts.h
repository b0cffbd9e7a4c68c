/* Who is signed in at a browser, one-time codes, and how often somebody may guess.
 *
 * Sessions, guesses and the secret behind form tokens live as long as the process; passwords and
 * codes are kept with their user (model.h). Every table is bounded, and what strangers do never
 * pushes out a signed-in session. No I/O. State thread. */
#pragma once

#include "coordinator/model.h"

#define ACCOUNTS_TOKEN_MAX    33   /* text of a cookie or form token */
#define ACCOUNTS_CODE_MAX     12   /* "abcde-fghjk" */
#define ACCOUNTS_PASSWORD     1024 /* bytes of a password, at most */
#define ACCOUNTS_PASSWORD_MIN 10   /* characters of a new password, at least */
#define ACCOUNTS_SESSION_US   (60 * 60 * USEC_PER_SEC)
#define ACCOUNTS_CODE_US      (15 * 60 * USEC_PER_SEC)
#define ACCOUNTS_INVITE_US    (7 * 24 * 60 * 60 * USEC_PER_SEC)

typedef struct Accounts Accounts;

Accounts *accounts_new (Random *random);
void accounts_free (Accounts *accounts);

/* A cookie for a browser that is not signed in: remembered nowhere. */
void accounts_stranger (Accounts *accounts, char token[ACCOUNTS_TOKEN_MAX]);
/* True when TEXT has the form of a cookie of ours. */
bool accounts_is_token (const char *text);

/* Signs USER in; the oldest of too many sessions ends. */
void
accounts_sign_in (Accounts *accounts, UserId user, int64_t now_us, char token[ACCOUNTS_TOKEN_MAX]);
/* Whose session TOKEN is; 0: nobody's. */
UserId accounts_user (Accounts *accounts, const char *token, int64_t now_us);
void accounts_sign_out (Accounts *accounts, const char *token);
void accounts_sign_out_user (Accounts *accounts, UserId user);

/* The token that a form of FORM (its action) carries for the browser with the cookie COOKIE. */
void accounts_form_token (const Accounts *accounts, const char *cookie, const char *form,
                          char out[ACCOUNTS_TOKEN_MAX]);
bool accounts_form_valid (const Accounts *accounts, const char *cookie, const char *form,
                          const char *token);

/* One more guess from the network of ADDRESS, or at the password of USER (0: of nobody who exists);
 * false when there were too many lately. A right one takes the user's guesses back. */
bool accounts_may_guess_from (Accounts *accounts, const IpAddr *address, int64_t now_us);
bool accounts_may_guess (Accounts *accounts, UserId user, int64_t now_us);
void accounts_guessed_right (Accounts *accounts, UserId user);

/* A new code for USER, instead of an older one; TEXT is shown once. The caller saves the user. */
void
accounts_make_code (Random *random, CoUser *user, WallTime until, char text[ACCOUNTS_CODE_MAX]);
/* The user whose code TEXT is; NULL: no valid one. Blanks, hyphens and case do not matter. The
 * caller uses the code up. */
CoUser *accounts_match_code (const CoModel *model, const char *text, WallTime now);
void accounts_use_code (CoUser *user);
