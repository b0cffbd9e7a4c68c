/* The control server's URL, the ports it is dialled on, and the URLs it may send us
 * (control-protocol.md §3, §4.1, §12.3). Pure text; any thread. */
#pragma once

#include "wire/http-url.h"

#define CONTROL_PATH_MAX 256

/* The control server's. */
typedef struct
{
  HttpUrl http;
  char path[CONTROL_PATH_MAX]; /* "" or "/prefix", no trailing slash */
} ControlUrl;

/* 0 means: not dialled. */
typedef struct
{
  uint16_t plain;
  uint16_t tls;
} ControlPorts;

/* Parses an http or https URL and normalises synonyms of the hosted service. False: not one. */
bool control_url_parse (const char *text, ControlUrl *out);

/* The port matrix of §4.1 without the official quirk (§18.9). */
ControlPorts control_url_ports (const ControlUrl *url);

/* True when a page that the server names may be opened in a browser: https (http only when the
 * control URL is http), printable, and on tailscale.com when the server is Tailscale's. */
bool control_url_may_open (const ControlUrl *control, const char *page);
