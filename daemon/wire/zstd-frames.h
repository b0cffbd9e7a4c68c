/* Map messages on their way through a response body (control-protocol.md §10.3): le32 length, then
 * one JSON document, compressed with zstd or plain. Reader for clients, writer for servers.
 *
 * The reader hands out plaintext piece by piece, so that a message of many megabytes is never held
 * as a whole. What the JSON says is netmap's business. Any thread. */
#pragma once

#include "wire/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZSTD_FRAMES_WIRE_MAX  (64u << 20)  /* announced length of one message */
#define ZSTD_FRAMES_PLAIN_MAX (256u << 20) /* decoded length of one message */
#define ZSTD_FRAMES_CHUNK     16384        /* largest piece handed out */

typedef struct ZstdFrames ZstdFrames;

typedef enum
{
  ZSTD_FRAMES_MORE,        /* all input is used up */
  ZSTD_FRAMES_CHUNK_READY, /* *chunk, *size: plaintext of the current message */
  ZSTD_FRAMES_END,         /* the current message is complete */
  ZSTD_FRAMES_BAD,         /* length 0, a limit, or damaged data; final */
} ZstdFramesResult;

/* COMPRESSED: zstd was asked for. Otherwise messages are plain. */
ZstdFrames *zstd_frames_new (bool compressed);
void zstd_frames_free (ZstdFrames *frames);

/* Gives the next bytes of the body; DATA is borrowed until zstd_frames_next says MORE. */
void zstd_frames_feed (ZstdFrames *frames, const void *data, size_t size);

/* One step. A chunk is valid until the next call. */
ZstdFramesResult zstd_frames_next (ZstdFrames *frames, const uint8_t **chunk, size_t *size);

/* True between two messages: a stream that ends now has lost nothing. */
bool zstd_frames_at_border (const ZstdFrames *frames);

/* Server: appends one message to OUT. */
void zstd_frames_append (Buffer *out, const void *message, size_t size, bool compressed);
