#include "host/config.h"

#include <glib.h>
#include <string.h>

static IpPrefix
prefix (const char *text)
{
  IpPrefix p;

  g_assert_true (ip_prefix_parse (text, strlen (text), &p));
  return p;
}

static void
add_route (HostConfigBuilder *b, const char *text, HostRouteType type)
{
  IpPrefix p = prefix (text);

  host_config_builder_add_route (b, &p, type);
}

static void
test_throw_wins (void)
{
  HostConfigBuilder *b = host_config_builder_new ();

  add_route (b, "192.168.1.0/24", HOST_ROUTE_TUNNEL);
  add_route (b, "0.0.0.0/0", HOST_ROUTE_TUNNEL);
  add_route (b, "192.168.1.0/24", HOST_ROUTE_THROW);
  add_route (b, "::/0", HOST_ROUTE_TUNNEL);
  add_route (b, "::/0", HOST_ROUTE_UNREACHABLE);
  HostConfig *config = host_config_build (b);
  g_assert_cmpuint (config->n_routes, ==, 3);
  IpPrefix lan = prefix ("192.168.1.0/24"), all6 = prefix ("::/0");
  for (size_t i = 0; i < config->n_routes; i++) {
    if (ip_prefix_equal (&config->routes[i].prefix, &lan))
      g_assert_cmpint (config->routes[i].type, ==, HOST_ROUTE_THROW);
    if (ip_prefix_equal (&config->routes[i].prefix, &all6))
      g_assert_cmpint (config->routes[i].type, ==, HOST_ROUTE_UNREACHABLE);
  }
  host_config_unref (config);
}

static HostConfig *
sample (bool reversed, bool kill_switch)
{
  static const char *const routes[] = {"100.64.0.2/32", "100.64.0.3/32", "fd7a:115c:a1e0::/48"};
  HostConfigBuilder *b = host_config_builder_new ();

  for (int i = 0; i < 3; i++)
    add_route (b, routes[reversed ? 2 - i : i], HOST_ROUTE_TUNNEL);
  IpAddr self = prefix ("100.64.0.1").addr;
  host_config_builder_add_address (b, &self);
  host_config_builder_set_kill_switch (b, kill_switch);
  return host_config_build (b);
}

static void
test_equality (void)
{
  HostConfig *a = sample (false, false), *b = sample (true, false), *c = sample (false, true);

  g_assert_true (host_config_equal (a, b));
  g_assert_false (host_config_equal (a, c));
  host_config_unref (a);
  host_config_unref (b);
  host_config_unref (c);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/host/config/throw-beats-unreachable-beats-tunnel", test_throw_wins);
  g_test_add_func ("/host/config/order-of-building-does-not-matter", test_equality);
  return g_test_run ();
}
