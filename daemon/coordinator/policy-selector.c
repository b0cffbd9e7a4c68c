#include "coordinator/policy-parser.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct
{
  const char *name;
  PolicyRole role;
} roles[] = {
    {"member", ROLE_MEMBER},
    {"owner", ROLE_OWNER},
    {"admin", ROLE_ADMIN},
    {"it-admin", ROLE_IT_ADMIN},
    {"network-admin", ROLE_NETWORK_ADMIN},
    {"billing-admin", ROLE_BILLING_ADMIN},
    {"auditor", ROLE_AUDITOR},
};

bool
policy_role_parse (const char *name, PolicyRole *out)
{
  for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
    if (strcmp (name, roles[i].name) == 0) {
      *out = roles[i].role;
      return true;
    }
  }
  return false;
}

static bool
classify_autogroup (const char *name, Selector *out)
{
  static const struct
  {
    const char *name;
    SelectorType type;
  } autogroups[] = {
      {"member", SELECT_MEMBER}, {"members", SELECT_MEMBER},    {"tagged", SELECT_TAGGED},
      {"self", SELECT_SELF},     {"internet", SELECT_INTERNET}, {"danger-all", SELECT_DANGER_ALL},
      {"shared", SELECT_SHARED},
  };

  for (size_t i = 0; i < sizeof autogroups / sizeof autogroups[0]; i++) {
    if (strcmp (name, autogroups[i].name) == 0) {
      out->type = autogroups[i].type;
      return true;
    }
  }
  out->type = SELECT_ROLE;
  return policy_role_parse (name, &out->role);
}

static bool
is_tag_name (const char *name)
{
  if (!isalpha ((unsigned char)*name))
    return false;
  while (isalnum ((unsigned char)*name) || *name == '-')
    name++;
  return *name == '\0';
}

static bool
starts_with (const char *text, const char *prefix)
{
  return strncmp (text, prefix, strlen (prefix)) == 0;
}

/* What kind of selector TEXT is, in the order of D.2. False after an error. */
static bool
classify (PolicyParser *p, const char *text, size_t at, Selector *out)
{
  out->text = out->name = text;
  if (ip_prefix_parse (text, strlen (text), &out->prefix)) {
    out->type = SELECT_PREFIX;
    out->prefix = ip_prefix_mask (out->prefix);
  } else if (strcmp (text, "*") == 0) {
    out->type = SELECT_ANY;
  } else if (starts_with (text, "group:")) {
    out->type = SELECT_GROUP;
  } else if (starts_with (text, "tag:")) {
    out->type = SELECT_TAG;
    if (!is_tag_name (text + 4)) {
      parser_error (p, at, "tag names start with a letter and use letters, digits and \"-\"");
      return false;
    }
  } else if (starts_with (text, "autogroup:")) {
    if (!classify_autogroup (text + 10, out)) {
      parser_error (p, at, "there is no %s", text);
      return false;
    }
  } else if (starts_with (text, "ipset:")) {
    out->type = SELECT_IPSET;
  } else if (starts_with (text, "svc:")) {
    parser_error (p, at, "%s: services are not supported", text);
    return false;
  } else if (starts_with (text, "user:*@")) {
    out->type = SELECT_USER_DOMAIN;
    out->name = text + 7;
  } else if (strchr (text, '@')) {
    out->type = SELECT_USER;
  } else if (text[0] != '\0' && !strchr (text, ':')) {
    out->type = SELECT_HOST;
  } else {
    parser_error (
        p, at,
        "\"%s\" is neither an address, user, group:, tag:, autogroup: nor a name from \"hosts\"",
        text);
    return false;
  }
  return true;
}

/* Names that must be defined somewhere in the file. */
static bool
check_defined (PolicyParser *p, size_t at, Selector *selector)
{
  const Policy *policy = p->policy;
  const char *where = NULL;

  if (selector->type == SELECT_GROUP && !policy_group (policy, selector->name))
    where = "groups";
  else if (selector->type == SELECT_TAG && !policy_tag (policy, selector->name))
    where = "tagOwners";
  else if (selector->type == SELECT_IPSET && !policy_ipset (policy, selector->name))
    where = "ipsets";
  if (selector->type == SELECT_HOST) {
    const NamedHost *host = policy_host (policy, selector->name);
    where = "hosts";
    if (host) {
      selector->prefix = host->prefix;
      return true;
    }
    /* A lone word could have been meant as anything. */
    if (strcspn (selector->name, ".-") == strlen (selector->name) && policy->n_hosts == 0) {
      parser_error (
          p, at,
          "\"%s\" is neither an address, user, group:, tag:, autogroup: nor a name from \"hosts\"",
          selector->text);
      return false;
    }
  }
  if (!where)
    return true;
  parser_error (p, at, "%s is used here but not defined under \"%s\"", selector->text, where);
  return false;
}

static const char *const type_names[] = {
    [SELECT_ANY] = "*",
    [SELECT_PREFIX] = "addresses",
    [SELECT_HOST] = "hosts",
    [SELECT_USER] = "users",
    [SELECT_USER_DOMAIN] = "user:*@domain",
    [SELECT_GROUP] = "groups",
    [SELECT_TAG] = "tags",
    [SELECT_IPSET] = "ipsets",
    [SELECT_MEMBER] = "autogroup:member",
    [SELECT_TAGGED] = "autogroup:tagged",
    [SELECT_ROLE] = "role autogroups",
    [SELECT_SELF] = "autogroup:self",
    [SELECT_INTERNET] = "autogroup:internet",
    [SELECT_DANGER_ALL] = "autogroup:danger-all",
    [SELECT_SHARED] = "autogroup:shared",
};

static void
misplaced (PolicyParser *p, size_t at, const Selector *selector, unsigned allowed,
           const char *place)
{
  char list[512] = "";

  if (selector->type == SELECT_INTERNET && strcmp (place, "source") == 0) {
    parser_error (p, at, "%s can only be a destination", selector->text);
    return;
  }
  if (selector->type == SELECT_DANGER_ALL && strcmp (place, "destination") == 0) {
    parser_error (p, at, "%s can only be a source", selector->text);
    return;
  }
  for (unsigned type = 0; type < sizeof type_names / sizeof type_names[0]; type++) {
    size_t used = strlen (list);
    if (allowed & SELECT_BIT (type))
      snprintf (list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", type_names[type]);
  }
  parser_error (p, at, "%s cannot be used as %s (allowed: %s)", selector->text, place, list);
}

bool
parser_selector (PolicyParser *p, const char *text, size_t at, unsigned allowed, const char *place,
                 Selector *out)
{
  *out = (Selector){.at = at, .path = arena_strdup (p->arena, p->path)};
  if (!classify (p, text, at, out))
    return false;
  if (!(allowed & SELECT_BIT (out->type))) {
    misplaced (p, at, out, allowed, place);
    return false;
  }
  return check_defined (p, at, out);
}

typedef struct
{
  SelectorList list;
  unsigned allowed;
  const char *place;
} SelectorsDraft;

static void
read_one_selector (PolicyParser *p, const char *text, size_t at, void *target)
{
  SelectorsDraft *draft = target;
  Selector selector;

  if (parser_selector (p, text, at, draft->allowed, draft->place, &selector))
    arena_append (p->arena, draft->list.items, draft->list.n, selector);
}

SelectorList
parser_selectors (PolicyParser *p, unsigned allowed, const char *place)
{
  SelectorsDraft draft = {.allowed = allowed, .place = place};

  parser_each_string (p, read_one_selector, &draft);
  return draft.list;
}
