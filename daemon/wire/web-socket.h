/* A byte stream in WebSocket messages, client's and server's role (RFC 6455; control-protocol.md
 * §4.7, derp.md §3.6): for where a proxy passes no other change of protocol.
 *
 * Binary messages whose borders mean nothing; no extensions, no text. Pure bytes; one owner. */
#pragma once

#include "base/random.h"
#include "wire/buffer.h"
#include "wire/http1.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEB_SOCKET_KEY_SIZE    25 /* text of Sec-WebSocket-Key with its NUL */
#define WEB_SOCKET_HEAD_MAX    14 /* of a frame, its mask included */
#define WEB_SOCKET_CONTROL_MAX 125
#define WEB_SOCKET_SERVER_MAX                                                                      \
  (UINT64_C (16) << 20)                            /* bytes that a frame of a server may announce */
#define WEB_SOCKET_CLIENT_MAX (UINT64_C (1) << 20) /* and of a client */

/* What the peer has sent so far. All zero: nothing, and we are the client. */
typedef struct
{
  bool server; /* we are: the peer masks its frames and we do not */
  bool over;   /* nothing is read any more */
  bool in_frame;
  uint8_t opcode;
  uint8_t head_size; /* bytes of it that have come */
  uint8_t control_size;
  uint8_t mask_at;
  uint8_t mask[4]; /* zero from a server */
  uint64_t left;   /* of the frame's payload */
  uint8_t head[WEB_SOCKET_HEAD_MAX];
  uint8_t control[WEB_SOCKET_CONTROL_MAX];
} WebSocket;

/* Client: a fresh key for the request. */
void web_socket_key (Random *random, char out[WEB_SOCKET_KEY_SIZE]);

/* Client: HEAD answers a request with KEY for the sub-protocol PROTOCOL as it must. */
bool web_socket_accepted (const Http1Head *head, const char *key, const char *protocol);

/* Server: answers HEAD, which asked for PROTOCOL; false when it does not ask properly. */
bool web_socket_accept (const Http1Head *head, const char *protocol, Buffer *out);

/* Takes the messages at DATA apart in place: what they carry moves to the front; its size. What is
 * to be answered (pong, close) goes to ANSWERS. RANDOM: for a client's masks; a server needs none.
 * False: the stream is over, or broke the protocol. */
bool web_socket_open (WebSocket *ws, void *data, size_t size, Random *random, size_t *carried,
                      Buffer *answers);

/* The same with a copy: what is carried is appended to PLAIN. */
bool web_socket_read (WebSocket *ws, const void *data, size_t size, Random *random, Buffer *plain,
                      Buffer *answers);

/* Client: appends SIZE bytes to OUT as one binary message. */
void web_socket_write (Buffer *out, const void *data, size_t size, Random *random);

/* Server: the head of a binary message of SIZE bytes; its size, at most 10. */
size_t web_socket_head (size_t size, uint8_t out[10]);
