/* DERP frames: type, length, body; both roles.
 *
 * Codec only: constants and layouts, an incremental reader over a byte stream, encoders into a
 * caller's buffer, and the two sealed information frames of the login. Shared by relay client and
 * relay server. spec/derp.md §4. No state beyond the reader. Any thread. */
#pragma once

#include "base/crypto.h"
#include "base/ip.h"
#include "base/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DERP_HEADER_SIZE       5 /* type 1, body length 4 */
#define DERP_MAGIC_SIZE        8
#define DERP_PROTOCOL_VERSION  2
#define DERP_PACKET_MAX        65536 /* without keys and header */
#define DERP_BODY_MAX          (1 << 20)
#define DERP_INFO_MAX          (1 << 18) /* ClientInfo's body */
#define DERP_SEND_OVERHEAD     (DERP_HEADER_SIZE + KEY_SIZE)
#define DERP_SERVER_KEY_SIZE   (DERP_HEADER_SIZE + DERP_MAGIC_SIZE + KEY_SIZE)
#define DERP_PING_SIZE         8
#define DERP_RESTARTING_SIZE   (DERP_HEADER_SIZE + 8)
#define DERP_PEER_GONE_SIZE    (DERP_HEADER_SIZE + KEY_SIZE + 1)
#define DERP_PEER_PRESENT_SIZE (DERP_HEADER_SIZE + KEY_SIZE + 19)

typedef enum
{
  DERP_SERVER_KEY = 0x01,
  DERP_CLIENT_INFO = 0x02,
  DERP_SERVER_INFO = 0x03,
  DERP_SEND_PACKET = 0x04,
  DERP_RECV_PACKET = 0x05,
  DERP_KEEP_ALIVE = 0x06,
  DERP_NOTE_PREFERRED = 0x07,
  DERP_PEER_GONE = 0x08,
  DERP_PEER_PRESENT = 0x09,
  DERP_FORWARD_PACKET = 0x0a,
  DERP_WATCH_CONNS = 0x10,
  DERP_CLOSE_PEER = 0x11,
  DERP_PING = 0x12,
  DERP_PONG = 0x13,
  DERP_HEALTH = 0x14,
  DERP_RESTARTING = 0x15,
} DerpFrameType;

typedef enum
{
  DERP_GONE_DISCONNECTED = 0x00,
  DERP_GONE_NOT_HERE = 0x01,
} DerpGoneReason;

typedef enum
{
  DERP_PRESENT_REGULAR = 1 << 0,
  DERP_PRESENT_MESH = 1 << 1,
  DERP_PRESENT_PROBER = 1 << 2,
  DERP_PRESENT_NOT_IDEAL = 1 << 3,
} DerpPresentFlags;

/* A relay server's key. */
typedef struct
{
  uint8_t bytes[KEY_SIZE];
} DerpPublic;

typedef struct
{
  uint8_t type;
  const uint8_t *body; /* borrowed from the reader's input */
  size_t size;
} DerpFrame;

typedef enum
{
  DERP_READ_MORE,  /* the frame is not complete yet */
  DERP_READ_FRAME, /* one frame was read */
  DERP_READ_ERROR, /* the stream breaks a limit and must be closed */
} DerpReadResult;

/* Takes the first frame of SIZE bytes at BYTES. On DERP_READ_FRAME *USED is what it occupies. On
 * DERP_READ_MORE *USED is 0 and the caller keeps the bytes. BODY_MAX is the role's limit. */
DerpReadResult
derp_frame_read (const void *bytes, size_t size, size_t body_max, DerpFrame *frame, size_t *used);

void derp_header_encode (DerpFrameType type, size_t body_size, uint8_t out[DERP_HEADER_SIZE]);

/* ServerKey. Parsing checks the magic and ignores what follows the key. */
void derp_server_key_encode (const DerpPublic *key, uint8_t out[DERP_SERVER_KEY_SIZE]);
bool derp_server_key_parse (const DerpFrame *frame, DerpPublic *key);

/* ClientInfo: KEY in clear, then JSON sealed with SHARED (box_shared of node and server key).
 * Returns the whole frame's size, 0 when it does not fit. */
size_t derp_client_info_encode (const NodePublic *key, const uint8_t shared[32],
                                const uint8_t nonce[BOX_NONCE_SIZE], const void *json,
                                size_t json_size, void *out, size_t capacity);

/* Takes a ClientInfo apart without opening it; false when sizes are wrong or the key is zero. BOX
 * is borrowed. */
bool derp_client_info_parse (const DerpFrame *frame, NodePublic *key, const uint8_t **nonce,
                             const uint8_t **box, size_t *box_size);

/* ServerInfo: sealed JSON. Opening writes at most CAPACITY bytes to JSON and returns their number,
 * 0 when the box is not authentic, too short or too large. */
size_t derp_server_info_encode (const uint8_t shared[32], const uint8_t nonce[BOX_NONCE_SIZE],
                                const void *json, size_t json_size, void *out, size_t capacity);
size_t derp_server_info_open (const DerpFrame *frame, const uint8_t shared[32], void *json,
                              size_t capacity);

/* Header and key of SendPacket (client: destination) and RecvPacket (server: source); the packet
 * itself follows. */
void derp_send_packet_head (const NodePublic *destination, size_t packet_size,
                            uint8_t out[DERP_SEND_OVERHEAD]);
void derp_recv_packet_head (const NodePublic *source, size_t packet_size,
                            uint8_t out[DERP_SEND_OVERHEAD]);

/* Header and keys of ForwardPacket, between the relays of a region. */
#define DERP_FORWARD_OVERHEAD (DERP_SEND_OVERHEAD + KEY_SIZE)
void derp_forward_packet_head (const NodePublic *source, const NodePublic *destination,
                               size_t packet_size, uint8_t out[DERP_FORWARD_OVERHEAD]);

/* Key and packet of a SendPacket or RecvPacket; PACKET is borrowed. */
bool derp_packet_parse (const DerpFrame *frame, NodePublic *key, const uint8_t **packet,
                        size_t *packet_size);

bool derp_peer_gone_parse (const DerpFrame *frame, NodePublic *key, DerpGoneReason *reason);
void derp_peer_gone_encode (const NodePublic *key, DerpGoneReason reason,
                            uint8_t out[DERP_PEER_GONE_SIZE]);

/* Restarting: come back in so many milliseconds, and try for so many. */
bool derp_restarting_parse (const DerpFrame *frame, uint32_t *reconnect_ms, uint32_t *try_ms);
void
derp_restarting_encode (uint32_t reconnect_ms, uint32_t try_ms, uint8_t out[DERP_RESTARTING_SIZE]);

void derp_peer_present_encode (const NodePublic *key, const IpPort *at, uint8_t flags,
                               uint8_t out[DERP_PEER_PRESENT_SIZE]);

/* "Disco-looking": what may be answered by PeerGone and is queued ahead of data. */
bool derp_packet_is_disco (const void *packet, size_t size);
