#include "host/link-state.h"

#include <glib.h>
#include <string.h>

/* A laptop: lo, wlan0 with an address of both families. */
static LinkState *
laptop (const char *address4, bool up)
{
  LinkState *s = g_new0 (LinkState, 1);

  s->references = 1;
  s->interfaces = g_new0 (LinkInterface, 2);
  s->interfaces[0] = (LinkInterface){.name = "lo", .index = 1, .up = true, .loopback = true};
  s->interfaces[1] = (LinkInterface){.name = "wlan0", .index = 2, .up = up, .mtu = 1500};
  s->n_interfaces = 2;
  s->addresses = g_new0 (LinkAddress, 2);
  g_assert_true (ip_prefix_parse ("127.0.0.1/8", 11, &s->addresses[0].prefix));
  s->addresses[0].interface = 1;
  g_assert_true (ip_prefix_parse (address4, strlen (address4), &s->addresses[1].prefix));
  s->addresses[1].interface = 2;
  s->n_addresses = 2;
  s->default4 = 2;
  s->have4 = up;
  return s;
}

static void
test_major (void)
{
  LinkState *home = laptop ("192.168.1.5/24", true), *same = laptop ("192.168.1.5/24", true);
  LinkState *cafe = laptop ("10.0.0.7/8", true), *off = laptop ("192.168.1.5/24", false);

  g_assert_true (link_state_equal (home, same));
  g_assert_true (link_state_is_major_change (NULL, home));
  g_assert_false (link_state_is_major_change (home, same));
  g_assert_true (link_state_is_major_change (home, cafe));
  g_assert_false (link_state_is_major_change (home, off));
  g_assert_true (link_state_is_major_change (off, home));
  g_assert_false (link_state_is_up (off));
  same->interfaces[1].mtu = 1400;
  g_assert_false (link_state_equal (home, same));
  g_assert_false (link_state_is_major_change (home, same));
  link_state_unref (home);
  link_state_unref (same);
  link_state_unref (cafe);
  link_state_unref (off);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/host/link-state/roaming-is-major-and-mtu-is-not", test_major);
  return g_test_run ();
}
