#include "filter/source-table.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64 /* rule numbers */

/* An address as a number. */
typedef struct
{
  uint64_t high, low;
} Point;

typedef struct
{
  Point at; /* first address of the piece, which ends where the next one begins */
  uint32_t set;
} Piece;

typedef struct
{
  Piece *pieces; /* sorted; before the first one no rule holds */
  size_t n;
} Family;

struct SourceTable
{
  Family families[2]; /* IPv4, IPv6 */
  uint32_t *numbers;  /* of all sets */
  size_t n_numbers, room_numbers;
  struct
  {
    uint32_t start, n;
  } * sets; /* set 0 is empty */
  size_t n_sets, room_sets;
};

/* One end of a range: rule enters or leaves at a point. */
typedef struct
{
  Point at;
  uint32_t rule;
  bool enters;
} Event;

/* The sweep over one family. */
typedef struct
{
  SourceTable *table;
  Event *events;
  size_t n_events, room_events;
  uint32_t *depth;  /* ranges of each rule that are open */
  uint32_t *place;  /* of each rule in active */
  uint32_t *active; /* rules with an open range, in no order */
  uint32_t n_active;
  uint32_t *index; /* hash of sets already kept: set number + 1 */
  size_t n_index;
} Sweep;

static Point
point_of (const IpAddr *addr)
{
  if (addr->family == 4)
    return (Point){0, ip_v4 (addr)};
  return (Point){load_be64 (addr->bytes), load_be64 (addr->bytes + 8)};
}

static int
compare_points (const Point *a, const Point *b)
{
  if (a->high != b->high)
    return a->high < b->high ? -1 : 1;
  return (a->low > b->low) - (a->low < b->low);
}

static int
compare_events (const void *a, const void *b)
{
  return compare_points (&((const Event *)a)->at, &((const Event *)b)->at);
}

static int
compare_numbers (const void *a, const void *b)
{
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

  return (x > y) - (x < y);
}

static void
add_event (Sweep *s, Point at, uint32_t rule, bool enters)
{
  s->events = mem_grow (s->events, s->n_events, &s->room_events, sizeof *s->events);
  s->events[s->n_events++] = (Event){at, rule, enters};
}

static void
add_range (Sweep *s, const IpRange *range, uint32_t rule)
{
  Point first = point_of (&range->first), last = point_of (&range->last);

  add_event (s, first, rule, true);
  if (last.high == UINT64_MAX && last.low == UINT64_MAX)
    return;
  last.low++;
  last.high += last.low == 0;
  add_event (s, last, rule, false);
}

static void
take_event (Sweep *s, const Event *e)
{
  if (e->enters) {
    if (s->depth[e->rule]++ == 0) {
      s->place[e->rule] = s->n_active;
      s->active[s->n_active++] = e->rule;
    }
  } else if (--s->depth[e->rule] == 0) {
    uint32_t last = s->active[--s->n_active];
    s->active[s->place[e->rule]] = last;
    s->place[last] = s->place[e->rule];
  }
}

static uint64_t
hash_numbers (const uint32_t *numbers, uint32_t n)
{
  uint64_t hash = n;

  for (uint32_t i = 0; i < n; i++)
    hash = (hash ^ numbers[i]) * UINT64_C (0x9e3779b97f4a7c15), hash ^= hash >> 29;
  return hash;
}

static void
grow_index (Sweep *s)
{
  SourceTable *t = s->table;

  free (s->index);
  s->n_index = s->n_index ? s->n_index * 4 : 256;
  s->index = mem_new (s->n_index * sizeof *s->index);
  for (size_t i = 0; i < t->n_sets; i++) {
    uint64_t slot = hash_numbers (t->numbers + t->sets[i].start, t->sets[i].n);
    while (s->index[slot % s->n_index])
      slot++;
    s->index[slot % s->n_index] = (uint32_t)i + 1;
  }
}

/* The number of the set of active rules, kept if it is new; UINT32_MAX when there is no room. */
static uint32_t
intern_active (Sweep *s)
{
  SourceTable *t = s->table;

  if (2 * (t->n_sets + 1) > s->n_index)
    grow_index (s);
  if (t->n_numbers + s->n_active > SOURCE_SETS_MAX)
    return UINT32_MAX;
  while (t->room_numbers < t->n_numbers + s->n_active) {
    t->room_numbers *= 2;
    t->numbers = mem_resize (t->numbers, t->room_numbers * sizeof *t->numbers);
  }
  uint32_t *fresh = t->numbers + t->n_numbers;
  if (s->n_active > 0) {
    memcpy (fresh, s->active, s->n_active * sizeof *fresh);
    qsort (fresh, s->n_active, sizeof *fresh, compare_numbers);
  }
  uint64_t slot = hash_numbers (fresh, s->n_active);
  for (uint32_t found; (found = s->index[slot % s->n_index]); slot++)
    if (t->sets[found - 1].n == s->n_active
        && (s->n_active == 0
            || memcmp (t->numbers + t->sets[found - 1].start, fresh, s->n_active * sizeof *fresh)
                   == 0))
      return found - 1;
  t->sets = mem_grow (t->sets, t->n_sets, &t->room_sets, sizeof *t->sets);
  t->sets[t->n_sets].start = (uint32_t)t->n_numbers;
  t->sets[t->n_sets].n = s->n_active;
  t->n_numbers += s->n_active;
  s->index[slot % s->n_index] = (uint32_t)++t->n_sets;
  return (uint32_t)t->n_sets - 1;
}

/* Cuts one family into pieces; false when there is no room. */
static bool
sweep_family (Sweep *s, Family *family, const FilterRule *const *rules, size_t n_rules, int number)
{
  size_t room = 0;

  s->n_events = s->n_active = 0;
  memset (s->depth, 0, (n_rules + 1) * sizeof *s->depth);
  for (size_t i = 0; i < n_rules; i++)
    for (size_t k = 0; k < rules[i]->n_srcs; k++)
      if (rules[i]->srcs[k].first.family == number)
        add_range (s, &rules[i]->srcs[k], (uint32_t)i);
  if (s->n_events > 1)
    qsort (s->events, s->n_events, sizeof *s->events, compare_events);
  for (size_t i = 0; i < s->n_events;) {
    Point at = s->events[i].at;
    /* A rule that enters and leaves at one point must not fall below zero. */
    for (size_t k = i; k < s->n_events && compare_points (&s->events[k].at, &at) == 0; k++)
      if (s->events[k].enters)
        take_event (s, &s->events[k]);
    for (; i < s->n_events && compare_points (&s->events[i].at, &at) == 0; i++)
      if (!s->events[i].enters)
        take_event (s, &s->events[i]);
    uint32_t set = intern_active (s);
    if (set == UINT32_MAX)
      return false;
    family->pieces = mem_grow (family->pieces, family->n, &room, sizeof *family->pieces);
    family->pieces[family->n++] = (Piece){at, set};
  }
  return true;
}

SourceTable *
source_table_new (const FilterRule *const *rules, size_t n_rules)
{
  SourceTable *table = mem_new (sizeof *table);
  Sweep s = {.table = table};

  s.depth = mem_new ((n_rules + 1) * sizeof *s.depth);
  s.place = mem_new ((n_rules + 1) * sizeof *s.place);
  s.active = mem_new ((n_rules + 1) * sizeof *s.active);
  table->room_numbers = FIRST_ROOM;
  table->numbers = mem_new (FIRST_ROOM * sizeof *table->numbers);
  intern_active (&s);
  bool fits = sweep_family (&s, &table->families[0], rules, n_rules, 4)
              && sweep_family (&s, &table->families[1], rules, n_rules, 6);
  free (s.events);
  free (s.depth);
  free (s.place);
  free (s.active);
  free (s.index);
  if (fits)
    return table;
  source_table_free (table);
  return NULL;
}

void
source_table_free (SourceTable *table)
{
  if (!table)
    return;
  free (table->families[0].pieces);
  free (table->families[1].pieces);
  free (table->numbers);
  free (table->sets);
  free (table);
}

RuleSet
source_table_lookup (const SourceTable *table, const IpAddr *addr)
{
  const Family *family = &table->families[addr->family == 6];
  Point point = point_of (addr);
  size_t low = 0, high = family->n;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare_points (&family->pieces[middle].at, &point) <= 0)
      low = middle + 1;
    else
      high = middle;
  }
  uint32_t set = low > 0 ? family->pieces[low - 1].set : 0;
  return (RuleSet){table->numbers + table->sets[set].start, table->sets[set].n};
}
