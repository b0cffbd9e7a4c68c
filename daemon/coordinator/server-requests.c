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
answer_key (Worker *worker, Client *client, const ServerRequest *request)
{
  const char *query = strchr (request->path, '?');
  const char *version = query && strncmp (query, "?v=", 3) == 0 ? query + 3 : "";
  char text[KEY_TEXT_MAX], body[512];
  MachinePublic key;

  if (version[0] == '\0' || version[strspn (version, "0123456789")] != '\0') {
    answer (client, request, 400, TEXT_PLAIN, "the version is missing\n");
    return;
  }
  key_public (worker->server->key->bytes, key.bytes);
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
answer_verify (Worker *worker, Client *client, const ServerRequest *request)
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
            !key_zero (&key) && relay_registry_allowed (worker->server->members, &key)
                ? "{\"Allow\":true}"
                : "{\"Allow\":false}");
}

/* A change is refused at the door while the disk takes none. */
static bool
refuse_change (Worker *worker, Client *client, const ServerRequest *request)
{
  char *problem = server_store_problem (worker->server->store_thread);

  if (!problem)
    return false;
  answer (client, request, 503, TEXT_PLAIN, problem);
  free (problem);
  return true;
}

/* An event that has taken the request over. */
static ServerEvent *
event_of (StateEventType type, const Client *client, ServerRequest *request)
{
  ServerEvent *event = server_event_new (type, client_request (client, request->stream));

  event->request = *request;
  *request = (ServerRequest){.stream = event->request.stream};
  return event;
}

/* Pages for people: their answer comes from the state, perhaps after work done elsewhere. */
static void
take_web (Worker *worker, Client *client, ServerRequest *request)
{
  if (strcmp (request->method, "POST") == 0 && refuse_change (worker, client, request))
    return;
  ServerEvent *event = event_of (STATE_EVENT_WEB, client, request);
  event->web = (WebRequest){
      .method = event->request.method,
      .path = event->request.path,
      .cookie = event->request.cookie,
      .site = event->request.site,
      .body = event->request.body,
      .size = event->request.size,
      .from = client->from,
  };
  event->event.web = &event->web;
  client->until_us = clock_now_us () + WEB_US;
  server_event_post (worker->server, event);
}

static void
answer_http (Worker *worker, Client *client, ServerRequest *request)
{
  bool reads = strcmp (request->method, "GET") == 0 || strcmp (request->method, "HEAD") == 0;

  if (is_page (request))
    take_web (worker, client, request);
  else if (path_is (request, "/verify") && strcmp (request->method, "POST") == 0)
    answer_verify (worker, client, request);
  else if (!reads)
    answer (client, request, 405, TEXT_PLAIN, "only GET is answered here\n");
  else if (path_is (request, "/key"))
    answer_key (worker, client, request);
  else if (path_is (request, "/health"))
    answer (client, request, 200, JSON, "{\"status\":\"pass\"}");
  else if (path_is (request, "/generate_204"))
    answer (client, request, 204, TEXT_PLAIN, "");
  else
    answer (client, request, 404, TEXT_PLAIN, "not found\n");
}

/* ---- inside Noise ---- */

static void
take_registration (Worker *worker, Client *client, ServerRequest *request)
{
  const char *error;

  if (refuse_change (worker, client, request))
    return;
  ServerEvent *event = event_of (STATE_EVENT_REGISTER, client, request);
  if (register_request_decode (event->request.body, event->request.size, &event->arena,
                               &event->registration, &error)) {
    event->event.registration.machine = event->request.machine;
    event->event.registration.body = &event->registration;
    event->event.registration.from = client->from;
    server_event_post (worker->server, event);
    return;
  }
  answer (client, &event->request, 400, TEXT_PLAIN, error);
  server_event_free (event);
}

static void
take_map (Worker *worker, Client *client, ServerRequest *request)
{
  ServerEvent *event = event_of (STATE_EVENT_MAP, client, request);
  const char *error;

  if (map_request_decode (event->request.body, event->request.size, &event->arena, &event->map,
                          &error)) {
    event->event.map.machine = event->request.machine;
    event->event.map.body = &event->map;
    server_event_post (worker->server, event);
    return;
  }
  answer (client, &event->request, 400, TEXT_PLAIN, error);
  server_event_free (event);
}

static void
answer_api (Worker *worker, Client *client, ServerRequest *request)
{
  if (request->version < SERVER_VERSION_FLOOR)
    answer (client, request, 400, TEXT_PLAIN,
            "this client is too old for this server; please update it\n");
  else if (path_is (request, "/machine/register"))
    take_registration (worker, client, request);
  else if (path_is (request, "/machine/map"))
    take_map (worker, client, request);
  else
    answer (client, request, 501, TEXT_PLAIN, "this server does not offer that\n");
}

void
server_handle_requests (Worker *worker, Client *client)
{
  ServerRequest request;
  int32_t stream;

  while (server_connection_next_request (client->connection, &request)) {
    log_debug (DOMAIN, "%s %.60s", request.method, request.path);
    if (request.stream == 0)
      answer_http (worker, client, &request);
    else
      answer_api (worker, client, &request);
    server_request_clear (&request);
  }
  while ((stream = server_connection_next_gone (client->connection)) != 0) {
    ServerEvent *event = server_event_new (STATE_EVENT_GONE, client_request (client, stream));
    server_event_post (worker->server, event);
  }
}
