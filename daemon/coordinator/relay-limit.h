/* How often one address may connect (spec/derp.md §6.1): a bucket for each IPv4 address or IPv6
 * /64.
 *
 * A fixed table; when places collide the older one loses its memory, which errs on the side of
 * letting people in. Loopback is not limited. One thread; the time is handed in. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stdint.h>

#define RELAY_LIMIT_BURST 200 /* connections at once */
#define RELAY_LIMIT_RATE  50  /* per second */

typedef struct RelayLimit RelayLimit;

RelayLimit *relay_limit_new (void);
void relay_limit_free (RelayLimit *limit);

/* Whether another connection from ADDR is all right now; counts it. */
bool relay_limit_take (RelayLimit *limit, const IpAddr *addr, int64_t now_us);
