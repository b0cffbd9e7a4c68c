#include "control/url.h"

#include "base/ip.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool
control_url_parse (const char *text, ControlUrl *out)
{
  *out = (ControlUrl){0};
  if (!http_url_parse (text, &out->http) || strchr (out->http.target, '?')
      || strlen (out->http.target) >= sizeof out->path)
    return false;
  memcpy (out->path, out->http.target, strlen (out->http.target) + 1);
  for (size_t n = strlen (out->path); n > 0 && out->path[n - 1] == '/'; n--)
    out->path[n - 1] = '\0';
  if (strcasecmp (out->http.host, "login.tailscale.com") == 0)
    return control_url_parse ("https://controlplane.tailscale.com", out);
  return true;
}

static bool
is_private_host (const char *host)
{
  IpAddr ip;

  if (strcasecmp (host, "localhost") == 0)
    return true;
  return ip_parse (host, strlen (host), &ip) && (ip_is_private (&ip) || ip_is_loopback (&ip));
}

ControlPorts
control_url_ports (const ControlUrl *url)
{
  const HttpUrl *http = &url->http;

  if (http->https)
    return (ControlPorts){.plain = http->port_given ? 0 : 80, .tls = http->port};
  return (ControlPorts){.plain = http->port, .tls = is_private_host (http->host) ? 0 : 443};
}

static bool
ends_with (const char *text, const char *end)
{
  size_t n = strlen (text), m = strlen (end);

  return n >= m && strcasecmp (text + n - m, end) == 0;
}

bool
control_url_may_open (const ControlUrl *control, const char *page)
{
  HttpUrl url;

  if (!http_url_parse (page, &url) || (!url.https && control->http.https))
    return false;
  if (ends_with (control->http.host, ".tailscale.com"))
    return strcasecmp (url.host, "tailscale.com") == 0 || ends_with (url.host, ".tailscale.com");
  return true;
}
