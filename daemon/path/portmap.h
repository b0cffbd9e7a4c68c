/* A port of the router that leads to our UDP socket: asked for by NAT-PMP or PCP, renewed, and
 * given back. With it even a peer behind a hard NAT reaches us behind ours.
 *
 * Speaks to the gateway alone, through a side socket of its own. UPnP is not spoken.
 * spec/path-finding.md §9. Net thread, inside path only. */
#pragma once

#include "path/netcheck.h"
#include "path/portmap-wire.h"

#define PORTMAP_LIFETIME_S 7200
#define PORTMAP_TRY_US     (250 * INT64_C (1000)) /* doubled with each try */
#define PORTMAP_TRIES      3
#define PORTMAP_CHECK_US                                                                           \
  (60 * INT64_C (1000000)) /* between questions whether it is still there                          \
                            */
#define PORTMAP_REST_US     (60 * INT64_C (1000000)) /* after no router answered, doubled each time */
#define PORTMAP_REST_MAX_US (600 * INT64_C (1000000))

typedef struct Path Path;
typedef struct Portmap Portmap;

Portmap *portmap_new (void);
void portmap_free (Portmap *portmap);

/* Gateway, own address, port or permission may have changed. */
void portmap_update (Path *path);

/* Our endpoints are being looked at: ask if it is time to. */
void portmap_look (Path *path);

/* The port outside that leads to us; NULL: none. */
const IpPort *portmap_mapping (const Path *path);

/* Which services there are, into REPORT. */
void portmap_report (const Path *path, NetcheckReport *report);

/* True when side socket SIDE is ours. */
bool portmap_owns (const Path *path, uint32_t side);
void portmap_input (Path *path, const void *bytes, size_t size, const IpPort *source);

void portmap_tick (Path *path);
int64_t portmap_next_deadline (const Path *path);
