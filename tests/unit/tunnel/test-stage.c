/* Packets that wait for a session: order, limits, who loses when there is too much. */
#include "tunnel/stage.h"

#include <glib.h>
#include <string.h>

static uint8_t packet[70000];

static void
add (Stage **stage, StageTotal *total, uint8_t mark, size_t size)
{
  packet[0] = mark;
  stage_add (stage, total, packet, size);
}

static int
first_mark (Stage *stage)
{
  size_t size;
  const uint8_t *data = stage_first (stage, &size);

  return data == NULL ? -1 : data[0];
}

static void
test_order (void)
{
  StageTotal total = {0};
  Stage *stage = NULL;
  size_t size;

  g_assert_cmpint (first_mark (NULL), ==, -1);
  for (uint8_t i = 0; i < 20; i++)
    add (&stage, &total, i, 100u + i);
  for (int i = 0; i < 20; i++) {
    g_assert_cmpint (first_mark (stage), ==, i);
    g_assert_nonnull (stage_first (stage, &size));
    g_assert_cmpuint (size, ==, 100u + (size_t)i);
    stage_pop (stage, &total);
  }
  g_assert_cmpuint (total.bytes, ==, 0);
  g_assert_cmpuint (total.dropped, ==, 0);
  stage_free (stage, &total);
  g_assert_null (total.first);
}

static void
test_count (void)
{
  StageTotal total = {0};
  Stage *stage = NULL;

  for (uint8_t i = 0; i < 100; i++)
    add (&stage, &total, i, 60);
  g_assert_cmpuint (total.dropped, ==, 100 - STAGE_PACKETS_MAX);
  g_assert_cmpint (first_mark (stage), ==, 100 - STAGE_PACKETS_MAX);
  stage_free (stage, &total);
  g_assert_cmpuint (total.bytes, ==, 0);
}

static void
test_bytes (void)
{
  StageTotal total = {0};
  Stage *stage = NULL;

  for (uint8_t i = 0; i < 50; i++) {
    add (&stage, &total, i, 65000);
    g_assert_cmpuint (stage_bytes (stage), <=, STAGE_BYTES_MAX);
    g_assert_cmpuint (total.bytes, ==, stage_bytes (stage));
  }
  g_assert_cmpint (first_mark (stage), ==, 48);
  stage_free (stage, &total);
}

static void
test_fattest (void)
{
  enum
  {
    PEERS = 100
  };
  StageTotal total = {0};
  Stage *stages[PEERS] = {NULL}, *thin = NULL;

  add (&thin, &total, 200, 100);
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < PEERS; i++)
      add (&stages[i], &total, (uint8_t)round, 60000);
  g_assert_cmpuint (total.bytes, <=, STAGE_TOTAL_MAX);
  g_assert_cmpuint (total.dropped, >, 0);
  /* One who wants little keeps it. */
  g_assert_cmpint (first_mark (thin), ==, 200);
  for (int i = 0; i < PEERS; i++)
    stage_free (stages[i], &total);
  stage_free (thin, &total);
  g_assert_cmpuint (total.bytes, ==, 0);
  g_assert_null (total.first);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tunnel/stage/gives-back-in-order", test_order);
  g_test_add_func ("/tunnel/stage/drops-the-oldest-of-too-many", test_count);
  g_test_add_func ("/tunnel/stage/drops-the-oldest-of-too-much", test_bytes);
  g_test_add_func ("/tunnel/stage/takes-from-the-fattest-peer", test_fattest);
  return g_test_run ();
}
