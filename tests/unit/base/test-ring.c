/* Rings between two threads, and the reclamation of what readers may still hold. */
#include "base/epoch.h"
#include "base/random.h"
#include "base/ring.h"

#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#define SEED    20261123
#define RECORDS 200000

static bool
readable (const Bell *bell)
{
  struct pollfd p = {bell->fd, POLLIN, 0};

  return poll (&p, 1, 0) == 1;
}

static void
test_order (void)
{
  Bell bell;
  Ring *ring;
  SeededRandom random;
  uint32_t in = 0, out = 0;
  size_t size;

  g_assert_true (bell_init (&bell));
  ring = ring_new (4096, &bell);
  seeded_random_init (&random, SEED);
  while (out < 20000) {
    if (random_below (&random.base, 2) == 0) {
      size_t wanted = 4 + random_below (&random.base, 600);
      uint8_t *room = ring_reserve (ring, wanted);

      if (room != NULL) {
        g_assert_cmpuint ((uintptr_t)room % RING_ALIGN, ==, 0);
        memset (room, (int)(in & 0xff), wanted);
        memcpy (room, &in, 4);
        ring_commit (ring, wanted);
        in++;
      }
    } else {
      uint8_t *record = ring_peek (ring, &size);
      uint32_t number;

      if (record == NULL) {
        g_assert_cmpuint (in, ==, out);
        continue;
      }
      memcpy (&number, record, 4);
      g_assert_cmpuint (number, ==, out);
      for (size_t i = 4; i < size; i++)
        g_assert_cmpuint (record[i], ==, out & 0xff);
      ring_pop (ring);
      out++;
    }
  }
  ring_free (ring);
  bell_clear (&bell);
}

static void
test_full (void)
{
  Bell bell;
  Ring *ring;
  size_t size, n = 0;

  g_assert_true (bell_init (&bell));
  ring = ring_new (4096, &bell);
  g_assert_null (ring_reserve (ring, 4096));
  g_assert_nonnull (ring_reserve (ring, 2000));
  while (ring_reserve (ring, 100) != NULL) {
    ring_commit (ring, 60);
    n++;
  }
  g_assert_cmpuint (n, >, 40);
  for (size_t i = 0; i < n; i++) {
    g_assert_nonnull (ring_peek (ring, &size));
    g_assert_cmpuint (size, ==, 60);
    ring_pop (ring);
  }
  g_assert_null (ring_peek (ring, &size));
  g_assert_nonnull (ring_reserve (ring, 2000));
  ring_free (ring);
  bell_clear (&bell);
}

static void
test_bell (void)
{
  Bell bell;
  Ring *ring;

  g_assert_true (bell_init (&bell));
  ring = ring_new (4096, &bell);
  ring_reserve (ring, 4);
  ring_commit (ring, 4);
  g_assert_false (readable (&bell));
  bell_sleep (&bell);
  ring_reserve (ring, 4);
  ring_commit (ring, 4);
  g_assert_true (readable (&bell));
  bell_wake (&bell);
  g_assert_false (readable (&bell));
  ring_free (ring);
  bell_clear (&bell);
}

static void *
produce (void *data)
{
  Ring *ring = data;

  for (uint64_t i = 0; i < RECORDS;) {
    uint64_t *room = ring_reserve (ring, sizeof i + i % 50);

    if (room == NULL) {
      g_thread_yield ();
      continue;
    }
    *room = i++;
    ring_commit (ring, sizeof i + (i - 1) % 50);
  }
  return NULL;
}

static void
test_two_threads (void)
{
  Bell bell;
  Ring *ring;
  pthread_t thread;
  size_t size;

  g_assert_true (bell_init (&bell));
  ring = ring_new (4096, &bell);
  pthread_create (&thread, NULL, produce, ring);
  for (uint64_t i = 0; i < RECORDS;) {
    uint64_t *record = ring_peek (ring, &size);
    struct pollfd p = {bell.fd, POLLIN, 0};

    if (record != NULL) {
      g_assert_cmpuint (*record, ==, i);
      g_assert_cmpuint (size, ==, sizeof i + i % 50);
      ring_pop (ring);
      i++;
      continue;
    }
    bell_sleep (&bell);
    if (ring_peek (ring, &size) == NULL)
      g_assert_cmpint (poll (&p, 1, 10000), ==, 1);
    bell_wake (&bell);
  }
  pthread_join (thread, NULL);
  ring_free (ring);
  bell_clear (&bell);
}

static int freed;

static void
count_free (void *object)
{
  freed++;
}

static void
test_epoch (void)
{
  EpochDomain *domain = epoch_domain_new ();
  unsigned a = epoch_reader_add (domain), b = epoch_reader_add (domain);
  uint64_t epoch;
  int object;

  freed = 0;
  epoch_retire (domain, &object, count_free);
  g_assert_false (epoch_reclaim (domain));
  g_assert_cmpint (freed, ==, 1);
  epoch_quiescent (domain, a);
  epoch_quiescent (domain, b);
  epoch_retire (domain, &object, count_free);
  epoch_retire (domain, NULL, count_free);
  g_assert_true (epoch_reclaim (domain));
  epoch_quiescent (domain, a);
  g_assert_true (epoch_reclaim (domain));
  g_assert_cmpint (freed, ==, 1);
  epoch_offline (domain, b);
  g_assert_false (epoch_reclaim (domain));
  g_assert_cmpint (freed, ==, 2);
  epoch = epoch_advance (domain);
  g_assert_false (epoch_passed (domain, epoch));
  epoch_quiescent (domain, a);
  g_assert_true (epoch_passed (domain, epoch));
  epoch_offline (domain, a);
  epoch_domain_free (domain);
}

/* A published object that says whether it has been freed. */
typedef struct
{
  _Atomic int alive;
} Canary;

static Canary canaries[1000];
static _Atomic (Canary *) published;
static EpochDomain *shared_domain;
static _Atomic bool done;
static _Atomic int seen_dead;

static void
kill_canary (void *canary)
{
  atomic_store (&((Canary *)canary)->alive, 0);
}

static void *
read_canaries (void *data)
{
  unsigned reader = GPOINTER_TO_UINT (data);

  for (unsigned i = 0; !done; i++) {
    Canary *canary;

    epoch_quiescent (shared_domain, reader);
    canary = atomic_load (&published);
    for (int k = 0; k < 20; k++)
      seen_dead += atomic_load (&canary->alive) == 0;
    if (i % 7 == 0)
      epoch_offline (shared_domain, reader);
  }
  epoch_offline (shared_domain, reader);
  return NULL;
}

static void
test_epoch_threads (void)
{
  pthread_t threads[3];

  shared_domain = epoch_domain_new ();
  for (int i = 0; i < 1000; i++)
    canaries[i].alive = 1;
  published = &canaries[0];
  for (int i = 0; i < 3; i++)
    pthread_create (&threads[i], NULL, read_canaries,
                    GUINT_TO_POINTER (epoch_reader_add (shared_domain)));
  for (int i = 1; i < 1000; i++) {
    Canary *old = atomic_exchange (&published, &canaries[i]);

    epoch_retire (shared_domain, old, kill_canary);
    epoch_reclaim (shared_domain);
    if (i % 50 == 0)
      g_usleep (100);
  }
  done = true;
  for (int i = 0; i < 3; i++)
    pthread_join (threads[i], NULL);
  g_assert_cmpint (seen_dead, ==, 0);
  g_assert_false (epoch_reclaim (shared_domain));
  g_assert_cmpint (canaries[998].alive, ==, 0);
  epoch_domain_free (shared_domain);
}

static void
test_several (void)
{
  Bell bell;
  uint32_t in = 0, out = 0;
  SeededRandom random;
  size_t size;

  g_assert_true (bell_init (&bell));
  Ring *ring = ring_new (4096, &bell);
  seeded_random_init (&random, SEED);
  while (out < 20000) {
    while (random_below (&random.base, 8) != 0) {
      uint32_t *room = ring_reserve (ring, 4 + random_below (&random.base, 300));
      if (room == NULL)
        break;
      *room = in++;
      ring_commit_quietly (ring, 4);
    }
    /* Some of them at once, none of which may move until all are popped. */
    uint64_t at = ring_head (ring);
    const uint32_t *records[64];
    size_t n = 0, most = 1 + random_below (&random.base, 63);
    while (n < most && (records[n] = ring_next (ring, &at, &size)) != NULL)
      n++;
    for (size_t i = 0; i < n; i++)
      g_assert_cmpuint (*records[i], ==, out++);
    ring_pop_until (ring, at);
  }
  ring_free (ring);
  bell_clear (&bell);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ring/keeps-order-and-content-of-records", test_order);
  g_test_add_func ("/ring/gives-several-records-at-once", test_several);
  g_test_add_func ("/ring/refuses-what-does-not-fit", test_full);
  g_test_add_func ("/ring/rings-only-for-a-sleeper", test_bell);
  g_test_add_func ("/ring/carries-everything-between-two-threads", test_two_threads);
  g_test_add_func ("/epoch/frees-when-every-reader-has-passed", test_epoch);
  g_test_add_func ("/epoch/no-reader-sees-a-freed-object", test_epoch_threads);
  return g_test_run ();
}
