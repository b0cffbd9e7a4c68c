/* What a view gives each node, in the words of the wire: filter rules, SSH policy, attributes
 * (spec/netmap-and-policy.md B.1, D.3, D.9). */

#include "coordinator/policy-view-private.h"

#include <stdlib.h>
#include <string.h>

#define SSH_CHECK_URL                                                                              \
  "https://unused/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER"

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
write_dst (const PolicyDst *dst, JsonWriter *w)
{
  char text[IP_RANGE_TEXT_MAX] = "*";

  if (!dst->any)
    ip_range_format (&dst->range, text);
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

/* ---- SSH ---- */

/* The nodes of one user (NULL: tagged ones) that a rule lets in. */
typedef struct
{
  const PolicyUser *user;
  size_t *nodes;
  size_t n;
} Principals;

static bool
ssh_applies (PolicyView *view, const SshRule *rule, const PolicyNode *node)
{
  for (size_t i = 0; i < rule->dst.n; i++) {
    const Selector *dst = &rule->dst.items[i];
    if (dst->type == SELECT_SELF ? node->n_tags == 0 && node->user
                                 : view_node_matches (view, dst, node))
      return true;
  }
  return false;
}

static bool
only_self (PolicyView *view, const SshRule *rule, const PolicyNode *node)
{
  for (size_t i = 0; i < rule->dst.n; i++)
    if (rule->dst.items[i].type != SELECT_SELF
        && view_node_matches (view, &rule->dst.items[i], node))
      return false;
  return true;
}

static bool
ssh_source (PolicyView *view, const SshRule *rule, const PolicyNode *node)
{
  for (size_t i = 0; i < rule->src.n; i++)
    if (view_node_matches (view, &rule->src.items[i], node))
      return true;
  return false;
}

static int
compare_principals (const void *a, const void *b)
{
  const PolicyUser *x = ((const Principals *)a)->user, *y = ((const Principals *)b)->user;

  if (!x || !y)
    return (x == NULL) - (y == NULL);
  return (x->id > y->id) - (x->id < y->id);
}

/* Who may come in by RULE to NODE: by user in order of id, then tagged nodes. */
static Principals *
ssh_principals (PolicyView *view, const SshRule *rule, const PolicyNode *node, size_t *n)
{
  bool self = only_self (view, rule, node);
  Principals *groups = NULL;

  *n = 0;
  for (size_t i = 0; i < view->tailnet->n_nodes; i++) {
    const PolicyNode *source = &view->tailnet->nodes[i];
    const PolicyUser *user = source->n_tags > 0 ? NULL : source->user;
    size_t g = 0;
    if (!ssh_source (view, rule, source) || (self && (!user || user != node->user)))
      continue;
    while (g < *n && groups[g].user != user)
      g++;
    if (g == *n)
      arena_append (view->arena, groups, *n, ((Principals){.user = user}));
    arena_append (view->arena, groups[g].nodes, groups[g].n, i);
  }
  if (*n > 1)
    qsort (groups, *n, sizeof *groups, compare_principals);
  return groups;
}

static void
write_principals (PolicyView *view, const Principals *groups, size_t n, JsonWriter *w)
{
  json_writer_name (w, "principals");
  json_writer_begin_array (w);
  for (size_t g = 0; g < n; g++)
    for (size_t i = 0; i < groups[g].n; i++)
      for (int a = 0; a < 2; a++) {
        const IpAddr *address = &view->tailnet->nodes[groups[g].nodes[i]].addresses[a];
        if (address->family == 0)
          continue;
        json_writer_begin_object (w);
        json_writer_name (w, "nodeIP");
        json_writer_addr (w, address);
        json_writer_end_object (w);
      }
  json_writer_end_array (w);
}

static bool
is_localpart (const char *user)
{
  return strncmp (user, "localpart:*@", 12) == 0;
}

/* The login's part before the @ when its domain is the one that the rule names, else NULL. */
static const char *
local_part (PolicyView *view, const SshRule *rule, const PolicyUser *user)
{
  const char *at = user ? strrchr (user->login, '@') : NULL;

  for (size_t i = 0; at && i < rule->n_users; i++)
    if (is_localpart (rule->users[i]) && strcmp (rule->users[i] + 12, at + 1) == 0)
      return arena_strndup (view->arena, user->login, (size_t)(at - user->login));
  return NULL;
}

static int
compare_texts (const void *a, const void *b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

static void
write_ssh_users (PolicyView *view, const SshRule *rule, JsonWriter *w)
{
  const char **names = NULL;
  size_t n = 0;
  bool nonroot = false, root = false;

  for (size_t i = 0; i < rule->n_users; i++) {
    const char *user = rule->users[i];
    nonroot |= strcmp (user, "autogroup:nonroot") == 0;
    root |= strcmp (user, "root") == 0;
    if (strncmp (user, "autogroup:", 10) != 0 && !is_localpart (user) && strcmp (user, "root") != 0)
      arena_append (view->arena, names, n, user);
  }
  arena_append (view->arena, names, n, "root");
  if (nonroot)
    arena_append (view->arena, names, n, "*");
  qsort (names, n, sizeof *names, compare_texts);
  json_writer_name (w, "sshUsers");
  json_writer_begin_object (w);
  for (size_t i = 0; i < n; i++) {
    if (i > 0 && strcmp (names[i], names[i - 1]) == 0)
      continue;
    json_writer_name (w, names[i]);
    json_writer_string (w, strcmp (names[i], "*") == 0               ? "="
                           : strcmp (names[i], "root") == 0 && !root ? ""
                                                                     : names[i]);
  }
  json_writer_end_object (w);
}

static void
write_ssh_action (const SshRule *rule, JsonWriter *w)
{
  json_writer_name (w, "action");
  json_writer_begin_object (w);
  if (rule->check) {
    json_writer_name (w, "holdAndDelegate");
    json_writer_string (w, SSH_CHECK_URL);
  } else {
    static const char *const names[] = {"accept", "allowAgentForwarding",
                                        "allowLocalPortForwarding", "allowRemotePortForwarding"};
    for (size_t i = 0; i < 4; i++) {
      json_writer_name (w, names[i]);
      json_writer_bool (w, true);
    }
  }
  json_writer_end_object (w);
  if (rule->n_accept_env == 0)
    return;
  json_writer_name (w, "acceptEnv");
  json_writer_begin_array (w);
  for (size_t i = 0; i < rule->n_accept_env; i++)
    json_writer_string (w, rule->accept_env[i]);
  json_writer_end_array (w);
}

/* One rule for GROUPS; LOCAL is a login name of theirs that maps to itself, or NULL for the rule's
 * own. */
static void
write_ssh_rule (PolicyView *view, const SshRule *rule, const Principals *groups, size_t n,
                const char *local, JsonWriter *w)
{
  json_writer_begin_object (w);
  write_principals (view, groups, n, w);
  if (local) {
    json_writer_name (w, "sshUsers");
    json_writer_begin_object (w);
    json_writer_name (w, local);
    json_writer_string (w, local);
    json_writer_end_object (w);
  } else {
    write_ssh_users (view, rule, w);
  }
  write_ssh_action (rule, w);
  json_writer_end_object (w);
}

static void
write_ssh_rules (PolicyView *view, const SshRule *rule, const PolicyNode *node, JsonWriter *w)
{
  bool with_localparts = false;
  size_t n;
  Principals *groups = ssh_principals (view, rule, node, &n);

  for (size_t i = 0; i < rule->n_users; i++)
    with_localparts |= is_localpart (rule->users[i]);
  if (n == 0)
    return;
  if (!with_localparts) {
    write_ssh_rule (view, rule, groups, n, NULL, w);
    return;
  }
  for (size_t g = 0; g < n; g++) {
    const char *local = local_part (view, rule, groups[g].user);
    write_ssh_rule (view, rule, &groups[g], 1, NULL, w);
    if (local)
      write_ssh_rule (view, rule, &groups[g], 1, local, w);
  }
}

bool
policy_view_write_ssh (PolicyView *view, size_t index, JsonWriter *w)
{
  const PolicyNode *node = &view->tailnet->nodes[index];

  if (!view->policy->has_ssh)
    return false;
  json_writer_begin_object (w);
  json_writer_name (w, "rules");
  json_writer_begin_array (w);
  for (int check = 1; check >= 0; check--)
    for (size_t i = 0; i < view->policy->n_ssh; i++)
      if (view->policy->ssh[i].check == check && ssh_applies (view, &view->policy->ssh[i], node))
        write_ssh_rules (view, &view->policy->ssh[i], node, w);
  json_writer_end_array (w);
  json_writer_end_object (w);
  return true;
}
