/* Policies as people write them, and what they mean for a small network: read, compiled and tested.
 * A policy that is refused says why; one that is accepted gives every node rules that can be
 * written, and the same visibility pair by pair as all at once. */
#include "coordinator/hujson.h"
#include "coordinator/policy-view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NODES 5

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static IpPrefix
prefix (const char *text)
{
  IpPrefix out = {0};

  assert (ip_prefix_parse (text, strlen (text), &out));
  return out;
}

static void
ask (PolicyView *view)
{
  static const uint32_t numbers[NODES] = {0, 1, 2, 3, 4};
  uint64_t rows[64 * 1 + 1] = {0};
  size_t n;

  policy_view_reach (view, numbers, 1, rows);
  for (size_t a = 0; a < NODES; a++) {
    JsonWriter w;
    PolicyRules rules = policy_view_filter (view, a);
    json_writer_init (&w);
    json_writer_begin_array (&w);
    policy_rules_write (&rules, &w);
    policy_view_write_ssh (view, a, &w);
    policy_view_write_cap_map (view, a, &w);
    json_writer_end_array (&w);
    json_writer_clear (&w);
    for (size_t b = 0; b < NODES; b++) {
      bool peers = policy_view_are_peers (view, a, b);
      assert (peers == policy_view_are_peers (view, b, a));
      if (a != b)
        assert (peers == (rows[a] >> b & 1));
      if (peers)
        policy_view_allowed_ips (view, a, b, &n);
    }
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const PolicyUser users[]
      = {{1, "ada@example.com", ROLE_OWNER}, {2, "bob@example.com", ROLE_MEMBER}};
  static const char *const tags[] = {"tag:web", "tag:router"};
  IpPrefix routes[] = {prefix ("192.168.7.0/24"), prefix ("0.0.0.0/0"), prefix ("::/0")};
  PolicyNode nodes[NODES] = {
      {.name = "a", .user = &users[0], .os = "linux", .version = "1.60"},
      {.name = "b", .user = &users[0]},
      {.name = "c", .user = &users[1], .os = "windows", .version = "1.9"},
      {.name = "d", .tags = tags, .n_tags = 1},
      {.name = "e", .tags = tags + 1, .n_tags = 1, .announced = routes, .n_announced = 3},
  };
  PolicyTailnet tailnet = {.users = users, .n_users = 2, .nodes = nodes, .n_nodes = NODES};
  PolicyIssues issues;

  for (size_t i = 0; i < NODES; i++) {
    nodes[i].id = (int64_t)i + 1;
    nodes[i].online = true;
    nodes[i].approved = routes;
    nodes[i].n_approved = 3;
    nodes[i].addresses[0] = ip_from_v4 (0x64400001u + (uint32_t)i);
    nodes[i].addresses[1] = prefix ("fd7a:115c:a1e0::").addr;
    nodes[i].addresses[1].bytes[15] = (uint8_t)(i + 1);
  }
  policy_issues_init (&issues);
  Policy *policy = policy_parse ((const char *)data, size, &issues);
  assert ((policy != NULL) == (issues.n_errors == 0));
  unsigned last_line, last_column;
  text_position ((const char *)data, size, &last_line, &last_column);
  for (size_t i = 0; i < issues.n; i++) {
    assert (issues.list[i].line > 0 && issues.list[i].line <= last_line);
    assert (issues.list[i].column > 0 && issues.list[i].text[0]);
  }
  if (policy) {
    PolicyView *view = policy_view_new (policy, &tailnet);
    ask (view);
    policy_view_run_tests (view, &issues);
    policy_may_assign_tag (policy, &users[1], "tag:web");
    policy_view_free (view);
  }
  policy_free (policy);
  policy_issues_clear (&issues);
  return 0;
}
