/* The parts of an http or https URL (RFC 3986, as far as servers and proxies are named by one).
 * Pure text; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HTTP_HOST_MAX   256
#define HTTP_TARGET_MAX 2048

/* Any http or https URL. */
typedef struct
{
  bool https;
  char host[HTTP_HOST_MAX];          /* without brackets */
  uint16_t port;                     /* as written, or 80/443 */
  bool port_given;                   /* written, and not the scheme's own */
  char authority[HTTP_HOST_MAX + 8]; /* host, bracketed if IPv6, with a non-default port */
  char target[HTTP_TARGET_MAX];      /* path and query, "/" at least; no fragment */
} HttpUrl;

/* Splits TEXT; false when it is not an http or https URL, or has a user part or odd characters. */
bool http_url_parse (const char *text, HttpUrl *out);
