/* What an identity provider says about a person, in a token or at its userinfo endpoint. The first
 * line of the input is the token's, the rest is userinfo. */
#include "coordinator/oidc-claims.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static const char *const groups[] = {"family", NULL};
static const char *const domains[] = {"burrow.example", NULL};
static const char *const emails[] = {"fiver@warren.example", NULL};

static const OidcConfig config = {
    .issuer = "https://id.example",
    .client_id = "warren",
    .allowed_domains = domains,
    .allowed_emails = emails,
    .allowed_groups = groups,
};

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const uint8_t *line = size > 0 ? memchr (data, '\n', size) : NULL;
  size_t first = line ? (size_t)(line - data) : size;
  OidcClaims *claims = calloc (1, sizeof *claims);

  if (!claims)
    return 0;
  if (oidc_claims_read (claims, &config, data, first)) {
    const char *wrong
        = oidc_claims_check (claims, &config, "nonce", "at", (WallTime){.seconds = 1800000000});
    if (!wrong)
      assert (claims->for_us && strcmp (claims->nonce, "nonce") == 0 && claims->subject[0]);
    oidc_claims_lack (claims, &config);
    if (line)
      oidc_claims_read (claims, &config, line + 1, size - first - 1);
    if (oidc_claims_allowed (claims, &config))
      assert (claims->in_group && claims->email_verified && strchr (claims->email, '@'));
  }
  free (claims);
  return 0;
}
