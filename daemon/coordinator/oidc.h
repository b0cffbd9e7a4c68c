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
