/* What the relay answers to HTTP requests before a connection speaks DERP (spec/derp.md §3.5-§3.7).
 *
 * Pure: bytes of a request in, bytes of an answer and what follows from it out. Any thread. */
#pragma once

#include "coordinator/relay-client.h"
#include "wire/http1.h"

typedef enum
{
  RELAY_HTTP_MORE, /* the head is not complete */
  RELAY_HTTP_NEXT, /* answered; another request may follow */
  RELAY_HTTP_OVER, /* answered, or not worth an answer; close */
  RELAY_HTTP_DERP, /* frames follow */
  RELAY_HTTP_WEB_SOCKET,
} RelayHttpResult;

/* Reads the request at DATA and answers it to OUT; *USED is its size. NOT_IDEAL is set when the
 * client would rather be at another node. PLAIN: without TLS, nothing but the check for captive
 * portals. */
RelayHttpResult relay_http_answer (const RelayIdentity *identity, const uint8_t *data, size_t size,
                                   bool plain, Buffer *out, size_t *used, bool *not_ideal);
