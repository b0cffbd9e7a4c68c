/* Groups, tags, hosts, sets, postures, approvers and node attributes of a policy. */

#include "coordinator/policy-parser.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define OWNERS                                                                                     \
  (SELECT_BIT (SELECT_USER) | SELECT_BIT (SELECT_GROUP) | SELECT_BIT (SELECT_TAG)                  \
   | SELECT_BIT (SELECT_MEMBER) | SELECT_BIT (SELECT_ROLE))
#define ATTRIBUTE_TARGETS                                                                          \
  (OWNERS | SELECT_BIT (SELECT_ANY) | SELECT_BIT (SELECT_PREFIX) | SELECT_BIT (SELECT_HOST)        \
   | SELECT_BIT (SELECT_USER_DOMAIN) | SELECT_BIT (SELECT_TAGGED))
#define SET_TARGETS                                                                                \
  (SELECT_BIT (SELECT_PREFIX) | SELECT_BIT (SELECT_HOST) | SELECT_BIT (SELECT_IPSET)               \
   | SELECT_BIT (SELECT_INTERNET))

/* Walks over "name": value; the handler gets the name and reads the value. */
static void
each_member (PolicyParser *p, void (*read) (PolicyParser *p, const char *name, size_t at))
{
  JsonString name;

  if (!parser_want (p, JSON_OBJECT, "an object in { }"))
    return;
  json_reader_enter_object (&p->reader);
  for (;;) {
    size_t at = parser_name_here (p);
    if (!json_reader_next_member (&p->reader, &name))
      return;
    char *copy = arena_strndup (p->arena, name.text, name.length);
    size_t mark = parser_push_name (p, copy);
    read (p, copy, at);
    parser_pop (p, mark);
  }
}

static void
read_group_member (PolicyParser *p, const char *text, size_t at, void *target)
{
  NamedSelectors *group = target;
  Selector selector;

  if (strncmp (text, "group:", 6) == 0)
    parser_error (p, at, "%s may only list users; copy the members of %s", group->name, text);
  else if (parser_selector (p, text, at, SELECT_BIT (SELECT_USER), "member of a group", &selector))
    arena_append (p->arena, group->members.items, group->members.n, selector);
}

static void
read_group (PolicyParser *p, const char *name, size_t at)
{
  if (strncmp (name, "group:", 6) != 0 || name[6] == '\0')
    parser_error (p, at, "the name of a group is \"group:\" and a word, not \"%s\"", name);
  parser_each_string (p, read_group_member, (NamedSelectors *)policy_group (p->policy, name));
}

void
policy_read_groups (PolicyParser *p, void *unused)
{
  each_member (p, read_group);
}

static void
read_tag_owner (PolicyParser *p, const char *name, size_t at)
{
  NamedSelectors *tag = (NamedSelectors *)policy_tag (p->policy, name);
  Selector selector;

  if (parser_selector (p, name, at, SELECT_BIT (SELECT_TAG), "name of a tag", &selector))
    tag->members = parser_selectors (p, OWNERS, "tag owner");
  else
    json_reader_skip (&p->reader);
}

void
policy_read_tag_owners (PolicyParser *p, void *unused)
{
  each_member (p, read_tag_owner);
}

static void
read_host (PolicyParser *p, const char *name, size_t at)
{
  size_t value_at;
  const char *text = parser_string (p, &value_at);
  NamedHost *host = policy_host (p->policy, name);

  if (strpbrk (name, ":@*") || name[0] == '\0')
    parser_error (p, at, "\"%s\" cannot be the name of a host", name);
  if (text && !ip_prefix_parse (text, strlen (text), &host->prefix))
    parser_error (p, value_at, "\"%s\" is not an address or a prefix like 10.0.0.0/8", text);
  else if (text)
    host->prefix = ip_prefix_mask (host->prefix);
}

void
policy_read_hosts (PolicyParser *p, void *unused)
{
  each_member (p, read_host);
}

static bool
parse_range (const char *text, IpRange *out)
{
  const char *dash = strchr (text, '-');

  return dash && ip_parse (text, (size_t)(dash - text), &out->first)
         && ip_parse (dash + 1, strlen (dash + 1), &out->last)
         && out->first.family == out->last.family && ip_compare (&out->first, &out->last) <= 0;
}

typedef struct
{
  NamedIpSet *set;
  bool first_has_word, any;
} SetDraft;

static void
read_operation (PolicyParser *p, const char *text, size_t at, void *context)
{
  SetDraft *draft = context;
  IpSetOperation operation = {.remove = strncmp (text, "remove ", 7) == 0};
  bool has_word = operation.remove || strncmp (text, "add ", 4) == 0;
  const char *target = has_word ? strchr (text, ' ') : text;

  while (*target == ' ')
    target++;
  if (draft->any && has_word != draft->first_has_word)
    parser_error (p, at, "write \"add\" or \"remove\" in front of every part of %s",
                  draft->set->name);
  draft->first_has_word = draft->any ? draft->first_has_word : has_word;
  draft->any = true;
  if (strncmp (target, "host:", 5) == 0)
    target += 5;
  operation.is_range = parse_range (target, &operation.range);
  if (operation.is_range
      || parser_selector (p, target, at, SET_TARGETS, "part of a set", &operation.target))
    arena_append (p->arena, draft->set->operations, draft->set->n, operation);
}

static void
read_ipset (PolicyParser *p, const char *name, size_t at)
{
  SetDraft draft = {.set = policy_ipset (p->policy, name)};

  if (strncmp (name, "ipset:", 6) != 0 || name[6] == '\0')
    parser_error (p, at, "the name of a set is \"ipset:\" and a word, not \"%s\"", name);
  parser_each_string (p, read_operation, &draft);
}

void
policy_read_ipsets (PolicyParser *p, void *unused)
{
  each_member (p, read_ipset);
}

static const struct
{
  const char *word;
  Comparison comparison;
} comparisons[] = {
    {"NOT IN", COMPARE_NOT_IN},    {"IN", COMPARE_IN},         {"==", COMPARE_EQUAL},
    {"!=", COMPARE_NOT_EQUAL},     {"<=", COMPARE_LESS_EQUAL}, {"<", COMPARE_LESS},
    {">=", COMPARE_GREATER_EQUAL}, {">", COMPARE_GREATER},
};

static const char *
skip_spaces (const char *text)
{
  while (isspace ((unsigned char)*text))
    text++;
  return text;
}

/* A value in single quotes, or a bare word of digits, dots and letters. */
static bool
take_value (PolicyParser *p, const char **text, Assertion *assertion)
{
  const char *start = skip_spaces (*text), *end = start;
  bool quoted = *start == '\'' || *start == '"';

  if (quoted) {
    end = strchr (start + 1, *start);
    if (!end)
      return false;
    *text = end + 1;
    start++;
  } else {
    while (isalnum ((unsigned char)*end) || *end == '.' || *end == '-')
      end++;
    *text = end;
  }
  if (end == start && !quoted)
    return false;
  const char *value = arena_strndup (p->arena, start, (size_t)(end - start));
  arena_append (p->arena, assertion->values, assertion->n_values, value);
  return true;
}

static bool
take_values (PolicyParser *p, const char *text, Assertion *assertion)
{
  bool list = assertion->comparison == COMPARE_IN || assertion->comparison == COMPARE_NOT_IN;

  text = skip_spaces (text);
  if (!list)
    return take_value (p, &text, assertion) && *skip_spaces (text) == '\0';
  if (*text++ != '[')
    return false;
  do {
    if (!take_value (p, &text, assertion))
      return false;
    text = skip_spaces (text);
  } while (*text++ == ',');
  return text[-1] == ']' && *skip_spaces (text) == '\0';
}

static bool
parse_assertion (PolicyParser *p, const char *text, Assertion *out)
{
  size_t length = strcspn (text, " <>=!");

  *out = (Assertion){.attribute = arena_strndup (p->arena, text, length)};
  text = skip_spaces (text + length);
  if (length == 0 || !strchr (out->attribute, ':'))
    return false;
  for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++) {
    size_t n = strlen (comparisons[i].word);
    if (strncasecmp (text, comparisons[i].word, n) == 0) {
      out->comparison = comparisons[i].comparison;
      return take_values (p, text + n, out);
    }
  }
  return false;
}

static void
read_assertion (PolicyParser *p, const char *text, size_t at, void *target)
{
  Posture *posture = target;
  Assertion assertion;

  if (parse_assertion (p, text, &assertion))
    arena_append (p->arena, posture->assertions, posture->n, assertion);
  else
    parser_error (p, at, "\"%s\" is not a condition like node:os == 'linux'", text);
}

static void
read_posture (PolicyParser *p, const char *name, size_t at)
{
  if (strncmp (name, "posture:", 8) != 0)
    parser_error (p, at, "the name of a posture is \"posture:\" and a word, not \"%s\"", name);
  parser_each_string (p, read_assertion, (Posture *)policy_posture (p->policy, name));
}

void
policy_read_postures (PolicyParser *p, void *unused)
{
  each_member (p, read_posture);
}

static void
read_posture_name (PolicyParser *p, const char *text, size_t at, void *target)
{
  PostureNames *names = target;

  if (policy_posture (p->policy, text))
    arena_append (p->arena, names->list, names->n, text);
  else
    parser_error (p, at, "%s is used here but not defined under \"postures\"", text);
}

PostureNames
parser_posture_names (PolicyParser *p)
{
  PostureNames names = {0};

  parser_each_string (p, read_posture_name, &names);
  return names;
}

void
policy_read_default_postures (PolicyParser *p, void *unused)
{
  p->default_postures = parser_posture_names (p);
}

static void
read_route_approver (PolicyParser *p, const char *name, size_t at)
{
  RouteApprovers entry = {0};

  if (!ip_prefix_parse (name, strlen (name), &entry.prefix))
    parser_error (p, at, "\"%s\" is not a prefix like 10.0.0.0/8", name);
  entry.prefix = ip_prefix_mask (entry.prefix);
  entry.approvers = parser_selectors (p, OWNERS, "approver");
  arena_append (p->arena, p->policy->route_approvers, p->policy->n_route_approvers, entry);
}

static void
read_route_approvers (PolicyParser *p, void *unused)
{
  each_member (p, read_route_approver);
}

static void
read_exit_approvers (PolicyParser *p, void *unused)
{
  p->policy->exit_approvers = parser_selectors (p, OWNERS, "approver");
}

void
policy_read_auto_approvers (PolicyParser *p, void *unused)
{
  static const PolicyMember members[]
      = {{"routes", read_route_approvers}, {"exitNode", read_exit_approvers}};

  parser_object (p, members, 2, NULL);
}

static void
read_attribute_target (PolicyParser *p, void *target)
{
  NodeAttributes *attributes = target;

  attributes->target = parser_selectors (p, ATTRIBUTE_TARGETS, "target");
}

static void
read_attribute_names (PolicyParser *p, void *target)
{
  NodeAttributes *attributes = target;
  size_t n;
  const char **names = parser_strings (p, &n);

  for (size_t i = 0; i < n; i++)
    arena_append (p->arena, attributes->caps, attributes->n_caps, ((NodeCap){.name = names[i]}));
}

static void
read_attribute_app (PolicyParser *p, void *target)
{
  NodeAttributes *attributes = target;
  JsonString name;

  if (!parser_want (p, JSON_OBJECT, "an object in { }"))
    return;
  json_reader_enter_object (&p->reader);
  while (json_reader_next_member (&p->reader, &name)) {
    NodeCap cap = {.name = arena_strndup (p->arena, name.text, name.length)};
    cap.values = parser_raw (p);
    arena_append (p->arena, attributes->caps, attributes->n_caps, cap);
  }
}

static bool
is_usable_pool (const IpPrefix *pool)
{
  static const char *const reserved[] = {"100.100.100.0/24", "100.115.92.0/23"};
  IpPrefix all = {ip_from_v4 (0x64400000), 10};

  if (!ip_prefix_covers (&all, pool))
    return false;
  for (size_t i = 0; i < 2; i++) {
    IpPrefix taken;
    ip_prefix_parse (reserved[i], strlen (reserved[i]), &taken);
    if (ip_prefix_overlaps (pool, &taken))
      return false;
  }
  return true;
}

static void
read_pool (PolicyParser *p, const char *text, size_t at, void *target)
{
  NodeAttributes *attributes = target;
  IpPrefix pool;

  if (ip_prefix_parse (text, strlen (text), &pool) && is_usable_pool (&pool))
    arena_append (p->arena, attributes->pool, attributes->n_pool, ip_prefix_mask (pool));
  else
    parser_error (p, at,
                  "\"%s\" is not a part of 100.64.0.0/10 clear of 100.100.100.0/24 and "
                  "100.115.92.0/23",
                  text);
}

static void
read_attribute_pool (PolicyParser *p, void *target)
{
  parser_each_string (p, read_pool, target);
}

void
policy_read_node_attributes (PolicyParser *p, void *unused)
{
  static const PolicyMember members[] = {
      {"target", read_attribute_target},
      {"attr", read_attribute_names},
      {"app", read_attribute_app},
      {"ipPool", read_attribute_pool},
  };

  if (!parser_want (p, JSON_ARRAY, "a list"))
    return;
  json_reader_enter_array (&p->reader);
  for (size_t i = 0; json_reader_next_element (&p->reader); i++) {
    size_t mark = parser_push_index (p, i);
    NodeAttributes attributes = {0};
    parser_object (p, members, 4, &attributes);
    arena_append (p->arena, p->policy->attributes, p->policy->n_attributes, attributes);
    parser_pop (p, mark);
  }
}
