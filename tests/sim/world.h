/* The simulated world: sites with their NATs, the internet between them, relays, nodes, and the
 * coordination server. One seed decides everything that happens in it. */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/key.h"
#include "base/random.h"
#include "base/wall-time.h"
#include "events.h"

#include <stdio.h>

#define SIM_MAX_NODES    128
#define SIM_RELAYS       3
#define SIM_NODE_PORT    41641
#define SIM_RELAY_PORT   443
#define SIM_STUN_PORT    3478
#define SIM_DATAGRAM_MAX 8192 /* a call with all guesses of a hard NAT fits */

typedef struct SimNode SimNode;
typedef struct SimRelay SimRelay;
typedef struct SimCoordinator SimCoordinator;
typedef struct SimFlows SimFlows;
typedef struct SimStreams SimStreams;

/* What stands between a site and the internet. */
typedef enum
{
  SIM_NAT_NONE,    /* a public address, no filter */
  SIM_NAT_EASY,    /* one mapping for all destinations; answers only from where we sent to */
  SIM_NAT_HARD,    /* a mapping and a random port for each destination */
  SIM_NAT_BLOCKED, /* no UDP at all gets out */
} SimNatKind;

/* A place with one public address and a LAN. */
typedef struct
{
  uint32_t id;
  SimNatKind nat;
  bool udp_blocked; /* for a while */
  IpAddr public_address;
  uint32_t lan;       /* 192.168.x.0, host order; many sites have the same one */
  unsigned n_lan;     /* LAN addresses handed out */
  double x, y;        /* place on the map, in milliseconds of one-way delay */
  double loss;        /* chance that a datagram is lost on the line */
  int64_t changed_us; /* last time its UDP was blocked or let through */
  struct SimNat *mappings;
} SimSite;

typedef struct
{
  uint64_t seed;
  unsigned n_nodes;
  unsigned n_flows; /* conversations at a time, at most 80 */
  int64_t duration_us;
  bool verbose;
  bool calm;  /* no restarts, suspends, outages */
  bool guess; /* side sockets work: hard NATs can be guessed through */
} SimOptions;

typedef struct
{
  SimOptions options;
  SeededRandom random;
  SimEvents events;
  int64_t now_us;
  WallTime wall; /* the true date at time 0 */
  SimSite *sites;
  unsigned n_sites;
  SimRelay *relays[SIM_RELAYS];
  SimNode *nodes[SIM_MAX_NODES];
  SimCoordinator *coordinator;
  SimFlows *flows;
  SimStreams *streams;
  char failure[512]; /* empty: all is well */
  uint64_t datagrams;
  uint64_t lost;
} Sim;

Sim *sim_new (const SimOptions *options);
void sim_free (Sim *sim);

/* Runs to the end or to the first failure; true when every invariant held. */
bool sim_run (Sim *sim);

/* Plans EVENT for DELAY_US from now. */
void sim_plan (Sim *sim, SimEventType type, uint32_t target, uint32_t serial, int64_t delay_us);

/* A random delay up to MAX_US, and a chance of one in N. */
int64_t sim_random_us (Sim *sim, int64_t min_us, int64_t max_us);
bool sim_one_in (Sim *sim, uint64_t n);

/* Records the first broken invariant. */
void sim_fail (Sim *sim, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* A line for people when options.verbose. */
void sim_log (Sim *sim, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
