/* What people do at the sign-in pages, and what strangers try (spec/control-protocol.md §17.4). */

#include "state-rig.h"

#include <sodium.h>
#include <string.h>

static void
test_only_a_post_lets_in (void)
{
  Rig rig;

  rig_open (&rig);
  rig_set_password (&rig, "owner");
  uint64_t first = rig_ask (&rig, &(Asking){.machine = 1, .key = 1});
  g_autofree char *link = rig_link_of (&rig, first);
  uint64_t waiting = rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link});
  g_assert_null (rig_reply (&rig, waiting));
  static const char *const queries[]
      = {"", "?action=approve", "?action=approve&login=owner&secret=" PASSWORD};
  for (size_t i = 0; i < G_N_ELEMENTS (queries); i++) {
    g_autofree char *url = g_strconcat (link, queries[i], NULL);
    for (size_t m = 0; m < 2; m++)
      rig_browse (&rig, m == 0 ? "GET" : "HEAD", url, NULL, "20.0.0.9");
  }
  g_assert_cmpint (rig_reply (&rig, rig_browse (&rig, "PUT", link, NULL, "20.0.0.9"))->reply.status,
                   ==, 405);
  g_assert_null (rig_node_of (&rig, 1));
  g_assert_cmpuint (g_queue_get_length (&rig.jobs), ==, 0);
  uint64_t sent
      = rig_send_form (&rig, link, "action=approve&login=owner&secret=correct+horse+battery");
  g_assert_null (rig_reply (&rig, sent)); /* the password is being checked */
  rig_work (&rig);
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 303);
  rig_assert_accepted (&rig, waiting);
  g_assert_nonnull (rig_node_of (&rig, 1));
  rig_keep_cookie (&rig, sent);
  g_assert_nonnull (strstr (rig_body (&rig, rig_browse (&rig, "GET", link, NULL, "20.0.0.9")),
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
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *other = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2}));
  uint64_t signed_in = 0;
  rig_get_page (&rig, link, token);
  const char *text = strstr (code, "\"code\":\"") + strlen ("\"code\":\"");
  g_autofree char *fields = g_strdup_printf ("action=approve&secret=%.11s", text);
  g_autofree char *form = g_strdup_printf ("token=%s&%s", token, fields);
  g_autofree char *wrong = g_strdup_printf ("token=%032d&%s", 0, fields);
  g_autofree char *shorter = g_strdup_printf ("token=%.31s&%s", token, fields);
  const char *const bad[] = {fields, wrong, shorter, "token=", "%", ""};
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    int status
        = rig_reply (&rig, rig_browse (&rig, "POST", link, bad[i], "20.0.0.9"))->reply.status;
    g_assert_true (status == 403 || status == 400);
  }
  /* The token of another form, and of another browser. */
  g_assert_cmpint (
      rig_reply (&rig, rig_browse (&rig, "POST", other, form, "20.0.0.9"))->reply.status, ==, 403);
  char kept[ACCOUNTS_TOKEN_MAX];
  memcpy (kept, rig.cookie, sizeof kept);
  memset (rig.cookie, 'a', 32);
  g_assert_cmpint (
      rig_reply (&rig, rig_browse (&rig, "POST", link, form, "20.0.0.9"))->reply.status, ==, 403);
  memcpy (rig.cookie, kept, sizeof kept);
  g_assert_null (rig_node_of (&rig, 1));
  signed_in = rig_browse (&rig, "POST", link, form, "20.0.0.9");
  g_assert_cmpint (rig_reply (&rig, signed_in)->reply.status, ==, 303);
  g_assert_nonnull (rig_node_of (&rig, 1));
  /* Who signs in gets a new cookie: one that was planted before is worth nothing. */
  rig_keep_cookie (&rig, signed_in);
  g_assert_cmpstr (rig.cookie, !=, kept);
  memcpy (rig.cookie, kept, sizeof kept);
  g_assert_null (
      strstr (rig_body (&rig, rig_browse (&rig, "GET", other, NULL, "20.0.0.9")), "Signed in"));
  rig_close (&rig);
}

static void
test_hostile_names_are_text (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *link = rig_link_of (
      &rig, rig_ask (&rig, &(Asking){.machine = 1,
                                     .key = 1,
                                     .tag = "tag:\"><img src=x onerror=alert(1)>",
                                     .hostname = "</title><script>alert('1')</script>\" & \xff"}));
  uint64_t request = rig_browse (&rig, "GET", link, NULL, "20.0.0.9");
  const char *page = rig_body (&rig, request), *headers = rig_reply (&rig, request)->reply.headers;
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
  rig_set_password (&rig, "owner");
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  static const char *const logins[] = {"owner", "nobody", ""};
  for (size_t i = 0; i < 3; i++) {
    g_autofree char *form = g_strdup_printf ("action=approve&login=%s&secret=wrong", logins[i]);
    uint64_t sent = rig_send_form (&rig, link, form);
    g_assert_cmpuint (g_queue_get_length (&rig.jobs), ==, 1); /* who exists takes no longer */
    rig_work (&rig);
    g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 403);
    g_assert_nonnull (strstr (rig_body (&rig, sent), "not the password"));
  }
  /* Guessing ends, and begins again later. */
  int tries = 0;
  do {
    uint64_t sent = rig_send_form (&rig, link, "action=approve&login=owner&secret=wrong");
    if (!rig_reply (&rig, sent))
      rig_work (&rig);
    status = rig_reply (&rig, sent)->reply.status;
    tries++;
  } while (status == 403 && tries < 50);
  g_assert_cmpint (status, ==, 429);
  g_assert_cmpint (tries, <, 20);
  g_assert_null (rig_node_of (&rig, 1));
  rig_pass (&rig, 70 * USEC_PER_SEC);
  uint64_t sent
      = rig_send_form (&rig, link, "action=approve&login=owner&secret=correct+horse+battery");
  rig_work (&rig);
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 303);
  rig_close (&rig);
}

static void
test_guessing_from_everywhere (void)
{
  char token[ACCOUNTS_TOKEN_MAX];
  int checked = 0;
  Rig rig;

  rig_open (&rig);
  rig_set_password (&rig, "owner");
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  rig_get_page (&rig, link, token);
  for (int i = 0; i < 500; i++) {
    g_autofree char *from = g_strdup_printf ("2001:db8:%x::1", i);
    g_autofree char *form
        = g_strdup_printf ("token=%s&action=approve&login=owner&secret=wrong%d", token, i);
    uint64_t sent = rig_browse (&rig, "POST", link, form, from);
    if (rig_reply (&rig, sent))
      continue;
    checked++;
    rig_work (&rig);
  }
  g_assert_cmpint (checked, <=, 10);
  /* The owner is not locked out: a code of the server still serves. */
  g_autofree char *code = COMMAND (&rig, 0, "users", "code");
  g_autofree char *form = g_strdup_printf ("action=approve&secret=%.11s", code);
  g_assert_cmpint (rig_reply (&rig, rig_send_form (&rig, link, form))->reply.status, ==, 303);
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
    rig_set_password (&rig, login);
  }
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  rig_get_page (&rig, link, token);
  for (int i = 0; i < 40; i++) {
    g_autofree char *from = g_strdup_printf ("20.0.1.%d", i + 1);
    g_autofree char *form
        = g_strdup_printf ("token=%s&action=approve&login=user%d&secret=x", token, i);
    uint64_t sent = rig_browse (&rig, "POST", link, form, from);
    busy += rig_reply (&rig, sent) && rig_reply (&rig, sent)->reply.status == 503;
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
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *old_code = COMMAND (&rig, 0, "users", "code");
  g_autofree char *code = COMMAND (&rig, 0, "nodes", "approve"); /* the newer one counts */
  g_autofree char *old_form = g_strdup_printf ("action=deny&login=owner&secret=%.11s", old_code);
  uint64_t sent = rig_send_form (&rig, link, old_form);
  rig_work (&rig);
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 403);
  rig_pass (&rig, 14 * 60 * USEC_PER_SEC);
  g_autofree char *form = g_strdup_printf ("action=approve&login=owner&secret=%.11s", code);
  sent = rig_send_form (&rig, link, form);
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 303);
  memset (rig.cookie, 0, sizeof rig.cookie);
  g_autofree char *second = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2}));
  sent = rig_send_form (&rig, second, form);
  rig_work (&rig);
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 403);
  g_autofree char *late = COMMAND (&rig, 0, "users", "code");
  g_autofree char *late_form = g_strdup_printf ("action=approve&login=owner&secret=%.11s", late);
  g_autofree char *third = NULL;
  rig_pass (&rig, 16 * 60 * USEC_PER_SEC);
  third = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 3, .key = 3}));
  sent = rig_send_form (&rig, third, late_form);
  rig_work (&rig);
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 403);
  rig_close (&rig);
}

static void
test_roles (void)
{
  Rig rig;

  rig_open (&rig);
  g_free (COMMAND (&rig, 0, "users", "create", "hazel"));
  rig_set_password (&rig, "hazel");
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *second = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2}));
  uint64_t sent
      = rig_send_form (&rig, link,
                       "action=approve&login=hazel&user=owner&secret=correct+horse+battery");
  rig_work (&rig);
  rig_keep_cookie (&rig, sent);
  const CoUser *hazel = model_user_by_login (&rig.state->model, "hazel");
  g_assert_cmpint (rig_node_of (&rig, 1)->user, ==,
                   hazel->id); /* her own, whatever the form says */
  sent = rig_send_form (&rig, second, "action=approve&user=owner");
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 403);
  g_assert_null (rig_node_of (&rig, 2));
  g_free (COMMAND (&rig, 0, "users", "role", "hazel", "admin"));
  sent = rig_send_form (&rig, second, "action=approve&user=nobody");
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 403);
  sent = rig_send_form (&rig, second, "action=approve&user=owner");
  g_assert_cmpint (rig_reply (&rig, sent)->reply.status, ==, 303);
  g_assert_cmpint (rig_node_of (&rig, 2)->user, !=, hazel->id);
  /* The last owner stays one; who has devices is not removed. */
  g_free (COMMAND (&rig, 1, "users", "role", "owner", "member"));
  g_free (COMMAND (&rig, 1, "users", "remove", "hazel"));
  g_free (COMMAND (&rig, 0, "nodes", "remove", "alpha"));
  g_free (COMMAND (&rig, 0, "users", "remove", "hazel"));
  /* And with the account its session went. */
  g_assert_null (
      strstr (rig_body (&rig, rig_browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
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
    g_assert_cmpint (rig_reply (&rig, rig_send_form (&rig, "/password", bad[i]))->reply.status, ==,
                     400);
    g_clear_pointer (&bad[i], g_free);
  }
  g_autofree char *form
      = g_strdup_printf ("login=owner&secret=%.11s&new=long+enough+1&again=long+enough+1", code);
  uint64_t first = rig_send_form (&rig, "/password", form);
  uint64_t second = rig_send_form (&rig, "/password", form); /* at once: the code is not used yet */
  rig_work (&rig);
  rig_work (&rig);
  g_assert_cmpint (rig_reply (&rig, first)->reply.status, ==, 200);
  g_assert_cmpint (rig_reply (&rig, second)->reply.status, ==, 403);
  const CoUser *owner = model_user_by_login (&rig.state->model, "owner");
  g_assert_cmpstr (owner->password, ==, "long enough 1");
  rig_keep_cookie (&rig, first);
  g_assert_nonnull (
      strstr (rig_body (&rig, rig_browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
  /* With the old password, which takes two jobs; other browsers are signed out. */
  char kept[ACCOUNTS_TOKEN_MAX];
  memcpy (kept, rig.cookie, sizeof kept);
  uint64_t third
      = rig_send_form (&rig, "/password",
                       "login=owner&secret=long+enough+1&new=long+enough+2&again=long+enough+2");
  rig_work (&rig);
  rig_work (&rig);
  g_assert_cmpint (rig_reply (&rig, third)->reply.status, ==, 200);
  g_assert_cmpstr (owner->password, ==, "long enough 2");
  memcpy (rig.cookie, kept, sizeof kept);
  g_assert_null (
      strstr (rig_body (&rig, rig_browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
  rig_close (&rig);
}

static void
test_sessions_end (void)
{
  Rig rig;

  rig_open (&rig);
  rig_set_password (&rig, "owner");
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  uint64_t sent
      = rig_send_form (&rig, link, "action=approve&login=owner&secret=correct+horse+battery");
  rig_work (&rig);
  rig_keep_cookie (&rig, sent);
  rig_pass (&rig, 59 * 60 * USEC_PER_SEC);
  g_assert_nonnull (
      strstr (rig_body (&rig, rig_browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
  rig_pass (&rig, 2 * 60 * USEC_PER_SEC);
  g_assert_null (
      strstr (rig_body (&rig, rig_browse (&rig, "GET", "/", NULL, "20.0.0.9")), "Signed in"));
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
  return g_test_run ();
}
