/* Which HTTP proxy a connection to the control server takes (control-protocol.md §4.5). Pure text:
 * settings and destination in, decision out. Any thread. */
#pragma once

#include "control/url.h"

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
  char host[CONTROL_HOST_MAX];
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
