#include "control/url.h"

#include <glib.h>

static void
test_parses (void)
{
  static const struct
  {
    const char *text;
    bool https;
    const char *host, *authority, *path;
    unsigned port;
  } cases[] = {
      {"https://control.example.net", true, "control.example.net", "control.example.net", "", 443},
      {"HTTPS://Control.Example.net/", true, "Control.Example.net", "Control.Example.net", "", 443},
      {"https://host:443///", true, "host", "host", "", 443},
      {"http://host:8080/a/b/", false, "host", "host:8080", "/a/b", 8080},
      {"http://[fd7a::1]:8080", false, "fd7a::1", "[fd7a::1]:8080", "", 8080},
      {"https://[::1]", true, "::1", "[::1]", "", 443},
      {"https://login.tailscale.com", true, "controlplane.tailscale.com",
       "controlplane.tailscale.com", "", 443},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    ControlUrl url;
    g_assert_true (control_url_parse (cases[i].text, &url));
    g_assert_cmpint (url.http.https, ==, cases[i].https);
    g_assert_cmpstr (url.http.host, ==, cases[i].host);
    g_assert_cmpstr (url.http.authority, ==, cases[i].authority);
    g_assert_cmpstr (url.path, ==, cases[i].path);
    g_assert_cmpuint (url.http.port, ==, cases[i].port);
  }
}

static void
test_refuses (void)
{
  static const char *bad[] = {
      "",
      "control.example.net",
      "ftp://host",
      "https://",
      "https://:80",
      "https://host:0",
      "https://host:65536",
      "https://host:12x",
      "https://user@host",
      "https://user:password@host",
      "https://[::1",
      "https://[1.2.3.4]",
      "https://ho st",
      "https://host/\"",
      "https://host\r\nX: y",
      "https://host?query",
      "javascript:alert(1)",
  };
  ControlUrl url;

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    if (control_url_parse (bad[i], &url))
      g_error ("accepted: %s", bad[i]);
}

/* control-protocol.md §4.1, without the official quirk for https://host:P. */
static void
test_ports (void)
{
  static const struct
  {
    const char *url;
    unsigned plain, tls;
  } cases[] = {
      {"https://host.example", 80, 443},      {"https://host.example:8443", 0, 8443},
      {"http://host.example", 80, 443},       {"http://host.example:8080", 8080, 443},
      {"http://203.0.113.1:8080", 8080, 443}, {"http://10.77.0.2:8080", 8080, 0},
      {"http://172.31.0.1", 80, 0},           {"http://192.168.1.1", 80, 0},
      {"http://127.0.0.1:3000", 3000, 0},     {"http://localhost:3000", 3000, 0},
      {"http://[fd00::1]:3000", 3000, 0},     {"http://[::1]", 80, 0},
      {"http://[2001:db8::1]:80", 80, 443},   {"http://172.32.0.1", 80, 443},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    ControlUrl url;
    g_assert_true (control_url_parse (cases[i].url, &url));
    ControlPorts ports = control_url_ports (&url);
    g_assert_cmpuint (ports.plain, ==, cases[i].plain);
    g_assert_cmpuint (ports.tls, ==, cases[i].tls);
  }
}

static void
test_may_open (void)
{
  static const struct
  {
    const char *control, *page;
    bool may;
  } cases[] = {
      {"https://hs.example", "https://hs.example/register/x", true},
      {"https://hs.example", "https://sso.other.example/x?y=z", true},
      {"https://hs.example", "http://hs.example/register/x", false},
      {"http://10.0.0.1:8080", "http://10.0.0.1:8080/register/x", true},
      {"http://10.0.0.1:8080", "https://sso.example/", true},
      {"https://hs.example", "javascript:alert(1)", false},
      {"https://hs.example", "file:///etc/passwd", false},
      {"https://hs.example", "https://user@hs.example/", false},
      {"https://hs.example", "https://hs.example/$(reboot)\n", false},
      {"https://controlplane.tailscale.com", "https://login.tailscale.com/a/123", true},
      {"https://controlplane.tailscale.com", "https://tailscale.com/x", true},
      {"https://controlplane.tailscale.com", "https://tailscale.com.evil.example/x", false},
      {"https://controlplane.tailscale.com", "https://nottailscale.com/x", false},
      {"https://controlplane.tailscale.com", "http://login.tailscale.com/a/123", false},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    ControlUrl control;
    g_assert_true (control_url_parse (cases[i].control, &control));
    g_assert_cmpint (control_url_may_open (&control, cases[i].page), ==, cases[i].may);
  }
}

static void
test_targets (void)
{
  HttpUrl url;

  g_assert_true (http_url_parse ("http://h:8080/machine/ping-response?id=1#frag", &url));
  g_assert_cmpstr (url.target, ==, "/machine/ping-response?id=1");
  g_assert_true (http_url_parse ("http://h?x", &url));
  g_assert_cmpstr (url.target, ==, "/?x");
  g_autofree char *long_path = g_strnfill (HTTP_TARGET_MAX, 'p');
  g_autofree char *text = g_strconcat ("http://h/", long_path, NULL);
  g_assert_false (http_url_parse (text, &url));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/control/url/splits-and-normalises", test_parses);
  g_test_add_func ("/control/url/refuses-what-is-not-a-server", test_refuses);
  g_test_add_func ("/control/url/port-matrix", test_ports);
  g_test_add_func ("/control/url/opens-only-pages-that-may-be-opened", test_may_open);
  g_test_add_func ("/control/url/keeps-path-and-query", test_targets);
  return g_test_run ();
}
