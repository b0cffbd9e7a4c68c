#include "host/policy-routing.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define METRIC_LAST UINT32_MAX
#define RULES_MAX   100 /* priorities that are ours */

/* The four rules, in the order in which the kernel looks at them. */
static const struct
{
  uint32_t priority;
  uint32_t table; /* 0: unreachable */
  bool marked;    /* only packets with the bypass mark */
} rules[] = {
    {HOST_RULE_BASE + 10, RT_TABLE_MAIN, true},
    {HOST_RULE_BASE + 30, RT_TABLE_DEFAULT, true},
    {HOST_RULE_BASE + 50, 0, true},
    {HOST_RULE_BASE + 70, HOST_ROUTE_TABLE, false},
};

struct PolicyRouting
{
  Netlink *netlink;
  uint32_t ifindex;
  bool ipv6_rules;
  bool ipv6_device;
  HostRoute *installed; /* sorted by prefix, as HostConfig.routes */
  size_t n_installed;
  bool blocked; /* the unreachable default routes are there */
};

PolicyRouting *
policy_routing_new (Netlink *netlink, uint32_t ifindex)
{
  PolicyRouting *routing = g_new0 (PolicyRouting, 1);

  routing->netlink = netlink;
  routing->ifindex = ifindex;
  return routing;
}

void
policy_routing_free (PolicyRouting *routing)
{
  g_free (routing->installed);
  g_free (routing);
}

void
policy_routing_set_ipv6 (PolicyRouting *routing, bool with_rules, bool device)
{
  routing->ipv6_rules = with_rules;
  routing->ipv6_device = device;
}

static void
put_rule (Netlink *netlink, int family, size_t i)
{
  struct nlmsghdr *nlh = netlink_begin (netlink, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
  struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header (nlh, sizeof *header);

  header->family = (uint8_t)family;
  header->action = rules[i].table ? FR_ACT_TO_TBL : FR_ACT_UNREACHABLE;
  mnl_attr_put_u32 (nlh, FRA_PRIORITY, rules[i].priority);
  if (rules[i].marked) {
    mnl_attr_put_u32 (nlh, FRA_FWMARK, HOST_MARK_BYPASS);
    mnl_attr_put_u32 (nlh, FRA_FWMASK, HOST_MARK_MASK);
  }
  if (rules[i].table)
    mnl_attr_put_u32 (nlh, FRA_TABLE, rules[i].table);
  /* systemd-networkd deletes foreign rules unless the kernel seems to own them. */
  mnl_attr_put_u8 (nlh, FRA_PROTOCOL, RTPROT_KERNEL);
  netlink_commit (netlink, NETLINK_MAY_EXIST);
}

static void
put_rule_deletion (Netlink *netlink, int family, size_t i)
{
  struct nlmsghdr *nlh = netlink_begin (netlink, RTM_DELRULE, 0);
  struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header (nlh, sizeof *header);

  header->family = (uint8_t)family;
  header->action = rules[i].table ? FR_ACT_TO_TBL : FR_ACT_UNREACHABLE;
  mnl_attr_put_u32 (nlh, FRA_PRIORITY, rules[i].priority);
  if (rules[i].table)
    mnl_attr_put_u32 (nlh, FRA_TABLE, rules[i].table);
  netlink_commit (netlink, NETLINK_MAY_BE_GONE);
}

int
policy_routing_add_rules (PolicyRouting *routing)
{
  for (size_t i = 0; i < G_N_ELEMENTS (rules); i++) {
    put_rule (routing->netlink, AF_INET, i);
    if (routing->ipv6_rules)
      put_rule (routing->netlink, AF_INET6, i);
  }
  return netlink_flush (routing->netlink);
}

typedef struct
{
  unsigned found[G_N_ELEMENTS (rules)]; /* rules seen by index */
  size_t total;
} RuleCount;

static int
count_rule (const struct nlmsghdr *nlh, void *user_data)
{
  RuleCount *count = user_data;
  struct nlattr *attr;

  count->total++;
  mnl_attr_for_each (attr, nlh, sizeof (struct fib_rule_hdr))
  {
    if (mnl_attr_get_type (attr) != FRA_PRIORITY)
      continue;
    for (size_t i = 0; i < G_N_ELEMENTS (rules); i++)
      if (mnl_attr_get_u32 (attr) == rules[i].priority)
        count->found[i]++;
  }
  return MNL_CB_OK;
}

static bool
dump_rules (Netlink *netlink, int family, mnl_cb_t callback, void *user_data)
{
  char buffer[64] __attribute__ ((aligned (8)));
  struct nlmsghdr *nlh = mnl_nlmsg_put_header (buffer);

  nlh->nlmsg_type = RTM_GETRULE;
  struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header (nlh, sizeof *header);
  header->family = (uint8_t)family;
  return netlink_dump (netlink, nlh, callback, user_data);
}

static bool
family_rules_missing (Netlink *netlink, int family)
{
  RuleCount count = {0};

  if (!dump_rules (netlink, family, count_rule, &count))
    return false;
  for (size_t i = 0; i < G_N_ELEMENTS (rules); i++)
    if (count.found[i] == 0)
      return true;
  return false;
}

bool
policy_routing_rules_missing (PolicyRouting *routing)
{
  return family_rules_missing (routing->netlink, AF_INET)
         || (routing->ipv6_rules && family_rules_missing (routing->netlink, AF_INET6));
}

bool
policy_routing_ipv6_supported (Netlink *netlink)
{
  RuleCount count = {0};

  return dump_rules (netlink, AF_INET6, count_rule, &count) && count.total > 0;
}

/* One route of our table: begins the request with everything but the type-specific flags. */
static void
put_route (PolicyRouting *routing, uint16_t message, uint16_t flags, const IpPrefix *prefix,
           HostRouteType type, uint32_t metric, NetlinkTolerance tolerance)
{
  static const uint8_t kernel_types[] = {[HOST_ROUTE_TUNNEL] = RTN_UNICAST,
                                         [HOST_ROUTE_THROW] = RTN_THROW,
                                         [HOST_ROUTE_UNREACHABLE] = RTN_UNREACHABLE};
  struct nlmsghdr *nlh = netlink_begin (routing->netlink, message, flags);
  struct rtmsg *route = mnl_nlmsg_put_extra_header (nlh, sizeof *route);
  bool v4 = prefix->addr.family == 4;

  route->rtm_family = v4 ? AF_INET : AF_INET6;
  route->rtm_dst_len = prefix->bits;
  route->rtm_type = kernel_types[type];
  route->rtm_protocol = message == RTM_NEWROUTE ? RTPROT_KERNEL : 0;
  if (message == RTM_DELROUTE)
    route->rtm_scope = RT_SCOPE_NOWHERE;
  else if (v4 && type == HOST_ROUTE_TUNNEL)
    route->rtm_scope = RT_SCOPE_LINK;
  mnl_attr_put_u32 (nlh, RTA_TABLE, HOST_ROUTE_TABLE);
  if (prefix->bits > 0)
    mnl_attr_put (nlh, RTA_DST, v4 ? 4 : 16, prefix->addr.bytes);
  if (type == HOST_ROUTE_TUNNEL)
    mnl_attr_put_u32 (nlh, RTA_OIF, routing->ifindex);
  if (metric)
    mnl_attr_put_u32 (nlh, RTA_PRIORITY, metric);
  netlink_commit (routing->netlink, tolerance);
}

static void
add_route (PolicyRouting *routing, const HostRoute *route)
{
  put_route (routing, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route->prefix, route->type, 0,
             0);
}

static void
delete_route (PolicyRouting *routing, const HostRoute *route)
{
  put_route (routing, RTM_DELROUTE, 0, &route->prefix, route->type, 0, NETLINK_MAY_BE_GONE);
}

/* What ROUTE becomes on this kernel; false when it cannot be had. */
static bool
adapt_route (const PolicyRouting *routing, HostRoute *route)
{
  if (route->prefix.addr.family == 4)
    return true;
  if (!routing->ipv6_rules)
    return false;
  if (route->type != HOST_ROUTE_TUNNEL || routing->ipv6_device)
    return true;
  route->type = HOST_ROUTE_UNREACHABLE;
  return ip_prefix_is_default (&route->prefix);
}

static HostRoute *
adapt_routes (const PolicyRouting *routing, const HostConfig *config, size_t *n)
{
  HostRoute *wanted = g_new (HostRoute, config->n_routes + 1);

  *n = 0;
  for (size_t i = 0; i < config->n_routes; i++) {
    HostRoute route = config->routes[i];
    if (adapt_route (routing, &route))
      wanted[(*n)++] = route;
  }
  return wanted;
}

/* Steps, so that more special answers exist before more general ones appear. */
static int
route_step (const HostRoute *route)
{
  if (ip_prefix_is_default (&route->prefix))
    return 2;
  return route->type == HOST_ROUTE_THROW ? 0 : 1;
}

static bool
same_route (const HostRoute *a, const HostRoute *b)
{
  return a->type == b->type && ip_prefix_equal (&a->prefix, &b->prefix);
}

/* The routes of LIST that are not in OTHER, both sorted; calls CHANGE for those of STEP. A route
 * whose type alone changed counts as new: the kernel keeps unicast, throw and unreachable apart. */
static void
for_each_missing (PolicyRouting *routing, const HostRoute *list, size_t n, const HostRoute *other,
                  size_t n_other, int step,
                  void (*change) (PolicyRouting *routing, const HostRoute *route))
{
  size_t j = 0;

  for (size_t i = 0; i < n; i++) {
    while (j < n_other && ip_prefix_compare (&other[j].prefix, &list[i].prefix) < 0)
      j++;
    bool present = j < n_other && same_route (&other[j], &list[i]);
    if (!present && route_step (&list[i]) == step)
      change (routing, &list[i]);
  }
}

static void
set_blocked (PolicyRouting *routing, bool on)
{
  static const IpPrefix all4 = {.addr.family = 4}, all6 = {.addr.family = 6};
  uint16_t message = on ? RTM_NEWROUTE : RTM_DELROUTE;
  uint16_t flags = on ? NLM_F_CREATE | NLM_F_REPLACE : 0;
  NetlinkTolerance tolerance = on ? NETLINK_MAY_EXIST : NETLINK_MAY_BE_GONE;

  put_route (routing, message, flags, &all4, HOST_ROUTE_UNREACHABLE, METRIC_LAST, tolerance);
  if (routing->ipv6_rules)
    put_route (routing, message, flags, &all6, HOST_ROUTE_UNREACHABLE, METRIC_LAST, tolerance);
}

int
policy_routing_apply (PolicyRouting *routing, const HostConfig *config)
{
  size_t n;
  HostRoute *wanted = adapt_routes (routing, config, &n);

  if (config->kill_switch && !routing->blocked)
    set_blocked (routing, true);
  for (int step = 0; step <= 2; step++)
    for_each_missing (routing, wanted, n, routing->installed, routing->n_installed, step,
                      add_route);
  /* What was only retyped must not be deleted after its successor was put in its place by prefix:
   * deletions name the type, so they hit the old one alone. */
  for (int step = 2; step >= 0; step--)
    for_each_missing (routing, routing->installed, routing->n_installed, wanted, n, step,
                      delete_route);
  if (!config->kill_switch)
    set_blocked (routing, false);
  int error = netlink_flush (routing->netlink);
  routing->blocked = config->kill_switch && error == 0;
  g_free (routing->installed);
  routing->installed = wanted;
  routing->n_installed = error == 0 ? n : 0; /* after a failure everything is asked for again */
  return error;
}

void
policy_routing_undo (PolicyRouting *routing)
{
  policy_routing_clean (routing->netlink, false);
  routing->n_installed = 0;
  routing->blocked = false;
}

typedef struct
{
  GArray *routes; /* of struct nlmsghdr copies */
  bool keep_unreachable;
} TableDump;

static int
collect_route (const struct nlmsghdr *nlh, void *user_data)
{
  TableDump *dump = user_data;
  const struct rtmsg *route = mnl_nlmsg_get_payload (nlh);
  uint32_t table = route->rtm_table;
  struct nlattr *attr;

  mnl_attr_for_each (attr, nlh, sizeof *route)
  {
    if (mnl_attr_get_type (attr) == RTA_TABLE)
      table = mnl_attr_get_u32 (attr);
  }
  if (table != HOST_ROUTE_TABLE
      || (dump->keep_unreachable && route->rtm_type == RTN_UNREACHABLE && route->rtm_dst_len == 0))
    return MNL_CB_OK;
  g_array_append_vals (dump->routes, nlh, MNL_ALIGN (nlh->nlmsg_len));
  return MNL_CB_OK;
}

static void
flush_table (Netlink *netlink, int family, bool keep_unreachable)
{
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, 1);
  TableDump dump = {.routes = routes, .keep_unreachable = keep_unreachable};
  char buffer[64] __attribute__ ((aligned (8)));
  struct nlmsghdr *nlh = mnl_nlmsg_put_header (buffer);

  nlh->nlmsg_type = RTM_GETROUTE;
  struct rtmsg *request = mnl_nlmsg_put_extra_header (nlh, sizeof *request);
  request->rtm_family = (unsigned char)family;
  if (!netlink_dump (netlink, nlh, collect_route, &dump))
    return;
  for (size_t at = 0; at < routes->len;) {
    const struct nlmsghdr *route = (const struct nlmsghdr *)(routes->data + at);
    struct nlmsghdr *deletion = netlink_begin (netlink, RTM_DELROUTE, 0);
    size_t size = route->nlmsg_len - MNL_NLMSG_HDRLEN;
    memcpy (mnl_nlmsg_put_extra_header (deletion, size), mnl_nlmsg_get_payload (route), size);
    netlink_commit (netlink, NETLINK_MAY_BE_GONE);
    at += MNL_ALIGN (route->nlmsg_len);
  }
}

int
policy_routing_clean (Netlink *netlink, bool keep_blocked)
{
  static const int families[] = {AF_INET, AF_INET6};
  int first_error = 0;

  for (size_t f = 0; f < G_N_ELEMENTS (families); f++) {
    if (families[f] == AF_INET6 && !policy_routing_ipv6_supported (netlink))
      continue;
    flush_table (netlink, families[f], keep_blocked);
    if (!keep_blocked)
      for (size_t i = 0; i < G_N_ELEMENTS (rules); i++)
        put_rule_deletion (netlink, families[f], i);
    int error = netlink_flush (netlink);
    if (first_error == 0)
      first_error = error;
  }
  return first_error;
}
