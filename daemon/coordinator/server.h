/* `warren-coordinator serve`: sockets, clock and database around the coordinator's cores.
 *
 * One thread drives control connections, state and store: what the state wants kept is committed
 * once for each round of the loop, and no answer of the round leaves before that. The relay has a
 * thread of its own (relay.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct
{
  const char *data_dir;     /* database, keys, command socket */
  const char *url;          /* what devices and people use */
  const char *listen;       /* ADDRESS:PORT for control */
  const char *relay_url;    /* NULL: no relay */
  const char *relay_listen; /* ADDRESS:PORT */
  uint16_t stun_port;       /* 0: no STUN */
  bool relay_open;          /* the relay serves strangers, too */
} ServerOptions;

/* Serves until a signal ends it. An exit code: 0, or 1 after an error told on stderr. */
int server_run (const ServerOptions *options);

/* Sends a command with the text INPUT (or NULL) to the server of DATA_DIR, prints its answer. An
 * exit code. */
int server_command (const char *data_dir, const char *const *words, unsigned n, const char *input);
