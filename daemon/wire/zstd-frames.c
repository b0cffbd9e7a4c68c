#include "wire/zstd-frames.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct ZstdFrames
{
  bool compressed;
  ZSTD_DCtx *zstd; /* while a compressed message is being read */
  const uint8_t *data;
  size_t size; /* input left at data */
  uint8_t header[4];
  size_t header_size; /* bytes of it received */
  size_t wire_left;   /* bytes of the current message still to come */
  size_t plain_size;  /* bytes of it handed out */
  bool in_frame;      /* inside a zstd frame, so the message may not end here */
  uint8_t magic[4];   /* start of the frame */
  size_t magic_size;
  bool output_full; /* zstd may hold more output than fitted */
  bool failed;
  uint8_t *chunk; /* ZSTD_FRAMES_CHUNK bytes while a message is being read */
};

ZstdFrames *
zstd_frames_new (bool compressed)
{
  ZstdFrames *frames = mem_new (sizeof *frames);

  frames->compressed = compressed;
  return frames;
}

/* Between messages, often for minutes, the stream should cost nothing. */
static void
release (ZstdFrames *frames)
{
  ZSTD_freeDCtx (frames->zstd);
  frames->zstd = NULL;
  free (frames->chunk);
  frames->chunk = NULL;
}

void
zstd_frames_free (ZstdFrames *frames)
{
  if (!frames)
    return;
  release (frames);
  free (frames);
}

void
zstd_frames_feed (ZstdFrames *frames, const void *data, size_t size)
{
  frames->data = data;
  frames->size = size;
}

bool
zstd_frames_at_border (const ZstdFrames *frames)
{
  return frames->header_size == 0 && !frames->failed;
}

static void
advance (ZstdFrames *frames, size_t n)
{
  frames->data += n;
  frames->size -= n;
}

static ZstdFramesResult
fail (ZstdFrames *frames)
{
  frames->failed = true;
  return ZSTD_FRAMES_BAD;
}

/* Gathers the length; CHUNK_READY stands for "a message has begun". */
static ZstdFramesResult
read_header (ZstdFrames *frames)
{
  while (frames->header_size < sizeof frames->header) {
    if (frames->size == 0)
      return ZSTD_FRAMES_MORE;
    frames->header[frames->header_size++] = frames->data[0];
    advance (frames, 1);
  }
  frames->wire_left = load_le32 (frames->header);
  if (frames->wire_left == 0 || frames->wire_left > ZSTD_FRAMES_WIRE_MAX)
    return fail (frames);
  frames->plain_size = 0;
  return ZSTD_FRAMES_CHUNK_READY;
}

static ZstdFramesResult
end_message (ZstdFrames *frames)
{
  if (frames->in_frame || frames->magic_size > 0)
    return fail (frames);
  frames->header_size = 0;
  release (frames);
  return ZSTD_FRAMES_END;
}

/* zstd's own window limit of 128 MiB stays: servers write whole maps as one segment, whose window
 * is the map itself. */
static void
prepare (ZstdFrames *frames)
{
  if (frames->zstd)
    return;
  frames->zstd = ZSTD_createDCtx ();
  if (!frames->zstd)
    abort ();
  frames->chunk = mem_new (ZSTD_FRAMES_CHUNK);
}

/* Today's frames and skippable ones. Libraries may be built to read the formats of before 2016 as
 * well, and nobody has looked at that code for years. */
static bool
is_known_magic (const uint8_t magic[4])
{
  uint32_t value = load_le32 (magic);

  return value == ZSTD_MAGICNUMBER
         || (value & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

/* Runs zstd once over SIZE bytes at DATA; *used of them are done with. False: damaged. */
static bool
decompress (ZstdFrames *frames, const uint8_t *data, size_t size, size_t *used, size_t *made)
{
  ZSTD_inBuffer in = {data, size, 0};

  prepare (frames);
  ZSTD_outBuffer out = {frames->chunk, ZSTD_FRAMES_CHUNK, 0};
  size_t hint = ZSTD_decompressStream (frames->zstd, &out, &in);
  if (ZSTD_isError (hint))
    return false;
  frames->in_frame = hint != 0;
  frames->output_full = frames->in_frame && out.pos == out.size;
  *used = in.pos;
  *made = out.pos;
  return true;
}

/* Gathers the first bytes of a frame and gives them to zstd. False: no frame begins so. */
static bool
begin_frame (ZstdFrames *frames, size_t usable)
{
  size_t used, made;

  for (; usable > 0 && frames->magic_size < sizeof frames->magic; usable--) {
    frames->magic[frames->magic_size++] = frames->data[0];
    advance (frames, 1);
    frames->wire_left--;
  }
  if (frames->magic_size < sizeof frames->magic)
    return true;
  frames->magic_size = 0;
  return is_known_magic (frames->magic)
         && decompress (frames, frames->magic, sizeof frames->magic, &used, &made)
         && used == sizeof frames->magic && frames->in_frame;
}

/* Decodes at most one chunk; *size may be 0 when only input was taken. False: damaged. */
static bool
decode (ZstdFrames *frames, const uint8_t **chunk, size_t *size)
{
  size_t usable = frames->size < frames->wire_left ? frames->size : frames->wire_left;
  size_t used;

  if (!frames->compressed) {
    *chunk = frames->data;
    *size = usable < ZSTD_FRAMES_CHUNK ? usable : ZSTD_FRAMES_CHUNK;
    advance (frames, *size);
    frames->wire_left -= *size;
    return true;
  }
  *size = 0;
  if (!frames->in_frame)
    return begin_frame (frames, usable);
  if (!decompress (frames, frames->data, usable, &used, size))
    return false;
  advance (frames, used);
  frames->wire_left -= used;
  *chunk = frames->chunk;
  return true;
}

ZstdFramesResult
zstd_frames_next (ZstdFrames *frames, const uint8_t **chunk, size_t *size)
{
  if (frames->failed)
    return ZSTD_FRAMES_BAD;
  if (frames->header_size < sizeof frames->header) {
    ZstdFramesResult result = read_header (frames);
    if (result != ZSTD_FRAMES_CHUNK_READY)
      return result;
  }
  for (;;) {
    if (!frames->output_full && frames->wire_left == 0)
      return end_message (frames);
    if (!frames->output_full && frames->size == 0)
      return ZSTD_FRAMES_MORE;
    frames->output_full = false;
    if (!decode (frames, chunk, size))
      return fail (frames);
    if (*size > ZSTD_FRAMES_PLAIN_MAX - frames->plain_size)
      return fail (frames);
    frames->plain_size += *size;
    if (*size > 0)
      return ZSTD_FRAMES_CHUNK_READY;
  }
}

void
zstd_frames_append (Buffer *out, const void *message, size_t size, bool compressed)
{
  size_t bound = compressed ? ZSTD_compressBound (size) : size;
  uint8_t *room = buffer_reserve (out, 4 + bound);
  size_t n = size;

  if (compressed) {
    n = ZSTD_compress (room + 4, bound, message, size, 1);
    if (ZSTD_isError (n))
      abort ();
  } else
    memcpy (room + 4, message, size);
  store_le32 (room, (uint32_t)n);
  buffer_commit (out, 4 + n);
}
