/* `warren-coordinator serve`: sockets, clock and database around the coordinator's cores.
 *
 * server_run is the state thread, which decides. A store thread keeps what was decided and lets no
 * answer go before that; workers own the connections. The relay has threads of its own (relay.h).
 */
#pragma once

#include "base/ip.h"
#include "coordinator/oidc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Texts are borrowed and may be NULL where nothing is said of them. */
typedef struct
{
  const char *data_dir;                  /* database, keys */
  const char *url;                       /* what devices and people use */
  const char *listen;                    /* ADDRESS:PORT for control */
  const char *socket;                    /* of commands; NULL: DIR/control.sock */
  const char *socket_group;              /* may use the socket beside its owner */
  const char *tls_certificate, *tls_key; /* PEM files for the control address; NULL: plain HTTP */
  const char *metrics;                   /* ADDRESS:PORT of health and metrics; NULL: none */
  const char *name, *domain;             /* of the network; NULL: as they are */
  IpPrefix prefix4, prefix6;             /* family 0: as they are */
  int64_t key_days;                      /* life of node keys, 0: for ever, -1: as it is */
  const char *relay_url;                 /* NULL: no relay */
  const char *relay_listen;              /* ADDRESS:PORT */
  uint16_t stun_port;                    /* 0: no STUN */
  bool relay_open;                       /* serve strangers, too */
  const char *relay_mesh_key_file;       /* shared by relays of one region */
  const char *const *relay_peers;        /* those relays, ADDRESS:PORT[=PIN]; NULL: none */
  bool relay_plain;                      /* without TLS, which somebody in front of it does */
  uint64_t relay_rate;                   /* bytes per second from each client, 0: any */
  const char *relay_certificate;         /* PEM files of the relay, read again when they change; */
  const char *relay_key;                 /* NULL: self-made and pinned */
  OidcConfig oidc;                       /* issuer NULL: none */
  const char *oidc_secret_file;          /* where client_secret is read from */
} ServerOptions;

/* How server_run ended. */
#define SERVER_ENDED   0
#define SERVER_FAILED  1
#define SERVER_DELETED 2 /* its network is to be forgotten */

/* Serves until a signal or a command ends it. Errors are told on stderr. */
int server_run (const ServerOptions *options);

/* The command socket: its path (false: it does not fit a socket address), a connection to it (-1
 * and errno), and one that listens there (-1 after an error told on stderr). */
bool server_socket_path (const ServerOptions *options, char *out, size_t size);
int server_connect (const ServerOptions *options);
int server_listen_commands (const ServerOptions *options);

/* Sends a command with the text INPUT (or NULL) to the running server; its answer goes to the
 * descriptor OUT, what went wrong to stderr. An exit code. */
int server_command (const ServerOptions *options, const char *const *words, unsigned n,
                    const char *input, int out);
