#include "session/proxies.h"

#include <stdlib.h>
#include <string.h>

/* The lower case comes first: a web server may set HTTP_PROXY from what a request says. */
static const char *
from_environment (const char *lower, const char *upper)
{
  const char *value = getenv (lower);

  if (!value)
    value = getenv (upper);
  return value && *value != '\0' ? value : NULL;
}

ProxySettings
proxies_for (const Preferences *prefs)
{
  if (strcmp (prefs->proxy, PREFERENCES_PROXY_NONE) == 0)
    return (ProxySettings){0};
  const char *no_proxy = from_environment ("no_proxy", "NO_PROXY");
  if (prefs->proxy[0] != '\0')
    return (ProxySettings){
        .https_proxy = prefs->proxy, .http_proxy = prefs->proxy, .no_proxy = no_proxy};
  return (ProxySettings){.https_proxy = from_environment ("https_proxy", "HTTPS_PROXY"),
                         .http_proxy = from_environment ("http_proxy", "HTTP_PROXY"),
                         .no_proxy = no_proxy};
}
