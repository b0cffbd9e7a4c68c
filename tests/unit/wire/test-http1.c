#include "wire/http1.h"

#include <glib.h>
#include <string.h>

static void
assert_text (Http1Text text, const char *expected)
{
  g_assert_nonnull (text.text);
  g_assert_cmpmem (text.text, text.length, expected, strlen (expected));
}

static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                "Connection: upgrade\r\n"
                                "Referrer-Policy:no-referrer \r\n"
                                "uPGRADE: tailscale-control-protocol\r\n"
                                "\r\n\x02\x00\x30";

static void
check_switching (const Http1Head *head)
{
  g_assert_cmpint (head->status, ==, 101);
  g_assert_cmpint (head->minor, ==, 1);
  assert_text (head->reason, "Switching Protocols");
  assert_text (http1_field (head, "Upgrade"), "tailscale-control-protocol");
  assert_text (http1_field (head, "referrer-policy"), "no-referrer");
  g_assert_null (http1_field (head, "Content-Length").text);
  g_assert_cmpuint (head->body_offset, ==, sizeof switching - 1 - 3);
}

static void
test_over_read (void)
{
  Http1Head head;

  http1_head_init (&head, false);
  g_assert_cmpint (http1_head_parse (&head, switching, sizeof switching - 1), ==, HTTP1_DONE);
  check_switching (&head);
}

static void
test_byte_by_byte (void)
{
  Http1Head head;

  http1_head_init (&head, false);
  for (size_t n = 1; n < sizeof switching - 1 - 3; n++)
    g_assert_cmpint (http1_head_parse (&head, switching, n), ==, HTTP1_MORE);
  g_assert_cmpint (http1_head_parse (&head, switching, sizeof switching - 1 - 3), ==, HTTP1_DONE);
  check_switching (&head);
}

static void
test_request (void)
{
  static const char text[] = "POST /ts2021 HTTP/1.1\nHost: control.example.net\n"
                             "Connection: keep-alive, Upgrade\n\nrest";
  Http1Head head;

  http1_head_init (&head, true);
  g_assert_cmpint (http1_head_parse (&head, text, sizeof text - 1), ==, HTTP1_DONE);
  assert_text (head.method, "POST");
  assert_text (head.target, "/ts2021");
  g_assert_true (http1_field_has (&head, "connection", "upgrade"));
  g_assert_true (http1_field_has (&head, "connection", "KEEP-ALIVE"));
  g_assert_false (http1_field_has (&head, "connection", "close"));
  g_assert_cmpstr (text + head.body_offset, ==, "rest");
}

static void
test_refuses (void)
{
  static const char *bad[] = {
      "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n",
      "HTTP/1.1\r\n\r\n",
      "\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
      "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
      "HTTP/1.1 200 OK\r\nbad name: b\r\n\r\n",
  };
  Http1Head head;

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    http1_head_init (&head, false);
    g_assert_cmpint (http1_head_parse (&head, bad[i], strlen (bad[i])), ==, HTTP1_BAD);
  }
  http1_head_init (&head, true);
  g_assert_cmpint (http1_head_parse (&head, "GET  HTTP/1.1\r\n\r\n", 17), ==, HTTP1_BAD);
}

static void
test_limits (void)
{
  g_autoptr (GString) text = g_string_new ("HTTP/1.1 200 OK\r\n");
  Http1Head head;

  for (int i = 0; i < HTTP1_FIELDS_MAX; i++)
    g_string_append_printf (text, "a%d: b\r\n", i);
  g_string_append (text, "\r\n");
  http1_head_init (&head, false);
  g_assert_cmpint (http1_head_parse (&head, text->str, text->len), ==, HTTP1_DONE);
  g_string_insert (text, 17, "one: more\r\n");
  http1_head_init (&head, false);
  g_assert_cmpint (http1_head_parse (&head, text->str, text->len), ==, HTTP1_BAD);

  g_string_truncate (text, 17);
  while (text->len < HTTP1_HEAD_MAX)
    g_string_append (text, "x");
  http1_head_init (&head, false);
  g_assert_cmpint (http1_head_parse (&head, text->str, HTTP1_HEAD_MAX - 1), ==, HTTP1_MORE);
  g_assert_cmpint (http1_head_parse (&head, text->str, HTTP1_HEAD_MAX), ==, HTTP1_BAD);
}

/* Decodes BODY behind a head with FIELDS, fed in steps of STEP bytes. */
static Http1Result
decode (const char *fields, const char *body, size_t step, size_t limit, Buffer *out, Buffer *in)
{
  g_autofree char *text = g_strdup_printf ("HTTP/1.1 200 OK\r\n%s\r\n", fields);
  Http1Head head;
  Http1Body reader;
  Http1Result result = HTTP1_MORE;

  http1_head_init (&head, false);
  g_assert_cmpint (http1_head_parse (&head, text, strlen (text)), ==, HTTP1_DONE);
  if (!http1_body_init (&reader, &head, false, limit))
    return HTTP1_BAD;
  for (size_t i = 0; i < strlen (body) && result == HTTP1_MORE; i += step) {
    buffer_append (in, body + i, MIN (step, strlen (body) - i));
    result = http1_body_feed (&reader, in, out);
  }
  return result;
}

static void
test_bodies (void)
{
  static const struct
  {
    const char *fields, *body, *decoded, *left;
    Http1Result result;
  } cases[] = {
      {"Content-Length: 4\r\n", "pingNEXT", "ping", "NEXT", HTTP1_DONE},
      {"Content-Length: 0\r\n", "N", "", "N", HTTP1_DONE},
      {"Content-Length: 9\r\n", "ping", "ping", "", HTTP1_MORE},
      {"", "until the end", "until the end", "", HTTP1_MORE},
      {"Transfer-Encoding: chunked\r\n", "4\r\nping\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nN",
       "ping0123456789", "N", HTTP1_DONE},
      {"Transfer-Encoding: chunked\r\n", "0\r\nTrailer: x\r\n\r\n", "", "", HTTP1_DONE},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    for (size_t step = 1; step < 40; step += 19) {
      Buffer in = {0}, out = {0};
      g_assert_cmpint (decode (cases[i].fields, cases[i].body, step, 100, &out, &in), ==,
                       cases[i].result);
      g_assert_cmpmem (out.data, out.size, cases[i].decoded, strlen (cases[i].decoded));
      if (step > 20)
        g_assert_cmpmem (in.data, in.size, cases[i].left, strlen (cases[i].left));
      buffer_free (&in);
      buffer_free (&out);
    }
}

static void
test_bad_bodies (void)
{
  static const struct
  {
    const char *fields, *body;
  } cases[] = {
      {"Content-Length: -1\r\n", "x"},
      {"Content-Length: 99999999999999999999\r\n", "x"},
      {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "x"},
      {"Content-Length: 11\r\n", "0123456789x"},
      {"", "0123456789x"},
      {"Transfer-Encoding: chunked\r\n", "b\r\n0123456789x"},
      {"Transfer-Encoding: chunked\r\n", "\r\n"},
      {"Transfer-Encoding: chunked\r\n", "g\r\n"},
      {"Transfer-Encoding: chunked\r\n", "123456789\r\n"},
      {"Transfer-Encoding: chunked\r\n", "1\r\nxy"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    Buffer in = {0}, out = {0};
    g_assert_cmpint (decode (cases[i].fields, cases[i].body, 100, 10, &out, &in), ==, HTTP1_BAD);
    buffer_free (&in);
    buffer_free (&out);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wire/http1/keeps-bytes-behind-the-head", test_over_read);
  g_test_add_func ("/wire/http1/parses-a-head-that-comes-byte-by-byte", test_byte_by_byte);
  g_test_add_func ("/wire/http1/parses-a-request-with-bare-line-feeds", test_request);
  g_test_add_func ("/wire/http1/refuses-what-is-not-http", test_refuses);
  g_test_add_func ("/wire/http1/bounds-fields-and-bytes-of-a-head", test_limits);
  g_test_add_func ("/wire/http1/decodes-bodies-of-every-kind", test_bodies);
  g_test_add_func ("/wire/http1/refuses-bodies-that-lie-or-are-too-long", test_bad_bodies);
  return g_test_run ();
}
