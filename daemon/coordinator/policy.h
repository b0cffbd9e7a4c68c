/* The policy file: who may reach what (spec/netmap-and-policy.md part D).
 *
 * policy_parse turns text into a Policy, with every error at once and where it is. What a policy
 * means for a set of nodes is policy-compile's. A Policy is immutable; any thread may read it. */
#pragma once

#include "base/ip.h"
#include "base/arena.h"
#include "netmap/filter-rule.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_TEXT_MAX   (4 * 1024 * 1024) /* bytes of a policy file */
#define POLICY_ISSUES_MAX 200               /* errors that are told at once */

/* Something wrong with the text, or worth a warning. */
typedef struct
{
  unsigned line, column; /* from 1 */
  const char *path;      /* "acls[0].dst[1]" */
  const char *text;
  bool warning;
} PolicyIssue;

typedef struct
{
  Arena *arena; /* owns the texts; freed by policy_issues_clear */
  PolicyIssue *list;
  size_t n;
  size_t n_errors;
} PolicyIssues;

void policy_issues_init (PolicyIssues *issues);
void policy_issues_clear (PolicyIssues *issues);

typedef enum
{
  ROLE_MEMBER,
  ROLE_OWNER,
  ROLE_ADMIN,
  ROLE_IT_ADMIN,
  ROLE_NETWORK_ADMIN,
  ROLE_BILLING_ADMIN,
  ROLE_AUDITOR,
} PolicyRole;

/* The role's name as in "autogroup:NAME"; "member" for ROLE_MEMBER. False for other names. */
bool policy_role_parse (const char *name, PolicyRole *out);

typedef enum
{
  SELECT_ANY,         /* * */
  SELECT_PREFIX,      /* address or CIDR, host bits cleared */
  SELECT_HOST,        /* a name of "hosts"; prefix is filled in */
  SELECT_USER,        /* name: login */
  SELECT_USER_DOMAIN, /* user:*@domain; name: domain */
  SELECT_GROUP,       /* name with its prefix */
  SELECT_TAG,
  SELECT_IPSET,
  SELECT_MEMBER,
  SELECT_TAGGED,
  SELECT_ROLE,
  SELECT_SELF,
  SELECT_INTERNET,
  SELECT_DANGER_ALL,
  SELECT_SHARED,
} SelectorType;

#define SELECT_BIT(type) (1u << (type))

typedef struct
{
  SelectorType type;
  PolicyRole role;  /* SELECT_ROLE */
  const char *text; /* as written, trimmed */
  const char *name;
  const char *path; /* where it stands, for errors that show later */
  size_t at;
  IpPrefix prefix; /* SELECT_PREFIX, SELECT_HOST */
} Selector;

typedef struct
{
  Selector *items;
  size_t n;
} SelectorList;

typedef struct
{
  uint16_t first, last;
} PortRange;

/* What a grant lets through at the network level. */
typedef struct
{
  uint8_t protocol; /* 0: the default set TCP, UDP, ICMP */
  PortRange *ports;
  size_t n_ports;
} IpItem;

/* One rule: a grant as written, or an ACL's part for one destination. */
typedef struct
{
  SelectorList src;
  SelectorList dst;
  IpItem *ip;
  size_t n_ip;
  NodeCap *app; /* values: raw JSON array */
  size_t n_app;
  const char **via; /* tags */
  size_t n_via;
  const char **postures; /* any of them must hold; n_postures 0: none asked */
  size_t n_postures;
  unsigned line; /* where it stands */
} Grant;

typedef struct
{
  const char *name; /* "group:x", "tag:x", "posture:x" */
  size_t at;        /* where the name stands */
  SelectorList members;
} NamedSelectors;

typedef struct
{
  const char *name;
  size_t at;
  IpPrefix prefix;
} NamedHost;

typedef struct
{
  bool remove;
  Selector target; /* SELECT_PREFIX, SELECT_HOST, SELECT_IPSET, SELECT_INTERNET */
  bool is_range;
  IpRange range;
} IpSetOperation;

typedef struct
{
  const char *name; /* "ipset:x" */
  size_t at;
  IpSetOperation *operations;
  size_t n;
} NamedIpSet;

typedef enum
{
  COMPARE_EQUAL,
  COMPARE_NOT_EQUAL,
  COMPARE_LESS,
  COMPARE_LESS_EQUAL,
  COMPARE_GREATER,
  COMPARE_GREATER_EQUAL,
  COMPARE_IN,
  COMPARE_NOT_IN,
} Comparison;

typedef struct
{
  const char *attribute; /* "node:os" */
  Comparison comparison;
  const char **values;
  size_t n_values;
} Assertion;

typedef struct
{
  const char *name; /* "posture:x" */
  size_t at;
  Assertion *assertions;
  size_t n;
} Posture;

typedef struct
{
  IpPrefix prefix;
  SelectorList approvers;
} RouteApprovers;

typedef struct
{
  SelectorList target;
  NodeCap *caps; /* values NULL, or a raw JSON array for "app" */
  size_t n_caps;
  IpPrefix *pool;
  size_t n_pool;
} NodeAttributes;

typedef struct
{
  bool check; /* else accept */
  SelectorList src;
  SelectorList dst;
  const char **users; /* literal names, "autogroup:nonroot", "localpart:*@domain" */
  size_t n_users;
  const char **accept_env;
  size_t n_accept_env;
  int64_t check_period_s; /* 0: always */
} SshRule;

/* A text of the file and where it stands. */
typedef struct
{
  const char *text;
  const char *path; /* "tests[0].accept[1]" */
  unsigned line, column;
} PolicyText;

typedef struct
{
  PolicyText written;
  Selector host;
  uint16_t port;
} TestTarget;

typedef struct
{
  Selector src;
  uint8_t protocol; /* 0: any of the default set */
  TestTarget *accept, *deny;
  size_t n_accept, n_deny;
} PolicyTest;

typedef struct
{
  Selector src;
  SelectorList dst;
  PolicyText *accept, *check, *deny; /* login names */
  size_t n_accept, n_check, n_deny;
} SshTest;

typedef struct Policy Policy;
struct Policy
{
  Arena *arena;
  bool allow_all; /* neither "acls" nor "grants" is there */
  bool has_ssh;
  bool randomize_client_port;
  bool disable_ipv4;
  Grant *grants; /* grants in file order, then the ACLs taken apart */
  size_t n_grants;
  Grant *acls; /* while parsing: what goes behind the grants */
  size_t n_acls;
  NamedSelectors *groups; /* what has names is sorted by them */
  size_t n_groups;
  NamedSelectors *tag_owners;
  size_t n_tag_owners;
  NamedHost *hosts;
  size_t n_hosts;
  NamedIpSet *ipsets;
  size_t n_ipsets;
  Posture *postures;
  size_t n_postures;
  RouteApprovers *route_approvers;
  size_t n_route_approvers;
  SelectorList exit_approvers;
  NodeAttributes *attributes;
  size_t n_attributes;
  SshRule *ssh;
  size_t n_ssh;
  PolicyTest *tests;
  size_t n_tests;
  SshTest *ssh_tests;
  size_t n_ssh_tests;
};

/* The policy in SIZE bytes at TEXT, or NULL with at least one error in ISSUES (initialised by the
 * caller), which gets warnings in any case. */
Policy *policy_parse (const char *text, size_t size, PolicyIssues *issues);
void policy_free (Policy *policy);

/* Definitions by full name; NULL when there is none. */
const NamedSelectors *policy_group (const Policy *policy, const char *name);
const NamedSelectors *policy_tag (const Policy *policy, const char *name);
NamedHost *policy_host (const Policy *policy, const char *name);
NamedIpSet *policy_ipset (const Policy *policy, const char *name);
const Posture *policy_posture (const Policy *policy, const char *name);
