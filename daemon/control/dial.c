#include "control/core.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RACE_US          (10 * USEC_PER_SEC)
#define RACE_MAX_US      (60 * USEC_PER_SEC)
#define TLS_DELAY_US     (500 * USEC_PER_MSEC)
#define TLS_FIRST_FOR_US (120 * USEC_PER_SEC)
#define PLAIN_DELAY_US   (3 * USEC_PER_SEC) /* when TLS goes first but is met with silence */

static const char protocol[] = "tailscale-control-protocol";

/* --- The plan ------------------------------------------------------------------------------ */

void
dial_set_plan (Control *c, const DialCandidate *plan, size_t count)
{
  c->n_dial_plan = 0;
  c->dial_plan = mem_resize (c->dial_plan, (count > 0 ? count : 1) * sizeof *plan);
  for (size_t i = 0; i < count && c->n_dial_plan < DIAL_CANDIDATES_MAX; i++) {
    /* proxies of the server's choice (ACE) are not spoken */
    if (plan[i].ace_host[0] != '\0' || plan[i].ip.family == 0 || !(plan[i].timeout_s > 0))
      continue;
    c->dial_plan[c->n_dial_plan] = plan[i];
    c->dial_plan[c->n_dial_plan++].ace_host = "";
  }
}

static int64_t
plan_us (double seconds)
{
  return seconds > 0 && seconds < 60 ? (int64_t)(seconds * 1e6) : seconds > 0 ? RACE_MAX_US : 0;
}

/* Both ports of one address, starting at START. */
static void
add_pair (Control *c, size_t index, const IpAddr *ip, int64_t start, int64_t timeout,
          bool tls_first)
{
  Attempt *plain = &c->dial.attempts[2 * index], *tls = plain + 1;
  bool both = c->ports.plain != 0 && c->ports.tls != 0;

  *plain = (Attempt){.port = c->ports.plain, .timeout_us = timeout};
  *tls = (Attempt){.port = c->ports.tls, .timeout_us = timeout, .tls = true};
  if (ip)
    plain->ip = tls->ip = *ip;
  if (plain->port != 0) {
    plain->state = ATTEMPT_WAITING;
    plain->start_at = both && tls_first ? start + PLAIN_DELAY_US : start;
  }
  if (tls->port != 0) {
    tls->state = ATTEMPT_WAITING;
    tls->start_at = both && !tls_first ? start + TLS_DELAY_US : start;
  }
}

/* --- Attempts ------------------------------------------------------------------------------ */

static void
release (Control *c, Attempt *a)
{
  if (a->state == ATTEMPT_DIALING || a->state == ATTEMPT_UPGRADING
      || a->state == ATTEMPT_HANDSHAKING)
    control_close_connection (c, a->connection);
  noise_initiator_clear (&a->noise);
  buffer_free (&a->in);
  a->connection = 0;
  a->state = ATTEMPT_FAILED;
}

void
dial_cancel (Control *c)
{
  if (!c->dial.active)
    return;
  for (size_t i = 0; i < DIAL_ATTEMPTS_MAX; i++)
    release (c, &c->dial.attempts[i]);
  memset (c->dial.attempts, 0, sizeof c->dial.attempts);
  c->dial.active = false;
}

/* The attempt whose failure says most; among equals the one on the URL's own port. */
static const Attempt *
most_telling (const Control *c)
{
  const Attempt *best = &c->dial.attempts[0];

  for (size_t i = 1; i < DIAL_ATTEMPTS_MAX; i++) {
    const Attempt *a = &c->dial.attempts[i];
    if (a->failure > best->failure || (a->failure == best->failure && a->tls == c->url.http.https))
      best = a;
  }
  return best;
}

static void
race_lost (Control *c)
{
  const Attempt *a = most_telling (c);
  AttemptFailure failure = a->failure;
  ControlProblem problem = a->problem ? a->problem : CONTROL_PROBLEM_SERVER_UNREACHABLE;
  char text[HTTP_HOST_MAX + sizeof a->text + 40];

  snprintf (text, sizeof text, "could not reach control server %s: %s", c->url.http.authority,
            a->text[0] != '\0' ? a->text : "no answer in time");
  dial_cancel (c);
  if (failure == ATTEMPT_FAILURE_NOISE && !c->key_suspect) {
    c->key_suspect = true; /* the next step is to look at the server's key */
    return;
  }
  if (failure == ATTEMPT_FAILURE_HTTP && c->url.path[0] != '\0')
    c->dial.at_root = !c->dial.at_root;
  connect_failed (c, problem, text);
}

static void
start_attempt (Control *c, Attempt *a)
{
  int64_t timeout = time_min (a->timeout_us, c->dial.deadline - c->now);

  a->state = ATTEMPT_DIALING;
  a->deadline = c->now + timeout;
  a->connection = control_dial (c, c->url.http.host, a->ip.family != 0 ? &a->ip : NULL, a->port,
                                a->tls, false, timeout);
}

static void
start_due (Control *c)
{
  bool alive = false;

  for (size_t i = 0; i < DIAL_ATTEMPTS_MAX; i++) {
    Attempt *a = &c->dial.attempts[i];
    if (a->state == ATTEMPT_WAITING && a->start_at <= c->now)
      start_attempt (c, a);
    alive |= a->state != ATTEMPT_UNUSED && a->state != ATTEMPT_FAILED;
  }
  if (alive)
    return;
  if (!c->dial.dns_tried) {
    c->dial.dns_tried = true;
    add_pair (c, DIAL_BY_NAME, NULL, c->now, RACE_US, false);
  } else if (!c->dial.web_socket_tried && most_telling (c)->failure == ATTEMPT_FAILURE_HTTP) {
    /* something speaks HTTP and lets no other protocol through (§18.3) */
    c->dial.web_socket_tried = true;
    c->dial.deadline = c->now + RACE_US;
    add_pair (c, DIAL_WEB_SOCKET, NULL, c->now, RACE_US, false);
    c->dial.attempts[2 * DIAL_WEB_SOCKET].in_web_socket = true;
    c->dial.attempts[2 * DIAL_WEB_SOCKET + 1].in_web_socket = true;
  } else {
    race_lost (c);
    return;
  }
  start_due (c);
}

static void
fail (Control *c, Attempt *a, AttemptFailure failure, ControlProblem problem, const char *text)
{
  Attempt *sibling = &c->dial.attempts[(size_t)(a - c->dial.attempts) ^ 1];

  release (c, a);
  a->failure = failure;
  a->problem = problem;
  snprintf (a->text, sizeof a->text, "%s", text);
  if (sibling->state == ATTEMPT_WAITING)
    sibling->start_at = c->now;
  start_due (c);
}

void
dial_start (Control *c)
{
  Dial *d = &c->dial;
  bool tls_first = d->last_at != 0 && c->now - d->last_at < TLS_FIRST_FOR_US;
  int64_t limit = RACE_US;

  memset (d->attempts, 0, sizeof d->attempts);
  d->active = true;
  d->last_at = c->now;
  d->dns_tried = c->n_dial_plan == 0;
  d->web_socket_tried = false;
  if (d->dns_tried)
    add_pair (c, DIAL_BY_NAME, NULL, c->now, RACE_US, tls_first);
  for (size_t i = 0; i < c->n_dial_plan; i++) {
    const DialCandidate *candidate = &c->dial_plan[i];
    int64_t delay = plan_us (candidate->start_delay_s), timeout = plan_us (candidate->timeout_s);
    add_pair (c, i, &candidate->ip, c->now + delay, timeout, tls_first);
    if (delay + timeout + 5 * USEC_PER_SEC > limit)
      limit = delay + timeout + 5 * USEC_PER_SEC;
  }
  d->deadline = c->now + time_min (limit, RACE_MAX_US);
  start_due (c);
}

/* --- One attempt's bytes ------------------------------------------------------------------- */

/* The target's query, with what base64 has and a URL has not in other words. */
static void
add_query (const char *handshake, Buffer *out)
{
  buffer_append_text (out, "?X-Tailscale-Handshake=");
  for (const char *at = handshake; *at != '\0'; at++)
    buffer_append_format (out, *at == '+' || *at == '/' || *at == '=' ? "%%%02X" : "%c", *at);
}

static void
add_fields (Control *c, Attempt *a, const char *handshake, Buffer *out)
{
  if (!a->in_web_socket) {
    buffer_append_format (out,
                          "Connection: upgrade\r\nUpgrade: %s\r\n"
                          "X-Tailscale-Handshake: %s\r\nContent-Length: 0\r\n",
                          protocol, handshake);
    return;
  }
  web_socket_key (c->random, a->web_socket_key);
  buffer_append_format (out,
                        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
                        "Sec-WebSocket-Protocol: %s\r\n",
                        a->web_socket_key, protocol);
}

static void
send_upgrade (Control *c, Attempt *a, const ControlEvent *event)
{
  uint8_t initiation[NOISE_INITIATION_SIZE];
  char handshake[NOISE_INITIATION_SIZE * 2];
  Buffer out = {0};

  a->local = event->dialed.local;
  if (event->dialed.warning)
    log_warning ("control", "the certificate of %s is wrong (%s); the handshake inside decides",
                 c->url.http.authority, event->dialed.warning);
  if (!noise_initiator_start (&a->noise, &c->machine_key, &c->identity->server_key,
                              CONTROL_CAPABILITY_VERSION, c->random, initiation)) {
    fail (c, a, ATTEMPT_FAILURE_NOISE, CONTROL_PROBLEM_NOT_A_CONTROL_SERVER,
          "the server's key is not a key");
    return;
  }
  base64_encode (initiation, sizeof initiation, handshake);
  buffer_append_text (&out, a->in_web_socket ? "GET " : "POST ");
  if (event->dialed.absolute_form)
    buffer_append_format (&out, "http://%s", c->url.http.authority);
  buffer_append_format (&out, "%s/ts2021", c->dial.at_root ? "" : c->url.path);
  if (a->in_web_socket)
    add_query (handshake, &out);
  buffer_append_format (&out, " HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", c->url.http.authority,
                        c->user_agent);
  add_fields (c, a, handshake, &out);
  if (event->dialed.proxy_authorization)
    buffer_append_format (&out, "Proxy-Authorization: %s\r\n", event->dialed.proxy_authorization);
  buffer_append_text (&out, "\r\n");
  control_send (c, a->connection, &out);
  a->state = ATTEMPT_UPGRADING;
}

static bool
is_accepted (const Attempt *a, const Http1Head *head)
{
  if (a->in_web_socket)
    return web_socket_accepted (head, a->web_socket_key, protocol);
  return head->status == 101 && http1_text_is (http1_field (head, "Upgrade"), protocol);
}

/* False: more bytes are needed, or the attempt has failed. */
static bool
take_head (Control *c, Attempt *a)
{
  Http1Head head;
  char text[80];

  http1_head_init (&head, false);
  switch (http1_head_parse (&head, a->in.data, a->in.size)) {
    case HTTP1_MORE:
      return false;
    case HTTP1_BAD:
      fail (c, a, ATTEMPT_FAILURE_HTTP, CONTROL_PROBLEM_NOT_A_CONTROL_SERVER,
            "the answer is not HTTP");
      return false;
    case HTTP1_DONE:
      break;
  }
  if (!is_accepted (a, &head)) {
    /* a redirect is no different: it is not followed */
    snprintf (text, sizeof text,
              "HTTP status %d instead of a change of protocol (is there a proxy?)", head.status);
    fail (c, a, ATTEMPT_FAILURE_HTTP, CONTROL_PROBLEM_NOT_A_CONTROL_SERVER, text);
    return false;
  }
  buffer_consume (&a->in, head.body_offset);
  a->state = ATTEMPT_HANDSHAKING;
  return true;
}

static void
take_error_frame (Control *c, Attempt *a)
{
  size_t length = load_be16 (a->in.data + 1);
  char hint[64] = "", text[120];

  if (length > NOISE_ERROR_MAX)
    length = 0;
  if (a->in.size < NOISE_HEADER_SIZE + length)
    return;
  for (size_t i = 0; i < length && i + 1 < sizeof hint; i++) {
    char byte = (char)a->in.data[NOISE_HEADER_SIZE + i];
    hint[i] = byte >= ' ' && byte < 127 ? byte : '?';
  }
  snprintf (text, sizeof text, "the server refused the handshake: %s", hint);
  fail (c, a, ATTEMPT_FAILURE_NOISE, CONTROL_PROBLEM_VERSION_REFUSED, text);
}

static void
take_response (Control *c, Attempt *a)
{
  NoiseKeys keys;

  if (a->in.size < NOISE_HEADER_SIZE)
    return;
  if (a->in.data[0] == NOISE_TYPE_ERROR) {
    take_error_frame (c, a);
    return;
  }
  if (a->in.data[0] == NOISE_TYPE_RESPONSE && a->in.size < NOISE_RESPONSE_SIZE)
    return;
  if (a->in.data[0] != NOISE_TYPE_RESPONSE
      || !noise_initiator_finish (&a->noise, a->in.data, &keys)) {
    fail (c, a, ATTEMPT_FAILURE_NOISE, CONTROL_PROBLEM_SERVER_UNREACHABLE,
          "the server's handshake is not authentic");
    return;
  }
  uint32_t connection = a->connection;
  IpAddr local = a->local;
  Buffer rest = a->in;
  bool in_web_socket = a->in_web_socket;
  WebSocket web_socket = a->web_socket;
  a->in = (Buffer){0};
  a->state = ATTEMPT_FAILED; /* so that its connection is not closed with the others */
  dial_cancel (c);
  link_open (c, connection, &local, &keys, in_web_socket ? &web_socket : NULL,
             rest.data + NOISE_RESPONSE_SIZE, rest.size - NOISE_RESPONSE_SIZE);
  buffer_free (&rest);
  noise_keys_clear (&keys);
}

/* --- Events -------------------------------------------------------------------------------- */

static void
attempt_closed (Control *c, Attempt *a)
{
  if (a->state == ATTEMPT_HANDSHAKING)
    fail (c, a, ATTEMPT_FAILURE_NOISE, CONTROL_PROBLEM_VERSION_REFUSED,
          "the server closed the connection during the handshake");
  else
    fail (c, a, ATTEMPT_FAILURE_DIAL, CONTROL_PROBLEM_SERVER_UNREACHABLE,
          "the connection was closed without an answer");
}

/* What a WebSocket carries. False: it is over. */
static bool
take_messages (Control *c, Attempt *a, const uint8_t *data, size_t size)
{
  Buffer answers = {0};
  bool open = web_socket_read (&a->web_socket, data, size, c->random, &a->in, &answers);

  control_send (c, a->connection, &answers);
  buffer_free (&answers);
  if (!open)
    attempt_closed (c, a);
  return open;
}

static void
attempt_bytes (Control *c, Attempt *a, const uint8_t *data, size_t size)
{
  if (a->state == ATTEMPT_HANDSHAKING && a->in_web_socket) {
    if (!take_messages (c, a, data, size))
      return;
  } else {
    buffer_append (&a->in, data, size);
  }
  if (a->state == ATTEMPT_UPGRADING) {
    if (!take_head (c, a))
      return;
    Buffer rest = a->in_web_socket ? a->in : (Buffer){0};
    if (a->in_web_socket)
      a->in = (Buffer){0};
    bool open = !a->in_web_socket || take_messages (c, a, rest.data, rest.size);
    buffer_free (&rest);
    if (!open)
      return;
  }
  if (a->state == ATTEMPT_HANDSHAKING)
    take_response (c, a);
}

static Attempt *
find (Control *c, uint32_t connection)
{
  for (size_t i = 0; c->dial.active && connection != 0 && i < DIAL_ATTEMPTS_MAX; i++)
    if (c->dial.attempts[i].connection == connection)
      return &c->dial.attempts[i];
  return NULL;
}

bool
dial_event (Control *c, const ControlEvent *event)
{
  Attempt *a;

  switch (event->type) {
    case CONTROL_EVENT_DIALED:
      if ((a = find (c, event->dialed.connection)))
        send_upgrade (c, a, event);
      return a != NULL;
    case CONTROL_EVENT_DIAL_FAILED:
      if ((a = find (c, event->dial_failed.connection)))
        fail (c, a, ATTEMPT_FAILURE_DIAL, problem_of_dial (event->dial_failed.failure),
              event->dial_failed.text);
      return a != NULL;
    case CONTROL_EVENT_BYTES:
      if ((a = find (c, event->bytes.connection)))
        attempt_bytes (c, a, event->bytes.data, event->bytes.size);
      return a != NULL;
    case CONTROL_EVENT_CLOSED:
      if ((a = find (c, event->closed.connection)))
        attempt_closed (c, a);
      return a != NULL;
    default:
      return false;
  }
}

void
dial_tick (Control *c)
{
  if (!c->dial.active)
    return;
  if (c->dial.deadline <= c->now) {
    race_lost (c);
    return;
  }
  for (size_t i = 0; i < DIAL_ATTEMPTS_MAX && c->dial.active; i++) {
    Attempt *a = &c->dial.attempts[i];
    if (a->connection != 0 && a->deadline <= c->now)
      fail (c, a, ATTEMPT_FAILURE_DIAL, CONTROL_PROBLEM_SERVER_UNREACHABLE, "no answer in time");
  }
  if (c->dial.active)
    start_due (c);
}

int64_t
dial_deadline (const Control *c)
{
  int64_t deadline = TIME_NEVER;

  if (!c->dial.active)
    return deadline;
  for (size_t i = 0; i < DIAL_ATTEMPTS_MAX; i++) {
    const Attempt *a = &c->dial.attempts[i];
    if (a->state == ATTEMPT_WAITING)
      deadline = time_min (deadline, a->start_at);
    else if (a->connection != 0)
      deadline = time_min (deadline, a->deadline);
  }
  return time_min (deadline, c->dial.deadline);
}
