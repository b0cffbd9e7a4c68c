/* One look at the network: which relays answer STUN, how fast, from which address of ours.
 *
 * A core of the usual five verbs. It plans probes, gathers answers for at most five seconds and
 * gives a report; the home relay is chosen from the last reports by path/home.h. It owns no socket:
 * STUN goes out and comes in through the shared UDP socket. spec/path-finding.md §8. Net thread. */
#pragma once

#include "base/ip.h"
#include "base/random.h"
#include "netmap/derp-map.h"
#include "path/stun.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETCHECK_TOTAL_US   (5 * INT64_C (1000000))
#define NETCHECK_STUN_US    (3 * INT64_C (1000000))
#define NETCHECK_NO_LATENCY (-1)
#define NETCHECK_MAPPED_MAX 8 /* reflexive addresses kept per family */

typedef enum
{
  TRISTATE_UNSET,
  TRISTATE_FALSE,
  TRISTATE_TRUE,
} Tristate;

typedef struct
{
  uint16_t region;
  int64_t latency_us;  /* the smallest of all, NETCHECK_NO_LATENCY when not measured */
  int64_t latency4_us; /* by STUN over IPv4 */
  int64_t latency6_us; /* by STUN over IPv6 */
} RegionLatency;

typedef struct
{
  IpPort at;
  unsigned seen; /* answers that told this address */
} MappedAddress;

typedef struct
{
  int64_t finished_at_us;
  bool full;
  bool udp; /* any STUN answer */
  bool ipv4;
  bool ipv6;
  bool ipv4_can_send;
  bool ipv6_can_send;
  bool os_has_ipv6;
  bool icmp4;
  bool port_mapped; /* the router lets us in (path/portmap.h) */
  Tristate pmp;
  Tristate pcp;
  Tristate mapping_varies; /* by destination, IPv4 */
  IpPort global4;          /* family 0: unknown */
  IpPort server4;          /* that told it */
  IpPort global6;
  MappedAddress mapped4[NETCHECK_MAPPED_MAX];
  size_t n_mapped4;
  MappedAddress mapped6[NETCHECK_MAPPED_MAX];
  size_t n_mapped6;
  RegionLatency *regions; /* measured ones, sorted by region; owned by the report */
  size_t n_regions;
} NetcheckReport;

NetcheckReport *netcheck_report_copy (const NetcheckReport *report);
void netcheck_report_free (NetcheckReport *report);

/* The entry of REGION, or NULL when it was not measured. */
const RegionLatency *netcheck_report_region (const NetcheckReport *report, uint16_t region);

typedef struct Netcheck Netcheck;

/* What a run may use, borrowed during netcheck_start. */
typedef struct
{
  const DerpMap *map;
  const NetcheckReport *last; /* the last report, NULL: none, which makes the run a full one */
  uint16_t home_region;       /* 0: none */
  bool full;
  bool have4; /* the host has a usable address of the family and a socket for it */
  bool have6;
  bool os_has_ipv6;
  bool no_udp; /* only-tcp-443 */
} NetcheckRequest;

typedef enum
{
  NETCHECK_ACTION_SEND,    /* a STUN request from the shared socket */
  NETCHECK_ACTION_RESOLVE, /* a node's name; answer by netcheck_resolved */
  NETCHECK_ACTION_HTTPS,   /* time a request to a region; answer by netcheck_https_latency */
  NETCHECK_ACTION_ICMP,    /* echo to a node; answer by netcheck_icmp_latency */
  NETCHECK_ACTION_REPORT,  /* the run is over; nothing follows */
} NetcheckActionType;

typedef struct
{
  NetcheckActionType type;
  union
  {
    struct
    {
      IpPort destination;
      uint8_t request[STUN_REQUEST_SIZE];
    } send;
    struct
    {
      uint32_t query;
      const DerpNode *node; /* borrowed from the run's map */
    } resolve;
    struct
    {
      uint32_t probe;
      uint16_t region;
    } https;
    struct
    {
      uint32_t probe;
      IpAddr destination;
    } icmp;
    NetcheckReport *report; /* now the caller's */
  };
} NetcheckAction;

Netcheck *netcheck_new (Random *random);
void netcheck_free (Netcheck *netcheck);

/* Starts a run; only when none is running. */
void netcheck_start (Netcheck *netcheck, const NetcheckRequest *request, int64_t now_us);
bool netcheck_running (const Netcheck *netcheck);

/* Gives the run up without a report. */
void netcheck_cancel (Netcheck *netcheck);

/* A STUN packet from SOURCE; false when it answers no probe of this run. */
bool netcheck_stun (Netcheck *netcheck, const void *bytes, size_t size, const IpPort *source,
                    int64_t now_us);

/* The kernel refused a probe to DESTINATION: it does not count as sent. */
void netcheck_send_failed (Netcheck *netcheck, const IpPort *destination, int64_t now_us);
void netcheck_resolved (Netcheck *netcheck, uint32_t query, const IpAddr *addresses,
                        size_t n_addresses, int64_t now_us);
void netcheck_https_latency (Netcheck *netcheck, uint32_t probe, int64_t latency_us, bool ipv6,
                             int64_t now_us);
void netcheck_icmp_latency (Netcheck *netcheck, uint32_t probe, int64_t latency_us, int64_t now_us);
void netcheck_tick (Netcheck *netcheck, int64_t now_us);
bool netcheck_next_action (Netcheck *netcheck, NetcheckAction *action);
int64_t netcheck_next_deadline (const Netcheck *netcheck);
