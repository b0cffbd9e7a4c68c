#include "coordinator/policy.h"

#include "coordinator/hujson.h"
#include "coordinator/policy-parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 20000 /* groups, hosts, postures */
#define LINKS_MAX 4096  /* tags and sets, which may name each other */

/* What has a name begins with it. */
static int
compare_names (const void *a, const void *b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

static void *
find_named (const char *name, void *list, size_t n, size_t size)
{
  return n > 0 ? bsearch (&name, list, n, size, compare_names) : NULL;
}

#define FIND(section, name)                                                                        \
  find_named (name, policy->section, policy->n_##section, sizeof *policy->section)

const NamedSelectors *
policy_group (const Policy *policy, const char *name)
{
  return FIND (groups, name);
}

const NamedSelectors *
policy_tag (const Policy *policy, const char *name)
{
  return FIND (tag_owners, name);
}

NamedHost *
policy_host (const Policy *policy, const char *name)
{
  return FIND (hosts, name);
}

NamedIpSet *
policy_ipset (const Policy *policy, const char *name)
{
  return FIND (ipsets, name);
}

const Posture *
policy_posture (const Policy *policy, const char *name)
{
  return FIND (postures, name);
}

static void
skip (PolicyParser *p, void *unused)
{
  json_reader_skip (&p->reader);
}

static void
ignore_with_warning (PolicyParser *p, void *unused)
{
  parser_warning (p, parser_here (p), "this setting has no effect here");
  json_reader_skip (&p->reader);
}

static void
read_flag (PolicyParser *p, bool *flag)
{
  if (parser_want (p, JSON_BOOL, "true or false"))
    *flag = json_reader_bool (&p->reader);
}

static void
read_randomize (PolicyParser *p, void *unused)
{
  read_flag (p, &p->policy->randomize_client_port);
}

static void
read_disable_ipv4 (PolicyParser *p, void *unused)
{
  read_flag (p, &p->policy->disable_ipv4);
}

static void
tell_twice (PolicyParser *p, const char *name, size_t at)
{
  size_t mark = parser_push_name (p, name);

  parser_error (p, at, "%s is defined twice", name);
  parser_pop (p, mark);
}

/* The names of an object's members, in the first walk: references to them may stand anywhere. */
#define DEFINE_NAMES_READER(section, Type, max)                                                    \
  static int compare_##section (const void *a, const void *b)                                      \
  {                                                                                                \
    const Type *x = a, *y = b;                                                                     \
    int order = strcmp (x->name, y->name);                                                         \
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);                                 \
  }                                                                                                \
                                                                                                   \
  static void name_##section (PolicyParser *p, void *unused)                                       \
  {                                                                                                \
    Policy *policy = p->policy;                                                                    \
    JsonString name;                                                                               \
    if (json_reader_peek (&p->reader) != JSON_OBJECT) {                                            \
      json_reader_skip (&p->reader);                                                               \
      return;                                                                                      \
    }                                                                                              \
    json_reader_enter_object (&p->reader);                                                         \
    for (size_t at = parser_name_here (p); json_reader_next_member (&p->reader, &name);            \
         at = parser_name_here (p)) {                                                              \
      if (policy->n_##section == max)                                                              \
        parser_error (p, at, "there is room for %d names here", max);                              \
      Type item = {.name = arena_strndup (p->arena, name.text, name.length), .at = at};            \
      if (policy->n_##section <= max)                                                              \
        arena_append (p->arena, policy->section, policy->n_##section, item);                       \
      json_reader_skip (&p->reader);                                                               \
    }                                                                                              \
    if (policy->n_##section > 1)                                                                   \
      qsort (policy->section, policy->n_##section, sizeof *policy->section, compare_##section);    \
    for (size_t i = 1; i < policy->n_##section; i++)                                               \
      if (strcmp (policy->section[i].name, policy->section[i - 1].name) == 0)                      \
        tell_twice (p, policy->section[i].name, policy->section[i].at);                            \
  }

DEFINE_NAMES_READER (groups, NamedSelectors, NAMES_MAX)
DEFINE_NAMES_READER (tag_owners, NamedSelectors, LINKS_MAX)
DEFINE_NAMES_READER (hosts, NamedHost, NAMES_MAX)
DEFINE_NAMES_READER (ipsets, NamedIpSet, LINKS_MAX)
DEFINE_NAMES_READER (postures, Posture, NAMES_MAX)

/* Three walks over the text: names, definitions, rules. */
#define WALKS 3
static const struct
{
  const char *name;
  void (*read[WALKS]) (PolicyParser *p, void *unused);
} sections[] = {
    {"groups", {name_groups, policy_read_groups, skip}},
    {"tagOwners", {name_tag_owners, policy_read_tag_owners, skip}},
    {"hosts", {name_hosts, policy_read_hosts, skip}},
    {"ipsets", {name_ipsets, policy_read_ipsets, skip}},
    {"postures", {name_postures, policy_read_postures, skip}},
    {"defaultSrcPosture", {skip, policy_read_default_postures, skip}},
    {"acls", {skip, skip, policy_read_acls}},
    {"grants", {skip, skip, policy_read_grants}},
    {"autoApprovers", {skip, skip, policy_read_auto_approvers}},
    {"nodeAttrs", {skip, skip, policy_read_node_attributes}},
    {"ssh", {skip, skip, policy_read_ssh}},
    {"tests", {skip, skip, policy_read_tests}},
    {"sshTests", {skip, skip, policy_read_ssh_tests}},
    {"randomizeClientPort", {skip, skip, read_randomize}},
    {"disableIPv4", {skip, skip, read_disable_ipv4}},
    {"derpMap", {skip, skip, ignore_with_warning}},
    {"OneCGNATRoute", {skip, skip, ignore_with_warning}},
};
#define N_SECTIONS (sizeof sections / sizeof sections[0])

static bool
walk (PolicyParser *p, size_t size, int number)
{
  PolicyMember members[N_SECTIONS];

  for (size_t i = 0; i < N_SECTIONS; i++)
    members[i] = (PolicyMember){sections[i].name, sections[i].read[number]};
  json_reader_init (&p->reader, p->text, size);
  if (json_reader_peek (&p->reader) != JSON_OBJECT && json_reader_ok (&p->reader)) {
    parser_error (p, p->reader.pos, "expected an object in { } here");
    json_reader_clear (&p->reader);
    return false;
  }
  parser_object (p, members, N_SECTIONS, NULL);
  if (json_reader_ok (&p->reader) && !json_reader_end (&p->reader))
    json_reader_fail (&p->reader, "nothing behind the last }");
  bool ok = json_reader_ok (&p->reader);
  if (!ok) {
    p->path[0] = '\0';
    parser_error (p, p->reader.pos, "this is not JSON: %s", p->reader.error);
  }
  json_reader_clear (&p->reader);
  return ok;
}

static Policy *
policy_new (void)
{
  Arena *arena = arena_new ();
  Policy *policy = arena_array (arena, Policy, 1);

  policy->arena = arena;
  policy->allow_all = true;
  return policy;
}

/* More names than there is room for were left out: nothing else is true of this policy. */
static bool
is_crowded (const Policy *policy)
{
  return policy->n_groups > NAMES_MAX || policy->n_hosts > NAMES_MAX
         || policy->n_postures > NAMES_MAX || policy->n_tag_owners > LINKS_MAX
         || policy->n_ipsets > LINKS_MAX;
}

/* A walk along names; each is entered once in a walk. */
typedef struct
{
  const Policy *policy;
  size_t *stack, n;
  size_t *entered; /* by place: the number of the last walk that came here */
} NameWalk;

static void
enter (NameWalk *w, size_t place, size_t walk)
{
  if (w->entered[place] == walk)
    return;
  w->entered[place] = walk;
  w->stack[w->n++] = place;
}

static void
enter_owners (NameWalk *w, size_t place, size_t walk)
{
  const SelectorList *owners = &w->policy->tag_owners[place].members;

  for (size_t i = 0; i < owners->n; i++) {
    const NamedSelectors *next = owners->items[i].type == SELECT_TAG
                                     ? policy_tag (w->policy, owners->items[i].name)
                                     : NULL;
    if (next)
      enter (w, (size_t)(next - w->policy->tag_owners), walk);
  }
}

static void
enter_parts (NameWalk *w, size_t place, size_t walk)
{
  const NamedIpSet *set = &w->policy->ipsets[place];

  for (size_t i = 0; i < set->n; i++) {
    const IpSetOperation *operation = &set->operations[i];
    const NamedIpSet *next = !operation->is_range && operation->target.type == SELECT_IPSET
                                 ? policy_ipset (w->policy, operation->target.name)
                                 : NULL;
    if (next)
      enter (w, (size_t)(next - w->policy->ipsets), walk);
  }
}

/* Whether one of N names leads back to itself; GO_ON enters those that a name leads to. */
static bool
comes_back (NameWalk *w, size_t start, void (*go_on) (NameWalk *w, size_t place, size_t walk))
{
  size_t walk = start + 1;

  w->n = 0;
  go_on (w, start, walk);
  while (w->n > 0 && w->entered[start] != walk)
    go_on (w, w->stack[--w->n], walk);
  return w->entered[start] == walk;
}

static NameWalk
name_walk (PolicyParser *p, size_t n)
{
  return (NameWalk){
      .policy = p->policy,
      .stack = arena_array (p->arena, size_t, n + 1),
      .entered = arena_array (p->arena, size_t, n + 1),
  };
}

/* A tag that owns itself by way of others gives nobody anything. */
static void
warn_of_cycles (PolicyParser *p)
{
  const Policy *policy = p->policy;
  NameWalk w = name_walk (p, policy->n_tag_owners);

  for (size_t i = 0; i < policy->n_tag_owners; i++) {
    const NamedSelectors *tag = &policy->tag_owners[i];
    if (!comes_back (&w, i, enter_owners))
      continue;
    snprintf (p->path, sizeof p->path, "tagOwners.%s", tag->name);
    parser_warning (p, tag->at,
                    "%s owns itself by way of other tags; nobody can assign it through this path",
                    tag->name);
    p->path[0] = '\0';
  }
}

/* A set that contains itself by way of others means nothing. */
static void
refuse_set_cycles (PolicyParser *p)
{
  const Policy *policy = p->policy;
  NameWalk w = name_walk (p, policy->n_ipsets);

  for (size_t i = 0; i < policy->n_ipsets; i++)
    if (comes_back (&w, i, enter_parts))
      parser_selector_error (p, &policy->ipsets[i].operations[0].target, "%s contains itself",
                             policy->ipsets[i].name);
}

/* The grant that stands for "no rules at all": everybody may reach everything. */
static void
allow_everything (Policy *policy)
{
  Selector any = {.type = SELECT_ANY, .text = "*", .name = "*"};
  Grant grant = {0};
  IpItem item = {0};

  arena_append (policy->arena, grant.src.items, grant.src.n, any);
  arena_append (policy->arena, grant.dst.items, grant.dst.n, any);
  arena_append (policy->arena, item.ports, item.n_ports, ((PortRange){0, 65535}));
  arena_append (policy->arena, grant.ip, grant.n_ip, item);
  arena_append (policy->arena, policy->grants, policy->n_grants, grant);
}

Policy *
policy_parse (const char *text, size_t size, PolicyIssues *issues)
{
  PolicyParser p = {.policy = policy_new (), .issues = issues};
  HujsonError error;

  p.arena = p.policy->arena;
  char *standard = arena_strndup (p.arena, text, size);
  /* Some editors put a mark in front of their UTF-8. */
  if (size >= 3 && memcmp (standard, "\xef\xbb\xbf", 3) == 0)
    memset (standard, ' ', 3);
  p.text = standard;
  if (size > POLICY_TEXT_MAX) {
    parser_error (&p, 0, "a policy may have %d bytes at most", POLICY_TEXT_MAX);
  } else if (!hujson_standardize (standard, size, &error)) {
    parser_error (&p, error.at, "expected %s", error.what);
  } else if (walk (&p, size, 0) && !is_crowded (p.policy)) {
    /* A setting that nobody knows is the same in each walk, and told in the first. */
    p.known_only = true;
    walk (&p, size, 1);
    refuse_set_cycles (&p);
    walk (&p, size, 2);
    warn_of_cycles (&p);
    for (size_t i = 0; i < p.policy->n_acls; i++)
      arena_append (p.arena, p.policy->grants, p.policy->n_grants, p.policy->acls[i]);
    if (p.policy->allow_all)
      allow_everything (p.policy);
  }
  if (issues->n_errors == 0)
    return p.policy;
  policy_free (p.policy);
  return NULL;
}

void
policy_free (Policy *policy)
{
  if (policy)
    arena_free (policy->arena);
}
