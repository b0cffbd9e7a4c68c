#include "state-rig.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static void
free_action (gpointer data)
{
  state_action_clear (data);
  g_free (data);
}

static void
take_actions (Rig *rig)
{
  StateAction action;

  while (state_next_action (rig->state, &action)) {
    if (action.type == STATE_ACTION_REPLY) {
      g_assert_false (g_hash_table_contains (rig->replies, GSIZE_TO_POINTER (action.request)));
      /* With a NUL behind it, to be searched as text. */
      char *text = mem_strndup (action.reply.body, action.reply.size);
      free (action.reply.body);
      action.reply.body = text;
      g_hash_table_insert (rig->replies, GSIZE_TO_POINTER (action.request),
                           g_memdup2 (&action, sizeof action));
      continue;
    }
    if (action.type == STATE_ACTION_WORK) {
      g_queue_push_tail (&rig->jobs, g_memdup2 (&action.work, sizeof action.work));
      continue;
    }
    if (action.type == STATE_ACTION_ADMIT)
      rig->denied = !action.admit.allowed;
    state_action_clear (&action);
  }
}

void
rig_open (Rig *rig)
{
  *rig = (Rig){.now_us = USEC_PER_SEC, .wall = {.seconds = 1800000000}};
  rig->replies = g_hash_table_new_full (NULL, NULL, NULL, free_action);
  seeded_random_init (&rig->random, 11);
  rig->state = state_new (&(StateConfig){.url = URL}, &rig->random.base);
  state_start (rig->state, rig->wall, rig->now_us);
  take_actions (rig);
}

void
rig_close (Rig *rig)
{
  for (WorkJob *job; (job = g_queue_pop_head (&rig->jobs));) {
    work_job_clear (job);
    g_free (job);
  }
  state_free (rig->state);
  g_hash_table_unref (rig->replies);
}

uint64_t
rig_input (Rig *rig, StateEvent *event)
{
  event->request = ++rig->last_request;
  event->wall = rig->wall;
  state_input (rig->state, event, rig->now_us);
  take_actions (rig);
  return event->request;
}

void
rig_pass (Rig *rig, int64_t micros)
{
  StateEvent event = {.type = STATE_EVENT_TICK};

  rig->now_us += micros;
  rig->wall = wall_time_add_us (rig->wall, micros);
  rig_input (rig, &event);
}

const StateAction *
rig_reply (Rig *rig, uint64_t request)
{
  return g_hash_table_lookup (rig->replies, GSIZE_TO_POINTER (request));
}

const char *
rig_body (Rig *rig, uint64_t request)
{
  const StateAction *action = rig_reply (rig, request);

  g_assert_nonnull (action);
  return action->reply.body;
}

/* ---- devices ---- */

uint64_t
rig_ask (Rig *rig, const Asking *asking)
{
  RegisterRequest request;
  Hostinfo hostinfo;
  StateEvent event = {.type = STATE_EVENT_REGISTER};

  register_request_init (&request);
  hostinfo_init (&hostinfo);
  hostinfo.hostname = asking->hostname ? asking->hostname : "alpha";
  hostinfo.os = "linux";
  hostinfo.request_tags = &asking->tag;
  hostinfo.n_request_tags = asking->tag ? 1 : 0;
  request.version = 131;
  memset (request.node_key.bytes, asking->key, KEY_SIZE);
  memset (request.old_node_key.bytes, asking->old_key, KEY_SIZE);
  request.auth_key = asking->auth_key;
  request.followup = asking->followup;
  request.hostinfo = &hostinfo;
  if (asking->expiry.seconds != 0)
    request.expiry = asking->expiry;
  memset (event.registration.machine.bytes, asking->machine, KEY_SIZE);
  event.registration.body = &request;
  const char *from = asking->from ? asking->from : "20.0.0.1";
  g_assert_true (ip_parse (from, strlen (from), &event.registration.from));
  return rig_input (rig, &event);
}

void
rig_read_answer (Rig *rig, uint64_t request, Arena *arena, RegisterResponse *out)
{
  const StateAction *action = rig_reply (rig, request);

  g_assert_nonnull (action);
  g_assert_cmpint (action->reply.status, ==, 200);
  g_assert_true (
      register_response_decode (action->reply.body, action->reply.size, arena, out, NULL));
}

void
rig_assert_accepted (Rig *rig, uint64_t request)
{
  RegisterResponse response;
  Arena arena = {0};

  rig_read_answer (rig, request, &arena, &response);
  g_assert_cmpstr (response.error, ==, "");
  g_assert_cmpstr (response.auth_url, ==, "");
  g_assert_true (response.machine_authorized);
  g_assert_cmpint (response.user_id, >, 0);
  arena_clear (&arena);
}

void
rig_assert_refused (Rig *rig, uint64_t request, const char *why)
{
  RegisterResponse response;
  Arena arena = {0};

  rig_read_answer (rig, request, &arena, &response);
  g_assert_nonnull (strstr (response.error, why));
  arena_clear (&arena);
}

/* The link of the sign-in page in the answer; free with g_free. */
char *
rig_link_of (Rig *rig, uint64_t request)
{
  RegisterResponse response;
  Arena arena = {0};

  rig_read_answer (rig, request, &arena, &response);
  g_assert_true (g_str_has_prefix (response.auth_url, URL "/register/"));
  char *link = g_strdup (response.auth_url);
  arena_clear (&arena);
  return link;
}

const CoNode *
rig_node_of (Rig *rig, uint8_t key)
{
  NodePublic node_key;

  memset (node_key.bytes, key, KEY_SIZE);
  return model_node_by_key (&rig->state->model, &node_key);
}

char *
rig_command (Rig *rig, int status, const char *const *words)
{
  StateEvent event = {.type = STATE_EVENT_COMMAND};

  event.command.words = words;
  event.command.n_words = g_strv_length ((char **)words);
  uint64_t request = rig_input (rig, &event);
  g_assert_cmpint (rig_reply (rig, request)->reply.status, ==, status);
  return g_strchomp (g_strdup (rig_body (rig, request)));
}

/* ---- browsers ---- */

uint64_t
rig_browse (Rig *rig, const char *method, const char *link, const char *form, const char *from)
{
  g_autofree char *cookie = g_strdup_printf ("__Host-warren=%s", rig->cookie);
  const char *path = g_str_has_prefix (link, URL) ? link + strlen (URL) : link;
  WebRequest web = {
      .method = method,
      .path = path,
      .cookie = cookie,
      .site = "",
      .body = form ? form : "",
      .size = form ? strlen (form) : 0,
  };
  StateEvent event = {.type = STATE_EVENT_WEB, .web = &web};

  g_assert_true (ip_parse (from, strlen (from), &web.from));
  return rig_input (rig, &event);
}

/* Keeps the cookie of an answer, as a browser does. */
void
rig_keep_cookie (Rig *rig, uint64_t request)
{
  const char *headers = rig_reply (rig, request)->reply.headers;
  const char *found = strstr (headers, "Set-Cookie: __Host-warren=");

  if (found) {
    memcpy (rig->cookie, found + strlen ("Set-Cookie: __Host-warren="), 32);
    g_assert_nonnull (strstr (found, "; HttpOnly; SameSite=Lax"));
    g_assert_nonnull (strstr (found, "; Secure"));
  }
}

void
rig_get_page (Rig *rig, const char *link, char token[ACCOUNTS_TOKEN_MAX])
{
  uint64_t request = rig_browse (rig, "GET", link, NULL, "20.0.0.9");
  const char *field = strstr (rig_body (rig, request), "name=\"token\" value=\"");

  rig_keep_cookie (rig, request);
  g_assert_nonnull (field);
  memcpy (token, field + strlen ("name=\"token\" value=\""), 32);
  token[32] = '\0';
}

/* Opens the page and sends its form with FIELDS. */
uint64_t
rig_send_form (Rig *rig, const char *link, const char *fields)
{
  char token[ACCOUNTS_TOKEN_MAX];

  rig_get_page (rig, link, token);
  g_autofree char *form = g_strdup_printf ("token=%s&%s", token, fields);
  return rig_browse (rig, "POST", link, form, "20.0.0.9");
}

/* Does the job at hand as the thread for it would, only cheaply. */
void
rig_work (Rig *rig)
{
  WorkJob *job = g_queue_pop_head (&rig->jobs);
  WorkResult result = {0};
  StateEvent event = {.type = STATE_EVENT_WORKED, .worked = &result};

  g_assert_nonnull (job);
  result.type = job->type;
  result.id = job->id;
  result.ok = job->type == WORK_HASH || strcmp (job->hash, job->password) == 0;
  result.hash = job->type == WORK_HASH ? g_strdup (job->password) : NULL;
  rig_input (rig, &event);
  g_free (result.hash);
  work_job_clear (job);
  g_free (job);
}

void
rig_set_password (Rig *rig, const char *login)
{
  CoUser *user = model_user_by_login (&rig->state->model, login);

  user->password = g_strdup (PASSWORD);
}
