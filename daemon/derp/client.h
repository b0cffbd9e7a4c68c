/* One connection to a relay, from the moment when TLS (or TCP) is up until it is closed.
 *
 * HTTP upgrade or fast start, login, keep-alive, pings, and the bounded send queues. It dials
 * nothing, does no TLS and does not reconnect: path/relays decides which connections exist, the
 * tunnel owns the socket. spec/derp.md §3.5, §4, §5.1, §5.4. Net thread.
 *
 * Packets may be queued before the connection is up; they wait at most DERP_QUEUE_AGE_US. */
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "derp/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DERP_LOGIN_US        (10 * USEC_PER_SEC)  /* TLS up until ServerInfo */
#define DERP_SILENCE_US      (120 * USEC_PER_SEC) /* no frame: the connection is dead */
#define DERP_PROBE_AFTER_US  (10 * USEC_PER_SEC)  /* written, nothing heard: ask by a ping */
#define DERP_PING_TIMEOUT_US (3 * USEC_PER_SEC)
#define DERP_QUEUE_AGE_US    (1 * USEC_PER_SEC)
#define DERP_QUEUE_BURST_US                                                                        \
  (50 * USEC_PER_MSEC) /* the same when more than a standing queue waits */
#define DERP_QUEUE_PACKETS        512
#define DERP_QUEUE_BYTES          (512 * 1024)
#define DERP_QUEUE_STANDING       64
#define DERP_QUEUE_STANDING_BYTES (128 * 1024)
#define DERP_QUEUE_DISCO          16
#define DERP_RECORD_SIZE          16384 /* frames are packed into records of at most this size */

typedef struct DerpClient DerpClient;

/* Copied by derp_client_new. */
typedef struct
{
  const uint8_t *node_private; /* 32 bytes; kept in secret memory until derp_client_free */
  const char *host;            /* HostName of the relay node */
  uint16_t port;               /* 443 is left out of the Host header */
  const char *ideal_node;  /* name of the region's first node when connected to another, or NULL */
  const char *user_agent;  /* "warren/0.1.0" */
  bool home;               /* this is our home region */
  bool web_socket;         /* frames in WebSocket messages: a proxy passes nothing else */
  const uint8_t *mesh_key; /* 32 bytes shared by the relays of a region, one of which we are: who
                              comes and goes there is told; NULL: an ordinary client */
} DerpClientConfig;

typedef enum
{
  DERP_CLIENT_EVENT_TICK,
  DERP_CLIENT_EVENT_CONNECTED, /* the byte stream is open */
  DERP_CLIENT_EVENT_BYTES,     /* plaintext from the relay */
  DERP_CLIENT_EVENT_END,       /* the byte stream ended or failed */
  DERP_CLIENT_EVENT_SEND,      /* queue a packet for a peer */
  DERP_CLIENT_EVENT_FORWARD,   /* the same, as a relay, for one of our own clients */
  DERP_CLIENT_EVENT_HOME,      /* this connection is now, or no longer, home */
  DERP_CLIENT_EVENT_PING,      /* prove that the relay is there within DERP_PING_TIMEOUT_US */
} DerpClientEventType;

typedef struct
{
  DerpClientEventType type;
  union
  {
    struct
    {
      bool fast_start;       /* the meta certificate told SERVER_KEY and TLS is 1.3 */
      DerpPublic server_key; /* only with fast_start */
    } connected;
    struct
    {
      const uint8_t *data;
      size_t size;
    } bytes;
    struct
    {
      NodePublic peer;
      const uint8_t *data;
      size_t size;
      NodePublic source; /* only FORWARD */
    } send;
    bool home;
  };
} DerpClientEvent;

typedef enum
{
  DERP_CLIENT_ACTION_UP,     /* ServerInfo arrived and opened */
  DERP_CLIENT_ACTION_PACKET, /* from a peer; the relay's word for the source is not proof */
  DERP_CLIENT_ACTION_PEER_GONE,
  DERP_CLIENT_ACTION_PEER_PRESENT, /* only with a mesh key */
  DERP_CLIENT_ACTION_HEALTH,       /* text of the relay, empty: healthy again */
  DERP_CLIENT_ACTION_RESTARTING,   /* it goes away for a moment, on purpose */
  DERP_CLIENT_ACTION_CLOSE,        /* close the stream; nothing follows */
} DerpClientActionType;

/* Why a connection ends. */
typedef enum
{
  DERP_CLOSE_LOGIN,   /* no valid login answer */
  DERP_CLOSE_UPGRADE, /* HTTP, but no upgrade to frames: WebSocket may pass */
  DERP_CLOSE_REFUSED, /* the relay ended it instead of answering the login: it may not know us */
  DERP_CLOSE_LOST,    /* it was up */
} DerpCloseReason;

/* Everything that is pointed to is borrowed until the next input; nothing needs to be cleared. */
typedef struct
{
  DerpClientActionType type;
  union
  {
    struct
    {
      NodePublic source;
      const uint8_t *data;
      size_t size;
    } packet;
    struct
    {
      NodePublic peer;
      DerpGoneReason reason;
    } peer_gone;
    NodePublic peer_present;
    const char *health; /* for a person */
    int64_t restart_us; /* from now until it is back, by its own word */
    struct
    {
      DerpCloseReason reason;
      const char *text; /* for a person */
    } close;
  };
} DerpClientAction;

DerpClient *derp_client_new (const DerpClientConfig *config, Random *random);
void derp_client_input (DerpClient *client, const DerpClientEvent *event, int64_t now_us);

/* Frames are parsed as actions are taken: call until false after each input. */
bool derp_client_next_action (DerpClient *client, DerpClientAction *action, int64_t now_us);
int64_t derp_client_next_deadline (const DerpClient *client);
void derp_client_free (DerpClient *client);

/* True when derp_client_pull has something to give. */
bool derp_client_wants_write (const DerpClient *client);

/* Moves the next bytes for the relay to OUT: whole frames, packed, disco first, packets that are
 * too old left out. Call when the stream below can take CAPACITY (>= DERP_RECORD_SIZE) bytes and
 * write them as one TLS record. Returns their number. */
size_t derp_client_pull (DerpClient *client, void *out, size_t capacity, int64_t now_us);

typedef struct
{
  bool up;
  int64_t last_frame_us;  /* 0: none yet */
  int64_t last_queued_us; /* last packet that was queued by SEND, 0: none */
  uint64_t sent;          /* packets */
  uint64_t received;
  uint64_t dropped; /* queue full, too old, too large, over the relay's rate limit */
} DerpClientStatus;

void derp_client_status (const DerpClient *client, DerpClientStatus *out);
