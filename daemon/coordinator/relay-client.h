/* One client of the relay: from the HTTP request to frames (spec/derp.md §4, §6).
 *
 * No sockets: plaintext in, plaintext and packets out. The relay's thread owns it. */
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "derp/frame.h"
#include "wire/buffer.h"
#include "wire/http1.h"

#include <stdbool.h>
#include <stdint.h>

#define RELAY_QUEUE_PACKETS 32
#define RELAY_QUEUE_BYTES   65536 /* one packet always fits */
#define RELAY_HEARD_MAX     256   /* keys that are told when this client goes */

typedef struct RelayPacket RelayPacket;
struct RelayPacket
{
  RelayPacket *next;
  size_t size; /* of the whole RecvPacket frame */
  uint8_t frame[];
};

typedef struct
{
  RelayPacket *first, *last;
  size_t n, bytes;
} RelayQueue;

typedef struct
{
  NodePublic key; /* our own */
  uint8_t private_key[KEY_SIZE];
  DerpPublic server_key;
  Random *random;
} RelayIdentity;

typedef struct
{
  const RelayIdentity *identity;
  enum
  {
    RELAY_HEAD,  /* HTTP */
    RELAY_LOGIN, /* ServerKey sent, ClientInfo awaited */
    RELAY_UP,
    RELAY_OVER,
  } stage;
  NodePublic key;
  bool preferred;
  Buffer in;
  Buffer out; /* frames of our own: login, pong, keep-alive, gone */
  RelayQueue disco, data;
  NodePublic heard[RELAY_HEARD_MAX];
  size_t n_heard;
  unsigned not_here_left; /* notices of absence that may still be sent */
  int64_t keep_alive_us;
  int64_t keep_alive_every_us;
} RelayClient;

typedef enum
{
  RELAY_EVENT_NONE,
  RELAY_EVENT_LOGIN,  /* key is known; answer with relay_client_accept or close */
  RELAY_EVENT_PACKET, /* for destination */
} RelayEventType;

typedef struct
{
  RelayEventType type;
  NodePublic destination;
  const uint8_t *packet; /* borrowed until the next call */
  size_t size;
} RelayEvent;

void relay_client_init (RelayClient *client, const RelayIdentity *identity);
void relay_client_clear (RelayClient *client);

/* Bytes from the peer, then events until there are none. Stage RELAY_OVER: close when out is empty.
 */
void relay_client_feed (RelayClient *client, const void *data, size_t size);
RelayEventType relay_client_next (RelayClient *client, RelayEvent *event);
void relay_client_accept (RelayClient *client, int64_t now_us);

/* Queues a packet from SOURCE; the oldest of its kind goes when there is no room. */
void relay_client_deliver (RelayClient *client, const NodePublic *source, const uint8_t *packet,
                           size_t size);

/* Tells that KEY is not here (once in a while), or has gone. */
void relay_client_gone (RelayClient *client, const NodePublic *key, DerpGoneReason reason);

/* Appends frames of at most about LIMIT bytes for the peer, disco first. */
void relay_client_take (RelayClient *client, Buffer *out, size_t limit);

/* Sends a keep-alive when it is due; the next deadline. */
int64_t relay_client_tick (RelayClient *client, int64_t now_us);
