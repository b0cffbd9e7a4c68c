/* One client of the relay: from the HTTP request to frames (spec/derp.md §3.5, §4, §6).
 *
 * No sockets, no TLS, no other clients: plaintext in, plaintext and events out. Frames are read
 * where the plaintext stands, and a packet becomes the frame for its receiver in place, so that
 * nothing is copied on the way through. Its worker owns it; the identity is shared and constant. */
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "coordinator/relay-names.h"
#include "coordinator/relay-queue.h"
#include "derp/frame.h"
#include "wire/buffer.h"
#include "wire/web-socket.h"

#include <stdbool.h>
#include <stdint.h>

#define RELAY_LOGIN_US    (10 * USEC_PER_SEC) /* from the connection until the login is good */
#define RELAY_HEAD_MAX    8192                /* of an HTTP request */
#define RELAY_INFO_MAX    16384               /* of ClientInfo */
#define RELAY_REQUESTS    10                  /* on one connection */
#define RELAY_UNKNOWN_MAX 100                 /* frames of unknown types between two keep-alives */
#define RELAY_TRY_MS      10000               /* clients are to try after a restart */
#define RELAY_RATE_BURST  131072              /* bytes, at least */

/* What all clients of a relay see. */
typedef struct
{
  DerpPublic server_key;
  uint8_t private_key[KEY_SIZE];
  uint8_t mesh_key[KEY_SIZE]; /* of the relays of the region; zero: none */
  uint64_t rate;              /* bytes of frames that each client may send per second, 0: any */
  uint64_t rate_burst;
  RelayNames *names;   /* for those who have no name servers; NULL: none */
  RelayBudget *budget; /* of all queues */
  Random *random;      /* for any thread */
} RelayIdentity;

typedef enum
{
  RELAY_HEAD,  /* HTTP */
  RELAY_LOGIN, /* ServerKey sent, ClientInfo awaited */
  RELAY_UP,
  RELAY_OVER, /* close when what is left has been written */
} RelayStage;

typedef struct
{
  const RelayIdentity *identity;
  RelayStage stage;
  NodePublic key;
  uint8_t shared[32]; /* with the client's key, between the login and its answer */
  bool preferred;     /* the client calls this region its home */
  bool mesh;          /* another relay of the region */
  bool prober;
  bool not_ideal;  /* it would rather be at another node of the region */
  bool takes_news; /* understands frames that only recent clients know */
  bool refused;    /* the login was false, or nobody we know */
  bool pong_waits;
  uint8_t requests; /* HTTP requests that were answered */
  uint8_t not_here; /* notices of absence that may still be sent */
  uint16_t unknown; /* frames of unknown types since the last keep-alive */
  uint8_t *data;    /* plaintext that is being read, borrowed */
  size_t size;
  size_t kept;           /* bytes at DATA that were read before */
  uint64_t skip;         /* bytes of an unknown frame that are still to come */
  Buffer rest;           /* the begin of a frame or of a request */
  Buffer out;            /* frames of our own: login, pong, keep-alive, gone */
  RelayQueue *queue;     /* packets; NULL: none was ever queued */
  WebSocket *web_socket; /* NULL: frames go as they are */
  int64_t not_here_us;   /* when NOT_HERE last grew */
  int64_t paid_us;       /* until when the rate is used up */
  int64_t keep_alive_us;
  int64_t keep_alive_every_us;
} RelayClient;

typedef enum
{
  RELAY_EVENT_NONE,
  RELAY_EVENT_LOGIN,   /* KEY of the client is proven: relay_client_accept or _refuse */
  RELAY_EVENT_PACKETS, /* a run of packets to one receiver */
  RELAY_EVENT_FORWARD, /* one packet from another relay, for a client of this one */
  RELAY_EVENT_WATCH,   /* another relay wants to know who comes and goes */
  RELAY_EVENT_CLOSE,   /* another relay wants DESTINATION's connections closed */
} RelayEventType;

typedef struct
{
  RelayEventType type;
  NodePublic destination;
  NodePublic source;
  uint8_t *frames; /* RecvPacket frames, borrowed until the next feed */
  size_t size;
  unsigned n; /* of them */
} RelayEvent;

void relay_client_init (RelayClient *client, const RelayIdentity *identity);
void relay_client_clear (RelayClient *client);

/* Before reading: moves bytes that could not be used yet to the front of PLAIN. */
void relay_client_rest (RelayClient *client, Buffer *plain);

/* Plaintext from the peer; it is changed, and stays borrowed until next has said NONE. */
void relay_client_feed (RelayClient *client, uint8_t *data, size_t size);
RelayEventType relay_client_next (RelayClient *client, RelayEvent *event, int64_t now_us);

void relay_client_accept (RelayClient *client, int64_t now_us);
void relay_client_refuse (RelayClient *client);

/* Queues the RecvPacket frames of a run from SOURCE; the number that was dropped. */
unsigned relay_client_deliver (RelayClient *client, const NodePublic *source, const uint8_t *frames,
                               size_t size);

/* Queues a packet from SOURCE for TO, who is behind this client, another relay. */
unsigned relay_client_forward (RelayClient *client, const NodePublic *source, const NodePublic *to,
                               const uint8_t *packet, size_t size);

/* Tells that KEY is not here (once in a while), or has gone. */
void relay_client_not_here (RelayClient *client, const NodePublic *key, int64_t now_us);
void relay_client_gone (RelayClient *client, const NodePublic *key);

/* Tells another relay who came. */
void
relay_client_present (RelayClient *client, const NodePublic *key, const IpPort *at, uint8_t flags);

/* A text for the client's user, or "" when all is well again; only to clients that take it. */
void relay_client_health (RelayClient *client, const char *text);

/* Tells that the relay goes away and is to be tried again in RECONNECT_MS; to the same clients. */
void relay_client_restarting (RelayClient *client, uint32_t reconnect_ms);

/* Nothing waits, and frames go to the peer as they are: a run may be written without a queue. */
bool relay_client_idle (const RelayClient *client);

/* Appends what is for the peer to OUT, about LIMIT bytes, disco first. */
void relay_client_take (RelayClient *client, Buffer *out, size_t limit);

/* Sends a keep-alive when it is due; the next deadline. */
int64_t relay_client_tick (RelayClient *client, int64_t now_us);

/* Until when nothing should be read, because the client sent more than its rate; 0: go on. */
int64_t relay_client_pause (const RelayClient *client, int64_t now_us);
