/* Password hashes and requests on their own threads, with real ones. */

#include "base/memory.h"
#include "coordinator/work.h"

#include <glib.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>

static char *
copy (const char *text)
{
  return text ? mem_strndup (text, strlen (text)) : NULL;
}

static void
start (Work *work, WorkType type, uint64_t id, const char *password, const char *hash)
{
  WorkJob job = {.type = type, .id = id, .password = copy (password), .hash = copy (hash)};

  work_start (work, &job);
  g_assert_null (job.password); /* taken over */
}

static void
wait_result (Work *work, WorkResult *result)
{
  struct pollfd fd = {.fd = work_fd (work), .events = POLLIN};

  while (!work_next (work, result))
    g_assert_cmpint (poll (&fd, 1, 60000), ==, 1);
}

static void
test_hashes (void)
{
  Work *work = work_new ();
  WorkResult made, checked;

  start (work, WORK_HASH, 7, "correct horse battery", NULL);
  wait_result (work, &made);
  g_assert_true (made.ok && made.id == 7);
  g_assert_true (g_str_has_prefix (made.hash, "$argon2id$v=19$m=65536,t=3,p=1$"));
  start (work, WORK_VERIFY, 8, "correct horse battery", made.hash);
  wait_result (work, &checked);
  g_assert_true (checked.ok && checked.id == 8);
  work_result_clear (&checked);
  start (work, WORK_VERIFY, 9, "correct horse batterz", made.hash);
  wait_result (work, &checked);
  g_assert_false (checked.ok);
  work_result_clear (&checked);
  start (work, WORK_VERIFY, 10, "correct horse battery", "not a hash");
  wait_result (work, &checked);
  g_assert_false (checked.ok);
  work_result_clear (&checked);
  work_result_clear (&made);
  g_assert_false (work_next (work, &made));
  work_free (work);
}

static void
test_requests (void)
{
  static const char *const urls[] = {"http://127.0.0.1:1/x", "not an address", ""};
  Work *work = work_new ();
  WorkResult result;

  for (size_t i = 0; i < G_N_ELEMENTS (urls); i++) {
    WorkJob job = {.type = WORK_FETCH, .id = 20 + i, .url = copy (urls[i])};
    work_start (work, &job);
    wait_result (work, &result);
    g_assert_cmpuint (result.id, ==, 20 + i);
    g_assert_false (result.ok);
    g_assert_cmpstr (result.body, !=, "");
    work_result_clear (&result);
  }
  work_free (work);
}

static void
test_is_bounded (void)
{
  Work *work = work_new ();
  WorkResult result;
  size_t refused = 0;

  for (size_t i = 0; i < WORK_JOBS_MAX + 5; i++)
    start (work, WORK_VERIFY, i, "x", "not a hash");
  for (size_t i = 0; i < WORK_JOBS_MAX + 5; i++) {
    wait_result (work, &result);
    refused += result.id >= WORK_JOBS_MAX;
    work_result_clear (&result);
  }
  g_assert_cmpuint (refused, ==, 5);
  start (work, WORK_VERIFY, 1, "x", "not a hash");
  wait_result (work, &result);
  g_assert_cmpuint (result.id, ==, 1);
  work_result_clear (&result);
  work_free (work);
}

static void
test_ends_in_the_middle (void)
{
  Work *work = work_new ();

  for (size_t i = 0; i < 4; i++) {
    WorkJob job = {.type = WORK_FETCH, .id = i, .url = copy ("http://127.0.0.1:1/")};
    start (work, WORK_HASH, 10 + i, "x", NULL);
    work_start (work, &job);
  }
  work_free (work);
}

int
main (int argc, char **argv)
{
  g_assert_cmpint (sodium_init (), >=, 0);
  /* The one in C++ throws exceptions, which sanitizers do not let through a program in C. */
  g_setenv ("GIO_USE_PROXY_RESOLVER", "dummy", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/work/makes-and-checks-password-hashes", test_hashes);
  g_test_add_func ("/work/tells-why-a-request-failed", test_requests);
  g_test_add_func ("/work/is-bounded", test_is_bounded);
  g_test_add_func ("/work/ends-in-the-middle", test_ends_in_the_middle);
  return g_test_run ();
}
