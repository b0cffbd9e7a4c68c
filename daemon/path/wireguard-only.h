/* Peers that speak WireGuard and nothing else: no disco, no relay; round trips are measured by
 * ICMP. spec/path-finding.md §13. Net thread, inside path only. */
#pragma once

#include "path/peer-path.h"

WireguardOnly *wireguard_only_new (void);
void wireguard_only_free (WireguardOnly *state);

/* Chooses where to send and asks for new measurements when they are old. */
void wireguard_only_sent (Path *path, PeerPath *peer);

/* WireGuard accepted a packet from SOURCE. */
void wireguard_only_received (Path *path, PeerPath *peer, const IpPort *source);

/* The answer to an ICMP ping; false when PROBE is not of this peer. */
bool wireguard_only_latency (Path *path, PeerPath *peer, uint32_t probe, int64_t latency_us);
