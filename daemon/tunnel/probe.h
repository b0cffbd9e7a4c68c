/* One latency probe over HTTPS: how long a relay takes to answer GET /derp/latency-check. For
 * networks that let no UDP out. Net thread. spec/path-finding.md §8, spec/derp.md §3.7. */
#pragma once

#include "tunnel/stream.h"

typedef struct Probe Probe;
struct Probe
{
  Stream stream;
  Probe *next;
  uint32_t number; /* path's */
  bool asked;
  int64_t asked_us;
  bool done;
  int64_t latency_us; /* NETCHECK_NO_LATENCY: it failed */
  bool ipv6;
};

/* Begins; NODE is copied. *RESOLVE: its name is to be resolved first. */
Probe *probe_new (const StreamContext *context, uint32_t number, const PathRelayNode *node,
                  int64_t now_us, bool *resolve);
void probe_free (Probe *probe);

/* Its stream made progress, or time has passed. Look at done afterwards. */
void probe_drive (Probe *probe, int64_t now_us);
