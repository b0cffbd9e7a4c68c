/* The real kernel, in a network namespace of this process's own. */

#include "host/host.h"
#include "host/link-monitor.h"
#include "host/socket-mark.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TUN "wrtest0"

static char *state_dir;

static char *
shell (const char *command)
{
  const char *argv[] = {"sh", "-c", command, NULL};
  g_autoptr (GError) error = NULL;
  char *out = NULL;

  g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                NULL, &out, NULL, NULL, &error);
  g_assert_no_error (error);
  return out;
}

/* Everything that Warren touches on a host, as text. */
static char *
snapshot (void)
{
  return shell ("ip -o link; ip -o addr; ip rule; ip -6 rule; ip route show table all; "
                "ip -6 route show table all; nft list ruleset; "
                "cat /proc/sys/net/ipv4/conf/all/src_valid_mark");
}

static void
assert_contains (const char *command, const char *needle)
{
  g_autofree char *out = shell (command);

  if (!strstr (out, needle))
    g_error ("\"%s\" does not print \"%s\" but:\n%s", command, needle, out);
}

static void
assert_lacks (const char *command, const char *needle)
{
  g_autofree char *out = shell (command);

  if (strstr (out, needle))
    g_error ("\"%s\" prints \"%s\":\n%s", command, needle, out);
}

static void
add_route (HostConfigBuilder *b, const char *text, HostRouteType type)
{
  IpPrefix p;

  g_assert_true (ip_prefix_parse (text, strlen (text), &p));
  host_config_builder_add_route (b, &p, type);
}

static void
add_ip (HostConfigBuilder *b, void (*add) (HostConfigBuilder *b, const IpAddr *address),
        const char *text)
{
  IpAddr address;

  g_assert_true (ip_parse (text, strlen (text), &address));
  add (b, &address);
}

static HostConfig *
make_config (bool exit_node)
{
  HostConfigBuilder *b = host_config_builder_new ();

  add_ip (b, host_config_builder_add_address, "100.64.0.1");
  add_ip (b, host_config_builder_add_address, "fd7a:115c:a1e0::1");
  add_route (b, "100.64.0.2/32", HOST_ROUTE_TUNNEL);
  add_route (b, "fd7a:115c:a1e0::/48", HOST_ROUTE_TUNNEL);
  add_ip (b, host_config_builder_add_peer, "100.64.0.2");
  host_config_builder_set_drop_spoofed (b, true);
  if (exit_node) {
    add_route (b, "0.0.0.0/0", HOST_ROUTE_TUNNEL);
    add_route (b, "::/0", HOST_ROUTE_TUNNEL);
    host_config_builder_set_kill_switch (b, true);
    host_config_builder_set_guard_dns (b, true);
  }
  return host_config_build (b);
}

static Host *
open_host (TunDevice *tun)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (tun_open (TUN, 1, tun, &error));
  g_assert_no_error (error);
  Host *host = host_new (state_dir, tun);
  host_set_udp_port (host, 41641);
  return host;
}

static void
apply (Host *host, bool exit_node)
{
  g_autoptr (GError) error = NULL;
  HostConfig *config = make_config (exit_node);

  host_apply (host, config, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (host_warnings (host), ==, 0);
  host_config_unref (config);
}

static void
test_applies_and_undoes (void)
{
  TunDevice tun;
  g_autofree char *before = snapshot ();
  Host *host = open_host (&tun);

  apply (host, false);
  assert_contains ("ip -d rule", "5110:\tfrom all fwmark 0x80000/0xff0000 lookup main");
  assert_contains ("ip -d -6 rule", "5170:\tfrom all lookup 5252");
  assert_contains ("ip route get 100.64.0.2", "dev " TUN);
  assert_contains ("ip -6 route get fd7a:115c:a1e0::77", "dev " TUN);
  assert_contains ("ip route get 203.0.113.1", "dev wrout");
  assert_contains ("nft list table inet warren", "100.64.0.2");
  assert_lacks ("ip -6 addr show dev " TUN, "fe80");
  g_autofree char *once = snapshot ();
  apply (host, false);
  g_autofree char *twice = snapshot ();
  g_assert_cmpstr (once, ==, twice);
  apply (host, true);
  assert_contains ("ip route get 203.0.113.1", "dev " TUN);
  assert_contains ("ip -6 route get 2001:db8::1", "dev " TUN);
  assert_contains ("ip route get 203.0.113.1 mark 0x80000", "dev wrout");
  apply (host, false);
  g_autofree char *back = snapshot ();
  g_assert_cmpstr (once, ==, back);
  host_undo (host);
  host_free (host);
  tun_close (&tun);
  g_autofree char *after = snapshot ();
  g_assert_cmpstr (before, ==, after);
}

static void
test_rules_come_back (void)
{
  TunDevice tun;
  Host *host = open_host (&tun);

  apply (host, false);
  g_free (shell ("ip rule del pref 5170; ip -6 rule del pref 5110"));
  host_restore_rules (host);
  assert_contains ("ip rule", "5170:");
  assert_contains ("ip -6 rule", "5110:");
  /* Ten repairs in all, then only words. */
  for (int i = 0; i < 9; i++) {
    g_free (shell ("ip rule del pref 5170"));
    host_restore_rules (host);
  }
  assert_contains ("ip rule", "5170:");
  g_free (shell ("ip rule del pref 5170"));
  g_test_expect_message ("warren-host", G_LOG_LEVEL_WARNING, "*keeps deleting*");
  host_restore_rules (host);
  g_test_assert_expected_messages ();
  assert_lacks ("ip rule", "5170:");
  host_undo (host);
  host_free (host);
  tun_close (&tun);
}

static int
connect_error (int family, bool marked)
{
  IpPort target = {.port = 9};
  struct sockaddr_storage sa;
  int fd = socket (family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  g_assert_true (ip_parse (family == AF_INET ? "203.0.113.1" : "2001:db8::1",
                           family == AF_INET ? 11 : 11, &target.addr));
  if (marked)
    g_assert_true (socket_mark (fd));
  int result
      = connect (fd, (struct sockaddr *)&sa, ip_port_to_sockaddr (&target, &sa)) == 0 ? 0 : errno;
  close (fd);
  return result;
}

/* What a kill leaves behind must block, and the next start must be able to repair it. */
static void
test_killed_process_leaks_nothing (void)
{
  g_autofree char *before = snapshot ();
  g_autoptr (GError) error = NULL;
  pid_t child = fork ();
  int status;

  if (child == 0) {
    TunDevice tun;
    apply (open_host (&tun), true);
    raise (SIGKILL);
  }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFSIGNALED (status));
  assert_lacks ("ip link", TUN);
  g_assert_cmpint (connect_error (AF_INET, false), ==, EHOSTUNREACH);
  g_assert_cmpint (connect_error (AF_INET6, false), ==, EHOSTUNREACH);
  g_assert_cmpint (connect_error (AF_INET, true), ==, 0);
  g_assert_cmpint (connect_error (AF_INET6, true), ==, 0);
  g_assert_true (host_cleanup (state_dir, true, &error));
  g_assert_no_error (error);
  g_assert_cmpint (connect_error (AF_INET, false), ==, EHOSTUNREACH);
  g_assert_cmpint (connect_error (AF_INET6, false), ==, EHOSTUNREACH);
  TunDevice tun;
  Host *host = open_host (&tun);
  apply (host, true);
  g_assert_cmpint (connect_error (AF_INET, false), ==, 0);
  host_undo (host);
  host_free (host);
  tun_close (&tun);
  g_assert_true (host_cleanup (state_dir, false, &error));
  g_autofree char *after = snapshot ();
  g_assert_cmpstr (before, ==, after);
}

/* A host whose own firewall drops what it does not know lets peers in while we are connected. */
static void
test_foreign_firewall (void)
{
  TunDevice tun;
  g_free (shell (
      "nft add table ip filter; nft add table inet strict;"
      "nft 'add chain ip filter INPUT { type filter hook input priority 0; policy drop; }'"));
  g_autofree char *before = snapshot ();
  Host *host = open_host (&tun);

  apply (host, false);
  assert_contains ("nft list chain ip filter INPUT", "iifname \"" TUN "\" counter");
  g_free (shell ("nft flush chain ip filter INPUT"));
  for (int i = 0; i < 40; i++) {
    g_autofree char *chain = shell ("nft list chain ip filter INPUT");
    if (strstr (chain, TUN))
      break;
    g_main_context_iteration (NULL, FALSE);
    g_usleep (100000);
  }
  assert_contains ("nft list chain ip filter INPUT", TUN);
  host_undo (host);
  host_free (host);
  tun_close (&tun);
  g_autofree char *after = snapshot ();
  g_assert_cmpstr (before, ==, after);
  g_free (shell (
      "nft 'add chain inet strict door { type filter hook input priority 0; policy drop; }'"));
  host = open_host (&tun);
  HostConfig *config = make_config (false);
  g_assert_true (host_apply (host, config, NULL));
  g_assert_cmpuint (host_warnings (host), ==, HOST_WARNING_FIREWALL_BLOCKS);
  g_assert_cmpstr (host_blocking_chain (host), ==, "inet strict door");
  host_config_unref (config);
  host_undo (host);
  host_free (host);
  tun_close (&tun);
  g_free (shell ("nft flush ruleset"));
}

/* Serving: what the kernel and other firewalls need for it comes and goes with it. */
static void
test_serving (void)
{
  TunDevice tun;
  g_free (shell ("nft add table ip filter;"
                 "nft 'add chain ip filter FORWARD { type filter hook forward priority 0; "
                 "policy drop; }'"));
  g_autofree char *before = snapshot ();
  Host *host = open_host (&tun);
  HostConfigBuilder *b = host_config_builder_new ();
  add_ip (b, host_config_builder_add_address, "100.64.0.1");
  host_config_builder_set_forward (b, true, true, true);
  HostConfig *config = host_config_build (b);

  g_assert_true (host_apply (host, config, NULL));
  host_config_unref (config);
  g_assert_cmpuint (host_warnings (host), ==, 0);
  assert_contains ("cat /proc/sys/net/ipv4/ip_forward", "1");
  assert_contains ("cat /proc/sys/net/ipv6/conf/all/forwarding", "1");
  assert_contains ("cat /proc/sys/net/ipv6/conf/default/accept_ra", "2");
  assert_contains ("nft list table inet warren", "masquerade");
  assert_contains ("nft list chain ip filter FORWARD", "iifname \"" TUN "\" counter");
  assert_contains ("nft list chain ip filter FORWARD", "oifname \"" TUN "\" counter");
  apply (host, false);
  assert_contains ("cat /proc/sys/net/ipv4/ip_forward", "0");
  assert_contains ("cat /proc/sys/net/ipv6/conf/all/forwarding", "0");
  assert_contains ("cat /proc/sys/net/ipv6/conf/default/accept_ra", "1");
  assert_lacks ("nft list table inet warren", "masquerade");
  assert_lacks ("nft list chain ip filter FORWARD", TUN);
  host_undo (host);
  host_free (host);
  tun_close (&tun);
  g_autofree char *after = snapshot ();
  g_assert_cmpstr (before, ==, after);
  g_free (shell ("nft flush ruleset"));
}

static void
test_busy (void)
{
  g_autoptr (GError) error = NULL;
  TunDevice tun, second;

  g_assert_true (tun_open (TUN, 1, &tun, &error));
  g_assert_false (tun_open (TUN, 1, &second, &error));
  g_assert_error (error, TUN_ERROR, TUN_ERROR_BUSY);
  tun_close (&tun);
}

static void
test_without_ipv6 (void)
{
  TunDevice tun;
  HostConfig *config = make_config (true);
  g_autoptr (GError) error = NULL;

  g_free (shell ("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"));
  Host *host = open_host (&tun);
  host_apply (host, config, &error);
  g_assert_no_error (error);
  assert_contains ("ip route get 203.0.113.1", "dev " TUN);
  host_undo (host);
  host_free (host);
  tun_close (&tun);
  host_config_unref (config);
  g_free (shell ("echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; "
                 "ip -6 addr add 2001:db8:1::2/64 dev wrout nodad; "
                 "ip -6 route add default via 2001:db8:1::1"));
}

static void
on_changed (LinkState *state, bool major, int64_t slept_us, void *user_data)
{
  bool *seen_major = user_data;

  *seen_major |= major;
}

static void
on_rule_deleted (void *user_data)
{
}

static void
test_monitor (void)
{
  static const LinkMonitorCallbacks callbacks = {on_changed, on_rule_deleted};
  g_autoptr (GError) error = NULL;
  bool seen_major = false;
  LinkMonitor *monitor = link_monitor_new (TUN, &callbacks, &seen_major, &error);

  g_assert_no_error (error);
  LinkState *state = link_monitor_get_state (monitor);
  g_assert_true (state->have4 && state->have6 && state->ipv6_enabled);
  g_assert_cmpuint (state->default4, ==, if_nametoindex ("wrout"));
  g_assert_cmphex (ip_v4 (&state->gateway4), ==, 0x0a630001);
  g_free (shell ("ip addr add 10.98.0.2/24 dev wrout"));
  while (!seen_major)
    g_main_context_iteration (NULL, TRUE);
  g_free (shell ("ip addr del 10.98.0.2/24 dev wrout"));
  link_monitor_free (monitor);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (unshare (CLONE_NEWNET) != 0) {
    g_print ("1..0 # SKIP needs the right to make network namespaces\n");
    return 77;
  }
  state_dir = g_dir_make_tmp ("warren-host-XXXXXX", NULL);
  g_free (shell ("ip link set lo up; ip link add wrout type veth peer name wrpeer; "
                 "ip link set wrpeer up; ip link set wrout up; "
                 "ip addr add 10.99.0.2/24 dev wrout; ip route add default via 10.99.0.1; "
                 "ip -6 addr add 2001:db8:1::2/64 dev wrout nodad; "
                 "ip -6 route add default via 2001:db8:1::1; sleep 2"));
  g_test_add_func ("/host/undo-leaves-the-host-as-it-was", test_applies_and_undoes);
  g_test_add_func ("/host/deleted-rules-come-back-within-limits", test_rules_come_back);
  g_test_add_func ("/host/a-killed-process-leaks-nothing", test_killed_process_leaks_nothing);
  g_test_add_func ("/host/other-firewalls-are-opened-or-named", test_foreign_firewall);
  g_test_add_func ("/host/serving-opens-what-it-needs-and-shuts-it-again", test_serving);
  g_test_add_func ("/host/tun/a-used-device-is-busy", test_busy);
  g_test_add_func ("/host/works-without-ipv6", test_without_ipv6);
  g_test_add_func ("/host/link-monitor/notices-a-new-address", test_monitor);
  int result = g_test_run ();
  g_autofree char *journal = g_build_filename (state_dir, "host.journal", NULL);
  g_unlink (journal);
  g_rmdir (state_dir);
  g_free (state_dir);
  return result;
}
