/* Forms, queries, cookies and escapes of web browsers. */

#include "coordinator/web.h"

#include <glib.h>
#include <string.h>

static void
test_reads_forms (void)
{
  static const char text[] = "a=1&b=two+words&c=%C3%BC%26%3D&a=again&&d&=e&f=x%0d%0ay";
  WebForm form;

  g_assert_true (web_form_parse (text, strlen (text), &form));
  g_assert_cmpstr (web_form_get (&form, "a"), ==, "1");
  g_assert_cmpstr (web_form_get (&form, "b"), ==, "two words");
  g_assert_cmpstr (web_form_get (&form, "c"), ==, "ü&=");
  g_assert_cmpstr (web_form_get (&form, "d"), ==, "");
  g_assert_cmpstr (web_form_get (&form, ""), ==, "e");
  g_assert_cmpstr (web_form_get (&form, "f"), ==, "x\r\ny");
  g_assert_cmpstr (web_form_get (&form, "none"), ==, "");
  g_assert_cmpuint (form.n, ==, 7);
  web_form_clear (&form);
  g_assert_true (web_form_parse ("", 0, &form));
  g_assert_cmpuint (form.n, ==, 0);
  web_form_clear (&form);
}

static void
test_refuses_bad_forms (void)
{
  static const char *const bad[] = {
      "a=%",   "a=%4",  "a=%zz",    "a=%00",       "%01=a",          "a=\x7f",
      "a=%80", "a=%c3", "a=%c0%af", "a=%ed%a0%80", "a=%f5%80%80%80", "a=%e0%80%80",
  };
  g_autofree char *many = g_strnfill (2 * (WEB_FIELDS_MAX + 1), '&');
  g_autofree char *large = g_strnfill (WEB_FORM_MAX + 1, 'a');
  WebForm form;

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_assert_false (web_form_parse (bad[i], strlen (bad[i]), &form));
    g_assert_cmpuint (form.n, ==, 0);
    g_assert_cmpstr (web_form_get (&form, "a"), ==, "");
  }
  for (size_t i = 0; i <= WEB_FIELDS_MAX; i++)
    many[2 * i] = 'a';
  g_assert_false (web_form_parse (many, strlen (many), &form));
  g_assert_false (web_form_parse (large, strlen (large), &form));
  g_assert_true (web_form_parse (large, WEB_FORM_MAX, &form));
  web_form_clear (&form);
}

static void
test_takes_paths_apart (void)
{
  g_assert_cmpstr (web_query ("/a?b=c?d"), ==, "b=c?d");
  g_assert_cmpstr (web_query ("/a"), ==, "");
  g_assert_true (web_path_is ("/a?b", "/a"));
  g_assert_true (web_path_is ("/a", "/a"));
  g_assert_false (web_path_is ("/ab", "/a"));
  g_assert_false (web_path_is ("/", "/a"));
}

static void
test_finds_cookies (void)
{
  g_autofree char *large = g_strnfill (WEB_COOKIE_MAX + 1, 'a');
  char value[8];

  g_assert_true (web_cookie_get ("a=1; warren=xyz ; b=2", "warren", value, sizeof value));
  g_assert_cmpstr (value, ==, "xyz");
  g_assert_true (web_cookie_get ("warren=", "warren", value, sizeof value));
  g_assert_cmpstr (value, ==, "");
  g_assert_false (web_cookie_get ("xwarren=1; warrens=2", "warren", value, sizeof value));
  g_assert_false (web_cookie_get ("warren=12345678", "warren", value, sizeof value));
  g_assert_false (web_cookie_get ("warren", "warren", value, sizeof value));
  g_assert_false (web_cookie_get ("", "warren", value, sizeof value));
  memcpy (large, "warren=1;", 9);
  g_assert_false (web_cookie_get (large, "warren", value, sizeof value));
}

static void
test_escapes (void)
{
  Buffer out = {0};

  web_append_escaped (&out, "<b a='1' c=\"2\">&\x01\xff ü\xed\xa0\x80");
  buffer_append (&out, "", 1);
  g_assert_cmpstr ((char *)out.data, ==,
                   "&#60;b a=&#39;1&#39; c=&#34;2&#34;&#62;&#38;\xef\xbf\xbd\xef\xbf\xbd "
                   "ü\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  buffer_reset (&out);
  web_append_encoded (&out, "a b/c?d&e=ü~");
  buffer_append (&out, "", 1);
  g_assert_cmpstr ((char *)out.data, ==, "a%20b%2Fc%3Fd%26e%3D%C3%BC~");
  buffer_free (&out);
}

static void
test_writes_headers (void)
{
  WebResponse response = {0};

  web_redirect (&response, 303, "/a\r\nEvil: yes");
  web_set_cookie (&response, "warren", "abc", 60, true);
  buffer_append (&response.headers, "", 1);
  g_assert_cmpstr ((char *)response.headers.data, ==,
                   "Location: /\r\nSet-Cookie: warren=abc; Path=/; HttpOnly; SameSite=Lax; "
                   "Max-Age=60; Secure\r\n");
  web_response_clear (&response);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/web/reads-forms", test_reads_forms);
  g_test_add_func ("/web/refuses-bad-forms", test_refuses_bad_forms);
  g_test_add_func ("/web/takes-paths-apart", test_takes_paths_apart);
  g_test_add_func ("/web/finds-cookies", test_finds_cookies);
  g_test_add_func ("/web/escapes-for-html-and-queries", test_escapes);
  g_test_add_func ("/web/headers-cannot-be-broken-and-cookies-are-safe", test_writes_headers);
  return g_test_run ();
}
