/* Who may log in where by SSH (spec/netmap-and-policy.md D.9). */

#include "coordinator/policy-view-private.h"

#include <stdlib.h>
#include <string.h>

#define SSH_CHECK_URL                                                                              \
  "https://unused/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER"

/* The nodes of one user (NULL: tagged ones) that a rule lets in. */
typedef struct
{
  const PolicyUser *user;
  size_t *nodes;
  size_t n;
} Principals;

static bool
is_localpart (const char *user)
{
  return strncmp (user, "localpart:*@", 12) == 0 && user[12] != '\0';
}

static bool
has_localparts (const SshRule *rule)
{
  for (size_t i = 0; i < rule->n_users; i++)
    if (is_localpart (rule->users[i]))
      return true;
  return false;
}

static bool
ssh_source (PolicyView *view, const SshRule *rule, const PolicyNode *node)
{
  for (size_t i = 0; i < rule->src.n; i++)
    if (view_node_matches (view, &rule->src.items[i], node))
      return true;
  return false;
}

/* Whom a rule lets in at a node. */
typedef enum
{
  ADMITS_NOBODY,
  ADMITS_OWN, /* devices of the same user, or the node itself where it is tagged */
  ADMITS_ALL, /* all sources of the rule */
} Admission;

static Admission
admission (PolicyView *view, const SshRule *rule, const PolicyNode *node)
{
  Admission result = ADMITS_NOBODY;

  for (size_t i = 0; i < rule->dst.n; i++) {
    const Selector *dst = &rule->dst.items[i];
    if (dst->type != SELECT_SELF && view_node_matches (view, dst, node))
      return ADMITS_ALL;
    if (dst->type == SELECT_SELF && node->n_tags == 0 && node->user)
      result = ADMITS_OWN;
  }
  /* With local parts the rule holds at the sources' own devices, too: both other servers of this
   * policy language have it so. */
  if (result == ADMITS_NOBODY && has_localparts (rule) && ssh_source (view, rule, node))
    result = ADMITS_OWN;
  return result;
}

static bool
admits (PolicyView *view, const SshRule *rule, Admission admission, const PolicyNode *src,
        const PolicyNode *dst)
{
  bool same = src->n_tags == 0 && dst->n_tags == 0 && src->user && src->user == dst->user;

  if (!ssh_source (view, rule, src))
    return false;
  return admission == ADMITS_ALL
         || (admission == ADMITS_OWN && (same || (src == dst && src->n_tags > 0)));
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
  Admission whom = admission (view, rule, node);
  Principals *groups = NULL;

  *n = 0;
  for (size_t i = 0; i < view->tailnet->n_nodes; i++) {
    const PolicyNode *source = &view->tailnet->nodes[i];
    const PolicyUser *user = source->n_tags > 0 ? NULL : source->user;
    size_t g = 0;
    if (!admits (view, rule, whom, source, node))
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
    if (strcmp (user, "autogroup:nonroot") != 0 && !is_localpart (user)
        && strcmp (user, "root") != 0)
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
  size_t n;
  Principals *groups = ssh_principals (view, rule, node, &n);

  if (n == 0)
    return;
  if (!has_localparts (rule)) {
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
      if (view->policy->ssh[i].check == check)
        write_ssh_rules (view, &view->policy->ssh[i], node, w);
  json_writer_end_array (w);
  json_writer_end_object (w);
  return true;
}

bool
view_ssh_admits (PolicyView *view, const SshRule *rule, const PolicyNode *src,
                 const PolicyNode *dst, const char *user)
{
  const char *local = src->n_tags == 0 ? local_part (view, rule, src->user) : NULL;
  bool named = local && strcmp (local, user) == 0;

  for (size_t i = 0; i < rule->n_users && !named; i++)
    named = strcmp (rule->users[i], user) == 0
            || (strcmp (rule->users[i], "autogroup:nonroot") == 0 && strcmp (user, "root") != 0);
  return named && admits (view, rule, admission (view, rule, dst), src, dst);
}
