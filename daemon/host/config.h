/* What the Linux host should look like while the tunnel is up: addresses, routes, firewall.
 *
 * An immutable, reference-counted value that session/plan computes and host/host brings about
 * (DESIGN, rule 2; spec/linux-host.md §2, §3, §7). It says nothing about DNS (dns/config.h). Built
 * with a HostConfigBuilder; read from any thread once built. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_MARK_BYPASS  0x00080000u /* our own sockets: never into the tunnel */
#define HOST_MARK_FORWARD 0x00040000u /* forwarded packets that came in from the tunnel */
#define HOST_MARK_MASK    0x00ff0000u
#define HOST_ROUTE_TABLE  5252
#define HOST_RULE_BASE    5100 /* first priority of our policy rules */
#define HOST_MTU_MIN      1280 /* below it the kernel switches IPv6 off */

typedef enum
{
  HOST_ROUTE_TUNNEL,      /* into the TUN device */
  HOST_ROUTE_THROW,       /* look in the main table instead: stays local */
  HOST_ROUTE_UNREACHABLE, /* fails with EHOSTUNREACH */
} HostRouteType;

typedef struct
{
  IpPrefix prefix; /* no host bits */
  HostRouteType type;
} HostRoute;

typedef struct HostConfig HostConfig;
struct HostConfig
{
  _Atomic unsigned references;
  uint32_t mtu;      /* bytes, >= HOST_MTU_MIN */
  bool kill_switch;  /* an exit node is selected: unreachable default routes of last resort, both
                        families */
  bool guard_dns;    /* with an exit node: DNS leaves through the tunnel or not at all */
  bool drop_spoofed; /* drop packets of other interfaces that claim a peer's address */
  bool forward4;     /* serve: packets of peers may go on to other networks */
  bool forward6;
  bool snat;           /* … with our own address as their source */
  IpPrefix *addresses; /* of the device, /32 and /128, sorted */
  size_t n_addresses;
  HostRoute *routes; /* sorted by prefix, one per prefix */
  size_t n_routes;
  IpAddr *peers4; /* peers' IPv4 addresses for drop_spoofed, sorted */
  size_t n_peers4;
};

typedef struct HostConfigBuilder HostConfigBuilder;

/* A builder with MTU 1280 and everything off and empty. Consumed by host_config_build. */
HostConfigBuilder *host_config_builder_new (void);
void host_config_builder_set_mtu (HostConfigBuilder *b, uint32_t mtu);
void host_config_builder_set_kill_switch (HostConfigBuilder *b, bool on);
void host_config_builder_set_guard_dns (HostConfigBuilder *b, bool on);
void host_config_builder_set_drop_spoofed (HostConfigBuilder *b, bool on);
void host_config_builder_set_forward (HostConfigBuilder *b, bool ipv4, bool ipv6, bool snat);
void host_config_builder_add_address (HostConfigBuilder *b, const IpAddr *address);
/* Two routes of one prefix: throw wins over unreachable, unreachable over tunnel. */
void
host_config_builder_add_route (HostConfigBuilder *b, const IpPrefix *prefix, HostRouteType type);
void host_config_builder_add_peer (HostConfigBuilder *b, const IpAddr *address);

/* Sorts, removes doubles, frees the builder, and returns a value with one reference. */
HostConfig *host_config_build (HostConfigBuilder *b);
HostConfig *host_config_ref (HostConfig *config);
void host_config_unref (HostConfig *config);
bool host_config_equal (const HostConfig *a, const HostConfig *b);
