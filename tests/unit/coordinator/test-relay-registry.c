/* Who is connected to the relay, and packets that wait for them (spec/derp.md §6.4, §6.5). */
#include "base/bytes.h"
#include "base/clock.h"
#include "coordinator/relay-limit.h"
#include "coordinator/relay-queue.h"
#include "coordinator/relay-registry.h"
#include "derp/frame.h"

#include <glib.h>
#include <string.h>

static NodePublic
key_of (unsigned n)
{
  NodePublic key = {{1}};

  store_be32 (key.bytes + 4, n);
  return key;
}

static RelayHandle
handle_of (uint32_t slot)
{
  return (RelayHandle){slot % 2, slot, 7};
}

static RelayPresence *
join (RelayRegistry *registry, unsigned key, uint32_t slot)
{
  NodePublic k = key_of (key);
  IpPort from = {0};

  return relay_registry_join (registry, &k, handle_of (slot), &from, 1);
}

/* The slot of the connection that gets packets for KEY; -1: none. */
static int
active (RelayRegistry *registry, unsigned key)
{
  NodePublic k = key_of (key);
  RelayHandle to;

  return relay_registry_find (registry, &k, &to) == RELAY_HERE ? (int)to.slot : -1;
}

static size_t
leave (RelayRegistry *registry, RelayPresence *presence, bool *last)
{
  RelayHeard heard;

  *last = relay_registry_leave (registry, presence, &heard);
  g_free (heard.keys);
  return heard.n;
}

static void
test_same_key (void)
{
  RelayRegistry *registry = relay_registry_new (true);
  RelayPresence *first = join (registry, 1, 10), *second, *third;
  bool last;

  g_assert_cmpint (active (registry, 1), ==, 10);
  g_assert_false (first->shared);
  second = join (registry, 1, 11);
  g_assert_cmpint (active (registry, 1), ==, 11);
  g_assert_true (first->shared && second->shared);
  g_assert_false (relay_registry_spoke (registry, first, USEC_PER_SEC));
  g_assert_cmpint (active (registry, 1), ==, 10);
  third = join (registry, 1, 12);
  leave (registry, third, &last);
  g_assert_false (last);
  g_assert_cmpint (active (registry, 1), ==, 10);
  leave (registry, first, &last);
  g_assert_false (last || second->shared);
  g_assert_cmpint (active (registry, 1), ==, 11);
  leave (registry, second, &last);
  g_assert_true (last);
  g_assert_cmpint (active (registry, 1), ==, -1);
  relay_registry_free (registry);
}

static void
test_two_machines (void)
{
  RelayRegistry *registry = relay_registry_new (true);
  RelayPresence *both[2] = {join (registry, 1, 10), join (registry, 1, 11)};
  unsigned told = 0;
  bool last;

  for (int i = 0; i < 40; i++)
    told += relay_registry_spoke (registry, both[i % 2], USEC_PER_SEC + i);
  g_assert_cmpuint (told, ==, 1);
  leave (registry, both[0], &last);
  leave (registry, both[1], &last);
  relay_registry_free (registry);
}

static void
test_heard (void)
{
  RelayRegistry *registry = relay_registry_new (true);
  RelayPresence *a = join (registry, 1, 10), *again = join (registry, 1, 11);
  RelayHeard heard;

  for (unsigned round = 0; round < 2; round++)
    for (unsigned i = 0; i < 100; i++) {
      NodePublic key = key_of (1000 + i);
      relay_registry_heard (registry, i % 2 ? a : again, &key);
    }
  g_assert_false (relay_registry_leave (registry, a, &heard));
  g_assert_cmpuint (heard.n, ==, 0);
  g_assert_true (relay_registry_leave (registry, again, &heard));
  g_assert_cmpuint (heard.n, ==, 100);
  g_free (heard.keys);
  /* A flood is bounded. */
  a = join (registry, 1, 10);
  for (unsigned i = 0; i < 100000; i++) {
    NodePublic key = key_of (1000 + i);
    relay_registry_heard (registry, a, &key);
  }
  g_assert_true (relay_registry_leave (registry, a, &heard));
  g_assert_cmpuint (heard.n, >, RELAY_HEARD_MAX / 2);
  g_assert_cmpuint (heard.n, <=, 2 * RELAY_HEARD_MAX);
  g_free (heard.keys);
  relay_registry_free (registry);
}

/* A key is gone when neither this relay nor another one of the region has it. */
static void
test_heard_in_the_region (void)
{
  RelayRegistry *registry = relay_registry_new (true);
  NodePublic key = key_of (1), listener = key_of (2);
  RelayHeard heard;

  /* Nobody has the key: nothing is remembered. */
  relay_registry_heard_from (registry, &key, &listener);
  relay_registry_forward (registry, &key, handle_of (20));
  relay_registry_forward (registry, &key, handle_of (21));
  relay_registry_heard_from (registry, &key, &listener);
  RelayPresence *here = join (registry, 1, 10);
  g_assert_true (relay_registry_leave (registry, here, &heard));
  g_assert_cmpuint (heard.n, ==, 0);
  relay_registry_unforward (registry, &key, handle_of (20), &heard);
  g_assert_cmpuint (heard.n, ==, 0);
  relay_registry_unforward (registry, &key, handle_of (21), &heard);
  g_assert_cmpuint (heard.n, ==, 1);
  g_assert_true (key_same (&heard.keys[0], &listener));
  g_free (heard.keys);
  relay_registry_unforward (registry, &key, handle_of (21), &heard);
  g_assert_cmpuint (heard.n, ==, 0);
  relay_registry_free (registry);
}

static void
test_members (void)
{
  RelayRegistry *registry = relay_registry_new (false);
  NodePublic key = key_of (1);
  size_t keys, connections;
  bool last;

  g_assert_false (relay_registry_allowed (registry, &key));
  relay_registry_allow (registry, &key, true);
  g_assert_true (relay_registry_allowed (registry, &key));
  RelayPresence *a = join (registry, 1, 10);
  relay_registry_allow (registry, &key, false);
  g_assert_false (relay_registry_allowed (registry, &key));
  RelayHandle handles[4];
  g_assert_cmpuint (relay_registry_connections (registry, &key, handles, 4), ==, 1);
  relay_registry_count (registry, &keys, &connections);
  g_assert_cmpuint (keys, ==, 1);
  leave (registry, a, &last);
  relay_registry_count (registry, &keys, &connections);
  g_assert_cmpuint (keys + connections, ==, 0);
  relay_registry_free (registry);
}

static void
test_forwarders (void)
{
  RelayRegistry *registry = relay_registry_new (true);
  NodePublic key = key_of (1);
  RelayHandle to;
  RelayHeard heard;
  bool last;

  relay_registry_forward (registry, &key, handle_of (20));
  relay_registry_forward (registry, &key, handle_of (21));
  relay_registry_forward (registry, &key, handle_of (20));
  g_assert_cmpint (relay_registry_find (registry, &key, &to), ==, RELAY_FORWARD);
  g_assert_cmpuint (to.slot, ==, 20);
  RelayPresence *here = join (registry, 1, 10);
  g_assert_cmpint (active (registry, 1), ==, 10);
  leave (registry, here, &last);
  relay_registry_unforward (registry, &key, handle_of (20), &heard);
  g_assert_cmpint (relay_registry_find (registry, &key, &to), ==, RELAY_FORWARD);
  g_assert_cmpuint (to.slot, ==, 21);
  relay_registry_unforward (registry, &key, handle_of (21), &heard);
  g_assert_cmpint (relay_registry_find (registry, &key, &to), ==, RELAY_NOWHERE);
  relay_registry_free (registry);
}

static void
test_many (void)
{
  RelayRegistry *registry = relay_registry_new (true);
  g_autofree RelayPresence **all = g_new0 (RelayPresence *, 5000);
  bool last;

  for (unsigned i = 0; i < 5000; i++)
    all[i] = join (registry, i, i);
  for (unsigned i = 0; i < 5000; i++)
    g_assert_cmpint (active (registry, i), ==, (int)i);
  for (unsigned i = 0; i < 5000; i += 2)
    leave (registry, all[i], &last);
  for (unsigned i = 0; i < 5000; i++)
    g_assert_cmpint (active (registry, i), ==, i % 2 ? (int)i : -1);
  for (unsigned i = 1; i < 5000; i += 2)
    leave (registry, all[i], &last);
  relay_registry_free (registry);
}

/* ---- queues ---- */

typedef struct
{
  RelayBudget budget;
  RelayQueue *queue;
  Buffer out;
} Rig;

static void
rig_init (Rig *rig, size_t limit)
{
  *rig = (Rig){.budget.limit = limit};
  rig->queue = relay_queue_new (&rig->budget);
}

static void
rig_clear (Rig *rig)
{
  relay_queue_free (rig->queue);
  buffer_free (&rig->out);
  g_assert_cmpuint (rig->budget.bytes, ==, 0);
}

/* A frame of SIZE bytes that says its source and number. */
static unsigned
push (Rig *rig, unsigned source, unsigned number, bool disco, size_t size)
{
  g_autofree uint8_t *frame = g_malloc0 (size);
  NodePublic key = key_of (source);

  store_be32 (frame, (uint32_t)size);
  store_be32 (frame + 4, source);
  store_be32 (frame + 8, number);
  return relay_queue_push (rig->queue, &key, disco, frame, size);
}

/* Takes one; its source and number. */
static bool
take (Rig *rig, unsigned *source, unsigned *number)
{
  buffer_reset (&rig->out);
  relay_queue_take (rig->queue, &rig->out, 1);
  if (rig->out.size == 0)
    return false;
  g_assert_cmpuint (load_be32 (rig->out.data), ==, rig->out.size);
  *source = load_be32 (rig->out.data + 4);
  *number = load_be32 (rig->out.data + 8);
  return true;
}

static void
test_oldest_goes (void)
{
  unsigned source, number;
  Rig rig;

  rig_init (&rig, 1 << 30);
  for (unsigned i = 0; i < RELAY_QUEUE_DATA + 10; i++)
    g_assert_cmpuint (push (&rig, 1, i, false, 100), ==, i >= RELAY_QUEUE_DATA);
  for (unsigned i = 10; take (&rig, &source, &number); i++)
    g_assert_cmpuint (number, ==, i);
  for (unsigned i = 0; i < 100; i++)
    push (&rig, 1, i, false, 10000);
  g_assert_cmpuint (relay_queue_bytes (rig.queue), <=, RELAY_QUEUE_BYTES);
  rig_clear (&rig);
}

static void
test_disco_first (void)
{
  unsigned source, number;
  Rig rig;

  rig_init (&rig, 1 << 30);
  for (unsigned i = 0; i < 1000; i++)
    push (&rig, 1, i, false, 1400);
  for (unsigned i = 0; i < RELAY_QUEUE_DISCO; i++)
    g_assert_cmpuint (push (&rig, 2, i, true, 100), ==, 0);
  for (unsigned i = 0; i < RELAY_QUEUE_DISCO; i++) {
    g_assert_true (take (&rig, &source, &number));
    g_assert_cmpuint (source, ==, 2);
    g_assert_cmpuint (number, ==, i);
  }
  g_assert_true (take (&rig, &source, &number));
  g_assert_cmpuint (source, ==, 1);
  rig_clear (&rig);
}

static void
test_fair (void)
{
  unsigned source, number, next[3] = {0};
  Rig rig;

  rig_init (&rig, 1 << 30);
  for (unsigned i = 0; i < 10; i++)
    push (&rig, 1, i, false, 1000);
  for (unsigned i = 0; i < 5000; i++)
    push (&rig, 2, i, false, 1000);
  for (unsigned i = 0; i < 20; i++) {
    g_assert_true (take (&rig, &source, &number));
    next[source]++;
    if (source == 1)
      g_assert_cmpuint (number, ==, next[1] - 1);
  }
  /* The quiet one lost nothing and had every other turn. */
  g_assert_cmpuint (next[1], ==, 10);
  g_assert_cmpuint (next[2], ==, 10);
  rig_clear (&rig);
}

static void
test_budget (void)
{
  RelayBudget budget = {.limit = 1 << 20};
  g_autoptr (GPtrArray) queues = g_ptr_array_new_with_free_func ((GDestroyNotify)relay_queue_free);
  uint8_t frame[1400] = {0};

  /* A thousand sources at a hundred clients that take nothing. */
  for (unsigned i = 0; i < 100; i++)
    g_ptr_array_add (queues, relay_queue_new (&budget));
  for (unsigned i = 0; i < 100000; i++) {
    NodePublic key = key_of (i % 1000);
    relay_queue_push (queues->pdata[i % 100], &key, false, frame, sizeof frame);
    g_assert_cmpuint (budget.bytes, <=, budget.limit);
  }
  NodePublic key = key_of (1);
  g_assert_cmpuint (relay_queue_push (queues->pdata[0], &key, true, frame, sizeof frame), ==, 0);
  g_ptr_array_set_size (queues, 0);
  g_assert_cmpuint (budget.bytes, ==, 0);
}

static void
test_limit (void)
{
  RelayLimit *limit = relay_limit_new ();
  IpAddr a = ip_from_v4 (0x01020304), b = ip_from_v4 (0x01020305), here = ip_from_v4 (0x7f000001);
  int64_t now_us = 1000 * USEC_PER_SEC;
  unsigned n = 0;

  for (unsigned i = 0; i < 1000; i++)
    n += relay_limit_take (limit, &a, now_us);
  g_assert_cmpuint (n, ==, RELAY_LIMIT_BURST);
  g_assert_true (relay_limit_take (limit, &b, now_us));
  for (unsigned i = 0; i < 1000; i++)
    g_assert_true (relay_limit_take (limit, &here, now_us));
  n = 0;
  for (unsigned i = 0; i < 1000; i++)
    n += relay_limit_take (limit, &a, now_us + USEC_PER_SEC);
  g_assert_cmpuint (n, ==, RELAY_LIMIT_RATE);
  relay_limit_free (limit);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/relay-registry/of-equal-keys-the-one-that-spoke-last-gets-packets",
                   test_same_key);
  g_test_add_func ("/relay-registry/two-machines-with-one-key-are-told-once", test_two_machines);
  g_test_add_func ("/relay-registry/who-heard-is-told-once-and-bounded", test_heard);
  g_test_add_func ("/relay-registry/a-key-is-gone-when-no-relay-has-it", test_heard_in_the_region);
  g_test_add_func ("/relay-registry/members-come-and-go", test_members);
  g_test_add_func ("/relay-registry/local-connections-are-before-forwarders", test_forwarders);
  g_test_add_func ("/relay-registry/many-keys", test_many);
  g_test_add_func ("/relay-queue/the-oldest-goes", test_oldest_goes);
  g_test_add_func ("/relay-queue/disco-is-not-crowded-out-and-first", test_disco_first);
  g_test_add_func ("/relay-queue/a-flood-crowds-out-only-itself", test_fair);
  g_test_add_func ("/relay-queue/all-keep-to-the-budget", test_budget);
  g_test_add_func ("/relay-limit/an-address-has-a-burst-and-a-rate", test_limit);
  return g_test_run ();
}
