/* A byte stream in WebSocket messages, the client's side (RFC 6455; control-protocol.md §4.7): for
 * where a proxy passes no other change of protocol.
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
#define WEB_SOCKET_HEAD_MAX    10 /* of a frame from a server: never masked */
#define WEB_SOCKET_CONTROL_MAX 125
#define WEB_SOCKET_FRAME_MAX   (UINT64_C (16) << 20) /* bytes that one frame may announce */

/* What the server has sent so far. All zero: nothing. */
typedef struct
{
  uint8_t head[WEB_SOCKET_HEAD_MAX];
  uint8_t head_size; /* bytes of it that have come */
  bool in_frame;
  uint8_t opcode;
  uint8_t control_size;
  uint64_t left; /* of the frame's payload */
  uint8_t control[WEB_SOCKET_CONTROL_MAX];
} WebSocket;

/* A fresh key for the request. */
void web_socket_key (Random *random, char out[WEB_SOCKET_KEY_SIZE]);

/* HEAD answers a request with KEY for the sub-protocol PROTOCOL as it must. */
bool web_socket_accepted (const Http1Head *head, const char *key, const char *protocol);

/* Takes SIZE bytes from the server: what they carry goes to PLAIN, what is to be answered (pong,
 * close) to ANSWERS. False: the stream is over, or broke the protocol. */
bool web_socket_read (WebSocket *ws, const void *data, size_t size, Random *random, Buffer *plain,
                      Buffer *answers);

/* Appends SIZE bytes to OUT as one binary message. */
void web_socket_write (Buffer *out, const void *data, size_t size, Random *random);
