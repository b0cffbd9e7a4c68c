/* What the packet filter costs a packet from a peer, with few rules and with many. Prints one line
 * for each: "established|new RULES NANOSECONDS", the median of rounds in which they take turns. */
#include "base/bytes.h"
#include "base/memory.h"
#include "filter/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS  101
#define PACKETS 20000

static const unsigned counts[] = {1, 100, 5000};
#define N_COUNTS (sizeof counts / sizeof counts[0])

/* Rules that each let another peer reach another port. */
static Filter *
make_filter (unsigned n)
{
  static const IpPrefix local = {{.family = 4}, 0};
  FilterRule *rules = mem_new (n * sizeof *rules);
  IpRange *srcs = mem_new (n * sizeof *srcs);
  FilterDst *dsts = mem_new (n * sizeof *dsts);
  FilterRules *list = mem_new (sizeof *list);
  NamedFilter named = {"base", list};
  FilterConfig config
      = {.klass = FILTER_NORMAL, .lists = &named, .n_lists = 1, .local = &local, .n_local = 1};

  for (unsigned i = 0; i < n; i++) {
    srcs[i].first = srcs[i].last = ip_from_v4 (0x64400000u + i * 7);
    dsts[i] = (FilterDst){.first_port = (uint16_t)i, .last_port = (uint16_t)i};
    rules[i] = (FilterRule){.srcs = &srcs[i], .n_srcs = 1, .dsts = &dsts[i], .n_dsts = 1};
  }
  /* Lives as long as the program. */
  *list = (FilterRules){.references = 2, .rules = rules, .n_rules = n};
  return filter_compile (&config);
}

static void
make_packet (IpPacket *packet, uint8_t flags)
{
  uint8_t bytes[40] = {0x45};

  store_be16 (bytes + 2, sizeof bytes);
  bytes[8] = 64;
  bytes[9] = IP_PROTO_TCP;
  store_be32 (bytes + 12, 0x65000001); /* nobody's in the rules */
  store_be32 (bytes + 16, 0x64400001);
  store_be16 (bytes + 20, 40000);
  store_be16 (bytes + 22, 443);
  bytes[32] = 0x50;
  bytes[33] = flags;
  ip_packet_parse (packet, bytes, sizeof bytes);
}

static double
cost_ns (const Filter *filter, FlowTable *flows, const IpPacket *packet)
{
  struct timespec from, to;
  unsigned accepted = 0;

  clock_gettime (CLOCK_MONOTONIC, &from);
  for (int i = 0; i < PACKETS; i++)
    accepted += filter_in (filter, flows, packet, false, 0) == FILTER_ACCEPT;
  clock_gettime (CLOCK_MONOTONIC, &to);
  if (accepted != 0 && accepted != PACKETS)
    abort ();
  return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / PACKETS;
}

static int
compare (const void *a, const void *b)
{
  const double *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

int
main (void)
{
  static const char *const names[] = {"established", "new"};
  static double times[2][N_COUNTS][ROUNDS];
  Filter *filters[N_COUNTS];
  FlowTable *flows = flow_table_new (0);
  IpPacket packets[2];

  make_packet (&packets[0], TCP_ACK);
  make_packet (&packets[1], TCP_SYN);
  for (size_t c = 0; c < N_COUNTS; c++)
    filters[c] = make_filter (counts[c]);
  for (int round = 0; round < ROUNDS; round++)
    for (size_t c = 0; c < N_COUNTS; c++)
      for (int p = 0; p < 2; p++)
        times[p][c][round] = cost_ns (filters[c], flows, &packets[p]);
  for (int p = 0; p < 2; p++)
    for (size_t c = 0; c < N_COUNTS; c++) {
      qsort (times[p][c], ROUNDS, sizeof times[p][c][0], compare);
      printf ("%s %u %.2f\n", names[p], counts[c], times[p][c][ROUNDS / 2]);
    }
  for (size_t c = 0; c < N_COUNTS; c++)
    filter_unref (filters[c]);
  flow_table_free (flows);
  return 0;
}
