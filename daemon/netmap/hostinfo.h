/* What a node says about itself to the server: Hostinfo and NetInfo.
 *
 * A plain value whose texts belong to an arena; encoded by clients, decoded by servers
 * (spec/control-protocol.md §11). What others see of it is NodeHostinfo in netmap/node.h. Empty
 * texts are NULL or "" and are not sent. */
#pragma once

#include "base/arena.h"
#include "netmap/node.h"

#define NETINFO_LATENCIES_MAX 1024

typedef struct
{
  char region[16]; /* "900-v4" */
  double seconds;
} DerpLatency;

typedef struct
{
  Tri mapping_varies_by_dest_ip;
  Tri working_ipv6, os_has_ipv6, working_udp, working_icmpv4;
  bool have_port_map;
  Tri upnp, pmp, pcp;
  int32_t preferred_derp; /* home region; 0 none */
  const char *link_type;
  const DerpLatency *derp_latency;
  size_t n_derp_latency;
  const char *firewall_mode;
} NetInfo;

typedef struct
{
  const char *ipn_version, *frontend_log_id, *backend_log_id, *os, *os_version, *env;
  const char *distro, *distro_version, *distro_code_name, *app, *package, *device_model;
  const char *hostname, *machine, *go_arch, *go_arch_var, *go_version, *cloud;
  const char *services_hash, *exit_node_id;
  Tri container, desktop, userspace, userspace_router, app_connector, state_encrypted;
  bool shields_up, sharee_node, no_logs_no_support, wire_ingress, ingress_enabled;
  bool allows_update, remote_config, peer_relay;
  const IpPrefix *routable_ips; /* sorted */
  size_t n_routable_ips;
  const char *const *request_tags; /* sorted */
  size_t n_request_tags;
  const char *const *wol_macs;
  size_t n_wol_macs;
  const char *const *ssh_host_keys;
  size_t n_ssh_host_keys;
  const NodeService *services;
  size_t n_services;
  const NodeLocation *location; /* NULL none */
  const NetInfo *net_info;      /* NULL: not known (sent as absent) */
} Hostinfo;

/* Everything empty or unknown. */
void hostinfo_init (Hostinfo *info);
void net_info_init (NetInfo *info);

void hostinfo_encode (const Hostinfo *info, JsonWriter *w);
void net_info_encode (const NetInfo *info, JsonWriter *w);

/* Decodes into INFO, texts into ARENA. False: the reader is failed. Unknown members are skipped. */
bool hostinfo_decode (JsonReader *r, Arena *arena, Hostinfo *info);

/* Deep copy of everything FROM points to into ARENA. */
void hostinfo_copy (Hostinfo *to, const Hostinfo *from, Arena *arena);
void net_info_copy (NetInfo *to, const NetInfo *from, Arena *arena);

bool hostinfo_equal (const Hostinfo *a, const Hostinfo *b);

/* Equal in everything but latencies: no reason for an update of its own. */
bool net_info_equal_but_latency (const NetInfo *a, const NetInfo *b);
