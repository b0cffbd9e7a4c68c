/* Inside of the server: its threads, what each of them owns and what they tell each other.
 *
 * The state thread decides: it takes events, asks the state and puts what came of it, a round at a
 * time, to the store thread. That one commits the records of the rounds that wait and only then
 * hands their answers to the workers, who own the connections. A worker never waits for another
 * thread: while the state is behind it reads no more from its peers. The state may wait for the
 * store, and the store for a worker, so that nothing piles up between them. */
#pragma once

#include "base/arena.h"
#include "coordinator/hash-index.h"
#include "coordinator/mailbox.h"
#include "coordinator/relay-registry.h"
#include "coordinator/relay.h"
#include "coordinator/server-connection.h"
#include "coordinator/server-files.h"
#include "coordinator/server-keep.h"
#include "coordinator/server-metrics.h"
#include "coordinator/server.h"
#include "coordinator/state.h"
#include "coordinator/store.h"
#include "coordinator/work.h"
#include "wire/command.h"
#include "wire/tls.h"

#include <stdatomic.h>

#define SERVER_WORKERS_MAX 8
#define SERVER_NOT_KEPT    503 /* status of an answer whose change is not on disk; 1 to a command */

typedef struct Server Server;
typedef struct Worker Worker;
typedef struct ServerStore ServerStore;

/* ---- what is told ---- */

/* To the state: an event that owns everything it points to. */
typedef struct
{
  MailItem item;
  StateEvent event;
  size_t size; /* bytes that it counts for while it waits */
  ServerRequest request;
  CommandRequest *command;
  Arena arena;
  union
  {
    RegisterRequest registration;
    MapRequest map;
    WebRequest web;
  };
} ServerEvent;

/* To a worker. */
typedef enum
{
  WORKER_DELIVER, /* answers and map messages for its clients */
  WORKER_ADD,     /* a new connection */
  WORKER_TLS,     /* another certificate */
  WORKER_ROOM,    /* to give up a connection that is not in use */
  WORKER_STOP,
} WorkerOrderType;

typedef struct
{
  MailItem item;
  WorkerOrderType type;
  union
  {
    struct
    {
      StateAction *actions;
      size_t n, room;
    };
    struct
    {
      int fd;
      IpAddr from;
      bool is_command;
    };
    TlsContext *tls;
  };
} WorkerOrder;

/* To the store: what one round of the state brought about. */
typedef struct
{
  MailItem item;
  StateAction *actions; /* for no worker: records, relay members, work */
  size_t n, room;
  size_t n_records;
  WorkerOrder *orders[SERVER_WORKERS_MAX]; /* NULL: nothing for it */
} ServerRound;

/* ---- a worker's ---- */

/* What epoll watches: the first member of everything that has a descriptor here. */
typedef struct Watch Watch;
struct Watch
{
  int fd;
  void (*ready) (Worker *worker, Watch *watch, uint32_t events);
};

/* A peer: a control connection, or a command that came by the command socket. */
typedef struct Client Client;
struct Client
{
  Watch watch;
  uint32_t id;
  bool is_command;
  IpAddr from;                  /* the other end; family 0: a command */
  ServerConnection *connection; /* control */
  Tls *tls;                     /* control; NULL: in the clear */
  Buffer in;                    /* command: request so far */
  Buffer out;                   /* bytes to write */
  bool closing;                 /* close when out is empty */
  bool wants_write;             /* epoll waits for room */
  bool marked;                  /* in Worker.marked */
  int64_t until_us;             /* limit for what is not logged in yet */
  Client *next;
};

struct Worker
{
  Server *server;
  unsigned number;
  pthread_t thread;
  bool started, stopping;
  int epoll;
  Mailbox orders;
  Watch mail;               /* of ORDERS */
  Watch listener, commands; /* the first worker's, which deals connections out; -1 elsewhere */
  unsigned next_worker;     /* who gets the next one */
  bool keeps_next;          /* it is paid for with a descriptor of this worker */
  unsigned asked;           /* workers that were asked for a descriptor */
  int spare;                /* a descriptor to give up when there is no other */
  TlsContext *tls;          /* of the control address; NULL: plain HTTP */
  Client *clients;          /* newest first */
  HashIndex clients_by_id;
  uint32_t next_id;
  Buffer scratch, sealed, plain;
  Client **marked; /* have something to write */
  size_t n_marked, marked_room;
  bool sweep; /* some client is done */
  bool deaf;  /* the state is behind: nothing is read */
  int64_t swept_us;
  _Atomic size_t connections, queued_bytes; /* for the metrics */
};

/* ---- the state's, and what all of them may ask ---- */

struct Server
{
  const ServerOptions *options;
  MachinePrivate *key;    /* locked memory */
  RelayRegistry *members; /* node keys that a relay may serve, ours or another's */
  Relay *relay;           /* NULL: none */
  ServerMetrics *metrics;
  Mailbox events;
  _Atomic size_t waiting_bytes; /* of events */
  _Atomic bool stopping;
  _Atomic bool deleted; /* stopping, and the network is to be forgotten */
  ServerStore *store_thread;
  Worker workers[SERVER_WORKERS_MAX];
  unsigned n_workers;

  State *state; /* from here on the state thread's alone */
  Store *store; /* until the store thread has it */
  Work *work;
  int signals;
  MailItem *backlog;  /* events that were taken and not looked at yet */
  int64_t figures_us; /* when the metrics are brought up to date */
  CertificateFiles certificate;
  int64_t look_us; /* when the files are looked at */
};

/* ---- events (server-event.c) ---- */

/* Any thread. What is to go with the event is put into it before it is posted. */
ServerEvent *server_event_new (StateEventType type, uint64_t request);
void server_event_post (Server *server, ServerEvent *event);
void server_event_free (ServerEvent *event);
/* True while more waits for the state than should. */
bool server_is_behind (Server *server);
/* The state thread is to end the server. */
void server_stop (Server *server, bool deleted);

/* ---- store thread (server-store.c) ---- */

/* Takes STORE over. NULL when there is no thread to be had; then STORE is closed. */
ServerStore *server_store_new (Server *server, Store *store);
/* Keeps what was put and lets it go, then ends. NULL does nothing. */
void server_store_free (ServerStore *thread);
void server_store_put (ServerStore *thread, ServerRound *round);
/* While the disk refuses what is to be kept: why, malloc'd; else NULL. Any thread. */
char *server_store_problem (ServerStore *thread);

/* ---- workers (server-worker.c) ---- */

bool worker_open (Worker *worker, Server *server, unsigned number);
/* Gives the first worker the listeners; they become its. */
void worker_listen (Worker *worker, int control, int commands);
bool worker_start (Worker *worker);
/* Ends its thread, after what was ordered before; then frees what it holds. */
void worker_stop (Worker *worker);
void worker_close (Worker *worker);
WorkerOrder *worker_order_new (WorkerOrderType type);
void worker_watch (Worker *worker, Watch *watch, int operation, uint32_t events);
/* The worker whose client made the request. */
unsigned worker_of (const Server *server, uint64_t request);

/* ---- clients (server-client.c); a worker's own ---- */

void client_add (Worker *worker, int fd, const IpAddr *from, bool is_command);
void client_free (Worker *worker, Client *client);
Client *client_find (Worker *worker, uint32_t id);
uint64_t client_request (const Client *client, int32_t stream);
/* The client has something to write when the round is over; and the end of the round. */
void client_mark (Worker *worker, Client *client);
void clients_write (Worker *worker);
/* Frees those that are done or late; only between rounds, so that nobody holds one. */
void clients_sweep (Worker *worker, int64_t now_us);

/* ---- requests (server-requests.c) ---- */

void server_handle_requests (Worker *worker, Client *client);

/* ---- commands that are not the state's (server-control.c) ---- */

/* Stopping, deleting, a backup: true when REQUEST was one of these and is taken care of; it is
 * cleared then. */
bool server_intercept (Worker *worker, Client *client, CommandRequest *request);
