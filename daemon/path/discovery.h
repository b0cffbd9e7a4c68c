/* Our own place in the network: runs netcheck when it is due, keeps the list of our endpoints and
 * the home region, and tells control what changed. spec/path-finding.md §5.3, §5.4, §8. Net thread,
 * inside path only. */
#pragma once

#include "path/netcheck.h"
#include "path/path.h"

#define DISCOVERY_FRESH_US    (27 * USEC_PER_SEC)
#define DISCOVERY_PERIOD_MIN  (20 * USEC_PER_SEC)
#define DISCOVERY_PERIOD_MAX  (26 * USEC_PER_SEC)
#define DISCOVERY_FULL_US     (300 * USEC_PER_SEC)
#define DISCOVERY_ACTIVE_US   (45 * USEC_PER_SEC) /* the tunnel was used */
#define DISCOVERY_LOSS_GAP_US (5 * USEC_PER_SEC)  /* between runs that a lost path caused */

typedef struct Discovery Discovery;

Discovery *discovery_new (Random *random);
void discovery_free (Discovery *discovery);

/* Look anew; FULL: at every region. One run at a time, a request during a run follows it. */
void discovery_request (Path *path, bool full);

/* A command wants the report of a full run. */
void discovery_command (Path *path, uint32_t id);

/* A path was lost: our own address may be another now. */
void discovery_path_lost (Path *path);

/* True when the endpoints may be told as they are; else a run is under way or starts now. */
bool discovery_fresh (Path *path);

/* The tunnel is in use: looking by the clock begins (again). */
void discovery_active (Path *path);

/* The router gives us a port, or another, or none any more. */
void discovery_mapping_changed (Path *path);

/* Sockets or network changed: what was seen before does not count. */
void discovery_reset (Path *path);

/* Tell control everything again (another node key). */
void discovery_tell_again (Path *path);

/* Packets and answers for netcheck. */
void discovery_stun (Path *path, const void *bytes, size_t size, const IpPort *source);
void discovery_resolved (Path *path, uint32_t query, const IpAddr *addresses, size_t count);
void discovery_https_latency (Path *path, uint32_t probe, int64_t latency_us, bool ipv6);
void discovery_icmp_latency (Path *path, uint32_t probe, int64_t latency_us);
void discovery_send_failed (Path *path, const IpPort *destination);

void discovery_tick (Path *path);
int64_t discovery_next_deadline (const Path *path);

/* The endpoints as last found. */
const Endpoint *discovery_endpoints (const Path *path, size_t *count);
const NetcheckReport *discovery_report (const Path *path);
