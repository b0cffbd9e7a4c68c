/* STUN binding requests and responses, as far as tailnets use them (RFC 5389).
 *
 * Codec of both roles: a client asks which address its packets come from, a server tells it.
 * spec/path-finding.md §7, spec/derp.md §8. No state. Any thread. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STUN_TX_ID_SIZE   12
#define STUN_REQUEST_SIZE 40
#define STUN_RESPONSE_MAX 44 /* 32 for an IPv4 client */
#define STUN_DEFAULT_PORT 3478

typedef struct
{
  uint8_t bytes[STUN_TX_ID_SIZE];
} StunTxId;

/* True when BYTES are a STUN binding message: tested before anything else on a shared socket. */
bool stun_looks_like (const void *bytes, size_t size);

/* Writes the one request that official servers answer. */
void stun_encode_request (const StunTxId *tx_id, uint8_t out[STUN_REQUEST_SIZE]);

/* True for a request with the right SOFTWARE and, last, the right FINGERPRINT. */
bool stun_parse_request (const void *bytes, size_t size, StunTxId *tx_id);

/* Writes the answer for a client that was seen at SOURCE; returns 32 or 44. */
size_t
stun_encode_response (const StunTxId *tx_id, const IpPort *source, uint8_t out[STUN_RESPONSE_MAX]);

/* Reads a success response: its id and the address it tells, IPv4 unmapped. */
bool stun_parse_response (const void *bytes, size_t size, StunTxId *tx_id, IpPort *mapped);
