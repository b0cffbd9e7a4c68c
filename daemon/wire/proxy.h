/* HTTP proxies on the way to the control server and to relays (control-protocol.md §4.5, derp.md
 * §3.2): which one a connection takes, and the request that opens a way through it.
 *
 * Pure: settings and destination in, decision and bytes out. Any thread. */
#pragma once

#include "wire/buffer.h"
#include "wire/http-url.h"
#include "wire/http1.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct
{
  const char *https_proxy; /* for TLS; NULL or "": none */
  const char *http_proxy;  /* for plain HTTP */
  const char *no_proxy;    /* comma list of names, suffixes, addresses, prefixes, or "*" */
} ProxySettings;

typedef struct
{
  char host[HTTP_HOST_MAX];
  uint16_t port;
  char authorization[512]; /* "Basic …"; "" when the proxy's URL names nobody */
} Proxy;

typedef enum
{
  PROXY_DIRECT,
  PROXY_USE,
  PROXY_BAD, /* the setting is not an http:// URL */
} ProxyChoice;

/* Loopback destinations are never proxied. */
ProxyChoice
proxy_choose (const ProxySettings *settings, bool tls, const char *host, uint16_t port, Proxy *out);

/* Appends to OUT the request for a way through PROXY to HOST and PORT (RFC 9110 §9.3.6). */
void proxy_ask (const Proxy *proxy, const char *host, uint16_t port, Buffer *out);

/* The answer in IN. HTTP1_DONE: the way is open, what is left in IN came through it. HTTP1_BAD:
 * TEXT (SIZE bytes) says to a person why not. */
Http1Result proxy_answer (const Proxy *proxy, Buffer *in, char *text, size_t size);
