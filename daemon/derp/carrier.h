/* How a relay's frames travel on the stream: as they are, or in WebSocket messages where a proxy
 * passes no other change of protocol (spec/derp.md §3.6).
 *
 * Zero is "as they are". Net thread, inside derp only. */
#pragma once

#include "wire/web-socket.h"

typedef struct
{
  bool wanted; /* ask for WebSocket */
  bool on;     /* messages have begun */
  WebSocket socket;
  char key[WEB_SOCKET_KEY_SIZE];
  Buffer answers; /* pongs and the like */
} DerpCarrier;

void derp_carrier_clear (DerpCarrier *carrier);

/* Appends the fields of the request that ask for the change of protocol. */
void derp_carrier_ask (DerpCarrier *carrier, Random *random, Buffer *out);

/* Whether HEAD, a 101, grants what was asked for; messages begin behind it. */
bool derp_carrier_granted (DerpCarrier *carrier, const Http1Head *head);

/* Appends the frames' bytes that DATA carries to IN; false: the stream is over or broken. */
bool
derp_carrier_read (DerpCarrier *carrier, const void *data, size_t size, Random *random, Buffer *in);

/* How many bytes of frames fit into CAPACITY now. */
size_t derp_carrier_room (const DerpCarrier *carrier, size_t capacity);

/* Writes SIZE bytes of frames (at most the room) to OUT, behind what is to be answered; the number
 * of bytes. */
size_t derp_carrier_write (DerpCarrier *carrier, const uint8_t *frames, size_t size, Random *random,
                           uint8_t *out, size_t capacity);
