/* What a policy means for the nodes there are: rules, peers, routes, SSH, attributes, tests
 * (spec/netmap-and-policy.md D.2-D.10).
 *
 * A PolicyView joins one policy with one set of nodes and answers questions about it. Pure: nothing
 * is looked up elsewhere. Any thread; one owner. */
#pragma once

#include "coordinator/ip-set.h"
#include "coordinator/policy.h"
#include "wire/json-writer.h"

typedef struct
{
  int64_t id; /* > 0 */
  const char *login;
  PolicyRole role;
} PolicyUser;

typedef struct
{
  int64_t id; /* > 0 */
  const char *name;
  const PolicyUser *user; /* NULL: tagged */
  const char *const *tags;
  size_t n_tags;
  IpAddr addresses[2]; /* IPv4, IPv6; family 0: none */
  const IpPrefix *announced;
  size_t n_announced;
  const IpPrefix *approved;
  size_t n_approved;
  const char *os;      /* "" unknown */
  const char *version; /* of the client, "" unknown */
  bool online;
} PolicyNode;

/* The router that everybody used for a route until now. */
typedef struct
{
  IpPrefix route;
  int64_t node;
} PolicyHolder;

/* Borrowed by the view for its life. Nodes in order of id. */
typedef struct
{
  const PolicyUser *users;
  size_t n_users;
  const PolicyNode *nodes;
  size_t n_nodes;
  const PolicyHolder *holders;
  size_t n_holders;
} PolicyTailnet;

typedef struct
{
  IpRange range; /* of both families when any */
  bool any;      /* "*" */
  bool as_range; /* written first-last even where a prefix would do */
  PortRange ports;
} PolicyDst;

/* One CapGrant. */
typedef struct
{
  IpPrefix *dsts;
  size_t n_dsts;
  const NodeCap *caps;
  size_t n_caps;
} PolicyCapGrant;

typedef struct
{
  const char **src; /* texts for the wire */
  size_t n_src;
  const char *src_key; /* all of them joined: equal keys, equal sources */
  IpSet sources;
  PolicyDst *dsts;
  size_t n_dsts;
  IpSet destinations; /* of dsts or of the grants */
  bool any_destination;
  uint8_t protocol; /* 0: no IPProto */
  PolicyCapGrant *grants;
  size_t n_grants;
  unsigned line; /* of the rule in the file that it came from first */
} PolicyRule;

typedef struct
{
  PolicyRule *rules;
  size_t n;
} PolicyRules;

typedef struct PolicyView PolicyView;

PolicyView *policy_view_new (const Policy *policy, const PolicyTailnet *tailnet);
void policy_view_free (PolicyView *view);
/* Bytes that the view holds; answers stay in it until it is freed. */
size_t policy_view_size (const PolicyView *view);

/* Rules of the node at INDEX: all that may concern it (D.4 up to step 7), and reduced to it. */
const PolicyRules *policy_view_rules (PolicyView *view, size_t index);
PolicyRules policy_view_filter (PolicyView *view, size_t index);
void policy_rules_write (const PolicyRules *rules, JsonWriter *w);

/* True when the two nodes see each other (D.7). */
bool policy_view_are_peers (PolicyView *view, size_t a, size_t b);

/* True when every node that has an address sees every other one. */
bool policy_view_is_open (PolicyView *view);

/* The same for all pairs at once. Node I has the number NUMBERS[I]; row NUMBERS[I] of ROWS, WORDS
 * words each and zero before, gets the bits of those it sees. */
void policy_view_reach (PolicyView *view, const uint32_t *numbers, size_t words, uint64_t *rows);

/* AllowedIPs that VIEWER gets on PEER, sorted (D.8); those that are subnet routes are its primary
 * routes for the viewer. */
IpPrefix *policy_view_allowed_ips (PolicyView *view, size_t viewer, size_t peer, size_t *n);

/* True when peers may get other AllowedIPs on the node at INDEX than its addresses. */
bool policy_view_is_special (const PolicyView *view, size_t index);
/* True when the node at INDEX goes without IPv4, its own and that of its peers. */
bool policy_view_lacks_v4 (const PolicyView *view, size_t index);

/* The routes of a node that are announced and approved, by hand or by the policy. */
const IpPrefix *policy_view_routes (PolicyView *view, size_t index, size_t *n);

/* The index of the router that serves ROUTE for everybody: who served it until now, or else the one
 * with the lowest id of those that are online; the number of nodes when there is none. */
size_t policy_view_primary (const PolicyView *view, const IpPrefix *route);

/* Writes the node's SSHPolicy object; false (nothing written) when the policy has no ssh section.
 */
bool policy_view_write_ssh (PolicyView *view, size_t index, JsonWriter *w);

/* The node attributes that the policy gives the node, sorted by name; and as a JSON object. */
const NodeCap *policy_view_caps (PolicyView *view, size_t index, size_t *n);
void policy_view_write_cap_map (PolicyView *view, size_t index, JsonWriter *w);

/* Runs the tests in the policy; failures go to ISSUES. True when all passed. */
bool policy_view_run_tests (PolicyView *view, PolicyIssues *issues);

/* True when the owners of TAG (with its prefix) include USER. */
bool policy_may_assign_tag (const Policy *policy, const PolicyUser *user, const char *tag);
