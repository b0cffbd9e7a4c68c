#include "wire/json-reader.h"
#include "wire/json-writer.h"

#include "base/random.h"

#include <glib.h>
#include <math.h>
#include <string.h>

static JsonReader
reader (const char *text)
{
  JsonReader r;

  json_reader_init (&r, text, strlen (text));
  return r;
}

static void
assert_string (const char *json, const char *expected)
{
  JsonReader r = reader (json);
  JsonString s = json_reader_string (&r);
  g_autofree char *text = g_strndup (s.text, s.length);

  if (expected) {
    g_assert_cmpstr (text, ==, expected);
    g_assert_true (json_reader_end (&r));
  } else {
    g_assert_false (json_reader_ok (&r));
  }
  json_reader_clear (&r);
}

static void
test_strings (void)
{
  assert_string ("\"plain\"", "plain");
  assert_string (" \"a\\n\\t\\\"\\\\\\/\\u00e9\" ", "a\n\t\"\\/é");
  assert_string ("\"\\ud83d\\ude00\"", "😀");
  assert_string ("\"\\ud83d!\"", "\xef\xbf\xbd!");
  assert_string ("\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                                       "A");
  assert_string ("\"a\\u0000b\"", "a\xef\xbf\xbd"
                                  "b");
  assert_string ("\"\xff\xc3\xa9\xc3\"", "\xef\xbf\xbdé\xef\xbf\xbd");
  assert_string ("\"\xed\xa0\x80\"", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  assert_string ("null", "");
  assert_string ("\"open", NULL);
  assert_string ("\"\\x\"", NULL);
  assert_string ("\"\\u12\"", NULL);
  assert_string ("\"a\nb\"", NULL);
  assert_string ("1", NULL);
}

static void
assert_i64 (const char *json, bool good, int64_t expected)
{
  JsonReader r = reader (json);
  int64_t value = json_reader_i64 (&r);

  g_assert_cmpint (json_reader_end (&r), ==, good);
  if (good)
    g_assert_cmpint (value, ==, expected);
}

static void
test_integers (void)
{
  assert_i64 ("0", true, 0);
  assert_i64 ("-7", true, -7);
  assert_i64 ("9007199254740993", true, INT64_C (9007199254740993));
  assert_i64 ("9223372036854775807", true, INT64_MAX);
  assert_i64 ("-9223372036854775808", true, INT64_MIN);
  assert_i64 ("9223372036854775808", false, 0);
  assert_i64 ("null", true, 0);
  assert_i64 ("1.0", false, 0);
  assert_i64 ("1e3", false, 0);
  assert_i64 ("01", false, 0);
  assert_i64 ("-", false, 0);
  assert_i64 ("\"1\"", false, 0);
}

static void
test_doubles (void)
{
  static const struct
  {
    const char *json;
    double value;
  } rows[] = {{"0", 0},
              {"0.5", 0.5},
              {"-1.25e2", -125},
              {"0.000504177", 0.000504177},
              {"1E-3", 0.001},
              {"50.1109", 50.1109},
              {"123456789012345678901234567890", 1.2345678901234568e29},
              {"1e99999", HUGE_VAL},
              {"1e-99999", 0}};

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    JsonReader r = reader (rows[i].json);
    double value = json_reader_double (&r);
    g_assert_true (json_reader_end (&r));
    g_assert_true (value == rows[i].value);
  }
}

static void
test_walk (void)
{
  JsonReader r = reader ("{\"a\":[1,2,3],\"b\":null,\"c\":{\"d\":true},\"e\":[],\"f\":\"x\"}");
  JsonString name;
  int64_t sum = 0;
  int members = 0;

  for (json_reader_enter_object (&r); json_reader_next_member (&r, &name); members++) {
    if (json_string_equal (name, "a"))
      for (json_reader_enter_array (&r); json_reader_next_element (&r);)
        sum += json_reader_i64 (&r);
    else if (json_string_equal (name, "b"))
      for (json_reader_enter_object (&r); json_reader_next_member (&r, &name);)
        g_assert_not_reached ();
    else
      json_reader_skip (&r);
  }
  g_assert_true (json_reader_end (&r));
  g_assert_cmpint (sum, ==, 6);
  g_assert_cmpint (members, ==, 5);
}

static void
test_refuses (void)
{
  static const char *const bad[] = {"",
                                    "{",
                                    "[1,]",
                                    "[1 2]",
                                    "{\"a\"}",
                                    "{\"a\":}",
                                    "{a:1}",
                                    "[1}",
                                    "{\"a\":1,}",
                                    "tru",
                                    "[1]]",
                                    "nul",
                                    "[,1]",
                                    "{\"a\":1 \"b\":2}",
                                    "1 2",
                                    "\"\\u00g0\"",
                                    "--1",
                                    "1.",
                                    ".5",
                                    "1e",
                                    "[[[[[[[]]]]]]",
                                    "\x01",
                                    "{1:2}",
                                    "+1",
                                    "[\"\\ud800\\uzzzz\"]"};

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    JsonReader r = reader (bad[i]);
    json_reader_skip (&r);
    g_test_message ("%s", bad[i]);
    g_assert_false (json_reader_end (&r));
    g_assert_nonnull (r.error);
    json_reader_clear (&r);
  }
}

static void
test_depth (void)
{
  for (unsigned depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
    g_autoptr (GString) text = g_string_new (NULL);
    for (unsigned i = 0; i < depth; i++)
      g_string_append_c (text, '[');
    for (unsigned i = 0; i < depth; i++)
      g_string_append_c (text, ']');
    JsonReader r = reader (text->str);
    json_reader_skip (&r);
    g_assert_cmpint (json_reader_end (&r), ==, depth <= JSON_DEPTH_MAX);
  }
}

static char *
copy (const char *json)
{
  JsonReader r = reader (json);
  JsonWriter w;

  json_writer_init (&w);
  json_writer_copy (&w, &r);
  g_assert_true (json_reader_end (&r));
  json_reader_clear (&r);
  return json_writer_take (&w, NULL);
}

static void
test_writes (void)
{
  JsonWriter w;
  static const uint8_t bytes[] = {1, 2, 3, 4};
  IpPrefix prefix;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  json_writer_name (&w, "a\"b");
  json_writer_begin_array (&w);
  json_writer_i64 (&w, INT64_MIN);
  json_writer_bool (&w, false);
  json_writer_null (&w);
  json_writer_double (&w, 0.1);
  json_writer_double (&w, HUGE_VAL);
  json_writer_begin_object (&w);
  json_writer_end_object (&w);
  json_writer_end_array (&w);
  json_writer_name_i64 (&w, 12);
  json_writer_string (&w, "x\n\x01\xff"
                          "é");
  json_writer_name (&w, "k");
  json_writer_base64 (&w, bytes, sizeof bytes);
  json_writer_opt_string (&w, "no", "");
  json_writer_opt_i64 (&w, "no", 0);
  json_writer_name (&w, "p");
  g_assert_true (ip_prefix_parse ("100.64.0.0/10", 13, &prefix));
  json_writer_prefix (&w, &prefix);
  json_writer_end_object (&w);
  g_autofree char *text = json_writer_take (&w, NULL);
  g_assert_cmpstr (text, ==,
                   "{\"a\\\"b\":[-9223372036854775808,false,null,0.1,null,{}],\"12\":\"x\\n\\u0001"
                   "\xef\xbf\xbdé\",\"k\":\"AQIDBA==\",\"p\":\"100.64.0.0/10\"}");
}

static void
test_copies (void)
{
  g_autofree char *text
      = copy (" { \"a\" : [ 1.50 , -0e1 , \"\\u0041\" ] , \"b\":{ } , \"c\":null } ");

  g_assert_cmpstr (text, ==, "{\"a\":[1.50,-0e1,\"A\"],\"b\":{},\"c\":null}");
}

/* ---- the stream ---- */

static const char sample[] = " {\"skip\":{\"x\":[1,\"]}\\\"\"]} , "
                             "\"n\":-12.5,\"Peers\":[{\"ID\":1},{\"ID\":2,\"s\":\"a\\\\\"}, "
                             "null ],\"\\u0044eep\":{\"a\":[true],\"b\":\"t\"},\"end\":false}\n";

/* What a consumer sees of TEXT, as one text, when it is fed in pieces of SIZE bytes (0: at once),
 * or of random size. */
static char *
trace (const char *text, size_t length, size_t size, Random *random)
{
  JsonStream *s = json_stream_new ();
  GString *out = g_string_new (NULL);
  JsonStreamEvent event = JSON_STREAM_MORE;

  for (size_t fed = 0; fed < length && event != JSON_STREAM_ERROR;) {
    size_t n = random ? 1 + random_below (random, 9) : size ? size : length;
    n = MIN (n, length - fed);
    /* A copy of the exact size, so that a sanitizer sees reads behind it. */
    g_autofree char *piece = g_memdup2 (text + fed, n);
    json_stream_feed (s, piece, n);
    fed += n;
    while ((event = json_stream_next (s)) < JSON_STREAM_DONE && event != JSON_STREAM_MORE) {
      JsonString name = json_stream_name (s), value = json_stream_value (s);
      if (event == JSON_STREAM_BEGIN) {
        g_string_append_printf (out, "%u%.*s:", json_stream_depth (s), (int)name.length, name.text);
        if (json_stream_depth (s) == 0 || json_string_equal (name, "Peers")
            || json_string_equal (name, "Deep"))
          json_stream_descend (s);
        else if (json_string_equal (name, "skip"))
          json_stream_discard (s);
      } else if (event == JSON_STREAM_VALUE) {
        g_string_append_printf (out, "<%.*s>", (int)value.length, value.text);
      } else {
        g_string_append (out, "L");
      }
    }
  }
  g_string_append (out, event == JSON_STREAM_DONE    ? "DONE"
                        : event == JSON_STREAM_ERROR ? "ERROR"
                                                     : "CUT");
  json_stream_free (s);
  return g_string_free (out, FALSE);
}

static void
test_stream (void)
{
  static const char expected[]
      = "0:1skip:1n:<-12.5>1Peers:2:<{\"ID\":1}>2:<{\"ID\":2,\"s\":\"a\\\\\"}>2:<null>"
        "L1Deep:2a:<[true]>2b:<\"t\">L1end:<false>LDONE";
  SeededRandom random;

  for (size_t size = 0; size < 20; size++) {
    g_autofree char *text = trace (sample, sizeof sample - 2, size, NULL);
    g_assert_cmpstr (text, ==, expected);
  }
  seeded_random_init (&random, 7);
  for (int i = 0; i < 200; i++) {
    g_autofree char *text = trace (sample, sizeof sample - 2, 0, &random.base);
    g_assert_cmpstr (text, ==, expected);
  }
}

static void
test_stream_cut (void)
{
  for (size_t length = 1; length < sizeof sample - 2; length++) {
    g_autofree char *text = trace (sample, length, 3, NULL);
    g_assert_true (g_str_has_suffix (text, "CUT"));
  }
}

static void
test_stream_refuses (void)
{
  static const char *const bad[]
      = {"1",    "{\"Peers\":[1 2]}", "{\"a\" 1}", "{a:1}", "[}", "{\"a\":1]",
         "{} x", "{\"\\x\":1}",       "{\"a\":!}"};

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *text = trace (bad[i], strlen (bad[i]), 1, NULL);
    g_test_message ("%s -> %s", bad[i], text);
    g_assert_true (g_str_has_suffix (text, "ERROR"));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json/strings-come-out-as-utf8-without-nul", test_strings);
  g_test_add_func ("/json/integers-are-exact", test_integers);
  g_test_add_func ("/json/numbers-ignore-the-locale", test_doubles);
  g_test_add_func ("/json/walks-nested-values", test_walk);
  g_test_add_func ("/json/refuses-what-is-not-json", test_refuses);
  g_test_add_func ("/json/limits-depth", test_depth);
  g_test_add_func ("/json/writes-escapes-and-commas", test_writes);
  g_test_add_func ("/json/copies-without-white-space", test_copies);
  g_test_add_func ("/json-stream/sees-the-same-in-any-pieces", test_stream);
  g_test_add_func ("/json-stream/waits-for-the-rest", test_stream_cut);
  g_test_add_func ("/json-stream/refuses-what-is-not-json", test_stream_refuses);
  return g_test_run ();
}
