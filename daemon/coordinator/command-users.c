/* Commands on users: who they are, what they may do, how they prove it at the sign-in page. */

#include "coordinator/accounts.h"
#include "coordinator/command.h"
#include "coordinator/web.h"

#include "base/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void
command_users_list (Command *c)
{
  const CoModel *model = &c->state->model;
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_array (&w);
  for (size_t i = 0; i < model->n_users; i++) {
    const CoUser *user = model->users[i];
    json_writer_begin_object (&w);
    json_writer_name (&w, "id");
    json_writer_i64 (&w, user->id);
    json_writer_name (&w, "login");
    json_writer_string (&w, user->login);
    json_writer_opt_string (&w, "displayName", user->display_name);
    json_writer_name (&w, "role");
    json_writer_string (&w, state_role_name (user->role));
    json_writer_name (&w, "password");
    json_writer_bool (&w, user->password != NULL);
    json_writer_opt_time (&w, "created", user->created);
    json_writer_end_object (&w);
    command_say (c, "%-32s %-8s %s\n", user->login, state_role_name (user->role),
                 user->password  ? "password"
                 : user->subject ? "identity provider"
                                 : "no password");
  }
  json_writer_end_array (&w);
  command_json (c, &w);
}

static CoUser *
named_user (Command *c)
{
  const char *login = command_word (c, 0);
  CoUser *user = model_user_by_login (&c->state->model, login);

  if (!user)
    command_fail (c, "There is no user \"%s\".", login);
  return user;
}

/* The role of TEXT; MEMBER for NULL. False after a failure. */
static bool
take_role (Command *c, const char *text, PolicyRole *role)
{
  *role = ROLE_MEMBER;
  if (!text || policy_role_parse (text, role))
    return true;
  command_misused (c, "\"%s\" is not a role like owner, admin or member.", text);
  return false;
}

/* A new account; NULL after a failure. */
static CoUser *
add_user (Command *c, const char *login, PolicyRole role)
{
  if (*login && strlen (login) <= 254 && !strpbrk (login, " \t\r\n\"<>&?#/"))
    return model_add_user (&c->state->model, login, login, role, c->state->wall);
  command_misused (c, "\"%s\" is not a name for an account.", login);
  return NULL;
}

void
command_users_create (Command *c)
{
  const char *login = command_word (c, 0);
  PolicyRole role;
  CoUser *user = NULL;

  if (model_user_by_login (&c->state->model, login))
    command_fail (c, "There is a user \"%s\" already.", login);
  else if (take_role (c, command_option (c, "role"), &role))
    user = add_user (c, login, role);
  if (!user)
    return;
  state_save_user (c->state, user);
  command_done (c, "Created.");
}

/* ---- how they sign in ---- */

static void
make_code (Command *c, CoUser *user, int64_t life_us, char text[ACCOUNTS_CODE_MAX])
{
  State *state = c->state;

  accounts_make_code (state->random, user, wall_time_add_us (state->wall, life_us), text);
  state_save_user (state, user);
}

void
command_users_code (Command *c)
{
  const CoUser *chosen = c->n_words > 0 ? named_user (c) : command_user (c);
  CoUser *user = chosen ? model_user (&c->state->model, chosen->id) : NULL;
  char code[ACCOUNTS_CODE_MAX];
  JsonWriter w;

  if (!user)
    return;
  make_code (c, user, ACCOUNTS_CODE_US, code);
  json_writer_init (&w);
  json_writer_begin_object (&w);
  json_writer_name (&w, "code");
  json_writer_string (&w, code);
  json_writer_name (&w, "login");
  json_writer_string (&w, user->login);
  json_writer_opt_time (&w, "expires", user->code_until);
  json_writer_end_object (&w);
  command_say (c,
               "%s\nType this code at the device's sign-in page. It works once, within 15 "
               "minutes.\n",
               code);
  command_json (c, &w);
}

void
command_users_invite (Command *c)
{
  State *state = c->state;
  const char *login = command_word (c, 0), *role_text = command_option (c, "role");
  CoUser *user = model_user_by_login (&state->model, login);
  char code[ACCOUNTS_CODE_MAX];
  PolicyRole role;
  Buffer link = {0};
  JsonWriter w;

  if (!take_role (c, role_text, &role))
    return;
  if (user && role_text && role != user->role)
    command_fail (c, "\"%s\" has another role already; see users role.", login);
  else if (!user)
    user = add_user (c, login, role);
  if (c->code != 0)
    return;
  make_code (c, user, ACCOUNTS_INVITE_US, code);
  buffer_append_format (&link, "%s/password?login=", state->url);
  web_append_encoded (&link, login);
  buffer_append_format (&link, "&code=%s", code);
  json_writer_init (&w);
  json_writer_begin_object (&w);
  json_writer_name (&w, "link");
  json_writer_string_n (&w, (const char *)link.data, link.size);
  json_writer_opt_time (&w, "expires", user->code_until);
  json_writer_end_object (&w);
  command_say (c, "%.*s\nWhoever opens this link within 7 days sets the account's password.\n",
               (int)link.size, (const char *)link.data);
  command_json (c, &w);
  buffer_free (&link);
}

void
command_users_password (Command *c)
{
  CoUser *user = named_user (c);
  const char *input = c->event->command.input ? c->event->command.input : "", *error;
  size_t n = strcspn (input, "\r\n");

  if (!user)
    return;
  char *password = mem_strndup (input, n);
  c->deferred = state_set_password (c->state, c->event->request, user, password, &error);
  if (!c->deferred)
    command_fail (c, "%s", error);
  sodium_memzero (password, n);
  free (password);
}

/* ---- what they may do ---- */

/* Somebody must be left who may do everything. */
static bool
is_last_owner (const State *state, const CoUser *user)
{
  size_t n = 0;

  for (size_t i = 0; i < state->model.n_users; i++)
    n += state->model.users[i]->role == ROLE_OWNER;
  return user->role == ROLE_OWNER && n == 1;
}

void
command_users_role (Command *c)
{
  State *state = c->state;
  CoUser *user = named_user (c);
  PolicyRole role;

  if (!user || !take_role (c, command_word (c, 1), &role))
    return;
  if (role != ROLE_OWNER && is_last_owner (state, user)) {
    command_fail (c, "\"%s\" is the only owner; make somebody else one first.", user->login);
    return;
  }
  user->role = role;
  state_save_user (state, user);
  state_view_changed (state);
  command_done (c, "Changed.");
}

void
command_users_remove (Command *c)
{
  State *state = c->state;
  CoUser *user = named_user (c);

  if (!user)
    return;
  for (size_t i = 0; i < state->model.n_nodes; i++)
    if (state->model.nodes[i]->user == user->id) {
      command_fail (c, "\"%s\" still has the device \"%s\"; remove or move it first.", user->login,
                    state->model.nodes[i]->name);
      return;
    }
  if (is_last_owner (state, user)) {
    command_fail (c, "\"%s\" is the only owner.", user->login);
    return;
  }
  state_remove_user (state, user);
  command_done (c, "Removed.");
}
