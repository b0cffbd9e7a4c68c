/* What the tests of two tunnels share: the ends themselves, and what is said of them most often.
 * One thread. */
#pragma once

#include "ends.h"

#define SOON_MS 30000 /* for what must come */

extern End a, b;

/* Both start and know each other, with a virtio header. */
void set_up (void);
void tear_down (void);

/* Sends UDP from SRC to DST at END. */
void
send_udp (End *end, const IpAddr *src, const IpAddr *dst, uint16_t src_port, uint16_t dst_port);

/* The next packet at END must have these addresses (and be intact). */
void expect (End *end, const IpAddr *src, const IpAddr *dst);

/* The other end as END's peer, in memory that the next call reuses; and END's ordinary
 * configuration with it. */
TunnelPeer peer_at (const End *end);
void apply (End *end, bool shields_up, const TunnelPeer *peer);

/* A TCP super-packet as the kernel gives it, with a checksum that is to be completed. MSS 0: an
 * ordinary packet. */
size_t
make_super (uint8_t *out, const IpAddr *src, const IpAddr *dst, size_t payload, uint16_t mss);
