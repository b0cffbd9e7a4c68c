/* What the coordinator answers at which path (spec/control-protocol.md §17.1). */

#include "coordinator/server-private.h"

#include "base/log.h"
#include "netmap/map-request.h"
#include "netmap/register.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN     "coordinator"
#define TEXT_PLAIN "text/plain; charset=utf-8"
#define TEXT_HTML  "text/html; charset=utf-8"
#define JSON       "application/json"

static void
answer (Client *client, const ServerRequest *request, int status, const char *type,
        const char *text)
{
  server_connection_reply (client->connection, request->stream, status, type, text, strlen (text));
}

/* True when PATH is NAME, with or without a query. */
static bool
path_is (const ServerRequest *request, const char *name)
{
  size_t n = strlen (name);

  return strncmp (request->path, name, n) == 0
         && (request->path[n] == '\0' || request->path[n] == '?');
}

static bool
path_begins (const ServerRequest *request, const char *prefix)
{
  return strncmp (request->path, prefix, strlen (prefix)) == 0;
}

/* ---- plain HTTP ---- */

static void
answer_key (Server *server, Client *client, const ServerRequest *request)
{
  const char *version = strstr (request->path, "v=");
  char text[KEY_TEXT_MAX], body[512];
  MachinePublic key;

  if (!version || version[2] < '0' || version[2] > '9') {
    answer (client, request, 400, TEXT_PLAIN, "the version is missing\n");
    return;
  }
  key_public (server->key->bytes, key.bytes);
  key_format (KEY_MACHINE_PUBLIC, key.bytes, text);
  snprintf (body, sizeof body,
            "{\"legacyPublicKey\":\"mkey:"
            "0000000000000000000000000000000000000000000000000000000000000000\","
            "\"publicKey\":\"%s\"}",
            text);
  answer (client, request, 200, JSON, body);
}

/* What a stranger wrote, safe inside HTML. */
static void
append_escaped (Buffer *out, const char *text)
{
  for (; *text; text++) {
    if (strchr ("&<>\"'", *text))
      buffer_append_format (out, "&#%d;", *text);
    else
      buffer_append (out, text, 1);
  }
}

/* The sign-in page: shows the device, and how its owner lets it in. Never approves by itself. */
static void
answer_sign_in (Server *server, Client *client, const ServerRequest *request)
{
  static const char head[]
      = "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\"><title>Let a device in</title>"
        "<style>:root{color-scheme:light dark}body{font:1rem/1.5 sans-serif;max-width:34rem;"
        "margin:3rem auto;padding:0 1rem}code{user-select:all}</style><body><main>";
  const char *id = request->path + strlen ("/register/");
  StatePending pending;
  Buffer page = {0};

  buffer_append_text (&page, head);
  bool found = state_pending (server->state, id, &pending);
  if (found) {
    buffer_append_text (&page, "<h1>A device wants to join</h1><dl><dt>Name</dt><dd>");
    append_escaped (&page, pending.hostname);
    buffer_append_text (&page, "</dd><dt>System</dt><dd>");
    append_escaped (&page, pending.os);
    buffer_append_text (&page, "</dd><dt>Key</dt><dd>");
    append_escaped (&page, pending.fingerprint);
    buffer_append_text (&page,
                        "</dd></dl><p>If this is your device, let it in on the computer that "
                        "runs this network:</p><p><code>warren-coordinator --data-dir ");
    append_escaped (&page, server->options->data_dir);
    buffer_append_format (&page, " nodes approve %s</code></p>", pending.id);
  } else {
    buffer_append_text (&page,
                        "<h1>Nothing waits here</h1><p>The device was let in already, or waited "
                        "too long. Start signing in again on the device.</p>");
  }
  buffer_append_text (&page, "</main></body></html>\n");
  server_connection_reply (client->connection, request->stream, found ? 200 : 404, TEXT_HTML,
                           page.data, page.size);
  buffer_free (&page);
}

static void
answer_http (Server *server, Client *client, const ServerRequest *request)
{
  bool reads = strcmp (request->method, "GET") == 0 || strcmp (request->method, "HEAD") == 0;

  if (!reads)
    answer (client, request, 405, TEXT_PLAIN, "only GET is answered here\n");
  else if (path_is (request, "/key"))
    answer_key (server, client, request);
  else if (path_begins (request, "/register/"))
    answer_sign_in (server, client, request);
  else if (path_is (request, "/health"))
    answer (client, request, 200, JSON, "{\"status\":\"pass\"}");
  else if (path_is (request, "/generate_204"))
    answer (client, request, 204, TEXT_PLAIN, "");
  else
    answer (client, request, 404, TEXT_PLAIN, "not found\n");
}

/* ---- inside Noise ---- */

static void
take_registration (Server *server, Client *client, const ServerRequest *request)
{
  Arena arena = {0};
  RegisterRequest body;
  const char *error;

  if (register_request_decode (request->body, request->size, &arena, &body, &error)) {
    StateEvent event = {
        .type = STATE_EVENT_REGISTER,
        .request = server_request_number (client, request->stream),
        .registration = {request->machine, &body},
    };
    server_input (server, &event);
  } else {
    answer (client, request, 400, TEXT_PLAIN, error);
  }
  arena_clear (&arena);
}

static void
take_map (Server *server, Client *client, const ServerRequest *request)
{
  Arena arena = {0};
  MapRequest body;
  const char *error;

  if (map_request_decode (request->body, request->size, &arena, &body, &error)) {
    StateEvent event = {
        .type = STATE_EVENT_MAP,
        .request = server_request_number (client, request->stream),
        .map = {request->machine, &body},
    };
    server_input (server, &event);
  } else {
    answer (client, request, 400, TEXT_PLAIN, error);
  }
  arena_clear (&arena);
}

static void
answer_api (Server *server, Client *client, const ServerRequest *request)
{
  if (request->version < SERVER_VERSION_FLOOR)
    answer (client, request, 400, TEXT_PLAIN,
            "this client is too old for this server; please update it\n");
  else if (path_is (request, "/machine/register"))
    take_registration (server, client, request);
  else if (path_is (request, "/machine/map"))
    take_map (server, client, request);
  else
    answer (client, request, 501, TEXT_PLAIN, "this server does not offer that\n");
}

void
server_handle_requests (Server *server, Client *client)
{
  ServerRequest request;
  int32_t stream;

  while (server_connection_next_request (client->connection, &request)) {
    log_debug (DOMAIN, "%s %.60s", request.method, request.path);
    if (request.stream > client->last_stream)
      client->last_stream = request.stream;
    if (request.stream == 0)
      answer_http (server, client, &request);
    else
      answer_api (server, client, &request);
    server_request_clear (&request);
  }
  while ((stream = server_connection_next_gone (client->connection)) != 0) {
    StateEvent event = {
        .type = STATE_EVENT_GONE,
        .request = server_request_number (client, stream),
    };
    server_input (server, &event);
  }
}
