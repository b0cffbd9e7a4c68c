/* The one renderer of the official Status document (spec/local-services.md §3.3): what
 * `warren status --json` prints and what programs written for the official client read.
 *
 * Pure: everything it shows is handed in. Main thread. */
#pragma once

#include "netmap/netmap.h"
#include "tunnel/tunnel.h"
#include "wire/json-writer.h"

#define STATUS_ACTIVE_US (45 * INT64_C (1000000)) /* a peer is "active" so long after we sent */

typedef struct
{
  const char *version;       /* "0.1.0-warren" */
  const char *backend_state; /* "NoState", "NeedsLogin", "NeedsMachineAuth", "Stopped", "Starting",
                                "Running" */
  const char *auth_url;      /* "" unless a person may see it and one is pending */
  bool have_node_key;
  NodePublic node_key;  /* own, shown without a map */
  const Netmap *netmap; /* NULL: none known */
  const char *host_name;
  bool online;             /* the map stream lives */
  const IpPort *endpoints; /* own candidates */
  size_t n_endpoints;
  int home_region;           /* own home relay, 0 none */
  const char *exit_node_id;  /* stable id of the selected exit node, "" none */
  const char *const *health; /* sorted texts, NULL-terminated; NULL: none */
  bool with_peers;
  /* Fills OUT for a peer; false when the tunnel does not know it. NULL: no tunnel. */
  bool (*peer_status) (const NodePublic *key, TunnelPeerStatus *out, void *user_data);
  void *user_data;
  int64_t now_us; /* CLOCK_BOOTTIME */
  WallTime now;   /* the date of the same moment */
} StatusInput;

/* Writes the document. */
void status_json_write (const StatusInput *input, JsonWriter *w);
