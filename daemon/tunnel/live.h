/* What the threads of the tunnel share while it runs: a record for each peer, and one published
 * view of the configuration.
 *
 * Net makes and frees all of it; workers and main read it inside an epoch (base/epoch.h). What only
 * the owner of a peer touches hangs on ActivePeer (tunnel/active.h). DESIGN rule 3,
 * spec/wireguard-dataplane.md §12. */
#pragma once

#include "base/epoch.h"
#include "base/prefix-table.h"
#include "tunnel/config.h"
#include "tunnel/udp.h"

#define TUNNEL_WORKERS_MAX 4

typedef struct ActivePeer ActivePeer;

/* A socket for one peer alone. Lives as long as net; what stands in it changes. */
typedef struct
{
  _Atomic int fd;   /* -1: not in use */
  _Atomic bool gso; /* false after EIO */
  uint32_t number;  /* net's, 0: free */
  IpPort remote;    /* net's: whom it leads to */
} SideWay;

/* Where packets for a peer go now. Immutable but for what udp.c remembers. Net makes it. */
typedef struct
{
  UdpTarget target;
  IpPort udp;      /* family 0: not by UDP */
  SideWay *side;   /* udp leads through it; NULL: through the worker's socket */
  bool trusted;    /* udp was confirmed lately */
  uint16_t region; /* relay, 0: not by relay. Both may be set, and then both are used */
} Destination;

/* A peer of the configuration. Lives until it is removed and every thread has let go of it. */
typedef struct LivePeer LivePeer;
struct LivePeer
{
  NodePublic key;
  uint8_t owner;                       /* worker */
  bool forgotten;                      /* owner: it was removed; nothing may make it active again */
  LivePeer *next_removed;              /* net */
  EpochDomain *epochs;                 /* net: where it is to be freed, once removed */
  _Atomic (TunnelPeer *) config;       /* published by net */
  _Atomic (Destination *) destination; /* published by net; NULL: no way known */
  _Atomic (ActivePeer *) active;       /* made by the owner, freed by net; NULL: idle */
  _Atomic uint64_t rx_bytes;           /* inner packets */
  _Atomic uint64_t tx_bytes;
  _Atomic int64_t last_handshake_us;
  _Atomic int64_t last_receive_us;
  _Atomic int64_t last_send_us;
};

LivePeer *live_peer_new (const NodePublic *key, unsigned owner, TunnelPeer *config);
void live_peer_free (void *peer);

/* The configuration in the form that packets need. Immutable. */
typedef struct
{
  uint64_t number;            /* of the configuration it was made from */
  const PrefixTable *routes;  /* destination -> LivePeer */
  const PrefixTable *sources; /* source -> LivePeer that may send from it */
  SharedMap *by_key;          /* first 8 bytes of the key -> LivePeer */
  TunnelSettings settings;    /* with references of its own; filter may be NULL */
  bool attributes;            /* some peer is jailed or masqueraded to */
} View;

/* A view without peers that lets nothing pass. */
View *view_new_empty (void);
void view_free (void *view);

/* The peer with KEY, or NULL. */
LivePeer *view_peer (const View *view, const NodePublic *key);

/* The number under which a key stands in by_key. */
uint64_t view_key_hash (const NodePublic *key);

/* The UDP sockets of all workers, both families. */
typedef struct
{
  unsigned n;
  struct
  {
    UdpSocket v4;
    UdpSocket v6;
  } workers[TUNNEL_WORKERS_MAX];
} Sockets;

Sockets *sockets_new (void);
void sockets_free (void *sockets);
void sockets_close_family (Sockets *sockets, uint8_t family);

static inline UdpSocket *
sockets_for (Sockets *sockets, unsigned worker, uint8_t family)
{
  return family == 4 ? &sockets->workers[worker].v4 : &sockets->workers[worker].v6;
}

/* Adds to a counter that only one thread writes. */
static inline void
counter_add (_Atomic uint64_t *counter, uint64_t value)
{
  atomic_store_explicit (counter, atomic_load_explicit (counter, memory_order_relaxed) + value,
                         memory_order_relaxed);
}
