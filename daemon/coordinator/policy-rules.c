/* ACLs, grants and SSH rules of a policy (spec/netmap-and-policy.md D.3, D.9). */

#include "coordinator/policy-parser.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PEOPLE                                                                                     \
  (SELECT_BIT (SELECT_USER) | SELECT_BIT (SELECT_USER_DOMAIN) | SELECT_BIT (SELECT_GROUP)          \
   | SELECT_BIT (SELECT_MEMBER) | SELECT_BIT (SELECT_ROLE))
#define SOURCES                                                                                    \
  (PEOPLE | SELECT_BIT (SELECT_ANY) | SELECT_BIT (SELECT_PREFIX) | SELECT_BIT (SELECT_HOST)        \
   | SELECT_BIT (SELECT_TAG) | SELECT_BIT (SELECT_IPSET) | SELECT_BIT (SELECT_TAGGED)              \
   | SELECT_BIT (SELECT_DANGER_ALL) | SELECT_BIT (SELECT_SHARED))
#define DESTINATIONS                                                                               \
  ((SOURCES & ~(SELECT_BIT (SELECT_DANGER_ALL) | SELECT_BIT (SELECT_SHARED)))                      \
   | SELECT_BIT (SELECT_SELF) | SELECT_BIT (SELECT_INTERNET))
#define SSH_SOURCES (PEOPLE | SELECT_BIT (SELECT_TAG) | SELECT_BIT (SELECT_TAGGED))
#define SSH_DESTINATIONS                                                                           \
  (SELECT_BIT (SELECT_TAG) | SELECT_BIT (SELECT_SELF) | SELECT_BIT (SELECT_MEMBER)                 \
   | SELECT_BIT (SELECT_TAGGED) | SELECT_BIT (SELECT_USER))

#define CHECK_PERIOD_DEFAULT_S (12 * 3600)
#define CHECK_PERIOD_MAX_S     (168 * 3600)

/* What all rules may ask of their sources' devices. */
typedef struct
{
  PostureNames names;
  bool given;
} SourcePosture;

static void
read_source_posture (PolicyParser *p, SourcePosture *posture)
{
  posture->given = true;
  posture->names = parser_posture_names (p);
}

static void
set_posture (PolicyParser *p, Grant *grant, const SourcePosture *posture)
{
  const PostureNames *names = posture->given ? &posture->names : &p->default_postures;

  grant->postures = names->list;
  grant->n_postures = names->n;
}

static bool
has_type (const SelectorList *list, SelectorType type)
{
  for (size_t i = 0; i < list->n; i++)
    if (list->items[i].type == type)
      return true;
  return false;
}

/* autogroup:self stands for "my own devices", so only people can be its source. */
static void
check_self (PolicyParser *p, const SelectorList *src, const SelectorList *dst, unsigned allowed)
{
  if (!has_type (dst, SELECT_SELF))
    return;
  for (size_t i = 0; i < src->n; i++)
    if (!(allowed & SELECT_BIT (src->items[i].type)))
      parser_selector_error (p, &src->items[i],
                             "autogroup:self only works with people as source, not %s",
                             src->items[i].text);
}

/* ---- ACLs ---- */

typedef struct
{
  SelectorList src;
  Selector *dst;
  IpItem *ports; /* parallel to dst */
  size_t n_dst;
  uint8_t protocol;
  bool has_action;
  SourcePosture posture;
} Acl;

static void
read_acl_action (PolicyParser *p, void *target)
{
  size_t at;
  const char *action = parser_string (p, &at);

  ((Acl *)target)->has_action = true;
  if (action && strcmp (action, "accept") != 0)
    parser_error (p, at, "only \"accept\" rules exist; delete the rule to deny");
}

static void
read_acl_src (PolicyParser *p, void *target)
{
  ((Acl *)target)->src = parser_selectors (p, SOURCES, "source");
}

static void
read_acl_proto (PolicyParser *p, void *target)
{
  size_t at;
  const char *text = parser_string (p, &at);

  if (text)
    parser_protocol (p, text, at, &((Acl *)target)->protocol);
}

static void
read_acl_target (PolicyParser *p, const char *text, size_t at, void *context)
{
  Acl *acl = context;
  size_t n = acl->n_dst;
  char *target, *ports;
  Selector selector;
  IpItem item = {0};

  if (!parser_split_target (p, text, &target, &ports)) {
    IpPrefix prefix;
    bool six = ip_prefix_parse (text, strlen (text), &prefix) && prefix.addr.family == 6;
    const char *open = six ? "[" : "", *close = six ? "]" : "";
    parser_error (p, at, "add ports to \"%s\", for example \"%s%s%s:443\" or \"%s%s%s:*\"", text,
                  open, text, close, open, text, close);
    return;
  }
  if (!parser_selector (p, target, at, DESTINATIONS, "destination", &selector)
      || !parser_ports (p, ports, at, &item))
    return;
  arena_append (p->arena, acl->ports, n, item);
  arena_append (p->arena, acl->dst, acl->n_dst, selector);
}

static void
read_acl_dst (PolicyParser *p, void *target)
{
  parser_each_string (p, read_acl_target, target);
}

static void
read_acl_posture (PolicyParser *p, void *target)
{
  read_source_posture (p, &((Acl *)target)->posture);
}

static bool
all_ports (const IpItem *item)
{
  return item->n_ports == 1 && item->ports[0].first == 0 && item->ports[0].last == 65535;
}

static bool
is_autogroup (const Selector *selector)
{
  return strncmp (selector->text, "autogroup:", 10) == 0;
}

static void
add_acl_part (PolicyParser *p, const Acl *acl, size_t i, unsigned line)
{
  Grant grant = {.src = acl->src, .line = line};

  grant.ip = arena_array (p->arena, IpItem, 1);
  grant.ip[0] = acl->ports[i];
  grant.ip[0].protocol = acl->protocol;
  grant.n_ip = 1;
  grant.dst.items = &acl->dst[i];
  grant.dst.n = 1;
  set_posture (p, &grant, &acl->posture);
  arena_append (p->arena, p->policy->acls, p->policy->n_acls, grant);
}

/* One grant for each destination; if not all are autogroups, self comes last (D.4 no. 1). */
static void
add_acl (PolicyParser *p, const Acl *acl, size_t at)
{
  unsigned line = parser_line (p, at);
  bool only_autogroups = true;

  for (size_t i = 0; i < acl->n_dst; i++) {
    only_autogroups &= is_autogroup (&acl->dst[i]);
    if (!policy_protocol_has_ports (acl->protocol) && !all_ports (&acl->ports[i]))
      parser_selector_error (p, &acl->dst[i], "protocol %u has no ports; write \"*\"",
                             acl->protocol);
  }
  SelectorList dst = {acl->dst, acl->n_dst};
  check_self (p, &acl->src, &dst, PEOPLE | SELECT_BIT (SELECT_ANY));
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < acl->n_dst; i++)
      if ((!only_autogroups && acl->dst[i].type == SELECT_SELF) == (pass == 1))
        add_acl_part (p, acl, i, line);
}

/* Sections that are null count as absent. */
static bool
enter_rules (PolicyParser *p)
{
  if (json_reader_null (&p->reader) || !parser_want (p, JSON_ARRAY, "a list"))
    return false;
  p->policy->allow_all = false;
  json_reader_enter_array (&p->reader);
  return true;
}

void
policy_read_acls (PolicyParser *p, void *unused)
{
  static const PolicyMember members[] = {
      {"action", read_acl_action},      {"src", read_acl_src}, {"users", read_acl_src},
      {"proto", read_acl_proto},        {"dst", read_acl_dst}, {"ports", read_acl_dst},
      {"srcPosture", read_acl_posture},
  };

  if (!enter_rules (p))
    return;
  for (size_t i = 0; json_reader_next_element (&p->reader); i++) {
    size_t mark = parser_push_index (p, i), at = parser_here (p);
    Acl acl = {0};
    parser_object (p, members, sizeof members / sizeof members[0], &acl);
    if (!acl.has_action)
      parser_error (p, at, "an ACL needs \"action\": \"accept\"");
    add_acl (p, &acl, at);
    parser_pop (p, mark);
  }
}

/* ---- grants ---- */

typedef struct
{
  Grant grant;
  SourcePosture posture;
} GrantDraft;

static void
read_grant_src (PolicyParser *p, void *target)
{
  ((GrantDraft *)target)->grant.src = parser_selectors (p, SOURCES, "source");
}

static void
read_grant_dst (PolicyParser *p, void *target)
{
  GrantDraft *draft = target;

  draft->grant.dst = parser_selectors (p, DESTINATIONS, "destination");
  for (size_t i = 0; i < draft->grant.dst.n; i++) {
    const Selector *dst = &draft->grant.dst.items[i];
    if (dst->type == SELECT_PREFIX && ip_prefix_is_default (&dst->prefix))
      parser_selector_error (
          p, dst, "to allow everything use \"*\", for the internet \"autogroup:internet\"");
  }
}

static void
read_ip_item (PolicyParser *p, const char *text, size_t at, void *target)
{
  GrantDraft *draft = target;
  const char *colon = strchr (text, ':');
  IpItem item = {0};

  if (colon == text) {
    parser_error (p, at, "\"%s\" names no protocol in front of the colon", text);
    return;
  }
  if (colon
      && !parser_protocol (p, arena_strndup (p->arena, text, (size_t)(colon - text)), at,
                           &item.protocol))
    return;
  if (!parser_ports (p, colon ? colon + 1 : text, at, &item))
    return;
  if (!policy_protocol_has_ports (item.protocol) && !all_ports (&item)) {
    parser_error (p, at, "%s has no ports; write \"*\"", text);
    return;
  }
  arena_append (p->arena, draft->grant.ip, draft->grant.n_ip, item);
}

static void
read_grant_ip (PolicyParser *p, void *target)
{
  parser_each_string (p, read_ip_item, target);
}

static bool
is_capability_name (const char *name)
{
  const char *slash = strchr (name, '/');

  return slash && slash != name && slash[1] != '\0' && !strstr (name, "://");
}

static bool
is_reserved_capability (const char *name)
{
  static const char *const known[]
      = {"drive", "relay", "webui", "kubernetes", "tsidp", "secrets", "golink", "tailsql"};

  if (strncmp (name, "tailscale.com/", 14) != 0)
    return false;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strncmp (name, "tailscale.com/cap/", 18) == 0 && strcmp (name + 18, known[i]) == 0)
      return false;
  return true;
}

static void
read_grant_app (PolicyParser *p, void *target)
{
  GrantDraft *draft = target;
  JsonString name;

  if (!parser_want (p, JSON_OBJECT, "an object in { }"))
    return;
  json_reader_enter_object (&p->reader);
  for (;;) {
    size_t at = parser_name_here (p);
    if (!json_reader_next_member (&p->reader, &name))
      return;
    NodeCap cap = {.name = arena_strndup (p->arena, name.text, name.length)};
    size_t mark = parser_push_name (p, cap.name);
    if (!is_capability_name (cap.name))
      parser_error (p, at, "\"%s\" must look like example.com/name (no https://)", cap.name);
    else if (is_reserved_capability (cap.name))
      parser_error (p, at, "\"%s\" is reserved", cap.name);
    if (parser_want (p, JSON_ARRAY, "a list of values")) {
      cap.values = parser_raw (p);
      arena_append (p->arena, draft->grant.app, draft->grant.n_app, cap);
    }
    parser_pop (p, mark);
  }
}

static void
read_via_tag (PolicyParser *p, const char *text, size_t at, void *target)
{
  GrantDraft *draft = target;
  Selector selector;

  if (strncmp (text, "tag:", 4) != 0)
    parser_error (p, at, "\"via\" takes tags only");
  else if (parser_selector (p, text, at, SELECT_BIT (SELECT_TAG), "\"via\"", &selector))
    arena_append (p->arena, draft->grant.via, draft->grant.n_via, selector.name);
}

static void
read_grant_via (PolicyParser *p, void *target)
{
  parser_each_string (p, read_via_tag, target);
}

static void
read_grant_posture (PolicyParser *p, void *target)
{
  read_source_posture (p, &((GrantDraft *)target)->posture);
}

static void
check_grant (PolicyParser *p, const Grant *grant, size_t at)
{
  if (grant->n_ip == 0 && grant->n_app == 0)
    parser_error (p, at, "say what is granted: \"ip\" or \"app\"");
  for (size_t i = 0; grant->n_app > 0 && i < grant->dst.n; i++)
    if (grant->dst.items[i].type == SELECT_INTERNET)
      parser_selector_error (p, &grant->dst.items[i],
                             "\"app\" does not go with autogroup:internet");
  check_self (p, &grant->src, &grant->dst, PEOPLE);
}

void
policy_read_grants (PolicyParser *p, void *unused)
{
  static const PolicyMember members[] = {
      {"src", read_grant_src}, {"dst", read_grant_dst}, {"ip", read_grant_ip},
      {"app", read_grant_app}, {"via", read_grant_via}, {"srcPosture", read_grant_posture},
  };

  if (!enter_rules (p))
    return;
  for (size_t i = 0; json_reader_next_element (&p->reader); i++) {
    size_t mark = parser_push_index (p, i), at = parser_here (p), errors = p->issues->n_errors;
    GrantDraft draft = {0};
    parser_object (p, members, sizeof members / sizeof members[0], &draft);
    draft.grant.line = parser_line (p, at);
    set_posture (p, &draft.grant, &draft.posture);
    if (p->issues->n_errors == errors)
      check_grant (p, &draft.grant, at);
    arena_append (p->arena, p->policy->grants, p->policy->n_grants, draft.grant);
    parser_pop (p, mark);
  }
}

/* ---- SSH ---- */

typedef struct
{
  SshRule rule;
  bool has_action;
  bool has_period;
  size_t period_at;
} SshDraft;

static void
read_ssh_action (PolicyParser *p, void *target)
{
  SshDraft *draft = target;
  size_t at;
  const char *action = parser_string (p, &at);

  draft->has_action = true;
  if (!action)
    return;
  draft->rule.check = strcmp (action, "check") == 0;
  if (!draft->rule.check && strcmp (action, "accept") != 0)
    parser_error (p, at, "set \"accept\" or \"check\"");
}

static void
read_ssh_src (PolicyParser *p, void *target)
{
  ((SshDraft *)target)->rule.src = parser_selectors (p, SSH_SOURCES, "source");
}

static void
read_ssh_target (PolicyParser *p, const char *text, size_t at, void *target)
{
  SshDraft *draft = target;
  Selector selector;

  if (!parser_selector (p, text, at, DESTINATIONS, "destination", &selector))
    return;
  if (SSH_DESTINATIONS & SELECT_BIT (selector.type))
    arena_append (p->arena, draft->rule.dst.items, draft->rule.dst.n, selector);
  else
    parser_error (p, at,
                  "SSH rules can target tags, your own devices or one user's own devices, not %s",
                  text);
}

static void
read_ssh_dst (PolicyParser *p, void *target)
{
  parser_each_string (p, read_ssh_target, target);
}

static void
read_ssh_user (PolicyParser *p, const char *text, size_t at, void *target)
{
  SshDraft *draft = target;

  if (text[0] == '\0' || strcmp (text, "*") == 0)
    parser_error (p, at, "name the login users");
  else if (strncmp (text, "localpart:*@", 12) == 0 && strchr (text + 12, '*'))
    parser_error (p, at, "\"%s\" names no domain", text);
  arena_append (p->arena, draft->rule.users, draft->rule.n_users, text);
}

static void
read_ssh_users (PolicyParser *p, void *target)
{
  parser_each_string (p, read_ssh_user, target);
}

static void
read_ssh_variable (PolicyParser *p, const char *text, size_t at, void *target)
{
  SshDraft *draft = target;

  if (text[0] == '\0')
    parser_error (p, at, "name the variables that may be set");
  arena_append (p->arena, draft->rule.accept_env, draft->rule.n_accept_env, text);
}

static void
read_ssh_env (PolicyParser *p, void *target)
{
  parser_each_string (p, read_ssh_variable, target);
}

/* "12h", "90m", "1h30m", "always". */
static bool
parse_period (const char *text, int64_t *out)
{
  *out = 0;
  if (strcmp (text, "always") == 0)
    return true;
  while (*text) {
    char *end;
    long value = strtol (text, &end, 10);
    if (end == text || value < 0 || value > CHECK_PERIOD_MAX_S)
      return false;
    if (*end != 'h' && *end != 'm' && *end != 's')
      return false;
    *out += value * (*end == 'h' ? 3600 : *end == 'm' ? 60 : 1);
    text = end + 1;
  }
  return *out <= CHECK_PERIOD_MAX_S;
}

static void
read_ssh_period (PolicyParser *p, void *target)
{
  SshDraft *draft = target;
  size_t at;
  const char *text = parser_string (p, &at);

  draft->has_period = true;
  draft->period_at = at;
  if (text && !parse_period (text, &draft->rule.check_period_s))
    parser_error (p, at, "\"checkPeriod\" must be between 0 and 168h");
}

static void
check_ssh_target (PolicyParser *p, const SshRule *rule, const Selector *dst)
{
  bool from_tags = has_type (&rule->src, SELECT_TAG) || has_type (&rule->src, SELECT_TAGGED);

  if (dst->type == SELECT_USER
      && (rule->src.n != 1 || rule->src.items[0].type != SELECT_USER
          || strcmp (rule->src.items[0].name, dst->name) != 0))
    parser_selector_error (
        p, dst, "SSH rules can target tags, your own devices or one user's own devices, not %s",
        dst->text);
  else if (from_tags && (dst->type == SELECT_MEMBER || dst->type == SELECT_SELF))
    parser_selector_error (p, dst,
                           "tagged devices cannot be given access to people's devices by SSH");
}

static void
check_ssh (PolicyParser *p, const SshDraft *draft, size_t at)
{
  const SshRule *rule = &draft->rule;

  if (!draft->has_action)
    parser_error (p, at, "set \"accept\" or \"check\"");
  if (rule->n_users == 0)
    parser_error (p, at, "name the login users");
  if (draft->has_period && !rule->check) {
    size_t mark = parser_push_name (p, "checkPeriod");
    parser_error (p, draft->period_at, "\"checkPeriod\" goes only with \"check\"");
    parser_pop (p, mark);
  }
  for (size_t i = 0; i < rule->dst.n; i++)
    check_ssh_target (p, rule, &rule->dst.items[i]);
}

void
policy_read_ssh (PolicyParser *p, void *unused)
{
  static const PolicyMember members[] = {
      {"action", read_ssh_action}, {"src", read_ssh_src},       {"dst", read_ssh_dst},
      {"users", read_ssh_users},   {"acceptEnv", read_ssh_env}, {"checkPeriod", read_ssh_period},
  };

  if (json_reader_null (&p->reader) || !parser_want (p, JSON_ARRAY, "a list"))
    return;
  p->policy->has_ssh = true;
  json_reader_enter_array (&p->reader);
  for (size_t i = 0; json_reader_next_element (&p->reader); i++) {
    size_t mark = parser_push_index (p, i), at = parser_here (p), errors = p->issues->n_errors;
    SshDraft draft = {.rule.check_period_s = CHECK_PERIOD_DEFAULT_S};
    parser_object (p, members, sizeof members / sizeof members[0], &draft);
    if (p->issues->n_errors == errors)
      check_ssh (p, &draft, at);
    arena_append (p->arena, p->policy->ssh, p->policy->n_ssh, draft.rule);
    parser_pop (p, mark);
  }
}
