#include "host/link-monitor.h"

#include "base/clock.h"
#include "host/config.h"
#include "host/netlink.h"

#include <errno.h>
#include <glib-unix.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEBOUNCE_MS    1000
#define SUSPEND_MIN_US (5 * USEC_PER_SEC)
#define GROUP(number)  (1u << ((number)-1))
#define ARRAY_GROW     16

struct LinkMonitor
{
  char tun_name[IFNAMSIZ];
  LinkMonitorCallbacks callbacks;
  void *user_data;
  Netlink *requests;
  struct mnl_socket *events;
  guint event_source;
  guint settle_source;
  bool changed;              /* since the last report */
  int64_t suspend_offset_us; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC when last looked at */
  LinkState *state;
};

/* What a dump fills. */
typedef struct
{
  LinkMonitor *monitor;
  LinkState *state;
} Reading;

static int64_t
suspend_offset (void)
{
  struct timespec boot, mono;

  clock_gettime (CLOCK_BOOTTIME, &boot);
  clock_gettime (CLOCK_MONOTONIC, &mono);
  return (boot.tv_sec - mono.tv_sec) * USEC_PER_SEC + (boot.tv_nsec - mono.tv_nsec) / 1000;
}

static int
read_link (const struct nlmsghdr *nlh, void *user_data)
{
  Reading *reading = user_data;
  LinkState *state = reading->state;
  const struct ifinfomsg *info = mnl_nlmsg_get_payload (nlh);
  LinkInterface interface = {.index = (uint32_t)info->ifi_index};
  struct nlattr *attr;

  mnl_attr_for_each (attr, nlh, sizeof *info)
  {
    if (mnl_attr_get_type (attr) == IFLA_IFNAME)
      g_strlcpy (interface.name, mnl_attr_get_str (attr), sizeof interface.name);
    else if (mnl_attr_get_type (attr) == IFLA_MTU)
      interface.mtu = mnl_attr_get_u32 (attr);
  }
  if (strcmp (interface.name, reading->monitor->tun_name) == 0)
    return MNL_CB_OK;
  interface.up = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_RUNNING);
  interface.loopback = info->ifi_flags & IFF_LOOPBACK;
  interface.point_to_point = info->ifi_flags & IFF_POINTOPOINT;
  if (state->n_interfaces % ARRAY_GROW == 0)
    state->interfaces
        = g_realloc_n (state->interfaces, state->n_interfaces + ARRAY_GROW, sizeof interface);
  state->interfaces[state->n_interfaces++] = interface;
  return MNL_CB_OK;
}

static int
read_address (const struct nlmsghdr *nlh, void *user_data)
{
  Reading *reading = user_data;
  LinkState *state = reading->state;
  const struct ifaddrmsg *info = mnl_nlmsg_get_payload (nlh);
  LinkAddress address = {.interface = info->ifa_index};
  const struct nlattr *chosen = NULL;
  struct nlattr *attr;

  /* IFA_LOCAL is our end; on IPv6 and plain links only IFA_ADDRESS is there. */
  mnl_attr_for_each (attr, nlh, sizeof *info)
  {
    if (mnl_attr_get_type (attr) == IFA_LOCAL
        || (mnl_attr_get_type (attr) == IFA_ADDRESS && !chosen))
      chosen = attr;
  }
  if (!chosen || !link_state_interface (state, address.interface))
    return MNL_CB_OK;
  if (info->ifa_family == AF_INET && mnl_attr_get_payload_len (chosen) == 4) {
    address.prefix.addr = ip_from_v4_bytes (mnl_attr_get_payload (chosen));
  } else if (info->ifa_family == AF_INET6 && mnl_attr_get_payload_len (chosen) == 16) {
    address.prefix.addr.family = 6;
    memcpy (address.prefix.addr.bytes, mnl_attr_get_payload (chosen), 16);
  } else {
    return MNL_CB_OK;
  }
  address.prefix.bits = info->ifa_prefixlen;
  if (state->n_addresses % ARRAY_GROW == 0)
    state->addresses
        = g_realloc_n (state->addresses, state->n_addresses + ARRAY_GROW, sizeof address);
  state->addresses[state->n_addresses++] = address;
  return MNL_CB_OK;
}

typedef struct
{
  uint32_t interface;
  IpAddr gateway;
} WayOut;

static int
read_way_out (const struct nlmsghdr *nlh, void *user_data)
{
  WayOut *way = user_data;
  const struct rtmsg *route = mnl_nlmsg_get_payload (nlh);
  struct nlattr *attr;

  if (nlh->nlmsg_type != RTM_NEWROUTE || route->rtm_type != RTN_UNICAST)
    return MNL_CB_OK;
  mnl_attr_for_each (attr, nlh, sizeof *route)
  {
    if (mnl_attr_get_type (attr) == RTA_OIF)
      way->interface = mnl_attr_get_u32 (attr);
    else if (mnl_attr_get_type (attr) == RTA_GATEWAY && mnl_attr_get_payload_len (attr) == 4)
      way->gateway = ip_from_v4_bytes (mnl_attr_get_payload (attr));
  }
  return MNL_CB_OK;
}

/* Where the kernel would send a marked packet to the internet: an address of a documentation range,
 * to which nothing is ever sent. */
static WayOut
way_out (LinkMonitor *monitor, int family)
{
  static const uint8_t target4[4] = {203, 0, 113, 1};
  static const uint8_t target6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
  char buffer[256] __attribute__ ((aligned (8)));
  WayOut way = {0};

  struct nlmsghdr *nlh = mnl_nlmsg_put_header (buffer);
  nlh->nlmsg_type = RTM_GETROUTE;
  struct rtmsg *route = mnl_nlmsg_put_extra_header (nlh, sizeof *route);
  route->rtm_family = (unsigned char)family;
  route->rtm_dst_len = family == AF_INET ? 32 : 128;
  if (family == AF_INET)
    mnl_attr_put (nlh, RTA_DST, sizeof target4, target4);
  else
    mnl_attr_put (nlh, RTA_DST, sizeof target6, target6);
  mnl_attr_put_u32 (nlh, RTA_MARK, HOST_MARK_BYPASS);
  if (!netlink_query (monitor->requests, nlh, read_way_out, &way))
    return (WayOut){0};
  return way;
}

static bool
kernel_has_ipv6 (void)
{
  g_autofree char *text = NULL;

  return g_file_get_contents ("/proc/sys/net/ipv6/conf/all/disable_ipv6", &text, NULL, NULL)
         && text[0] == '0';
}

static int
compare_link_addresses (const void *a, const void *b)
{
  const LinkAddress *la = a, *lb = b;
  int order = ip_prefix_compare (&la->prefix, &lb->prefix);

  return order != 0 ? order : (la->interface > lb->interface) - (la->interface < lb->interface);
}

static void
dump (LinkMonitor *monitor, uint16_t type, mnl_cb_t callback, Reading *reading)
{
  char buffer[128] __attribute__ ((aligned (8)));
  struct nlmsghdr *nlh = mnl_nlmsg_put_header (buffer);

  nlh->nlmsg_type = type;
  if (type == RTM_GETLINK)
    mnl_nlmsg_put_extra_header (nlh, sizeof (struct ifinfomsg));
  else
    mnl_nlmsg_put_extra_header (nlh, sizeof (struct ifaddrmsg));
  if (!netlink_dump (monitor->requests, nlh, callback, reading))
    g_warning ("could not read the network state: %s", g_strerror (errno));
}

static void
find_families (LinkState *state)
{
  for (size_t i = 0; i < state->n_addresses; i++) {
    const LinkAddress *address = &state->addresses[i];
    const IpAddr *addr = &address->prefix.addr;
    const LinkInterface *interface = link_state_interface (state, address->interface);
    if (!interface->up || interface->loopback || ip_is_link_local (addr))
      continue;
    if (addr->family == 4)
      state->have4 = true;
    else if ((addr->bytes[0] & 0xe0) == 0x20 || (ip_is_private (addr) && !ip_is_tailnet (addr)))
      state->have6 = true;
  }
}

static LinkState *
read_state (LinkMonitor *monitor)
{
  Reading reading = {.monitor = monitor, .state = g_new0 (LinkState, 1)};
  LinkState *state = reading.state;

  state->references = 1;
  dump (monitor, RTM_GETLINK, read_link, &reading);
  dump (monitor, RTM_GETADDR, read_address, &reading);
  if (state->n_addresses > 0)
    qsort (state->addresses, state->n_addresses, sizeof *state->addresses, compare_link_addresses);
  WayOut way4 = way_out (monitor, AF_INET);
  WayOut way6 = way_out (monitor, AF_INET6);
  state->default4 = link_state_interface (state, way4.interface) ? way4.interface : 0;
  state->default6 = link_state_interface (state, way6.interface) ? way6.interface : 0;
  state->gateway4 = state->default4 ? way4.gateway : (IpAddr){0};
  state->ipv6_enabled = kernel_has_ipv6 ();
  find_families (state);
  return state;
}

static void
report (LinkMonitor *monitor)
{
  int64_t offset = suspend_offset ();
  int64_t slept_us = offset - monitor->suspend_offset_us;
  LinkState *state = read_state (monitor);
  LinkState *old = monitor->state;

  monitor->suspend_offset_us = offset;
  if (slept_us < SUSPEND_MIN_US)
    slept_us = 0;
  if (slept_us == 0 && link_state_equal (old, state)) {
    link_state_unref (state);
    return;
  }
  monitor->state = state;
  bool major = link_state_is_major_change (old, state);
  link_state_unref (old);
  monitor->callbacks.changed (state, major, slept_us, monitor->user_data);
}

/* After a report further changes wait until the pause is over. */
static gboolean
settled (void *user_data)
{
  LinkMonitor *monitor = user_data;

  monitor->settle_source = 0;
  if (monitor->changed) {
    monitor->changed = false;
    monitor->settle_source = g_timeout_add (DEBOUNCE_MS, settled, monitor);
    report (monitor);
  }
  return G_SOURCE_REMOVE;
}

static void
note_change (LinkMonitor *monitor)
{
  if (monitor->settle_source) {
    monitor->changed = true;
    return;
  }
  monitor->settle_source = g_timeout_add (DEBOUNCE_MS, settled, monitor);
  report (monitor);
}

static bool
is_our_rule (const struct nlmsghdr *nlh)
{
  struct nlattr *attr;

  mnl_attr_for_each (attr, nlh, sizeof (struct fib_rule_hdr))
  {
    if (mnl_attr_get_type (attr) == FRA_PRIORITY) {
      uint32_t priority = mnl_attr_get_u32 (attr);
      return priority >= HOST_RULE_BASE && priority < HOST_RULE_BASE + 100;
    }
  }
  return false;
}

static bool
is_our_route (const struct nlmsghdr *nlh)
{
  struct nlattr *attr;

  mnl_attr_for_each (attr, nlh, sizeof (struct rtmsg))
  {
    if (mnl_attr_get_type (attr) == RTA_TABLE)
      return mnl_attr_get_u32 (attr) == HOST_ROUTE_TABLE;
  }
  return false;
}

typedef struct
{
  LinkMonitor *monitor;
  bool relevant;
  bool rule_deleted;
} EventBatch;

static int
read_event (const struct nlmsghdr *nlh, void *user_data)
{
  EventBatch *batch = user_data;

  switch (nlh->nlmsg_type) {
    case RTM_DELRULE:
      batch->rule_deleted |= is_our_rule (nlh);
      break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      batch->relevant |= !is_our_route (nlh);
      break;
    case RTM_NEWLINK:
    case RTM_DELLINK:
    case RTM_NEWADDR:
    case RTM_DELADDR:
      batch->relevant = true;
      break;
    default:
      break;
  }
  return MNL_CB_OK;
}

static gboolean
on_event (int fd, GIOCondition condition, void *user_data)
{
  LinkMonitor *monitor = user_data;
  char buffer[16384] __attribute__ ((aligned (8)));
  EventBatch batch = {.monitor = monitor};

  for (int i = 0; i < 64; i++) {
    ssize_t n = recv (fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0)
      mnl_cb_run (buffer, (size_t)n, 0, 0, read_event, &batch);
    else if (n < 0 && errno == ENOBUFS)
      batch.relevant = batch.rule_deleted = true; /* something was lost: look at everything */
    else
      break;
  }
  if (batch.rule_deleted)
    monitor->callbacks.rule_deleted (monitor->user_data);
  if (batch.relevant)
    note_change (monitor);
  return G_SOURCE_CONTINUE;
}

static bool
open_events (LinkMonitor *monitor)
{
  unsigned groups = GROUP (RTNLGRP_LINK) | GROUP (RTNLGRP_IPV4_IFADDR) | GROUP (RTNLGRP_IPV6_IFADDR)
                    | GROUP (RTNLGRP_IPV4_ROUTE) | GROUP (RTNLGRP_IPV6_ROUTE)
                    | GROUP (RTNLGRP_IPV4_RULE) | GROUP (RTNLGRP_IPV6_RULE);

  monitor->events = mnl_socket_open2 (NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
  return monitor->events && mnl_socket_bind (monitor->events, groups, MNL_SOCKET_AUTOPID) == 0;
}

LinkMonitor *
link_monitor_new (const char *tun_name, const LinkMonitorCallbacks *callbacks, void *user_data,
                  GError **error)
{
  LinkMonitor *monitor = g_new0 (LinkMonitor, 1);

  g_strlcpy (monitor->tun_name, tun_name, sizeof monitor->tun_name);
  monitor->callbacks = *callbacks;
  monitor->user_data = user_data;
  monitor->requests = netlink_new (NETLINK_ROUTE);
  if (!monitor->requests || !open_events (monitor)) {
    int saved = errno;
    g_set_error (error, G_IO_ERROR, (int)g_io_error_from_errno (saved),
                 "could not watch the network: %s", g_strerror (saved));
    link_monitor_free (monitor);
    return NULL;
  }
  monitor->suspend_offset_us = suspend_offset ();
  monitor->state = read_state (monitor);
  monitor->event_source
      = g_unix_fd_add (mnl_socket_get_fd (monitor->events), G_IO_IN, on_event, monitor);
  return monitor;
}

LinkState *
link_monitor_get_state (LinkMonitor *monitor)
{
  return monitor->state;
}

void
link_monitor_free (LinkMonitor *monitor)
{
  if (!monitor)
    return;
  g_clear_handle_id (&monitor->event_source, g_source_remove);
  g_clear_handle_id (&monitor->settle_source, g_source_remove);
  if (monitor->events)
    mnl_socket_close (monitor->events);
  netlink_free (monitor->requests);
  link_state_unref (monitor->state);
  g_free (monitor);
}
