/* Warnings in time, and the name server that an exit node cuts off. */
#include "session/health.h"

#include "base/clock.h"
#include "session/local-dns.h"

#include <string.h>

static void
test_delay (void)
{
  Health h = {0};
  int64_t t = 50 * USEC_PER_SEC;
  g_assert_true (health_set (&h, HEALTH_NO_RELAY_HOME, true, NULL, t, 7));
  g_assert_false (health_set (&h, HEALTH_NO_RELAY_HOME, true, NULL, t + 1, 8));
  g_assert_false (health_is_visible (&h, HEALTH_NO_RELAY_HOME, t + 9 * USEC_PER_SEC));
  g_assert_cmpint (health_next_deadline (&h, t), ==, t + 10 * USEC_PER_SEC);
  g_assert_true (health_is_visible (&h, HEALTH_NO_RELAY_HOME, t + 10 * USEC_PER_SEC));
  g_assert_cmpint (h.items[HEALTH_NO_RELAY_HOME].since_s, ==, 7);
  g_assert_true (health_set (&h, HEALTH_NO_RELAY_HOME, false, NULL, t, 9));
  g_assert_cmpint (health_next_deadline (&h, t), ==, TIME_NEVER);
  health_clear (&h);
}

static void
test_hidden (void)
{
  Health h = {0};
  health_set (&h, HEALTH_NO_RELAY_HOME, true, NULL, 1, 1);
  health_set (&h, HEALTH_NETWORK_DOWN, true, NULL, 1, 1);
  int64_t later = 60 * USEC_PER_SEC;
  g_assert_false (health_is_visible (&h, HEALTH_NO_RELAY_HOME, later));
  g_assert_true (health_is_visible (&h, HEALTH_NETWORK_DOWN, later));
  health_clear (&h);
}

static void
test_texts (void)
{
  for (int code = 0; code < HEALTH_N_CODES; code++) {
    Health h = {0};
    const HealthInfo *info = health_info ((HealthCode)code);
    g_assert_nonnull (info->code);
    health_set (&h, (HealthCode)code, true, "ARG", 1, 1);
    g_autofree char *text = health_text (&h, (HealthCode)code);
    g_assert_cmpint (strstr (info->text, "%s") != NULL, ==, strstr (text, "ARG") != NULL);
    health_clear (&h);
  }
}

static void
test_local_dns (void)
{
  LinkInterface interface = {.name = "eth0", .index = 2, .up = true};
  LinkAddress address = {.interface = 2};
  ip_prefix_parse ("192.168.7.5/24", 14, &address.prefix);
  LinkState state
      = {.interfaces = &interface, .n_interfaces = 1, .addresses = &address, .n_addresses = 1};
  static const struct
  {
    const char *text, *found;
  } rows[] = {
      {"nameserver 192.168.7.1\n", "192.168.7.1"},
      {"# x\nsearch lan\nnameserver 192.168.7.1\nnameserver 192.168.7.2\n", "192.168.7.1"},
      {"nameserver 192.168.7.1\nnameserver 9.9.9.9\n", NULL},
      {"nameserver 9.9.9.9\n", NULL},
      {"nameserver 127.0.0.1\nnameserver 192.168.7.1\n", "192.168.7.1"},
      {"nameserver 127.0.0.1\n", NULL},
      {"nameserver nonsense\n", NULL},
      {"nameserver fe80::1%eth0\n", "fe80::1"},
      {"", NULL},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *found = local_dns_find_in (rows[i].text, &state);
    g_assert_cmpstr (found, ==, rows[i].found);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/health/a-warning-shows-after-its-delay", test_delay);
  g_test_add_func ("/session/health/no-network-hides-what-follows-from-it", test_hidden);
  g_test_add_func ("/session/health/every-code-has-a-text", test_texts);
  g_test_add_func ("/session/health/a-name-server-in-the-local-network-is-found", test_local_dns);
  return g_test_run ();
}
