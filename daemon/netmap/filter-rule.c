#include "netmap/filter-rule.h"

#include "base/memory.h"
#include "netmap/record.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const RecordType range_type = {.size = sizeof (IpRange)};
static const RecordType dst_type = {.size = sizeof (FilterDst)};

static const RecordField grant_fields[] = {
    RECORD_N (FilterCapGrant, RECORD_PREFIXES, dsts, n_dsts, "Dsts", .always = true),
    RECORD_N (FilterCapGrant, RECORD_CAPS, caps, n_caps, "CapMap"),
};
static const RecordType grant_type = RECORD_TYPE (FilterCapGrant, grant_fields);

static const RecordField rule_fields[] = {
    RECORD_N (FilterRule, RECORD_PLAIN, srcs, n_srcs, NULL, .sub = &range_type),
    RECORD_N (FilterRule, RECORD_TEXTS, src_caps, n_src_caps, NULL),
    RECORD_N (FilterRule, RECORD_PLAIN, dsts, n_dsts, NULL, .sub = &dst_type),
    RECORD_N (FilterRule, RECORD_BYTES, protocols, n_protocols, NULL),
    RECORD_N (FilterRule, RECORD_STRUCTS, grants, n_grants, NULL, .sub = &grant_type),
    RECORD (FilterRule, RECORD_BOOL, has_protocols, NULL),
};
static const RecordType rule_type = RECORD_TYPE (FilterRule, rule_fields);

static const RecordField rules_fields[] = {
    RECORD_N (FilterRules, RECORD_STRUCTS, rules, n_rules, NULL, .sub = &rule_type),
    RECORD (FilterRules, RECORD_BOOL, poisoned, NULL),
};
static const RecordType rules_type = RECORD_TYPE (FilterRules, rules_fields);

struct FilterRulesBuilder
{
  Arena arena;
  void *rules;
  size_t n, room;
  size_t n_rejected;
  bool poisoned;
};

/* ---- texts ---- */

/* "*", "IP", "IP/bits" without host bits, "IP-IP". */
static bool
parse_range (JsonString s, IpRange *out)
{
  const char *dash = memchr (s.text, '-', s.length);
  IpPrefix prefix;

  *out = (IpRange){0};
  if (json_string_equal (s, "*"))
    return true;
  if (dash) {
    size_t n = (size_t)(dash - s.text);
    return ip_parse (s.text, n, &out->first) && ip_parse (dash + 1, s.length - n - 1, &out->last)
           && out->first.family == out->last.family && ip_compare (&out->first, &out->last) <= 0;
  }
  if (!ip_prefix_parse (s.text, s.length, &prefix) || !ip_prefix_is_masked (&prefix))
    return false;
  out->first = out->last = prefix.addr;
  for (unsigned bit = prefix.bits; bit < ip_bits (&prefix.addr); bit++)
    out->last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
  return true;
}

/* True when RANGE is exactly one prefix. */
static bool
as_prefix (const IpRange *range, IpPrefix *out)
{
  unsigned bits = ip_bits (&range->first);

  for (unsigned n = 0; n <= bits; n++) {
    IpPrefix prefix = {range->first, (uint8_t)n};
    IpAddr last = range->first;
    if (!ip_prefix_is_masked (&prefix))
      continue;
    for (unsigned bit = n; bit < bits; bit++)
      last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    if (ip_equal (&last, &range->last)) {
      *out = prefix;
      return true;
    }
  }
  return false;
}

static void
encode_range (const IpRange *range, JsonWriter *w)
{
  char text[2 * IP_PREFIX_TEXT_MAX];
  IpPrefix prefix;

  if (range->first.family == 0) {
    json_writer_string (w, "*");
  } else if (ip_equal (&range->first, &range->last)) {
    json_writer_addr (w, &range->first);
  } else if (as_prefix (range, &prefix)) {
    json_writer_prefix (w, &prefix);
  } else {
    size_t n = ip_format (&range->first, text);
    text[n] = '-';
    ip_format (&range->last, text + n + 1);
    json_writer_string (w, text);
  }
}

/* ---- reading ---- */

static void
decode_srcs (FilterRulesBuilder *b, JsonReader *r, FilterRule *rule)
{
  void *srcs = NULL, *caps = NULL;
  size_t room = 0, room_caps = 0;
  IpRange range;

  rule->n_srcs = rule->n_src_caps = 0;
  for (json_reader_enter_array (r); json_reader_next_element (r);) {
    JsonString s = json_reader_string (r);
    if (s.length > 4 && memcmp (s.text, "cap:", 4) == 0)
      *(const char **)record_list_add (&b->arena, &caps, rule->n_src_caps++, &room_caps,
                                       sizeof (char *))
          = arena_strndup (&b->arena, s.text + 4, s.length - 4);
    else if (parse_range (s, &range))
      *(IpRange *)record_list_add (&b->arena, &srcs, rule->n_srcs++, &room, sizeof range) = range;
    else
      b->n_rejected++;
  }
  rule->srcs = srcs;
  rule->src_caps = caps;
}

/* A whole number of 0..65535; anything else rejects the entry. */
static uint16_t
decode_port (JsonReader *r, bool *good)
{
  int64_t port = json_reader_i64 (r);

  if (port < 0 || port > UINT16_MAX)
    *good = false;
  return (uint16_t)port;
}

static bool
decode_dst (FilterRulesBuilder *b, JsonReader *r, FilterDst *dst)
{
  JsonString name;
  bool has_ip = false, good = true;

  *dst = (FilterDst){0};
  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    if (json_string_equal (name, "IP")) {
      has_ip = parse_range (json_reader_string (r), &dst->range);
    } else if (json_string_equal (name, "Ports")) {
      for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
        if (json_string_equal (name, "First"))
          dst->first_port = decode_port (r, &good);
        else if (json_string_equal (name, "Last"))
          dst->last_port = decode_port (r, &good);
        else
          json_reader_skip (r);
      }
    } else {
      if (json_string_equal (name, "Bits") && json_reader_peek (r) != JSON_NULL)
        b->poisoned = true;
      json_reader_skip (r);
    }
  }
  return has_ip && good && dst->first_port <= dst->last_port;
}

static void
decode_dsts (FilterRulesBuilder *b, JsonReader *r, FilterRule *rule)
{
  void *dsts = NULL;
  size_t room = 0;
  FilterDst dst;

  rule->n_dsts = 0;
  for (json_reader_enter_array (r); json_reader_next_element (r);) {
    if (decode_dst (b, r, &dst))
      *(FilterDst *)record_list_add (&b->arena, &dsts, rule->n_dsts++, &room, sizeof dst) = dst;
    else
      b->n_rejected++;
  }
  rule->dsts = dsts;
}

static void
decode_protocols (FilterRulesBuilder *b, JsonReader *r, FilterRule *rule)
{
  uint8_t list[256], seen[256] = {0};
  uint16_t n = 0;

  for (json_reader_enter_array (r); json_reader_next_element (r);) {
    int64_t protocol = json_reader_i64 (r);
    rule->has_protocols = true;
    if (protocol >= 0 && protocol <= 255 && !seen[protocol]++)
      list[n++] = (uint8_t)protocol;
  }
  rule->protocols = arena_dup (&b->arena, list, n);
  rule->n_protocols = n;
}

static bool
grant_member (JsonString name, JsonReader *r, Arena *arena, void *out)
{
  FilterCapGrant *grant = out;
  void *caps = NULL;
  size_t n = 0, room = 0;

  if (!json_string_equal (name, "Caps") || grant->n_caps > 0)
    return false;
  for (json_reader_enter_array (r); json_reader_next_element (r); n++)
    ((NodeCap *)record_list_add (arena, &caps, n, &room, sizeof (NodeCap)))->name
        = record_text (r, arena);
  grant->caps = caps;
  grant->n_caps = record_sort_caps (caps, n);
  return true;
}

/* The old list "Caps" counts only where there is no CapMap. */
static const RecordType wire_grant_type
    = RECORD_TYPE (FilterCapGrant, grant_fields, .decode_other = grant_member);

static void
decode_grants (FilterRulesBuilder *b, JsonReader *r, FilterRule *rule)
{
  void *grants = NULL;
  size_t room = 0;

  rule->n_grants = 0;
  for (json_reader_enter_array (r); json_reader_next_element (r);)
    record_decode (&wire_grant_type, r, &b->arena,
                   record_list_add (&b->arena, &grants, rule->n_grants++, &room,
                                    sizeof (FilterCapGrant)));
  rule->grants = grants;
}

FilterRulesBuilder *
filter_rules_builder_new (void)
{
  return mem_new (sizeof (FilterRulesBuilder));
}

bool
filter_rules_builder_add (FilterRulesBuilder *b, JsonReader *r)
{
  FilterRule rule = {0};
  JsonString name;

  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    if (json_string_equal (name, "SrcIPs")) {
      decode_srcs (b, r, &rule);
    } else if (json_string_equal (name, "DstPorts")) {
      decode_dsts (b, r, &rule);
    } else if (json_string_equal (name, "IPProto")) {
      decode_protocols (b, r, &rule);
    } else if (json_string_equal (name, "CapGrant")) {
      decode_grants (b, r, &rule);
    } else if (json_string_equal (name, "SrcBits")) {
      for (json_reader_enter_array (r); json_reader_next_element (r); json_reader_skip (r))
        b->poisoned = true;
    } else {
      json_reader_skip (r);
    }
  }
  if (b->n == FILTER_RULES_MAX)
    json_reader_fail (r, "too many filter rules");
  if (!json_reader_ok (r))
    return false;
  /* Nothing passes any more: what follows need not be kept. */
  if (b->poisoned)
    return true;
  *(FilterRule *)record_list_add (&b->arena, &b->rules, b->n, &b->room, sizeof rule) = rule;
  b->n++;
  return true;
}

FilterRules *
filter_rules_builder_finish (FilterRulesBuilder *b)
{
  FilterRules draft
      = {.rules = b->rules, .n_rules = b->n, .n_rejected = b->n_rejected, .poisoned = b->poisoned};
  FilterRules *rules = record_pack (&rules_type, &draft, NULL);

  atomic_init (&rules->references, 1);
  arena_clear (&b->arena);
  free (b);
  return rules;
}

FilterRules *
filter_rules_decode (JsonReader *r)
{
  FilterRulesBuilder *b = filter_rules_builder_new ();

  for (json_reader_enter_array (r); json_reader_next_element (r);)
    filter_rules_builder_add (b, r);
  FilterRules *rules = filter_rules_builder_finish (b);
  if (json_reader_ok (r))
    return rules;
  filter_rules_unref (rules);
  return NULL;
}

/* ---- writing ---- */

static void
encode_dst (const FilterDst *dst, JsonWriter *w)
{
  json_writer_begin_object (w);
  json_writer_name (w, "IP");
  encode_range (&dst->range, w);
  json_writer_name (w, "Ports");
  json_writer_begin_object (w);
  json_writer_name (w, "First");
  json_writer_i64 (w, dst->first_port);
  json_writer_name (w, "Last");
  json_writer_i64 (w, dst->last_port);
  json_writer_end_object (w);
  json_writer_end_object (w);
}

static void
encode_srcs (const FilterRule *rule, JsonWriter *w)
{
  json_writer_name (w, "SrcIPs");
  json_writer_begin_array (w);
  for (size_t i = 0; i < rule->n_srcs; i++)
    encode_range (&rule->srcs[i], w);
  for (size_t i = 0; i < rule->n_src_caps; i++) {
    size_t n = strlen (rule->src_caps[i]);
    char *text = mem_new (n + 5);
    memcpy (text, "cap:", 4);
    memcpy (text + 4, rule->src_caps[i], n);
    json_writer_string_n (w, text, n + 4);
    free (text);
  }
  json_writer_end_array (w);
}

static void
encode_rule (const FilterRule *rule, JsonWriter *w)
{
  json_writer_begin_object (w);
  encode_srcs (rule, w);
  if (rule->n_dsts > 0) {
    json_writer_name (w, "DstPorts");
    json_writer_begin_array (w);
    for (size_t i = 0; i < rule->n_dsts; i++)
      encode_dst (&rule->dsts[i], w);
    json_writer_end_array (w);
  }
  if (rule->has_protocols) {
    json_writer_name (w, "IPProto");
    json_writer_begin_array (w);
    for (size_t i = 0; i < rule->n_protocols; i++)
      json_writer_i64 (w, rule->protocols[i]);
    /* A list of which nothing was understood must not read back as the default list. */
    if (rule->n_protocols == 0)
      json_writer_i64 (w, 256);
    json_writer_end_array (w);
  }
  if (rule->n_grants > 0) {
    json_writer_name (w, "CapGrant");
    json_writer_begin_array (w);
    for (size_t i = 0; i < rule->n_grants; i++)
      record_encode (&grant_type, &rule->grants[i], w);
    json_writer_end_array (w);
  }
  json_writer_end_object (w);
}

void
filter_rules_encode (const FilterRules *rules, JsonWriter *w)
{
  json_writer_begin_array (w);
  for (size_t i = 0; i < rules->n_rules; i++)
    encode_rule (&rules->rules[i], w);
  /* So that a poisoned list is one again when it is read back from the cache. */
  if (rules->poisoned)
    json_writer_raw (w, "{\"SrcBits\":[0]}", 15);
  json_writer_end_array (w);
}

FilterRules *
filter_rules_ref (const FilterRules *rules)
{
  FilterRules *r = (FilterRules *)rules;

  if (r)
    atomic_fetch_add_explicit (&r->references, 1, memory_order_relaxed);
  return r;
}

void
filter_rules_unref (const FilterRules *rules)
{
  FilterRules *r = (FilterRules *)rules;

  if (r && atomic_fetch_sub_explicit (&r->references, 1, memory_order_acq_rel) == 1)
    free (r);
}

bool
filter_rules_equal (const FilterRules *a, const FilterRules *b)
{
  return a == b || (a && b && record_diff (&rules_type, a, b) == 0);
}
