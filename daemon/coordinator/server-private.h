/* Inside of the server: its loop and what hangs on it. */
#pragma once

#include "coordinator/relay-registry.h"
#include "coordinator/hash-index.h"
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

typedef struct Server Server;

/* What epoll watches: the first member of everything that has a descriptor here. */
typedef struct Watch Watch;
struct Watch
{
  int fd;
  void (*ready) (Server *server, Watch *watch, uint32_t events);
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
  bool marked;                  /* in Server.marked */
  int64_t until_us;             /* limit for what is not logged in yet */
  Client *next;
};

struct Server
{
  const ServerOptions *options;
  int epoll;
  Watch listener;
  Watch commands;
  Watch signals;
  Client *clients; /* newest first */
  HashIndex clients_by_id;
  uint32_t next_id;
  MachinePrivate *key; /* locked memory */
  State *state;
  Store *store;
  Relay *relay;           /* NULL: none */
  RelayRegistry *members; /* node keys that a relay may serve, ours or another's */
  ServerMetrics *metrics;
  int64_t figures_us; /* when the metrics are brought up to date */
  Work *work;
  Watch worked; /* results of it */
  CertificateFiles certificate;
  TlsContext *tls; /* of the control address; NULL: plain HTTP */
  int64_t look_us; /* when the files are looked at */
  Buffer scratch, sealed, plain;
  Client **marked; /* have something to write */
  size_t n_marked, marked_room;
  bool sweep; /* some client is done */
  int64_t swept_us;
  bool stopping;
  Keep *keep;   /* what is to be on disk */
  int spare;    /* a descriptor to give up when there is no other */
  bool deleted; /* stopping, and the network is to be forgotten */
};

/* ---- requests (server-requests.c) ---- */

void server_handle_requests (Server *server, Client *client);

/* ---- commands that are not the state's (server-control.c) ---- */

/* Stopping, deleting, a backup: true when REQUEST was one of these and is taken care of; it is
 * cleared then. */
bool server_intercept (Server *server, Client *client, CommandRequest *request);

/* ---- those who are connected (server-client.c) ---- */

Client *server_client (Server *server, uint32_t id);
uint64_t server_request_number (const Client *client, int32_t stream);
void server_watch (Server *server, Watch *watch, int operation, uint32_t events);
/* A listener has somebody. */
void server_accept (Server *server, Watch *watch, uint32_t events);
/* The client has something to write when the round is over; and the end of the round. */
void server_mark (Server *server, Client *client);
void server_write_marked (Server *server);
/* Frees those that are done or late; only between rounds, so that nobody holds one. */
void server_sweep_clients (Server *server, int64_t now_us);
void server_client_free (Client *client);

/* ---- loop (server.c) ---- */

void server_input (Server *server, StateEvent *event);
