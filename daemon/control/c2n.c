#include "control/core.h"

#include <string.h>

/* Everything a server may ask by c2n (§12.1). Nothing here changes local state, and nothing is told
 * that the map does not already hold. */
static const struct
{
  const char *method; /* NULL: any */
  const char *path;
  const char *answer; /* NULL: the request's body */
} handlers[] = {
    {NULL, "/echo", NULL},
    {"GET", "/update", "{\"Enabled\":false,\"Supported\":false,\"Started\":false}"},
    {"POST", "/update", "{\"Enabled\":false,\"Supported\":false,\"Started\":false}"},
    {"GET", "/posture/identity", "{\"PostureDisabled\":true}"},
    {"GET", "/vip-services", "{\"ServicesHash\":\"\"}"},
};

static void
respond (Buffer *out, const char *status, const char *type, const void *body, size_t size)
{
  buffer_append_format (out, "HTTP/1.1 %s\r\n", status);
  if (type)
    buffer_append_format (out, "Content-Type: %s\r\n", type);
  buffer_append_format (out, "Content-Length: %zu\r\n\r\n", size);
  buffer_append (out, body, size);
}

static void
respond_text (Buffer *out, const char *status, const char *text)
{
  respond (out, status, "text/plain; charset=utf-8", text, strlen (text));
}

static bool
equal (Http1Text text, const char *word)
{
  return text.length == strlen (word) && memcmp (text.text, word, text.length) == 0;
}

static void
route (const Http1Head *head, const Buffer *body, Buffer *out)
{
  const char *query = memchr (head->target.text, '?', head->target.length);
  Http1Text path
      = {head->target.text, query ? (size_t)(query - head->target.text) : head->target.length};
  bool known = false;

  for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
    if (!equal (path, handlers[i].path))
      continue;
    known = true;
    if (handlers[i].method && !equal (head->method, handlers[i].method))
      continue;
    if (handlers[i].answer)
      respond (out, "200 OK", "application/json", handlers[i].answer, strlen (handlers[i].answer));
    else
      respond (out, "200 OK", NULL, body->data, body->size);
    return;
  }
  if (known)
    respond_text (out, "405 Method Not Allowed", "bad method");
  else
    respond_text (out, "400 Bad Request", "unknown c2n path");
}

void
c2n_answer (const uint8_t *payload, size_t size, Buffer *out)
{
  Http1Head head;
  Http1Body reader;
  Buffer rest = {0}, body = {0};

  http1_head_init (&head, true);
  if (http1_head_parse (&head, payload, size) != HTTP1_DONE
      || !http1_body_init (&reader, &head, false, size)) {
    respond_text (out, "400 Bad Request", "bad request");
    return;
  }
  buffer_append (&rest, payload + head.body_offset, size - head.body_offset);
  if (http1_body_feed (&reader, &rest, &body) == HTTP1_DONE)
    route (&head, &body, out);
  else
    respond_text (out, "400 Bad Request", "bad request");
  buffer_free (&rest);
  buffer_free (&body);
}
