/* Requests of web browsers, taken apart, and the answers to them put together: forms, queries and
 * cookies, escaped HTML, headers (spec/control-protocol.md §17.4).
 *
 * Bytes in, bytes out; knows nothing of accounts or devices. Every limit on what comes from outside
 * is named here. Any thread. */
#pragma once

#include "base/ip.h"
#include "wire/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEB_FIELDS_MAX 32          /* fields of a form or query that are looked at */
#define WEB_FORM_MAX   (16u << 10) /* bytes of a form or query */
#define WEB_COOKIE_MAX 4096        /* bytes of a Cookie header */
#define WEB_HTML       "text/html; charset=utf-8"

/* A request; everything is borrowed. */
typedef struct
{
  const char *method;
  const char *path;   /* with its query */
  const char *cookie; /* Cookie header, "" for none */
  const char *site;   /* Sec-Fetch-Site header, "" for none */
  const void *body;
  size_t size;
  IpAddr from; /* the browser, or the proxy before it */
} WebRequest;

/* Decoded "a=b&c=d": texts are UTF-8 without NUL and control characters but tab and newlines. */
typedef struct
{
  char *text; /* memory of all names and values */
  const char *names[WEB_FIELDS_MAX];
  const char *values[WEB_FIELDS_MAX];
  size_t n;
} WebForm;

/* False, and an empty form, when it is too long, has too many fields or is badly encoded. */
bool web_form_parse (const void *data, size_t size, WebForm *form);
/* The first field called NAME, "" when there is none. */
const char *web_form_get (const WebForm *form, const char *name);
void web_form_clear (WebForm *form);

/* The part of PATH behind '?', "" for none. */
const char *web_query (const char *path);
/* True when PATH up to its query is NAME. */
bool web_path_is (const char *path, const char *name);

/* The value of the first cookie NAME in HEADER; false when there is none that fits OUT. */
bool web_cookie_get (const char *header, const char *name, char *out, size_t size);

/* Text inside HTML, in an element or a quoted attribute. */
void web_append_escaped (Buffer *out, const char *text);
/* Text inside a query. */
void web_append_encoded (Buffer *out, const char *text);

/* An answer: status, headers in their wire form and body; zero is ready. */
typedef struct
{
  int status;
  const char *type;
  Buffer headers; /* "Name: value\r\n", NUL-free */
  Buffer body;
} WebResponse;

/* 303 (or 302) to LOCATION. */
void web_redirect (WebResponse *response, int status, const char *location);
/* A cookie of the whole site that scripts cannot read; MAX_AGE_S 0 deletes it, < 0: till the
 * browser ends. */
void web_set_cookie (WebResponse *response, const char *name, const char *value, int max_age_s,
                     bool secure);
void web_response_clear (WebResponse *response);
