/* Who is let in and how: registrations, sign-in pages, passwords, codes, auth keys, without a
 * network (spec/control-protocol.md §17.3 to §17.5). */

#include "base/clock.h"
#include "base/memory.h"
#include "coordinator/accounts.h"
#include "coordinator/pending.h"
#include "coordinator/state.h"

#include <glib.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define URL      "https://net.example"
#define PASSWORD "correct horse battery"

typedef struct
{
  SeededRandom random;
  State *state;
  int64_t now_us;
  WallTime wall;
  uint64_t last_request;
  GHashTable *replies; /* request -> StateAction of the answer */
  GQueue jobs;         /* of WorkJob */
  bool denied;         /* the last ADMIT said no */
  char cookie[ACCOUNTS_TOKEN_MAX];
} Rig;

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

static void
rig_open (Rig *rig)
{
  *rig = (Rig){.now_us = USEC_PER_SEC, .wall = {.seconds = 1800000000}};
  rig->replies = g_hash_table_new_full (NULL, NULL, NULL, free_action);
  seeded_random_init (&rig->random, 11);
  rig->state = state_new (&(StateConfig){.url = URL}, &rig->random.base);
  state_start (rig->state, rig->wall, rig->now_us);
  take_actions (rig);
}

static void
rig_close (Rig *rig)
{
  for (WorkJob *job; (job = g_queue_pop_head (&rig->jobs));) {
    work_job_clear (job);
    g_free (job);
  }
  state_free (rig->state);
  g_hash_table_unref (rig->replies);
}

static uint64_t
input (Rig *rig, StateEvent *event)
{
  event->request = ++rig->last_request;
  event->wall = rig->wall;
  state_input (rig->state, event, rig->now_us);
  take_actions (rig);
  return event->request;
}

static void
pass (Rig *rig, int64_t micros)
{
  StateEvent event = {.type = STATE_EVENT_TICK};

  rig->now_us += micros;
  rig->wall = wall_time_add_us (rig->wall, micros);
  input (rig, &event);
}

static const StateAction *
reply (Rig *rig, uint64_t request)
{
  return g_hash_table_lookup (rig->replies, GSIZE_TO_POINTER (request));
}

static const char *
body (Rig *rig, uint64_t request)
{
  const StateAction *action = reply (rig, request);

  g_assert_nonnull (action);
  return action->reply.body;
}

/* ---- devices ---- */

typedef struct
{
  uint8_t machine, key, old_key; /* repeated make the keys */
  const char *auth_key, *followup, *hostname, *tag, *from;
  WallTime expiry;
} Asking;

static uint64_t
ask (Rig *rig, const Asking *asking)
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
  return input (rig, &event);
}

static void
read_answer (Rig *rig, uint64_t request, Arena *arena, RegisterResponse *out)
{
  const StateAction *action = reply (rig, request);

  g_assert_nonnull (action);
  g_assert_cmpint (action->reply.status, ==, 200);
  g_assert_true (
      register_response_decode (action->reply.body, action->reply.size, arena, out, NULL));
}

static void
assert_accepted (Rig *rig, uint64_t request)
{
  RegisterResponse response;
  Arena arena = {0};

  read_answer (rig, request, &arena, &response);
  g_assert_cmpstr (response.error, ==, "");
  g_assert_cmpstr (response.auth_url, ==, "");
  g_assert_true (response.machine_authorized);
  g_assert_cmpint (response.user_id, >, 0);
  arena_clear (&arena);
}

static void
assert_refused (Rig *rig, uint64_t request, const char *why)
{
  RegisterResponse response;
  Arena arena = {0};

  read_answer (rig, request, &arena, &response);
  g_assert_nonnull (strstr (response.error, why));
  arena_clear (&arena);
}

/* The link of the sign-in page in the answer; free with g_free. */
static char *
link_of (Rig *rig, uint64_t request)
{
  RegisterResponse response;
  Arena arena = {0};

  read_answer (rig, request, &arena, &response);
  g_assert_true (g_str_has_prefix (response.auth_url, URL "/register/"));
  char *link = g_strdup (response.auth_url);
  arena_clear (&arena);
  return link;
}

static const CoNode *
node_of (Rig *rig, uint8_t key)
{
  NodePublic node_key;

  memset (node_key.bytes, key, KEY_SIZE);
  return model_node_by_key (&rig->state->model, &node_key);
}

static char *
command (Rig *rig, int status, const char *const *words)
{
  StateEvent event = {.type = STATE_EVENT_COMMAND};

  event.command.words = words;
  event.command.n_words = g_strv_length ((char **)words);
  uint64_t request = input (rig, &event);
  g_assert_cmpint (reply (rig, request)->reply.status, ==, status);
  return g_strchomp (g_strdup (body (rig, request)));
}
#define COMMAND(rig, status, ...) command (rig, status, (const char *const[]){__VA_ARGS__, NULL})

/* ---- browsers ---- */

static uint64_t
browse (Rig *rig, const char *method, const char *link, const char *form, const char *from)
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
  return input (rig, &event);
}

/* Keeps the cookie of an answer, as a browser does. */
static void
keep_cookie (Rig *rig, uint64_t request)
{
  const char *headers = reply (rig, request)->reply.headers;
  const char *found = strstr (headers, "Set-Cookie: __Host-warren=");

  if (found) {
    memcpy (rig->cookie, found + strlen ("Set-Cookie: __Host-warren="), 32);
    g_assert_nonnull (strstr (found, "; HttpOnly; SameSite=Lax"));
    g_assert_nonnull (strstr (found, "; Secure"));
  }
}

static void
get_page (Rig *rig, const char *link, char token[ACCOUNTS_TOKEN_MAX])
{
  uint64_t request = browse (rig, "GET", link, NULL, "20.0.0.9");
  const char *field = strstr (body (rig, request), "name=\"token\" value=\"");

  keep_cookie (rig, request);
  g_assert_nonnull (field);
  memcpy (token, field + strlen ("name=\"token\" value=\""), 32);
  token[32] = '\0';
}

/* Opens the page and sends its form with FIELDS. */
static uint64_t
send_form (Rig *rig, const char *link, const char *fields)
{
  char token[ACCOUNTS_TOKEN_MAX];

  get_page (rig, link, token);
  g_autofree char *form = g_strdup_printf ("token=%s&%s", token, fields);
  return browse (rig, "POST", link, form, "20.0.0.9");
}

/* Does the job at hand as the thread for it would, only cheaply. */
static void
work (Rig *rig)
{
  WorkJob *job = g_queue_pop_head (&rig->jobs);
  WorkResult result = {0};
  StateEvent event = {.type = STATE_EVENT_WORKED, .worked = &result};

  g_assert_nonnull (job);
  result.type = job->type;
  result.id = job->id;
  result.ok = job->type == WORK_HASH || strcmp (job->hash, job->password) == 0;
  result.hash = job->type == WORK_HASH ? g_strdup (job->password) : NULL;
  input (rig, &event);
  g_free (result.hash);
  work_job_clear (job);
  g_free (job);
}

static void
set_password (Rig *rig, const char *login)
{
  CoUser *user = model_user_by_login (&rig->state->model, login);

  user->password = g_strdup (PASSWORD);
}

/* ---- tests: pages ---- */

static void
test_only_a_post_lets_in (void)
{
  Rig rig;

  rig_open (&rig);
  set_password (&rig, "owner");
  uint64_t first = ask (&rig, &(Asking){.machine = 1, .key = 1});
  g_autofree char *link = link_of (&rig, first);
  uint64_t waiting = ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link});
  g_assert_null (reply (&rig, waiting));
  static const char *const queries[]
      = {"", "?action=approve", "?action=approve&login=owner&secret=" PASSWORD};
  for (size_t i = 0; i < G_N_ELEMENTS (queries); i++) {
    g_autofree char *url = g_strconcat (link, queries[i], NULL);
    for (size_t m = 0; m < 2; m++)
      browse (&rig, m == 0 ? "GET" : "HEAD", url, NULL, "20.0.0.9");
  }
  g_assert_cmpint (reply (&rig, browse (&rig, "PUT", link, NULL, "20.0.0.9"))->reply.status, ==,
                   405);
  g_assert_null (node_of (&rig, 1));
  g_assert_cmpuint (g_queue_get_length (&rig.jobs), ==, 0);
  uint64_t sent = send_form (&rig, link, "action=approve&login=owner&secret=correct+horse+battery");
  g_assert_null (reply (&rig, sent)); /* the password is being checked */
  work (&rig);
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 303);
  assert_accepted (&rig, waiting);
  g_assert_nonnull (node_of (&rig, 1));
  keep_cookie (&rig, sent);
  g_assert_nonnull (strstr (body (&rig, browse (&rig, "GET", link, NULL, "20.0.0.9")),
                            "You can close this page"));
  rig_close (&rig);
}

static void
test_forms_need_their_token (void)
{
  char token[ACCOUNTS_TOKEN_MAX];
  Rig rig;

  rig_open (&rig);
  g_autofree char *code = COMMAND (&rig, 0, "users", "code", "--json");
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *other = link_of (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2}));
  uint64_t signed_in = 0;
  get_page (&rig, link, token);
  const char *text = strstr (code, "\"code\":\"") + strlen ("\"code\":\"");
  g_autofree char *fields = g_strdup_printf ("action=approve&secret=%.11s", text);
  g_autofree char *form = g_strdup_printf ("token=%s&%s", token, fields);
  g_autofree char *wrong = g_strdup_printf ("token=%032d&%s", 0, fields);
  g_autofree char *shorter = g_strdup_printf ("token=%.31s&%s", token, fields);
  const char *const bad[] = {fields, wrong, shorter, "token=", "%", ""};
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    int status = reply (&rig, browse (&rig, "POST", link, bad[i], "20.0.0.9"))->reply.status;
    g_assert_true (status == 403 || status == 400);
  }
  /* The token of another form, and of another browser. */
  g_assert_cmpint (reply (&rig, browse (&rig, "POST", other, form, "20.0.0.9"))->reply.status, ==,
                   403);
  char kept[ACCOUNTS_TOKEN_MAX];
  memcpy (kept, rig.cookie, sizeof kept);
  memset (rig.cookie, 'a', 32);
  g_assert_cmpint (reply (&rig, browse (&rig, "POST", link, form, "20.0.0.9"))->reply.status, ==,
                   403);
  memcpy (rig.cookie, kept, sizeof kept);
  g_assert_null (node_of (&rig, 1));
  signed_in = browse (&rig, "POST", link, form, "20.0.0.9");
  g_assert_cmpint (reply (&rig, signed_in)->reply.status, ==, 303);
  g_assert_nonnull (node_of (&rig, 1));
  /* Who signs in gets a new cookie: one that was planted before is worth nothing. */
  keep_cookie (&rig, signed_in);
  g_assert_cmpstr (rig.cookie, !=, kept);
  memcpy (rig.cookie, kept, sizeof kept);
  g_assert_null (strstr (body (&rig, browse (&rig, "GET", other, NULL, "20.0.0.9")), "Signed in"));
  rig_close (&rig);
}

static void
test_hostile_names_are_text (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *link
      = link_of (&rig,
                 ask (&rig, &(Asking){.machine = 1,
                                      .key = 1,
                                      .tag = "tag:\"><img src=x onerror=alert(1)>",
                                      .hostname = "</title><script>alert('1')</script>\" & \xff"}));
  uint64_t request = browse (&rig, "GET", link, NULL, "20.0.0.9");
  const char *page = body (&rig, request), *headers = reply (&rig, request)->reply.headers;
  g_assert_null (strstr (page, "<script"));
  g_assert_null (strstr (page, "<img"));
  g_assert_nonnull (strstr (page, "&#60;script&#62;"));
  g_assert_nonnull (strstr (headers, "default-src 'none'; style-src 'sha256-"));
  g_assert_nonnull (strstr (headers, "frame-ancestors 'none'"));
  g_assert_null (strstr (headers, "unsafe"));
  rig_close (&rig);
}

static void
test_wrong_passwords (void)
{
  Rig rig;
  int status = 0;

  rig_open (&rig);
  set_password (&rig, "owner");
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  static const char *const logins[] = {"owner", "nobody", ""};
  for (size_t i = 0; i < 3; i++) {
    g_autofree char *form = g_strdup_printf ("action=approve&login=%s&secret=wrong", logins[i]);
    uint64_t sent = send_form (&rig, link, form);
    g_assert_cmpuint (g_queue_get_length (&rig.jobs), ==, 1); /* who exists takes no longer */
    work (&rig);
    g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 403);
    g_assert_nonnull (strstr (body (&rig, sent), "not the password"));
  }
  /* Guessing ends, and begins again later. */
  int tries = 0;
  do {
    uint64_t sent = send_form (&rig, link, "action=approve&login=owner&secret=wrong");
    if (!reply (&rig, sent))
      work (&rig);
    status = reply (&rig, sent)->reply.status;
    tries++;
  } while (status == 403 && tries < 50);
  g_assert_cmpint (status, ==, 429);
  g_assert_cmpint (tries, <, 20);
  g_assert_null (node_of (&rig, 1));
  pass (&rig, 70 * USEC_PER_SEC);
  uint64_t sent = send_form (&rig, link, "action=approve&login=owner&secret=correct+horse+battery");
  work (&rig);
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 303);
  rig_close (&rig);
}

static void
test_guessing_from_everywhere (void)
{
  char token[ACCOUNTS_TOKEN_MAX];
  int checked = 0;
  Rig rig;

  rig_open (&rig);
  set_password (&rig, "owner");
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  get_page (&rig, link, token);
  for (int i = 0; i < 500; i++) {
    g_autofree char *from = g_strdup_printf ("2001:db8:%x::1", i);
    g_autofree char *form
        = g_strdup_printf ("token=%s&action=approve&login=owner&secret=wrong%d", token, i);
    uint64_t sent = browse (&rig, "POST", link, form, from);
    if (reply (&rig, sent))
      continue;
    checked++;
    work (&rig);
  }
  g_assert_cmpint (checked, <=, 10);
  /* The owner is not locked out: a code of the server still serves. */
  g_autofree char *code = COMMAND (&rig, 0, "users", "code");
  g_autofree char *form = g_strdup_printf ("action=approve&secret=%.11s", code);
  g_assert_cmpint (reply (&rig, send_form (&rig, link, form))->reply.status, ==, 303);
  rig_close (&rig);
}

static void
test_work_is_bounded (void)
{
  char token[ACCOUNTS_TOKEN_MAX];
  int busy = 0;
  Rig rig;

  rig_open (&rig);
  for (int i = 0; i < 40; i++) {
    g_autofree char *login = g_strdup_printf ("user%d", i);
    g_free (COMMAND (&rig, 0, "users", "create", login));
    set_password (&rig, login);
  }
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  get_page (&rig, link, token);
  for (int i = 0; i < 40; i++) {
    g_autofree char *from = g_strdup_printf ("20.0.1.%d", i + 1);
    g_autofree char *form
        = g_strdup_printf ("token=%s&action=approve&login=user%d&secret=x", token, i);
    uint64_t sent = browse (&rig, "POST", link, form, from);
    busy += reply (&rig, sent) && reply (&rig, sent)->reply.status == 503;
  }
  g_assert_cmpuint (g_queue_get_length (&rig.jobs), <=, 8);
  g_assert_cmpint (busy, ==, 40 - (int)g_queue_get_length (&rig.jobs));
  rig_close (&rig);
}

static void
test_codes_work_once_and_expire (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *old_code = COMMAND (&rig, 0, "users", "code");
  g_autofree char *code = COMMAND (&rig, 0, "nodes", "approve"); /* the newer one counts */
  g_autofree char *old_form = g_strdup_printf ("action=deny&login=owner&secret=%.11s", old_code);
  uint64_t sent = send_form (&rig, link, old_form);
  work (&rig);
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 403);
  pass (&rig, 14 * 60 * USEC_PER_SEC);
  g_autofree char *form = g_strdup_printf ("action=approve&login=owner&secret=%.11s", code);
  sent = send_form (&rig, link, form);
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 303);
  memset (rig.cookie, 0, sizeof rig.cookie);
  g_autofree char *second = link_of (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2}));
  sent = send_form (&rig, second, form);
  work (&rig);
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 403);
  g_autofree char *late = COMMAND (&rig, 0, "users", "code");
  g_autofree char *late_form = g_strdup_printf ("action=approve&login=owner&secret=%.11s", late);
  g_autofree char *third = NULL;
  pass (&rig, 16 * 60 * USEC_PER_SEC);
  third = link_of (&rig, ask (&rig, &(Asking){.machine = 3, .key = 3}));
  sent = send_form (&rig, third, late_form);
  work (&rig);
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 403);
  rig_close (&rig);
}

static void
test_roles (void)
{
  Rig rig;

  rig_open (&rig);
  g_free (COMMAND (&rig, 0, "users", "create", "hazel"));
  set_password (&rig, "hazel");
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *second = link_of (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2}));
  uint64_t sent = send_form (&rig, link,
                             "action=approve&login=hazel&user=owner&secret=correct+horse+battery");
  work (&rig);
  keep_cookie (&rig, sent);
  const CoUser *hazel = model_user_by_login (&rig.state->model, "hazel");
  g_assert_cmpint (node_of (&rig, 1)->user, ==, hazel->id); /* her own, whatever the form says */
  sent = send_form (&rig, second, "action=approve&user=owner");
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 403);
  g_assert_null (node_of (&rig, 2));
  g_free (COMMAND (&rig, 0, "users", "role", "hazel", "admin"));
  sent = send_form (&rig, second, "action=approve&user=nobody");
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 403);
  sent = send_form (&rig, second, "action=approve&user=owner");
  g_assert_cmpint (reply (&rig, sent)->reply.status, ==, 303);
  g_assert_cmpint (node_of (&rig, 2)->user, !=, hazel->id);
  /* The last owner stays one; who has devices is not removed. */
  g_free (COMMAND (&rig, 1, "users", "role", "owner", "member"));
  g_free (COMMAND (&rig, 1, "users", "remove", "hazel"));
  g_free (COMMAND (&rig, 0, "nodes", "remove", "alpha"));
  g_free (COMMAND (&rig, 0, "users", "remove", "hazel"));
  /* And with the account its session went. */
  g_assert_null (strstr (body (&rig, browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
  rig_close (&rig);
}

static void
test_passwords_are_set (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *code = COMMAND (&rig, 0, "users", "code");
  g_autofree char *bad[]
      = {g_strdup_printf ("login=owner&secret=%.11s&new=short&again=short", code),
         g_strdup_printf ("login=owner&secret=%.11s&new=long+enough+1&again=long+enough+2", code),
         g_strdup ("login=owner&secret=&new=long+enough+1&again=long+enough+1")};
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_assert_cmpint (reply (&rig, send_form (&rig, "/password", bad[i]))->reply.status, ==, 400);
    g_clear_pointer (&bad[i], g_free);
  }
  g_autofree char *form
      = g_strdup_printf ("login=owner&secret=%.11s&new=long+enough+1&again=long+enough+1", code);
  uint64_t first = send_form (&rig, "/password", form);
  uint64_t second = send_form (&rig, "/password", form); /* at once: the code is not used yet */
  work (&rig);
  work (&rig);
  g_assert_cmpint (reply (&rig, first)->reply.status, ==, 200);
  g_assert_cmpint (reply (&rig, second)->reply.status, ==, 403);
  const CoUser *owner = model_user_by_login (&rig.state->model, "owner");
  g_assert_cmpstr (owner->password, ==, "long enough 1");
  keep_cookie (&rig, first);
  g_assert_nonnull (strstr (body (&rig, browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
  /* With the old password, which takes two jobs; other browsers are signed out. */
  char kept[ACCOUNTS_TOKEN_MAX];
  memcpy (kept, rig.cookie, sizeof kept);
  uint64_t third
      = send_form (&rig, "/password",
                   "login=owner&secret=long+enough+1&new=long+enough+2&again=long+enough+2");
  work (&rig);
  work (&rig);
  g_assert_cmpint (reply (&rig, third)->reply.status, ==, 200);
  g_assert_cmpstr (owner->password, ==, "long enough 2");
  memcpy (rig.cookie, kept, sizeof kept);
  g_assert_null (strstr (body (&rig, browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
  rig_close (&rig);
}

static void
test_sessions_end (void)
{
  Rig rig;

  rig_open (&rig);
  set_password (&rig, "owner");
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  uint64_t sent = send_form (&rig, link, "action=approve&login=owner&secret=correct+horse+battery");
  work (&rig);
  keep_cookie (&rig, sent);
  pass (&rig, 59 * 60 * USEC_PER_SEC);
  g_assert_nonnull (strstr (body (&rig, browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
  pass (&rig, 2 * 60 * USEC_PER_SEC);
  g_assert_null (strstr (body (&rig, browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
  rig_close (&rig);
}

/* ---- tests: waiting ---- */

static void
test_followups (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *same = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_assert_cmpstr (link, ==, same);
  /* Another machine, or another key, with this link: it gets one of its own. */
  uint64_t forged = ask (&rig, &(Asking){.machine = 2, .key = 1, .followup = link});
  g_autofree char *forged_link = link_of (&rig, forged);
  g_assert_cmpstr (forged_link, !=, link);
  uint64_t other_key = ask (&rig, &(Asking){.machine = 1, .key = 9, .followup = link});
  g_autofree char *other_link = link_of (&rig, other_key);
  g_assert_cmpstr (other_link, !=, link);
  static const char *const nonsense[] = {"x", "/", URL "/register/", URL "/register/../x"};
  for (size_t i = 0; i < G_N_ELEMENTS (nonsense); i++)
    g_free (link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = nonsense[i]})));
  uint64_t waiting[3];
  for (size_t i = 0; i < 3; i++)
    waiting[i] = ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link});
  StateEvent gone = {.type = STATE_EVENT_GONE, .request = waiting[1], .wall = rig.wall};
  state_input (rig.state, &gone, rig.now_us);
  g_free (COMMAND (&rig, 0, "nodes", "approve", link + strlen (URL "/register/")));
  assert_accepted (&rig, waiting[0]);
  g_assert_null (reply (&rig, waiting[1]));
  assert_accepted (&rig, waiting[2]);
  /* A wait that broke after the approval is answered by row 2. */
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link}));
  /* Whoever asked for the same node key with another machine comes too late. */
  const char *forged_id = forged_link + strlen (URL "/register/");
  g_free (COMMAND (&rig, 1, "nodes", "approve", forged_id));
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 1}), "another machine");
  rig_close (&rig);
}

static void
test_denial_and_timeout (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *link = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  uint64_t waiting = ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link});
  g_free (COMMAND (&rig, 0, "nodes", "deny", "alpha"));
  assert_refused (&rig, waiting, "was refused");
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link}),
                  "was refused");
  g_free (COMMAND (&rig, 1, "nodes", "approve", link + strlen (URL "/register/")));
  g_autofree char *second = link_of (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2}));
  waiting = ask (&rig, &(Asking){.machine = 2, .key = 2, .followup = second});
  pass (&rig, PENDING_LIFE_US - USEC_PER_SEC);
  g_assert_null (reply (&rig, waiting));
  pass (&rig, 2 * USEC_PER_SEC);
  g_autofree char *third = link_of (&rig, waiting); /* a new link for who still holds on */
  g_assert_cmpstr (third, !=, second);
  g_assert_cmpint (reply (&rig, browse (&rig, "GET", second, NULL, "20.0.0.9"))->reply.status, ==,
                   404);
  waiting = ask (&rig, &(Asking){.machine = 2, .key = 2, .followup = third});
  g_free (COMMAND (&rig, 0, "nodes", "approve", "alpha"));
  assert_accepted (&rig, waiting);
  rig_close (&rig);
}

static void
test_waiting_is_bounded (void)
{
  Rig rig;
  int refused = 0;

  rig_open (&rig);
  g_autofree char *mine
      = link_of (&rig, ask (&rig, &(Asking){.machine = 255, .key = 255, .from = "20.1.0.1"}));
  uint64_t waiting
      = ask (&rig, &(Asking){.machine = 255, .key = 255, .from = "20.1.0.1", .followup = mine});
  /* One address. */
  for (int i = 1; i <= 100; i++) {
    uint64_t request = ask (&rig, &(Asking){.machine = (uint8_t)i, .key = (uint8_t)i});
    refused += reply (&rig, request)->reply.status == 429;
  }
  g_assert_cmpint (refused, ==, 100 - PENDING_MAX_FROM);
  /* One machine with ever new keys. */
  for (int i = 1; i <= 100; i++)
    ask (&rig, &(Asking){.machine = 200, .key = (uint8_t)i, .from = "20.1.0.2"});
  g_assert_cmpuint (rig.state->n_pending, <=, 1 + PENDING_MAX_FROM + PENDING_MAX_OF_MACHINE);
  /* Many addresses: who holds on stays. */
  for (int i = 0; i < 3 * PENDING_MAX; i++) {
    g_autofree char *from = g_strdup_printf ("2001:db8:%x::1", i);
    ask (&rig,
         &(Asking){.machine = (uint8_t)(1 + i % 250), .key = (uint8_t)(1 + i / 250), .from = from});
    g_assert_cmpuint (rig.state->n_pending, <=, PENDING_MAX);
  }
  g_assert_null (reply (&rig, waiting));
  g_assert_nonnull (pending_find (rig.state, mine + strlen (URL "/register/")));
  /* Many waiters of one: the oldest is told the link again. */
  uint64_t more[PENDING_MAX_WAITERS];
  for (size_t i = 0; i < PENDING_MAX_WAITERS; i++)
    more[i]
        = ask (&rig, &(Asking){.machine = 255, .key = 255, .from = "20.1.0.1", .followup = mine});
  g_autofree char *again = link_of (&rig, waiting);
  g_assert_cmpstr (again, ==, mine);
  g_free (COMMAND (&rig, 0, "nodes", "approve", mine + strlen (URL "/register/")));
  for (size_t i = 0; i < PENDING_MAX_WAITERS; i++)
    assert_accepted (&rig, more[i]);
  rig_close (&rig);
}

/* ---- tests: known devices ---- */

static char *
make_key (Rig *rig, const char *option)
{
  return option ? COMMAND (rig, 0, "keys", "create", option) : COMMAND (rig, 0, "keys", "create");
}

static void
test_rows_of_known_devices (void)
{
  RegisterResponse response;
  Arena arena = {0};
  Rig rig;

  rig_open (&rig);
  g_autofree char *key = make_key (&rig, NULL);
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = key}));
  /* Row 2: here again. Another machine with this key is refused, also with a good auth key. */
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *good = make_key (&rig, "--reusable");
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 1}), "another machine");
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 1, .auth_key = good}),
                  "another machine");
  /* Row 4: shorter, never longer. */
  WallTime soon = wall_time_add_us (rig.wall, 3600 * USEC_PER_SEC);
  WallTime later = wall_time_add_us (rig.wall, 7200 * USEC_PER_SEC);
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .expiry = soon}));
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .expiry = later}),
                  "extending");
  /* Row 3: expired; it comes back with a new key and keeps what it was. */
  int64_t id = node_of (&rig, 1)->id;
  pass (&rig, 3601 * USEC_PER_SEC);
  read_answer (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1}), &arena, &response);
  g_assert_true (response.node_key_expired && !response.machine_authorized);
  g_assert_cmpstr (response.auth_url, ==, "");
  g_autofree char *link
      = link_of (&rig, ask (&rig, &(Asking){.machine = 1, .key = 2, .old_key = 1}));
  g_free (COMMAND (&rig, 0, "nodes", "approve", link + strlen (URL "/register/")));
  g_assert_cmpint (node_of (&rig, 2)->id, ==, id);
  g_assert_null (node_of (&rig, 1));
  /* Row 1: logout, in any zone, also with an auth key; the entry stays and is expired. */
  WallTime past = {.seconds = 123};
  read_answer (&rig,
               ask (&rig, &(Asking){.machine = 1, .key = 2, .expiry = past, .auth_key = good}),
               &arena, &response);
  g_assert_true (response.node_key_expired);
  g_assert_true (rig.denied);
  g_assert_cmpint (wall_time_compare (node_of (&rig, 2)->expiry, rig.wall), ==, 0);
  /* A replayed logout of another machine does nothing. */
  assert_accepted (&rig,
                   ask (&rig, &(Asking){.machine = 1, .key = 3, .old_key = 2, .auth_key = good}));
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 3, .expiry = past}),
                  "another machine");
  g_assert_true (wall_time_is_unset (node_of (&rig, 3)->expiry));
  arena_clear (&arena);
  rig_close (&rig);
}

static void
test_old_key_of_others (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *key = make_key (&rig, "--reusable");
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = key}));
  /* Naming another's key as one's old one takes nothing over. */
  assert_accepted (&rig,
                   ask (&rig, &(Asking){.machine = 2, .key = 2, .old_key = 1, .auth_key = key}));
  g_assert_nonnull (node_of (&rig, 1));
  g_assert_cmpint (node_of (&rig, 1)->id, !=, node_of (&rig, 2)->id);
  rig_close (&rig);
}

static void
test_auth_keys (void)
{
  Rig rig;

  rig_open (&rig);
  /* One-shot: one device; the same device passes it at each start. */
  g_autofree char *once = make_key (&rig, NULL);
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = once}));
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = once}));
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = once}),
                  "already used");
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 1, .key = 3, .auth_key = once}),
                  "already used"); /* a new node key is no restart */
  /* Wrong in every character. */
  for (size_t i = 0; once[i]; i++) {
    g_autofree char *wrong = g_strdup (once);
    wrong[i] = wrong[i] == '0' ? '1' : '0';
    assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = wrong}), "auth");
  }
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = "x"}), "invalid");
  /* Expiring, revoked. */
  g_autofree char *brief = make_key (&rig, "--expires=1h");
  g_autofree char *revoked = make_key (&rig, "--reusable");
  g_autofree char *id = g_strndup (revoked + strlen ("wkey-auth-"), 12);
  g_free (COMMAND (&rig, 0, "keys", "revoke", id));
  pass (&rig, 3601 * USEC_PER_SEC);
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = brief}),
                  "expired");
  assert_refused (&rig, ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = revoked}),
                  "revoked");
  /* Ephemeral: gone with its logout. */
  g_autofree char *ephemeral = make_key (&rig, "--ephemeral");
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 4, .key = 4, .auth_key = ephemeral}));
  ask (&rig, &(Asking){.machine = 4, .key = 4, .expiry = {.seconds = 123}});
  g_assert_null (node_of (&rig, 4));
  /* No text of a key is anywhere but with who got it. */
  for (size_t i = 0; i < rig.state->model.n_keys; i++)
    g_assert_null (strstr (rig.state->model.keys[i]->id, "wkey"));
  rig_close (&rig);
}

static void
test_tags (void)
{
  static const char policy[]
      = "{\"tagOwners\":{\"tag:web\":[\"owner@\"],\"tag:db\":[]},\"acls\":[]}";
  Rig rig;

  rig_open (&rig);
  StateEvent event = {.type = STATE_EVENT_COMMAND};
  static const char *const words[] = {"policy", "set"};
  event.command.words = words;
  event.command.n_words = 2;
  event.command.input = policy;
  g_assert_cmpint (reply (&rig, input (&rig, &event))->reply.status, ==, 0);
  g_autofree char *tagged = COMMAND (&rig, 0, "keys", "create", "--reusable", "--tags=tag:db");
  g_autofree char *plain = make_key (&rig, "--reusable");
  assert_accepted (&rig, ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = tagged}));
  g_assert_cmpint (node_of (&rig, 1)->user, ==, 0);
  g_assert_true (co_node_has_tag (node_of (&rig, 1), "tag:db"));
  assert_accepted (
      &rig, ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = tagged, .tag = "tag:db"}));
  assert_refused (
      &rig, ask (&rig, &(Asking){.machine = 3, .key = 3, .auth_key = tagged, .tag = "tag:web"}),
      "invalid or not permitted");
  assert_accepted (
      &rig, ask (&rig, &(Asking){.machine = 3, .key = 3, .auth_key = plain, .tag = "tag:web"}));
  g_assert_true (co_node_has_tag (node_of (&rig, 3), "tag:web"));
  assert_refused (&rig,
                  ask (&rig, &(Asking){.machine = 4, .key = 4, .auth_key = plain, .tag = "tag:db"}),
                  "invalid or not permitted");
  /* At the page: a person gives only tags that are his to give; the device goes on waiting. */
  g_autofree char *link
      = link_of (&rig, ask (&rig, &(Asking){.machine = 5, .key = 5, .tag = "tag:db"}));
  g_free (COMMAND (&rig, 1, "nodes", "approve", link + strlen (URL "/register/")));
  g_assert_null (node_of (&rig, 5));
  g_autofree char *own
      = link_of (&rig, ask (&rig, &(Asking){.machine = 6, .key = 6, .tag = "tag:web"}));
  g_free (COMMAND (&rig, 0, "nodes", "approve", own + strlen (URL "/register/")));
  g_assert_cmpint (node_of (&rig, 6)->user, ==, 0);
  g_assert_true (wall_time_is_unset (node_of (&rig, 6)->expiry));
  rig_close (&rig);
}

int
main (int argc, char **argv)
{
  g_assert_cmpint (sodium_init (), >=, 0);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sign-in/only-a-post-lets-a-device-in", test_only_a_post_lets_in);
  g_test_add_func ("/sign-in/forms-need-their-own-token", test_forms_need_their_token);
  g_test_add_func ("/sign-in/hostile-names-are-only-text", test_hostile_names_are_text);
  g_test_add_func ("/sign-in/wrong-passwords-are-slowed-down", test_wrong_passwords);
  g_test_add_func ("/sign-in/guessing-from-everywhere-is-bounded", test_guessing_from_everywhere);
  g_test_add_func ("/sign-in/password-work-is-bounded", test_work_is_bounded);
  g_test_add_func ("/sign-in/codes-work-once-and-expire", test_codes_work_once_and_expire);
  g_test_add_func ("/sign-in/roles-say-whose-devices-one-lets-in", test_roles);
  g_test_add_func ("/sign-in/passwords-are-set-by-code-or-old-password", test_passwords_are_set);
  g_test_add_func ("/sign-in/sessions-end", test_sessions_end);
  g_test_add_func ("/sign-in/followups-belong-to-their-device", test_followups);
  g_test_add_func ("/sign-in/devices-are-told-of-denial-and-timeout", test_denial_and_timeout);
  g_test_add_func ("/sign-in/waiting-is-bounded", test_waiting_is_bounded);
  g_test_add_func ("/sign-in/known-devices-are-answered-row-by-row", test_rows_of_known_devices);
  g_test_add_func ("/sign-in/old-keys-of-others-take-nothing-over", test_old_key_of_others);
  g_test_add_func ("/sign-in/auth-keys-follow-every-rule", test_auth_keys);
  g_test_add_func ("/sign-in/tags-are-given-by-their-owners", test_tags);
  return g_test_run ();
}
