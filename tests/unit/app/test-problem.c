/* Every code of the contract has words that say what to do (spec/desktop.md §8.4). */
#include "client/problem.h"

#include <string.h>

#define XML "data/org.warrenvpn.Daemon1.xml"

/* The codes as the contract lists them, in the comment of the property Problem. */
static char **
codes_of_the_contract (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("WARREN_SOURCE_DIR"), XML, NULL);
  g_autofree char *xml = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *list = NULL;
  g_autoptr (GString) words = NULL;
  char *begin;
  char *end;

  g_file_get_contents (path, &xml, NULL, &error);
  g_assert_no_error (error);
  begin = strstr (xml, "Codes: ");
  g_assert_nonnull (begin);
  begin += strlen ("Codes: ");
  end = strstr (begin, "-->");
  g_assert_nonnull (end);
  list = g_strndup (begin, end - begin);
  words = g_string_new (g_strstrip (list));
  g_string_replace (words, "\n", " ", 0);
  while (g_string_replace (words, "  ", " ", 0) > 0)
    ;
  return g_strsplit (words->str, " ", -1);
}

static void
test_each_code_has_a_row (void)
{
  g_auto (GStrv) codes = codes_of_the_contract ();

  g_assert_cmpuint (g_strv_length (codes), >=, 17);
  for (gsize i = 0; codes[i] != NULL; i++) {
    const WarrenProblemInfo *info = warren_problem_info (codes[i]);

    g_test_message ("%s", codes[i]);
    g_assert_nonnull (info);
    g_assert_cmpint (info->exit_code, >, WARREN_EXIT_USAGE);
  }
}

static void
test_each_row_is_in_the_contract (void)
{
  g_auto (GStrv) codes = codes_of_the_contract ();

  for (const WarrenProblemInfo *info = warren_problem_table (); info->code != NULL; info++)
    g_assert_true (g_strv_contains ((const char *const *)codes, info->code));
}

static void
test_sentences_are_whole (void)
{
  for (const WarrenProblemInfo *info = warren_problem_table (); info->code != NULL; info++) {
    g_autofree char *meaning = warren_problem_meaning (info->code, "vpn.example.org");
    g_autofree char *advice = warren_problem_advice (info->code, "vpn.example.org");

    g_test_message ("%s: %s %s", info->code, meaning, advice);
    g_assert_true (g_str_has_suffix (meaning, "."));
    g_assert_true (g_str_has_suffix (advice, "."));
    g_assert_null (strchr (meaning, '{'));
    g_assert_null (strchr (advice, '{'));
    g_assert_false (g_str_has_suffix (info->title, "."));
  }
}

static void
test_unknown_codes_have_words (void)
{
  g_autofree char *title = warren_problem_title ("moon-phase");
  g_autofree char *advice = warren_problem_advice ("moon-phase", NULL);

  g_assert_null (warren_problem_info ("moon-phase"));
  g_assert_cmpstr (title, !=, "");
  g_assert_true (g_str_has_suffix (advice, "."));
}

static void
test_nameless_server_is_still_a_sentence (void)
{
  g_autofree char *meaning = warren_problem_meaning ("server-unreachable", NULL);

  g_assert_cmpstr (meaning, ==, "The server does not answer.");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/problem/each-code-of-the-contract-has-a-row", test_each_code_has_a_row);
  g_test_add_func ("/problem/each-row-is-in-the-contract", test_each_row_is_in_the_contract);
  g_test_add_func ("/problem/sentences-are-whole", test_sentences_are_whole);
  g_test_add_func ("/problem/a-newer-code-has-words", test_unknown_codes_have_words);
  g_test_add_func ("/problem/a-nameless-server-is-still-a-sentence",
                   test_nameless_server_is_still_a_sentence);
  return g_test_run ();
}
