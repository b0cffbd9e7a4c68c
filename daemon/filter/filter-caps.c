#include "base/memory.h"
#include "filter/filter-private.h"

#include <stdlib.h>
#include <string.h>

#define CAP_INGRESS "https://tailscale.com/cap/ingress" /* all that an unsigned peer may have */

/* ---- "cap:" sources ---- */

static bool
rule_has_cap_of (const FilterRule *rule, const Node *node)
{
  for (size_t i = 0; i < rule->n_src_caps; i++)
    if (node_has_cap (node, rule->src_caps[i]))
      return true;
  return false;
}

bool
filter_uses_caps_of (const Filter *f, const Node *node)
{
  for (size_t i = 0; node->n_caps > 0 && i < f->n_capped; i++)
    if (rule_has_cap_of (f->rules[f->capped[i]].rule, node))
      return true;
  return false;
}

void
filter_resolve_caps (Filter *f, const Netmap *netmap)
{
  const Node *node;
  size_t room = 0;

  f->cap_holders = prefix_table_new ();
  for (NetmapIter i = netmap_iter (netmap); (node = netmap_iter_next (&i));) {
    size_t start = f->n_cap_numbers;
    if (node->unsigned_peer_api_only || !filter_uses_caps_of (f, node))
      continue;
    f->cap_numbers = mem_grow (f->cap_numbers, f->n_cap_numbers, &room, sizeof *f->cap_numbers);
    f->cap_numbers[f->n_cap_numbers++] = 0;
    for (size_t k = 0; k < f->n_capped; k++) {
      if (!rule_has_cap_of (f->rules[f->capped[k]].rule, node))
        continue;
      f->cap_numbers = mem_grow (f->cap_numbers, f->n_cap_numbers, &room, sizeof *f->cap_numbers);
      f->cap_numbers[f->n_cap_numbers++] = f->capped[k];
      f->cap_numbers[start]++;
    }
    for (size_t k = 0; k < node->n_addresses; k++)
      prefix_table_set (f->cap_holders, &node->addresses[k], start);
  }
}

/* ---- capabilities granted by rules (B.9) ---- */

/* The grants that hold for a pair of addresses, one after the other. */
typedef struct
{
  const Filter *filter;
  const IpAddr *src, *dst;
  size_t list, rule, grant;
} GrantWalk;

static bool
has_source (const FilterRule *rule, const IpAddr *addr)
{
  for (size_t i = 0; i < rule->n_srcs; i++) {
    const IpRange *range = &rule->srcs[i];
    if (range->first.family == 0
        || (range->first.family == addr->family && ip_compare (&range->first, addr) <= 0
            && ip_compare (addr, &range->last) <= 0))
      return true;
  }
  return false;
}

static bool
grants_to (const FilterCapGrant *grant, const IpAddr *addr)
{
  for (size_t i = 0; i < grant->n_dsts; i++)
    if (ip_prefix_contains (&grant->dsts[i], addr))
      return true;
  return false;
}

static const FilterCapGrant *
next_grant (GrantWalk *w)
{
  const Filter *f = w->filter;

  /* No capabilities with shields up, and none from rules that were refused. */
  if (f->klass != FILTER_NORMAL || f->warning)
    return NULL;
  for (; w->list < f->n_lists; w->list++, w->rule = 0) {
    for (; w->rule < f->lists[w->list]->n_rules; w->rule++, w->grant = 0) {
      const FilterRule *rule = &f->lists[w->list]->rules[w->rule];
      if (rule->n_grants == 0 || (w->grant == 0 && !has_source (rule, w->src)))
        continue;
      while (w->grant < rule->n_grants) {
        const FilterCapGrant *grant = &rule->grants[w->grant++];
        if (grants_to (grant, w->dst))
          return grant;
      }
    }
  }
  return NULL;
}

/* One capability while it is put together from several rules. */
typedef struct
{
  const char *name;
  const char **values; /* raw JSON arrays */
  size_t n, room;
  size_t order;
} Granted;

typedef struct
{
  Granted *list;
  size_t n, room;
} GrantedList;

static void
add_granted (GrantedList *all, const NodeCap *cap)
{
  Granted *g = NULL;

  for (size_t i = 0; i < all->n && !g; i++)
    if (strcmp (all->list[i].name, cap->name) == 0)
      g = &all->list[i];
  if (!g) {
    all->list = mem_grow (all->list, all->n, &all->room, sizeof *all->list);
    g = &all->list[all->n++];
    *g = (Granted){.name = cap->name};
  }
  if (!cap->values)
    return;
  g->values = mem_grow (g->values, g->n, &g->room, sizeof *g->values);
  g->values[g->n++] = cap->values;
}

static int
compare_granted (const void *a, const void *b)
{
  const Granted *x = a, *y = b;

  return strcmp (x->name, y->name);
}

/* The values of several arrays as one. */
static void
write_values (const Granted *g, JsonWriter *w)
{
  json_writer_begin_array (w);
  for (size_t i = 0; i < g->n; i++) {
    size_t length = strlen (g->values[i]);
    if (length > 2)
      json_writer_raw (w, g->values[i] + 1, length - 2);
  }
  json_writer_end_array (w);
}

void
filter_peer_caps (const Filter *filter, const IpAddr *src, const IpAddr *dst, bool unsigned_peer,
                  JsonWriter *w)
{
  GrantWalk walk = {filter, src, dst, 0, 0, 0};
  const FilterCapGrant *grant;
  GrantedList all = {0};

  while ((grant = next_grant (&walk)))
    for (size_t i = 0; i < grant->n_caps; i++)
      if (!unsigned_peer || strcmp (grant->caps[i].name, CAP_INGRESS) == 0)
        add_granted (&all, &grant->caps[i]);
  if (all.n > 1)
    qsort (all.list, all.n, sizeof *all.list, compare_granted);
  json_writer_begin_object (w);
  for (size_t i = 0; i < all.n; i++) {
    json_writer_name (w, all.list[i].name);
    write_values (&all.list[i], w);
    free (all.list[i].values);
  }
  json_writer_end_object (w);
  free (all.list);
}

bool
filter_peer_has_cap (const Filter *filter, const IpAddr *src, const IpAddr *dst, bool unsigned_peer,
                     const char *name)
{
  GrantWalk walk = {filter, src, dst, 0, 0, 0};
  const FilterCapGrant *grant;

  if (unsigned_peer && strcmp (name, CAP_INGRESS) != 0)
    return false;
  while ((grant = next_grant (&walk)))
    for (size_t i = 0; i < grant->n_caps; i++)
      if (strcmp (grant->caps[i].name, name) == 0)
        return true;
  return false;
}
