/* The data plane as the main thread sees it: apply a configuration, send commands, read events and
 * status. Threads, sockets, sessions and paths are inside (DESIGN rule 3,
 * spec/wireguard-dataplane.md §8 to §12).
 *
 * No GLib and no callbacks: the caller watches tunnel_event_fd and takes events until there are
 * none. Every function here belongs to the one thread that called tunnel_new. */
#pragma once

#include "base/ip.h"
#include "base/key.h"
#include "tunnel/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUNNEL_TEXT_MAX      256
#define TUNNEL_ENDPOINTS_MAX 64
#define TUNNEL_QUEUES_MAX    4

typedef struct Tunnel Tunnel;

typedef struct
{
  int tun_fds[TUNNEL_QUEUES_MAX]; /* one per queue; become the tunnel's */
  unsigned n_tun_fds;             /* also the number of workers */
  bool vnet_header;               /* as host/tun.h reports them */
  bool tcp_merged;
  bool udp_merged;
  uint16_t port;           /* UDP port wanted, 0: any */
  bool (*mark) (int fd);   /* host/socket_mark, for every socket; NULL in tests */
  DiscoPrivate disco_key;  /* ours */
  const char *ca_file;     /* trust roots for relays, NULL: the system's; borrowed for tunnel_new */
  const char *client_name; /* "Warren" of the User-Agent to relays; borrowed for tunnel_new */
  uint8_t last_timestamp[12]; /* WireGuard TAI64N floor from disk, zero: none */
} TunnelOptions;

/* Starts net thread and workers, with sockets bound and nothing configured. NULL with errno. */
Tunnel *tunnel_new (const TunnelOptions *options);

/* Stops and joins the threads, wipes keys, closes TUN and sockets. */
void tunnel_free (Tunnel *tunnel);

/* Brings CONFIG about (a reference is taken). Returns its number: it counts as applied, revocations
 * included, once tunnel_applied reaches it (TUNNEL_EVENT_APPLIED tells). Equal values do nothing.
 */
uint64_t tunnel_apply (Tunnel *tunnel, TunnelConfig *config);
uint64_t tunnel_applied (const Tunnel *tunnel);

/* Our node key; zero takes it away, which ends every session. Copied. */
void tunnel_set_node_key (Tunnel *tunnel, const NodePrivate *key);

/* The host's links as path finding needs them (made from host/link-state.h). */
typedef struct
{
  IpPrefix prefix; /* a local address with its on-link prefix length */
  char interface[16];
  bool loopback;
  bool default_route; /* its interface is the way out for the address's family */
} TunnelLinkAddress;

typedef struct
{
  const TunnelLinkAddress *addresses;
  size_t n_addresses;
  IpAddr gateway4; /* family 0: none */
  bool up;
  bool have4;
  bool have6;
  bool major; /* sockets are bound anew and paths probed again (link_state_is_major_change) */
} TunnelLink;

void tunnel_set_link (Tunnel *tunnel, const TunnelLink *link);

/* New UDP sockets on the same port if possible, and fresh probing. */
void tunnel_rebind (Tunnel *tunnel);

/* The computer has slept for so long: relays are pinged, paths probed, sessions checked. */
void tunnel_resumed (Tunnel *tunnel, int64_t slept_us);

/* False lets relays and probing rest (no network or not wanted). */
void tunnel_set_online (Tunnel *tunnel, bool online);

/* The proxy through which relays are reached from now on, a URL with or without a password, and the
 * hosts that are reached without it (wire/proxy.h); both copied, NULL: none. */
void tunnel_set_proxies (Tunnel *tunnel, const char *https_proxy, const char *no_proxy);

typedef enum
{
  TUNNEL_PING_DISCO, /* path only, no session needed */
  TUNNEL_PING_TSMP,  /* through the tunnel, answered by the peer's client */
  TUNNEL_PING_ICMP,  /* through the tunnel, answered by the peer's system */
} TunnelPingType;

/* Asks for one pong; TUNNEL_EVENT_PING with ID comes within TIMEOUT_MS in any case. SIZE pads a
 * disco ping to that many bytes of UDP payload, 0: none. */
void tunnel_ping (Tunnel *tunnel, uint64_t id, const NodePublic *peer, TunnelPingType type,
                  size_t size, int timeout_ms);

/* Asks for a fresh report; TUNNEL_EVENT_NETCHECK with ID comes. */
void tunnel_netcheck (Tunnel *tunnel, uint64_t id);

/* Answers TUNNEL_EVENT_RESOLVE; N 0: the name could not be resolved. */
void tunnel_resolved (Tunnel *tunnel, uint64_t id, const IpAddr *addresses, size_t n);

typedef enum
{
  TUNNEL_EVENT_APPLIED,   /* number: the newest configuration that is in force */
  TUNNEL_EVENT_ENDPOINTS, /* our candidate endpoints changed: tell the control server */
  TUNNEL_EVENT_NET_INFO,  /* netcheck's view changed, home region included */
  TUNNEL_EVENT_PATH,      /* a peer's path changed */
  TUNNEL_EVENT_PING,      /* a ping was answered or timed out */
  TUNNEL_EVENT_NETCHECK,  /* a report is ready */
  TUNNEL_EVENT_RESOLVE,   /* a name is to be resolved: answer with tunnel_resolved */
  TUNNEL_EVENT_RELAY,     /* a relay connection came up, went down or reports ill health */
  TUNNEL_EVENT_DISCO_KEY, /* a peer told its disco key through the tunnel itself */
  TUNNEL_EVENT_REJECTED,  /* a peer refused one of our connections (TSMP) */
  TUNNEL_EVENT_SOCKETS,   /* UDP sockets were bound: port4, port6 */
  TUNNEL_EVENT_OFFLOAD,   /* an offload was switched off for good: text says which and why */
  TUNNEL_EVENT_TIMESTAMP, /* newest WireGuard timestamp, to be kept on disk */
  TUNNEL_EVENT_TUN_LOST,  /* the TUN device is gone */
} TunnelEventType;

typedef enum
{
  TUNNEL_ENDPOINT_LOCAL,
  TUNNEL_ENDPOINT_STUN,
  TUNNEL_ENDPOINT_PORT_MAPPED,
  TUNNEL_ENDPOINT_STUN_LOCAL_PORT, /* public address by STUN with our fixed local port */
  TUNNEL_ENDPOINT_EXPLICIT,
} TunnelEndpointType;

typedef struct
{
  IpPort address;
  TunnelEndpointType type;
} TunnelEndpoint;

typedef enum
{
  TUNNEL_UNKNOWN = -1,
  TUNNEL_NO = 0,
  TUNNEL_YES = 1,
} TunnelTristate;

#define TUNNEL_LATENCIES_MAX 64

/* One region's round trip by one family. */
typedef struct
{
  uint16_t region;
  uint8_t family; /* 4 or 6 */
  bool https;     /* measured over HTTPS, because UDP does not get out */
  int64_t latency_us;
} TunnelLatency;

/* What netcheck found out; NetInfo for the control server is made from it. */
typedef struct
{
  TunnelTristate udp;
  TunnelTristate ipv4;
  TunnelTristate ipv6;
  TunnelTristate os_has_ipv6;
  TunnelTristate mapping_varies_by_dest;
  TunnelTristate icmpv4;
  TunnelTristate upnp;
  TunnelTristate pmp;
  TunnelTristate pcp;
  bool port_mapped; /* the router lets us in */
  TunnelTristate captive_portal;
  uint16_t preferred_derp; /* home region, 0: none */
  IpPort global4;          /* our address as STUN sees it, family 0: unknown */
  IpPort global6;
  TunnelLatency latencies[TUNNEL_LATENCIES_MAX];
  size_t n_latencies;
} TunnelNetReport;

typedef struct
{
  TunnelEventType type;
  union
  {
    uint64_t number; /* APPLIED */
    struct
    {
      TunnelEndpoint list[TUNNEL_ENDPOINTS_MAX];
      size_t n;
    } endpoints;
    TunnelNetReport net_info; /* NET_INFO */
    struct
    {
      NodePublic peer;
      IpPort udp;      /* family 0: no direct path */
      uint16_t region; /* relay in use or to be used, 0: none */
    } path;
    struct
    {
      uint64_t id;
      NodePublic peer;
      bool answered;
      char error[TUNNEL_TEXT_MAX]; /* when not answered */
      int64_t latency_us;
      IpPort udp; /* answered directly from here, or family 0 */
      uint16_t region;
      uint16_t peerapi_port; /* TSMP: the peer's, 0: none */
    } ping;
    struct
    {
      uint64_t id;
      TunnelNetReport report;
    } netcheck;
    struct
    {
      uint64_t id;
      char name[TUNNEL_TEXT_MAX];
    } resolve;
    struct
    {
      uint16_t region;
      bool home;
      bool connected;
      char text[TUNNEL_TEXT_MAX]; /* reason of failure or the relay's own health message, or "" */
    } relay;
    struct
    {
      NodePublic peer;
      DiscoPublic key;
    } disco_key;
    struct
    {
      NodePublic peer;
      uint8_t protocol; /* 6 or 17 */
      uint8_t reason;   /* 'A' access rules, 'S' shields up, 'F', 'W', 'T' */
      bool maybe_broken;
      IpPort local;
      IpPort remote;
    } rejected;
    struct
    {
      uint16_t port4; /* 0: not bound */
      uint16_t port6;
    } sockets;
    char text[TUNNEL_TEXT_MAX]; /* OFFLOAD */
    uint8_t timestamp[12];      /* TIMESTAMP */
  };
} TunnelEvent;

/* Readable when there may be events. */
int tunnel_event_fd (const Tunnel *tunnel);

/* Takes the next event; false when there is none, and then the fd is armed again. */
bool tunnel_next_event (Tunnel *tunnel, TunnelEvent *event);

typedef enum
{
  TUNNEL_SESSION_NONE,
  TUNNEL_SESSION_HANDSHAKE,
  TUNNEL_SESSION_ESTABLISHED,
  TUNNEL_SESSION_EXPIRED,
} TunnelSession;

/* How one peer is doing. Reading never creates anything and waits for nobody. */
typedef struct
{
  TunnelSession session;
  uint64_t rx_bytes; /* of authenticated inner packets */
  uint64_t tx_bytes;
  int64_t last_handshake_us; /* CLOCK_BOOTTIME, 0: never */
  int64_t last_receive_us;   /* newest authenticated packet, 0: never */
  int64_t last_send_us;
  IpPort udp;      /* trusted direct path, family 0: none */
  uint16_t region; /* relay that is used otherwise, 0: none */
  bool active;     /* something was sent to or asked of the peer in the last two minutes */
} TunnelPeerStatus;

/* False when the tunnel knows no such peer. */
bool tunnel_peer_status (Tunnel *tunnel, const NodePublic *peer, TunnelPeerStatus *out);

/* Why a packet went no further. */
typedef enum
{
  TUNNEL_DROP_ACL, /* packet filter */
  TUNNEL_DROP_MULTICAST,
  TUNNEL_DROP_LINK_LOCAL,
  TUNNEL_DROP_TOO_SHORT,
  TUNNEL_DROP_FRAGMENT,
  TUNNEL_DROP_UNKNOWN_PROTOCOL,
  TUNNEL_DROP_ERROR,       /* not a valid IP packet */
  TUNNEL_DROP_NO_PEER,     /* no route for the destination */
  TUNNEL_DROP_SHUT,        /* the tunnel passes nothing */
  TUNNEL_DROP_NO_SESSION,  /* staged too long or too much, or the handshake was given up */
  TUNNEL_DROP_NO_PATH,     /* neither direct path nor relay */
  TUNNEL_DROP_SOURCE,      /* inner source address is not the peer's */
  TUNNEL_DROP_REPLAY,      /* also the second copy of a packet that came by two ways */
  TUNNEL_DROP_AUTH,        /* does not decrypt */
  TUNNEL_DROP_INDEX,       /* no session with that index */
  TUNNEL_DROP_OLD_SESSION, /* session beyond its age or count */
  TUNNEL_DROP_RING,        /* a queue between threads was full */
  TUNNEL_DROP_QUEUE,       /* more came from the host than could be sent */
  TUNNEL_DROP_SEND,        /* the kernel refused the datagram */
  TUNNEL_DROP_TUN_WRITE,   /* the kernel refused the packet */
  TUNNEL_DROP_TRUNCATED,   /* datagram larger than the buffer */
  TUNNEL_DROP_TSMP,        /* TSMP or disco of the host itself, never sent */
  TUNNEL_N_DROPS
} TunnelDrop;

typedef struct
{
  uint64_t rx_packets; /* inner, accepted */
  uint64_t rx_bytes;
  uint64_t tx_packets;
  uint64_t tx_bytes;
  uint64_t drops_in[TUNNEL_N_DROPS];
  uint64_t drops_out[TUNNEL_N_DROPS];
  uint64_t socket_overflows; /* datagrams the kernel dropped because we were late */
  bool gso4, gso6, gro;      /* UDP offloads in use */
  bool tun_tcp_gro, tun_udp_gro;
  unsigned workers;
} TunnelStats;

void tunnel_stats (const Tunnel *tunnel, TunnelStats *out);
