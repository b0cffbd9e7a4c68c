/* One node of the network map: an immutable, reference-counted record in a single allocation.
 *
 * Fields as spec/netmap-and-policy.md A.6, A.7 (only what a client uses of a peer's Hostinfo),
 * already normalised (§1 no. 4): home_derp from the legacy DERP string, allowed_ips from addresses
 * where the server said nothing or the peer is unsigned, capabilities joined into caps. To make or
 * change one, fill a Node by hand with pointers to anything and let node_pack copy it. References
 * may be taken and dropped on any thread. */
#pragma once

#include "base/ip.h"
#include "base/key.h"
#include "base/wall-time.h"
#include "netmap/tri.h"
#include "wire/json-reader.h"
#include "wire/json-writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t NodeId;
typedef int64_t UserId;

/* The most elements that one list of a node may have; more are a decoding error. */
#define NODE_LIST_MAX 65535

/* Capability versions with a meaning for us. */
#define NODE_CAP_EXIT_DNS   26 /* can proxy DNS when used as exit node */
#define NODE_CAP_PEER_RELAY 120
#define NODE_CAP_TSMP_DISCO 144 /* announces its disco key behind each handshake */

/* One node attribute or capability. */
typedef struct NodeCap
{
  const char *name;
  const char *values; /* raw JSON array of values, or NULL when present without data */
} NodeCap;

typedef struct
{
  const char *proto; /* "tcp", "udp", "peerapi4", "peerapi6", "peerapi-dns-proxy" */
  const char *description;
  uint16_t port;
} NodeService;

typedef struct
{
  const char *country, *country_code, *city, *city_code;
  double latitude, longitude; /* degrees */
  int32_t priority;
} NodeLocation;

/* What the client uses of a peer's Hostinfo. Strings are never NULL. */
typedef struct
{
  const char *os, *os_version, *distro, *distro_version, *device_model, *hostname;
  const NodeService *services;
  const IpPrefix *routable_ips; /* what it offers */
  const char *const *ssh_host_keys;
  const NodeLocation *location; /* NULL: not said */
  uint16_t n_services, n_routable_ips, n_ssh_host_keys;
  bool shields_up, sharee_node;
} NodeHostinfo;

/* A DNS server, as DNSConfig and exit nodes name it. */
typedef struct
{
  const char *addr; /* IP, IP:port, "https://…" or "http://node:port/path" */
  const IpAddr *bootstrap;
  uint16_t n_bootstrap;
  bool use_with_exit_node;
} DnsServer;

typedef struct Node Node;
struct Node
{
  _Atomic uint32_t references;
  uint32_t size; /* bytes of this allocation */
  NodeId id;
  UserId user;   /* owner */
  UserId sharer; /* who shared it in; 0 nobody */
  NodePublic key;
  DiscoPublic disco_key;
  MachinePublic machine;
  WallTime key_expiry; /* unset: never */
  WallTime created;
  WallTime last_seen; /* unset: unknown */
  int32_t home_derp;  /* region, 0 unknown */
  int32_t cap;        /* capability version, 0 unknown */
  Tri online;         /* connected to the server */
  bool machine_authorized;
  bool unsigned_peer_api_only;
  bool expired_by_server; /* the server's word */
  bool expired;           /* the server's word, or key_expiry has passed (A.9) */
  bool wireguard_only;
  bool jailed;
  IpAddr masq_v4, masq_v6; /* how this peer knows us; family 0: by our own address */
  const char *stable_id;   /* never NULL */
  const char *name;        /* FQDN with trailing dot; "" unknown; never NULL */
  const IpPrefix *addresses;
  const IpPrefix *allowed_ips;
  const IpPrefix *primary_routes;
  const IpPort *endpoints;
  const char *const *tags;
  const NodeCap *caps; /* sorted by name */
  const uint8_t *key_signature;
  const DnsServer *exit_node_dns;
  const NodeHostinfo *hostinfo; /* NULL: not said */
  uint16_t n_addresses, n_allowed_ips, n_primary_routes, n_endpoints, n_tags, n_caps;
  uint16_t key_signature_size, n_exit_node_dns;
};

/* What differs between two versions of a node. */
typedef enum
{
  NODE_CHANGED_KEY = 1 << 0,
  NODE_CHANGED_DISCO_KEY = 1 << 1,
  NODE_CHANGED_ENDPOINTS = 1 << 2,
  NODE_CHANGED_HOME_DERP = 1 << 3,
  NODE_CHANGED_ONLINE = 1 << 4,
  NODE_CHANGED_LAST_SEEN = 1 << 5,
  NODE_CHANGED_ALLOWED_IPS = 1 << 6,
  NODE_CHANGED_PRIMARY_ROUTES = 1 << 7,
  NODE_CHANGED_ADDRESSES = 1 << 8,
  NODE_CHANGED_NAME = 1 << 9,
  NODE_CHANGED_CAPS = 1 << 10,    /* caps */
  NODE_CHANGED_VERSION = 1 << 11, /* cap */
  NODE_CHANGED_EXPIRY = 1 << 12,  /* key_expiry, expired, expired_by_server */
  NODE_CHANGED_JAILED = 1 << 13,
  NODE_CHANGED_MASQUERADE = 1 << 14,
  NODE_CHANGED_OWNER = 1 << 15, /* user, sharer, tags */
  NODE_CHANGED_HOSTINFO = 1 << 16,
  NODE_CHANGED_SIGNATURE = 1 << 17, /* key_signature, unsigned_peer_api_only */
  NODE_CHANGED_KIND = 1 << 18,      /* wireguard_only, exit_node_dns */
  NODE_CHANGED_AUTHORIZED = 1 << 19,
  NODE_CHANGED_OTHER = 1 << 20, /* stable_id, machine, created */
} NodeChange;

/* A record with one reference and deep copies of everything DRAFT points to. references and size of
 * the draft are ignored; NULL strings become "". caps must be sorted by name. */
Node *node_pack (const Node *draft);

/* A draft with nothing set (unset times, "" strings, online unknown). */
void node_draft_init (Node *draft);

Node *node_ref (const Node *node);
void node_unref (const Node *node);

/* 0 when A and B say the same, else NodeChange bits. */
uint32_t node_diff (const Node *a, const Node *b);

/* One Node object of the wire. NULL on failure (the reader is failed then). The record may be
 * without id or key: netmap_apply ignores such. */
Node *node_decode (JsonReader *r);

/* The wire form; home region as HomeDERP. */
void node_encode (const Node *node, JsonWriter *w);

/* A node attribute, or NULL; node_has_cap only asks whether it is there. */
const NodeCap *node_cap (const Node *node, const char *name);
bool node_has_cap (const Node *node, const char *name);

/* The service PROTO of the node's Hostinfo: its port, 0 when there is none. */
uint16_t node_service_port (const Node *node, const char *proto);

/* The node's first address of FAMILY (4, 6); family 0 when it has none. */
IpAddr node_address (const Node *node, int family);

/* True when ADDR is one of the node's own addresses (subnet routes do not count). */
bool node_owns_address (const Node *node, const IpAddr *addr);

/* Traffic with it is possible at all: not expired, has a key, and a disco key, a home region or
 * plain WireGuard (C.1). */
bool node_is_usable (const Node *node);

/* allowed_ips has 0.0.0.0/0 and ::/0. */
bool node_offers_exit (const Node *node);

/* Who is shown as owner: sharer if set, else user. */
UserId node_owner (const Node *node);
