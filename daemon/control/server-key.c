#include "control/core.h"

#include "base/log.h"
#include "wire/json-reader.h"

#include <stdio.h>
#include <string.h>

#define KEY_TIMEOUT_US (10 * USEC_PER_SEC)

void
server_key_fetch (Control *c)
{
  HttpUrl url = c->url.http;

  snprintf (url.target, sizeof url.target, "%s/key?v=%d", c->url.path, CONTROL_CAPABILITY_VERSION);
  if (!fetch_start (c, FETCH_KEY, "GET", &url, NULL, KEY_TIMEOUT_US))
    connect_failed (c, CONTROL_PROBLEM_SERVER_UNREACHABLE, "too many requests under way");
}

/* False: not the answer of a control server that speaks Noise. */
static bool
parse (const Buffer *body, MachinePublic *key)
{
  JsonReader r;
  JsonString name;

  memset (key, 0, sizeof *key);
  json_reader_init (&r, body->data, body->size);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name))
    if (json_string_equal (name, "publicKey"))
      json_reader_key (&r, KEY_MACHINE_PUBLIC, key->bytes);
    else
      json_reader_skip (&r);
  bool ok = json_reader_end (&r) && !key_zero (key);
  json_reader_clear (&r);
  return ok;
}

static void
pin (Control *c, const MachinePublic *key)
{
  c->identity->server_key = *key;
  c->identity->server_key_seen = c->wall;
  c->key_suspect = false;
  control_save (c);
}

static void
refuse_change (Control *c, const MachinePublic *key)
{
  /* nothing vouched for the new key: only a person can */
  c->key_blocked = true;
  c->offered_key = *key;
  problem_connection (c, CONTROL_PROBLEM_SERVER_KEY_CHANGED, c->url.http.authority, false);
}

void
server_key_fetched (Control *c, int status, const Buffer *body)
{
  MachinePublic key;
  char text[HTTP_HOST_MAX + 80];

  if (status != 200 || !parse (body, &key)) {
    bool legacy = status == 200 && body->size == 2 * KEY_SIZE;
    snprintf (text, sizeof text,
              legacy ? "the server %s is too old"
                     : "%s does not answer like a control server (HTTP status %d)",
              c->url.http.authority, status);
    connect_failed (c, CONTROL_PROBLEM_NOT_A_CONTROL_SERVER, text);
    return;
  }
  if (key_zero (&c->identity->server_key)) {
    pin (c, &key);
    return;
  }
  if (key_same (&key, &c->identity->server_key)) {
    c->key_suspect = false;
    connect_failed (c, CONTROL_PROBLEM_VERSION_REFUSED,
                    "the server closed the connection during the handshake");
    return;
  }
  if (!c->url.http.https) {
    refuse_change (c, &key);
    return;
  }
  log_warning ("control", "the key of %s has changed, its certificate vouches for the new one",
               c->url.http.authority);
  pin (c, &key);
}

void
server_key_failed (Control *c, ControlProblem problem, const char *text)
{
  char message[HTTP_HOST_MAX + 200];

  snprintf (message, sizeof message, "could not reach control server %s: %s", c->url.http.authority,
            text);
  connect_failed (c, problem, message);
}

void
server_key_accept (Control *c)
{
  if (!c->key_blocked)
    return;
  c->key_blocked = false;
  problem_connection (c, CONTROL_PROBLEM_NONE, NULL, false);
  pin (c, &c->offered_key);
}
