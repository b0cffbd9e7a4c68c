#include "wire/zstd-frames.h"

#include "base/bytes.h"

#include <glib.h>
#include <string.h>
#include <zstd.h>

/* Reads every message of WIRE fed in steps of STEP bytes; they are joined with '|'. */
static ZstdFramesResult
read_all (bool compressed, const uint8_t *wire, size_t size, size_t step, GString *out,
          bool *at_border)
{
  ZstdFrames *frames = zstd_frames_new (compressed);
  ZstdFramesResult result = ZSTD_FRAMES_MORE;

  for (size_t i = 0; i < size && result == ZSTD_FRAMES_MORE; i += step) {
    const uint8_t *chunk;
    size_t n;
    zstd_frames_feed (frames, wire + i, MIN (step, size - i));
    while ((result = zstd_frames_next (frames, &chunk, &n)) > ZSTD_FRAMES_MORE
           && result != ZSTD_FRAMES_BAD) {
      if (result == ZSTD_FRAMES_END)
        g_string_append_c (out, '|');
      else {
        g_assert_cmpuint (n, >, 0);
        g_assert_cmpuint (n, <=, ZSTD_FRAMES_CHUNK);
        g_string_append_len (out, (const char *)chunk, (gssize)n);
      }
    }
  }
  if (at_border)
    *at_border = zstd_frames_at_border (frames);
  zstd_frames_free (frames);
  return result;
}

static void
check (bool compressed, const char *hex, const char *expected)
{
  size_t size = strlen (hex) / 2;
  g_autofree uint8_t *wire = g_malloc (size);

  g_assert_true (hex_decode (hex, strlen (hex), wire, size));
  for (size_t step = 1; step <= size; step += size - 1) {
    g_autoptr (GString) out = g_string_new (NULL);
    bool at_border;
    g_assert_cmpint (read_all (compressed, wire, size, step, out, &at_border), ==,
                     ZSTD_FRAMES_MORE);
    g_assert_cmpstr (out->str, ==, expected);
    g_assert_true (at_border);
  }
}

static void
test_vectors (void)
{
  check (false, "120000007b224b656570416c697665223a747275657d", "{\"KeepAlive\":true}|");
  check (true, "1b00000028b52ffd20129100007b224b656570416c697665223a747275657d",
         "{\"KeepAlive\":true}|");
  check (true,
         "1b00000028b52ffd20129100007b224b656570416c697665223a747275657d"
         "1b00000028b52ffd20129100007b224b656570416c697665223a747275657d",
         "{\"KeepAlive\":true}|{\"KeepAlive\":true}|");
}

/* One zstd frame with the given features, written by the streaming encoder. */
static void
append_zstd (GByteArray *out, const void *data, size_t size, bool checksum, bool content_size)
{
  ZSTD_CCtx *zstd = ZSTD_createCCtx ();
  g_autofree uint8_t *room = g_malloc (ZSTD_compressBound (size));
  ZSTD_inBuffer in = {data, size, 0};
  ZSTD_outBuffer bytes = {room, ZSTD_compressBound (size), 0};

  ZSTD_CCtx_setParameter (zstd, ZSTD_c_checksumFlag, checksum);
  ZSTD_CCtx_setParameter (zstd, ZSTD_c_contentSizeFlag, content_size);
  if (content_size)
    ZSTD_CCtx_setPledgedSrcSize (zstd, size);
  g_assert_cmpuint (ZSTD_compressStream2 (zstd, &bytes, &in, ZSTD_e_end), ==, 0);
  g_byte_array_append (out, room, (guint)bytes.pos);
  ZSTD_freeCCtx (zstd);
}

static GByteArray *
framed (GByteArray *body)
{
  GByteArray *out = g_byte_array_new ();
  uint8_t length[4];

  store_le32 (length, body->len);
  g_byte_array_append (out, length, 4);
  g_byte_array_append (out, body->data, body->len);
  g_byte_array_unref (body);
  return out;
}

static void
test_features (void)
{
  g_autofree char *big = g_strnfill (100000, 'w');

  for (int features = 0; features < 4; features++) {
    GByteArray *body = g_byte_array_new ();
    append_zstd (body, "{\"a\":", 5, features & 1, features & 2);
    append_zstd (body, big, 100000, features & 1, features & 2);
    append_zstd (body, "}", 1, features & 1, features & 2);
    g_autoptr (GByteArray) wire = framed (body);
    g_autofree char *expected = g_strdup_printf ("{\"a\":%s}|", big);
    for (size_t step = 1; step < 100000; step *= 300) {
      g_autoptr (GString) out = g_string_new (NULL);
      g_assert_cmpint (read_all (true, wire->data, wire->len, step, out, NULL), ==,
                       ZSTD_FRAMES_MORE);
      g_assert_cmpstr (out->str, ==, expected);
    }
  }
}

static void
test_chunk_borders (void)
{
  /* lengths at which a frame ends exactly when a chunk is full */
  for (size_t size = ZSTD_FRAMES_CHUNK - 1; size <= 2 * ZSTD_FRAMES_CHUNK + 1;
       size += size % ZSTD_FRAMES_CHUNK == 1 ? ZSTD_FRAMES_CHUNK - 2 : 1)
    for (int compressed = 0; compressed < 2; compressed++) {
      g_autofree char *text = g_strnfill (size, 'x');
      g_autoptr (GString) out = g_string_new (NULL);
      Buffer wire = {0};
      zstd_frames_append (&wire, text, size, compressed);
      zstd_frames_append (&wire, "{}", 2, compressed);
      g_assert_cmpint (read_all (compressed, wire.data, wire.size, wire.size, out, NULL), ==,
                       ZSTD_FRAMES_MORE);
      g_assert_cmpuint (out->len, ==, size + 4);
      g_assert_cmpstr (out->str + size, ==, "|{}|");
      buffer_free (&wire);
    }
}

static void
refuse (bool compressed, const uint8_t *wire, size_t size)
{
  g_autoptr (GString) out = g_string_new (NULL);

  g_assert_cmpint (read_all (compressed, wire, size, size, out, NULL), ==, ZSTD_FRAMES_BAD);
}

static void
test_refuses (void)
{
  static const uint8_t empty[] = {0, 0, 0, 0}, too_long[] = {1, 0, 0, 4}, longest[] = {0, 0, 0, 4},
                       not_zstd[] = {4, 0, 0, 0, 'j', 's', 'o', 'n'},
                       /* a frame of zstd 0.5, and one that stops in its magic number */
      old_zstd[] = {12, 0, 0, 0, 0x25, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0},
                       cut_magic[] = {3, 0, 0, 0, 0x28, 0xb5, 0x2f};
  g_autoptr (GString) out = g_string_new (NULL);
  Buffer wire = {0};
  bool at_border;

  refuse (true, empty, 4);
  refuse (false, empty, 4);
  refuse (true, too_long, 4);
  g_assert_cmpint (read_all (true, longest, 4, 4, out, &at_border), ==, ZSTD_FRAMES_MORE);
  g_assert_false (at_border);
  refuse (true, not_zstd, sizeof not_zstd);
  refuse (true, old_zstd, sizeof old_zstd);
  refuse (true, cut_magic, sizeof cut_magic);

  /* a message that ends inside a zstd frame */
  zstd_frames_append (&wire, "{\"KeepAlive\":true}", 18, true);
  store_le32 (wire.data, load_le32 (wire.data) - 1);
  refuse (true, wire.data, wire.size);
  buffer_free (&wire);
}

static void
test_bomb (void)
{
  /* 257 MiB of zeros in a few kilobytes */
  size_t size = ZSTD_FRAMES_PLAIN_MAX + (1u << 20);
  uint8_t *zeros = g_malloc0 (size);
  Buffer wire = {0};
  ZstdFrames *frames = zstd_frames_new (true);
  ZstdFramesResult result;
  const uint8_t *chunk;
  size_t n, total = 0;

  zstd_frames_append (&wire, zeros, size, true);
  g_free (zeros);
  g_assert_cmpuint (wire.size, <, 1u << 20);
  zstd_frames_feed (frames, wire.data, wire.size);
  while ((result = zstd_frames_next (frames, &chunk, &n)) == ZSTD_FRAMES_CHUNK_READY)
    total += n;
  g_assert_cmpint (result, ==, ZSTD_FRAMES_BAD);
  g_assert_cmpuint (total, <=, ZSTD_FRAMES_PLAIN_MAX);
  zstd_frames_free (frames);
  buffer_free (&wire);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wire/zstd-frames/reproduces-the-vectors", test_vectors);
  g_test_add_func ("/wire/zstd-frames/reads-joined-frames-with-and-without-size-and-checksum",
                   test_features);
  g_test_add_func ("/wire/zstd-frames/reads-messages-that-just-fill-a-chunk", test_chunk_borders);
  g_test_add_func ("/wire/zstd-frames/refuses-empty-long-and-damaged-messages", test_refuses);
  g_test_add_func ("/wire/zstd-frames/stops-a-decompression-bomb", test_bomb);
  return g_test_run ();
}
