/* The tests inside a policy: what must and must not be reachable (spec/netmap-and-policy.md D.10).
 */

#include "coordinator/policy-parser.h"

#include <string.h>

#define TEST_SOURCES                                                                               \
  (SELECT_BIT (SELECT_USER) | SELECT_BIT (SELECT_GROUP) | SELECT_BIT (SELECT_TAG)                  \
   | SELECT_BIT (SELECT_PREFIX) | SELECT_BIT (SELECT_HOST) | SELECT_BIT (SELECT_MEMBER)            \
   | SELECT_BIT (SELECT_TAGGED) | SELECT_BIT (SELECT_ROLE) | SELECT_BIT (SELECT_USER_DOMAIN))
#define TEST_HOSTS                                                                                 \
  (SELECT_BIT (SELECT_USER) | SELECT_BIT (SELECT_GROUP) | SELECT_BIT (SELECT_TAG)                  \
   | SELECT_BIT (SELECT_PREFIX) | SELECT_BIT (SELECT_HOST))

#define SSH_TEST_TARGETS (TEST_HOSTS | SELECT_BIT (SELECT_MEMBER) | SELECT_BIT (SELECT_TAGGED))

static bool
read_selector (PolicyParser *p, unsigned allowed, const char *place, Selector *out)
{
  size_t at;
  const char *text = parser_string (p, &at);

  return text && parser_selector (p, text, at, allowed, place, out);
}

static void
read_src (PolicyParser *p, void *target)
{
  read_selector (p, TEST_SOURCES, "source of a test", &((PolicyTest *)target)->src);
}

static void
read_proto (PolicyParser *p, void *target)
{
  size_t at;
  const char *text = parser_string (p, &at);

  if (text)
    parser_protocol (p, text, at, &((PolicyTest *)target)->protocol);
}

static bool
parse_target (PolicyParser *p, const char *text, size_t at, TestTarget *out)
{
  char *host, *ports;
  IpItem item = {0};

  *out = (TestTarget){.written = parser_text (p, text, at)};
  if (!parser_split_target (p, text, &host, &ports)) {
    parser_error (p, at, "add a port to \"%s\", for example \"%s:443\"", text, text);
    return false;
  }
  if (!parser_selector (p, host, at, TEST_HOSTS, "target of a test", &out->host)
      || !parser_ports (p, ports, at, &item))
    return false;
  if (item.n_ports != 1 || item.ports[0].first != item.ports[0].last) {
    parser_error (p, at, "a test names one port, not \"%s\"", ports);
    return false;
  }
  bool is_host = out->host.type == SELECT_PREFIX || out->host.type == SELECT_HOST;
  if (is_host && (strchr (host, '/') || !ip_prefix_is_single (&out->host.prefix))) {
    parser_error (p, at, "a test names one host, not \"%s\"", host);
    return false;
  }
  out->port = item.ports[0].first;
  return true;
}

typedef struct
{
  TestTarget *list;
  size_t n;
} TargetList;

static void
read_target (PolicyParser *p, const char *text, size_t at, void *context)
{
  TargetList *targets = context;
  TestTarget target;

  if (parse_target (p, text, at, &target))
    arena_append (p->arena, targets->list, targets->n, target);
}

static void
read_accept (PolicyParser *p, void *target)
{
  PolicyTest *test = target;
  TargetList targets = {0};

  parser_each_string (p, read_target, &targets);
  test->accept = targets.list;
  test->n_accept = targets.n;
}

static void
read_deny (PolicyParser *p, void *target)
{
  PolicyTest *test = target;
  TargetList targets = {0};

  parser_each_string (p, read_target, &targets);
  test->deny = targets.list;
  test->n_deny = targets.n;
}

void
policy_read_tests (PolicyParser *p, void *unused)
{
  static const PolicyMember members[] = {
      {"src", read_src},       {"user", read_src},     {"proto", read_proto},
      {"accept", read_accept}, {"allow", read_accept}, {"deny", read_deny},
  };

  if (!parser_want (p, JSON_ARRAY, "a list"))
    return;
  json_reader_enter_array (&p->reader);
  for (size_t i = 0; json_reader_next_element (&p->reader); i++) {
    size_t mark = parser_push_index (p, i), at = parser_here (p), errors = p->issues->n_errors;
    PolicyTest test = {0};
    parser_object (p, members, sizeof members / sizeof members[0], &test);
    if (p->issues->n_errors == errors && test.n_accept + test.n_deny == 0)
      parser_error (p, at, "a test needs \"accept\" or \"deny\"");
    if (p->issues->n_errors == errors && !test.src.text)
      parser_error (p, at, "a test needs \"src\"");
    arena_append (p->arena, p->policy->tests, p->policy->n_tests, test);
    parser_pop (p, mark);
  }
}

static void
read_ssh_src (PolicyParser *p, void *target)
{
  read_selector (p, TEST_SOURCES, "source of a test", &((SshTest *)target)->src);
}

static void
read_ssh_target (PolicyParser *p, const char *text, size_t at, void *context)
{
  SshTest *test = context;
  Selector target;

  if (!parser_selector (p, text, at, SSH_TEST_TARGETS, "target of a test", &target))
    return;
  bool is_host = target.type == SELECT_PREFIX || target.type == SELECT_HOST;
  if (is_host && (strchr (text, '/') || !ip_prefix_is_single (&target.prefix)))
    parser_error (p, at, "a test names one host, not \"%s\"", text);
  else
    arena_append (p->arena, test->dst.items, test->dst.n, target);
}

static void
read_ssh_dst (PolicyParser *p, void *target)
{
  parser_each_string (p, read_ssh_target, target);
}

typedef struct
{
  PolicyText *list;
  size_t n;
} LoginList;

static void
read_login (PolicyParser *p, const char *text, size_t at, void *context)
{
  LoginList *logins = context;

  if (text[0] == '\0')
    parser_error (p, at, "name the login users");
  else
    arena_append (p->arena, logins->list, logins->n, parser_text (p, text, at));
}

static void
read_logins (PolicyParser *p, PolicyText **list, size_t *n)
{
  LoginList logins = {0};

  parser_each_string (p, read_login, &logins);
  *list = logins.list;
  *n = logins.n;
}

static void
read_ssh_accept (PolicyParser *p, void *target)
{
  SshTest *test = target;

  read_logins (p, &test->accept, &test->n_accept);
}

static void
read_ssh_check (PolicyParser *p, void *target)
{
  SshTest *test = target;

  read_logins (p, &test->check, &test->n_check);
}

static void
read_ssh_deny (PolicyParser *p, void *target)
{
  SshTest *test = target;

  read_logins (p, &test->deny, &test->n_deny);
}

void
policy_read_ssh_tests (PolicyParser *p, void *unused)
{
  static const PolicyMember members[] = {
      {"src", read_ssh_src},     {"dst", read_ssh_dst},   {"accept", read_ssh_accept},
      {"check", read_ssh_check}, {"deny", read_ssh_deny},
  };

  if (!parser_want (p, JSON_ARRAY, "a list"))
    return;
  json_reader_enter_array (&p->reader);
  for (size_t i = 0; json_reader_next_element (&p->reader); i++) {
    size_t mark = parser_push_index (p, i), at = parser_here (p), errors = p->issues->n_errors;
    SshTest test = {0};
    parser_object (p, members, sizeof members / sizeof members[0], &test);
    if (p->issues->n_errors == errors && test.n_accept + test.n_check + test.n_deny == 0)
      parser_error (p, at, "a test needs \"accept\", \"check\" or \"deny\"");
    if (p->issues->n_errors == errors && !test.src.text)
      parser_error (p, at, "a test needs \"src\"");
    arena_append (p->arena, p->policy->ssh_tests, p->policy->n_ssh_tests, test);
    parser_pop (p, mark);
  }
}
