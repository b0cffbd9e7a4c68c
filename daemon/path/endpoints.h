/* Which addresses we tell others to reach us at: STUN results, interface addresses, static ones.
 *
 * Builds the list from what is known, keeps reflexive endpoints for a while after they were last
 * seen, and says when the list has changed. It sends nothing. spec/path-finding.md §5. Net thread.
 */
#pragma once

#include "base/ip.h"
#include "path/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENDPOINT_KEPT_US      (310 * INT64_C (1000000)) /* advertised after last seen */
#define ENDPOINTS_PER_ADDRESS 6
#define ENDPOINTS_MAX         64 /* advertised at once */

/* Numbers as control knows them. */
typedef enum
{
  ENDPOINT_LOCAL = 1,
  ENDPOINT_STUN = 2,
  ENDPOINT_PORTMAPPED = 3,
  ENDPOINT_STUN4_LOCAL_PORT = 4, /* a guess: STUN's address, our fixed port */
  ENDPOINT_EXPLICIT = 5,
} EndpointType;

typedef struct
{
  IpPort at;
  EndpointType type;
} Endpoint;

typedef struct EndpointTracker EndpointTracker;

/* What one round of discovery found, all borrowed. */
typedef struct
{
  const Endpoint *found; /* reflexive and mapped ones, best first */
  size_t n_found;
  const IpPort *fixed; /* set by the user */
  size_t n_fixed;
  const PathLink *link; /* may be NULL */
  uint16_t port4;       /* our bound ports, 0 none */
  uint16_t port6;
} EndpointSources;

EndpointTracker *endpoint_tracker_new (void);
void endpoint_tracker_free (EndpointTracker *tracker);

/* Makes the new list; true when its set differs from the last one. */
bool
endpoint_tracker_update (EndpointTracker *tracker, const EndpointSources *sources, int64_t now_us);

/* Forgets what was seen (our ports changed). */
void endpoint_tracker_reset (EndpointTracker *tracker);

/* The list of the last update, borrowed until the next one. */
const Endpoint *endpoint_tracker_list (const EndpointTracker *tracker, size_t *count);

/* The addresses of LINK that may be advertised, with PORT4 and PORT6, sorted; returns how many were
 * written to OUT (at most CAPACITY). */
size_t endpoint_local_list (const PathLink *link, uint16_t port4, uint16_t port6, IpPort *out,
                            size_t capacity);
