#include "coordinator/policy.h"

#include "coordinator/hujson.h"
#include "coordinator/policy-parser.h"

#include <stdlib.h>
#include <string.h>

const NamedSelectors *
policy_group (const Policy *policy, const char *name)
{
  for (size_t i = 0; i < policy->n_groups; i++)
    if (strcmp (policy->groups[i].name, name) == 0)
      return &policy->groups[i];
  return NULL;
}

const NamedSelectors *
policy_tag (const Policy *policy, const char *name)
{
  for (size_t i = 0; i < policy->n_tag_owners; i++)
    if (strcmp (policy->tag_owners[i].name, name) == 0)
      return &policy->tag_owners[i];
  return NULL;
}

NamedIpSet *
policy_ipset (const Policy *policy, const char *name)
{
  for (size_t i = 0; i < policy->n_ipsets; i++)
    if (strcmp (policy->ipsets[i].name, name) == 0)
      return &policy->ipsets[i];
  return NULL;
}

const Posture *
policy_posture (const Policy *policy, const char *name)
{
  for (size_t i = 0; i < policy->n_postures; i++)
    if (strcmp (policy->postures[i].name, name) == 0)
      return &policy->postures[i];
  return NULL;
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

/* The names of an object's members, in the first walk: references to them may stand anywhere. */
#define DEFINE_NAMES_READER(section, Type)                                                         \
  static void name_##section (PolicyParser *p, void *unused)                                       \
  {                                                                                                \
    JsonString name;                                                                               \
    if (json_reader_peek (&p->reader) != JSON_OBJECT) {                                            \
      json_reader_skip (&p->reader);                                                               \
      return;                                                                                      \
    }                                                                                              \
    json_reader_enter_object (&p->reader);                                                         \
    while (json_reader_next_member (&p->reader, &name)) {                                          \
      Type item = {.name = arena_strndup (p->arena, name.text, name.length)};                      \
      arena_append (p->arena, p->policy->section, p->policy->n_##section, item);                   \
      json_reader_skip (&p->reader);                                                               \
    }                                                                                              \
  }

DEFINE_NAMES_READER (groups, NamedSelectors)
DEFINE_NAMES_READER (tag_owners, NamedSelectors)
DEFINE_NAMES_READER (hosts, NamedHost)
DEFINE_NAMES_READER (ipsets, NamedIpSet)
DEFINE_NAMES_READER (postures, Posture)

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

/* A tag that owns itself by way of others gives nobody anything. */
static bool
owns (const Policy *policy, const NamedSelectors *tag, const char *name, unsigned depth)
{
  if (depth > policy->n_tag_owners)
    return false;
  for (size_t i = 0; i < tag->members.n; i++) {
    const Selector *member = &tag->members.items[i];
    if (member->type != SELECT_TAG)
      continue;
    if (strcmp (member->name, name) == 0)
      return true;
    const NamedSelectors *next = policy_tag (policy, member->name);
    if (next && owns (policy, next, name, depth + 1))
      return true;
  }
  return false;
}

static void
warn_of_cycles (PolicyParser *p)
{
  const Policy *policy = p->policy;

  for (size_t i = 0; i < policy->n_tag_owners; i++) {
    const NamedSelectors *tag = &policy->tag_owners[i];
    if (owns (policy, tag, tag->name, 0))
      parser_warning (p, 0,
                      "%s owns itself by way of other tags; nobody can assign it through this path",
                      tag->name);
  }
}

static bool
set_holds (const Policy *policy, const NamedIpSet *set, const char *name, size_t depth)
{
  for (size_t i = 0; i < set->n && depth <= policy->n_ipsets; i++) {
    const IpSetOperation *operation = &set->operations[i];
    if (operation->is_range || operation->target.type != SELECT_IPSET)
      continue;
    if (strcmp (operation->target.name, name) == 0)
      return true;
    const NamedIpSet *next = policy_ipset (policy, operation->target.name);
    if (next && set_holds (policy, next, name, depth + 1))
      return true;
  }
  return false;
}

/* A set that contains itself by way of others means nothing. */
static void
refuse_set_cycles (PolicyParser *p)
{
  const Policy *policy = p->policy;

  for (size_t i = 0; i < policy->n_ipsets; i++) {
    const NamedIpSet *set = &policy->ipsets[i];
    if (set_holds (policy, set, set->name, 0))
      parser_selector_error (p, &set->operations[0].target, "%s contains itself", set->name);
  }
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
  p.text = standard;
  if (size > POLICY_TEXT_MAX) {
    parser_error (&p, 0, "a policy may have %d bytes at most", POLICY_TEXT_MAX);
  } else if (!hujson_standardize (standard, size, &error)) {
    parser_error (&p, error.at, "expected %s", error.what);
  } else if (walk (&p, size, 0)) {
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
