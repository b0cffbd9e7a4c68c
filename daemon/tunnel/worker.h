/* One worker: its TUN queue, its UDP sockets, the peers it owns; runs each batch of packets to
 * completion. Allocates nothing per packet, takes no lock, waits for nobody.
 *
 * worker.c is the loop, outbound.c and inbound.c the two directions, owned.c the peers' sessions
 * and timers. This header is theirs and of net and tunnel, which start and address workers.
 * spec/wireguard-dataplane.md §10. */
#pragma once

#include "filter/flow-table.h"
#include "tunnel/active.h"
#include "tunnel/flow-queue.h"
#include "tunnel/mailbox.h"
#include "tunnel/merge.h"
#include "tunnel/message.h"
#include "tunnel/open.h"
#include "tunnel/seal.h"
#include "tunnel/split.h"
#include "tunnel/tunnel.h"

#include <pthread.h>
#include <stdalign.h>

#define WORKER_HANDOVER (256 * 1024) /* ring from each other worker */

/* What all threads hold. Made by tunnel.c before any of them starts. */
typedef struct
{
  EpochDomain *epochs;
  _Atomic (View *) view;
  Bell net_bell;
  unsigned n_workers;
  bool vnet;
  bool tcp_merged; /* what the TUN device takes */
  bool udp_merged;
  DiscoPublic disco;        /* ours, for priority messages */
  _Atomic uint16_t echo_id; /* of our own ICMP pings while one is out, else 0 */
} Shared;

/* Counters of one worker, each written by it alone. */
typedef struct
{
  _Atomic uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
  _Atomic uint64_t overflows; /* datagrams that the kernel dropped */
  _Atomic uint64_t in[TUNNEL_N_DROPS];
  _Atomic uint64_t out[TUNNEL_N_DROPS];
} WorkerCounters;

/* Offloads in use, for status. */
typedef enum
{
  OFFLOAD_GSO4 = 1 << 0,
  OFFLOAD_GSO6 = 1 << 1,
  OFFLOAD_GRO = 1 << 2,
  OFFLOAD_TUN_TCP = 1 << 3,
  OFFLOAD_TUN_UDP = 1 << 4,
} Offload;

/* Messages that will leave as one: same peer, same session. */
typedef struct
{
  Run run;
  LivePeer *peer;
  WgSession *session; /* NULL: the run is empty */
  uint64_t bytes;     /* inner */
  bool data;          /* not only keepalives */
  bool owned;         /* this worker owns the peer */
} PendingRun;

/* An accepted TCP flow of the batch: its further packets need no second look. */
typedef struct
{
  const LivePeer *peer; /* NULL: none */
  uint8_t version;
  uint8_t flow[36]; /* addresses and ports */
} AcceptedFlow;

typedef struct Worker Worker;
struct Worker
{
  Shared *shared;
  unsigned number;
  unsigned reader; /* in shared->epochs */
  pthread_t thread;
  Bell bell;

  Ring *packets_from_net; /* ORDER_DATAGRAM, ORDER_INJECT: may be full */
  Mailbox orders;         /* net sends */
  Mailbox reports;        /* we send */
  Ring *packets_to_net;   /* REPORT_DATAGRAM, REPORT_RELAY: dropped when full */
  Ring *from_worker[TUNNEL_WORKERS_MAX];
  Worker *const *workers; /* all of them */

  /* The rest is this thread's own. */
  alignas (64) int epoll;
  int timer; /* timerfd, armed for timer_us */
  int64_t timer_us;
  int64_t now_us; /* read once in each round */
  const View *view;
  int tun;
  bool stop;
  bool tun_lost; /* the device is gone */
  Sockets *sockets;

  TimerWheel wheel;
  WgIndexTable *sessions;
  WgPeerContext context;
  StageTotal staged;
  uint64_t staged_drops_seen;
  int64_t stranger_us; /* when net was told of data for an unknown session */
  FlowTable *flows;    /* replies that may come in, from normal peers */
  FlowTable *jailed_flows;

  Sealer *sealer;
  Opener *opener;
  PendingRun pending;
  bool blocked; /* pending.run could not be sent whole: its socket is full */
  uint8_t blocked_family;
  uint32_t blocked_done; /* messages of it that are sent */
  uint8_t *run_buffer;   /* UDP_RUN_SIZE_MAX with headroom */
  FlowQueue *waiting;    /* what was read from the device and not yet sent */
  LivePeer *last_peer;   /* of last_dst in view last_view */
  IpAddr last_dst;
  uint64_t last_view;
  bool last_known;

  UdpBatch *batch;
  Merge *merge;
  AcceptedFlow accepted;
  OpenItem items[UDP_RUN_SEGMENTS_MAX];

  WorkerCounters counters;
  _Atomic unsigned offloads; /* of Offload */
};

/* What net_to_worker rings, buffers and tables a worker needs; the thread is not yet running. TUN
 * is its queue, and becomes the worker's. */
Worker *worker_new (Shared *shared, unsigned number, int tun, Random *random);

/* Starts the thread; the workers' list is complete by now. */
bool worker_start (Worker *worker, Worker *const *workers);

/* After its thread has ended. */
void worker_free (Worker *worker);

/* ---- between the files of the worker ---- */

static inline void
drop_in (Worker *w, TunnelDrop why)
{
  counter_add (&w->counters.in[why], 1);
}

static inline void
drop_out (Worker *w, TunnelDrop why, uint64_t n)
{
  counter_add (&w->counters.out[why], n);
}

/* outbound.c */

/* Lets what the TUN device has wait for its turn. */
void outbound_read_tun (Worker *w);

/* Sends of that what has its turn, within a budget. */
void outbound_send_waiting (Worker *w);

/* Handles one packet as read from the TUN device. */
void outbound_handle (Worker *w, uint8_t *raw, size_t size);

/* Sends one packet of ours (no virtio header) to PEER, past the filter. */
void outbound_inject (Worker *w, LivePeer *peer, uint8_t *packet, size_t size);

/* Sends a packet, as read from the TUN device, that another worker or the stage passed on. */
void outbound_passed (Worker *w, ActivePeer *active, uint8_t *data, size_t size);

/* Sends an empty packet. */
void outbound_keepalive (Worker *w, ActivePeer *active);

/* Sends what has gathered. */
void outbound_flush (Worker *w);

/* The socket of a blocked run can be written again. */
void outbound_unblock (Worker *w);

/* inbound.c */

/* Messages of one session, decrypted together. */
typedef struct
{
  WgSession *session;
  size_t n; /* of worker->items */
} InboundGroup;

/* Takes one message that came by a relay; 16 writable bytes stand before it, and it stays where it
 * is until the end. GROUP is zero at first. */
void inbound_relayed (Worker *w, InboundGroup *group, uint8_t *data, size_t size);

/* Delivers what was taken. */
void inbound_end_relayed (Worker *w, InboundGroup *group);

/* Receives and handles one batch of one socket. */
void inbound_receive (Worker *w, UdpSocket *socket);

/* Handles one data message that came through another worker. 16 writable bytes stand before it. */
void inbound_message (Worker *w, uint8_t *data, size_t size, const IpPort *from);

/* Writes one packet of ours to the TUN device; 10 writable bytes stand before it. */
void inbound_write_tun (Worker *w, uint8_t *packet, size_t size);

/* owned.c */

/* The active part of a peer that this worker owns, made when there is none yet. */
ActivePeer *owned_active (Worker *w, LivePeer *peer);

/* Carries out what wireguard/peer.h asks for. May free ACTIVE. */
void owned_todo (Worker *w, ActivePeer *active, WgTodo todo);

/* Keeps a packet, as read from the TUN device, until there is a session. */
void owned_stage (Worker *w, ActivePeer *active, const void *data, size_t size);

/* Tells net, now and then, that there is traffic. */
void owned_note_sent (Worker *w, ActivePeer *active);
void owned_note_received (Worker *w, ActivePeer *active, const IpPort *from);

void owned_handle_order (Worker *w, const Order *order);
void owned_run_timers (Worker *w);

/* Erases every session. When all workers' threads have ended. */
void owned_clear (Worker *w);

/* worker.c */

/* Takes what net ordered; true when there was anything. */
bool worker_take_orders (Worker *w);

/* Publishes which offloads are in use. */
void worker_note_offloads (Worker *w);

void worker_report (Worker *w, const Report *report);

/* A report with bytes; false when the ring is full. */
bool worker_report_packet (Worker *w, const Report *report, const void *data, size_t size);
bool
worker_hand_over (Worker *w, unsigned to, const Handover *handover, const void *data, size_t size);

/* Chooses what the worker waits for: the TUN queue unless paused, sockets for writing if blocked.
 */
void worker_watch (Worker *w);
