#include "control/core.h"

#include "base/log.h"
#include "netmap/register.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFRESH_MIN_US (240 * USEC_PER_SEC)
#define REFRESH_MAX_US (360 * USEC_PER_SEC)

/* Tries again after a while, and says why meanwhile. */
static void
retry (Control *c, ControlProblem problem, const char *text)
{
  Login *l = &c->login;

  l->phase = LOGIN_DUE;
  backoff_fail (&l->backoff, c->random, c->now);
  /* a check in the background that goes wrong is nobody's business */
  if (l->kind == LOGIN_REFRESH && l->registered)
    log_debug ("control", "refresh failed: %s", text);
  else
    problem_login (c, problem, text, true);
}

static void
refused (Control *c, const char *text)
{
  Login *l = &c->login;
  bool permanent;
  ControlProblem problem = register_problem (text, &permanent);

  if (l->kind == LOGIN_REFRESH && l->registered && !l->by_user) {
    /* some servers demand the auth key at every registration; the map decides whether we are in */
    log_debug ("control", "refresh refused: %s", text);
    l->phase = LOGIN_IDLE;
    l->refresh_at = c->now + REFRESH_MAX_US;
    return;
  }
  /* whoever answers a waiting person with an error has denied the login, whatever the words */
  if (!permanent && l->kind != LOGIN_FOLLOWUP) {
    retry (c, problem, text);
    return;
  }
  bool keep_running = l->registered && login_has_node (c);
  login_drop_pending (c);
  login_block (c, problem, text);
  /* a bad key or tag must not log a working node out */
  l->blocked = !keep_running;
}

static void
key_expired (Control *c)
{
  Login *l = &c->login;

  if (l->kind != LOGIN_REFRESH && l->fresh) {
    retry (c, CONTROL_PROBLEM_LOGIN_DENIED, "the server says that a new key has expired");
    return;
  }
  if (l->kind != LOGIN_REFRESH) {
    /* what an interrupted login left behind is of no use any more */
    login_new_key (c);
    return;
  }
  l->expired = true;
  problem_login (c, CONTROL_PROBLEM_KEY_EXPIRED, NULL, false);
  if (l->registered && !l->by_user) {
    /* the map poll stays: an administrator may extend the key */
    l->phase = LOGIN_IDLE;
    l->refresh_at = c->now + REFRESH_MAX_US;
    return;
  }
  login_new_key (c);
}

static void
must_visit (Control *c, const char *url)
{
  Login *l = &c->login;

  if (l->kind == LOGIN_REFRESH) {
    login_node_removed (c);
    return;
  }
  if (l->kind == LOGIN_NEW && !l->fresh && login_has_node (c)) {
    /* an interrupted login that came to nothing, and the old key is still there */
    login_drop_pending (c);
    login_begin (c, LOGIN_REFRESH);
    return;
  }
  if (!control_url_may_open (&c->url, url)) {
    retry (c, CONTROL_PROBLEM_LOGIN_DENIED, "the server named a sign-in page that is not allowed");
    return;
  }
  if (c->identity->pending_url && strcmp (c->identity->pending_url, url) == 0) {
    /* answered at once instead of held: do not run in circles */
    l->phase = LOGIN_DUE;
    backoff_fail (&l->backoff, c->random, c->now);
    return;
  }
  login_begin (c, LOGIN_FOLLOWUP);
  login_set_url (c, url);
  control_save (c);
  l->by_user = false; /* a page that replaces this one is not opened by itself */
  if (c->login_problem.problem != CONTROL_PROBLEM_KEY_EXPIRED)
    problem_login (c, CONTROL_PROBLEM_NONE, NULL, false);
}

static void
tell_registered (Control *c, const RegisterResponse *response, bool key_changed)
{
  ControlAction *action = control_push (c, CONTROL_ACTION_REGISTERED);

  action->registered.user_id = response->user_id != 0 ? response->user_id : response->login_id;
  action->registered.login_name = control_strdup (response->login_name);
  action->registered.display_name
      = control_strdup (response->login_display_name[0] != '\0' ? response->login_display_name
                                                                : response->user_display_name);
  action->registered.picture_url
      = control_strdup (response->login_picture_url[0] != '\0' ? response->login_picture_url
                                                               : response->user_picture_url);
  action->registered.key_changed = key_changed;
}

static void
succeeded (Control *c, const RegisterResponse *response)
{
  Login *l = &c->login;
  ControlIdentity *id = c->identity;
  bool key_changed = l->kind != LOGIN_REFRESH;
  bool news = key_changed || !l->registered || l->probed_404 || l->expired;

  if (key_changed) {
    id->old_node_key = (NodePublic){0};
    if (!key_zero (&id->node_key))
      key_public (id->node_key.bytes, id->old_node_key.bytes);
    id->node_key = id->pending_key;
    sodium_memzero (&id->pending_key, sizeof id->pending_key);
    login_set_url (c, NULL);
    control_save (c);
  }
  if (l->auth_key)
    sodium_memzero (l->auth_key, strlen (l->auth_key));
  free (l->auth_key);
  l->auth_key = NULL;
  l->phase = LOGIN_IDLE;
  l->fresh = l->by_user = l->removed = l->expired = l->blocked = false;
  l->registered = true;
  l->refresh_at = c->now + random_between (c->random, REFRESH_MIN_US, REFRESH_MAX_US);
  backoff_reset (&l->backoff);
  problem_login (c, CONTROL_PROBLEM_NONE, NULL, false);
  problem_connection (c, CONTROL_PROBLEM_NONE, NULL, false);
  if (!news)
    return;
  tell_registered (c, response, key_changed);
  map_start (c);
  lite_want (c);
}

/* control-protocol.md §9.2, strictly in its order. */
static void
judge (Control *c, const RegisterResponse *response)
{
  if (response->error[0] != '\0')
    refused (c, response->error);
  else if (response->node_key_signature_size > 0)
    login_block (c, CONTROL_PROBLEM_LOCK_UNSUPPORTED, NULL);
  else if (response->node_key_expired)
    key_expired (c);
  else if (response->auth_url[0] != '\0')
    must_visit (c, response->auth_url);
  else
    succeeded (c, response);
}

void
login_answer (Control *c, int status, const char *retry_after, const Buffer *body)
{
  RegisterResponse response;
  Arena arena = {0};
  char text[320];
  const char *error = NULL;
  bool permanent;

  if (status == 429) {
    c->login.phase = LOGIN_DUE;
    backoff_wait (&c->login.backoff, c->now, register_retry_after_us (c, retry_after));
    return;
  }
  if (status != 200) {
    snprintf (text, sizeof text, "register request: http %d: %.*s", status, body_text_length (body),
              body->data ? (const char *)body->data : "");
    ControlProblem problem = register_problem (text, &permanent);
    if (problem == CONTROL_PROBLEM_LOGIN_DENIED)
      problem = status < 500 ? CONTROL_PROBLEM_NOT_A_CONTROL_SERVER
                             : CONTROL_PROBLEM_SERVER_UNREACHABLE;
    retry (c, problem, text);
    link_doom (c, "a registration failed");
    return;
  }
  if (register_response_decode (body->data, body->size, &arena, &response, &error))
    judge (c, &response);
  else {
    snprintf (text, sizeof text, "register request: %s", error);
    retry (c, CONTROL_PROBLEM_NOT_A_CONTROL_SERVER, text);
  }
  arena_clear (&arena);
}
