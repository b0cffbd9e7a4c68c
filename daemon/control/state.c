#include "control/core.h"

#include <stdlib.h>
#include <string.h>

ControlProblem
problem_of_dial (ControlDialFailure failure)
{
  switch (failure) {
    case CONTROL_DIAL_TLS_UNTRUSTED:
      return CONTROL_PROBLEM_TLS_UNTRUSTED;
    case CONTROL_DIAL_TLS_EXPIRED:
      return CONTROL_PROBLEM_TLS_EXPIRED;
    case CONTROL_DIAL_RESOLVE:
    case CONTROL_DIAL_REFUSED:
    case CONTROL_DIAL_TIMEOUT:
    case CONTROL_DIAL_PROXY:
    case CONTROL_DIAL_TLS:
      break;
  }
  return CONTROL_PROBLEM_SERVER_UNREACHABLE;
}

static void
set (ProblemSlot *slot, ControlProblem problem, const char *text, bool retrying)
{
  char *copy = control_strdup (text ? text : "");

  free (slot->text);
  *slot = (ProblemSlot){problem, copy, retrying};
}

void
problem_connection (Control *c, ControlProblem problem, const char *text, bool retrying)
{
  set (&c->connection_problem, problem, text, retrying);
}

void
problem_login (Control *c, ControlProblem problem, const char *text, bool retrying)
{
  set (&c->login_problem, problem, text, retrying);
}

void
connect_failed (Control *c, ControlProblem problem, const char *text)
{
  problem_connection (c, problem, text, true);
  if (login_wants_link (c))
    backoff_fail (&c->login.backoff, c->random, c->now);
  if (map_wants_link (c))
    backoff_fail (&c->map.backoff, c->random, c->now);
  if (lite_wants_link (c))
    backoff_fail (&c->lite.backoff, c->random, c->now);
  if (c->logout.active)
    logout_finish (c, false);
}

static ControlState
derive (const Control *c)
{
  const Login *l = &c->login;
  const Node *self = c->netmap ? netmap_self (c->netmap) : NULL;

  if (!c->running)
    return CONTROL_OFF;
  if (self && login_has_node (c) && !self->expired)
    return self->machine_authorized ? CONTROL_RUNNING : CONTROL_NEEDS_APPROVAL;
  if (c->identity->pending_url || l->blocked || l->expired || (self && self->expired)
      || (key_zero (&c->identity->node_key) && l->phase == LOGIN_IDLE))
    return CONTROL_NEEDS_LOGIN;
  return l->registered ? CONTROL_SYNCHRONISING : CONTROL_CONNECTING;
}

static void
tell_problem (Control *c)
{
  const ProblemSlot *now = &c->login_problem;
  ProblemSlot *told = &c->told_problem;

  if (now->problem == CONTROL_PROBLEM_NONE)
    now = &c->connection_problem;
  const char *text = now->text ? now->text : "";
  if (now->problem == told->problem && now->retrying == told->retrying
      && strcmp (text, told->text ? told->text : "") == 0)
    return;
  ControlAction *action = control_push (c, CONTROL_ACTION_PROBLEM);
  action->problem.problem = now->problem;
  action->problem.text = control_strdup (text);
  action->problem.retrying = now->retrying;
  if (now->problem == CONTROL_PROBLEM_SERVER_KEY_CHANGED)
    action->problem.server_key = c->offered_key;
  set (told, now->problem, text, now->retrying);
}

void
state_update (Control *c)
{
  ControlState state = derive (c);
  bool online = c->running && map_is_online (c);

  tell_problem (c);
  if (c->state_told && state == c->state && online == c->online)
    return;
  c->state = state;
  c->online = online;
  c->state_told = true;
  ControlAction *action = control_push (c, CONTROL_ACTION_STATE);
  action->state.state = state;
  action->state.online = online;
}
