/* Map messages: decoded in pieces, applied to a map, encoded and read back. The input is one or
 * more messages with a NUL byte between them. */
#include "netmap/map-message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static MapMessage *
decode (const void *data, size_t size, size_t piece)
{
  MapDecoder *d = map_decoder_new ();
  const uint8_t *bytes = data;

  for (size_t at = 0; at < size; at += piece)
    map_decoder_feed (d, bytes + at, size - at < piece ? size - at : piece);
  MapMessage *m = map_decoder_finish (d);
  assert (m || map_decoder_error (d));
  map_decoder_free (d);
  return m;
}

static char *
encode (const MapMessage *m, size_t *size)
{
  JsonWriter w;

  json_writer_init (&w);
  map_message_encode (m, &w);
  return json_writer_take (&w, size);
}

/* What is written reads back and is written the same again. */
static void
check_round_trip (const MapMessage *m)
{
  size_t size, again_size;
  char *text = encode (m, &size), *again;
  MapMessage *back = decode (text, size, 13);

  assert (back);
  again = encode (back, &again_size);
  assert (size == again_size && memcmp (text, again, size) == 0);
  free (text);
  free (again);
  map_message_free (back);
}

/* The cache on disk gives the same map. */
static void
check_cache (const Netmap *map)
{
  const WallTime now = {1795000000, 0};
  NetmapChanges changes;
  JsonWriter w;
  size_t size;

  json_writer_init (&w);
  netmap_encode (map, &w);
  char *text = json_writer_take (&w, &size);
  MapMessage *m = decode (text, size, size);
  assert (m);
  Netmap *back = netmap_apply (NULL, m, now, NULL);
  netmap_changes_init (&changes);
  netmap_diff (map, back, &changes);
  assert ((changes.flags & ~(NETMAP_CHANGED_CLOCK | NETMAP_CHANGED_PEERS)) == 0);
  /* Only what the server has not confirmed may differ: expiry by the clock, order of records. */
  for (size_t i = 0; i < changes.n_peers; i++)
    assert (changes.peers[i].before && changes.peers[i].after
            && changes.peers[i].changed == NODE_CHANGED_EXPIRY);
  netmap_changes_clear (&changes);
  netmap_unref (back);
  map_message_free (m);
  free (text);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const WallTime now = {1795000000, 0};
  Netmap *map = NULL;

  for (int n = 0; n < 8 && size > 0; n++) {
    const uint8_t *end = memchr (data, 0, size);
    size_t length = end ? (size_t)(end - data) : size;
    MapMessage *m = decode (data, length, 1 + length % 17);
    if (m) {
      NetmapChanges changes;
      check_round_trip (m);
      Netmap *next = netmap_apply (map, m, now, &changes);
      assert (changes.flags != 0 || next == map || !map);
      netmap_changes_clear (&changes);
      netmap_unref (map);
      map = next;
      map_message_free (m);
    }
    data += end ? length + 1 : length;
    size -= end ? length + 1 : length;
  }
  if (map)
    check_cache (map);
  netmap_unref (map);
  return 0;
}
