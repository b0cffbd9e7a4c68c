/* What the files of the relay share: its workers, their connections, and orders between threads.
 *
 * relay.c sets up and takes orders from outside, relay-front.c accepts connections and answers
 * STUN, relay-worker.c is a worker's loop, relay-connection.c what happens on one connection.
 * DESIGN rule 3, spec/derp.md §9.3. */
#pragma once

#include "base/ring.h"
#include "base/timer-wheel.h"
#include "coordinator/certificate-files.h"
#include "coordinator/relay-client.h"
#include "coordinator/relay-limit.h"
#include "coordinator/relay-registry.h"
#include "coordinator/relay.h"
#include "derp/client.h"
#include "wire/tls.h"

#include <pthread.h>
#include <stdatomic.h>

#define RELAY_READ_SIZE 65536 /* of a connection in one turn of the loop */

typedef enum
{
  RELAY_ORDER_ACCEPT,  /* a new connection: FD, FROM */
  RELAY_ORDER_CLOSE,   /* a connection's key is not welcome any more */
  RELAY_ORDER_GONE,    /* tell a connection that KEY is gone */
  RELAY_ORDER_PRESENT, /* tell another relay that KEY has come: FROM, FLAGS */
  RELAY_ORDER_TLS,     /* new certificates: TLS */
  RELAY_ORDER_STOP,
} RelayOrderType;

/* From any thread to a worker. */
typedef struct RelayOrder RelayOrder;
struct RelayOrder
{
  RelayOrder *next;
  RelayOrderType type;
  RelayHandle to;
  NodePublic key;
  IpPort from;
  uint8_t flags;
  int fd;
  TlsContext *tls;
};

/* Packets on the way from one worker to another: head of a record in a ring, frames follow. */
typedef struct
{
  RelayHandle to;
  NodePublic source;
  NodePublic destination; /* when TO is another relay */
  uint32_t size, n;       /* bytes of frames, and their number */
  bool forward;
} RelayParcel;

/* What a timer of a worker's wheel belongs to. */
enum
{
  RELAY_TIMER_CONNECTION,
  RELAY_TIMER_LINK,
};

/* Another relay of the region, and the connection to it while there is one. */
typedef struct
{
  IpPort at;
  bool pinned;
  uint8_t pin[TLS_PIN_SIZE];
  bool self;          /* it is this very relay: never again */
  bool told;          /* that it cannot be reached */
  bool connected;     /* TLS is up */
  DerpClient *client; /* NULL: not connected */
  NodePublic *keys;   /* who is there */
  size_t n_keys, room_keys;
  TimerNode timer; /* until the next try */
  char text[160];
} RelayLink;

typedef struct RelayConnection RelayConnection;
struct RelayConnection
{
  RelayLink *link; /* NULL: a client */
  int fd;
  uint32_t slot;
  Tls *tls; /* NULL: somebody in front of us does TLS */
  RelayClient client;
  Buffer cipher; /* for the socket, which is full */
  IpPort from;
  RelayPresence *presence; /* NULL: not logged in */
  NodePublic last_heard;   /* whom the last packet was delivered to */
  int64_t until_us;        /* end of the login, or of a refused client's wait */
  int64_t stalled_us;      /* when the socket became full or last took something, 0: it is not */
  TimerNode timer;
  uint32_t events; /* what epoll watches */
  bool closing;    /* at the end of the turn */
  bool dirty;      /* to be flushed at the end of the turn */
  bool waiting;    /* in the line of handshakes */
  RelayConnection *next_closing, *next_dirty, *next_waiting;
};

/* Added to by the worker alone, read by anybody. */
typedef struct
{
  _Atomic uint64_t accepted, refused, logins;
  _Atomic uint64_t packets_in, bytes_in, packets_out, bytes_out;
  _Atomic uint64_t dropped_unknown, dropped_full, dropped_gone;
  _Atomic uint64_t stalled;
} RelayCounters;

typedef struct
{
  RelayConnection *connection; /* NULL: free */
  uint32_t generation;
  uint32_t next_free;
} RelaySlot;

typedef struct
{
  Relay *relay;
  uint32_t number;
  pthread_t thread;
  bool started;
  int epoll;
  Bell bell;
  Ring *from[RELAY_WORKERS_MAX]; /* parcels of the other workers */
  bool rung[RELAY_WORKERS_MAX];  /* workers that have parcels from this turn */
  pthread_mutex_t lock;          /* of the orders */
  RelayOrder *orders, **orders_end;
  TlsContext *tls;
  RelaySlot *slots;
  RelayLink *links; /* first worker only */
  size_t n_links;
  TlsContext *link_tls;
  uint32_t n_handshakes; /* connections that are not logged in */
  uint32_t n_slots, free_slot;
  size_t room_slots;
  TimerWheel wheel;
  int64_t now_us;
  bool stop;
  RelayConnection *dirty, *closing;
  RelayConnection *waiting, **waiting_end; /* handshakes whose turn has not come */
  _Atomic uint32_t n_connections;
  Buffer plain;  /* of the connection that is read */
  Buffer packed; /* of the one that is written */
  Buffer cipher;
  uint8_t *input; /* RELAY_READ_SIZE */
  RelayCounters counters;
} RelayWorker;

typedef struct
{
  int epoll, listener, stun, stop;
  pthread_t thread;
  bool started;
  bool stun_v6;
  unsigned next_worker;
  RelayLimit *limit;
  CertificateFiles files; /* none: nothing to look at */
} RelayFront;

struct Relay
{
  RelayIdentity identity;
  RelayBudget budget;
  RelayRegistry *registry;
  unsigned n_workers;
  RelayWorker workers[RELAY_WORKERS_MAX];
  RelayFront front;
  pthread_mutex_t watch_lock;
  RelayHandle *watchers; /* other relays that want to know who comes and goes */
  size_t n_watchers, room_watchers;
};

static inline void
relay_count (_Atomic uint64_t *counter, uint64_t n)
{
  atomic_store_explicit (counter, atomic_load_explicit (counter, memory_order_relaxed) + n,
                         memory_order_relaxed);
}

/* relay.c: gives ORDER, which is copied, to the worker that it is for. Any thread. */
void relay_order (Relay *relay, const RelayOrder *order);

/* Tells those who HEARD from KEY that it is gone; frees what HEARD holds. */
void relay_tell_heard (Relay *relay, const NodePublic *key, RelayHeard *heard);

/* Tells the other relays that KEY came (FROM, FLAGS), or that it is gone (FROM is NULL). */
void relay_tell_watchers (Relay *relay, const NodePublic *key, const IpPort *from, uint8_t flags);
void relay_watch (Relay *relay, RelayHandle watcher);
void relay_unwatch (Relay *relay, RelayHandle watcher);

/* relay-front.c */
bool relay_front_open (Relay *relay, const RelayOptions *options, char **error);
bool relay_front_start (Relay *relay);
void relay_front_close (Relay *relay);

/* relay-worker.c */
void relay_worker_init (Relay *relay, unsigned number);
bool relay_worker_open (RelayWorker *worker);
bool relay_worker_start (RelayWorker *worker);

/* When no thread runs any more: closes the connections of one worker, which tell each other; then
 * frees what is left. */
void relay_worker_end (RelayWorker *worker);
void relay_worker_clear (RelayWorker *worker);

/* The connection of a handle of this worker, or NULL when it is gone. */
RelayConnection *relay_worker_find (RelayWorker *worker, RelayHandle handle);
RelayHandle relay_worker_handle (const RelayWorker *worker, const RelayConnection *connection);

/* Gives a run of frames from SOURCE to the connection TO of any worker. */
void relay_worker_send (RelayWorker *worker, const RelayParcel *parcel, const uint8_t *frames);
void relay_worker_close (RelayWorker *worker, RelayConnection *connection);
void relay_worker_soil (RelayWorker *worker, RelayConnection *connection);

/* Takes a connection of our own making into the loop. */
void relay_worker_adopt (RelayWorker *worker, RelayConnection *connection);

/* relay-connection.c */
RelayConnection *relay_connection_new (RelayWorker *worker, int fd, const IpPort *from);
RelayConnection *relay_connection_link (RelayWorker *worker, int fd, RelayLink *link,
                                        const TlsClientOptions *options);
void relay_connection_free (RelayWorker *worker, RelayConnection *connection);
bool relay_connection_handshaking (const RelayConnection *connection);
void relay_connection_read (RelayWorker *worker, RelayConnection *connection);
void relay_connection_flush (RelayWorker *worker, RelayConnection *connection);

/* The relay stops: says so, and when to come back, as far as the socket takes it. */
void
relay_connection_dismiss (RelayWorker *worker, RelayConnection *connection, uint32_t reconnect_ms);
void relay_connection_deliver (RelayWorker *worker, RelayConnection *connection,
                               const RelayParcel *parcel, const uint8_t *frames);

/* Time has passed; sets the timer anew. */
void relay_connection_tick (RelayWorker *worker, RelayConnection *connection);

/* relay-link.c */

/* "ADDRESS:PORT" or "ADDRESS:PORT=sha256-raw:HEX"; false: neither. */
bool relay_link_init (RelayLink *link, const char *text);
void relay_link_clear (RelayLink *link);
void relay_link_open (RelayWorker *worker, RelayLink *link);
void relay_link_closed (RelayWorker *worker, RelayConnection *connection);
void relay_link_read (RelayWorker *worker, RelayConnection *connection, const Buffer *plain);

/* Appends what is for the other relay: a record at most. */
void relay_link_take (RelayWorker *worker, RelayConnection *connection, Buffer *out);
void relay_link_forward (RelayWorker *worker, RelayConnection *connection,
                         const RelayParcel *parcel, const uint8_t *frames);

/* The next deadline. */
int64_t relay_link_tick (RelayWorker *worker, RelayConnection *connection);
