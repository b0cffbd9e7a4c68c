/* What finding a peer costs in a tailnet of 100,000 nodes, and what one change of it costs. Prints
 * one line each: "lookup NANOSECONDS", "change MICROSECONDS", "memory MEGABYTES". */
#include "base/bytes.h"
#include "base/prefix-table.h"
#include "base/random.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#define NODES   100000
#define ROUTES  1000
#define LOOKUPS 2000000
#define ASKED   65536
#define CHANGES 10000
#define SEED    20261123

static IpPrefix
node4 (uint32_t i)
{
  return (IpPrefix){ip_from_v4 (0x64400000u + i * 41), 32};
}

static IpPrefix
node6 (uint32_t i)
{
  IpPrefix prefix = {{.family = 6, .bytes = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0}}, 128};

  store_be32 (prefix.addr.bytes + 12, i * 2654435761u);
  return prefix;
}

static double
now_ns (void)
{
  struct timespec t;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &t); /* the machine may be busy with others */
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int
main (void)
{
  static IpAddr asked[ASKED];
  size_t before = mallinfo2 ().uordblks + mallinfo2 ().hblkhd;
  PrefixTable *table = prefix_table_new ();
  SeededRandom random;
  IpPrefix prefix;
  uint64_t value, found = 0;
  double from;

  seeded_random_init (&random, SEED);
  for (uint32_t i = 0; i < NODES; i++) {
    prefix = node4 (i);
    prefix_table_set (table, &prefix, i + 1);
    prefix = node6 (i);
    prefix_table_set (table, &prefix, i + 1);
  }
  for (uint32_t i = 0; i < ROUTES; i++) {
    prefix = (IpPrefix){ip_from_v4 (0x0a000000u + (i << 12)), 20};
    prefix_table_set (table, &prefix, i + 1);
  }
  printf ("memory %.1f\n",
          (double)(mallinfo2 ().uordblks + mallinfo2 ().hblkhd - before) / (1024 * 1024));
  for (int i = 0; i < ASKED; i++) {
    uint32_t node = (uint32_t)random_below (&random.base, NODES);

    prefix = i & 1 ? node6 (node) : node4 (node);
    asked[i] = prefix.addr;
  }
  from = now_ns ();
  for (int i = 0; i < LOOKUPS; i++)
    found += prefix_table_lookup (table, &asked[i % ASKED], &value);
  printf ("lookup %.1f\n", (now_ns () - from) / LOOKUPS);
  if (found != LOOKUPS)
    return 1;
  from = now_ns ();
  for (int i = 0; i < CHANGES; i++) {
    PrefixTable *next = prefix_table_edit (table);

    prefix = node4 ((uint32_t)random_below (&random.base, NODES));
    prefix_table_remove (next, &prefix);
    prefix_table_set (next, &prefix, 7);
    prefix_table_unref (table);
    table = next;
  }
  printf ("change %.1f\n", (now_ns () - from) / CHANGES / 1000);
  prefix_table_unref (table);
  return 0;
}
