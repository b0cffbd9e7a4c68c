/* The path to one peer: candidates, pings under way, the best address and how far it is trusted.
 *
 * Exists only for peers that are or were in use. Decides and reports through PathOutput; it knows
 * neither sockets nor other peers. spec/path-finding.md §6. Net thread, inside path only. */
#pragma once

#include "base/clock.h"
#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_HEARTBEAT_US     (3 * USEC_PER_SEC)
#define PATH_TRUST_US         (6500 * USEC_PER_MSEC)
#define PATH_SESSION_IDLE_US  (45 * USEC_PER_SEC)
#define PATH_PING_INTERVAL_US (5 * USEC_PER_SEC)
#define PATH_PING_TIMEOUT_US  (5 * USEC_PER_SEC)
#define PATH_GOOD_ENOUGH_US   (5 * USEC_PER_MSEC)
#define PATH_UPGRADE_US       (60 * USEC_PER_SEC)
#define PATH_CANDIDATES_MAX   100
#define PATH_DEFAULT_WIRE_MTU 1360

/* A way to a peer as better () compares them. */
typedef struct
{
  IpPort at;          /* family 0: no way */
  uint32_t vni;       /* of a peer relay, 0: direct */
  int64_t latency_us; /* round trip; 0: unknown */
  uint16_t wire_mtu;
} PathWay;

/* May A replace B? The table of §6.5. */
bool path_better (const PathWay *a, const PathWay *b);
