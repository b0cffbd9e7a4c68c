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

/* Undoes percent-encoding; false when there is no room. */
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
    if (n + 1 >= size)
      return false;
    out[n++] = c;
  }
  out[n] = '\0';
  return true;
}

static bool
parse (const char *setting, Proxy *out)
{
  char url[1024], user[256] = "";
  const char *rest = setting;
  HttpUrl parsed;

  *out = (Proxy){0};
  if (strncasecmp (rest, "http://", 7) == 0)
    rest += 7;
  else if (strstr (rest, "://"))
    return false;
  const char *end = rest + strcspn (rest, "/");
  const char *at = memrchr (rest, '@', (size_t)(end - rest));
  if (at && !decode_percent (rest, (size_t)(at - rest), user, sizeof user))
    return false;
  snprintf (url, sizeof url, "http://%s", at ? at + 1 : rest);
  if (!http_url_parse (url, &parsed))
    return false;
  memcpy (out->host, parsed.host, sizeof out->host);
  out->port = parsed.port;
  if (at) {
    size_t n = strlen (user);
    memcpy (out->authorization, "Basic ", 6);
    base64_encode (user, n, out->authorization + 6);
  }
  return true;
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
  return parse (setting, out) ? PROXY_USE : PROXY_BAD;
}

void
proxy_ask (const Proxy *proxy, const char *host, uint16_t port, Buffer *out)
{
  const char *format = strchr (host, ':') ? "[%s]:%u" : "%s:%u";
  char target[HTTP_HOST_MAX + 16];

  snprintf (target, sizeof target, format, host, port);
  buffer_append_format (out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target);
  if (proxy->authorization[0] != '\0')
    buffer_append_format (out, "Proxy-Authorization: %s\r\n", proxy->authorization);
  buffer_append_text (out, "\r\n");
}

Http1Result
proxy_answer (const Proxy *proxy, Buffer *in, char *text, size_t size)
{
  Http1Head head;

  http1_head_init (&head, false);
  Http1Result result = http1_head_parse (&head, in->data, in->size);
  if (result == HTTP1_DONE && head.status == 200) {
    buffer_consume (in, head.body_offset);
    return HTTP1_DONE;
  }
  if (result == HTTP1_DONE)
    snprintf (text, size, "the proxy %s refused: HTTP status %d", proxy->host, head.status);
  else if (result == HTTP1_BAD)
    snprintf (text, size, "the proxy %s does not speak HTTP", proxy->host);
  return result == HTTP1_MORE ? HTTP1_MORE : HTTP1_BAD;
}
