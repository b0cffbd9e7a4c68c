/* A way to a peer, and whether one may replace another: the table of spec/path-finding.md §6.5.
 * Pure; any thread, inside path only. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stdint.h>

#define WAY_DEFAULT_MTU 1360 /* of the wire, as far as an unpadded ping proves */

typedef struct
{
  IpPort at;          /* family 0: no way */
  uint32_t vni;       /* of a peer relay, 0: direct */
  uint32_t side;      /* socket of path/birthday.h that it leads through, 0: the shared one */
  int64_t latency_us; /* round trip; 0: unknown */
  uint16_t wire_mtu;
} PathWay;

/* May A replace B? */
bool way_better (const PathWay *a, const PathWay *b);

bool way_is_set (const PathWay *way);

/* True when both are direct and of one kind (family, loopback, link-local, private): then only
 * latency speaks for a switch, and one sample is not enough. */
bool way_same_class (const PathWay *a, const PathWay *b);
