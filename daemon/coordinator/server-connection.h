/* One connection to the coordinator: HTTP/1.1, and behind the upgrade Noise with HTTP/2 inside
 * (spec/control-protocol.md §17.1).
 *
 * No I/O: plaintext of the connection goes in, requests and bytes come out. Bodies are bounded;
 * what breaks a limit ends the connection. I/O thread. */
#pragma once

#include "base/key.h"
#include "base/random.h"
#include "wire/buffer.h"
#include "wire/rope.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVER_BODY_MAX      (1u << 20)
#define SERVER_BODIES_MAX    (2u << 20)  /* of all requests of a connection */
#define SERVER_AHEAD_MAX     (64u << 10) /* bytes of later requests while one is answered */
#define SERVER_UNREAD_MAX    (1u << 20)  /* answers that a peer has not read */
#define SERVER_QUEUE_MAX     (64u << 20) /* bytes a map stream may have waiting */
#define SERVER_VERSION_FLOOR 113         /* capability version that may talk to us */

typedef struct ServerConnection ServerConnection;

typedef struct
{
  int32_t stream; /* 0: HTTP/1.1; else of HTTP/2 inside Noise */
  char *method;
  char *path;   /* with its query */
  char *cookie; /* header fields of HTTP/1.1, "" when absent: Cookie, Sec-Fetch-Site */
  char *site;
  uint8_t *body;
  size_t size;
  MachinePublic machine; /* stream > 0 */
  uint16_t version;      /* stream > 0: capability version of the handshake */
} ServerRequest;

ServerConnection *server_connection_new (const MachinePrivate *key, Random *random);
void server_connection_free (ServerConnection *c);

/* Bytes from the peer. False: close the connection after what is left to send. */
bool server_connection_feed (ServerConnection *c, const void *data, size_t size);

/* The next complete request; clear it after use. After one of HTTP/1.1 none follows until it was
 * answered; then feed the connection, with no bytes if there are none. */
bool server_connection_next_request (ServerConnection *c, ServerRequest *request);
void server_request_clear (ServerRequest *request);

/* The next stream whose peer has gone, 0 for none. */
int32_t server_connection_next_gone (ServerConnection *c);

/* The connection is lost: the next stream whose request waits for an answer or more of it; 0 for
 * none. */
int32_t server_connection_abandon (ServerConnection *c);

/* Whole answers. HEADERS: more of them in their wire form, for HTTP/1.1; NULL: none. */
void server_connection_reply (ServerConnection *c, int32_t stream, int status, const char *type,
                              const char *headers, const void *body, size_t size);

/* An answer whose body goes on: its head, and more of its body. False when the stream is gone, or
 * too slow: then it ends, and server_connection_next_gone tells it. A reference to ROPE is taken.
 */
bool server_connection_open (ServerConnection *c, int32_t stream);
bool server_connection_send (ServerConnection *c, int32_t stream, Rope *rope);
void server_connection_end (ServerConnection *c, int32_t stream);

/* Appends at most about LIMIT bytes for the peer to OUT; true when that was anything. SCRATCH is
 * any buffer of the caller's thread. */
bool server_connection_take (ServerConnection *c, Buffer *scratch, Buffer *out, size_t limit);

/* True when nothing more comes from here: close once everything is sent. */
bool server_connection_is_over (const ServerConnection *c);
/* True while a request inside Noise waits for its answer or gets more of it: no time limit holds.
 */
bool server_connection_is_busy (const ServerConnection *c);
