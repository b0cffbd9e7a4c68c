#include "wire/http-url.h"

#include "base/ip.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
is_clean (const char *text)
{
  for (; *text; text++)
    if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 127 || strchr ("\"<>\\^`{|}", *text))
      return false;
  return true;
}

static bool
parse_port (const char *text, size_t length, uint16_t *port)
{
  unsigned value = 0;

  if (length == 0 || length > 5)
    return false;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9')
      return false;
    value = value * 10 + (unsigned)(text[i] - '0');
  }
  *port = (uint16_t)value;
  return value > 0 && value < 65536;
}

/* "host", "host:port", "[::1]", "[::1]:port" */
static bool
parse_authority (const char *text, size_t length, HttpUrl *out)
{
  bool bracketed = length > 0 && text[0] == '[';
  const char *end = bracketed ? memchr (text, ']', length) : memchr (text, ':', length);
  const char *host = text + bracketed;
  IpAddr ip;

  if (bracketed && !end)
    return false;
  size_t host_length = end ? (size_t)(end - host) : length;
  const char *rest = end ? end + bracketed : text + length;
  if (host_length == 0 || host_length >= sizeof out->host || memchr (text, '@', length))
    return false;
  memcpy (out->host, host, host_length);
  out->host[host_length] = '\0';
  if (bracketed && (!ip_parse (out->host, host_length, &ip) || ip_bits (&ip) != 128))
    return false;

  out->port = out->https ? 443 : 80;
  if (rest < text + length) {
    uint16_t standard = out->port;
    if (*rest != ':' || !parse_port (rest + 1, (size_t)(text + length - rest) - 1, &out->port))
      return false;
    out->port_given = out->port != standard;
  }
  const char *format = bracketed ? "[%s]" : "%s";
  int n = snprintf (out->authority, sizeof out->authority, format, out->host);
  if (out->port_given)
    snprintf (out->authority + n, sizeof out->authority - (size_t)n, ":%u", out->port);
  return true;
}

bool
http_url_parse (const char *text, HttpUrl *out)
{
  *out = (HttpUrl){0};
  if (strncasecmp (text, "https://", 8) == 0)
    out->https = true;
  else if (strncasecmp (text, "http://", 7) != 0)
    return false;
  if (!is_clean (text))
    return false;
  text += out->https ? 8 : 7;
  size_t length = strcspn (text, "/?#");
  if (!parse_authority (text, length, out))
    return false;
  text += length;
  size_t target = strcspn (text, "#");
  if (target + 2 > sizeof out->target)
    return false;
  snprintf (out->target, sizeof out->target, "%s%.*s", *text == '/' ? "" : "/", (int)target, text);
  return true;
}
