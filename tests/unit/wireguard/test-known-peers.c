#include "wireguard/known-peers.h"

#include <glib.h>
#include <string.h>

/* Random additions and removals against a GHashTable. */
static void
test_model (void)
{
  enum
  {
    N_KEYS = 600
  };
  static NodePublic keys[N_KEYS];
  bool there[N_KEYS] = {0};
  size_t count = 0;
  SeededRandom random;
  WgKnownPeers peers;

  seeded_random_init (&random, 11);
  wg_known_peers_init (&peers, &random.base);
  for (int i = 0; i < N_KEYS; i++)
    random_fill (&random.base, keys[i].bytes, KEY_SIZE);
  g_assert_null (wg_known_peers_find (&peers, &keys[0]));
  wg_known_peers_remove (&peers, &keys[0]);
  for (int round = 0; round < 40000; round++) {
    size_t k = random_below (&random.base, N_KEYS);
    if (random_below (&random.base, 2)) {
      WgKnownPeer *peer = wg_known_peers_add (&peers, &keys[k]);
      g_assert_cmpmem (peer->key.bytes, KEY_SIZE, keys[k].bytes, KEY_SIZE);
      if (!there[k])
        g_assert_cmpuint (peer->last_timestamp[0], ==, 0);
      peer->last_timestamp[0] = (uint8_t)(k + 1) | 1;
      count += !there[k];
      there[k] = true;
    } else {
      wg_known_peers_remove (&peers, &keys[k]);
      count -= there[k];
      there[k] = false;
    }
    g_assert_cmpuint (peers.count, ==, count);
    k = random_below (&random.base, N_KEYS);
    WgKnownPeer *found = wg_known_peers_find (&peers, &keys[k]);
    g_assert_true ((found != NULL) == there[k]);
    if (found)
      g_assert_cmpuint (found->last_timestamp[0], ==, (uint8_t)(k + 1) | 1);
  }
  wg_known_peers_clear (&peers);
}

static void
test_memory (void)
{
  g_assert_cmpuint (sizeof (WgKnownPeer), <=, 64);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wireguard/known-peers/agrees-with-a-list", test_model);
  g_test_add_func ("/wireguard/known-peers/records-are-light", test_memory);
  return g_test_run ();
}
