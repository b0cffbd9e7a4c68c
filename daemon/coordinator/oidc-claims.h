/* What an identity provider says about a person, and whether that is enough (OpenID Connect Core
 * 1.0 §3.1.3.7, §5.1). Used by oidc.c alone; pure. */
#pragma once

#include "coordinator/oidc.h"

#define OIDC_GROUPS_MAX 256
#define OIDC_LEEWAY_S   60        /* clocks may differ by so much */
#define OIDC_AGE_S      (10 * 60) /* of a fresh token */

typedef struct
{
  char issuer[OIDC_TEXT_MAX], subject[OIDC_TEXT_MAX], party[OIDC_TEXT_MAX], nonce[OIDC_TEXT_MAX];
  char access_hash[OIDC_TEXT_MAX];
  char email[OIDC_TEXT_MAX], user_name[OIDC_TEXT_MAX], name[OIDC_TEXT_MAX];
  bool email_verified;
  bool for_us; /* our client id is in the audience */
  size_t n_audiences;
  int64_t issued_s, expires_s, not_before_s; /* 0: not said */
  bool has_groups;
  bool in_group; /* in one of those that are allowed */
} OidcClaims;

/* Adds what the JSON object DATA says to CLAIMS; what is there already stays. False: not JSON. */
bool oidc_claims_read (OidcClaims *claims, const OidcConfig *config, const void *data, size_t size);

/* NULL, or what is wrong with an ID token that was just issued. */
const char *oidc_claims_check (const OidcClaims *claims, const OidcConfig *config,
                               const char *nonce, const char *access_token, WallTime now);

/* Something that the configuration asks for was not said. */
bool oidc_claims_lack (const OidcClaims *claims, const OidcConfig *config);

/* By the lists of the configuration: one of domains or addresses, and one of the groups. */
bool oidc_claims_allowed (const OidcClaims *claims, const OidcConfig *config);
