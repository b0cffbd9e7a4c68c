/* One connection to a relay: a stream and the DERP protocol on it.
 *
 * Path decides which connections exist (path/path.h); this joins tunnel/stream.h and derp/client.h.
 * Net thread. spec/derp.md §3.5, §5.4. */
#pragma once

#include "derp/client.h"
#include "tunnel/stream.h"

typedef struct Relay Relay;
struct Relay
{
  Stream stream;
  Relay *next;
  uint32_t connection; /* path's number */
  uint16_t region;
  bool home;
  bool queued;           /* relay_push is due */
  bool connected;        /* the client was told that the stream is open */
  int64_t told_frame_us; /* net: when path last heard of a frame */
  DerpClient *client;
};

/* Begins a connection; NODE is copied. WEB_SOCKET: a proxy on the way passes nothing else.
 * *RESOLVE: its name is to be resolved first. */
Relay *
relay_new (const StreamContext *context, uint32_t connection, const PathRelayNode *node, bool home,
           bool web_socket, const uint8_t node_private[32], int64_t now_us, bool *resolve);
void relay_free (Relay *relay);

/* Its stream made progress (stream_io, stream_resolved), or time has passed. */
void relay_drive (Relay *relay, int64_t now_us);

/* The next thing that the relay said; false: nothing. When the stream has failed, all is over. */
bool relay_next (Relay *relay, DerpClientAction *action, int64_t now_us);

/* Queues a packet for PEER. relay_push moves what is queued to the stream; once for many. */
void
relay_send (Relay *relay, const NodePublic *peer, const void *data, size_t size, int64_t now_us);
void relay_push (Relay *relay, int64_t now_us);
void relay_set_home (Relay *relay, bool home, int64_t now_us);
void relay_ping (Relay *relay, int64_t now_us);

int64_t relay_deadline (const Relay *relay);
