/* Who may send next when more waits than can be sent: simulated time, seeded traffic. */
#include "base/bytes.h"
#include "base/random.h"
#include "tunnel/flow-queue.h"

#include <glib.h>
#include <string.h>

#define SEED  20261123
#define SUPER 64000 /* bytes of a bulk packet */
#define SMALL 100

static FlowQueue *queue;
static int64_t now_us;

static void
set_up (void)
{
  queue = flow_queue_new (SEED);
  now_us = 1000000;
}

static void
tear_down (void)
{
  flow_queue_free (queue);
}

/* A UDP packet of flow PORT with a number in it. */
static void
put (uint16_t port, uint32_t number, size_t size)
{
  uint8_t *p = flow_queue_room (queue);

  g_assert_nonnull (p);
  memset (p, 0, 40);
  p[0] = 0x45;
  p[9] = 17;
  store_be32 (p + 12, 0x64400001);
  store_be32 (p + 16, 0x64400002);
  store_be16 (p + 20, port);
  store_be16 (p + 22, 7);
  store_be32 (p + 28, number);
  flow_queue_add (queue, size, 0, now_us);
}

/* The flow of the next packet, its number and size; false when none waits. */
static bool
get (uint16_t *port, uint32_t *number, size_t *size)
{
  const uint8_t *p = flow_queue_next (queue, now_us, size);

  *port = 0;
  *number = 0;
  if (p == NULL)
    return false;
  *port = load_be16 (p + 20);
  *number = load_be32 (p + 28);
  return true;
}

static void
test_sparse (void)
{
  uint16_t port;
  uint32_t number;
  size_t size;

  set_up ();
  for (uint32_t i = 0; i < 10; i++)
    put (1, i, SUPER);
  for (int i = 0; i < 3; i++) /* the download is old by now */
    g_assert_true (get (&port, &number, &size));
  put (2, 0, SMALL);
  g_assert_true (get (&port, &number, &size));
  g_assert_cmpuint (port, ==, 2);
  g_assert_cmpuint (size, ==, SMALL);
  g_assert_cmpuint (flow_queue_take_drops (queue), ==, 0);
  tear_down ();
}

static void
test_fair (void)
{
  uint64_t sent[4] = {0};
  uint32_t put_so_far[4] = {0};

  set_up ();
  for (int round = 0; round < 2000; round++) {
    uint16_t port;
    uint32_t number;
    size_t size;

    for (uint16_t flow = 1; flow <= 3; flow++)
      while (put_so_far[flow] < 4 + sent[flow] / (flow * 10000u))
        put (flow, put_so_far[flow]++, flow * 10000u);
    g_assert_true (get (&port, &number, &size));
    sent[port] += size;
  }
  for (int flow = 2; flow <= 3; flow++)
    g_assert_cmpfloat (ABS ((double)sent[flow] / (double)sent[1] - 1), <, 0.02);
  tear_down ();
}

/* Whoever fills the queue loses, and nobody else. */
static void
test_fattest (void)
{
  uint16_t port;
  uint32_t number, small = 0, n = 0;
  size_t size, bytes = 0;

  set_up ();
  put (2, 0, SMALL);
  put (3, 0, SUPER);
  for (uint32_t i = 0; i < 40; i++)
    put (1, i, SUPER);
  put (2, 1, SMALL);
  n = (uint32_t)flow_queue_take_drops (queue);
  g_assert_cmpuint (n, >, 20);
  while (get (&port, &number, &size)) {
    bytes += size;
    small += port == 2;
    if (port == 1)
      g_assert_cmpuint (number, >=, n);
  }
  g_assert_cmpuint (small, ==, 2);
  g_assert_cmpuint (bytes, <=, FLOW_QUEUE_BYTES);
  g_assert_cmpuint (bytes, >, FLOW_QUEUE_BYTES - 2 * SUPER);
  tear_down ();
}

static void
test_full (void)
{
  uint16_t port;
  uint32_t number;
  size_t size;

  set_up ();
  for (int round = 0; round < 3; round++) {
    for (uint32_t i = 0; i < FLOW_QUEUE_PACKETS; i++)
      put (1, i, SMALL);
    g_assert_null (flow_queue_room (queue));
    g_assert_false (flow_queue_empty (queue));
    for (uint32_t i = 0; i < FLOW_QUEUE_PACKETS; i++) {
      g_assert_true (get (&port, &number, &size));
      g_assert_cmpuint (number, ==, i);
      g_assert_nonnull (flow_queue_room (queue));
    }
    g_assert_true (flow_queue_empty (queue));
    g_assert_false (get (&port, &number, &size));
  }
  g_assert_cmpuint (flow_queue_take_drops (queue), ==, 0);
  tear_down ();
}

/* Packets of one flow leave in their order, and each is sent or counted as dropped. */
static void
test_order (void)
{
  uint32_t next[64] = {0}, seen[64] = {0}, put_in = 0, got = 0;
  SeededRandom random;

  seeded_random_init (&random, SEED);
  set_up ();
  for (int i = 0; i < 100000; i++) {
    uint16_t port = (uint16_t)random_below (&random.base, 64);
    uint32_t number;
    size_t size = 40 + random_below (&random.base, random_below (&random.base, 4) ? 2000 : SUPER);

    now_us += (int64_t)random_below (&random.base, 400);
    if (random_below (&random.base, 21) < 11 && flow_queue_room (queue) != NULL) {
      put (port, ++next[port], size);
      put_in++;
    } else if (get (&port, &number, &size)) {
      g_assert_cmpuint (number, >, seen[port]);
      seen[port] = number;
      got++;
    }
  }
  while (!flow_queue_empty (queue)) {
    uint16_t port;
    uint32_t number;
    size_t size;

    got += get (&port, &number, &size);
  }
  g_assert_cmpuint (got + flow_queue_take_drops (queue), ==, put_in);
  g_assert_cmpuint (got, >, 10000);
  tear_down ();
}

/* Bulk packets for SECONDS, one every GAP_US, each sent after WAIT_US: what is dropped. */
static uint64_t
drops_with_wait (int seconds, int64_t gap_us, int64_t wait_us)
{
  uint64_t drops;
  uint32_t n = 0;

  set_up ();
  for (int64_t end_us = now_us + seconds * 1000000, waiting = 0; now_us < end_us;
       now_us += gap_us) {
    uint16_t port;
    uint32_t number;
    size_t size;

    put (1, n++, SUPER);
    if (++waiting > wait_us / gap_us)
      get (&port, &number, &size);
  }
  drops = flow_queue_take_drops (queue);
  tear_down ();
  return drops;
}

static void
test_delay (void)
{
  g_assert_cmpuint (drops_with_wait (2, 1000, 3000), ==, 0);
  /* Longer than the interval: some go, more and more. */
  g_assert_cmpuint (drops_with_wait (1, 1000, 8000), >, 3);
  g_assert_cmpuint (drops_with_wait (1, 1000, 8000), <, 100);
}

static void
test_fragments (void)
{
  uint8_t *p;
  size_t size;

  set_up ();
  for (size_t length = 0; length < 60; length++) { /* whatever the host gives */
    p = flow_queue_room (queue);
    memset (p, length % 2 ? 0x45 : 0x60, 60);
    flow_queue_add (queue, length, 10, now_us);
    g_assert_nonnull (flow_queue_next (queue, now_us, &size));
    g_assert_cmpuint (size, ==, length);
  }
  tear_down ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tunnel/flow-queue/who-sends-little-goes-first", test_sparse);
  g_test_add_func ("/tunnel/flow-queue/flows-share-bytes-alike", test_fair);
  g_test_add_func ("/tunnel/flow-queue/the-fattest-flow-loses", test_fattest);
  g_test_add_func ("/tunnel/flow-queue/takes-no-more-than-there-is-room-for", test_full);
  g_test_add_func ("/tunnel/flow-queue/each-flow-keeps-its-order", test_order);
  g_test_add_func ("/tunnel/flow-queue/a-standing-queue-is-thinned", test_delay);
  g_test_add_func ("/tunnel/flow-queue/survives-what-is-no-packet", test_fragments);
  return g_test_run ();
}
