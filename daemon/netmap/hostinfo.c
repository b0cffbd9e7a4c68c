#include "netmap/hostinfo.h"

#include "netmap/hostinfo-record.h"
#include "netmap/node-record.h"

#include <string.h>

#define NET(kind, member, name) RECORD (NetInfo, RECORD_##kind, member, name)

static const RecordField net_info_fields[] = {
    NET (TRI, mapping_varies_by_dest_ip, "MappingVariesByDestIP"),
    NET (TRI, working_ipv6, "WorkingIPv6"),
    NET (TRI, os_has_ipv6, "OSHasIPv6"),
    NET (TRI, working_udp, "WorkingUDP"),
    NET (TRI, working_icmpv4, "WorkingICMPv4"),
    NET (BOOL, have_port_map, "HavePortMap"),
    NET (TRI, upnp, "UPnP"),
    NET (TRI, pmp, "PMP"),
    NET (TRI, pcp, "PCP"),
    NET (I32, preferred_derp, "PreferredDERP"),
    NET (TEXT, link_type, "LinkType"),
    NET (TEXT, firewall_mode, "FirewallMode"),
};
/* What is compared to decide on an update: everything but latencies. */
static const RecordType net_info_core_type = RECORD_TYPE (NetInfo, net_info_fields);

static const RecordField latency_fields[] = {
    RECORD_N (NetInfo, RECORD_LATENCIES, derp_latency, n_derp_latency, "DERPLatency"),
};
static const RecordType net_info_type
    = RECORD_TYPE (NetInfo, latency_fields, .base = &net_info_core_type);

#define HOST(kind, member, name) RECORD (Hostinfo, RECORD_##kind, member, name)
#define HOST_LIST(kind, member, name, ...)                                                         \
  RECORD_N (Hostinfo, RECORD_##kind, member, n_##member, name, __VA_ARGS__)

static const RecordField hostinfo_fields[] = {
    HOST (TEXT, ipn_version, "IPNVersion"),
    HOST (TEXT, frontend_log_id, "FrontendLogID"),
    HOST (TEXT, backend_log_id, "BackendLogID"),
    HOST (TEXT, os, "OS"),
    HOST (TEXT, os_version, "OSVersion"),
    HOST (TRI, container, "Container"),
    HOST (TEXT, env, "Env"),
    HOST (TEXT, distro, "Distro"),
    HOST (TEXT, distro_version, "DistroVersion"),
    HOST (TEXT, distro_code_name, "DistroCodeName"),
    HOST (TEXT, app, "App"),
    HOST (TRI, desktop, "Desktop"),
    HOST (TEXT, package, "Package"),
    HOST (TEXT, device_model, "DeviceModel"),
    HOST (TEXT, hostname, "Hostname"),
    HOST (BOOL, shields_up, "ShieldsUp"),
    HOST (BOOL, sharee_node, "ShareeNode"),
    HOST (BOOL, no_logs_no_support, "NoLogsNoSupport"),
    HOST (BOOL, remote_config, "RemoteConfig"),
    HOST (BOOL, wire_ingress, "WireIngress"),
    HOST (BOOL, ingress_enabled, "IngressEnabled"),
    HOST (BOOL, allows_update, "AllowsUpdate"),
    HOST (TEXT, machine, "Machine"),
    HOST (TEXT, go_arch, "GoArch"),
    HOST (TEXT, go_arch_var, "GoArchVar"),
    HOST (TEXT, go_version, "GoVersion"),
    HOST_LIST (PREFIXES, routable_ips, "RoutableIPs"),
    HOST_LIST (TEXTS, request_tags, "RequestTags"),
    HOST_LIST (TEXTS, wol_macs, "WoLMACs"),
    HOST_LIST (STRUCTS, services, "Services", .sub = &node_service_type),
    RECORD (Hostinfo, RECORD_STRUCT, net_info, "NetInfo", .sub = &net_info_type),
    HOST_LIST (TEXTS, ssh_host_keys, "sshHostKeys"),
    HOST (TEXT, cloud, "Cloud"),
    HOST (TRI, userspace, "Userspace"),
    HOST (TRI, userspace_router, "UserspaceRouter"),
    HOST (TRI, app_connector, "AppConnector"),
    HOST (TEXT, services_hash, "ServicesHash"),
    HOST (BOOL, peer_relay, "PeerRelay"),
    HOST (TEXT, exit_node_id, "ExitNodeID"),
    RECORD (Hostinfo, RECORD_STRUCT, location, "Location", .sub = &node_location_type),
    HOST (TRI, state_encrypted, "StateEncrypted"),
};
const RecordType own_hostinfo_type = RECORD_TYPE (Hostinfo, hostinfo_fields);

void
hostinfo_init (Hostinfo *info)
{
  memset (info, 0, sizeof *info);
  record_init (&own_hostinfo_type, info);
}

void
net_info_init (NetInfo *info)
{
  memset (info, 0, sizeof *info);
  record_init (&net_info_type, info);
}

void
hostinfo_encode (const Hostinfo *info, JsonWriter *w)
{
  record_encode (&own_hostinfo_type, info, w);
}

void
net_info_encode (const NetInfo *info, JsonWriter *w)
{
  record_encode (&net_info_type, info, w);
}

bool
hostinfo_decode (JsonReader *r, Arena *arena, Hostinfo *info)
{
  return record_decode (&own_hostinfo_type, r, arena, info);
}

void
hostinfo_copy (Hostinfo *to, const Hostinfo *from, Arena *arena)
{
  record_copy (&own_hostinfo_type, from, to, arena);
}

void
net_info_copy (NetInfo *to, const NetInfo *from, Arena *arena)
{
  record_copy (&net_info_type, from, to, arena);
}

bool
hostinfo_equal (const Hostinfo *a, const Hostinfo *b)
{
  return record_diff (&own_hostinfo_type, a, b) == 0;
}

bool
net_info_equal_but_latency (const NetInfo *a, const NetInfo *b)
{
  return record_diff (&net_info_core_type, a, b) == 0;
}
