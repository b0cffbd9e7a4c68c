#include "filter/filter-private.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What a rule without IPProto lets in (B.1). */
static const uint8_t default_protocols[]
    = {IP_PROTO_TCP, IP_PROTO_UDP, IP_PROTO_ICMP4, IP_PROTO_ICMP6};

static void
take_lists (Filter *f, const FilterConfig *config)
{
  f->n_lists = config->n_lists;
  f->lists = mem_new (f->n_lists * sizeof *f->lists);
  f->list_names = mem_new (f->n_lists * sizeof *f->list_names);
  for (size_t i = 0; i < f->n_lists; i++) {
    f->lists[i] = filter_rules_ref (config->lists[i].rules);
    f->list_names[i] = mem_strndup (config->lists[i].name, strlen (config->lists[i].name));
  }
}

static void
take_local (Filter *f, const FilterConfig *config)
{
  f->n_local = config->n_local;
  f->local = mem_dup (config->local, f->n_local * sizeof *f->local);
  if (f->n_local <= LOCAL_SCAN_MAX)
    return;
  f->local_table = prefix_table_new ();
  for (size_t i = 0; i < f->n_local; i++)
    prefix_table_set (f->local_table, &f->local[i], 1);
}

static void
add_rule (Filter *f, size_t *room, const FilterRule *rule, size_t list, size_t index)
{
  const uint8_t *protocols = rule->has_protocols ? rule->protocols : default_protocols;
  size_t n = rule->has_protocols ? rule->n_protocols : sizeof default_protocols;

  if (rule->n_dsts == 0 || (rule->n_srcs == 0 && rule->n_src_caps == 0))
    return;
  f->rules = mem_grow (f->rules, f->n_rules, room, sizeof *f->rules);
  CompiledRule *c = &f->rules[f->n_rules++];
  *c = (CompiledRule){.rule = rule, .list = (uint32_t)list, .index = (uint32_t)index};
  for (size_t i = 0; i < n; i++)
    c->protocols[protocols[i] / 64] |= UINT64_C (1) << protocols[i] % 64;
}

/* Some source of a rule may be an address that PREFIX has. */
static bool
range_overlaps (const IpRange *range, const IpPrefix *prefix)
{
  IpAddr last = prefix->addr;

  if (range->first.family == 0)
    return true;
  if (range->first.family != prefix->addr.family)
    return false;
  for (unsigned bit = prefix->bits; bit < ip_bits (&last); bit++)
    last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
  return ip_compare (&range->first, &last) <= 0 && ip_compare (&prefix->addr, &range->last) <= 0;
}

static bool
rules_reach (const Filter *f, const IpPrefix *prefix)
{
  for (size_t i = 0; i < f->n_rules; i++)
    for (size_t k = 0; k < f->rules[i].rule->n_srcs; k++)
      if (range_overlaps (&f->rules[i].rule->srcs[k], prefix))
        return true;
  return false;
}

/* B.7: a server that lets an unsigned peer in by a rule is broken or hostile. */
static bool
favours_unsigned (const Filter *f, const Netmap *netmap)
{
  const Node *node;

  if (!netmap || netmap_n_unsigned_peers (netmap) == 0)
    return false;
  for (NetmapIter i = netmap_iter (netmap); (node = netmap_iter_next (&i));) {
    if (!node->unsigned_peer_api_only)
      continue;
    for (size_t k = 0; k < node->n_allowed_ips; k++) {
      IpPrefix prefix = ip_prefix_mask (node->allowed_ips[k]);
      if (rules_reach (f, &prefix))
        return true;
    }
  }
  return false;
}

/* Lists the rules with a "*" source and those with "cap:" sources. */
static void
sort_out_sources (Filter *f)
{
  f->any = mem_new (f->n_rules * sizeof *f->any);
  f->capped = mem_new (f->n_rules * sizeof *f->capped);
  for (size_t i = 0; i < f->n_rules; i++) {
    const FilterRule *rule = f->rules[i].rule;
    bool star = false;
    for (size_t k = 0; k < rule->n_srcs && !star; k++)
      star = rule->srcs[k].first.family == 0;
    if (star)
      f->any[f->n_any++] = (uint32_t)i;
    if (rule->n_src_caps > 0)
      f->capped[f->n_capped++] = (uint32_t)i;
  }
}

static void
drop_rules (Filter *f, const char *why)
{
  log_warning ("filter", "%s; nothing comes in", why);
  f->warning = why;
  f->n_rules = f->n_any = f->n_capped = 0;
}

static void
index_rules (Filter *f, const FilterConfig *config)
{
  const FilterRule **rules;

  if (favours_unsigned (f, config->netmap))
    drop_rules (f, "the server's rules let an unverified peer in");
  if (f->n_rules == 0)
    return;
  sort_out_sources (f);
  rules = mem_new (f->n_rules * sizeof *rules);
  for (size_t i = 0; i < f->n_rules; i++)
    rules[i] = f->rules[i].rule;
  f->sources = source_table_new (rules, f->n_rules);
  free (rules);
  if (!f->sources)
    drop_rules (f, "the server's rules are too many to apply");
  else if (f->n_capped > 0 && config->netmap)
    filter_resolve_caps (f, config->netmap);
}

Filter *
filter_compile (const FilterConfig *config)
{
  Filter *f = mem_new (sizeof *f);
  size_t room = 0;

  f->references = 1;
  f->klass = config->klass;
  take_local (f, config);
  take_lists (f, config);
  if (f->klass != FILTER_NORMAL)
    return f;
  for (size_t i = 0; i < f->n_lists; i++) {
    if (f->lists[i]->poisoned) {
      drop_rules (f, "the server's rules are of a form that is no longer understood");
      return f;
    }
  }
  for (size_t i = 0; i < f->n_lists; i++)
    for (size_t k = 0; k < f->lists[i]->n_rules; k++)
      add_rule (f, &room, &f->lists[i]->rules[k], i, k);
  index_rules (f, config);
  return f;
}

static bool
same_inputs (const Filter *f, const FilterConfig *config)
{
  if (f->klass != config->klass || f->n_lists != config->n_lists || f->n_local != config->n_local)
    return false;
  for (size_t i = 0; i < f->n_local; i++)
    if (!ip_prefix_equal (&f->local[i], &config->local[i]))
      return false;
  for (size_t i = 0; i < f->n_lists; i++)
    if (strcmp (f->list_names[i], config->lists[i].name) != 0
        || !filter_rules_equal (f->lists[i], config->lists[i].rules))
      return false;
  return true;
}

/* A peer before or after a change matters to the compiled rules. */
static bool
matters (const Filter *f, const Node *node)
{
  return node && (node->unsigned_peer_api_only || filter_uses_caps_of (f, node));
}

Filter *
filter_update (const Filter *previous, const FilterConfig *config, const NetmapChanges *changes)
{
  const uint32_t bits = NODE_CHANGED_CAPS | NODE_CHANGED_ADDRESSES | NODE_CHANGED_SIGNATURE
                        | NODE_CHANGED_ALLOWED_IPS;

  if (!same_inputs (previous, config))
    return filter_compile (config);
  for (size_t i = 0; i < changes->n_peers && config->klass == FILTER_NORMAL; i++) {
    const NetmapPeerChange *c = &changes->peers[i];
    bool relevant = !c->before || !c->after || (c->changed & bits) != 0;
    if (relevant && (matters (previous, c->before) || matters (previous, c->after)))
      return filter_compile (config);
  }
  return filter_ref (previous);
}

Filter *
filter_ref (const Filter *filter)
{
  Filter *f = (Filter *)filter;

  if (f)
    atomic_fetch_add_explicit (&f->references, 1, memory_order_relaxed);
  return f;
}

void
filter_unref (const Filter *filter)
{
  Filter *f = (Filter *)filter;

  if (!f || atomic_fetch_sub_explicit (&f->references, 1, memory_order_acq_rel) > 1)
    return;
  for (size_t i = 0; i < f->n_lists; i++) {
    filter_rules_unref (f->lists[i]);
    free (f->list_names[i]);
  }
  free (f->lists);
  free (f->list_names);
  free (f->rules);
  source_table_free (f->sources);
  free (f->any);
  free (f->capped);
  prefix_table_unref (f->cap_holders);
  free (f->cap_numbers);
  free (f->local);
  prefix_table_unref (f->local_table);
  free (f);
}
