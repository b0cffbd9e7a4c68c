/* What is done at the pages: a device let in or refused, a password set. */

#include "coordinator/sign-in.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a device ---- */

static const char *
text_of (const char *text)
{
  return text ? text : "";
}

/* The first 64 bits of the machine key, in groups that can be read aloud. */
static void
format_fingerprint (const MachinePublic *machine, char out[20])
{
  char hex[17];

  hex_encode (machine->bytes, 8, hex);
  snprintf (out, 20, "%.4s %.4s %.4s %.4s", hex, hex + 4, hex + 8, hex + 12);
}

static const char *
first_login (const State *state)
{
  const CoModel *model = &state->model;

  for (size_t i = 0; i < model->n_users; i++)
    if (model->users[i]->role == ROLE_OWNER)
      return model->users[i]->login;
  return "";
}

static void
join_texts (const char *const *texts, size_t n, Buffer *out)
{
  for (size_t i = 0; i < n; i++)
    buffer_append_format (out, "%s%s", i > 0 ? ", " : "", texts[i]);
  buffer_append (out, "", 1);
}

/* Everybody, for those who decide about others' devices; NULL: no choice. */
static const char **
list_people (const Visit *v)
{
  const CoModel *model = &v->state->model;

  if (!v->user || !sign_in_may_manage (v->user->role) || model->n_users < 2)
    return NULL;
  const char **people = mem_new ((model->n_users + 1) * sizeof *people);
  for (size_t i = 0; i < model->n_users; i++)
    people[i] = model->users[i]->login;
  return people;
}

void
device_show (Visit *v, Pending *pending, int status, const char *error)
{
  const Hostinfo *hostinfo = &pending->hostinfo;
  const char *login = web_form_get (&v->form, "login");
  char form[64], system[256], key[20];
  Buffer tags = {0};
  const char **people = list_people (v);

  snprintf (form, sizeof form, "/register/%s", pending->id);
  snprintf (system, sizeof system, "%.60s %.60s %.60s", text_of (hostinfo->os),
            text_of (hostinfo->distro), text_of (hostinfo->os_version));
  format_fingerprint (&pending->machine, key);
  join_texts (hostinfo->request_tags, hostinfo->n_request_tags, &tags);
  Page page = visit_page (v, form, error);
  PageDevice device = {
      .id = pending->id,
      .name = text_of (hostinfo->hostname),
      .system = system,
      .tags = (const char *)tags.data,
      .key = key,
      .from = pending->from,
      .login = v->user    ? v->user->login
               : login[0] ? login
                          : first_login (v->state),
      .unfolded = login[0] != '\0',
      .people = people,
  };
  page_device (&v->response.body, &page, &device);
  visit_send (v, status);
  buffer_free (&tags);
  free (people);
}

static void
show_outcome (Visit *v, const Pending *pending)
{
  char title[128];
  const char *name = text_of (pending->hostinfo.hostname);
  bool approved = pending->outcome == PENDING_APPROVED;

  snprintf (title, sizeof title, approved ? "“%.60s” is in" : "“%.60s” was refused",
            name[0] ? name : "The device");
  visit_message (v, 200, title,
                 approved ? "The device is part of this network now. You can close this page."
                          : "The device was not let in. You can close this page.");
}

static Pending *
find_device (Visit *v, const char *id)
{
  char name[2 * PENDING_ID_BYTES + 1];
  size_t n = strcspn (id, "?");
  Pending *pending = NULL;

  if (n < sizeof name) {
    memcpy (name, id, n);
    name[n] = '\0';
    pending = pending_find (v->state, name);
  }
  if (!pending)
    visit_message (v, 404, "Nothing waits here",
                   "This link is too old, or not complete. Start signing in again on the device, "
                   "and open the new link.");
  return pending;
}

void
device_get (Visit *v, const char *id)
{
  Pending *pending = find_device (v, id);

  if (!pending)
    return;
  if (pending->outcome == PENDING_WAITS)
    device_show (v, pending, 200, NULL);
  else
    show_outcome (v, pending);
}

/* Signed in as v->user; OWNER is whose device it becomes. */
static void
decide (Visit *v, Pending *pending, bool approve, const CoUser *owner)
{
  char location[64];

  if (pending->outcome == PENDING_WAITS) {
    const char *error = NULL;
    if (approve)
      error = pending_approve (v->state, pending, owner);
    else
      pending_deny (v->state, pending);
    if (error) {
      char text[128];
      snprintf (text, sizeof text, "The device cannot be let in: %s.", error);
      device_show (v, pending, 409, text);
      return;
    }
  }
  snprintf (location, sizeof location, "/register/%s", pending->id);
  visit_redirect (v, location);
}

/* identify() knows no device: the visit's path has it. */
static void
device_again (Visit *v, int status, const char *error)
{
  Pending *pending = find_device (v, v->path + strlen ("/register/"));

  if (pending)
    device_show (v, pending, status, error);
}

void
device_post (Visit *v, const char *id)
{
  Pending *pending = find_device (v, id);
  const char *action = web_form_get (&v->form, "action");
  const char *person = web_form_get (&v->form, "user");
  bool approve = strcmp (action, "approve") == 0;
  const CoUser *owner = v->user;
  CoUser *user;
  Wait *wait;

  if (!pending)
    return;
  if (pending->outcome != PENDING_WAITS) {
    show_outcome (v, pending);
    return;
  }
  if (!approve && strcmp (action, "deny") != 0) {
    device_show (v, pending, 400, "Choose what to do with the device.");
    return;
  }
  if (v->user) {
    if (person[0] && strcmp (person, v->user->login) != 0)
      owner = sign_in_may_manage (v->user->role) ? model_user_by_login (&v->state->model, person)
                                                 : NULL;
    if (owner)
      decide (v, pending, approve, owner);
    else
      device_show (v, pending, 403, "You may not let in devices of that account.");
    return;
  }
  if (!sign_in_identify (v, WAIT_DEVICE, &user, &wait, device_again))
    return;
  if (wait) {
    wait->device = mem_strndup (pending->id, strlen (pending->id));
    wait->approve = approve;
    return;
  }
  accounts_use_code (user);
  state_save_user (v->state, user);
  visit_sign_in (v, user);
  decide (v, pending, approve, user);
}

void
device_checked (Visit *v, const Wait *wait, bool right)
{
  Pending *pending = find_device (v, wait->device);

  if (!pending)
    return;
  if (!right) {
    v->form.names[0] = "login";
    v->form.values[0] = wait->login;
    v->form.n = 1;
    device_show (v, pending, 403,
                 "That is not the password of this account, and not a one-time "
                 "code that is valid now.");
    return;
  }
  visit_sign_in (v, model_user (&v->state->model, wait->user));
  decide (v, pending, wait->approve, v->user);
}

/* ---- a password ---- */

static void
password_show (Visit *v, int status, const char *error, const char *login, const char *code)
{
  Page page = visit_page (v, "/password", error);

  page_password (&v->response.body, &page, login, code);
  visit_send (v, status);
}

void
password_get (Visit *v)
{
  const char *query = web_query (v->path);
  WebForm form;

  web_form_parse (query, strlen (query), &form);
  const char *login = web_form_get (&form, "login");
  password_show (v, 200, NULL,
                 login[0]  ? login
                 : v->user ? v->user->login
                           : first_login (v->state),
                 web_form_get (&form, "code"));
  web_form_clear (&form);
}

static void
password_again (Visit *v, int status, const char *error)
{
  password_show (v, status, error, web_form_get (&v->form, "login"), "");
}

/* NULL, or what is wrong with PASSWORD. */
static const char *
judge (const char *password)
{
  size_t n = 0;

  for (const char *at = password; *at; at++)
    n += ((unsigned char)*at & 0xc0) != 0x80;
  if (n < ACCOUNTS_PASSWORD_MIN)
    return "The new password is too short: it needs at least 10 characters.";
  if (strlen (password) > ACCOUNTS_PASSWORD)
    return "The new password is too long.";
  return NULL;
}

void
password_post (Visit *v)
{
  const char *password = web_form_get (&v->form, "new");
  const char *error = judge (password);
  CoUser *user;
  Wait *wait;

  if (!error && strcmp (password, web_form_get (&v->form, "again")) != 0)
    error = "The two new passwords differ. Type the same one twice.";
  if (error) {
    password_again (v, 400, error);
    return;
  }
  if (!sign_in_identify (v, WAIT_OLD_PASSWORD, &user, &wait, password_again))
    return;
  if (wait) {
    wait->new_password = mem_strndup (password, strlen (password));
    return;
  }
  const char *code = web_form_get (&v->form, "secret");
  wait = sign_in_wait (v->state, WAIT_NEW_PASSWORD, v->request);
  if (!wait) {
    password_again (v, 503, "Too many people sign in right now. Try again in a minute.");
    return;
  }
  wait->user = user->id;
  wait->code = mem_strndup (code, strlen (code));
  wait->login = mem_strndup (user->login, strlen (user->login));
  strcpy (wait->cookie, v->cookie);
  sign_in_push_hash (v->state, wait, password, NULL);
}

void
password_checked (Visit *v, Wait *wait, bool right)
{
  Wait *next = right ? sign_in_wait (v->state, WAIT_NEW_PASSWORD, v->request) : NULL;

  if (!next) {
    password_show (v, right ? 503 : 403,
                   right ? "Too many people sign in right now. Try again in a minute."
                         : "That is not the password of this account, and not a one-time code "
                           "that is valid now.",
                   wait->login, "");
    return;
  }
  next->user = wait->user;
  next->login = wait->login;
  wait->login = NULL;
  strcpy (next->cookie, wait->cookie);
  sign_in_push_hash (v->state, next, wait->new_password, NULL);
}

static void
keep_password (State *state, CoUser *user, const char *hash)
{
  free (user->password);
  user->password = mem_strndup (hash, strlen (hash));
  accounts_sign_out_user (state->sign_in->accounts, user->id);
  state_save_user (state, user);
}

void
password_hashed (Visit *v, const Wait *wait, const char *hash)
{
  State *state = v->state;
  CoUser *user = model_user (&state->model, wait->user);
  /* Two may have sent the same code at once: the first one used it. */
  bool used = wait->code && accounts_match_code (&state->model, wait->code, state->wall) != user;

  if (wait->kind == WAIT_COMMAND) {
    if (hash)
      keep_password (state, user, hash);
    state_reply (state, wait->request, hash ? 0 : 1,
                 hash ? "The password is set.\n" : "The password could not be set.\n");
    return;
  }
  if (!hash || used) {
    password_show (v, used ? 403 : 503,
                   used ? "That is not a one-time code that is valid now."
                        : "The password could not be set. Try again in a minute.",
                   wait->login, "");
    return;
  }
  if (wait->code)
    accounts_use_code (user);
  keep_password (state, user, hash);
  visit_sign_in (v, user);
  visit_message (v, 200, "The password is set",
                 "Use it to let devices into this network. You can close this page.");
}

bool
state_set_password (State *state, uint64_t request, const CoUser *user, const char *password,
                    const char **error)
{
  *error = judge (password);
  if (*error)
    return false;
  Wait *wait = sign_in_wait (state, WAIT_COMMAND, request);
  if (!wait) {
    *error = "Too much is under way. Try again in a minute.";
    return false;
  }
  wait->user = user->id;
  sign_in_push_hash (state, wait, password, NULL);
  return true;
}
