/* Filling a netcheck report answer by answer (spec/path-finding.md §8.3). Net thread, inside path
 * only. */
#pragma once

#include "path/netcheck.h"

/* A round trip to REGION; FAMILY 4 or 6 by STUN, 0 by other means. The smallest counts. */
void netcheck_report_add_latency (NetcheckReport *report, uint16_t region, unsigned family,
                                  int64_t latency_us);

/* A STUN server saw us at MAPPED. The second IPv4 answer tells whether our mapping depends on the
 * destination. */
void netcheck_report_add_mapped (NetcheckReport *report, const IpPort *mapped);
