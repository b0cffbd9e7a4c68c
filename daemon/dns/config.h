/* What names should mean on this computer: the value that session/plan computes for the resolver.
 *
 * Immutable and reference-counted (DESIGN, rule 2; spec/linux-host.md §4, rows 1-9). How the OS is
 * told is not decided here. Read from any thread once built. */
#pragma once

#include "base/ip.h"
#include "netmap/node.h"

typedef struct
{
  const char *suffix;       /* without dots at the ends, lower case */
  const DnsServer *servers; /* none: we answer it ourselves */
  size_t n_servers;
} DnsRoute;

/* A name that the administrator added; A or AAAA by the address's family. */
typedef struct
{
  const char *name; /* lower case, no trailing dot */
  IpAddr addr;
} DnsHost;

typedef struct DnsConfig DnsConfig;
struct DnsConfig
{
  _Atomic uint32_t references;
  bool enabled;           /* false: remove every setting of ours from the computer */
  bool for_host;          /* the computer is to use it (the user accepts DNS settings) */
  bool magic_dns;         /* node names resolve */
  bool only_ipv6;         /* we have no IPv4 address: only the IPv6 service address */
  bool only_ipv4_service; /* tell the OS only the IPv4 service address */
  bool answer_aaaa;       /* AAAA for peers that have IPv4, too */
  bool exit_node_proxy;   /* defaults are the exit node's own resolver */
  const char *suffix;     /* of the tailnet, "" unknown */
  const DnsServer *defaults;
  size_t n_defaults;
  const DnsRoute *routes; /* sorted by suffix */
  size_t n_routes;
  const char *const *search;
  size_t n_search;
  const DnsHost *hosts;
  size_t n_hosts;
};

/* A value with one reference and deep copies of everything DRAFT points to. */
DnsConfig *dns_config_pack (const DnsConfig *draft);
DnsConfig *dns_config_ref (const DnsConfig *config);
void dns_config_unref (const DnsConfig *config);
bool dns_config_equal (const DnsConfig *a, const DnsConfig *b);
