#include "wire/proxy.h"

#include <glib.h>

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
  } cases[] = {
      {"http://proxy.example:3128", "proxy.example", "", 3128, PROXY_USE},
      {"http://proxy.example", "proxy.example", "", 80, PROXY_USE},
      {"proxy.example:3128/", "proxy.example", "", 3128, PROXY_USE},
      {"http://[fd00::1]:3128", "fd00::1", "", 3128, PROXY_USE},
      {"http://user:password@proxy:1", "proxy", "Basic dXNlcjpwYXNzd29yZA==", 1, PROXY_USE},
      {"http://us%40er:p%3a%zz@proxy:1", "proxy", "Basic dXNAZXI6cDoleno=", 1, PROXY_USE},
      {"https://proxy:3128", NULL, NULL, 0, PROXY_BAD},
      {"socks5://proxy:1080", NULL, NULL, 0, PROXY_BAD},
      {"http://", NULL, NULL, 0, PROXY_BAD},
      {"", NULL, NULL, 0, PROXY_DIRECT},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    ProxySettings settings = {.https_proxy = cases[i].setting};
    Proxy proxy;
    g_assert_cmpint (proxy_choose (&settings, true, "control.example", 443, &proxy), ==,
                     cases[i].choice);
    g_assert_cmpint (proxy_choose (&settings, false, "control.example", 80, &proxy), ==,
                     PROXY_DIRECT);
    if (cases[i].choice != PROXY_USE)
      continue;
    proxy_choose (&settings, true, "control.example", 443, &proxy);
    g_assert_cmpstr (proxy.host, ==, cases[i].host);
    g_assert_cmpuint (proxy.port, ==, cases[i].port);
    g_assert_cmpstr (proxy.authorization, ==, cases[i].authorization);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wire/proxy/honours-exceptions-and-loopback", test_exceptions);
  g_test_add_func ("/wire/proxy/reads-the-proxys-address-and-password", test_settings);
  return g_test_run ();
}
