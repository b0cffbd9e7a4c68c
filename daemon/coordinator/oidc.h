/* Sign-in by an identity provider: OpenID Connect with the authorization code flow and PKCE.
 *
 * No I/O: the requests that are to be made come out as actions, and what the provider answered goes
 * in as bytes. Decides whether a token is genuine, fresh and meant for us, and whether the person
 * it names may come in; not what that person then may do. OpenID Connect Core 1.0 §3.1,
 * Discovery 1.0 §4, RFC 7636, RFC 7517. State thread. */
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "base/wall-time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an administrator sets; borrowed while the core lives. */
typedef struct
{
  const char *issuer; /* URL; NULL: no identity provider */
  const char *client_id;
  const char *client_secret;          /* "" or NULL: a public client */
  const char *scopes;                 /* NULL: "openid email profile" */
  const char *const *allowed_domains; /* of verified e-mail addresses; NULL-ended lists, */
  const char *const *allowed_emails;  /* NULL: none */
  const char *const *allowed_groups;  /* by the claim "groups" */
  int64_t expiry_days; /* life of the keys of devices that join by it; 0: as others */
} OidcConfig;

#define OIDC_ATTEMPTS_MAX 512 /* people on their way to the provider; the oldest goes */
#define OIDC_FLIGHTS_MAX  32  /* requests under way; what is more is refused */
#define OIDC_ATTEMPT_US   (10 * 60 * USEC_PER_SEC)
#define OIDC_DEVICE_MAX   33 /* text of a device's id */
#define OIDC_TEXT_MAX     256
#define OIDC_BROWSER_SIZE 33

typedef struct Oidc Oidc;

/* Who came back from the provider. */
typedef struct
{
  char subject[2 * OIDC_TEXT_MAX]; /* "ISSUER SUBJECT": never changes */
  char email[OIDC_TEXT_MAX];       /* verified, else "" */
  char user_name[OIDC_TEXT_MAX];   /* what the provider calls them, or "" */
  char name[OIDC_TEXT_MAX];        /* for people to read, or "" */
} OidcPerson;

typedef enum
{
  OIDC_ACTION_FETCH,    /* make a request, and give its answer to oidc_fetched */
  OIDC_ACTION_REDIRECT, /* send the browser to url */
  OIDC_ACTION_PERSON,   /* somebody signed in */
  OIDC_ACTION_FAILED,   /* somebody did not; text says why and what to do */
} OidcActionType;

typedef struct
{
  OidcActionType type;
  uint64_t number; /* FETCH: of the request; else the visit that it answers */
  char *url;       /* FETCH, REDIRECT */
  char *form;      /* FETCH: body of a POST, or NULL */
  char *auth;      /* FETCH: Authorization header, or NULL */
  char *text;      /* FAILED */
  OidcPerson person;
  char device[OIDC_DEVICE_MAX]; /* PERSON, FAILED: that they wanted to let in, "" */
} OidcAction;

/* REDIRECT_URI: where the provider sends browsers back to. */
Oidc *oidc_new (const OidcConfig *config, const char *redirect_uri, Random *random);
void oidc_free (Oidc *oidc);

/* The browser that BROWSER names (its cookie) wants to sign in for DEVICE ("" for none). */
void
oidc_begin (Oidc *oidc, uint64_t visit, const char *browser, const char *device, int64_t now_us);
/* It came back with the QUERY of the redirect. */
void oidc_return (Oidc *oidc, uint64_t visit, const char *browser, const char *query, WallTime wall,
                  int64_t now_us);
/* The answer to a request; STATUS 0: there was none. */
void oidc_fetched (Oidc *oidc, uint64_t number, int status, const char *body, size_t size,
                   WallTime wall, int64_t now_us);

bool oidc_next_action (Oidc *oidc, OidcAction *action);
void oidc_action_clear (OidcAction *action);
