/* People who come by the identity provider: sent there, taken back, given an account. What they
 * then do about a device is a POST of theirs at its page (spec/control-protocol.md §17.4). */

#include "coordinator/sign-in.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN "coordinator"
/* Numbers of jobs are shared with passwords: those of the provider have this bit. */
#define FETCH_BIT (UINT64_C (1) << 63)

Oidc *
sign_in_oidc_new (const State *state, Random *random)
{
  char redirect[1024];

  if (!state->oidc.issuer || !state->oidc.issuer[0])
    return NULL;
  snprintf (redirect, sizeof redirect, "%s/oidc/callback", state->url);
  return oidc_new (&state->oidc, redirect, random);
}

const char *
sign_in_provider (const State *state, char out[256])
{
  const char *issuer = state->oidc.issuer, *host;

  if (!state->sign_in->oidc)
    return NULL;
  host = strstr (issuer, "://");
  host = host ? host + 3 : issuer;
  snprintf (out, 256, "%.*s", (int)strcspn (host, "/"), host);
  return out;
}

/* ---- visits ---- */

/* Remembers the browser while the provider is asked; false, and answered, when too many wait. */
static bool
remember (Visit *v)
{
  SignIn *sign_in = v->state->sign_in;

  if (sign_in->n_guests == GUESTS_MAX) {
    visit_message (v, 503, "That did not work",
                   "Too many people sign in right now. Try again in a minute.");
    return false;
  }
  Guest *guest = &sign_in->guests[sign_in->n_guests++];
  guest->request = v->request;
  memcpy (guest->cookie, v->cookie, sizeof guest->cookie);
  guest->new_cookie = v->new_cookie;
  return true;
}

static bool
recall (State *state, uint64_t request, Visit *v)
{
  SignIn *sign_in = state->sign_in;

  *v = (Visit){.state = state, .request = request, .path = ""};
  for (size_t i = 0; i < sign_in->n_guests; i++) {
    Guest *guest = &sign_in->guests[i];
    if (guest->request != request)
      continue;
    memcpy (v->cookie, guest->cookie, sizeof v->cookie);
    v->new_cookie = guest->new_cookie;
    *guest = sign_in->guests[--sign_in->n_guests];
    return true;
  }
  return false;
}

/* ---- accounts ---- */

static CoUser *
find_by_subject (const CoModel *model, const char *subject)
{
  for (size_t i = 0; i < model->n_users; i++)
    if (model->users[i]->subject && strcmp (model->users[i]->subject, subject) == 0)
      return model->users[i];
  return NULL;
}

/* A login that nobody has: the verified address, else what the provider calls the person, else who
 * they are there. */
static void
choose_login (const CoModel *model, const OidcPerson *person, char out[OIDC_TEXT_MAX + 24])
{
  const char *subject = strchr (person->subject, ' ');
  const char *wished = person->email[0]       ? person->email
                       : person->user_name[0] ? person->user_name
                                              : subject + 1;

  snprintf (out, OIDC_TEXT_MAX + 24, "%s", wished);
  for (unsigned i = 2; model_user_by_login (model, out); i++)
    snprintf (out, OIDC_TEXT_MAX + 24, "%s (%u)", wished, i);
}

static void
set_name (State *state, CoUser *user, const char *name)
{
  if (!name[0] || strcmp (user->display_name, name) == 0)
    return;
  free (user->display_name);
  user->display_name = mem_strndup (name, strlen (name));
  for (size_t i = 0; i < state->model.n_nodes; i++)
    if (state->model.nodes[i]->user == user->id)
      state_changed (state, state->model.nodes[i], true);
}

/* The account of PERSON. One that was invited by its address becomes theirs at the first time. */
static CoUser *
take_account (State *state, const OidcPerson *person)
{
  CoModel *model = &state->model;
  CoUser *user = find_by_subject (model, person->subject);
  char login[OIDC_TEXT_MAX + 24];

  if (!user && person->email[0]) {
    user = model_user_by_login (model, person->email);
    if (user && user->subject)
      user = NULL;
  }
  if (!user) {
    choose_login (model, person, login);
    user = model_add_user (model, login, person->name[0] ? person->name : login, ROLE_MEMBER,
                           state->wall);
    log_info (DOMAIN, "new account %s", login);
  }
  if (!user->subject)
    user->subject = mem_strndup (person->subject, strlen (person->subject));
  set_name (state, user, person->name);
  state_save_user (state, user);
  return user;
}

/* ---- what the core wants done ---- */

static void
go_on (Visit *v, const OidcAction *action)
{
  char location[64] = "/";

  visit_sign_in (v, take_account (v->state, &action->person));
  if (action->device[0])
    snprintf (location, sizeof location, "/register/%s", action->device);
  visit_redirect (v, location);
}

static void
carry_out (State *state, OidcAction *action)
{
  Visit v;

  if (action->type == OIDC_ACTION_FETCH) {
    WorkJob *job = &state_push (state, STATE_ACTION_WORK, 0)->work;
    *job = (WorkJob){
        .type = WORK_FETCH,
        .id = action->number | FETCH_BIT,
        .url = action->url,
        .form = action->form,
        .auth = action->auth,
    };
    action->url = action->form = action->auth = NULL;
    return;
  }
  if (!recall (state, action->number, &v))
    return;
  if (action->type == OIDC_ACTION_PERSON) {
    go_on (&v, action);
  } else if (action->type == OIDC_ACTION_REDIRECT) {
    web_redirect (&v.response, 302, action->url);
    visit_send (&v, 302);
  } else {
    log_warning (DOMAIN, "sign-in by the identity provider: %s", action->text);
    Pending *pending = pending_find (state, action->device);
    if (pending && pending->outcome == PENDING_WAITS)
      device_show (&v, pending, 403, action->text);
    else
      visit_message (&v, 403, "That did not work", action->text);
  }
}

static void
carry_out_all (State *state)
{
  OidcAction action;

  while (oidc_next_action (state->sign_in->oidc, &action)) {
    carry_out (state, &action);
    oidc_action_clear (&action);
  }
}

/* ---- routes ---- */

void
oidc_get (Visit *v)
{
  State *state = v->state;
  SignIn *sign_in = state->sign_in;
  const char *query = web_query (v->path);
  bool start = web_path_is (v->path, "/oidc/start");
  WebForm form;

  if (!sign_in->oidc || (!start && !web_path_is (v->path, "/oidc/callback"))) {
    visit_message (v, 404, "Nothing is here", "Check the address, or follow the link again.");
    return;
  }
  if (start && !accounts_may_guess_from (sign_in->accounts, &v->from, state->now_us)) {
    visit_message (v, 429, "That did not work",
                   "That were too many tries. Wait a minute, then try again.");
    return;
  }
  if (!remember (v))
    return;
  web_form_parse (query, strlen (query), &form);
  const char *device = web_form_get (&form, "device");
  if (start)
    oidc_begin (sign_in->oidc, v->request, v->cookie, pending_find (state, device) ? device : "",
                state->now_us);
  else
    oidc_return (sign_in->oidc, v->request, v->cookie, query, state->wall, state->now_us);
  web_form_clear (&form);
  carry_out_all (state);
}

bool
sign_in_oidc_worked (State *state, const WorkResult *result)
{
  if (!(result->id & FETCH_BIT) || !state->sign_in->oidc)
    return false;
  oidc_fetched (state->sign_in->oidc, result->id & ~FETCH_BIT, result->ok ? result->status : 0,
                result->body ? result->body : "", result->size, state->wall, state->now_us);
  if (!result->ok)
    log_warning (DOMAIN, "the identity provider cannot be reached: %s",
                 result->body ? result->body : "too much is under way");
  carry_out_all (state);
  return true;
}
