/* Framed map messages, plain and compressed; the same however the bytes are cut. */
#include "wire/zstd-frames.h"

#include <stdlib.h>

/* Messages and bytes read, and how it ended. */
typedef struct
{
  size_t messages;
  size_t bytes;
  bool bad;
} Result;

static Result
read_all (bool compressed, const uint8_t *data, size_t size, size_t step)
{
  ZstdFrames *frames = zstd_frames_new (compressed);
  Result result = {0};

  for (size_t i = 0; i < size && !result.bad; i += step) {
    ZstdFramesResult what;
    const uint8_t *chunk;
    size_t n;
    zstd_frames_feed (frames, data + i, size - i < step ? size - i : step);
    while ((what = zstd_frames_next (frames, &chunk, &n)) != ZSTD_FRAMES_MORE && !result.bad) {
      if (what == ZSTD_FRAMES_CHUNK_READY)
        result.bytes += n;
      else if (what == ZSTD_FRAMES_END)
        result.messages++;
      else
        result.bad = true;
      if (result.bytes > (1u << 20))
        break; /* a bomb; the limit has its own test */
    }
    if (result.bytes > (1u << 20))
      break;
  }
  if (result.bad && zstd_frames_at_border (frames))
    abort ();
  zstd_frames_free (frames);
  return result;
}

/* What the writer makes the reader must read. */
static void
round_trip (bool compressed, const uint8_t *data, size_t size)
{
  Buffer wire = {0};

  zstd_frames_append (&wire, data, size, compressed);
  Result result = read_all (compressed, wire.data, wire.size, 3);
  if (result.bad || result.messages != 1 || result.bytes != size)
    abort ();
  buffer_free (&wire);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  if (size < 1)
    return 0;
  bool compressed = data[0] & 1;
  data++;
  size--;
  if (size == 0)
    return 0;
  round_trip (compressed, data, size);
  Result whole = read_all (compressed, data, size, size);
  Result pieces = read_all (compressed, data, size, 1);
  /* a damaged frame may be noticed earlier when more of it is there */
  if (whole.bytes <= (1u << 20) && pieces.bytes <= (1u << 20) && !whole.bad && !pieces.bad
      && whole.messages != pieces.messages)
    abort ();
  return 0;
}
