#include "control/core.h"

#include "wire/json-writer.h"
#include "netmap/register.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int32_t
register_send (Control *c, const NodePrivate *key, const NodePublic *old_key, const char *auth_key,
               const char *followup, WallTime expiry)
{
  RegisterRequest request;
  JsonWriter w;
  char path[CONTROL_PATH_MAX + 24];
  size_t size;

  register_request_init (&request);
  request.version = CONTROL_CAPABILITY_VERSION;
  key_public (key->bytes, request.node_key.bytes);
  request.old_node_key = *old_key;
  lock_key_public (&c->identity->lock_key, &request.lock_key);
  request.auth_key = auth_key;
  request.followup = followup;
  request.expiry = expiry;
  request.hostinfo = &c->hostinfo;
  request.ephemeral = c->ephemeral;
  request.tailnet = c->tailnet;
  json_writer_init (&w);
  register_request_encode (&request, &w);
  char *json = json_writer_take (&w, &size);
  snprintf (path, sizeof path, "%s/machine/register", c->url.path);
  int32_t stream = link_request (c, "POST", path, key_zero (old_key) ? &request.node_key : old_key,
                                 key_zero (old_key) ? NULL : &request.node_key, json, size);
  memset (json, 0, size); /* it may hold an auth key */
  free (json);
  return stream;
}

ControlProblem
register_problem (const char *text, bool *permanent)
{
  static const struct
  {
    const char *part; /* servers put prefixes in front */
    ControlProblem problem;
  } known[] = {
      {"already used", CONTROL_PROBLEM_AUTH_KEY_USED},
      {"invalid key", CONTROL_PROBLEM_AUTH_KEY_INVALID},
      {"invalid pre auth key", CONTROL_PROBLEM_AUTH_KEY_INVALID},
      {"invalid authkey", CONTROL_PROBLEM_AUTH_KEY_INVALID},
      {"authkey expired", CONTROL_PROBLEM_AUTH_KEY_INVALID},
      {"authkey revoked", CONTROL_PROBLEM_AUTH_KEY_INVALID},
      {"failed to parse auth-key", CONTROL_PROBLEM_AUTH_KEY_INVALID},
      {"key cannot be used for node auth", CONTROL_PROBLEM_AUTH_KEY_INVALID},
      {"registration timed out", CONTROL_PROBLEM_LOGIN_EXPIRED},
      {"invalid registration ID", CONTROL_PROBLEM_LOGIN_EXPIRED},
      {"requested tags", CONTROL_PROBLEM_LOGIN_DENIED},
      {"already in use by another machine", CONTROL_PROBLEM_LOGIN_DENIED},
      {"different machine key", CONTROL_PROBLEM_LOGIN_DENIED},
      {"extending key is not allowed", CONTROL_PROBLEM_LOGIN_DENIED},
      {"ambiguous node ownership", CONTROL_PROBLEM_LOGIN_DENIED},
      {"unsupported client version", CONTROL_PROBLEM_VERSION_REFUSED},
  };

  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcasestr (text, known[i].part)) {
      *permanent = known[i].problem != CONTROL_PROBLEM_VERSION_REFUSED;
      return known[i].problem;
    }
  *permanent = false;
  return CONTROL_PROBLEM_LOGIN_DENIED;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" in Unix seconds; -1 when it is not one. */
static int64_t
parse_http_date (const char *text)
{
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  struct tm tm = {0};
  char month[4];

  if (sscanf (text, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &tm.tm_mday, month, &tm.tm_year,
              &tm.tm_hour, &tm.tm_min, &tm.tm_sec)
      != 6)
    return -1;
  const char *at = strstr (months, month);
  if (!at || (at - months) % 3 != 0)
    return -1;
  tm.tm_mon = (int)(at - months) / 3;
  tm.tm_year -= 1900;
  return timegm (&tm);
}

int64_t
register_retry_after_us (Control *c, const char *header)
{
  char *end;
  int64_t seconds = strtol (header, &end, 10);

  if (end == header || *end != '\0') {
    int64_t date = parse_http_date (header);
    seconds = date > 0 ? date - c->wall.seconds : 0;
  }
  if (seconds <= 0 || seconds > 3600)
    return random_between (c->random, 5 * USEC_PER_SEC, 10 * USEC_PER_SEC);
  return seconds * USEC_PER_SEC;
}
