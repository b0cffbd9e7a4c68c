/* One connection to a relay: dialling both families, TLS, and the bytes between the socket and
 * derp/client.h. Path decides which connections exist (path/path.h); this is their I/O. Net thread.
 * spec/derp.md §3.1, §3.3, §3.5, §5.4. */
#pragma once

#include "derp/client.h"
#include "path/path.h"
#include "wire/tls.h"

typedef struct Relay Relay;

/* What the relays of one net thread share; outlives them. */
typedef struct
{
  int epoll; /* their sockets are watched here, with the Relay as data.ptr */
  TlsContext *tls;
  Random *random;
  bool (*mark) (int fd); /* NULL: none */
  const char *user_agent;
} RelayContext;

struct Relay
{
  Relay *next;
  const RelayContext *context;
  uint32_t connection; /* path's number */
  uint16_t region;
  bool home;
  bool up;               /* logged in */
  bool queued;           /* relay_push is due */
  int64_t told_frame_us; /* net: when path last heard of a frame */
  char text[160];        /* why it failed */

  /* The rest is relay.c's. */
  enum
  {
    RELAY_RESOLVING,
    RELAY_DIALLING,
    RELAY_TLS,
    RELAY_OPEN,
    RELAY_FAILED,
  } state;
  PathRelayClosed failure;
  char *host;
  char *cert_name;
  uint16_t port;
  bool insecure;
  bool fast;           /* connected event was given */
  IpAddr addresses[2]; /* still to be dialled: IPv6, IPv4; family 0: none */
  int dialling[2];     /* sockets on their way, -1: none */
  int64_t dial_at_us[2];
  int64_t deadline_us; /* of the set-up */
  int fd;              /* -1: none yet */
  Tls *tls;
  DerpClient *client;
  Buffer out; /* ciphertext that the socket did not take yet */
  Buffer plain;
  bool want_write; /* EPOLLOUT is watched */
};

/* Begins a connection; NODE is copied. With *RESOLVE true the host's name is to be resolved first:
 * relay_resolved. */
Relay *relay_new (const RelayContext *context, uint32_t connection, const PathRelayNode *node,
                  bool home, const uint8_t node_private[32], int64_t now_us, bool *resolve);
void relay_free (Relay *relay);

/* Addresses of the host; none: it failed. */
void relay_resolved (Relay *relay, const IpAddr *addresses, size_t n, int64_t now_us);

/* One of its sockets is ready, or time has passed. */
void relay_io (Relay *relay, int64_t now_us);

/* The next thing that the relay said; false: nothing. When relay_failed, the connection is over. */
bool relay_next (Relay *relay, DerpClientAction *action, int64_t now_us);
bool relay_failed (const Relay *relay);

/* Queues a packet for PEER. relay_push moves what is queued to the socket; once for many. */
void
relay_send (Relay *relay, const NodePublic *peer, const void *data, size_t size, int64_t now_us);
void relay_push (Relay *relay, int64_t now_us);
void relay_set_home (Relay *relay, bool home, int64_t now_us);
void relay_ping (Relay *relay, int64_t now_us);

int64_t relay_deadline (const Relay *relay);

/* Local address of the TCP connection. */
IpAddr relay_local_address (const Relay *relay);
