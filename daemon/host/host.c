#include "host/host.h"

#include "base/clock.h"
#include "host/firewall.h"
#include "host/foreign-firewall.h"
#include "host/forwarding.h"
#include "host/netlink.h"
#include "host/policy-routing.h"
#include "host/sysctl-journal.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#define SRC_VALID_MARK   "net/ipv4/conf/all/src_valid_mark"
#define RESTORES_BURST   10
#define RESTORE_EVERY_US (5 * USEC_PER_SEC)

G_DEFINE_QUARK (warren - host - error, host_error)

struct Host
{
  char *tun_name;
  uint32_t ifindex;
  uint16_t udp_port;
  Netlink *netlink;
  PolicyRouting *routing;
  Firewall *firewall;
  ForeignFirewall *foreign;
  SysctlJournal *journal;
  HostConfig *applied; /* the last value that was brought about, NULL when the host is untouched */
  bool complete;       /* applied without any failure */
  unsigned warnings;   /* HostWarning bits */
  unsigned restores_left;
  int64_t restores_at_us; /* when restores_left was last topped up */
};

/* What one host_apply meets: the first failure is told, the rest goes on. */
typedef struct
{
  bool failed;
  GError **error;
} Outcome;

static void
note_errno (Outcome *outcome, int error, const char *what)
{
  if (error == 0)
    return;
  if (!outcome->failed)
    g_set_error (outcome->error, HOST_ERROR,
                 error == EPERM ? HOST_ERROR_PERMISSION : HOST_ERROR_FAILED, "could not %s: %s",
                 what, g_strerror (error));
  outcome->failed = true;
}

Host *
host_new (const char *state_dir, const TunDevice *tun)
{
  Host *host = g_new0 (Host, 1);

  host->tun_name = g_strdup (tun->name);
  host->ifindex = tun->ifindex;
  host->netlink = netlink_new (NETLINK_ROUTE);
  if (host->netlink)
    host->routing = policy_routing_new (host->netlink, tun->ifindex);
  host->firewall = firewall_new ();
  host->foreign = foreign_firewall_new (tun->name);
  host->journal = sysctl_journal_new (state_dir);
  host->restores_left = RESTORES_BURST;
  return host;
}

void
host_set_udp_port (Host *host, uint16_t port)
{
  if (port != host->udp_port)
    host->complete = false;
  host->udp_port = port;
}

/* IPv6 works on the device when its directory of settings exists and says so. */
static bool
device_has_ipv6 (const Host *host)
{
  g_autofree char *path
      = g_strdup_printf ("/proc/sys/net/ipv6/conf/%s/disable_ipv6", host->tun_name);
  g_autofree char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) && text[0] == '0';
}

static void
look_at_ipv6 (Host *host)
{
  g_autofree char *all = NULL;
  bool rules = g_file_get_contents ("/proc/sys/net/ipv6/conf/all/disable_ipv6", &all, NULL, NULL)
               && policy_routing_ipv6_supported (host->netlink);
  bool device = rules && all[0] == '0' && device_has_ipv6 (host);

  if (rules && !device)
    host->warnings |= HOST_WARNING_IPV6_UNUSABLE;
  policy_routing_set_ipv6 (host->routing, rules, device);
}

static void
apply_firewall (Host *host, const HostConfig *config)
{
  g_autoptr (GError) error = NULL;
  FirewallRules rules = {
      .tun_name = host->tun_name,
      .udp_port = host->udp_port,
      .guard_dns = config->guard_dns,
      .drop_spoofed = config->drop_spoofed,
      .forward4 = config->forward4,
      .forward6 = config->forward6,
      .snat = config->snat,
      .peers4 = config->peers4,
      .n_peers4 = config->n_peers4,
  };

  /* Without nftables Warren goes on with less protection and says so. */
  if (!firewall_apply (host->firewall, &rules, &error)) {
    host->warnings |= HOST_WARNING_FIREWALL_UNAVAILABLE;
    g_warning ("%s", error->message);
    return;
  }
  foreign_firewall_open (host->foreign, config->forward4 || config->forward6);
  if (!sysctl_journal_set (host->journal, SRC_VALID_MARK, "1", &error))
    g_warning ("%s", error->message);
}

static void
apply_forwarding (Host *host, const HostConfig *config)
{
  g_autoptr (GError) error = NULL;
  bool before = host->applied && (host->applied->forward4 || host->applied->forward6);

  if (!config->forward4 && !config->forward6 && !before)
    return;
  if (forwarding_apply (host->journal, config->forward4, config->forward6, &error))
    return;
  host->warnings |= HOST_WARNING_FORWARDING_OFF;
  g_warning ("%s", error->message);
}

static int
set_link (Host *host, uint32_t mtu, bool up)
{
  struct nlmsghdr *nlh = netlink_begin (host->netlink, RTM_NEWLINK, 0);
  struct ifinfomsg *info = mnl_nlmsg_put_extra_header (nlh, sizeof *info);

  info->ifi_index = (int)host->ifindex;
  info->ifi_change = IFF_UP;
  info->ifi_flags = up ? IFF_UP : 0;
  if (mtu)
    mnl_attr_put_u32 (nlh, IFLA_MTU, mtu);
  netlink_commit (host->netlink, NETLINK_STRICT);
  return netlink_flush (host->netlink);
}

/* No link-local address of the kernel's own: it would only send solicitations into the tunnel. */
static void
quiet_ipv6 (const Host *host)
{
  g_autofree char *path
      = g_strdup_printf ("/proc/sys/net/ipv6/conf/%s/addr_gen_mode", host->tun_name);
  FILE *file = fopen (path, "we");

  if (file) {
    fputs ("1\n", file);
    fclose (file);
  }
}

static void
put_address (Host *host, uint16_t message, const IpPrefix *address)
{
  bool v4 = address->addr.family == 4;
  bool add = message == RTM_NEWADDR;
  struct nlmsghdr *nlh
      = netlink_begin (host->netlink, message, add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
  struct ifaddrmsg *info = mnl_nlmsg_put_extra_header (nlh, sizeof *info);

  info->ifa_family = v4 ? AF_INET : AF_INET6;
  info->ifa_prefixlen = address->bits;
  info->ifa_index = host->ifindex;
  mnl_attr_put (nlh, IFA_LOCAL, v4 ? 4 : 16, address->addr.bytes);
  if (add && !v4)
    mnl_attr_put_u32 (nlh, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
  netlink_commit (host->netlink, add ? NETLINK_STRICT : NETLINK_MAY_BE_GONE);
}

static bool
has_address (const HostConfig *config, const IpPrefix *address)
{
  for (size_t i = 0; config && i < config->n_addresses; i++)
    if (ip_prefix_equal (&config->addresses[i], address))
      return true;
  return false;
}

/* New addresses come before old ones go: a device without any loses its routes. */
static int
apply_addresses (Host *host, const HostConfig *config)
{
  bool ipv6 = device_has_ipv6 (host);
  const HostConfig *old = host->applied;

  for (size_t i = 0; i < config->n_addresses; i++)
    if ((config->addresses[i].addr.family == 4 || ipv6)
        && (!host->complete || !has_address (old, &config->addresses[i])))
      put_address (host, RTM_NEWADDR, &config->addresses[i]);
  for (size_t i = 0; old && i < old->n_addresses; i++)
    if (!has_address (config, &old->addresses[i]))
      put_address (host, RTM_DELADDR, &old->addresses[i]);
  return netlink_flush (host->netlink);
}

bool
host_apply (Host *host, const HostConfig *config, GError **error)
{
  Outcome outcome = {.error = error};

  if (host->complete && host->applied && host_config_equal (host->applied, config))
    return true;
  if (!host->netlink) {
    note_errno (&outcome, EPERM, "talk to the kernel about routes");
    return false;
  }
  host->warnings = 0;
  apply_firewall (host, config);
  apply_forwarding (host, config);
  quiet_ipv6 (host);
  note_errno (&outcome, set_link (host, config->mtu, true), "bring the tunnel device up");
  look_at_ipv6 (host);
  note_errno (&outcome, policy_routing_add_rules (host->routing), "add routing rules");
  note_errno (&outcome, apply_addresses (host, config), "set the addresses of the tunnel device");
  note_errno (&outcome, policy_routing_apply (host->routing, config), "set routes");
  HostConfig *old = host->applied;
  host->applied = host_config_ref ((HostConfig *)config);
  host_config_unref (old);
  host->complete = !outcome.failed;
  return !outcome.failed;
}

void
host_restore_rules (Host *host)
{
  int64_t now_us = clock_now_us ();

  if (!host->applied || !policy_routing_rules_missing (host->routing))
    return;
  int64_t due = (now_us - host->restores_at_us) / RESTORE_EVERY_US;
  if (due > 0) {
    host->restores_left = MIN (RESTORES_BURST, host->restores_left + (unsigned)MIN (due, 100));
    host->restores_at_us = now_us;
  }
  if (host->restores_left == 0) {
    g_warning ("another program keeps deleting our routing rules");
    return;
  }
  host->restores_left--;
  int error = policy_routing_add_rules (host->routing);
  if (error != 0)
    g_warning ("could not restore routing rules: %s", g_strerror (error));
}

unsigned
host_warnings (const Host *host)
{
  return host->warnings | (host_blocking_chain (host) ? HOST_WARNING_FIREWALL_BLOCKS : 0);
}

const char *
host_blocking_chain (const Host *host)
{
  return host->applied ? foreign_firewall_blocked_by (host->foreign) : NULL;
}

void
host_undo (Host *host)
{
  g_autoptr (GError) error = NULL;

  if (!host->applied)
    return;
  policy_routing_undo (host->routing);
  for (size_t i = 0; i < host->applied->n_addresses; i++)
    put_address (host, RTM_DELADDR, &host->applied->addresses[i]);
  netlink_flush (host->netlink);
  set_link (host, 0, false);
  foreign_firewall_close (host->foreign);
  firewall_clear (host->firewall);
  if (!sysctl_journal_restore (host->journal, &error))
    g_warning ("%s", error->message);
  g_clear_pointer (&host->applied, host_config_unref);
  host->complete = false;
}

void
host_free (Host *host)
{
  if (!host)
    return;
  host_config_unref (host->applied);
  foreign_firewall_free (host->foreign);
  firewall_free (host->firewall);
  sysctl_journal_free (host->journal);
  if (host->routing)
    policy_routing_free (host->routing);
  netlink_free (host->netlink);
  g_free (host->tun_name);
  g_free (host);
}

bool
host_cleanup (const char *state_dir, bool keep_blocked, GError **error)
{
  Outcome outcome = {.error = error};
  SysctlJournal *journal = sysctl_journal_new (state_dir);
  Netlink *netlink = netlink_new (NETLINK_ROUTE);

  if (netlink)
    note_errno (&outcome, policy_routing_clean (netlink, keep_blocked), "remove old routing rules");
  else
    note_errno (&outcome, errno, "talk to the kernel about routes");
  if (!sysctl_journal_restore (journal, outcome.failed ? NULL : error))
    outcome.failed = true;
  foreign_firewall_cleanup ();
  netlink_free (netlink);
  sysctl_journal_free (journal);
  return !outcome.failed;
}
