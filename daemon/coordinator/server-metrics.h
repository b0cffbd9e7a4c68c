/* What the server says of itself on a local address: GET /health for a watchdog, GET /metrics for
 * Prometheus (text format 0.0.4). Relay counters have the names of the official relay
 * (spec/derp.md §6.9).
 *
 * A thread of its own answers; the figures are atomics, so that whoever counts never waits. */
#pragma once

#include "coordinator/relay.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ServerMetrics ServerMetrics;

/* Listens at ADDRESS:PORT (NULL: only counts). NULL and *ERROR (malloc'd) when that cannot be had.
 * RELAY may be NULL; it must outlive the metrics. */
ServerMetrics *server_metrics_new (const char *address, Relay *relay, char **error);
void server_metrics_free (ServerMetrics *metrics);

/* How it stands now; gauges. */
typedef struct
{
  size_t nodes, online, users, pending; /* of the network */
  size_t streams;                       /* open map streams */
  size_t connections;                   /* to the control address */
  size_t queued_bytes;                  /* written to nobody yet */
} ServerFigures;

/* The server is alive and stands so; at least every ten seconds, or it is not healthy. Any thread.
 */
void server_metrics_set (ServerMetrics *metrics, const ServerFigures *figures);

/* A commit of N records took DURATION_US. Any thread. */
void server_metrics_commit (ServerMetrics *metrics, size_t n, int64_t duration_us);

/* A map message of SIZE bytes went out. Any thread. */
void server_metrics_message (ServerMetrics *metrics, size_t size);
