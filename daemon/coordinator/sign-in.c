/* Browsers at the coordinator: routes, cookies, and who somebody is (spec/control-protocol.md
 * §17.4). */

#include "coordinator/sign-in.h"

#include "base/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SESSION_S (ACCOUNTS_SESSION_US / USEC_PER_SEC)
/* Compared with when there is no account or no password, so that nobody learns that by the time the
 * answer takes. */
#define NOBODY                                                                                     \
  "$argon2id$v=19$m=65536,t=3,p=1$x/6D6fVFWNQuurj5eHrmCw$"                                         \
  "m7psb0+N8HhJF7OYRAj3cVG18WVxco76hvDSo55t3BI"

SignIn *
sign_in_new (const State *state, Random *random)
{
  SignIn *sign_in = mem_new (sizeof *sign_in);

  sign_in->accounts = accounts_new (random);
  sign_in->oidc = sign_in_oidc_new (state, random);
  return sign_in;
}

static void
free_secret (char *text)
{
  if (text)
    sodium_memzero (text, strlen (text));
  free (text);
}

static void
wait_clear (Wait *wait)
{
  free (wait->device);
  free (wait->login);
  free_secret (wait->code);
  free_secret (wait->new_password);
}

void
sign_in_free (SignIn *sign_in)
{
  for (size_t i = 0; i < sign_in->n_waits; i++)
    wait_clear (&sign_in->waits[i]);
  accounts_free (sign_in->accounts);
  oidc_free (sign_in->oidc);
  free (sign_in);
}

void
sign_in_forget_user (State *state, UserId user)
{
  accounts_sign_out_user (state->sign_in->accounts, user);
}

bool
sign_in_may_manage (PolicyRole role)
{
  return role == ROLE_OWNER || role == ROLE_ADMIN;
}

/* ---- answers ---- */

static bool
is_secure (const State *state)
{
  return strncmp (state->url, "https://", 8) == 0;
}

/* The prefix makes browsers refuse the cookie from anywhere but this very host. */
static const char *
cookie_name (const State *state)
{
  return is_secure (state) ? "__Host-warren" : "warren";
}

Page
visit_page (Visit *v, const char *form, const char *error)
{
  const Accounts *accounts = v->state->sign_in->accounts;

  accounts_form_token (accounts, v->cookie, form, v->form_token);
  accounts_form_token (accounts, v->cookie, "/sign-out", v->out_token);
  return (Page){
      .network = v->state->model.settings.domain,
      .account = v->user ? v->user->login : NULL,
      .form_token = v->form_token,
      .out_token = v->out_token,
      .error = error,
      .provider = sign_in_provider (v->state, v->provider),
  };
}

void
visit_send (Visit *v, int status)
{
  WebResponse *response = &v->response;
  StateAction *action = state_push (v->state, STATE_ACTION_REPLY, v->request);

  if (v->new_cookie)
    web_set_cookie (response, cookie_name (v->state), v->cookie, SESSION_S, is_secure (v->state));
  if (status == 429 || status == 503)
    buffer_append_text (&response->headers, "Retry-After: 60\r\n");
  buffer_append_text (&response->headers, pages_headers ());
  buffer_append (&response->headers, "", 1);
  action->reply.status = status;
  action->reply.type = WEB_HTML;
  action->reply.size = buffer_steal (&response->body, (uint8_t **)&action->reply.body);
  buffer_steal (&response->headers, (uint8_t **)&action->reply.headers);
  web_response_clear (response);
}

void
visit_message (Visit *v, int status, const char *title, const char *text)
{
  Page page = visit_page (v, "", NULL);

  page_message (&v->response.body, &page, title, text);
  visit_send (v, status);
}

void
visit_redirect (Visit *v, const char *location)
{
  web_redirect (&v->response, 303, location);
  visit_send (v, 303);
}

void
visit_sign_in (Visit *v, CoUser *user)
{
  Accounts *accounts = v->state->sign_in->accounts;

  accounts_sign_out (accounts, v->cookie);
  accounts_sign_in (accounts, user->id, v->state->now_us, v->cookie);
  accounts_guessed_right (accounts, user->id);
  v->new_cookie = true;
  v->user = user;
}

/* ---- jobs ---- */

Wait *
sign_in_wait (State *state, WaitKind kind, uint64_t request)
{
  SignIn *sign_in = state->sign_in;

  if (sign_in->n_waits >= HASHES_MAX)
    return NULL;
  Wait *wait = &sign_in->waits[sign_in->n_waits++];
  *wait = (Wait){.kind = kind, .job = ++sign_in->last_job, .request = request};
  return wait;
}

void
sign_in_push_hash (State *state, const Wait *wait, const char *password, const char *hash)
{
  WorkJob *job = &state_push (state, STATE_ACTION_WORK, wait->request)->work;

  job->id = wait->job;
  job->type = hash ? WORK_VERIFY : WORK_HASH;
  job->password = mem_strndup (password, strlen (password));
  job->hash = hash ? mem_strndup (hash, strlen (hash)) : NULL;
}

bool
sign_in_identify (Visit *v, WaitKind kind, CoUser **user, Wait **wait,
                  void (*again) (Visit *v, int status, const char *error))
{
  State *state = v->state;
  Accounts *accounts = state->sign_in->accounts;
  const char *login = web_form_get (&v->form, "login");
  const char *secret = web_form_get (&v->form, "secret");

  *user = NULL;
  *wait = NULL;
  if (!secret[0] || strlen (secret) > ACCOUNTS_PASSWORD) {
    again (v, 400, "Type your password, or a one-time code.");
    return false;
  }
  if (!accounts_may_guess_from (accounts, &v->from, state->now_us)) {
    again (v, 429, "That were too many tries. Wait a minute, then try again.");
    return false;
  }
  *user = accounts_match_code (&state->model, secret, state->wall);
  if (*user)
    return true;
  CoUser *named = model_user_by_login (&state->model, login);
  if (!accounts_may_guess (accounts, named ? named->id : 0, state->now_us)) {
    again (v, 429,
           "That were too many tries for this account. Wait a minute, or use a one-time "
           "code.");
    return false;
  }
  *wait = sign_in_wait (state, kind, v->request);
  if (!*wait) {
    again (v, 503, "Too many people sign in right now. Try again in a minute.");
    return false;
  }
  (*wait)->user = named && named->password ? named->id : 0;
  (*wait)->login = mem_strndup (login, strlen (login));
  strcpy ((*wait)->cookie, v->cookie);
  sign_in_push_hash (state, *wait, secret, named && named->password ? named->password : NOBODY);
  return true;
}

void
state_worked (State *state, const StateEvent *event)
{
  SignIn *sign_in = state->sign_in;
  const WorkResult *result = event->worked;
  size_t i = 0;

  if (sign_in_oidc_worked (state, result))
    return;
  while (i < sign_in->n_waits && sign_in->waits[i].job != result->id)
    i++;
  if (i == sign_in->n_waits)
    return;
  Wait wait = sign_in->waits[i];
  sign_in->waits[i] = sign_in->waits[--sign_in->n_waits];
  Visit v = {.state = state, .request = wait.request, .path = ""};
  strcpy (v.cookie, wait.cookie);
  v.user = model_user (&state->model, accounts_user (sign_in->accounts, v.cookie, state->now_us));
  bool right = result->ok && model_user (&state->model, wait.user);
  switch (wait.kind) {
    case WAIT_DEVICE:
      device_checked (&v, &wait, right);
      break;
    case WAIT_OLD_PASSWORD:
      password_checked (&v, &wait, right);
      break;
    case WAIT_NEW_PASSWORD:
    case WAIT_COMMAND:
      password_hashed (&v, &wait, right ? result->hash : NULL);
      break;
  }
  wait_clear (&wait);
}

/* ---- routes ---- */

/* A form that came from a page of ours: its fields in v->form. False: it was answered. */
static bool
take_form (Visit *v, const WebRequest *web)
{
  char form[256];
  size_t n = strcspn (v->path, "?");

  if (n >= sizeof form || !web_form_parse (web->body, web->size, &v->form)) {
    visit_message (v, 400, "That did not work", "The form cannot be read. Go back and try again.");
    return false;
  }
  memcpy (form, v->path, n);
  form[n] = '\0';
  if (strcmp (web->site, "cross-site") != 0 && strcmp (web->site, "same-site") != 0
      && accounts_form_valid (v->state->sign_in->accounts, v->cookie, form,
                              web_form_get (&v->form, "token")))
    return true;
  visit_message (v, 403, "That did not work",
                 "The page was open too long, or this browser keeps no cookies. Go back, load the "
                 "page again, and try once more.");
  return false;
}

static void
sign_out (Visit *v)
{
  accounts_sign_out (v->state->sign_in->accounts, v->cookie);
  v->user = NULL;
  accounts_stranger (v->state->sign_in->accounts, v->cookie);
  v->new_cookie = true;
  visit_message (v, 200, "Signed out", "You can close this page.");
}

static void
home (Visit *v)
{
  Page page = visit_page (v, "/", NULL);

  page_home (&v->response.body, &page);
  visit_send (v, 200);
}

static void
get (Visit *v)
{
  static const char device[] = "/register/";

  if (strncmp (v->path, device, sizeof device - 1) == 0)
    device_get (v, v->path + sizeof device - 1);
  else if (web_path_is (v->path, "/password"))
    password_get (v);
  else if (strncmp (v->path, "/oidc/", 6) == 0)
    oidc_get (v);
  else if (web_path_is (v->path, "/"))
    home (v);
  else
    visit_message (v, 404, "Nothing is here", "Check the address, or follow the link again.");
}

static void
post (Visit *v, const WebRequest *web)
{
  static const char device[] = "/register/";

  if (!take_form (v, web))
    return;
  if (strncmp (v->path, device, sizeof device - 1) == 0)
    device_post (v, v->path + sizeof device - 1);
  else if (web_path_is (v->path, "/password"))
    password_post (v);
  else if (web_path_is (v->path, "/sign-out"))
    sign_out (v);
  else
    visit_message (v, 404, "Nothing is here", "Check the address, or follow the link again.");
}

void
state_web (State *state, const StateEvent *event)
{
  const WebRequest *web = event->web;
  Accounts *accounts = state->sign_in->accounts;
  Visit v = {.state = state, .request = event->request, .path = web->path, .from = web->from};

  if (!web_cookie_get (web->cookie, cookie_name (state), v.cookie, sizeof v.cookie)
      || !accounts_is_token (v.cookie)) {
    accounts_stranger (accounts, v.cookie);
    v.new_cookie = true;
  }
  v.user = model_user (&state->model, accounts_user (accounts, v.cookie, state->now_us));
  if (strcmp (web->method, "GET") == 0 || strcmp (web->method, "HEAD") == 0)
    get (&v);
  else if (strcmp (web->method, "POST") == 0)
    post (&v, web);
  else
    visit_message (&v, 405, "That did not work", "Open the page anew.");
  web_form_clear (&v.form);
}
