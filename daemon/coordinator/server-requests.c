/* What the coordinator answers at which path (spec/control-protocol.md §17.1). */

#include "coordinator/server-private.h"

#include "base/log.h"
#include "netmap/map-request.h"
#include "netmap/register.h"
#include "wire/json-reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN     "coordinator"
#define TEXT_PLAIN "text/plain; charset=utf-8"
#define JSON       "application/json"
#define WEB_US     (30 * USEC_PER_SEC) /* for work done elsewhere, and the next page */
#define VERIFY_MAX 4096                /* bytes of a relay's question */

static void
answer (Client *client, const ServerRequest *request, int status, const char *type,
        const char *text)
{
  server_connection_reply (client->connection, request->stream, status, type, NULL, text,
                           strlen (text));
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
is_page (const ServerRequest *request)
{
  static const char *const folders[] = {"/register/", "/oidc/"};
  static const char *const pages[] = {"/", "/password", "/sign-out"};

  for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
    if (strncmp (request->path, folders[i], strlen (folders[i])) == 0)
      return true;
  for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
    if (path_is (request, pages[i]))
      return true;
  return false;
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

/* Relays that are not ours ask whom they may serve (spec/derp.md §6.2). */
static void
answer_verify (Server *server, Client *client, const ServerRequest *request)
{
  NodePublic key = {0};
  JsonReader r;
  JsonString name;

  if (request->size > VERIFY_MAX) {
    answer (client, request, 413, TEXT_PLAIN, "the question is too long\n");
    return;
  }
  json_reader_init (&r, request->body ? request->body : (const uint8_t *)"", request->size);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name))
    if (json_string_equal (name, "NodePublic"))
      json_reader_key (&r, KEY_NODE_PUBLIC, &key);
    else
      json_reader_skip (&r);
  bool understood = json_reader_ok (&r);
  json_reader_clear (&r);
  if (!understood)
    answer (client, request, 400, TEXT_PLAIN, "the question is not understood\n");
  else
    answer (client, request, 200, JSON,
            !key_zero (&key) && relay_registry_allowed (server->members, &key)
                ? "{\"Allow\":true}"
                : "{\"Allow\":false}");
}

/* Pages for people: their answer comes from the state, perhaps after work done elsewhere. */
static void
take_web (Server *server, Client *client, const ServerRequest *request)
{
  WebRequest web = {
      .method = request->method,
      .path = request->path,
      .cookie = request->cookie,
      .site = request->site,
      .body = request->body,
      .size = request->size,
      .from = client->from,
  };
  StateEvent event = {
      .type = STATE_EVENT_WEB,
      .request = server_request_number (client, 0),
      .web = &web,
  };

  if (keep_problem (server->keep) && strcmp (request->method, "POST") == 0) {
    answer (client, request, 503, TEXT_PLAIN, keep_problem (server->keep));
    return;
  }
  client->until_us = clock_now_us () + WEB_US;
  server_input (server, &event);
}

static void
answer_http (Server *server, Client *client, const ServerRequest *request)
{
  bool reads = strcmp (request->method, "GET") == 0 || strcmp (request->method, "HEAD") == 0;

  if (is_page (request))
    take_web (server, client, request);
  else if (path_is (request, "/verify") && strcmp (request->method, "POST") == 0)
    answer_verify (server, client, request);
  else if (!reads)
    answer (client, request, 405, TEXT_PLAIN, "only GET is answered here\n");
  else if (path_is (request, "/key"))
    answer_key (server, client, request);
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

  if (keep_problem (server->keep)) {
    answer (client, request, 503, TEXT_PLAIN, keep_problem (server->keep));
    return;
  }
  if (register_request_decode (request->body, request->size, &arena, &body, &error)) {
    StateEvent event = {
        .type = STATE_EVENT_REGISTER,
        .request = server_request_number (client, request->stream),
        .registration = {request->machine, &body, client->from},
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
