#include "harness.h"

#include <string.h>

#define MS  USEC_PER_MSEC
#define S   USEC_PER_SEC
#define URL HARNESS_URL

/* --- The request --------------------------------------------------------------------------- */

static void
test_fields (void)
{
  static const char *always[] = {"\"Version\":131,",
                                 "\"NodeKey\":\"nodekey:",
                                 "\"OldNodeKey\":",
                                 "\"NLKey\":\"nlpub:",
                                 "\"Expiry\":\"0001-01-01T00:00:00Z\"",
                                 "\"Followup\":\"\"",
                                 "\"Hostinfo\":{",
                                 "\"NodeKeySignature\":null"};
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, "hskey-auth-abc--TLfoo-bar", false);
  g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
  for (size_t i = 0; i < G_N_ELEMENTS (always); i++)
    if (!strstr (request.body, always[i]))
      g_error ("%s is missing in %s", always[i], request.body);
  g_assert_nonnull (strstr (request.body, "\"AuthKey\":\"hskey-auth-abc\""));
  g_assert_null (strstr (request.body, "Oauth2Token"));
  g_assert_null (strstr (request.body, "foo"));
  g_assert_cmpstr (request.request.method, ==, "POST");
  g_assert_cmpstr (request.request.scheme, ==, "https");
  g_assert_cmpstr (request.request.authority, ==, "127.0.0.1:3000");
  g_autofree char *key = harness_node_key (&request);
  g_assert_cmpstr (request.request.hints[0], ==, key);
  g_assert_null (request.request.hints[1]);
}

static void
test_client_secret (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, "tskey-client-abc?ephemeral=true", false);
  harness_quiet (h);
  g_autofree char *log = harness_log (h);
  g_assert_nonnull (strstr (log, "problem auth-key-invalid: "));
}

/* --- Ways in ------------------------------------------------------------------------------- */

static void
test_auth_key (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_assert_log (h, "state off\nstate needs-login\n");
  harness_login (h, "key", false);
  harness_bring_up_only (h);
  harness_assert_log (h, "state connecting\nregistered 7 hazel@burrow new-key\n"
                         "state synchronising\nnetmap 0\nstate running online\n");
  g_assert_false (key_zero (&h->disk.node_key));
  g_assert_true (key_zero (&h->disk.pending_key));
}

static void
test_saved_first (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  h->hold_saves = true;
  harness_login (h, "key", false);
  harness_run (h, 10 * S);
  harness_quiet (h);
  h->hold_saves = false;
  ControlEvent event = {.type = CONTROL_EVENT_SAVED, .saved = {h->held_save, true, NULL}};
  harness_send (h, &event);
  harness_expect (h, "/machine/register");
}

static void
test_disk_full (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  h->fail_saves = true;
  harness_login (h, "key", false);
  harness_run (h, 7 * S);
  harness_quiet (h);
  harness_assert_log (h, "state off\nstate needs-login\nstate connecting\n"
                         "problem disk-full retrying: no space left on device\n");
  h->fail_saves = false;
  harness_run (h, 5 * S);
  harness_expect (h, "/machine/register");
  harness_assert_log (h, "problem : \n");
}

/* kill -9 between register and the first map: the same key again, and no auth key is needed. */
static void
test_killed (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, "one-shot", false);
  g_auto (HarnessRequest) first = harness_take (h, "/machine/register");
  g_autofree char *key = harness_node_key (&first);
  harness_restart (h);
  g_auto (HarnessRequest) second = harness_take (h, "/machine/register");
  g_autofree char *again = harness_node_key (&second);
  g_assert_cmpstr (key, ==, again);
  g_assert_null (strstr (second.body, "AuthKey"));
  harness_reply (h, &second, 200, harness_registered);
  harness_restart (h);
  g_auto (HarnessRequest) third = harness_take (h, "/machine/register");
  g_autofree char *still = harness_node_key (&third);
  g_assert_cmpstr (key, ==, still);
}

static void
test_followup (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, NULL, false);
  g_auto (HarnessRequest) first = harness_take (h, "/machine/register");
  g_autofree char *key = harness_node_key (&first);
  harness_forget (h);
  harness_reply_url (h, &first, harness_urls[0]);
  harness_assert_log (h, "url " URL "/register/one by-user\nstate needs-login\n");
  g_assert_cmpstr (h->disk.pending_url, ==, harness_urls[0]);

  g_auto (HarnessRequest) wait = harness_take (h, "/machine/register");
  g_autofree char *same = harness_node_key (&wait);
  g_assert_cmpstr (key, ==, same);
  g_assert_nonnull (strstr (wait.body, "\"Followup\":\"" URL "/register/one\""));
  /* another page replaces the first one, and is not opened by itself */
  harness_reply_url (h, &wait, harness_urls[1]);
  harness_assert_log (h, "url " URL "/register/two\n");
  g_auto (HarnessRequest) wait2 = harness_take (h, "/machine/register");
  g_assert_nonnull (strstr (wait2.body, "\"Followup\":\"" URL "/register/two\""));
  /* the same page at once: wait, but not in a circle */
  harness_reply_url (h, &wait2, harness_urls[1]);
  harness_quiet (h);
  harness_run (h, 20 * MS);
  g_auto (HarnessRequest) wait3 = harness_take (h, "/machine/register");
  harness_assert_log (h, "");
  harness_reply (h, &wait3, 200, harness_registered);
  harness_assert_log (h, "url -\nregistered 7 hazel@burrow new-key\nstate synchronising\n");
  g_assert_null (h->disk.pending_url);
}

static void
test_followup_survives (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, NULL, false);
  g_auto (HarnessRequest) first = harness_take (h, "/machine/register");
  g_autofree char *key = harness_node_key (&first);
  harness_reply_url (h, &first, harness_urls[0]);
  harness_expect (h, "/machine/register");
  /* the connection breaks: go on waiting with the same key and page */
  ControlEvent event = {.type = CONTROL_EVENT_LINK, .link.major = true};
  harness_send (h, &event);
  g_auto (HarnessRequest) wait2 = harness_take (h, "/machine/register");
  g_autofree char *same = harness_node_key (&wait2);
  g_assert_cmpstr (key, ==, same);
  g_assert_nonnull (strstr (wait2.body, "/register/one"));
  /* the daemon is killed: the same */
  harness_restart (h);
  harness_assert_log (h, "state off\nurl " URL "/register/one\nstate needs-login\n");
  g_auto (HarnessRequest) wait3 = harness_take (h, "/machine/register");
  g_autofree char *still = harness_node_key (&wait3);
  g_assert_cmpstr (key, ==, still);
  g_assert_nonnull (strstr (wait3.body, "/register/one"));
}

static void
test_followup_repeats (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, NULL, false);
  g_auto (HarnessRequest) first = harness_take (h, "/machine/register");
  harness_reply_url (h, &first, harness_urls[0]);
  g_auto (HarnessRequest) wait = harness_take (h, "/machine/register");
  harness_forget (h);
  harness_run (h, 61 * S);
  g_assert_cmpint (fake_control_next_reset (wait.server), ==, wait.request.stream);
  harness_expect (h, "/machine/register");
  harness_assert_dials (h, "");
}

static void
test_new_login_wins (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, NULL, false);
  g_auto (HarnessRequest) first = harness_take (h, "/machine/register");
  harness_reply_url (h, &first, harness_urls[0]);
  g_auto (HarnessRequest) wait = harness_take (h, "/machine/register");
  harness_forget (h);
  harness_login (h, "key", false);
  g_auto (HarnessRequest) second = harness_take (h, "/machine/register");
  g_autofree char *old = harness_node_key (&wait), *new = harness_node_key (&second);
  g_assert_cmpstr (old, !=, new);
  /* the late answer to the first login changes nothing */
  harness_reply (h, &wait, 200, harness_registered);
  harness_assert_log (h, "url -\nstate connecting\n");
  harness_reply (h, &second, 200, harness_registered);
  harness_assert_log (h, "registered 7 hazel@burrow new-key\nstate synchronising\n");
}

static void
test_cancel (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, NULL, false);
  g_auto (HarnessRequest) first = harness_take (h, "/machine/register");
  harness_reply_url (h, &first, harness_urls[0]);
  harness_expect (h, "/machine/register");
  harness_forget (h);
  harness_event (h, CONTROL_EVENT_CANCEL_LOGIN);
  harness_assert_log (h, "url -\n");
  g_assert_true (key_zero (&h->disk.pending_key));
  harness_run (h, 120 * S);
  harness_quiet (h);
}

static void
test_bad_urls (void)
{
  static const char *bad[] = {"javascript:alert(1)", "file:///etc/passwd", "ftp://x/y"};

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (Harness) h = harness_new_fresh ();
    harness_login (h, NULL, false);
    g_auto (HarnessRequest) first = harness_take (h, "/machine/register");
    harness_reply_url (h, &first, bad[i]);
    g_autofree char *log = harness_log (h);
    g_assert_null (strstr (log, "url "));
    g_assert_nonnull (strstr (log, "problem login-denied retrying: "));
  }
}

/* --- Answers ------------------------------------------------------------------------------- */

/* Every two set fields of an answer: the one earlier in §9.2 decides. */
static void
test_precedence (void)
{
  static const struct
  {
    const char *json, *sign;
  } fields[] = {
      {"\"Error\":\"invalid authkey\"", "problem auth-key-invalid"},
      {"\"NodeKeySignature\":\"AAAA\"", "problem lock-unsupported"},
      {"\"NodeKeyExpired\":true", "a new key has expired"},
      {"\"AuthURL\":\"" URL "/register/one\"", "url " URL "/register/one"},
      {"\"MachineAuthorized\":true", "registered "},
  };

  for (size_t first = 0; first < G_N_ELEMENTS (fields); first++)
    for (size_t second = first; second < G_N_ELEMENTS (fields); second++) {
      g_autoptr (Harness) h = harness_new_fresh ();
      harness_login (h, "key", false);
      g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
      harness_forget (h);
      g_autofree char *body = g_strdup_printf ("{%s,%s}", fields[second].json, fields[first].json);
      harness_reply (h, &request, 200, body);
      g_autofree char *log = harness_log (h);
      for (size_t i = 0; i < G_N_ELEMENTS (fields); i++)
        if (!strstr (log, fields[i].sign) != (i != first))
          g_error ("%s: %s", body, log);
    }
}

static void
test_rate_limit (void)
{
  static const struct
  {
    const char *header;
    int64_t low, high;
  } cases[] = {
      {"7", 7, 7},
      {NULL, 5, 10},
      {"0", 5, 10},
      {"-3", 5, 10},
      {"3601", 5, 10},
      {"3600", 3600, 3600},
      {"soon", 5, 10},
      /* the harness's clock shows 1790001000 */
      {"Mon, 21 Sep 2026 14:30:09 GMT", 9, 9},
      {"Mon, 21 Sep 2026 14:30:00 GMT", 5, 10},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Harness) h = harness_new_fresh ();
    harness_login (h, "key", false);
    g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
    fake_control_answer (request.server, request.request.stream, 429, cases[i].header, "slow", 4,
                         true);
    harness_pump (h);
    harness_run (h, cases[i].low * S - 1);
    harness_quiet (h);
    harness_run (h, (cases[i].high - cases[i].low) * S + 1);
    harness_expect (h, "/machine/register");
  }
}

static void
test_http_errors (void)
{
  static const struct
  {
    int status;
    const char *body, *problem;
  } cases[] = {
      {500, "internal server error",
       "server-unreachable retrying: register request: http 500: int"},
      {400, "unsupported client version: x (12)",
       "version-refused retrying: register request: htt"},
      {404, "nothing", "not-a-control-server retrying: register request: http 404: nothing"},
      {200, "not JSON", "not-a-control-server retrying: register request: "},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Harness) h = harness_new_fresh ();
    harness_login (h, "key", false);
    g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
    harness_reply (h, &request, cases[i].status, cases[i].body);
    g_autofree char *log = harness_log (h);
    if (!strstr (log, cases[i].problem))
      g_error ("%s is not in %s", cases[i].problem, log);
    harness_run (h, 20 * MS);
    harness_expect (h, "/machine/register");
  }
}

static void
test_permanent (void)
{
  static const struct
  {
    const char *text, *problem;
  } cases[] = {
      {"invalid authkey", "auth-key-invalid"},
      {"authkey already used", "auth-key-used"},
      {"handling register with auth key: authkey expired", "auth-key-invalid"},
      {"handling register with auth key: creating new node: requested tags [tag:srv] are invalid "
       "or not permitted",
       "login-denied"},
      {"invalid key: API key does not exist", "auth-key-invalid"},
      {"node key already in use by another machine", "login-denied"},
      {"registration timed out", "login-expired"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Harness) h = harness_new_fresh ();
    harness_login (h, "key", false);
    g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
    harness_forget (h);
    g_autofree char *body = g_strdup_printf ("{\"Error\":\"%s\"}", cases[i].text);
    harness_reply (h, &request, 200, body);
    g_autofree char *expected
        = g_strdup_printf ("problem %s: %s\nstate needs-login\n", cases[i].problem, cases[i].text);
    harness_assert_log (h, expected);
    harness_run (h, 600 * S);
    harness_quiet (h);
    /* and a person may try again */
    harness_login (h, "better", false);
    harness_expect (h, "/machine/register");
  }
}

static void
test_denied (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, NULL, false);
  g_auto (HarnessRequest) first = harness_take (h, "/machine/register");
  harness_reply_url (h, &first, harness_urls[0]);
  g_auto (HarnessRequest) wait = harness_take (h, "/machine/register");
  harness_forget (h);
  harness_reply (h, &wait, 200, "{\"Error\":\"not today\"}");
  harness_assert_log (h, "url -\nproblem login-denied: not today\n");
  g_assert_true (key_zero (&h->disk.pending_key));
  harness_run (h, 600 * S);
  harness_quiet (h);
}

static void
test_unknown_error (void)
{
  g_autoptr (Harness) h = harness_new_fresh ();

  harness_login (h, "key", false);
  g_auto (HarnessRequest) request = harness_take (h, "/machine/register");
  harness_forget (h);
  harness_reply (h, &request, 200, "{\"Error\":\"the moon is full\"}");
  harness_assert_log (h, "problem login-denied retrying: the moon is full\n");
  harness_run (h, 20 * MS);
  g_auto (HarnessRequest) again = harness_take (h, "/machine/register");
  harness_reply (h, &again, 200, harness_registered);
  g_autofree char *log = harness_log (h);
  g_assert_nonnull (strstr (log, "problem : \n"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/control/login/sends-the-fields-that-must-be-there", test_fields);
  g_test_add_func ("/control/login/never-sends-a-client-secret", test_client_secret);
  g_test_add_func ("/control/login/registers-with-an-auth-key", test_auth_key);
  g_test_add_func ("/control/login/saves-a-new-key-before-sending-it", test_saved_first);
  g_test_add_func ("/control/login/waits-while-the-disk-is-full", test_disk_full);
  g_test_add_func ("/control/login/uses-the-same-key-after-a-kill", test_killed);
  g_test_add_func ("/control/login/followup-repeats-key-and-page", test_followup);
  g_test_add_func ("/control/login/followup-is-asked-again-every-minute", test_followup_repeats);
  g_test_add_func ("/control/login/a-new-login-wins-over-a-late-answer", test_new_login_wins);
  g_test_add_func ("/control/login/can-be-cancelled", test_cancel);
  g_test_add_func ("/control/login/refuses-pages-that-are-none", test_bad_urls);
  g_test_add_func ("/control/login/answers-have-a-precedence", test_precedence);
  g_test_add_func ("/control/login/honours-retry-after", test_rate_limit);
  g_test_add_func ("/control/login/retries-http-errors-and-says-why", test_http_errors);
  g_test_add_func ("/control/login/stops-at-permanent-errors", test_permanent);
  g_test_add_func ("/control/login/an-error-while-waiting-means-denied", test_denied);
  g_test_add_func ("/control/login/retries-unknown-errors", test_unknown_error);
  g_test_add_func ("/control/login/followup-survives-reconnect-and-restart",
                   test_followup_survives);
  return g_test_run ();
}
