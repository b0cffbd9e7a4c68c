/* The table of states, row by row (spec/local-services.md §1.3). */
#include "session/state.h"

#include <glib.h>

/* Signed in, wanted, with a map, nothing wrong. */
static SessionInputs
healthy (void)
{
  return (SessionInputs){.previous = SESSION_STARTING,
                         .wanted = true,
                         .have_key = true,
                         .have_netmap = true,
                         .authorized = true,
                         .live = true};
}

static void
test_fresh (void)
{
  SessionInputs in = {.logged_out = true};
  g_assert_cmpint (session_next_state (&in), ==, SESSION_NEEDS_LOGIN);
  in.wanted = true;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_NEEDS_LOGIN);
  in.logging_in = true;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STARTING);
}

static void
test_off (void)
{
  SessionInputs in = healthy ();
  in.wanted = false;
  for (int state = SESSION_STOPPED; state <= SESSION_ERROR; state++) {
    in.previous = (SessionState)state;
    g_assert_cmpint (session_next_state (&in), ==, SESSION_STOPPED);
  }
  in.have_netmap = false;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STOPPED);
  in.expired = true;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STOPPED);
}

static void
test_starts (void)
{
  SessionInputs in = healthy ();
  in.previous = SESSION_STOPPED;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STARTING);
  in.previous = SESSION_STARTING;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_RUNNING);
  in.live = false;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STARTING);
  in.have_netmap = false;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STARTING);
}

static void
test_stays (void)
{
  SessionInputs in = healthy ();
  in.previous = SESSION_RUNNING;
  in.live = false;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_RUNNING);
}

static void
test_expired (void)
{
  SessionInputs in = healthy ();
  in.previous = SESSION_RUNNING;
  in.expired = true;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_NEEDS_LOGIN);
  in.previous = SESSION_NEEDS_LOGIN;
  in.expired = false; /* an administrator extended it */
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STARTING);
}

static void
test_approval (void)
{
  SessionInputs in = healthy ();
  in.authorized = false;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_NEEDS_APPROVAL);
  in.previous = SESSION_NEEDS_APPROVAL;
  in.authorized = true;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STARTING);
}

static void
test_stuck (void)
{
  SessionInputs in = healthy ();
  in.have_netmap = false;
  in.login_stuck = true;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_NEEDS_LOGIN);
  in.wanted = false;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_NEEDS_LOGIN);
}

static void
test_fatal (void)
{
  SessionInputs in = healthy ();
  in.fatal = true;
  in.previous = SESSION_RUNNING;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_ERROR);
  in.fatal = false;
  in.previous = SESSION_ERROR;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STARTING);
  in.fatal = true;
  in.wanted = false;
  g_assert_cmpint (session_next_state (&in), ==, SESSION_STOPPED);
}

/* Whatever the inputs: nothing runs that is not wanted, approved, valid and possible. */
static void
test_never (void)
{
  for (unsigned bits = 0; bits < 1u << 10; bits++)
    for (int previous = SESSION_STOPPED; previous <= SESSION_ERROR; previous++) {
      SessionInputs in = {.previous = (SessionState)previous,
                          .wanted = bits & 1,
                          .logged_out = bits & 2,
                          .have_key = bits & 4,
                          .have_netmap = bits & 8,
                          .login_stuck = bits & 16,
                          .logging_in = bits & 32,
                          .expired = bits & 64,
                          .authorized = bits & 128,
                          .live = bits & 256,
                          .fatal = bits & 512};
      if (session_next_state (&in) != SESSION_RUNNING)
        continue;
      g_assert_true (in.wanted && in.have_netmap && in.authorized && !in.expired && !in.fatal);
      g_assert_true (in.live || in.previous == SESSION_RUNNING);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/state/a-fresh-profile-needs-a-login", test_fresh);
  g_test_add_func ("/session/state/off-is-stopped-whatever-it-was", test_off);
  g_test_add_func ("/session/state/runs-once-somebody-answers", test_starts);
  g_test_add_func ("/session/state/losing-everybody-does-not-end-running", test_stays);
  g_test_add_func ("/session/state/an-expired-key-needs-a-login-and-may-come-back", test_expired);
  g_test_add_func ("/session/state/waits-for-approval", test_approval);
  g_test_add_func ("/session/state/a-removed-node-needs-a-login-even-when-off", test_stuck);
  g_test_add_func ("/session/state/a-fatal-problem-is-an-error-only-while-wanted", test_fatal);
  g_test_add_func ("/session/state/never-runs-without-every-condition", test_never);
  return g_test_run ();
}
