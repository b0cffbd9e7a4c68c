#include "base/ip.h"

#include <glib.h>
#include <string.h>

static IpPrefix
prefix (const char *text)
{
  IpPrefix p;

  g_assert_true (ip_prefix_parse (text, strlen (text), &p));
  return p;
}

static IpAddr
addr (const char *text)
{
  IpAddr a;

  g_assert_true (ip_parse (text, strlen (text), &a));
  return a;
}

static void
test_text (void)
{
  static const char *const good[] = {"0.0.0.0", "100.64.0.1", "::", "fd7a:115c:a1e0::53"};
  static const char *const bad[]
      = {"", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "[::1]", "x", "01.2.3.4 "};

  for (size_t i = 0; i < G_N_ELEMENTS (good); i++) {
    char text[IP_TEXT_MAX];
    IpAddr a = addr (good[i]);
    ip_format (&a, text);
    g_assert_cmpstr (text, ==, good[i]);
  }
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    IpAddr a;
    g_assert_false (ip_parse (bad[i], strlen (bad[i]), &a));
  }
}

static void
test_mapped (void)
{
  IpAddr a = addr ("::ffff:1.2.3.4");
  uint8_t bytes[16];

  g_assert_cmpint (a.family, ==, 4);
  g_assert_cmphex (ip_v4 (&a), ==, 0x01020304);
  ip_to_mapped (&a, bytes);
  IpAddr back = ip_from_mapped (bytes);
  g_assert_true (ip_equal (&a, &back));
}

static void
test_port_text (void)
{
  static const char *const good[] = {"1.2.3.4:41641", "[2001:db8::1]:1", "0.0.0.0:0"};
  static const char *const bad[] = {"1.2.3.4", "1.2.3.4:",   "1.2.3.4:65536", "2001:db8::1:80",
                                    "[]:1",    "1.2.3.4:-1", ":80",           "1.2.3.4:080"};

  for (size_t i = 0; i < G_N_ELEMENTS (good); i++) {
    char text[IP_PORT_TEXT_MAX];
    IpPort ap;
    g_assert_true (ip_port_parse (good[i], strlen (good[i]), &ap));
    ip_port_format (&ap, text);
    g_assert_cmpstr (text, ==, good[i]);
  }
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    IpPort ap;
    g_assert_false (ip_port_parse (bad[i], strlen (bad[i]), &ap));
  }
}

static void
test_prefix (void)
{
  IpPrefix cgnat = prefix ("100.64.0.0/10"), inner = prefix ("100.127.255.0/24");
  IpPrefix all6 = prefix ("::/0"), odd = prefix ("10.1.2.3/12"),
           odd6 = prefix ("2001:db8:ffff::/33");
  IpAddr in = addr ("100.127.255.255"), out = addr ("100.128.0.0"), six = addr ("::1");
  IpPrefix p;

  g_assert_true (ip_prefix_contains (&cgnat, &in));
  g_assert_false (ip_prefix_contains (&cgnat, &out));
  g_assert_true (ip_prefix_contains (&all6, &six));
  g_assert_false (ip_prefix_contains (&all6, &in));
  g_assert_true (ip_prefix_covers (&cgnat, &inner));
  g_assert_false (ip_prefix_covers (&inner, &cgnat));
  g_assert_true (ip_prefix_overlaps (&inner, &cgnat));
  g_assert_true (ip_prefix_is_default (&all6));
  g_assert_false (ip_prefix_is_masked (&odd));
  g_assert_false (ip_prefix_is_masked (&odd6));
  IpPrefix masked = ip_prefix_mask (odd), expected = prefix ("10.0.0.0/12");
  g_assert_true (ip_prefix_equal (&masked, &expected));
  g_assert_false (ip_prefix_parse ("1.2.3.4/33", 10, &p));
  g_assert_false (ip_prefix_parse ("::/129", 6, &p));
  g_assert_false (ip_prefix_parse ("1.2.3.4/", 8, &p));
  g_assert_true (ip_prefix_parse ("1.2.3.4", 7, &p));
  g_assert_true (ip_prefix_is_single (&p));
}

static void
test_classes (void)
{
  IpAddr chrome = addr ("100.115.92.7"), tail4 = addr ("100.115.94.1"),
         tail6 = addr ("fd7a:115c:a1e0::9"), service = addr ("100.100.100.100");

  g_assert_false (ip_is_tailnet (&chrome));
  g_assert_true (ip_is_tailnet (&tail4));
  g_assert_true (ip_is_tailnet (&tail6));
  g_assert_true (ip_is_service (&service));
  g_assert_true (ip_is_private (&tail6));
  g_assert_false (ip_is_private (&tail4));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/ip/text-round-trips", test_text);
  g_test_add_func ("/base/ip/mapped-addresses-become-ipv4", test_mapped);
  g_test_add_func ("/base/ip/address-and-port-round-trips", test_port_text);
  g_test_add_func ("/base/ip/prefixes-contain-and-cover", test_prefix);
  g_test_add_func ("/base/ip/tailnet-ranges-leave-out-the-chromeos-hole", test_classes);
  return g_test_run ();
}
