/* Inside of policy views. */
#pragma once

#include "coordinator/policy-view.h"

/* A route in use. */
typedef struct
{
  IpPrefix *subnets; /* announced and approved, without exit routes */
  size_t n_subnets;
  IpSet subnet_set;
  IpSet addresses; /* own */
  bool exit;       /* a default route is announced and approved */
  bool no_v4;      /* has the attribute disable-ipv4 */
  IpPrefix *all;
  size_t n_all;
} NodeRoutes;

/* A grant's sources, resolved once for all nodes. */
typedef struct
{
  IpSet set;
  IpSet named; /* SET without the subnet routes that "*" brings along */
  const char **texts;
  size_t n_texts;
  const char *key;
} GrantSources;

/* What a set of the policy holds. */
typedef struct
{
  IpSet set;
  bool known; /* it was looked up */
} ResolvedSet;

/* Rules as merged for some nodes. */
typedef struct
{
  PolicyRules rules;
} RuleSet;

struct PolicyView
{
  Arena *arena;
  const Policy *policy;
  const PolicyTailnet *tailnet;
  NodeRoutes *routes; /* by node */
  IpSet tailnet_set;  /* what "*" means as an address range */
  IpSet internet;
  IpSet everything;          /* 0.0.0.0/0 and ::/0 */
  const char **subnet_texts; /* every subnet route in use, each once */
  size_t n_subnet_texts;
  ResolvedSet *ipsets;   /* by ipset of the policy */
  GrantSources *sources; /* by grant */
  PolicyRules *common;   /* by grant: rules that are the same for every node */
  RuleSet *plain;        /* of nodes without rules of their own */
  RuleSet **by_user;     /* of a user's untagged nodes, by place in tailnet->users; or NULL */
  RuleSet **rules;       /* by node, NULL until asked for; many share one */
  size_t *routers;       /* indices of the nodes with routes */
  size_t n_routers;
};

bool view_node_has_tag (const PolicyNode *node, const char *tag);

/* True when the node is picked by an identity selector (user, group, tag, autogroup). */
bool view_node_matches (const PolicyView *view, const Selector *selector, const PolicyNode *node);

/* Adds what SELECTOR means as source or destination of packets. */
void view_add_selector (PolicyView *view, const Selector *selector, IpSetBuilder *out);

/* The nodes' addresses among those that satisfy the grant's postures; everything without postures.
 */
bool view_node_satisfies (const PolicyView *view, const char *const *postures, size_t n,
                          const PolicyNode *node);

/* True when an approver list names the node. */
bool view_approves (const PolicyView *view, const SelectorList *approvers, const PolicyNode *node);

/* SSH (policy-ssh.c): whether SRC comes in at DST by RULE, as a login name of the rule's; USER may
 * be any name. */
bool view_ssh_admits (PolicyView *view, const SshRule *rule, const PolicyNode *src,
                      const PolicyNode *dst, const char *user);

/* Notes which nodes go without IPv4. */
void view_note_families (PolicyView *view);

/* The rules of the node at INDEX; equal pointers, equal rules. */
const RuleSet *view_rule_set (PolicyView *view, size_t index);
/* The rules that all nodes have. */
const RuleSet *view_plain_rules (PolicyView *view);

/* The node with ROUTES is a source or destination of RULE, itself or by its subnets. */
bool view_is_source (const NodeRoutes *routes, const PolicyRule *rule);
bool view_is_destination (const PolicyView *view, const NodeRoutes *routes, const PolicyRule *rule);

/* A via grant of capabilities alone makes no rule, but its two sides know each other (D.6): true
 * when GRANT is such and ROUTER is one of its routers. */
bool view_is_known_router (PolicyView *view, const Grant *grant, size_t router);

void view_resolve_routes (PolicyView *view);
void view_resolve_sources (PolicyView *view);

/* Source texts of SET for the wire (D.4 step 3). */
GrantSources view_sources_of (PolicyView *view, const IpSet *set, bool any, bool danger);
