/* The vectors of spec/desktop.md §8.9 for the table of §5.2, and the rules beside it. */
#include "client/ui-state.h"

#include <string.h>

#define NOW 1800000000

static WarrenFacts
base (void)
{
  return (WarrenFacts){
      .daemon_present = TRUE,
      .api_version = WARREN_API_VERSION_MIN,
      .has_session = TRUE,
      .state = "running",
      .waiting = "",
      .wanted = TRUE,
      .now = NOW,
      .network_up = TRUE,
      .network_name = "example.com",
      .server_host = "vpn.example.com",
      .account = "alice@example.com",
      .address = "100.64.0.7",
  };
}

static void
assert_kind (const WarrenFacts *facts, WarrenUiKind kind)
{
  g_autoptr (WarrenUiState) s = warren_ui_state_derive (facts);

  g_test_message ("%s: %s / %s", warren_ui_kind_to_string (s->kind), s->headline, s->detail);
  g_assert_cmpstr (warren_ui_kind_to_string (s->kind), ==, warren_ui_kind_to_string (kind));
  g_assert_cmpstr (s->headline, !=, "");
  g_assert_nonnull (s->detail);
  g_assert_true (g_str_has_suffix (s->icon, "-symbolic"));
}

static void
test_vectors (void)
{
  WarrenFacts f = {0};

  assert_kind (&f, WARREN_UI_DAEMON_MISSING);
  f = base (), f.has_session = FALSE;
  assert_kind (&f, WARREN_UI_FIRST_RUN);
  f = base (), f.state = "needs-login";
  assert_kind (&f, WARREN_UI_NEEDS_LOGIN);
  f.login_pending = TRUE;
  assert_kind (&f, WARREN_UI_WAITING_BROWSER);
  f = base (), f.key_expiry = NOW - 1;
  assert_kind (&f, WARREN_UI_KEY_EXPIRED);
  f.state = "stopped", f.wanted = FALSE;
  assert_kind (&f, WARREN_UI_KEY_EXPIRED);
  f = base (), f.state = "starting", f.network_up = FALSE;
  assert_kind (&f, WARREN_UI_NO_NETWORK);
  f.network_up = TRUE, f.captive_portal = TRUE;
  assert_kind (&f, WARREN_UI_CAPTIVE_PORTAL);
  f = base (), f.exit_set = TRUE;
  assert_kind (&f, WARREN_UI_EXIT_UNREACHABLE);
  f.exit_online = TRUE;
  f.warning = (WarrenWarning){.severity = WARREN_SEVERITY_MEDIUM,
                              .impacts_connectivity = TRUE,
                              .code = "no-derp-home",
                              .title = "No home relay server"};
  assert_kind (&f, WARREN_UI_DEGRADED);
  f.warning = (WarrenWarning){0};
  assert_kind (&f, WARREN_UI_EXIT_ACTIVE);
  f = base ();
  assert_kind (&f, WARREN_UI_CONNECTED);
  f.warning = (WarrenWarning){.severity = WARREN_SEVERITY_LOW, .code = "x", .title = "Note"};
  assert_kind (&f, WARREN_UI_CONNECTED);
  f = base (), f.state = "levitating";
  assert_kind (&f, WARREN_UI_CONNECTING);
}

static void
test_other_rows (void)
{
  WarrenFacts f = base ();

  f.api_version = 0;
  assert_kind (&f, WARREN_UI_DAEMON_OLD);
  f = base (), f.foreign = TRUE, f.owner_name = "bob";
  assert_kind (&f, WARREN_UI_IN_USE);
  f = base (), f.state = "error", f.problem_code = "tun-unavailable";
  assert_kind (&f, WARREN_UI_ERROR);
  f = base (), f.warning = (WarrenWarning){.severity = WARREN_SEVERITY_HIGH,
                                           .code = "broken",
                                           .title = "Broken",
                                           .text = "Quite broken."};
  assert_kind (&f, WARREN_UI_ERROR);
  f = base (), f.state = "needs-approval";
  assert_kind (&f, WARREN_UI_NEEDS_APPROVAL);
  f = base (), f.state = "stopped", f.wanted = FALSE;
  assert_kind (&f, WARREN_UI_STOPPED);
  f = base (), f.state = "starting", f.waiting = "netmap";
  assert_kind (&f, WARREN_UI_CONNECTING);
}

static void
test_expired_key_is_never_shown_as_connected (void)
{
  const char *states[]
      = {"stopped", "starting", "needs-login", "needs-approval", "running", "error", "new-state"};

  for (gsize i = 0; i < G_N_ELEMENTS (states); i++)
    for (guint bits = 0; bits < 64; bits++) {
      WarrenFacts f = base ();
      g_autoptr (WarrenUiState) s = NULL;

      f.state = states[i];
      f.key_expiry = NOW - 5;
      f.wanted = bits & 1;
      f.login_pending = bits & 2;
      f.network_up = bits & 4;
      f.exit_set = bits & 8;
      f.exit_online = bits & 16;
      f.captive_portal = bits & 32;
      s = warren_ui_state_derive (&f);
      g_assert_false (warren_ui_kind_is_connected (s->kind));
      g_assert_null (strstr (s->icon, "Warren-on-"));
      g_assert_null (strstr (s->icon, "Warren-exit-"));
    }
}

static void
test_a_running_renewal_stays_connected (void)
{
  WarrenFacts f = base ();

  f.login_pending = TRUE;
  f.key_expiry = NOW + 3600;
  assert_kind (&f, WARREN_UI_CONNECTED);
  f.key_expiry = NOW - 1;
  assert_kind (&f, WARREN_UI_WAITING_BROWSER);
}

static void
test_problem_says_what_to_do (void)
{
  WarrenFacts f = base ();
  g_autoptr (WarrenUiState) s = NULL;

  f.state = "starting";
  f.problem_code = "server-unreachable";
  s = warren_ui_state_derive (&f);
  g_assert_cmpint (s->kind, ==, WARREN_UI_CONNECTING);
  g_assert_cmpstr (s->detail, ==, "vpn.example.com does not answer.");
  g_assert_nonnull (strstr (s->notice, "Check the Internet connection"));
  g_assert_cmpint (s->primary, ==, WARREN_ACTION_CANCEL);
}

static void
test_server_words_are_quoted (void)
{
  WarrenFacts f = base ();
  g_autoptr (WarrenUiState) s = NULL;

  f.state = "needs-login";
  f.problem_code = "auth-key-invalid";
  f.problem_text = "invalid key: API key does not exist";
  s = warren_ui_state_derive (&f);
  g_assert_cmpint (s->kind, ==, WARREN_UI_NEEDS_LOGIN);
  g_assert_nonnull (strstr (s->notice, "“invalid key: API key does not exist”"));
}

static void
test_trouble_with_the_server_keeps_the_connection (void)
{
  WarrenFacts f = base ();

  f.problem_code = "server-unreachable";
  assert_kind (&f, WARREN_UI_DEGRADED);
}

static void
test_only_https_links_are_offered (void)
{
  WarrenFacts f = base ();
  g_autoptr (WarrenUiState) bad = NULL;
  g_autoptr (WarrenUiState) good = NULL;

  f.warning = (WarrenWarning){.severity = WARREN_SEVERITY_MEDIUM,
                              .code = "msg",
                              .title = "Note",
                              .action_label = "Open",
                              .action_url = "file:///etc/passwd"};
  bad = warren_ui_state_derive (&f);
  g_assert_null (bad->notice_url);
  f.warning.action_url = "https://example.com/";
  good = warren_ui_state_derive (&f);
  g_assert_cmpstr (good->notice_url, ==, "https://example.com/");
}

static void
test_copies_are_equal (void)
{
  WarrenFacts f = base ();
  g_autoptr (WarrenUiState) a = warren_ui_state_derive (&f);
  g_autoptr (WarrenUiState) b = warren_ui_state_copy (a);
  g_autoptr (WarrenUiState) c = NULL;

  g_assert_true (warren_ui_state_equal (a, b));
  f.address = "100.64.0.8";
  c = warren_ui_state_derive (&f);
  g_assert_false (warren_ui_state_equal (a, c));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ui-state/vectors-of-the-specification", test_vectors);
  g_test_add_func ("/ui-state/every-other-row-is-reached", test_other_rows);
  g_test_add_func ("/ui-state/an-expired-key-is-never-shown-as-connected",
                   test_expired_key_is_never_shown_as_connected);
  g_test_add_func ("/ui-state/a-running-renewal-stays-connected",
                   test_a_running_renewal_stays_connected);
  g_test_add_func ("/ui-state/a-problem-says-what-to-do", test_problem_says_what_to_do);
  g_test_add_func ("/ui-state/the-words-of-the-server-are-quoted", test_server_words_are_quoted);
  g_test_add_func ("/ui-state/trouble-with-the-server-keeps-the-connection",
                   test_trouble_with_the_server_keeps_the_connection);
  g_test_add_func ("/ui-state/only-https-links-are-offered", test_only_https_links_are_offered);
  g_test_add_func ("/ui-state/copies-are-equal", test_copies_are_equal);
  return g_test_run ();
}
