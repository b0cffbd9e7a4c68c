/* Inside of sign-in: one request of a browser while it is answered, and what waits for work done
 * elsewhere (spec/control-protocol.md §17.4). State thread. */
#pragma once

#include "coordinator/accounts.h"
#include "coordinator/pages.h"
#include "coordinator/pending.h"

#define HASHES_MAX 8 /* password jobs under way */

/* Why a request waits for a job. */
typedef enum
{
  WAIT_DEVICE,       /* the password is right: decide about the device */
  WAIT_OLD_PASSWORD, /* the old password is right: hash the new one */
  WAIT_NEW_PASSWORD, /* it is hashed: keep it */
  WAIT_COMMAND,      /* the same, for a command */
} WaitKind;

typedef struct
{
  WaitKind kind;
  uint64_t job;
  uint64_t request;
  UserId user; /* 0: there is no such account */
  char cookie[ACCOUNTS_TOKEN_MAX];
  char *device; /* id */
  bool approve;
  char *code;         /* NEW_PASSWORD: one-time code that is used up then */
  char *new_password; /* OLD_PASSWORD */
  char *login;        /* as it was typed */
} Wait;

#define GUESTS_MAX 64

/* A browser whose request waits for the identity provider. */
typedef struct
{
  uint64_t request;
  char cookie[ACCOUNTS_TOKEN_MAX];
  bool new_cookie;
} Guest;

struct SignIn
{
  Accounts *accounts;
  Oidc *oidc; /* NULL: there is no identity provider */
  Guest guests[GUESTS_MAX];
  size_t n_guests;
  Wait waits[WORK_JOBS_MAX];
  size_t n_waits;
  uint64_t last_job;
};

/* One request while it is answered. */
typedef struct
{
  State *state;
  uint64_t request;
  const char *path;
  IpAddr from;
  char cookie[ACCOUNTS_TOKEN_MAX];
  bool new_cookie;
  CoUser *user; /* who is signed in; NULL: nobody */
  WebForm form;
  WebResponse response;
  char form_token[ACCOUNTS_TOKEN_MAX], out_token[ACCOUNTS_TOKEN_MAX];
  char provider[256];
} Visit;

/* What pages are given, with the token of a form whose action is FORM. */
Page visit_page (Visit *v, const char *form, const char *error);
/* Sends what is in v->response, or a whole page of a few words. */
void visit_send (Visit *v, int status);
void visit_message (Visit *v, int status, const char *title, const char *text);
void visit_redirect (Visit *v, const char *location);
/* The browser is USER's from here on. */
void visit_sign_in (Visit *v, CoUser *user);

/* A job with an id of its own; its wait, or NULL when too much is under way. The caller fills in
 * the rest of the job and pushes it. */
Wait *sign_in_wait (State *state, WaitKind kind, uint64_t request);
void sign_in_push_hash (State *state, const Wait *wait, const char *password, const char *hash);

/* Whether ROLE decides about other people's devices. */
bool sign_in_may_manage (PolicyRole role);

/* The routes. */
void device_show (Visit *v, Pending *pending, int status, const char *error);
void device_get (Visit *v, const char *id);
void device_post (Visit *v, const char *id);
void device_checked (Visit *v, const Wait *wait, bool right);
void password_get (Visit *v);
void password_post (Visit *v);
void password_checked (Visit *v, Wait *wait, bool right);
void password_hashed (Visit *v, const Wait *wait, const char *hash);

/* The identity provider (sign-in-oidc.c). */
Oidc *sign_in_oidc_new (const State *state, Random *random);
/* Its host, for people to read; NULL when there is none. */
const char *sign_in_provider (const State *state, char out[256]);
void oidc_get (Visit *v);
/* False: the result is not its. */
bool sign_in_oidc_worked (State *state, const WorkResult *result);

/* Who sent the form with its fields "login" and "secret": by a code at once (true, *USER), else a
 * job is begun with the wait KIND (true, *WAIT). False: it was answered already. */
bool sign_in_identify (Visit *v, WaitKind kind, CoUser **user, Wait **wait,
                       void (*again) (Visit *v, int status, const char *error));
