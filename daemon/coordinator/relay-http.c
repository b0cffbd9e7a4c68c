#include "coordinator/relay-http.h"

#include "base/bytes.h"
#include "wire/web-socket.h"

#include <stdio.h>
#include <string.h>

static const char home_page[]
    = "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Warren relay</title>\n"
      "<p>This is a DERP relay of a Warren network. It passes encrypted packets between devices "
      "that cannot reach each other directly.</p></html>\n";

typedef struct
{
  const Http1Head *head;
  Buffer *out;
  bool keep;    /* the connection stays open */
  bool no_body; /* a HEAD request */
} Request;

static RelayHttpResult
answer (const Request *request, const char *status, const char *fields, const char *body)
{
  buffer_append_format (request->out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n%s\r\n%s", status,
                        fields, strlen (body), request->keep ? "" : "Connection: close\r\n",
                        request->no_body ? "" : body);
  return request->keep ? RELAY_HTTP_NEXT : RELAY_HTTP_OVER;
}

static bool
target_is (const Http1Head *head, const char *path)
{
  size_t n = strlen (path);

  return head->target.length >= n && memcmp (head->target.text, path, n) == 0
         && (head->target.length == n || head->target.text[n] == '?');
}

/* The challenge of a captive-portal check, echoed when it is harmless text. */
static RelayHttpResult
answer_204 (const Request *request)
{
  static const char harmless[]
      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:";
  Http1Text challenge = http1_field (request->head, "x-tailscale-challenge");
  bool echo = challenge.length > 0 && challenge.length <= 64;

  for (size_t i = 0; echo && i < challenge.length; i++)
    echo = memchr (harmless, challenge.text[i], sizeof harmless - 1) != NULL;
  buffer_append_text (request->out,
                      "HTTP/1.1 204 No Content\r\n"
                      "Cache-Control: no-cache, no-store, must-revalidate, no-transform, "
                      "max-age=0\r\n");
  if (echo)
    buffer_append_format (request->out, "X-Tailscale-Response: response %.*s\r\n",
                          (int)challenge.length, challenge.text);
  buffer_append_text (request->out, request->keep ? "\r\n" : "Connection: close\r\n\r\n");
  return request->keep ? RELAY_HTTP_NEXT : RELAY_HTTP_OVER;
}

static RelayHttpResult
answer_probe (const Request *request)
{
  if (!http1_text_is (request->head->method, "GET") && !request->no_body)
    return answer (request, "405 Method Not Allowed", "Allow: GET, HEAD\r\n",
                   "bogus probe method\n");
  return answer (request, "200 OK", "Access-Control-Allow-Origin: *\r\n", "");
}

static RelayHttpResult
start_derp (const RelayIdentity *identity, const Request *request)
{
  const Http1Head *head = request->head;
  uint8_t frame[DERP_SERVER_KEY_SIZE];
  char key[2 * KEY_SIZE + 1];

  if (http1_field_has (head, "upgrade", "websocket")
      && http1_field_has (head, "sec-websocket-protocol", "derp"))
    return web_socket_accept (head, "derp", request->out) ? RELAY_HTTP_WEB_SOCKET : RELAY_HTTP_OVER;
  if (!http1_field_has (head, "upgrade", "derp") && !http1_field_has (head, "upgrade", "websocket"))
    return answer (request, "426 Upgrade Required", "Upgrade: DERP\r\n",
                   "DERP requires connection upgrade\n");
  hex_encode (identity->server_key.bytes, KEY_SIZE, key);
  if (!http1_text_is (http1_field (head, "derp-fast-start"), "1"))
    buffer_append_format (request->out,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
                          "Connection: Upgrade\r\nDerp-Version: %d\r\nDerp-Public-Key: %s\r\n\r\n",
                          DERP_PROTOCOL_VERSION, key);
  derp_server_key_encode (&identity->server_key, frame);
  buffer_append (request->out, frame, sizeof frame);
  return RELAY_HTTP_DERP;
}

static RelayHttpResult
answer_names (const RelayIdentity *identity, const Request *request)
{
  Buffer table = {0};

  relay_names_write (identity->names, &table);
  buffer_append (&table, "", 1);
  RelayHttpResult result
      = answer (request, "200 OK", "Content-Type: application/json\r\n", (const char *)table.data);
  buffer_free (&table);
  return result;
}

/* A body would be taken for the next request; there is none in what the relay serves. */
static bool
has_body (const Http1Head *head)
{
  Http1Text length = http1_field (head, "content-length");

  return http1_field (head, "transfer-encoding").length > 0
         || (length.length > 0 && !http1_text_is (length, "0"));
}

static RelayHttpResult
dispatch (const RelayIdentity *identity, const Request *request, bool plain)
{
  const Http1Head *head = request->head;

  if (target_is (head, "/generate_204"))
    return answer_204 (request);
  if (plain)
    return answer (request, "404 Not Found", "Content-Type: text/plain\r\n", "not found\n");
  if (target_is (head, "/derp"))
    return start_derp (identity, request);
  if (target_is (head, "/derp/probe") || target_is (head, "/derp/latency-check"))
    return answer_probe (request);
  if (target_is (head, "/bootstrap-dns"))
    return answer_names (identity, request);
  if (target_is (head, "/robots.txt"))
    return answer (request, "200 OK", "Content-Type: text/plain\r\n",
                   "User-agent: *\nDisallow: /\n");
  if (target_is (head, "/"))
    return answer (request, "200 OK", "Content-Type: text/html; charset=utf-8\r\n", home_page);
  return answer (request, "404 Not Found", "Content-Type: text/plain\r\n", "not found\n");
}

RelayHttpResult
relay_http_answer (const RelayIdentity *identity, const uint8_t *data, size_t size, bool plain,
                   Buffer *out, size_t *used, bool *not_ideal)
{
  Http1Head head;

  http1_head_init (&head, true);
  switch (http1_head_parse (&head, data, size)) {
    case HTTP1_MORE:
      return size > RELAY_HEAD_MAX ? RELAY_HTTP_OVER : RELAY_HTTP_MORE;
    case HTTP1_BAD:
      return RELAY_HTTP_OVER;
    case HTTP1_DONE:
      break;
  }
  if (head.body_offset > RELAY_HEAD_MAX)
    return RELAY_HTTP_OVER;
  Request request = {
      .head = &head,
      .out = out,
      .keep = head.minor > 0 && !http1_field_has (&head, "connection", "close")
              && !target_is (&head, "/bootstrap-dns") && !has_body (&head),
      .no_body = http1_text_is (head.method, "HEAD"),
  };
  *used = head.body_offset;
  *not_ideal = http1_field (&head, "ideal-node").length > 0;
  return dispatch (identity, &request, plain);
}
