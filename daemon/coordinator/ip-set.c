#include "coordinator/ip-set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The address after and before ADDR; false at the end of the family. */
static bool
next_addr (IpAddr *addr)
{
  for (int i = (int)ip_bits (addr) / 8 - 1; i >= 0; i--)
    if (++addr->bytes[i] != 0)
      return true;
  return false;
}

static bool
previous_addr (IpAddr *addr)
{
  for (int i = (int)ip_bits (addr) / 8 - 1; i >= 0; i--)
    if (addr->bytes[i]-- != 0)
      return true;
  return false;
}

IpSetBuilder
ip_set_builder (Arena *arena)
{
  return (IpSetBuilder){.arena = arena};
}

void
ip_set_add_range (IpSetBuilder *b, const IpRange *range)
{
  arena_append (b->arena, b->ranges, b->n, *range);
}

IpRange
ip_range_of_prefix (const IpPrefix *prefix)
{
  IpRange range = {ip_prefix_mask (*prefix).addr, ip_prefix_mask (*prefix).addr};

  for (unsigned bit = prefix->bits; bit < ip_bits (&prefix->addr); bit++)
    range.last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
  return range;
}

void
ip_set_add_prefix (IpSetBuilder *b, const IpPrefix *prefix)
{
  IpRange range = ip_range_of_prefix (prefix);

  ip_set_add_range (b, &range);
}

void
ip_set_add_addr (IpSetBuilder *b, const IpAddr *addr)
{
  ip_set_add_range (b, &(IpRange){*addr, *addr});
}

void
ip_set_add_set (IpSetBuilder *b, const IpSet *set)
{
  for (size_t i = 0; i < set->n; i++)
    ip_set_add_range (b, &set->ranges[i]);
}

static int
compare_ranges (const void *a, const void *b)
{
  return ip_compare (&((const IpRange *)a)->first, &((const IpRange *)b)->first);
}

IpSet
ip_set_build (IpSetBuilder *b)
{
  size_t n = 0;

  if (b->n == 0)
    return (IpSet){0};
  qsort (b->ranges, b->n, sizeof *b->ranges, compare_ranges);
  for (size_t i = 0; i < b->n; i++) {
    IpRange *range = &b->ranges[i];
    if (n > 0 && b->ranges[n - 1].first.family == range->first.family) {
      IpRange *last = &b->ranges[n - 1];
      IpAddr after = last->last;
      if (!next_addr (&after) || ip_compare (&range->first, &after) <= 0) {
        if (ip_compare (&range->last, &last->last) > 0)
          last->last = range->last;
        continue;
      }
    }
    b->ranges[n++] = *range;
  }
  return (IpSet){b->ranges, n};
}

static const IpAddr *
min_addr (const IpAddr *a, const IpAddr *b)
{
  return ip_compare (a, b) <= 0 ? a : b;
}

static const IpAddr *
max_addr (const IpAddr *a, const IpAddr *b)
{
  return ip_compare (a, b) >= 0 ? a : b;
}

IpSet
ip_set_intersect (Arena *arena, const IpSet *a, const IpSet *b)
{
  IpSetBuilder out = ip_set_builder (arena);
  size_t i = 0, j = 0;

  while (i < a->n && j < b->n) {
    const IpAddr *first = max_addr (&a->ranges[i].first, &b->ranges[j].first);
    const IpAddr *last = min_addr (&a->ranges[i].last, &b->ranges[j].last);
    if (first->family == last->family && ip_compare (first, last) <= 0)
      ip_set_add_range (&out, &(IpRange){*first, *last});
    if (ip_compare (&a->ranges[i].last, &b->ranges[j].last) < 0)
      i++;
    else
      j++;
  }
  return ip_set_build (&out);
}

IpSet
ip_set_subtract (Arena *arena, const IpSet *a, const IpSet *b)
{
  IpSetBuilder out = ip_set_builder (arena);

  for (size_t i = 0; i < a->n; i++) {
    IpRange rest = a->ranges[i];
    bool empty = false;
    for (size_t j = 0; j < b->n && !empty; j++) {
      const IpRange *cut = &b->ranges[j];
      if (cut->first.family != rest.first.family || ip_compare (&cut->last, &rest.first) < 0
          || ip_compare (&cut->first, &rest.last) > 0)
        continue;
      IpAddr before = cut->first;
      if (ip_compare (&cut->first, &rest.first) > 0 && previous_addr (&before))
        ip_set_add_range (&out, &(IpRange){rest.first, before});
      rest.first = cut->last;
      empty = ip_compare (&cut->last, &rest.last) >= 0 || !next_addr (&rest.first);
    }
    if (!empty)
      ip_set_add_range (&out, &rest);
  }
  return ip_set_build (&out);
}

/* The range of SET that may hold ADDR: the last one that does not begin after it, or NULL. */
static const IpRange *
find_range (const IpSet *set, const IpAddr *addr)
{
  size_t low = 0, high = set->n;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (ip_compare (&set->ranges[middle].first, addr) <= 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low > 0 && set->ranges[low - 1].first.family == addr->family ? &set->ranges[low - 1]
                                                                      : NULL;
}

bool
ip_set_contains_range (const IpSet *set, const IpRange *range)
{
  const IpRange *found = find_range (set, &range->first);

  return found && ip_compare (&range->last, &found->last) <= 0;
}

bool
ip_set_contains (const IpSet *set, const IpAddr *addr)
{
  return ip_set_contains_range (set, &(IpRange){*addr, *addr});
}

bool
ip_set_contains_set (const IpSet *set, const IpSet *inner)
{
  for (size_t i = 0; i < inner->n; i++)
    if (!ip_set_contains_range (set, &inner->ranges[i]))
      return false;
  return true;
}

bool
ip_set_overlaps_range (const IpSet *set, const IpRange *range)
{
  const IpRange *found = find_range (set, &range->last);

  return found && ip_compare (&found->last, &range->first) >= 0;
}

bool
ip_set_overlaps (const IpSet *a, const IpSet *b)
{
  for (size_t i = 0; i < a->n; i++)
    if (ip_set_overlaps_range (b, &a->ranges[i]))
      return true;
  return false;
}

/* The largest prefix that begins at FIRST and does not go beyond LAST. */
static IpPrefix
largest_prefix (const IpAddr *first, const IpAddr *last)
{
  IpPrefix prefix = ip_single (first);

  while (prefix.bits > 0) {
    IpPrefix wider = {*first, (uint8_t)(prefix.bits - 1)};
    IpRange range = ip_range_of_prefix (&wider);
    if (!ip_prefix_is_masked (&wider) || ip_compare (&range.last, last) > 0)
      break;
    prefix = wider;
  }
  return prefix;
}

bool
ip_range_as_prefix (const IpRange *range, IpPrefix *out)
{
  *out = largest_prefix (&range->first, &range->last);
  IpRange covered = ip_range_of_prefix (out);
  return ip_equal (&covered.last, &range->last);
}

void
ip_range_format (const IpRange *range, char out[IP_RANGE_TEXT_MAX])
{
  IpPrefix prefix;
  char last[IP_TEXT_MAX];

  if (ip_equal (&range->first, &range->last)) {
    ip_format (&range->first, out);
  } else if (ip_range_as_prefix (range, &prefix)) {
    ip_prefix_format (&prefix, out);
  } else {
    size_t n = ip_format (&range->first, out);
    ip_format (&range->last, last);
    snprintf (out + n, IP_RANGE_TEXT_MAX - n, "-%s", last);
  }
}

IpPrefix *
ip_range_prefixes (Arena *arena, const IpRange *range, IpPrefix *prefixes, size_t *n)
{
  IpAddr at = range->first;

  for (;;) {
    IpPrefix prefix = largest_prefix (&at, &range->last);
    arena_append (arena, prefixes, *n, prefix);
    IpRange covered = ip_range_of_prefix (&prefix);
    at = covered.last;
    if (ip_compare (&covered.last, &range->last) >= 0 || !next_addr (&at))
      return prefixes;
  }
}
