/* The text form of small state files. */
#include "session/record.h"

#include <glib.h>
#include <string.h>

static RecordResult
read_all (const char *text, GString *seen)
{
  RecordReader r;
  record_reader_init (&r, text, strlen (text), 1);
  RecordResult result;
  while ((result = record_reader_next (&r)) == RECORD_FIELD)
    if (seen)
      g_string_append_printf (seen, "%s=%s;", r.name, r.value);
  return result;
}

static void
test_round_trip (void)
{
  uint8_t buffer[512];
  ByteWriter w = byte_writer (buffer, sizeof buffer - 1);
  record_begin (&w, 1);
  record_field (&w, "name", "Büro 100%\nzweite Zeile\x7f");
  record_field (&w, "empty", "");
  record_field_i64 (&w, "number", INT64_MIN);
  record_end (&w);
  g_assert_false (w.failed);
  buffer[w.pos] = 0;
  g_autoptr (GString) seen = g_string_new (NULL);
  g_assert_cmpint (read_all ((char *)buffer, seen), ==, RECORD_END);
  g_assert_cmpstr (seen->str, ==,
                   "name=Büro 100%\nzweite Zeile\x7f;empty=;number=-9223372036854775808;");
}

static void
test_cut_anywhere (void)
{
  const char *whole = "format 1\nname value\nother x%0ay\nend\n";
  for (size_t length = 0; length < strlen (whole); length++) {
    g_autofree char *cut = g_strndup (whole, length);
    g_assert_cmpint (read_all (cut, NULL), ==, RECORD_DAMAGED);
  }
  g_assert_cmpint (read_all (whole, NULL), ==, RECORD_END);
}

static void
test_unknown_format (void)
{
  g_assert_cmpint (read_all ("format 2\nwhatever\nend\n", NULL), ==, RECORD_UNKNOWN_FORMAT);
}

static void
test_refuses_nonsense (void)
{
  static const char *const bad[] = {
      "",
      "name x\nend\n",
      "format\nend\n",
      "format x\nend\n",
      "format 1\nend\nmore x\n",
      "format 1\nName x\nend\n",
      "format 1\n x\nend\n",
      "format 1\nname %4\nend\n",
      "format 1\nname %zz\nend\n",
      "format 1\nname %00\nend\n",
      "format 1\nname a\tb\nend\n",
      "format 1\nabcdefghijklmnopqrstuvwxyzabcdefgh x\nend\n",
  };
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_cmpint (read_all (bad[i], NULL), ==, RECORD_DAMAGED);
}

static void
test_long_value (void)
{
  g_autofree char *value = g_strnfill (RECORD_VALUE_MAX, 'x');
  static uint8_t buffer[2 * RECORD_VALUE_MAX];
  ByteWriter w = byte_writer (buffer, sizeof buffer);
  record_field (&w, "name", value);
  g_assert_true (w.failed);
  g_autofree char *file = g_strdup_printf ("format 1\nname %s\nend\n", value);
  g_assert_cmpint (read_all (file, NULL), ==, RECORD_DAMAGED);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/record/any-text-round-trips", test_round_trip);
  g_test_add_func ("/session/record/a-file-cut-anywhere-is-damaged", test_cut_anywhere);
  g_test_add_func ("/session/record/another-format-is-named-as-such", test_unknown_format);
  g_test_add_func ("/session/record/refuses-nonsense", test_refuses_nonsense);
  g_test_add_func ("/session/record/values-have-a-limit", test_long_value);
  return g_test_run ();
}
