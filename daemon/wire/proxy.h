/* Which proxy a connection takes: HTTP CONNECT, the same inside TLS, or SOCKS5
 * (control-protocol.md §4.5). Pure text: settings and destination in, decision out; how to speak
 * to it is wire/proxy-layer.h. Any thread. */
#pragma once

#include "wire/http-url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_USER_MAX          256 /* user and password each, with the NUL (RFC 1929) */
#define PROXY_AUTHORIZATION_MAX 704 /* "Basic …" with the NUL */

/* URLs; NULL or "": none. They may hold passwords: never log them. */
typedef struct
{
  const char *https_proxy; /* for TLS */
  const char *http_proxy;  /* for plain HTTP */
  const char *no_proxy;    /* comma list of names, suffixes, addresses, prefixes, or "*" */
} ProxySettings;

typedef enum
{
  PROXY_HTTP,
  PROXY_HTTPS,
  PROXY_SOCKS5,
} ProxyKind;

typedef struct
{
  ProxyKind kind;
  char host[HTTP_HOST_MAX];
  uint16_t port;
  bool has_user;
  char user[PROXY_USER_MAX];
  char password[PROXY_USER_MAX];
} Proxy;

typedef enum
{
  PROXY_DIRECT,
  PROXY_USE,
  PROXY_BAD, /* the setting is not a proxy's URL */
} ProxyChoice;

/* Loopback destinations are never proxied. */
ProxyChoice
proxy_choose (const ProxySettings *settings, bool tls, const char *host, uint16_t port, Proxy *out);

/* Splits "http://", "https://", "socks5://" or "socks5h://" [user[:password]@]host[:port]; without
 * a scheme it is http. False: not one. */
bool proxy_parse (const char *url, Proxy *out);

/* URL without the password in it, for people to see; cut to SIZE bytes with the NUL. */
void proxy_hide_password (const char *url, char *out, size_t size);

/* The value of Proxy-Authorization; "" when the proxy's URL names nobody. */
void proxy_authorization (const Proxy *proxy, char out[PROXY_AUTHORIZATION_MAX]);
