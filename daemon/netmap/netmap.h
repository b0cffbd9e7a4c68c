/* The network map at one moment: an immutable, reference-counted snapshot.
 *
 * A message of the server yields a new snapshot that shares with the old one whatever did not
 * change (netmap_apply, spec/netmap-and-policy.md A.2-A.5, A.9). Snapshots belong to one thread
 * (main); the Node records, DERP map, DNS and rule lists in them may be kept by any thread. */
#pragma once

#include "netmap/derp-map.h"
#include "netmap/dns.h"
#include "netmap/filter-rule.h"
#include "netmap/node.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  _Atomic uint32_t references;
  UserId id;
  const char *login_name, *display_name, *picture_url; /* never NULL */
} UserProfile;

typedef struct
{
  const char *name; /* "base", … */
  FilterRules *rules;
} NamedFilter;

typedef enum
{
  NOTICE_LOW,
  NOTICE_MEDIUM,
  NOTICE_HIGH,
} NoticeSeverity;

/* A message of the server to the user (DisplayMessages, or Health in its old form). */
typedef struct
{
  const char *id;
  const char *title, *text;              /* plain text; never NULL */
  const char *action_url, *action_label; /* "" when there is none; check the URL before use */
  NoticeSeverity severity;
  bool impacts_connectivity;
} Notice;

typedef struct
{
  const char *head; /* text of the head's hash; "" unknown */
  bool disabled;
} LockInfo;

#define NETMAP_NAME_MAX 256 /* longest display name and its NUL */

typedef struct Netmap Netmap;

Netmap *netmap_ref (const Netmap *map);
void netmap_unref (const Netmap *map);

/* This node. Never NULL in a map that netmap_apply returned for a complete first message. */
const Node *netmap_self (const Netmap *map);

/* Peers, in order of id. */
size_t netmap_n_peers (const Netmap *map);

typedef struct
{
  const Netmap *map;
  size_t leaf, index;
} NetmapIter;

/* "for (NetmapIter i = netmap_iter (map); (node = netmap_iter_next (&i));)"; nodes are borrowed. */
NetmapIter netmap_iter (const Netmap *map);
const Node *netmap_iter_next (NetmapIter *iter);

/* Look-ups; borrowed, NULL when there is none. by_address finds peers and self by own address;
 * by_id, by_key and by_stable_id find peers only. */
const Node *netmap_peer (const Netmap *map, NodeId id);
const Node *netmap_peer_by_key (const Netmap *map, const NodePublic *key);
/* The peer with KEY that has the smallest id above AFTER. */
const Node *netmap_next_peer_with_key (const Netmap *map, const NodePublic *key, NodeId after);
const Node *netmap_peer_by_stable_id (const Netmap *map, const char *stable_id);
const Node *netmap_node_by_address (const Netmap *map, const IpAddr *addr);

/* True when another peer with a lower id has the same node key; such a peer stays out of the tunnel
 * (A.4). */
bool netmap_peer_is_duplicate (const Netmap *map, const Node *peer);

/* How many peers are unsigned_peer_api_only (for the filter's validity check, B.7). */
size_t netmap_n_unsigned_peers (const Netmap *map);

const UserProfile *netmap_user (const Netmap *map, UserId id); /* NULL unknown */
size_t netmap_n_users (const Netmap *map);

DerpMap *netmap_derp_map (const Netmap *map);  /* borrowed; NULL: none known */
NetmapDns *netmap_dns (const Netmap *map);     /* borrowed; NULL: none */
const char *netmap_domain (const Netmap *map); /* "" unknown */

/* Named filter lists, sorted by name; effective rules are all of them together. */
const NamedFilter *netmap_filters (const Netmap *map, size_t *count);

/* Raw JSON object, NULL when the server sent none. */
const char *netmap_ssh_policy (const Netmap *map);

const Notice *netmap_notices (const Netmap *map, size_t *count);

/* Tailnet lock: NULL means off as far as this map knows. */
const LockInfo *netmap_lock (const Netmap *map);

/* What to add to the local clock to get the server's, microseconds; 0 when it is close. */
int64_t netmap_control_delta_us (const Netmap *map);

/* LOCAL as the server's clock shows it. */
WallTime netmap_control_time (const Netmap *map, WallTime local);

/* Display name (A.6) of NODE for a person in this tailnet: base name, or the FQDN without its dot
 * for nodes of other tailnets. Writes at most SIZE bytes with the NUL. */
void netmap_display_name (const Netmap *map, const Node *node, char *out, size_t size);

/* The tailnet's DNS suffix: own name without its first label and dots at the ends; "" unknown. */
const char *netmap_magic_dns_suffix (const Netmap *map);

/* ---- what changed between two snapshots ---- */

typedef enum
{
  NETMAP_CHANGED_SELF = 1 << 0, /* see self_changed */
  NETMAP_CHANGED_DERP_MAP = 1 << 1,
  NETMAP_CHANGED_DNS = 1 << 2,
  NETMAP_CHANGED_FILTER = 1 << 3,
  NETMAP_CHANGED_USERS = 1 << 4,
  NETMAP_CHANGED_DOMAIN = 1 << 5,
  NETMAP_CHANGED_NOTICES = 1 << 6,
  NETMAP_CHANGED_SSH_POLICY = 1 << 7,
  NETMAP_CHANGED_LOCK = 1 << 8,
  NETMAP_CHANGED_CLOCK = 1 << 9,  /* control delta */
  NETMAP_CHANGED_PEERS = 1 << 10, /* n_peers > 0 */
} NetmapChange;

typedef struct
{
  NodeId id;
  uint32_t changed; /* NodeChange bits; 0 for added and removed ones */
  Node *before;     /* reference; NULL: added */
  Node *after;      /* reference; NULL: removed */
} NetmapPeerChange;

typedef struct
{
  uint32_t flags;          /* NetmapChange bits; 0: nothing changed */
  uint32_t self_changed;   /* NodeChange bits */
  NetmapPeerChange *peers; /* in order of id */
  size_t n_peers;
  size_t room;
} NetmapChanges;

void netmap_changes_init (NetmapChanges *changes);
void netmap_changes_clear (NetmapChanges *changes);

/* What leads from OLD (may be NULL) to NEW, appended to an empty CHANGES. Costs what differs, not
 * what is there, when NEW was made from OLD. */
void netmap_diff (const Netmap *old, const Netmap *new_map, NetmapChanges *changes);

struct MapMessage;

/* The snapshot after MESSAGE. OLD is NULL for the first message of a stream, which starts from an
 * empty peer set; hand that one the last DERP map with netmap_new if there is one. LOCAL_NOW is
 * this computer's clock. CHANGES (may be NULL) tells what differs from OLD and is empty, and the
 * result OLD itself with one more reference, when nothing does. */
Netmap *netmap_apply (const Netmap *old, const struct MapMessage *message, WallTime local_now,
                      NetmapChanges *changes);

/* A map that knows nothing but the relays of LAST (may be NULL): where a new stream starts. */
Netmap *netmap_new (const Netmap *last);

/* The snapshot with every node marked whose key_expiry is not later than CONTROL_NOW; MAP itself
 * with one more reference when there is none. */
Netmap *netmap_expire (const Netmap *map, WallTime control_now, NetmapChanges *changes);

/* When netmap_expire should be called next, by the local clock: nearest expiry + 10 s, but not
 * before LOCAL_NOW + 30 s if that has passed; unset when nothing expires. */
WallTime netmap_next_expiry (const Netmap *map, WallTime local_now);

/* The snapshot after peer ID itself told us its disco key (TSMP, B.8) at LOCAL_NOW: ranks above
 * what the server says about an earlier moment (A.5). */
Netmap *netmap_learn_disco_key (const Netmap *map, NodeId id, const DiscoPublic *key,
                                WallTime local_now, NetmapChanges *changes);

/* The whole map as one MapResponse, for the cache on disk; read back with map_decoder and
 * netmap_apply. */
void netmap_encode (const Netmap *map, JsonWriter *w);
