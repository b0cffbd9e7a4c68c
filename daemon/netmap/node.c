#include "netmap/node.h"

#include "netmap/node-record.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const RecordField service_fields[] = {
    RECORD (NodeService, RECORD_TEXT, proto, "Proto", .always = true),
    RECORD (NodeService, RECORD_U16, port, "Port", .always = true),
    RECORD (NodeService, RECORD_TEXT, description, "Description"),
};
const RecordType node_service_type = RECORD_TYPE (NodeService, service_fields);

static const RecordField location_fields[] = {
    RECORD (NodeLocation, RECORD_TEXT, country, "Country"),
    RECORD (NodeLocation, RECORD_TEXT, country_code, "CountryCode"),
    RECORD (NodeLocation, RECORD_TEXT, city, "City"),
    RECORD (NodeLocation, RECORD_TEXT, city_code, "CityCode"),
    RECORD (NodeLocation, RECORD_DOUBLE, latitude, "Latitude"),
    RECORD (NodeLocation, RECORD_DOUBLE, longitude, "Longitude"),
    RECORD (NodeLocation, RECORD_I32, priority, "Priority"),
};
const RecordType node_location_type = RECORD_TYPE (NodeLocation, location_fields);

static const RecordField server_fields[] = {
    RECORD (DnsServer, RECORD_TEXT, addr, "Addr"),
    RECORD_N (DnsServer, RECORD_ADDRS, bootstrap, n_bootstrap, "BootstrapResolution"),
    RECORD (DnsServer, RECORD_BOOL, use_with_exit_node, "UseWithExitNode"),
};
const RecordType dns_server_type = RECORD_TYPE (DnsServer, server_fields);

static const RecordField hostinfo_fields[] = {
    RECORD (NodeHostinfo, RECORD_TEXT, os, "OS"),
    RECORD (NodeHostinfo, RECORD_TEXT, os_version, "OSVersion"),
    RECORD (NodeHostinfo, RECORD_TEXT, distro, "Distro"),
    RECORD (NodeHostinfo, RECORD_TEXT, distro_version, "DistroVersion"),
    RECORD (NodeHostinfo, RECORD_TEXT, device_model, "DeviceModel"),
    RECORD (NodeHostinfo, RECORD_TEXT, hostname, "Hostname"),
    RECORD (NodeHostinfo, RECORD_BOOL, shields_up, "ShieldsUp"),
    RECORD (NodeHostinfo, RECORD_BOOL, sharee_node, "ShareeNode"),
    RECORD_N (NodeHostinfo, RECORD_PREFIXES, routable_ips, n_routable_ips, "RoutableIPs"),
    RECORD_N (NodeHostinfo, RECORD_STRUCTS, services, n_services, "Services",
              .sub = &node_service_type),
    RECORD_N (NodeHostinfo, RECORD_TEXTS, ssh_host_keys, n_ssh_host_keys, "sshHostKeys"),
    RECORD (NodeHostinfo, RECORD_STRUCT, location, "Location", .sub = &node_location_type),
};
static const RecordType hostinfo_type = RECORD_TYPE (NodeHostinfo, hostinfo_fields);

#define FIELD(kind, member, name, bit, ...)                                                        \
  RECORD (Node, RECORD_##kind, member, name, .change = NODE_CHANGED_##bit, __VA_ARGS__)
#define LIST(kind, member, name, bit, ...)                                                         \
  RECORD_N (Node, RECORD_##kind, member, n_##member, name, .change = NODE_CHANGED_##bit,           \
            __VA_ARGS__)

static const RecordField node_fields[] = {
    FIELD (I64, id, "ID", OTHER),
    FIELD (TEXT, stable_id, "StableID", OTHER),
    FIELD (TEXT, name, "Name", NAME),
    FIELD (I64, user, "User", OWNER),
    FIELD (I64, sharer, "Sharer", OWNER),
    FIELD (NODE_KEY, key, "Key", KEY),
    FIELD (TIME, key_expiry, "KeyExpiry", EXPIRY),
    RECORD_N (Node, RECORD_BYTES, key_signature, key_signature_size, "KeySignature",
              .change = NODE_CHANGED_SIGNATURE),
    FIELD (MACHINE_KEY, machine, "Machine", OTHER),
    FIELD (DISCO_KEY, disco_key, "DiscoKey", DISCO_KEY),
    LIST (PREFIXES, addresses, "Addresses", ADDRESSES, .always = true),
    LIST (PREFIXES, allowed_ips, "AllowedIPs", ALLOWED_IPS, .always = true),
    LIST (ADDR_PORTS, endpoints, "Endpoints", ENDPOINTS),
    FIELD (I32, home_derp, "HomeDERP", HOME_DERP),
    FIELD (STRUCT, hostinfo, "Hostinfo", HOSTINFO, .sub = &hostinfo_type),
    FIELD (TIME, created, "Created", OTHER),
    FIELD (I32, cap, "Cap", VERSION),
    LIST (TEXTS, tags, "Tags", OWNER),
    LIST (PREFIXES, primary_routes, "PrimaryRoutes", PRIMARY_ROUTES),
    FIELD (TIME, last_seen, "LastSeen", LAST_SEEN),
    FIELD (TRI, online, "Online", ONLINE),
    FIELD (BOOL, machine_authorized, "MachineAuthorized", AUTHORIZED),
    LIST (CAPS, caps, "CapMap", CAPS),
    FIELD (BOOL, unsigned_peer_api_only, "UnsignedPeerAPIOnly", SIGNATURE),
    FIELD (BOOL, expired_by_server, "Expired", EXPIRY),
    FIELD (BOOL, expired, NULL, EXPIRY),
    FIELD (ADDR, masq_v4, "SelfNodeV4MasqAddrForThisPeer", MASQUERADE),
    FIELD (ADDR, masq_v6, "SelfNodeV6MasqAddrForThisPeer", MASQUERADE),
    FIELD (BOOL, wireguard_only, "IsWireGuardOnly", KIND),
    FIELD (BOOL, jailed, "IsJailed", JAILED),
    LIST (STRUCTS, exit_node_dns, "ExitNodeDNSResolvers", KIND, .sub = &dns_server_type),
};
const RecordType node_type = RECORD_TYPE (Node, node_fields);

void
node_draft_init (Node *draft)
{
  memset (draft, 0, sizeof *draft);
  record_init (&node_type, draft);
}

Node *
node_pack (const Node *draft)
{
  size_t size;
  Node shallow = *draft, *node;

  /* Most nodes route nothing but their own addresses: those stand in memory once. */
  bool same
      = draft->n_addresses == draft->n_allowed_ips
        && (draft->n_addresses == 0
            || memcmp (draft->addresses, draft->allowed_ips, draft->n_addresses * sizeof (IpPrefix))
                   == 0);
  if (same)
    shallow.n_allowed_ips = 0;
  node = record_pack (&node_type, &shallow, &size);
  if (same) {
    node->allowed_ips = node->addresses;
    node->n_allowed_ips = node->n_addresses;
  }
  atomic_init (&node->references, 1);
  node->size = (uint32_t)size;
  return node;
}

Node *
node_ref (const Node *node)
{
  Node *n = (Node *)node;

  if (n)
    atomic_fetch_add_explicit (&n->references, 1, memory_order_relaxed);
  return n;
}

void
node_unref (const Node *node)
{
  Node *n = (Node *)node;

  if (n && atomic_fetch_sub_explicit (&n->references, 1, memory_order_acq_rel) == 1)
    free (n);
}

uint32_t
node_diff (const Node *a, const Node *b)
{
  return a == b ? 0 : record_diff (&node_type, a, b);
}

void
node_encode (const Node *node, JsonWriter *w)
{
  record_encode (&node_type, node, w);
}

/* ---- reading ---- */

/* A node with the members that only the wire has. */
typedef struct
{
  Node node;
  const char *derp;                /* old form of the home region */
  const char *const *capabilities; /* old form of caps */
  size_t n_capabilities;
} WireNode;

static const RecordField wire_fields[] = {
    RECORD (WireNode, RECORD_TEXT, derp, "DERP"),
    RECORD_N (WireNode, RECORD_TEXTS, capabilities, n_capabilities, "Capabilities"),
};
static const RecordType wire_type = RECORD_TYPE (WireNode, wire_fields, .base = &node_type);

#define LEGACY_CAPABILITIES_MAX 1024 /* entries of the old list that are looked at */

static int32_t
region_of (const char *derp)
{
  IpPort ap;
  IpAddr magic = ip_from_v4 (0x7f030328);

  if (ip_port_parse (derp, strlen (derp), &ap) && ip_equal (&ap.addr, &magic))
    return ap.port;
  return 0;
}

static int
compare_caps (const void *a, const void *b)
{
  const NodeCap *x = a, *y = b;

  return strcmp (x->name, y->name);
}

/* Adds the old list's capabilities that are missing in caps. */
static void
join_capabilities (WireNode *wire, Arena *arena)
{
  Node *node = &wire->node;
  size_t n = node->n_caps;
  NodeCap *caps = arena_array (arena, NodeCap, n + wire->n_capabilities);

  if (n > 0)
    memcpy (caps, node->caps, n * sizeof *caps);
  for (size_t i = 0; i < wire->n_capabilities && i < LEGACY_CAPABILITIES_MAX && n < NODE_LIST_MAX;
       i++) {
    NodeCap cap = {wire->capabilities[i], NULL};
    bool known = false;
    for (size_t k = 0; k < n && !known; k++)
      known = strcmp (caps[k].name, cap.name) == 0;
    if (!known)
      caps[n++] = cap;
  }
  if (n > 1)
    qsort (caps, n, sizeof *caps, compare_caps);
  node->caps = caps;
  node->n_caps = (uint16_t)n;
}

Node *
node_decode_with (JsonReader *r, Arena *scratch)
{
  WireNode wire = {0};
  Node *node = &wire.node;

  if (!record_decode (&wire_type, r, scratch, &wire))
    return NULL;
  if (node->home_derp == 0)
    node->home_derp = region_of (wire.derp);
  if (node->home_derp < 0 || node->home_derp > UINT16_MAX)
    node->home_derp = 0;
  if (!node->allowed_ips || node->unsigned_peer_api_only) {
    node->allowed_ips = node->addresses;
    node->n_allowed_ips = node->n_addresses;
  }
  if (wire.n_capabilities > 0)
    join_capabilities (&wire, scratch);
  node->expired = node->expired_by_server;
  return node_pack (node);
}

Node *
node_decode (JsonReader *r)
{
  Arena scratch = {0};
  Node *node = node_decode_with (r, &scratch);

  arena_clear (&scratch);
  return node;
}

/* ---- questions ---- */

const NodeCap *
node_cap (const Node *node, const char *name)
{
  NodeCap key = {name, NULL};

  if (node->n_caps == 0)
    return NULL;
  return bsearch (&key, node->caps, node->n_caps, sizeof key, compare_caps);
}

bool
node_has_cap (const Node *node, const char *name)
{
  return node_cap (node, name) != NULL;
}

uint16_t
node_service_port (const Node *node, const char *proto)
{
  const NodeHostinfo *info = node->hostinfo;

  for (size_t i = 0; info && i < info->n_services; i++)
    if (strcmp (info->services[i].proto, proto) == 0)
      return info->services[i].port;
  return 0;
}

IpAddr
node_address (const Node *node, int family)
{
  for (size_t i = 0; i < node->n_addresses; i++)
    if (node->addresses[i].addr.family == family)
      return node->addresses[i].addr;
  return (IpAddr){0};
}

bool
node_owns_address (const Node *node, const IpAddr *addr)
{
  for (size_t i = 0; i < node->n_addresses; i++)
    if (ip_prefix_contains (&node->addresses[i], addr))
      return true;
  return false;
}

bool
node_is_usable (const Node *node)
{
  return !node->expired && !key_zero (&node->key)
         && (!key_zero (&node->disco_key) || node->home_derp != 0 || node->wireguard_only);
}

bool
node_offers_exit (const Node *node)
{
  bool v4 = false, v6 = false;

  for (size_t i = 0; i < node->n_allowed_ips; i++) {
    if (!ip_prefix_is_default (&node->allowed_ips[i]))
      continue;
    v4 = v4 || node->allowed_ips[i].addr.family == 4;
    v6 = v6 || node->allowed_ips[i].addr.family == 6;
  }
  return v4 && v6;
}

UserId
node_owner (const Node *node)
{
  return node->sharer ? node->sharer : node->user;
}
