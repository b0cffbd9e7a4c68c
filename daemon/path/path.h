/* How packets reach peers: the one core that the net thread drives.
 *
 * It combines disco, endpoint discovery, netcheck, relay connections (which exist, over which a
 * peer is reached) and one small state machine per peer that is in use. Events and the time go in,
 * actions come out; it owns no socket, resolves no name and reads no clock. Idle peers cost a
 * record and no timer. spec/path-finding.md §1-§8, §13, §14; spec/derp.md §5. Net thread. */
#pragma once

#include "base/clock.h"
#include "base/ip.h"
#include "base/key.h"
#include "base/random.h"
#include "path/endpoints.h"
#include "path/link.h"
#include "path/netcheck.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_ACTIVITY_US                                                                           \
  (1 * USEC_PER_SEC)         /* a worker repeats SENT and RECEIVED at most so often */
#define PATH_SIDES_MAX 16    /* peers that are reached through a side socket at one time */
#define PATH_PING_MAX  65507 /* largest size of a ping command */

typedef struct Path Path;

/* Where packets for a peer go now: to every member that is set. Both set means both. */
typedef struct
{
  IpPort udp;      /* family 0: none */
  uint16_t region; /* relay region, 0 none */
  uint32_t side;   /* UDP leaves from this side socket, 0: from the shared one */
  bool trusted;    /* UDP was confirmed lately: nothing else is needed */
} PathDestination;

/* A peer as the netmap gives it. Pointers are borrowed during the event. */
typedef struct
{
  NodePublic key;
  DiscoPublic disco_key; /* zero: cannot do disco */
  uint16_t home_region;  /* 0: unknown */
  const IpPort *endpoints;
  size_t n_endpoints;
  bool wireguard_only;
  bool expired;
} PathPeer;

/* What users and node attributes switch. All false or zero is the default. */
typedef struct
{
  bool only_tcp_443;             /* no UDP, no ICMP at all */
  bool silent_disco;             /* no heartbeats */
  bool randomize_client_port;    /* bind any port */
  bool debug_always_stun;        /* look for endpoints also while idle */
  bool homeless;                 /* no home relay */
  uint16_t fixed_port;           /* configured local port, 0 none */
  const IpPort *fixed_endpoints; /* set by the user, borrowed */
  size_t n_fixed_endpoints;
} PathKnobs;

/* How to reach one node of a relay region. Owned by the action. */
typedef struct
{
  uint16_t region;
  char *node_name;
  char *host;       /* HostName: SNI, Host header; resolved for the families that ask for it */
  char *cert_name;  /* CertName, or NULL */
  char *ideal_node; /* for DerpClientConfig, or NULL */
  uint16_t port;
  IpAddr addr4; /* literal; family 0: none */
  IpAddr addr6;
  bool resolve4; /* look HOST up for this family */
  bool resolve6;
  bool insecure;         /* InsecureForTests */
  int64_t ipv4_delay_us; /* head start of IPv6 */
} PathRelayNode;

/* What kept a relay connection from being, for texts and for what to try next. */
typedef enum
{
  RELAY_CLOSED_DNS,
  RELAY_CLOSED_TCP,
  RELAY_CLOSED_TLS,
  RELAY_CLOSED_LOGIN,   /* HTTP or DERP before ServerInfo */
  RELAY_CLOSED_REFUSED, /* the relay ended it instead of answering the login */
  RELAY_CLOSED_LOST,    /* was up */
} PathRelayClosed;

typedef enum
{
  PATH_EVENT_TICK,
  PATH_EVENT_IDENTITY, /* own keys; also when a key changes or is taken away */
  PATH_EVENT_KNOBS,
  PATH_EVENT_DERP_MAP,
  PATH_EVENT_PEERS,            /* the whole set or a delta */
  PATH_EVENT_LINK,             /* the host's network, debounced by host */
  PATH_EVENT_SUSPENDED,        /* the computer slept */
  PATH_EVENT_CONTROL,          /* connected to control or not */
  PATH_EVENT_SOCKETS,          /* the UDP sockets were bound (again) */
  PATH_EVENT_DATAGRAM,         /* STUN or disco (naked or Geneve) from a UDP socket */
  PATH_EVENT_RELAY_UP,         /* a connection is logged in */
  PATH_EVENT_RELAY_CLOSED,     /* it could not be made or was lost */
  PATH_EVENT_RELAY_RESTARTING, /* it says that it goes away for a moment */
  PATH_EVENT_RELAY_FRAME,      /* any frame came in; at most every few seconds */
  PATH_EVENT_RELAY_PACKET,     /* every packet from a relay, whatever it holds */
  PATH_EVENT_RELAY_PEER_GONE,
  PATH_EVENT_SENT,          /* something was or is about to be sent to a peer */
  PATH_EVENT_RECEIVED,      /* WireGuard accepted something from a peer */
  PATH_EVENT_NO_ANSWER,     /* WireGuard gets no answer: handshake repeated, or path suspect */
  PATH_EVENT_SEND_ERROR,    /* the kernel refused a datagram */
  PATH_EVENT_DISCO_KEY,     /* a peer told its disco key inside the tunnel (TSMP) */
  PATH_EVENT_PING,          /* command: `warren ping` */
  PATH_EVENT_NETCHECK,      /* command: look now, in full */
  PATH_EVENT_RESOLVED,      /* answer to PATH_ACTION_RESOLVE */
  PATH_EVENT_HTTPS_LATENCY, /* answer to PATH_ACTION_HTTPS_PROBE */
  PATH_EVENT_ICMP_LATENCY,  /* answer to PATH_ACTION_ICMP_PING */
} PathEventType;

typedef struct
{
  PathEventType type;
  union
  {
    struct
    {
      const uint8_t *disco_private; /* 32 bytes; NULL: logged out or stopped */
      NodePublic node_key;          /* zero: none */
    } identity;
    PathKnobs knobs;
    DerpMap *derp_map; /* borrowed, a reference is taken; NULL: none */
    struct
    {
      bool whole; /* PEERS is the whole set: all others go */
      const PathPeer *peers;
      size_t n_peers;
      const NodePublic *removed;
      size_t n_removed;
    } peers;
    struct
    {
      PathLink link;
      bool major; /* new sockets are called for */
    } link;
    int64_t slept_us;
    bool control_connected;
    struct
    {
      uint16_t port4; /* 0: no socket of the family */
      uint16_t port6;
    } sockets;
    struct
    {
      const uint8_t *data;
      size_t size;
      IpPort source;
      uint32_t side; /* socket that it came in by, 0: the shared one */
    } datagram;
    struct
    {
      uint32_t connection;
      IpAddr local; /* of the TCP socket */
    } relay_up;
    struct
    {
      uint32_t connection;
      PathRelayClosed reason;
      const char *text;
    } relay_closed;
    struct
    {
      uint32_t connection;
      int64_t back_us; /* from now */
    } relay_restarting;
    uint32_t relay_frame; /* connection */
    struct
    {
      uint32_t connection;
      NodePublic source;
      const uint8_t *data;
      size_t size;
    } relay_packet;
    struct
    {
      uint32_t connection;
      NodePublic peer;
    } relay_peer_gone;
    struct
    {
      NodePublic peer;
    } sent;
    struct
    {
      NodePublic peer;
      IpPort source; /* family 0: through a relay */
    } received;
    struct
    {
      NodePublic peer;
    } no_answer;
    struct
    {
      IpPort destination;
      int error; /* errno */
      bool data; /* it carried WireGuard, not disco or STUN */
    } send_error;
    struct
    {
      NodePublic peer;
      DiscoPublic key;
    } disco_key;
    struct
    {
      uint32_t id;
      NodePublic peer;
      size_t size; /* of the UDP payload; 0: the smallest */
    } ping;
    uint32_t netcheck; /* command id */
    struct
    {
      uint32_t query;
      const IpAddr *addresses; /* none: the lookup failed */
      size_t n_addresses;
    } resolved;
    struct
    {
      uint32_t probe;
      int64_t latency_us; /* NETCHECK_NO_LATENCY: failed */
      bool ipv6;          /* over which family it went */
    } https_latency;
    struct
    {
      uint32_t probe;
      int64_t latency_us; /* NETCHECK_NO_LATENCY: failed */
    } icmp_latency;
  };
} PathEvent;

typedef enum
{
  PATH_ACTION_SEND_UDP,        /* from the side socket, or the one of the destination's family */
  PATH_ACTION_SEND_RELAY,      /* a disco packet, through this region's connection */
  PATH_ACTION_SET_DESTINATION, /* publish to the workers */
  PATH_ACTION_PEER_RESTARTED,  /* its disco key changed: its WireGuard sessions are dead */
  PATH_ACTION_RELAY_CONNECT,   /* dial, TLS, DerpClient; answer by RELAY_UP or RELAY_CLOSED */
  PATH_ACTION_RELAY_CLOSE,     /* no RELAY_CLOSED follows */
  PATH_ACTION_RELAY_HOME,      /* pass on as DERP_CLIENT_EVENT_HOME */
  PATH_ACTION_RELAY_PING,      /* pass on as DERP_CLIENT_EVENT_PING */
  PATH_ACTION_REBIND,          /* close both UDP sockets, bind again; answer by SOCKETS */
  PATH_ACTION_ENDPOINTS,       /* tell control */
  PATH_ACTION_NET_INFO,        /* tell control */
  PATH_ACTION_PING_RESULT,
  PATH_ACTION_NETCHECK_RESULT,
  PATH_ACTION_RESOLVE,
  PATH_ACTION_HTTPS_PROBE, /* time GET /derp/latency-check */
  PATH_ACTION_ICMP_PING,
  PATH_ACTION_SIDE_OPEN,  /* bind IPv4 sockets to any ports; what comes in is a DATAGRAM */
  PATH_ACTION_SIDE_CLOSE, /* close those of them that are open */
} PathActionType;

typedef enum
{
  PING_BY_DIRECT,
  PING_BY_RELAY,
  PING_NO_PEER, /* not in the netmap, or it cannot do disco */
  PING_EXPIRED, /* the peer's key */
  PING_TOO_LARGE,
  PING_STOPPED, /* we have no key */
  PING_TIMED_OUT,
} PathPingOutcome;

typedef struct
{
  uint32_t id;
  NodePublic peer;
  PathPingOutcome outcome;
  int64_t latency_us;
  IpPort endpoint; /* PING_BY_DIRECT */
  uint16_t region; /* PING_BY_RELAY */
} PathPingResult;

typedef struct
{
  PathActionType type;
  union
  {
    struct
    {
      IpPort destination;
      uint32_t side; /* 0: the shared socket */
      uint8_t *data; /* owned */
      size_t size;
    } send_udp;
    struct
    {
      uint16_t region;
      NodePublic peer;
      uint8_t *data; /* owned */
      size_t size;
    } send_relay;
    struct
    {
      NodePublic peer;
      PathDestination destination;
    } set_destination;
    NodePublic peer_restarted;
    struct
    {
      uint32_t connection;
      PathRelayNode node; /* owned */
      bool home;
    } relay_connect;
    uint32_t relay_close; /* connection */
    struct
    {
      uint32_t connection;
      bool home;
    } relay_home;
    uint32_t relay_ping; /* connection */
    struct
    {
      uint16_t port; /* wanted; 0: any */
    } rebind;
    struct
    {
      Endpoint *list; /* owned */
      size_t count;
    } endpoints;
    struct
    {
      NetcheckReport *report; /* owned */
      uint16_t home_region;
    } net_info;
    PathPingResult ping_result;
    struct
    {
      uint32_t id;
      NetcheckReport *report; /* owned */
    } netcheck_result;
    struct
    {
      uint32_t query;
      char *host; /* owned */
    } resolve;
    struct
    {
      uint32_t probe;
      PathRelayNode node; /* owned */
    } https_probe;
    struct
    {
      uint32_t probe;
      IpAddr destination;
    } icmp_ping;
    struct
    {
      uint32_t first; /* numbers of the sockets, never used twice */
      uint32_t count;
      bool raw; /* what comes in is of another protocol, to be passed on as it is */
    } side_open;
    struct
    {
      uint32_t first;
      uint32_t count;
    } side_close;
  };
} PathAction;

Path *path_new (Random *random);

/* Feeds EVENT, whose pointers are borrowed during the call. Take all actions before the packet that
 * caused a SENT goes to a relay: the action may be what opens that relay. */
void path_input (Path *path, const PathEvent *event, int64_t now_us);

/* The next thing to do; false: none left. The action owns its bytes until path_action_clear. */
bool path_next_action (Path *path, PathAction *action);
void path_action_clear (PathAction *action);

/* When a TICK is due; TIME_NEVER when nothing is. */
int64_t path_next_deadline (const Path *path);

void path_free (Path *path);

/* Where packets for PEER go now, also for a peer that was idle; false: peer unknown or expired. */
bool path_destination (const Path *path, const NodePublic *peer, PathDestination *out);

/* The peers that may be at this address, at most MAX of them into OUT; returns how many. Looks at
 * every peer: not for each packet. */
size_t path_peers_at (const Path *path, const IpPort *at, NodePublic *out, size_t max);

/* Why a peer has no direct path. */
typedef enum
{
  RELAYED_NOT,           /* it has one, or nothing was tried yet */
  RELAYED_UDP_BLOCKED,   /* no STUN server answers us */
  RELAYED_HARD_NATS,     /* our mapping varies by destination and no ping was answered */
  RELAYED_NO_CANDIDATES, /* the peer tells no endpoints */
  RELAYED_NO_ANSWER,     /* pings go out and none is answered */
  RELAYED_PEER_SILENT,   /* not even a message through the relay came back */
  RELAYED_BY_POLICY,     /* only-tcp-443 */
} PathRelayedReason;

typedef struct
{
  PathDestination destination;
  int64_t latency_us;   /* of the direct path, NETCHECK_NO_LATENCY without one */
  uint16_t home_region; /* the peer's */
  int64_t last_sent_us; /* 0: never */
  int64_t last_received_us;
  unsigned n_candidates;
  PathRelayedReason relayed;
} PathPeerStatus;

/* For the status of PEER; false when it is not known. */
bool path_peer_status (const Path *path, const NodePublic *peer, PathPeerStatus *out);

typedef struct
{
  uint16_t home_region; /* 0: none */
  bool home_up;
  int64_t home_since_us;      /* when this home was chosen */
  int64_t home_last_frame_us; /* 0: none */
  bool refused;               /* the relay closed the login three times running */
  char error[160];            /* last failure of the home connection, empty when up */
} PathRelayStatus;

void path_relay_status (const Path *path, PathRelayStatus *out);
