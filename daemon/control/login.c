#include "control/core.h"

#include "base/log.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_US (30 * USEC_PER_SEC)
#define FOLLOWUP_US                                                                                \
  (60 * USEC_PER_SEC) /* then it is asked again: another page may have been used */

bool
login_has_node (const Control *c)
{
  return !key_zero (&c->identity->node_key) && !c->login.removed && !c->login.expired;
}

static void
forget_auth_key (Control *c)
{
  if (c->login.auth_key)
    sodium_memzero (c->login.auth_key, strlen (c->login.auth_key));
  free (c->login.auth_key);
  c->login.auth_key = NULL;
}

void
login_begin (Control *c, LoginKind kind)
{
  Login *l = &c->login;

  link_reset (c, &l->exchange.stream);
  exchange_clear (&l->exchange);
  backoff_reset (&l->backoff);
  l->kind = kind;
  l->phase = LOGIN_DUE;
  l->blocked = false;
}

void
login_set_url (Control *c, const char *url)
{
  if (!url && !c->identity->pending_url)
    return;
  char *copy = control_strdup (url);
  free (c->identity->pending_url);
  c->identity->pending_url = copy;

  ControlAction *action = control_push (c, CONTROL_ACTION_LOGIN_URL);
  action->login_url.url = control_strdup (url);
  action->login_url.by_user = url && c->login.by_user;
}

void
login_drop_pending (Control *c)
{
  bool had = !key_zero (&c->identity->pending_key) || c->identity->pending_url;

  login_set_url (c, NULL);
  sodium_memzero (&c->identity->pending_key, sizeof c->identity->pending_key);
  c->login.fresh = false;
  if (had)
    control_save (c);
}

void
login_new_key (Control *c)
{
  ControlIdentity *id = c->identity;

  login_set_url (c, NULL);
  key_generate (c->random, id->pending_key.bytes);
  if (key_zero (&id->lock_key))
    lock_key_generate (c->random, &id->lock_key);
  login_begin (c, LOGIN_NEW);
  c->login.fresh = true;
  c->login.phase = LOGIN_SAVING;
  c->login.save_serial = control_save (c);
}

void
login_saved (Control *c)
{
  if (c->login.phase == LOGIN_SAVING && control_is_saved (c, c->login.save_serial))
    c->login.phase = LOGIN_DUE;
}

void
login_block (Control *c, ControlProblem problem, const char *text)
{
  c->login.phase = LOGIN_IDLE;
  c->login.blocked = true;
  forget_auth_key (c);
  problem_login (c, problem, text, false);
}

/* --- Goals --------------------------------------------------------------------------------- */

void
login_resume (Control *c)
{
  const ControlIdentity *id = c->identity;
  Login *l = &c->login;

  l->blocked = l->removed = l->expired = l->probed_404 = false;
  if (key_zero (&id->pending_key) && key_zero (&id->node_key)) {
    l->phase = LOGIN_IDLE;
    return;
  }
  if (key_zero (&id->pending_key)) {
    login_begin (c, LOGIN_REFRESH);
    return;
  }
  /* a login was interrupted: ask what became of it */
  login_begin (c, id->pending_url ? LOGIN_FOLLOWUP : LOGIN_NEW);
  if (id->pending_url) {
    ControlAction *action = control_push (c, CONTROL_ACTION_LOGIN_URL);
    action->login_url.url = control_strdup (id->pending_url);
  }
  if (!key_zero (&id->node_key)) {
    /* meanwhile the old key goes on; if it should be void, the map will tell */
    l->registered = true;
    map_start (c);
    lite_want (c);
  }
}

void
login_suspend (Control *c)
{
  Login *l = &c->login;

  link_reset (c, &l->exchange.stream);
  exchange_clear (&l->exchange);
  l->phase = LOGIN_IDLE;
  l->registered = false;
  l->refresh_at = TIME_NEVER;
}

/* The part of an auth key that is for the server; NULL: not for it at all. */
static char *
clean_auth_key (const char *auth_key)
{
  char *copy = control_strdup (auth_key);
  char *wrapped = strstr (copy, "--TL");

  if (strncmp (copy, "tskey-client-", 13) == 0) {
    sodium_memzero (copy, strlen (copy));
    free (copy);
    return NULL;
  }
  if (wrapped)
    sodium_memzero (wrapped, strlen (wrapped));
  return copy;
}

void
login_user (Control *c, const char *auth_key, bool force)
{
  Login *l = &c->login;
  char *clean = auth_key ? clean_auth_key (auth_key) : NULL;

  if (!c->started)
    return;
  if (auth_key && !clean) {
    problem_login (c, CONTROL_PROBLEM_AUTH_KEY_INVALID,
                   "this is an OAuth client secret and not an auth key", false);
    return;
  }
  c->running = true;
  forget_auth_key (c);
  l->auth_key = clean;
  l->by_user = true;
  problem_login (c, CONTROL_PROBLEM_NONE, NULL, false);
  if (login_has_node (c) && !netmap_hold_expired (c) && !force
      && key_zero (&c->identity->pending_key))
    login_begin (c, LOGIN_REFRESH);
  else
    login_new_key (c);
}

void
login_cancel (Control *c)
{
  Login *l = &c->login;

  if (l->phase == LOGIN_IDLE || (l->kind == LOGIN_REFRESH && l->registered))
    return;
  link_reset (c, &l->exchange.stream);
  exchange_clear (&l->exchange);
  l->phase = LOGIN_IDLE;
  forget_auth_key (c);
  login_drop_pending (c);
  problem_login (c, CONTROL_PROBLEM_NONE, NULL, false);
  if (!login_has_node (c))
    l->blocked = true;
  else if (!l->registered && c->running)
    login_begin (c, LOGIN_REFRESH);
}

void
login_node_removed (Control *c)
{
  Login *l = &c->login;

  l->registered = false;
  l->removed = true;
  map_stop (c);
  netmap_hold_set (c, NULL);
  if (l->by_user)
    login_new_key (c);
  else
    login_block (c, CONTROL_PROBLEM_NODE_REMOVED, NULL);
}

void
login_check_removed (Control *c)
{
  Login *l = &c->login;

  if (l->phase != LOGIN_IDLE)
    return; /* the answer under way will tell, or a person is being waited for */
  if (l->probed_404) {
    login_node_removed (c);
    return;
  }
  l->probed_404 = true;
  l->registered = false; /* the map waits for the answer */
  login_begin (c, LOGIN_REFRESH);
}

/* --- The request --------------------------------------------------------------------------- */

bool
login_wants_link (const Control *c)
{
  return c->running && c->have_local && c->login.phase == LOGIN_DUE
         && c->login.backoff.retry_at <= c->now;
}

void
login_send (Control *c)
{
  Login *l = &c->login;
  const ControlIdentity *id = c->identity;
  bool refresh = l->kind == LOGIN_REFRESH;
  NodePublic old_key = id->old_node_key;

  if (!refresh && key_zero (&id->node_key))
    old_key = (NodePublic){0};
  else if (!refresh)
    key_public (id->node_key.bytes, old_key.bytes);
  int32_t stream
      = register_send (c, refresh ? &id->node_key : &id->pending_key, &old_key,
                       l->kind == LOGIN_FOLLOWUP ? NULL : l->auth_key,
                       l->kind == LOGIN_FOLLOWUP ? id->pending_url : NULL, wall_time_unset ());
  if (stream == 0)
    return;
  exchange_begin (&l->exchange, stream,
                  c->now + (l->kind == LOGIN_FOLLOWUP ? FOLLOWUP_US : ANSWER_US));
  l->phase = LOGIN_SENT;
}

#define BODY_MAX (1u << 20)

void
login_stream_event (Control *c, const H2Event *event)
{
  Exchange exchange = {0};

  if (!exchange_event (&c->login.exchange, event, BODY_MAX))
    return;
  exchange = c->login.exchange;
  c->login.exchange = (Exchange){0};
  if (exchange.status == 0)
    login_lost (c);
  else
    login_answer (c, exchange.status, exchange.retry_after, &exchange.body);
  exchange_clear (&exchange);
}

void
login_lost (Control *c)
{
  Login *l = &c->login;

  if (l->phase != LOGIN_SENT)
    return;
  exchange_clear (&l->exchange);
  l->phase = LOGIN_DUE;
  backoff_fail (&l->backoff, c->random, c->now);
}

void
login_tick (Control *c)
{
  Login *l = &c->login;

  if (l->phase == LOGIN_SENT && l->exchange.deadline <= c->now) {
    link_reset (c, &l->exchange.stream);
    exchange_clear (&l->exchange);
    l->phase = LOGIN_DUE;
    if (l->kind != LOGIN_FOLLOWUP) {
      backoff_fail (&l->backoff, c->random, c->now);
      link_doom (c, "no answer to a registration");
    }
  }
  if (l->phase == LOGIN_IDLE && l->refresh_at <= c->now && c->running && l->registered) {
    l->refresh_at = TIME_NEVER;
    l->by_user = false;
    login_begin (c, LOGIN_REFRESH);
  }
}

int64_t
login_deadline (const Control *c)
{
  const Login *l = &c->login;

  if (!c->running)
    return TIME_NEVER;
  switch (l->phase) {
    case LOGIN_IDLE:
      return l->registered ? l->refresh_at : TIME_NEVER;
    case LOGIN_SAVING:
      return TIME_NEVER;
    case LOGIN_DUE:
      return l->backoff.retry_at > c->now ? l->backoff.retry_at : TIME_NEVER;
    case LOGIN_SENT:
      return l->exchange.deadline;
  }
  return TIME_NEVER;
}
