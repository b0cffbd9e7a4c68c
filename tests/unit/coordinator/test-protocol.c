/* What devices are told of each change, and what time does to them, on simulated time
 * (spec/control-protocol.md §17.7-§17.9, §19). */

#include "state-rig.h"

#include "coordinator/state-private.h"

#include <sodium.h>
#include <string.h>

typedef struct
{
  Rig rig;
  char *key;             /* reusable */
  uint64_t own, peer;    /* streams of the devices 1 and 2 */
  Polling first, second; /* as they last asked */
} Pair;

static uint64_t
set_policy (Rig *rig, const char *text)
{
  static const char *const words[] = {"policy", "set"};
  StateEvent event = {.type = STATE_EVENT_COMMAND};

  event.command.words = words;
  event.command.n_words = 2;
  event.command.input = text;
  uint64_t request = rig_input (rig, &event);
  g_assert_cmpint (rig_reply (rig, request)->reply.status, ==, 0);
  return request;
}

static void
join (Pair *pair, uint8_t device, const char *hostname)
{
  rig_assert_accepted (&pair->rig, rig_ask (&pair->rig, &(Asking){.machine = device,
                                                                  .key = device,
                                                                  .auth_key = pair->key,
                                                                  .hostname = hostname}));
}

static unsigned
hear (Pair *pair, uint64_t stream, const MapMessage **one)
{
  rig_pass (&pair->rig, USEC_PER_SEC);
  return rig_hear (&pair->rig, stream, one);
}

static void
pair_open (Pair *pair)
{
  memset (pair, 0, sizeof *pair);
  rig_open (&pair->rig);
  pair->key = COMMAND (&pair->rig, 0, "keys", "create", "--reusable");
  pair->first
      = (Polling){.machine = 1, .key = 1, .disco = 1, .port = 1, .home = 1, .hostname = "first"};
  pair->second
      = (Polling){.machine = 2, .key = 2, .disco = 2, .port = 1, .home = 1, .hostname = "second"};
  join (pair, 1, "first");
  join (pair, 2, "second");
  pair->own = rig_poll (&pair->rig, &pair->first);
  pair->peer = rig_poll (&pair->rig, &pair->second);
  hear (pair, pair->own, NULL);
  hear (pair, pair->peer, NULL);
}

static void
pair_close (Pair *pair)
{
  g_free (pair->key);
  rig_close (&pair->rig);
}

static const Node *
changed (const MapMessage *message)
{
  g_assert_nonnull (message);
  g_assert_cmpuint (message->n_peers_changed, ==, 1);
  return message->peers_changed[0];
}

/* ---- what goes out ---- */

static void
test_first_map (void)
{
  const MapMessage *map;
  Pair pair;

  pair_open (&pair);
  uint64_t stream = rig_poll (&pair.rig, &pair.first);
  pair.second.port = 9;
  rig_poll (&pair.rig, &pair.second);
  unsigned parts = hear (&pair, stream, &map);
  g_assert_cmphex (parts, ==, RIG_NODE | RIG_PEERS | RIG_FILTERS | RIG_DNS | RIG_USERS);
  g_assert_cmpuint (map->n_peers, ==, 1);
  g_assert_cmpint (map->peers[0]->endpoints[0].port, ==, 9); /* the change is in it already */
  g_assert_false (wall_time_is_unset (map->control_time));
  g_assert_cmpstr (map->domain, !=, "");
  pair_close (&pair);
}

typedef struct
{
  const char *what;
  void (*happens) (Pair *pair);
  unsigned own, peer; /* what the device itself and the other one hear */
} Change;

static void
light (Pair *pair, void (*alter) (Polling *polling))
{
  alter (&pair->first);
  Polling lite = pair->first;
  lite.lite = true;
  rig_poll (&pair->rig, &lite);
}

static void
other_port (Polling *polling)
{
  polling->port++;
}

static void
other_home (Polling *polling)
{
  polling->home++;
}

static void
other_disco (Polling *polling)
{
  polling->disco++;
}

static void
other_name (Polling *polling)
{
  polling->hostname = "renamed";
}

static void
new_route (Polling *polling)
{
  polling->route = "10.9.0.0/24";
}

static void
nothing_new (Polling *polling)
{
}

#define LIGHT(name)                                                                                \
  static void happens_##name (Pair *pair)                                                          \
  {                                                                                                \
    light (pair, name);                                                                            \
  }
LIGHT (other_port)
LIGHT (other_home)
LIGHT (other_disco)
LIGHT (other_name)
LIGHT (new_route)
LIGHT (nothing_new)

#define ORDER(name, ...)                                                                           \
  static void happens_##name (Pair *pair)                                                          \
  {                                                                                                \
    g_free (COMMAND (&pair->rig, 0, __VA_ARGS__));                                                 \
  }
ORDER (rename, "nodes", "rename", "renamed", "by-hand")
ORDER (route_approval, "routes", "approve", "by-hand", "10.9.0.0/24")
ORDER (route_withdrawal, "routes", "approve", "by-hand")
ORDER (expiry_date, "nodes", "expire", "by-hand", "--in=30d")
ORDER (name_server, "dns", "set", "192.0.2.53")
ORDER (split_dns, "dns", "split", "corp.example", "192.0.2.54")
ORDER (dns_record, "dns", "record", "printer.example", "192.0.2.7")
ORDER (dns_domain, "dns", "domain", "else.example")
ORDER (new_user, "users", "create", "ada")
ORDER (move, "nodes", "move", "by-hand", "ada")
ORDER (removal, "nodes", "remove", "by-hand")

static void
happens_going (Pair *pair)
{
  StateEvent gone = {.type = STATE_EVENT_GONE, .request = pair->own, .wall = pair->rig.wall};

  state_input (pair->rig.state, &gone, pair->rig.now_us);
  rig_pass (&pair->rig, 11 * USEC_PER_SEC);
}

static void
happens_return (Pair *pair)
{
  pair->own = rig_poll (&pair->rig, &pair->first);
}

static void
happens_policy (Pair *pair)
{
  set_policy (&pair->rig, "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*:22\"]}],"
                          "\"tagOwners\":{\"tag:a\":[]}}");
}

static void
happens_ssh (Pair *pair)
{
  set_policy (&pair->rig,
              "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*:22\"]}],"
              "\"tagOwners\":{\"tag:a\":[]},\"ssh\":[{\"action\":\"accept\",\"src\":[\"autogroup:"
              "member\"],\"dst\":[\"autogroup:self\"],\"users\":[\"root\"]}]}");
}

static void
happens_isolation (Pair *pair)
{
  set_policy (&pair->rig, "{\"acls\":[],\"tagOwners\":{\"tag:a\":[]}}");
}

static void
happens_newcomer (Pair *pair)
{
  join (pair, 3, "third");
}

/* In this order, each with its own cause (§17.8). */
static const Change changes[] = {
    {"nothing is new", happens_nothing_new, 0, 0},
    {"endpoints", happens_other_port, 0, RIG_PATCHES},
    {"home relay", happens_other_home, 0, RIG_PATCHES},
    {"disco key", happens_other_disco, 0, RIG_PATCHES},
    {"host name", happens_other_name, RIG_NODE, RIG_CHANGED | RIG_USERS},
    {"renamed", happens_rename, RIG_NODE, RIG_CHANGED | RIG_USERS},
    {"route offered", happens_new_route, RIG_NODE, RIG_CHANGED | RIG_USERS},
    {"route approved", happens_route_approval, RIG_NODE | RIG_FILTERS,
     RIG_CHANGED | RIG_USERS | RIG_FILTERS},
    {"route withdrawn", happens_route_withdrawal, RIG_NODE | RIG_FILTERS,
     RIG_CHANGED | RIG_USERS | RIG_FILTERS},
    {"expiry", happens_expiry_date, RIG_NODE, RIG_CHANGED | RIG_USERS},
    {"offline", happens_going, 0, RIG_CHANGED | RIG_USERS},
    {"name server", happens_name_server, RIG_DNS, RIG_DNS},
    {"split DNS", happens_split_dns, RIG_DNS, RIG_DNS},
    {"DNS record", happens_dns_record, RIG_DNS, RIG_DNS},
    {"user", happens_new_user, 0, 0},
    {"moved", happens_move, RIG_NODE, RIG_CHANGED | RIG_USERS},
    {"policy", happens_policy, RIG_FILTERS, RIG_FILTERS},
    {"SSH rules", happens_ssh, RIG_FILTERS | RIG_SSH, RIG_FILTERS | RIG_SSH},
    {"no SSH rules", happens_policy, RIG_FILTERS | RIG_SSH, RIG_FILTERS | RIG_SSH},
    {"newcomer", happens_newcomer, RIG_CHANGED | RIG_USERS, RIG_CHANGED | RIG_USERS},
    {"isolation", happens_isolation, RIG_FILTERS | RIG_SSH | RIG_REMOVED,
     RIG_FILTERS | RIG_SSH | RIG_REMOVED},
    {"together again", happens_policy, RIG_FILTERS | RIG_SSH | RIG_CHANGED | RIG_USERS,
     RIG_FILTERS | RIG_SSH | RIG_CHANGED | RIG_USERS},
    {"domain", happens_dns_domain, RIG_NODE | RIG_DNS | RIG_CHANGED | RIG_USERS,
     RIG_NODE | RIG_DNS | RIG_CHANGED | RIG_USERS},
    {"removed", happens_removal, RIG_ENDED, RIG_REMOVED},
};

static void
test_deltas (void)
{
  Pair pair;

  pair_open (&pair);
  for (size_t i = 0; i < G_N_ELEMENTS (changes); i++) {
    const Change *change = &changes[i];
    change->happens (&pair);
    unsigned own = hear (&pair, pair.own, NULL), peer = hear (&pair, pair.peer, NULL);
    if (own != change->own || peer != change->peer)
      g_error ("%s: the device heard %x, wanted %x; the other one %x, wanted %x", change->what, own,
               change->own, peer, change->peer);
    if (change->happens == happens_going) {
      happens_return (&pair);
      g_assert_cmphex (hear (&pair, pair.own, NULL) & RIG_PEERS, ==, RIG_PEERS);
      hear (&pair, pair.peer, NULL);
    }
  }
  pair_close (&pair);
}

static void
test_online (void)
{
  const MapMessage *message;
  Pair pair;

  pair_open (&pair);
  happens_going (&pair);
  g_assert_cmphex (hear (&pair, pair.peer, &message), ==, RIG_PATCHES);
  g_assert_cmpint (message->patches[0].online, ==, TRI_FALSE);
  g_assert_true (message->patches[0].has_last_seen);
  happens_return (&pair);
  g_assert_cmphex (hear (&pair, pair.peer, &message), ==, RIG_PATCHES);
  g_assert_cmpint (message->patches[0].online, ==, TRI_TRUE);
  g_assert_false (message->patches[0].has_last_seen);
  pair_close (&pair);
}

/* ---- keys ---- */

static void
test_rotation (void)
{
  const MapMessage *message;
  Pair pair;

  pair_open (&pair);
  const CoNode *node = rig_node_of (&pair.rig, 1);
  NodeId id = node->id;
  IpAddr addr = node->addr4;
  g_autofree char *name = g_strdup (node->name);
  rig_assert_accepted (&pair.rig, rig_ask (&pair.rig, &(Asking){.machine = 1,
                                                                .key = 11,
                                                                .old_key = 1,
                                                                .auth_key = pair.key,
                                                                .hostname = "first"}));
  node = rig_node_of (&pair.rig, 11);
  g_assert_true (node->id == id && ip_equal (&node->addr4, &addr));
  g_assert_cmpstr (node->name, ==, name);
  /* Its peer learns the key; its own stream goes on; the old key asks in vain. */
  g_assert_cmphex (hear (&pair, pair.peer, &message), ==, RIG_CHANGED | RIG_USERS);
  g_assert_cmpint (changed (message)->key.bytes[0], ==, 11);
  g_assert_cmphex (hear (&pair, pair.own, NULL) & RIG_ENDED, ==, 0);
  uint64_t old = rig_poll (&pair.rig, &pair.first);
  g_assert_cmpint (rig_reply (&pair.rig, old)->reply.status, ==, 404);
  pair.first.key = 11;
  g_assert_null (rig_reply (&pair.rig, rig_poll (&pair.rig, &pair.first)));
  /* Two that register at once are one device, whatever key wins. */
  for (uint8_t key = 21; key < 24; key++)
    rig_ask (&pair.rig, &(Asking){.machine = 7, .key = key, .auth_key = pair.key});
  size_t n = 0;
  for (size_t i = 0; i < pair.rig.state->model.n_nodes; i++)
    n += pair.rig.state->model.nodes[i]->machine.bytes[0] == 7;
  g_assert_cmpuint (n, ==, 1);
  pair_close (&pair);
}

static void
test_change_of_hands (void)
{
  Pair pair;

  pair_open (&pair);
  NodeId id = rig_node_of (&pair.rig, 1)->id;
  g_free (COMMAND (&pair.rig, 0, "users", "create", "ada"));
  g_autofree char *other = COMMAND (&pair.rig, 0, "keys", "create", "--user=ada");
  size_t n = pair.rig.state->model.n_nodes;
  rig_assert_accepted (&pair.rig,
                       rig_ask (&pair.rig, &(Asking){.machine = 1, .key = 1, .auth_key = other}));
  g_assert_cmpuint (pair.rig.state->model.n_nodes, ==, n); /* not two with one key */
  g_assert_cmpint (rig_node_of (&pair.rig, 1)->id, ==, id);
  /* With a key of its own it is another device of that machine. */
  g_autofree char *third = COMMAND (&pair.rig, 0, "keys", "create");
  rig_assert_accepted (
      &pair.rig,
      rig_ask (&pair.rig, &(Asking){.machine = 1, .key = 12, .old_key = 1, .auth_key = third}));
  g_assert_cmpuint (pair.rig.state->model.n_nodes, ==, n + 1);
  pair_close (&pair);
}

/* ---- time ---- */

static void
test_expiry (void)
{
  const MapMessage *message;
  Pair pair;

  pair_open (&pair);
  g_free (COMMAND (&pair.rig, 0, "nodes", "expire", "first", "--in=1h"));
  hear (&pair, pair.own, NULL);
  hear (&pair, pair.peer, NULL);
  pair.rig.denied = false;
  rig_pass (&pair.rig, 3590 * USEC_PER_SEC);
  g_assert_cmphex (rig_hear (&pair.rig, pair.own, NULL) | rig_hear (&pair.rig, pair.peer, NULL), ==,
                   0);
  g_assert_false (pair.rig.denied);
  rig_pass (&pair.rig, 15 * USEC_PER_SEC);
  /* The clock alone tells it, its peer and the relay; its stream stays for what comes. */
  unsigned own = hear (&pair, pair.own, &message);
  g_assert_cmphex (own & (RIG_NODE | RIG_ENDED), ==, RIG_NODE);
  g_assert_true (message->node->expired && !message->node->machine_authorized);
  g_assert_cmphex (hear (&pair, pair.peer, NULL), !=, 0);
  g_assert_true (pair.rig.denied);
  RegisterResponse response;
  Arena arena = {0};
  rig_read_answer (&pair.rig, rig_ask (&pair.rig, &(Asking){.machine = 1, .key = 1}), &arena,
                   &response);
  g_assert_true (response.node_key_expired);
  arena_clear (&arena);
  /* Extended: back without doing anything. */
  g_free (COMMAND (&pair.rig, 0, "nodes", "expire", "first", "--never"));
  own = hear (&pair, pair.own, &message);
  g_assert_cmphex (own & (RIG_NODE | RIG_CHANGED), ==, RIG_NODE | RIG_CHANGED);
  g_assert_false (message->node->expired);
  g_assert_cmphex (hear (&pair, pair.peer, &message) & RIG_CHANGED, ==, RIG_CHANGED);
  g_assert_false (changed (message)->expired);
  g_assert_false (pair.rig.denied);
  rig_assert_accepted (&pair.rig, rig_ask (&pair.rig, &(Asking){.machine = 1, .key = 1}));
  pair_close (&pair);
}

/* Who signed in at an identity provider signs in again before the key expires: nothing breaks. */
static void
test_again_before_expiry (void)
{
  const MapMessage *message;
  Pair pair;

  pair_open (&pair);
  Rig *rig = &pair.rig;
  rig->state->oidc.expiry_days = 30;
  g_free (COMMAND (rig, 0, "users", "create", "ada"));
  model_user_by_login (&rig->state->model, "ada")->subject = strdup ("https://id.example ada");
  Asking asking = {.machine = 5, .key = 5, .hostname = "fifth"};
  for (int round = 0; round < 3; round++) {
    g_autofree char *link = rig_link_of (rig, rig_ask (rig, &asking));
    g_free (COMMAND (rig, 0, "nodes", "approve", link + strlen (URL "/register/"), "--user=ada"));
    const CoNode *node = rig_node_of (rig, asking.key);
    g_assert_nonnull (node);
    g_assert_cmpint (node->id, ==, 3);
    g_assert_cmpint (node->expiry.seconds, ==, rig->wall.seconds + 30 * 86400);
    uint64_t stream
        = rig_poll (rig, &(Polling){.machine = 5, .key = asking.key, .disco = 5, .home = 1});
    g_assert_cmphex (hear (&pair, stream, &message) & RIG_NODE, ==, RIG_NODE);
    g_assert_cmpint (message->node->key_expiry.seconds, ==, node->expiry.seconds);
    for (int day = 0; day < 29; day++)
      rig_pass (rig, 86400 * USEC_PER_SEC);
    g_assert_cmphex (rig_hear (rig, stream, NULL) & (RIG_ENDED | RIG_NODE), ==, 0);
    asking.old_key = asking.key;
    asking.key++;
  }
  /* Whoever misses it has to. */
  asking.key = asking.old_key;
  asking.old_key = 0;
  rig_pass (rig, 2 * 86400 * USEC_PER_SEC);
  g_assert_true (state_node_expired (rig->state, rig_node_of (rig, asking.key)));
  pair_close (&pair);
}

static void
test_pool (void)
{
  Pair pair;

  pair_open (&pair);
  IpPrefix *pool = &pair.rig.state->model.settings.pool4;
  g_assert_true (ip_prefix_parse ("100.70.1.0/30", strlen ("100.70.1.0/30"), pool));
  bool refused = false;
  for (uint8_t device = 100; device < 110 && !refused; device++) {
    RegisterResponse response;
    Arena arena = {0};
    rig_read_answer (&pair.rig,
                     rig_ask (&pair.rig,
                              &(Asking){.machine = device, .key = device, .auth_key = pair.key}),
                     &arena, &response);
    refused = strstr (response.error, "no address is left") != NULL;
    arena_clear (&arena);
  }
  g_assert_true (refused);
  pair_close (&pair);
}

/* ---- routes ---- */

#define ROUTE "10.9.0.0/24"

static const char approving[] = "{\"tagOwners\":{\"tag:r\":[]},\"autoApprovers\":{\"routes\":"
                                "{\"10.0.0.0/8\":[\"autogroup:member\"]}}}";

static bool
routes_by (Pair *pair, const char *name)
{
  const CoNode *node = model_find_node (&pair->rig.state->model, name);
  IpPrefix route;

  g_assert_true (ip_prefix_parse (ROUTE, strlen (ROUTE), &route));
  PolicyView *view = state_view (pair->rig.state);
  return policy_view_primary (view, &route) == node->index;
}

static void
test_approvals (void)
{
  Pair pair;

  pair_open (&pair);
  set_policy (&pair.rig, approving);
  light (&pair, new_route);
  rig_pass (&pair.rig, USEC_PER_SEC);
  g_assert_cmpuint (rig_node_of (&pair.rig, 1)->n_approved_routes, ==, 1);
  g_assert_true (routes_by (&pair, "first"));
  /* The policy that approved it goes; what it approved stays, until somebody takes it back. */
  set_policy (&pair.rig, "{}");
  rig_pass (&pair.rig, USEC_PER_SEC);
  g_assert_true (routes_by (&pair, "first"));
  g_free (COMMAND (&pair.rig, 0, "routes", "approve", "first"));
  rig_pass (&pair.rig, USEC_PER_SEC);
  g_assert_false (routes_by (&pair, "first"));
  /* A policy that is only tried approves nothing. */
  StateEvent check = {.type = STATE_EVENT_COMMAND};
  static const char *const words[] = {"policy", "check"};
  check.command.words = words;
  check.command.n_words = 2;
  check.command.input = approving;
  rig_input (&pair.rig, &check);
  rig_pass (&pair.rig, USEC_PER_SEC);
  g_assert_cmpuint (rig_node_of (&pair.rig, 1)->n_approved_routes, ==, 0);
  pair_close (&pair);
}

static void
test_router_stays (void)
{
  Pair pair;

  pair_open (&pair);
  set_policy (&pair.rig, approving);
  pair.second.route = ROUTE;
  rig_poll (&pair.rig, &(Polling){.machine = 2,
                                  .key = 2,
                                  .disco = 2,
                                  .port = 1,
                                  .home = 1,
                                  .hostname = "second",
                                  .route = ROUTE,
                                  .lite = true});
  light (&pair, new_route);
  rig_pass (&pair.rig, USEC_PER_SEC);
  g_assert_true (routes_by (&pair, "first"));
  happens_going (&pair);
  rig_pass (&pair.rig, USEC_PER_SEC);
  g_assert_true (routes_by (&pair, "second"));
  happens_return (&pair); /* its id is lower, yet connections go by the other one */
  rig_pass (&pair.rig, USEC_PER_SEC);
  g_assert_true (routes_by (&pair, "second"));
  pair_close (&pair);
}

int
main (int argc, char **argv)
{
  g_assert_cmpint (sodium_init (), >=, 0);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/protocol/the-first-map-is-whole-and-holds-what-changed-meanwhile",
                   test_first_map);
  g_test_add_func ("/protocol/each-change-goes-out-as-a-delta", test_deltas);
  g_test_add_func ("/protocol/coming-and-going-are-patches", test_online);
  g_test_add_func ("/protocol/a-new-key-keeps-id-address-name-and-stream", test_rotation);
  g_test_add_func ("/protocol/one-key-is-one-device-whoever-owns-it", test_change_of_hands);
  g_test_add_func ("/protocol/keys-expire-by-the-clock-and-are-extended", test_expiry);
  g_test_add_func ("/protocol/who-signs-in-again-in-time-loses-nothing", test_again_before_expiry);
  g_test_add_func ("/protocol/a-used-up-pool-is-an-error", test_pool);
  g_test_add_func ("/protocol/approvals-outlive-the-policy", test_approvals);
  g_test_add_func ("/protocol/a-router-keeps-its-route-when-another-returns", test_router_stays);
  return g_test_run ();
}
