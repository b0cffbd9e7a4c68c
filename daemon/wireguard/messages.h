/* WireGuard's datagrams: layouts, sizes, limits and times in one place.
 *
 * Sorts and measures datagrams; does no cryptography. All integers are little-endian.
 * spec/wireguard-dataplane.md §2, §4.3-4.5, §5. Any thread. */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WG_MAC_SIZE       16
#define WG_TIMESTAMP_SIZE 12
#define WG_COOKIE_SIZE    16
#define WG_PSK_SIZE       32

typedef enum
{
  WG_MESSAGE_NONE = 0, /* not WireGuard, or a length that its type cannot have */
  WG_MESSAGE_INITIATION = 1,
  WG_MESSAGE_RESPONSE = 2,
  WG_MESSAGE_COOKIE = 3,
  WG_MESSAGE_DATA = 4,
} WgMessageType;

typedef struct __attribute__ ((packed))
{
  uint32_t type;   /* LE, reserved bytes included */
  uint32_t sender; /* LE, the initiator's index */
  uint8_t ephemeral[KEY_SIZE];
  uint8_t sealed_static[KEY_SIZE + AEAD_TAG_SIZE];
  uint8_t sealed_timestamp[WG_TIMESTAMP_SIZE + AEAD_TAG_SIZE];
  uint8_t mac1[WG_MAC_SIZE];
  uint8_t mac2[WG_MAC_SIZE];
} WgInitiation;

typedef struct __attribute__ ((packed))
{
  uint32_t type;
  uint32_t sender;   /* the responder's index */
  uint32_t receiver; /* the initiation's sender */
  uint8_t ephemeral[KEY_SIZE];
  uint8_t sealed_nothing[AEAD_TAG_SIZE];
  uint8_t mac1[WG_MAC_SIZE];
  uint8_t mac2[WG_MAC_SIZE];
} WgResponse;

typedef struct __attribute__ ((packed))
{
  uint32_t type;
  uint32_t receiver; /* the sender of the message answered */
  uint8_t nonce[24];
  uint8_t sealed_cookie[WG_COOKIE_SIZE + AEAD_TAG_SIZE];
} WgCookieReply;

typedef struct __attribute__ ((packed))
{
  uint32_t type;
  uint32_t receiver;
  uint64_t counter;
} WgTransportHeader;

#define WG_INITIATION_SIZE       148
#define WG_RESPONSE_SIZE         92
#define WG_COOKIE_REPLY_SIZE     64
#define WG_TRANSPORT_HEADER_SIZE 16
#define WG_TRANSPORT_MIN_SIZE    32 /* header and tag: a keepalive */
#define WG_TRANSPORT_OVERHEAD    32
#define WG_HEADROOM              8 /* room kept before a message for the header of a peer relay */
#define WG_PADDING               16

_Static_assert(sizeof (WgInitiation) == WG_INITIATION_SIZE, "initiation layout");
_Static_assert(sizeof (WgResponse) == WG_RESPONSE_SIZE, "response layout");
_Static_assert(sizeof (WgCookieReply) == WG_COOKIE_REPLY_SIZE, "cookie reply layout");
_Static_assert(sizeof (WgTransportHeader) == WG_TRANSPORT_HEADER_SIZE, "transport layout");

#define WG_REKEY_AFTER_MESSAGES   (UINT64_C (1) << 60)
#define WG_REJECT_AFTER_MESSAGES  (UINT64_MAX - (UINT64_C (1) << 13)) /* 2^64 - 2^13 - 1 */
#define WG_REKEY_AFTER_TIME_US    (120 * USEC_PER_SEC)
#define WG_REKEY_AFTER_RECEIVE_US (165 * USEC_PER_SEC)
#define WG_REJECT_AFTER_TIME_US   (180 * USEC_PER_SEC)
#define WG_ERASE_AFTER_TIME_US    (3 * WG_REJECT_AFTER_TIME_US)
#define WG_REKEY_TIMEOUT_US       (5 * USEC_PER_SEC)
#define WG_REKEY_ATTEMPT_TIME_US  (90 * USEC_PER_SEC)
#define WG_KEEPALIVE_TIMEOUT_US   (10 * USEC_PER_SEC)
#define WG_JITTER_US              (334 * USEC_PER_MSEC) /* uniform below this */
#define WG_COOKIE_LIFE_US         (120 * USEC_PER_SEC)
#define WG_INITIATION_INTERVAL_US (20 * USEC_PER_MSEC) /* accepted from one peer */
#define WG_UNDER_LOAD_HOLD_US     (1 * USEC_PER_SEC)

/* What DATA is, by its first word and its length alone. Shorter than 32 bytes is never WireGuard.
 */
WgMessageType wg_message_classify (const void *data, size_t size);

/* A transport message taken apart. */
typedef struct
{
  uint32_t receiver; /* our index */
  uint64_t counter;
  size_t sealed_offset; /* where ciphertext and tag begin */
  size_t sealed_size;   /* >= 16 */
} WgTransport;

/* Reads the header of a message of type WG_MESSAGE_DATA; false for anything else. */
bool wg_transport_parse (const void *data, size_t size, WgTransport *out);

/* Writes the 16 bytes in front of the ciphertext. */
void wg_transport_write (void *out, uint32_t receiver, uint64_t counter);

/* The size to which an inner packet of SIZE bytes is zero-padded: a multiple of 16, but never above
 * MTU, and never below SIZE. */
size_t wg_padded_size (size_t size, size_t mtu);

/* How many bytes of a decrypted message are the IP packet; the rest is padding of any content. 0
 * for a keepalive (SIZE 0), -1 when the bytes are no IP packet or claim more than is there. */
ptrdiff_t wg_inner_size (const void *plain, size_t size);
