/* HTTP/1.1 message heads and bodies, for the upgrade to Noise (control-protocol.md §5.1), the key
 * fetch (§3), the relay's upgrade (derp.md §3.5) and their servers.
 *
 * Not a general HTTP library: no folding, no trailers, no pipelining. The head parser works on the
 * caller's contiguous bytes and allocates nothing; bytes behind the head stay where they are, so
 * over-read bytes cannot be lost. Any thread. */
#pragma once

#include "wire/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP1_HEAD_MAX   16384 /* bytes of a head including its blank line */
#define HTTP1_FIELDS_MAX 64    /* header fields in a head */

typedef enum
{
  HTTP1_MORE, /* give more bytes */
  HTTP1_DONE,
  HTTP1_BAD, /* not HTTP/1.x, or a limit was passed; final */
} Http1Result;

/* A piece of the caller's bytes, not NUL-terminated. */
typedef struct
{
  const char *text;
  size_t length;
} Http1Text;

typedef struct
{
  Http1Text name;  /* case as sent */
  Http1Text value; /* without surrounding blanks */
} Http1Field;

typedef struct
{
  bool is_request;  /* role: parse a request line or a status line */
  int status;       /* response: 100..999 */
  Http1Text reason; /* response, may be empty */
  Http1Text method; /* request */
  Http1Text target; /* request: what stands between method and version */
  int minor;        /* HTTP/1.minor, 0 or 1 */
  Http1Field fields[HTTP1_FIELDS_MAX];
  size_t n_fields;
  size_t body_offset; /* first byte behind the blank line */
  size_t scanned;     /* internal: bytes already searched for the end */
} Http1Head;

/* Prepares HEAD to parse a request (server role) or a response (client role). */
void http1_head_init (Http1Head *head, bool is_request);

/* Parses the SIZE bytes received so far; call again with the same bytes and more after HTTP1_MORE.
 * After HTTP1_DONE the texts in HEAD point into DATA. Lines may end with LF alone. */
Http1Result http1_head_parse (Http1Head *head, const void *data, size_t size);

/* The value of the first field called NAME in any case; {NULL, 0} when absent. */
Http1Text http1_field (const Http1Head *head, const char *name);

/* True when TEXT equals WORD in any case; http1_field_has when one of the comma-separated words of
 * the field does. */
bool http1_text_is (Http1Text text, const char *word);
bool http1_field_has (const Http1Head *head, const char *name, const char *word);

/* A body of known length, chunked, or up to the end of the connection. */
typedef struct
{
  enum
  {
    HTTP1_BODY_NONE,
    HTTP1_BODY_LENGTH,
    HTTP1_BODY_CHUNKED,
    HTTP1_BODY_UNTIL_EOF,
  } kind;
  uint64_t left; /* of the body or of the chunk */
  size_t limit;  /* bytes still accepted */
  int chunk_state;
  size_t line_length; /* of the chunk line being read */
} Http1Body;

/* How the body behind HEAD is delimited (RFC 9112 §6.3); LIMIT is the most decoded bytes accepted.
 * HEAD_REQUEST: the response answers a HEAD. False when the head contradicts itself. */
bool http1_body_init (Http1Body *body, const Http1Head *head, bool head_request, size_t limit);

/* Takes bytes from the front of IN and appends decoded ones to OUT. HTTP1_DONE: the body is
 * complete, what is left in IN belongs to the next message. A body until EOF never says DONE. */
Http1Result http1_body_feed (Http1Body *body, Buffer *in, Buffer *out);
