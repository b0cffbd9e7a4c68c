/* What the tunnel should be: peers, their prefixes, the packet filter, our own addresses.
 *
 * An immutable, reference-counted value that session/plan computes and tunnel brings about (DESIGN
 * rule 2). Nothing here changes while a peer lives its life: sessions, counters and paths belong to
 * the tunnel, keyed by node key. Versions share structure: an update costs the peers that changed,
 * not the peers there are. No private key is in it. Any thread. */
#pragma once

#include "base/ip.h"
#include "base/key.h"
#include "base/shared-map.h"
#include "filter/filter.h"
#include "netmap/derp-map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUNNEL_MTU_DEFAULT 1280

/* One peer that may exchange packets with us. Immutable, one allocation. */
typedef struct TunnelPeer TunnelPeer;
struct TunnelPeer
{
  _Atomic unsigned references;
  int64_t id; /* NodeId, key of all updates */
  NodePublic key;
  DiscoPublic disco_key; /* zero: none */
  IpAddr address4;       /* its first own tailnet address, family 0: none */
  IpAddr address6;       /* likewise */
  const IpPrefix
      *routes; /* packets to these go to it; no host bits. The longest of all peers wins */
  size_t n_routes;
  const IpPrefix *sources; /* packets from it must come from these; no host bits */
  size_t n_sources;
  const IpPort *endpoints; /* candidate UDP endpoints as the map tells them */
  size_t n_endpoints;
  uint16_t home_region; /* DERP, 0: unknown */
  uint32_t capability_version;
  IpAddr masquerade4; /* the peer knows us by these, family 0: by our own address */
  IpAddr masquerade6;
  bool wireguard_only; /* no disco, no DERP */
  bool jailed;         /* may answer us, not initiate */
  bool expired;        /* no new sessions with it */
};

/* Switches that the control server may set as node attributes; sticky ones are the tunnel's
 * business. */
typedef struct
{
  bool disable_tun_udp_gro;
  bool disable_tun_tcp_gro;
  bool disable_udp_gro;
  bool disable_udp_gso;
  bool never_gso_equal_tail;
  bool randomize_port;
  bool only_tcp_443;
  bool silent_disco;
  bool always_stun;
} TunnelKnobs;

/* Everything that is not a peer. */
typedef struct
{
  NodePublic self_key; /* the tunnel is shut while its private key is another one */
  int64_t self_id;
  IpAddr address4; /* our own native tailnet addresses, family 0: none */
  IpAddr address6;
  uint16_t peerapi_port4; /* TCP port that is let in whatever the filter says, 0: none */
  uint16_t peerapi_port6;
  Filter *filter;    /* NULL drops everything that comes in */
  DerpMap *derp_map; /* NULL: no relays */
  TunnelKnobs knobs;
  uint32_t mtu; /* of the TUN device, bytes */
  bool shut;    /* no packet passes in either direction (logged out, expired, locked) */
} TunnelSettings;

typedef struct TunnelConfig TunnelConfig;

/* Deep copy of FIELDS (its references are ignored), routes, sources and endpoints included. */
TunnelPeer *tunnel_peer_new (const TunnelPeer *fields);
TunnelPeer *tunnel_peer_ref (TunnelPeer *peer);
void tunnel_peer_unref (TunnelPeer *peer);
bool tunnel_peer_equal (const TunnelPeer *a, const TunnelPeer *b);

/* BASE (NULL: no peers) with SETTINGS in place of its own, PUT added or replaced by id, and the ids
 * of REMOVED taken out. Takes references of its own to filter, DERP map and peers; BASE stays
 * valid. Costs a few microseconds for few changes. A peer equal to the one in BASE keeps its
 * record. */
TunnelConfig *tunnel_config_update (const TunnelConfig *base, const TunnelSettings *settings,
                                    TunnelPeer *const *put, size_t n_put, const int64_t *removed,
                                    size_t n_removed);
TunnelConfig *tunnel_config_ref (TunnelConfig *config);
void tunnel_config_unref (TunnelConfig *config);

const TunnelSettings *tunnel_config_settings (const TunnelConfig *config);
size_t tunnel_config_n_peers (const TunnelConfig *config);

/* The peer with ID, or NULL; borrowed. */
const TunnelPeer *tunnel_config_peer (const TunnelConfig *config, int64_t id);

/* True when nothing differs. Cheap for values that share structure; filter and DERP map are
 * compared by identity. */
bool tunnel_config_equal (const TunnelConfig *a, const TunnelConfig *b);

/* Walks over all peers, in order of their ids. */
typedef struct
{
  SharedMapIter at;
} TunnelConfigIter;

TunnelConfigIter tunnel_config_iter (const TunnelConfig *config);

/* The next peer (borrowed), or NULL at the end. */
TunnelPeer *tunnel_config_iter_next (TunnelConfigIter *iter);

/* Walks over what differs between two configurations, without looking at what they share. */
typedef struct
{
  SharedMapDiff at;
  SharedMap *nothing; /* stands for a BEFORE of NULL */
} TunnelConfigDiff;

/* BEFORE may be NULL (everything is new). Both must outlive the walk, which ends with
 * tunnel_config_diff_end. */
void tunnel_config_diff_begin (TunnelConfigDiff *diff, const TunnelConfig *before,
                               const TunnelConfig *after);

/* The next difference: *BEFORE NULL for an added peer, *AFTER NULL for a removed one. False at the
 * end. */
bool tunnel_config_diff_next (TunnelConfigDiff *diff, TunnelPeer **before, TunnelPeer **after);
void tunnel_config_diff_end (TunnelConfigDiff *diff);
