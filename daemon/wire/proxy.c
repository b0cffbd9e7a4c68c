#include "wire/proxy.h"

#include "base/bytes.h"
#include "base/ip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int
hex_value (char c)
{
  uint8_t byte;
  char pair[2] = {'0', c};

  return hex_decode (pair, 2, &byte, 1) ? byte : -1;
}

/* Undoes percent-encoding; false when there is no room, or something that no user types. */
static bool
decode_percent (const char *text, size_t length, char *out, size_t size)
{
  size_t n = 0;

  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    if (c == '%' && i + 2 < length && hex_value (text[i + 1]) >= 0
        && hex_value (text[i + 2]) >= 0) {
      c = (char)(hex_value (text[i + 1]) << 4 | hex_value (text[i + 2]));
      i += 2;
    }
    if (n + 1 >= size || (unsigned char)c < ' ')
      return false;
    out[n++] = c;
  }
  out[n] = '\0';
  return true;
}

/* What the URL names before the '@'. */
static bool
parse_user (const char *text, size_t length, Proxy *out)
{
  const char *colon = memchr (text, ':', length);
  size_t user = colon ? (size_t)(colon - text) : length;

  out->has_user = true;
  return decode_percent (text, user, out->user, sizeof out->user)
         && (!colon
             || decode_percent (colon + 1, length - user - 1, out->password, sizeof out->password));
}

static const struct
{
  const char *prefix;
  ProxyKind kind;
  uint16_t port;
} schemes[] = {
    {"http://", PROXY_HTTP, 80},
    {"https://", PROXY_HTTPS, 443},
    {"socks5://", PROXY_SOCKS5, 1080},
    {"socks5h://", PROXY_SOCKS5, 1080}, /* the proxy resolves in either case */
};

bool
proxy_parse (const char *text, Proxy *out)
{
  char url[HTTP_HOST_MAX + 32];
  HttpUrl parsed;
  size_t scheme = 0;

  *out = (Proxy){.kind = PROXY_HTTP};
  if (strstr (text, "://")) {
    while (scheme < sizeof schemes / sizeof *schemes
           && strncasecmp (text, schemes[scheme].prefix, strlen (schemes[scheme].prefix)) != 0)
      scheme++;
    if (scheme == sizeof schemes / sizeof *schemes)
      return false;
    text += strlen (schemes[scheme].prefix);
  }
  size_t length = strcspn (text, "/");
  const char *at = memrchr (text, '@', length);
  if (at && !parse_user (text, (size_t)(at - text), out))
    return false;
  const char *host = at ? at + 1 : text;
  length -= (size_t)(host - text);
  if (length > HTTP_HOST_MAX)
    return false;
  snprintf (url, sizeof url, "http://%.*s", (int)length, host);
  if (!http_url_parse (url, &parsed))
    return false;
  memcpy (out->host, parsed.host, sizeof out->host);
  out->kind = schemes[scheme].kind;
  /* no port, and not ":80" either */
  bool written = host[length - 1] != ']' && memchr (host, ':', length) != NULL
                 && (host[0] != '[' || memrchr (host, ':', length) > memchr (host, ']', length));
  out->port = written ? parsed.port : schemes[scheme].port;
  return true;
}

void
proxy_authorization (const Proxy *proxy, char out[PROXY_AUTHORIZATION_MAX])
{
  char plain[2 * PROXY_USER_MAX];

  out[0] = '\0';
  if (!proxy->has_user)
    return;
  int n = snprintf (plain, sizeof plain, "%s:%s", proxy->user, proxy->password);
  memcpy (out, "Basic ", 6);
  base64_encode (plain, (size_t)n, out + 6);
  explicit_bzero (plain, sizeof plain);
}

static bool
matches (const char *entry, size_t length, const char *host, const IpAddr *ip, uint16_t port)
{
  char text[HTTP_HOST_MAX];
  IpPrefix prefix;
  IpPort address;

  if (length == 0 || length >= sizeof text)
    return false;
  memcpy (text, entry, length);
  text[length] = '\0';
  if (strcmp (text, "*") == 0)
    return true;
  if (ip->family != 0) {
    if (ip_port_parse (text, length, &address))
      return ip_equal (&address.addr, ip) && address.port == port;
    return ip_prefix_parse (text, length, &prefix) && ip_prefix_contains (&prefix, ip);
  }
  char *colon = strchr (text, ':');
  if (colon) {
    if (atoi (colon + 1) != port)
      return false;
    *colon = '\0';
  }
  const char *name = text[0] == '.' ? text + 1 : text;
  size_t n = strlen (name), m = strlen (host);
  if (n == 0 || m < n || strcasecmp (host + m - n, name) != 0)
    return false;
  return m == n ? text[0] != '.' : host[m - n - 1] == '.';
}

static bool
excepted (const char *no_proxy, const char *host, const IpAddr *ip, uint16_t port)
{
  while (no_proxy && *no_proxy) {
    size_t length = strcspn (no_proxy, ", ");
    if (matches (no_proxy, length, host, ip, port))
      return true;
    no_proxy += length;
    no_proxy += strspn (no_proxy, ", ");
  }
  return false;
}

ProxyChoice
proxy_choose (const ProxySettings *settings, bool tls, const char *host, uint16_t port, Proxy *out)
{
  const char *setting = tls ? settings->https_proxy : settings->http_proxy;
  IpAddr ip = {0};

  if (!setting || *setting == '\0')
    return PROXY_DIRECT;
  if (!ip_parse (host, strlen (host), &ip))
    ip = (IpAddr){0};
  if (strcasecmp (host, "localhost") == 0 || (ip.family != 0 && ip_is_loopback (&ip))
      || excepted (settings->no_proxy, host, &ip, port))
    return PROXY_DIRECT;
  return proxy_parse (setting, out) ? PROXY_USE : PROXY_BAD;
}

void
proxy_hide_password (const char *url, char *out, size_t size)
{
  const char *scheme = strstr (url, "://");
  const char *user = scheme ? scheme + 3 : url;
  const char *at = memrchr (user, '@', strcspn (user, "/"));
  const char *colon = at ? memchr (user, ':', (size_t)(at - user)) : NULL;

  if (colon)
    snprintf (out, size, "%.*s%s", (int)(colon - url), url, at);
  else
    snprintf (out, size, "%s", url);
}
