/* HTTP/2 over byte strings, client and server role (nghttp2), with the settings and windows of
 * control-protocol.md §7.
 *
 * Prior knowledge only: no upgrade, no push, no priorities. Bytes from the peer go in with h2_feed,
 * bytes for it come out with h2_take; what happened is asked with h2_next_event. A stream's window
 * opens as its data events are taken, so a reader that stops taking them stops the sender. Any
 * thread; a connection belongs to one. */
#pragma once

#include "wire/buffer.h"
#include "wire/rope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_WINDOW_SIZE                   (4u << 20)  /* per stream */
#define H2_CONNECTION_WINDOW_SIZE        (64u << 20) /* all streams together */
#define H2_HEADER_LIST_MAX               65536       /* bytes of the headers of one message */
#define H2_SERVER_STREAMS_MAX            100         /* concurrent, server role */
#define H2_SERVER_WINDOW_SIZE            (256u << 10)
#define H2_SERVER_CONNECTION_WINDOW_SIZE (1u << 20)

#define H2_NO_ERROR 0u
#define H2_CANCEL   8u

typedef struct H2 H2;

typedef struct
{
  const char *name; /* lower case */
  const char *value;
} H2Header;

typedef enum
{
  H2_EVENT_HEADERS,  /* a response (client) or request (server) begins */
  H2_EVENT_DATA,     /* bytes of its body */
  H2_EVENT_END,      /* the peer has sent everything */
  H2_EVENT_RESET,    /* the stream is over before its time: reset, refused, or lost by GOAWAY */
  H2_EVENT_GOAWAY,   /* no new streams; those that the peer will not finish get H2_EVENT_RESET */
  H2_EVENT_PING_ACK, /* answer to h2_ping */
} H2EventType;

typedef struct
{
  H2EventType type;
  int32_t stream;    /* 0 for GOAWAY and PING_ACK */
  int status;        /* HEADERS, client: the status */
  H2Header *headers; /* HEADERS: all of them, pseudo headers included; owned by the event */
  size_t n_headers;
  uint8_t *data; /* DATA: owned by the event */
  size_t size;
  uint32_t code; /* RESET, GOAWAY: error code */
} H2Event;

H2 *h2_client_new (void);
H2 *h2_server_new (void);
void h2_free (H2 *h2);

/* Bytes from the peer. False: the connection is broken, or over after a GOAWAY. A protocol error is
 * answered with a GOAWAY first, so look at h2_usable after h2_take as well. */
bool h2_feed (H2 *h2, const void *data, size_t size);

/* Appends at most about LIMIT bytes for the peer to OUT; true when that was anything. */
bool h2_take (H2 *h2, Buffer *out, size_t limit);

/* The next thing that happened; false: nothing. Clear the event after use. */
bool h2_next_event (H2 *h2, H2Event *event);
void h2_event_clear (H2Event *event);

/* The value of a header of a HEADERS event, or NULL. */
const char *h2_event_header (const H2Event *event, const char *name);

/* Client: sends a request with BODY (copied; may be empty) and ends it. Returns the stream, or -1
 * when no more streams may be opened here. */
int32_t
h2_request (H2 *h2, const char *method, const char *scheme, const char *authority, const char *path,
            const H2Header *headers, size_t n_headers, const void *body, size_t size);

/* Server: begins the response of STREAM; it stays open for h2_send. */
bool h2_respond (H2 *h2, int32_t stream, int status, const H2Header *headers, size_t n_headers);

/* Queues SIZE bytes of body (copied), the last ones when END. False when the stream is gone. */
bool h2_send (H2 *h2, int32_t stream, const void *data, size_t size, bool end);

/* As h2_send, without copying: a reference to ROPE is taken. */
bool h2_send_rope (H2 *h2, int32_t stream, Rope *rope);

/* Bytes of STREAM queued by h2_send and not yet taken: what a server bounds for slow readers. */
size_t h2_queued (const H2 *h2, int32_t stream);

/* RST_STREAM with CODE; no further event of STREAM comes. */
void h2_reset (H2 *h2, int32_t stream, uint32_t code);

/* PING; the answer is H2_EVENT_PING_ACK. */
void h2_ping (H2 *h2);

/* GOAWAY NO_ERROR: no new streams from the peer. */
void h2_shutdown (H2 *h2);

/* False once GOAWAY was sent or received, or the connection failed. */
bool h2_usable (const H2 *h2);
