#include "wire/proxy.h"

#include <glib.h>
#include <string.h>

static void
test_exceptions (void)
{
  static const struct
  {
    const char *no_proxy, *host;
    unsigned port;
    bool direct;
  } cases[] = {
      {NULL, "control.example", 443, false},
      {NULL, "127.0.0.1", 443, true},
      {NULL, "localhost", 443, true},
      {NULL, "::1", 443, true},
      {"*", "control.example", 443, true},
      {"other.example, control.example", "control.example", 443, true},
      {"example", "control.example", 443, true},
      {".example", "control.example", 443, true},
      {".control.example", "control.example", 443, false},
      {"ntrol.example", "control.example", 443, false},
      {"control.example:443", "control.example", 443, true},
      {"control.example:80", "control.example", 443, false},
      {"10.0.0.0/8", "10.77.0.2", 8080, true},
      {"10.77.0.2", "10.77.0.2", 8080, true},
      {"10.77.0.2:80", "10.77.0.2", 8080, false},
      {"192.168.0.0/16", "10.77.0.2", 8080, false},
      {"fd00::/8", "fd00::1", 443, true},
      {",, ,", "control.example", 443, false},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    ProxySettings settings = {.https_proxy = "http://proxy:3128", .no_proxy = cases[i].no_proxy};
    Proxy proxy;
    g_assert_cmpint (proxy_choose (&settings, true, cases[i].host, (uint16_t)cases[i].port, &proxy),
                     ==, cases[i].direct ? PROXY_DIRECT : PROXY_USE);
  }
}

static void
test_settings (void)
{
  static const struct
  {
    const char *setting, *host, *authorization;
    unsigned port;
    ProxyChoice choice;
    ProxyKind kind;
  } cases[] = {
      {"http://proxy.example:3128", "proxy.example", "", 3128, PROXY_USE, PROXY_HTTP},
      {"http://proxy.example", "proxy.example", "", 80, PROXY_USE, PROXY_HTTP},
      {"proxy.example:3128/", "proxy.example", "", 3128, PROXY_USE, PROXY_HTTP},
      {"http://[fd00::1]:3128", "fd00::1", "", 3128, PROXY_USE, PROXY_HTTP},
      {"http://user:password@proxy:1", "proxy", "Basic dXNlcjpwYXNzd29yZA==", 1, PROXY_USE,
       PROXY_HTTP},
      {"http://us%40er:p%3a%zz@proxy:1", "proxy", "Basic dXNAZXI6cDoleno=", 1, PROXY_USE,
       PROXY_HTTP},
      {"https://proxy:3128", "proxy", "", 3128, PROXY_USE, PROXY_HTTPS},
      {"HTTPS://user@proxy", "proxy", "Basic dXNlcjo=", 443, PROXY_USE, PROXY_HTTPS},
      {"socks5://proxy", "proxy", "", 1080, PROXY_USE, PROXY_SOCKS5},
      {"socks5h://proxy:9050", "proxy", "", 9050, PROXY_USE, PROXY_SOCKS5},
      {"socks5://[fd00::1]", "fd00::1", "", 1080, PROXY_USE, PROXY_SOCKS5},
      {"socks5://proxy:80", "proxy", "", 80, PROXY_USE, PROXY_SOCKS5},
      {"socks4://proxy", NULL, NULL, 0, PROXY_BAD, PROXY_HTTP},
      {"ftp://proxy", NULL, NULL, 0, PROXY_BAD, PROXY_HTTP},
      {"http://", NULL, NULL, 0, PROXY_BAD, PROXY_HTTP},
      {"http://user@", NULL, NULL, 0, PROXY_BAD, PROXY_HTTP},
      {"http://a%0d%0ab@proxy", NULL, NULL, 0, PROXY_BAD, PROXY_HTTP},
      {"http://a%00b@proxy", NULL, NULL, 0, PROXY_BAD, PROXY_HTTP},
      {"http://proxy:0", NULL, NULL, 0, PROXY_BAD, PROXY_HTTP},
      {"http://pro xy", NULL, NULL, 0, PROXY_BAD, PROXY_HTTP},
      {"", NULL, NULL, 0, PROXY_DIRECT, PROXY_HTTP},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    ProxySettings settings = {.https_proxy = cases[i].setting};
    char authorization[PROXY_AUTHORIZATION_MAX];
    Proxy proxy;
    g_assert_cmpint (proxy_choose (&settings, true, "control.example", 443, &proxy), ==,
                     cases[i].choice);
    g_assert_cmpint (proxy_choose (&settings, false, "control.example", 80, &proxy), ==,
                     PROXY_DIRECT);
    if (cases[i].choice != PROXY_USE)
      continue;
    proxy_choose (&settings, true, "control.example", 443, &proxy);
    g_assert_cmpint (proxy.kind, ==, cases[i].kind);
    g_assert_cmpstr (proxy.host, ==, cases[i].host);
    g_assert_cmpuint (proxy.port, ==, cases[i].port);
    proxy_authorization (&proxy, authorization);
    g_assert_cmpstr (authorization, ==, cases[i].authorization);
  }
}

static void
test_too_long (void)
{
  g_autofree char *name = g_strnfill (HTTP_HOST_MAX, 'h');
  g_autofree char *user = g_strnfill (PROXY_USER_MAX, 'u');
  g_autofree char *longest = g_strnfill (PROXY_USER_MAX - 1, 'u');
  g_autofree char *in_user = g_strdup_printf ("socks5://%s:x@proxy", user);
  g_autofree char *in_password = g_strdup_printf ("socks5://x:%s@proxy", user);
  g_autofree char *fits = g_strdup_printf ("http://%s:%s@proxy", longest, longest);
  char authorization[PROXY_AUTHORIZATION_MAX];
  Proxy proxy;

  g_assert_false (proxy_parse (name, &proxy));
  g_assert_false (proxy_parse (in_user, &proxy));
  g_assert_false (proxy_parse (in_password, &proxy));
  g_assert_true (proxy_parse (fits, &proxy));
  proxy_authorization (&proxy, authorization);
  g_assert_cmpuint (strlen (authorization), ==, 6 + (2 * 255 + 1 + 2) / 3 * 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wire/proxy/honours-exceptions-and-loopback", test_exceptions);
  g_test_add_func ("/wire/proxy/reads-the-proxys-address-and-password", test_settings);
  g_test_add_func ("/wire/proxy/bounds-names-and-passwords", test_too_long);
  return g_test_run ();
}
