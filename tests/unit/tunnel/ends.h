/* Two whole tunnels in one process for tests: their TUN devices are socket pairs, their network is
 * the loopback interface. No GLib, for the thread sanitizer's sake. */
#pragma once

#include "tunnel/tunnel.h"

#define ENDS_QUEUES_MAX 4

/* What the TUN device can do. */
typedef enum
{
  END_DEVICE_PLAIN,    /* no virtio header */
  END_DEVICE_UNMERGED, /* gives super-packets and takes none */
  END_DEVICE_NO_UDP,   /* takes merged TCP alone */
  END_DEVICE_FULL,
} EndDevice;

/* A tunnel and the host's side of its TUN queues. */
typedef struct
{
  Tunnel *tunnel;
  NodePrivate key;
  NodePublic public_key;
  DiscoPublic disco_key;
  IpAddr address4;
  IpAddr address6;
  uint16_t port;
  EndDevice device;
  bool vnet; /* it has a virtio header */
  unsigned n_queues;
  int tun[ENDS_QUEUES_MAX];
  TunnelConfig *config; /* as applied last */
  uint64_t wanted;      /* its number */
  uint64_t applied;
  TunnelEvent ping; /* newest answers; type 0 and no id: none yet */
  unsigned pongs;
  TunnelEvent rejected;
  unsigned rejects;
  TunnelEvent learned;      /* a disco key that the other end told inside the tunnel */
  struct EndUnread *unread; /* what end_read has not given out yet */
} End;

/* Starts end NUMBER (0 or 1): 100.64.0.1 and fd7a:115c:a1e0::1, or ….2. */
void end_start (End *end, int number, unsigned queues, EndDevice device);
void end_stop (End *end);

/* As after a kill: the same keys and the same port, and nothing else. */
void end_restart (End *end, int number);

/* A filter that lets everything in, or nothing but replies. */
Filter *end_filter (bool shields_up);

/* Settings and the other end as a peer, to be changed before end_apply. */
TunnelSettings end_settings (const End *end, Filter *filter);

/* Routes and sources are both addresses of OTHER, in memory of the caller. */
TunnelPeer end_peer (const End *other, IpPrefix prefixes[2], IpPort *endpoint);

/* Applies a configuration of these peers, and waits until it is in force. */
bool end_apply (End *end, const TunnelSettings *settings, const TunnelPeer *peers, size_t n_peers);

/* Both ends know each other and let everything in. */
bool ends_connect (End *a, End *b);

void end_take_events (End *end);

/* Waits until the newest configuration is in force. */
bool end_wait_applied (End *end);

/* Writes an IP packet to the TUN device as the host would. */
void end_write (End *end, const void *packet, size_t size);

/* The next IP packet that comes out of the TUN device within TIMEOUT_MS, taken apart if it was
 * merged; 0: none. */
size_t end_read (End *end, uint8_t out[2048], int timeout_ms);

/* An IP packet with correct checksums and PAYLOAD bytes; returns its size. TCP_FLAGS 0 makes UDP.
 */
size_t make_packet (uint8_t *out, const IpAddr *src, const IpAddr *dst, uint16_t src_port,
                    uint16_t dst_port, uint8_t tcp_flags, size_t payload);

/* IP, TCP and UDP checksums and lengths are right. */
bool packet_intact (const uint8_t *packet, size_t size);
