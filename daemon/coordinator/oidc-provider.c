#include "coordinator/oidc-provider.h"

#include "wire/json-reader.h"

#include <string.h>

/* Copies a URL of the metadata; it must be as safe as the issuer's own. */
static void
read_url (const char *issuer, JsonReader *r, char out[OIDC_URL_MAX])
{
  JsonString s = json_reader_string (r);
  size_t scheme = strcspn (issuer, ":") + 1;

  out[0] = '\0';
  if (!s.text || s.length >= OIDC_URL_MAX || memchr (s.text, '\0', s.length)
      || memchr (s.text, '\r', s.length) || memchr (s.text, '\n', s.length))
    return;
  if (strncmp (s.text, "https:", 6) != 0 && strncmp (s.text, issuer, scheme) != 0)
    return;
  memcpy (out, s.text, s.length);
  out[s.length] = '\0';
}

/* Secrets go into the form only when the provider takes them nowhere else. */
static void
read_methods (OidcProvider *provider, JsonReader *r)
{
  bool basic = false, post = false;

  json_reader_enter_array (r);
  while (json_reader_next_element (r)) {
    JsonString s = json_reader_string (r);
    basic |= json_string_equal (s, "client_secret_basic");
    post |= json_string_equal (s, "client_secret_post");
  }
  provider->secret_in_form = post && !basic;
}

bool
oidc_provider_read (OidcProvider *provider, const char *issuer, const void *data, size_t size)
{
  bool right_issuer = false;
  JsonString name;
  JsonReader r;

  json_reader_init (&r, data, size);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    if (json_string_equal (name, "issuer"))
      right_issuer = json_string_equal (json_reader_string (&r), issuer);
    else if (json_string_equal (name, "authorization_endpoint"))
      read_url (issuer, &r, provider->authorize_url);
    else if (json_string_equal (name, "token_endpoint"))
      read_url (issuer, &r, provider->token_url);
    else if (json_string_equal (name, "jwks_uri"))
      read_url (issuer, &r, provider->keys_url);
    else if (json_string_equal (name, "userinfo_endpoint"))
      read_url (issuer, &r, provider->userinfo_url);
    else if (json_string_equal (name, "token_endpoint_auth_methods_supported"))
      read_methods (provider, &r);
    else
      json_reader_skip (&r);
  }
  bool ok = json_reader_end (&r) && right_issuer && provider->authorize_url[0]
            && provider->token_url[0] && provider->keys_url[0];
  json_reader_clear (&r);
  return ok;
}
