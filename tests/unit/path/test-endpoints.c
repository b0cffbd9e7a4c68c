#include "path/endpoints.h"
#include "rig.h"

#include <string.h>

static PathAddress
local (const char *prefix, const char *interface, bool default_route)
{
  PathAddress a = {.default_route = default_route};

  g_assert_true (ip_prefix_parse (prefix, strlen (prefix), &a.prefix));
  g_strlcpy (a.interface, interface, sizeof a.interface);
  return a;
}

/* The local endpoints of LIST as one text, ports left out. */
static char *
describe (const PathAddress *list, size_t n)
{
  PathLink link = {.addresses = list, .n_addresses = n, .up = true};
  IpPort out[16];
  size_t count = endpoint_local_list (&link, 41641, 41642, out, 16);
  GString *text = g_string_new (NULL);

  for (size_t i = 0; i < count; i++) {
    char one[IP_TEXT_MAX];
    ip_format (&out[i].addr, one);
    g_assert_cmpint (out[i].port, ==, out[i].addr.family == 4 ? 41641 : 41642);
    g_string_append_printf (text, "%s%s", i ? " " : "", one);
  }
  return g_string_free (text, FALSE);
}

static void
test_local (void)
{
  PathAddress all[] = {
      local ("192.168.1.20/24", "eth0", true),      local ("10.0.0.5/8", "wlan0", false),
      local ("127.0.0.1/8", "lo", false),           local ("fe80::1/64", "eth0", true),
      local ("fd00::5/64", "eth0", true),           local ("172.17.0.1/16", "docker0", false),
      local ("10.9.9.1/24", "br-0af1", false),      local ("172.30.1.1/24", "zt7nnig", true),
      local ("100.64.0.7/10", "tailscale0", false), local ("2001:db8::1/64", "eth0", true),
      local ("2001:db8::2/64", "eth0", true),       local ("2001:db8::3/64", "eth0", true),
      local ("169.254.3.3/16", "eth0", true),
  };
  g_autofree char *text = describe (all, G_N_ELEMENTS (all));
  g_assert_cmpstr (text, ==, "10.0.0.5 192.168.1.20 2001:db8::1 2001:db8::2");

  PathAddress carrier[] = {local ("100.70.0.7/10", "eth0", true)};
  g_autofree char *cgnat = describe (carrier, 1);
  g_assert_cmpstr (cgnat, ==, "100.70.0.7");

  PathAddress cloud[] = {local ("169.254.3.3/16", "eth0", true), local ("fd00::5/64", "eth0", true),
                         local ("172.17.0.1/16", "docker0", false)};
  g_autofree char *unique = describe (cloud, 3);
  g_assert_cmpstr (unique, ==, "169.254.3.3 fd00::5");

  PathAddress container[]
      = {local ("10.1.1.1/24", "veth0", false), local ("127.0.0.1/8", "lo", false)};
  g_autofree char *veth = describe (container, 2);
  g_assert_cmpstr (veth, ==, "10.1.1.1");
  g_autofree char *loopback = describe (container + 1, 1);
  g_assert_cmpstr (loopback, ==, "127.0.0.1");
}

static bool
has (EndpointTracker *t, const char *text, EndpointType type)
{
  size_t n;
  const Endpoint *list = endpoint_tracker_list (t, &n);
  IpPort at = rig_address (text);

  for (size_t i = 0; i < n; i++)
    if (ip_port_equal (&list[i].at, &at))
      return list[i].type == type;
  return false;
}

static void
test_kept (void)
{
  EndpointTracker *t = endpoint_tracker_new ();
  PathAddress address = local ("192.168.1.20/24", "eth0", true);
  PathLink link = {.addresses = &address, .n_addresses = 1, .up = true};
  IpPort fixed = rig_address ("203.0.113.50:1000");
  Endpoint found = {rig_address ("203.0.113.1:41641"), ENDPOINT_STUN};
  EndpointSources s = {
      .found = &found, .n_found = 1, .link = &link, .port4 = 41641, .fixed = &fixed, .n_fixed = 1};

  g_assert_true (endpoint_tracker_update (t, &s, START));
  g_assert_false (endpoint_tracker_update (t, &s, START + SECOND));
  g_assert_true (has (t, "203.0.113.1:41641", ENDPOINT_STUN));
  g_assert_true (has (t, "192.168.1.20:41641", ENDPOINT_LOCAL));
  g_assert_true (has (t, "203.0.113.50:1000", ENDPOINT_EXPLICIT));
  s.n_found = 0; /* not seen any more: kept for 5 min 10 s */
  g_assert_false (endpoint_tracker_update (t, &s, START + 310 * SECOND));
  g_assert_true (has (t, "203.0.113.1:41641", ENDPOINT_STUN));
  g_assert_true (endpoint_tracker_update (t, &s, START + 311 * SECOND));
  g_assert_false (has (t, "203.0.113.1:41641", ENDPOINT_STUN));
  s.n_fixed = 0; /* these are not kept */
  g_assert_true (endpoint_tracker_update (t, &s, START + 312 * SECOND));
  g_assert_false (has (t, "203.0.113.50:1000", ENDPOINT_EXPLICIT));
  endpoint_tracker_free (t);
}

static void
test_limits (void)
{
  EndpointTracker *t = endpoint_tracker_new ();
  Endpoint found = {rig_address ("203.0.113.1:1000"), ENDPOINT_STUN};
  EndpointSources s = {.found = &found, .n_found = 1};
  size_t n;

  for (int i = 0; i < 100; i++) {
    found.at.port++;
    endpoint_tracker_update (t, &s, START + i * SECOND);
  }
  endpoint_tracker_list (t, &n);
  g_assert_cmpuint (n, ==, ENDPOINTS_PER_ADDRESS);
  g_assert_true (has (t, "203.0.113.1:1100", ENDPOINT_STUN));
  for (int i = 0; i < 300; i++) {
    found.at.addr.bytes[3]++;
    endpoint_tracker_update (t, &s, START + (100 + i) * SECOND);
  }
  endpoint_tracker_list (t, &n);
  g_assert_cmpuint (n, <=, ENDPOINTS_MAX);
  endpoint_tracker_reset (t);
  s.n_found = 0;
  g_assert_true (endpoint_tracker_update (t, &s, START + 500 * SECOND));
  endpoint_tracker_list (t, &n);
  g_assert_cmpuint (n, ==, 0);
  endpoint_tracker_free (t);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/path/endpoints/local-addresses-are-chosen-with-care", test_local);
  g_test_add_func ("/path/endpoints/reflexive-ones-are-kept-for-310-s", test_kept);
  g_test_add_func ("/path/endpoints/lists-are-bounded", test_limits);
  return g_test_run ();
}
