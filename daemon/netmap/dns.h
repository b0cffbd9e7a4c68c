/* DNSConfig of the network map as it stands on the wire: what the administrator wants of names.
 *
 * Not what the host will be told: that is dns/config.h, which session/plan computes from this.
 * Immutable and reference-counted. spec/netmap-and-policy.md A.7, spec/linux-host.md §4. */
#pragma once

#include "netmap/node.h"

#define NETMAP_DNS_LIST_MAX 65535

typedef struct
{
  const char *suffix;       /* without leading and trailing dot, lower case */
  const DnsServer *servers; /* none: answer it ourselves */
  size_t n_servers;
} NetmapDnsRoute;

typedef struct
{
  const char *name; /* without trailing dot, lower case */
  const char *type; /* "", "A", "AAAA", others ignored */
  const char *value;
} NetmapDnsRecord;

typedef struct NetmapDns NetmapDns;
struct NetmapDns
{
  _Atomic uint32_t references;
  const DnsServer *resolvers; /* override the local DNS */
  size_t n_resolvers;
  const DnsServer *fallback_resolvers;
  size_t n_fallback_resolvers;
  const NetmapDnsRoute *routes; /* sorted by suffix */
  size_t n_routes;
  const char *const *domains; /* search domains, order kept */
  size_t n_domains;
  const char *const *cert_domains;
  size_t n_cert_domains;
  const NetmapDnsRecord *extra_records;
  size_t n_extra_records;
  const char *const *exit_node_filtered; /* lower case */
  size_t n_exit_node_filtered;
  bool proxied; /* MagicDNS is on */
};

NetmapDns *netmap_dns_ref (const NetmapDns *dns);
void netmap_dns_unref (const NetmapDns *dns);
NetmapDns *netmap_dns_decode (JsonReader *r); /* NULL on failure */
void netmap_dns_encode (const NetmapDns *dns, JsonWriter *w);
bool netmap_dns_equal (const NetmapDns *a, const NetmapDns *b);
