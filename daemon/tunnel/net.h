/* The net thread: handshakes, path finding and relays; the only one that changes what the threads
 * share. Drives wireguard/device.h and path/path.h and carries out what they ask for.
 *
 * net.c is the loop and the messages from main and workers, actions.c what the cores ask for,
 * apply.c configurations and sockets, publish.c what workers read, relays.c the relay connections,
 * pings.c questions through the tunnel, side-sockets.c sockets for single peers. This header is
 * theirs and tunnel.c's. DESIGN rule 3. */
#pragma once

#include "path/path.h"
#include "tunnel/command.h"
#include "tunnel/probe.h"
#include "tunnel/relay.h"
#include "tunnel/worker.h"
#include "wireguard/device.h"

#define NET_PINGS_MAX   16
#define NET_WEB_SOCKETS 8

/* What differs between two configurations. */
typedef struct
{
  struct
  {
    TunnelPeer *before; /* NULL: new */
    TunnelPeer *after;  /* NULL: gone */
  } * list;
  size_t n, room;
} NetChanges;

typedef struct SideSockets SideSockets;

/* A ping that waits for its answer. */
typedef struct
{
  bool used;
  uint64_t id; /* main's */
  NodePublic peer;
  TunnelPingType type;
  uint8_t token[8]; /* TSMP: its bytes; ICMP: sequence number in the first two */
  int64_t sent_us;
  int64_t deadline_us;
} PendingPing;

typedef struct
{
  Shared *shared;
  Worker *workers[TUNNEL_WORKERS_MAX];
  pthread_t thread;
  Mailbox commands; /* main sends */
  Mailbox events;   /* net sends */
  Bell main_bell;
  Random *random;
  bool (*mark) (int fd);
  uint16_t wanted_port;
  uint8_t timestamp[WG_TIMESTAMP_SIZE]; /* floor for the next key */

  /* The rest is this thread's own. */
  int epoll;
  int timer;
  int64_t timer_us;
  int64_t now_us;
  int64_t started_us;
  bool stop;

  NodePrivate *node_key; /* in secret memory; zero: none */
  NodePublic self;
  DiscoPrivate *disco_key;
  WgDevice *device;
  Path *path;

  TunnelConfig *config; /* newest one that was taken */
  uint64_t number;      /* its number */
  View *view;           /* as published */
  bool shared_prefixes; /* two peers claimed one prefix at some time */
  LivePeer *removed;    /* not yet told to their owners */
  bool online;
  TunnelLinkAddress *link_addresses;
  TunnelLink link;

  Sockets *sockets;         /* as published */
  Sockets *old_sockets;     /* until all workers have let go of them */
  unsigned sockets_pending; /* answers that are still to come */
  uint16_t reopen_port;     /* W > 1: to be opened when the old ones are closed */
  bool reopen;

  uint64_t fenced[TUNNEL_WORKERS_MAX]; /* newest configuration that each worker has in force */
  size_t n_attributes;                 /* peers that are jailed or masqueraded to */
  _Atomic uint64_t applied;

  SideSockets *sides; /* NULL until some are wanted */
  StreamContext stream_context;
  char web_socket_hosts[NET_WEB_SOCKETS][256]; /* relays that are reached by nothing else */
  unsigned next_web_socket;
  Relay *relays;
  Probe *probes;
  Relay *dead_relays; /* freed at the end of the round, as events may still name them */
  Probe *dead_probes;

  unsigned rung; /* workers that have packets from this round, a bit each */
  PendingPing pings[NET_PINGS_MAX];
  uint16_t echo_id;
  uint16_t echo_sequence;
} Net;

/* Everything but the thread. False with errno. */
bool net_init (Net *net, Shared *shared, const TunnelOptions *options, Random *random);
bool net_start (Net *net);

/* After the thread has ended. */
void net_clear (Net *net);

/* ---- between the files of net ---- */

void net_event (Net *net, const TunnelEvent *event);
void net_order (Net *net, unsigned worker, const Order *order);
/* The worker wakes at the latest when this round ends. */
bool
net_order_packet (Net *net, unsigned worker, const Order *order, const void *data, size_t size);

/* Wakes the workers that were given packets. */
void net_ring_workers (Net *net);

/* actions.c */
void net_feed_path (Net *net, const PathEvent *event);
void net_feed_device (Net *net, const WgEvent *event);

/* Takes actions of both cores until there is none. */
void net_run_actions (Net *net);
void net_send_udp (Net *net, const IpPort *to, const void *data, size_t size);

/* Sends a message to PEER by its present path. Run actions before. */
void net_send_peer (Net *net, const NodePublic *peer, const void *data, size_t size);

/* apply.c */
void net_apply (Net *net, TunnelConfig *config, uint64_t number);
void net_set_node_key (Net *net, const NodePrivate *key);
void net_fence_answer (Net *net, unsigned worker, uint64_t number);
void net_open_sockets (Net *net, uint16_t port);
void net_sockets_answer (Net *net, const Sockets *sockets);
void net_tell_link (Net *net, bool major);

/* Gives a removed peer back, once every thread has let go of it. */
void net_peer_forgotten (Net *net, LivePeer *peer);

/* publish.c */
void
net_publish (Net *net, const TunnelSettings *settings, const NetChanges *changes, uint64_t number);
void net_publish_destination (Net *net, const NodePublic *peer, const PathDestination *to);

static inline bool
net_key_changed (const TunnelPeer *before, const TunnelPeer *after)
{
  return before != NULL && after != NULL && !key_same (&before->key, &after->key);
}

/* relays.c */
void net_relay_connect (Net *net, uint32_t connection, const PathRelayNode *node, bool home);
void net_relay_close (Net *net, uint32_t connection);
void net_relay_close_all (Net *net);
void net_probe_start (Net *net, uint32_t number, const PathRelayNode *node);
void net_stream_event (Net *net, Stream *stream);

/* Proxies on the way to relays from now on; the texts (malloc'd or NULL) become net's. */
void net_set_proxies (Net *net, char *https_proxy, char *no_proxy);

/* An answer to one of our own questions for a name; false: it is path's. */
bool net_stream_resolved (Net *net, uint64_t id, const IpAddr *addresses, size_t n);

/* Another network may have no such proxy: try the ordinary way again. */
void net_forget_web_sockets (Net *net);

/* Moves what is queued to the streams. */
void net_relay_push (Net *net);
void net_relay_tick (Net *net);
void net_relay_bury (Net *net);
int64_t net_relay_deadline (const Net *net);
Relay *net_relay_find (Net *net, uint32_t connection);

/* Queues a packet for a region's connection; false when there is none. */
bool
net_relay_send (Net *net, uint16_t region, const NodePublic *peer, const void *data, size_t size);

/* side-sockets.c: what path/birthday.h asks for. Sockets have path's numbers. */
void net_side_open (Net *net, uint32_t first, uint32_t count, bool raw);
void net_side_close (Net *net, uint32_t first, uint32_t count);
void net_side_send (Net *net, uint32_t number, const IpPort *to, const void *data, size_t size);

/* For workers: the way to REMOTE through socket NUMBER; NULL when it is not open. */
SideWay *net_side_way (Net *net, uint32_t number, const IpPort *remote);

/* The socket that leads to REMOTE, 0: none of these. */
uint32_t net_side_to (const Net *net, const IpPort *remote);

/* Something came in. */
void net_side_read (Net *net);
void net_side_clear (Net *net);

/* heal.c: data came for a session that we do not know, from this peer or this address */
void net_heal_peer (Net *net, const NodePublic *key);
void net_heal_address (Net *net, const IpPort *from);

/* pings.c */
void net_ping (Net *net, const Command *command);
void net_ping_path_result (Net *net, const PathPingResult *result);
void net_inner (Net *net, LivePeer *peer, const uint8_t *data, size_t size);
void net_ping_tick (Net *net);
int64_t net_ping_deadline (const Net *net);
