/* Which devices are let in, row by row (spec/control-protocol.md §17.3, §17.5). */

#include "state-rig.h"

#include <sodium.h>
#include <string.h>

/* ---- waiting ---- */

static void
test_followups (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *same = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_assert_cmpstr (link, ==, same);
  /* Another machine, or another key, with this link: it gets one of its own. */
  uint64_t forged = rig_ask (&rig, &(Asking){.machine = 2, .key = 1, .followup = link});
  g_autofree char *forged_link = rig_link_of (&rig, forged);
  g_assert_cmpstr (forged_link, !=, link);
  uint64_t other_key = rig_ask (&rig, &(Asking){.machine = 1, .key = 9, .followup = link});
  g_autofree char *other_link = rig_link_of (&rig, other_key);
  g_assert_cmpstr (other_link, !=, link);
  static const char *const nonsense[] = {"x", "/", URL "/register/", URL "/register/../x"};
  for (size_t i = 0; i < G_N_ELEMENTS (nonsense); i++)
    g_free (rig_link_of (
        &rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = nonsense[i]})));
  uint64_t waiting[3];
  for (size_t i = 0; i < 3; i++)
    waiting[i] = rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link});
  StateEvent gone = {.type = STATE_EVENT_GONE, .request = waiting[1], .wall = rig.wall};
  state_input (rig.state, &gone, rig.now_us);
  g_free (COMMAND (&rig, 0, "nodes", "approve", link + strlen (URL "/register/")));
  rig_assert_accepted (&rig, waiting[0]);
  g_assert_null (rig_reply (&rig, waiting[1]));
  rig_assert_accepted (&rig, waiting[2]);
  /* A wait that broke after the approval is answered by row 2. */
  rig_assert_accepted (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link}));
  /* Whoever asked for the same node key with another machine comes too late. */
  const char *forged_id = forged_link + strlen (URL "/register/");
  g_free (COMMAND (&rig, 1, "nodes", "approve", forged_id));
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 1}), "another machine");
  rig_close (&rig);
}

static void
test_denial_and_timeout (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *link = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  uint64_t waiting = rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link});
  g_free (COMMAND (&rig, 0, "nodes", "deny", "alpha"));
  rig_assert_refused (&rig, waiting, "was refused");
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .followup = link}),
                      "was refused");
  g_free (COMMAND (&rig, 1, "nodes", "approve", link + strlen (URL "/register/")));
  g_autofree char *second = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2}));
  waiting = rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .followup = second});
  rig_pass (&rig, PENDING_LIFE_US - USEC_PER_SEC);
  g_assert_null (rig_reply (&rig, waiting));
  rig_pass (&rig, 2 * USEC_PER_SEC);
  g_autofree char *third = rig_link_of (&rig, waiting); /* a new link for who still holds on */
  g_assert_cmpstr (third, !=, second);
  g_assert_cmpint (
      rig_reply (&rig, rig_browse (&rig, "GET", second, NULL, "20.0.0.9"))->reply.status, ==, 404);
  waiting = rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .followup = third});
  g_free (COMMAND (&rig, 0, "nodes", "approve", "alpha"));
  rig_assert_accepted (&rig, waiting);
  rig_close (&rig);
}

static void
test_waiting_is_bounded (void)
{
  Rig rig;
  int refused = 0;

  rig_open (&rig);
  g_autofree char *mine
      = rig_link_of (&rig,
                     rig_ask (&rig, &(Asking){.machine = 255, .key = 255, .from = "20.1.0.1"}));
  uint64_t waiting
      = rig_ask (&rig, &(Asking){.machine = 255, .key = 255, .from = "20.1.0.1", .followup = mine});
  /* One address. */
  for (int i = 1; i <= 100; i++) {
    uint64_t request = rig_ask (&rig, &(Asking){.machine = (uint8_t)i, .key = (uint8_t)i});
    refused += rig_reply (&rig, request)->reply.status == 429;
  }
  g_assert_cmpint (refused, ==, 100 - PENDING_MAX_FROM);
  /* One machine with ever new keys. */
  for (int i = 1; i <= 100; i++)
    rig_ask (&rig, &(Asking){.machine = 200, .key = (uint8_t)i, .from = "20.1.0.2"});
  g_assert_cmpuint (rig.state->n_pending, <=, 1 + PENDING_MAX_FROM + PENDING_MAX_OF_MACHINE);
  /* Many addresses: who holds on stays. */
  for (int i = 0; i < 3 * PENDING_MAX; i++) {
    g_autofree char *from = g_strdup_printf ("2001:db8:%x::1", i);
    rig_ask (&rig, &(Asking){.machine = (uint8_t)(1 + i % 250),
                             .key = (uint8_t)(1 + i / 250),
                             .from = from});
    g_assert_cmpuint (rig.state->n_pending, <=, PENDING_MAX);
  }
  g_assert_null (rig_reply (&rig, waiting));
  g_assert_nonnull (pending_find (rig.state, mine + strlen (URL "/register/")));
  /* Many waiters of one: the oldest is told the link again. */
  uint64_t more[PENDING_MAX_WAITERS];
  for (size_t i = 0; i < PENDING_MAX_WAITERS; i++)
    more[i] = rig_ask (&rig,
                       &(Asking){.machine = 255, .key = 255, .from = "20.1.0.1", .followup = mine});
  g_autofree char *again = rig_link_of (&rig, waiting);
  g_assert_cmpstr (again, ==, mine);
  g_free (COMMAND (&rig, 0, "nodes", "approve", mine + strlen (URL "/register/")));
  for (size_t i = 0; i < PENDING_MAX_WAITERS; i++)
    rig_assert_accepted (&rig, more[i]);
  rig_close (&rig);
}

/* ---- known devices ---- */

static char *
make_key (Rig *rig, const char *option)
{
  return option ? COMMAND (rig, 0, "keys", "create", option) : COMMAND (rig, 0, "keys", "create");
}

static void
test_rows_of_known_devices (void)
{
  RegisterResponse response;
  Arena arena = {0};
  Rig rig;

  rig_open (&rig);
  g_autofree char *key = make_key (&rig, NULL);
  rig_assert_accepted (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = key}));
  /* Row 2: here again. Another machine with this key is refused, also with a good auth key. */
  rig_assert_accepted (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}));
  g_autofree char *good = make_key (&rig, "--reusable");
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 1}), "another machine");
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 1, .auth_key = good}),
                      "another machine");
  /* Row 4: shorter, never longer. */
  WallTime soon = wall_time_add_us (rig.wall, 3600 * USEC_PER_SEC);
  WallTime later = wall_time_add_us (rig.wall, 7200 * USEC_PER_SEC);
  rig_assert_accepted (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .expiry = soon}));
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .expiry = later}),
                      "extending");
  /* Row 3: expired; it comes back with a new key and keeps what it was. */
  int64_t id = rig_node_of (&rig, 1)->id;
  rig_pass (&rig, 3601 * USEC_PER_SEC);
  rig_read_answer (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1}), &arena, &response);
  g_assert_true (response.node_key_expired && !response.machine_authorized);
  g_assert_cmpstr (response.auth_url, ==, "");
  g_autofree char *link
      = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 2, .old_key = 1}));
  g_free (COMMAND (&rig, 0, "nodes", "approve", link + strlen (URL "/register/")));
  g_assert_cmpint (rig_node_of (&rig, 2)->id, ==, id);
  g_assert_null (rig_node_of (&rig, 1));
  /* Row 1: logout, in any zone, also with an auth key; the entry stays and is expired. */
  WallTime past = {.seconds = 123};
  rig_read_answer (
      &rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 2, .expiry = past, .auth_key = good}),
      &arena, &response);
  g_assert_true (response.node_key_expired);
  g_assert_true (rig.denied);
  g_assert_cmpint (wall_time_compare (rig_node_of (&rig, 2)->expiry, rig.wall), ==, 0);
  /* A replayed logout of another machine does nothing. */
  rig_assert_accepted (
      &rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 3, .old_key = 2, .auth_key = good}));
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 3, .expiry = past}),
                      "another machine");
  g_assert_true (wall_time_is_unset (rig_node_of (&rig, 3)->expiry));
  arena_clear (&arena);
  rig_close (&rig);
}

static void
test_old_key_of_others (void)
{
  Rig rig;

  rig_open (&rig);
  g_autofree char *key = make_key (&rig, "--reusable");
  rig_assert_accepted (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = key}));
  /* Naming another's key as one's old one takes nothing over. */
  rig_assert_accepted (
      &rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .old_key = 1, .auth_key = key}));
  g_assert_nonnull (rig_node_of (&rig, 1));
  g_assert_cmpint (rig_node_of (&rig, 1)->id, !=, rig_node_of (&rig, 2)->id);
  rig_close (&rig);
}

static void
test_auth_keys (void)
{
  Rig rig;

  rig_open (&rig);
  /* One-shot: one device; the same device passes it at each start. */
  g_autofree char *once = make_key (&rig, NULL);
  rig_assert_accepted (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = once}));
  rig_assert_accepted (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = once}));
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = once}),
                      "already used");
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 3, .auth_key = once}),
                      "already used"); /* a new node key is no restart */
  /* Wrong in every character. */
  for (size_t i = 0; once[i]; i++) {
    g_autofree char *wrong = g_strdup (once);
    wrong[i] = wrong[i] == '0' ? '1' : '0';
    rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = wrong}),
                        "auth");
  }
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = "x"}),
                      "invalid");
  /* Expiring, revoked. */
  g_autofree char *brief = make_key (&rig, "--expires=1h");
  g_autofree char *revoked = make_key (&rig, "--reusable");
  g_autofree char *id = g_strndup (revoked + strlen ("wkey-auth-"), 12);
  g_free (COMMAND (&rig, 0, "keys", "revoke", id));
  rig_pass (&rig, 3601 * USEC_PER_SEC);
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = brief}),
                      "expired");
  rig_assert_refused (&rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = revoked}),
                      "revoked");
  /* Ephemeral: gone with its logout. */
  g_autofree char *ephemeral = make_key (&rig, "--ephemeral");
  rig_assert_accepted (&rig,
                       rig_ask (&rig, &(Asking){.machine = 4, .key = 4, .auth_key = ephemeral}));
  rig_ask (&rig, &(Asking){.machine = 4, .key = 4, .expiry = {.seconds = 123}});
  g_assert_null (rig_node_of (&rig, 4));
  /* No text of a key is anywhere but with who got it. */
  for (size_t i = 0; i < rig.state->model.n_keys; i++)
    g_assert_null (strstr (rig.state->model.keys[i]->id, "wkey"));
  rig_close (&rig);
}

static void
test_tags (void)
{
  static const char policy[]
      = "{\"tagOwners\":{\"tag:web\":[\"owner@\"],\"tag:db\":[]},\"acls\":[]}";
  Rig rig;

  rig_open (&rig);
  StateEvent event = {.type = STATE_EVENT_COMMAND};
  static const char *const words[] = {"policy", "set"};
  event.command.words = words;
  event.command.n_words = 2;
  event.command.input = policy;
  g_assert_cmpint (rig_reply (&rig, rig_input (&rig, &event))->reply.status, ==, 0);
  g_autofree char *tagged = COMMAND (&rig, 0, "keys", "create", "--reusable", "--tags=tag:db");
  g_autofree char *plain = make_key (&rig, "--reusable");
  rig_assert_accepted (&rig, rig_ask (&rig, &(Asking){.machine = 1, .key = 1, .auth_key = tagged}));
  g_assert_cmpint (rig_node_of (&rig, 1)->user, ==, 0);
  g_assert_true (co_node_has_tag (rig_node_of (&rig, 1), "tag:db"));
  rig_assert_accepted (
      &rig, rig_ask (&rig, &(Asking){.machine = 2, .key = 2, .auth_key = tagged, .tag = "tag:db"}));
  rig_assert_refused (
      &rig, rig_ask (&rig, &(Asking){.machine = 3, .key = 3, .auth_key = tagged, .tag = "tag:web"}),
      "invalid or not permitted");
  rig_assert_accepted (
      &rig, rig_ask (&rig, &(Asking){.machine = 3, .key = 3, .auth_key = plain, .tag = "tag:web"}));
  g_assert_true (co_node_has_tag (rig_node_of (&rig, 3), "tag:web"));
  rig_assert_refused (
      &rig, rig_ask (&rig, &(Asking){.machine = 4, .key = 4, .auth_key = plain, .tag = "tag:db"}),
      "invalid or not permitted");
  /* At the page: a person gives only tags that are his to give; the device goes on waiting. */
  g_autofree char *link
      = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 5, .key = 5, .tag = "tag:db"}));
  g_free (COMMAND (&rig, 1, "nodes", "approve", link + strlen (URL "/register/")));
  g_assert_null (rig_node_of (&rig, 5));
  g_autofree char *own
      = rig_link_of (&rig, rig_ask (&rig, &(Asking){.machine = 6, .key = 6, .tag = "tag:web"}));
  g_free (COMMAND (&rig, 0, "nodes", "approve", own + strlen (URL "/register/")));
  g_assert_cmpint (rig_node_of (&rig, 6)->user, ==, 0);
  g_assert_true (wall_time_is_unset (rig_node_of (&rig, 6)->expiry));
  rig_close (&rig);
}

int
main (int argc, char **argv)
{
  g_assert_cmpint (sodium_init (), >=, 0);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/registration/followups-belong-to-their-device", test_followups);
  g_test_add_func ("/registration/devices-are-told-of-denial-and-timeout", test_denial_and_timeout);
  g_test_add_func ("/registration/waiting-is-bounded", test_waiting_is_bounded);
  g_test_add_func ("/registration/known-devices-are-answered-row-by-row",
                   test_rows_of_known_devices);
  g_test_add_func ("/registration/old-keys-of-others-take-nothing-over", test_old_key_of_others);
  g_test_add_func ("/registration/auth-keys-follow-every-rule", test_auth_keys);
  g_test_add_func ("/registration/tags-are-given-by-their-owners", test_tags);
  return g_test_run ();
}
