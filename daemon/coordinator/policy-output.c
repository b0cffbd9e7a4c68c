/* What a view gives each node, in the words of the wire: filter rules and attributes
 * (spec/netmap-and-policy.md B.1, D.3). */

#include "coordinator/policy-view-private.h"

#include <stdlib.h>
#include <string.h>

static void
write_ports (const PortRange *ports, JsonWriter *w)
{
  json_writer_name (w, "Ports");
  json_writer_begin_object (w);
  json_writer_name (w, "First");
  json_writer_i64 (w, ports->first);
  json_writer_name (w, "Last");
  json_writer_i64 (w, ports->last);
  json_writer_end_object (w);
}

static void
format_dst (const PolicyDst *dst, char text[IP_RANGE_TEXT_MAX])
{
  if (!dst->as_range) {
    ip_range_format (&dst->range, text);
    return;
  }
  ip_format (&dst->range.first, text);
  strcat (text, "-");
  ip_format (&dst->range.last, text + strlen (text));
}

static void
write_dst (const PolicyDst *dst, JsonWriter *w)
{
  char text[IP_RANGE_TEXT_MAX] = "*";

  if (!dst->any)
    format_dst (dst, text);
  json_writer_begin_object (w);
  json_writer_name (w, "IP");
  json_writer_string (w, text);
  write_ports (&dst->ports, w);
  json_writer_end_object (w);
}

static void
write_caps (const NodeCap *caps, size_t n, JsonWriter *w)
{
  json_writer_begin_object (w);
  for (size_t i = 0; i < n; i++) {
    json_writer_name (w, caps[i].name);
    if (caps[i].values)
      json_writer_raw (w, caps[i].values, strlen (caps[i].values));
    else
      json_writer_null (w);
  }
  json_writer_end_object (w);
}

static void
write_grant (const PolicyCapGrant *grant, JsonWriter *w)
{
  json_writer_begin_object (w);
  json_writer_name (w, "Dsts");
  json_writer_begin_array (w);
  for (size_t i = 0; i < grant->n_dsts; i++)
    json_writer_prefix (w, &grant->dsts[i]);
  json_writer_end_array (w);
  json_writer_name (w, "CapMap");
  write_caps (grant->caps, grant->n_caps, w);
  json_writer_end_object (w);
}

static void
write_rule (const PolicyRule *rule, JsonWriter *w)
{
  json_writer_begin_object (w);
  json_writer_name (w, "SrcIPs");
  json_writer_begin_array (w);
  for (size_t i = 0; i < rule->n_src; i++)
    json_writer_string (w, rule->src[i]);
  json_writer_end_array (w);
  if (rule->n_dsts > 0) {
    json_writer_name (w, "DstPorts");
    json_writer_begin_array (w);
    for (size_t i = 0; i < rule->n_dsts; i++)
      write_dst (&rule->dsts[i], w);
    json_writer_end_array (w);
  }
  if (rule->protocol != 0) {
    json_writer_name (w, "IPProto");
    json_writer_begin_array (w);
    json_writer_i64 (w, rule->protocol);
    json_writer_end_array (w);
  }
  if (rule->n_grants > 0) {
    json_writer_name (w, "CapGrant");
    json_writer_begin_array (w);
    for (size_t i = 0; i < rule->n_grants; i++)
      write_grant (&rule->grants[i], w);
    json_writer_end_array (w);
  }
  json_writer_end_object (w);
}

void
policy_rules_write (const PolicyRules *rules, JsonWriter *w)
{
  json_writer_begin_array (w);
  for (size_t i = 0; i < rules->n; i++)
    write_rule (&rules->rules[i], w);
  json_writer_end_array (w);
}

/* ---- attributes ---- */

typedef struct
{
  NodeCap *list;
  size_t n;
} CapList;

static void
add_cap (PolicyView *view, CapList *caps, const NodeCap *cap)
{
  for (size_t i = 0; i < caps->n; i++) {
    if (strcmp (caps->list[i].name, cap->name) == 0) {
      if (cap->values)
        caps->list[i].values = cap->values;
      return;
    }
  }
  arena_append (view->arena, caps->list, caps->n, *cap);
}

static bool
is_target (PolicyView *view, const NodeAttributes *attributes, size_t index)
{
  const PolicyNode *node = &view->tailnet->nodes[index];

  for (size_t i = 0; i < attributes->target.n; i++) {
    const Selector *target = &attributes->target.items[i];
    if (target->type == SELECT_ANY)
      return true;
    if (target->type == SELECT_PREFIX || target->type == SELECT_HOST) {
      for (int a = 0; a < 2; a++)
        if (node->addresses[a].family && ip_prefix_contains (&target->prefix, &node->addresses[a]))
          return true;
    } else if (view_node_matches (view, target, node)) {
      return true;
    }
  }
  return false;
}

static int
compare_caps (const void *a, const void *b)
{
  return strcmp (((const NodeCap *)a)->name, ((const NodeCap *)b)->name);
}

const NodeCap *
policy_view_caps (PolicyView *view, size_t index, size_t *n)
{
  static const NodeCap funnel_ports
      = {.name = "https://tailscale.com/cap/funnel-ports?ports=443,8443,10000"};
  const Policy *policy = view->policy;
  CapList caps = {0};

  for (size_t i = 0; i < policy->n_attributes; i++) {
    if (!is_target (view, &policy->attributes[i], index))
      continue;
    for (size_t c = 0; c < policy->attributes[i].n_caps; c++) {
      const NodeCap *cap = &policy->attributes[i].caps[c];
      add_cap (view, &caps, cap);
      if (strcmp (cap->name, "funnel") == 0)
        add_cap (view, &caps, &funnel_ports);
    }
  }
  if (policy->randomize_client_port)
    add_cap (view, &caps, &(NodeCap){.name = "randomize-client-port"});
  if (policy->disable_ipv4)
    add_cap (view, &caps, &(NodeCap){.name = "disable-ipv4"});
  if (caps.n > 0)
    qsort (caps.list, caps.n, sizeof *caps.list, compare_caps);
  *n = caps.n;
  return caps.list;
}

void
policy_view_write_cap_map (PolicyView *view, size_t index, JsonWriter *w)
{
  size_t n;
  const NodeCap *caps = policy_view_caps (view, index, &n);

  write_caps (caps, n, w);
}

void
view_note_families (PolicyView *view)
{
  for (size_t i = 0; i < view->tailnet->n_nodes; i++) {
    size_t n;
    const NodeCap *caps = policy_view_caps (view, i, &n);
    for (size_t c = 0; c < n; c++)
      view->routes[i].no_v4 |= strcmp (caps[c].name, "disable-ipv4") == 0;
  }
}
