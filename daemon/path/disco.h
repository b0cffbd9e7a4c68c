/* The disco protocol: small sealed messages by which two nodes find a path to each other.
 *
 * Codec only: layouts, sealing and opening. It keeps no state and knows no peer; who may send what
 * is decided in path/path.c. spec/path-finding.md §3, §4. Any thread. */
#pragma once

#include "base/crypto.h"
#include "base/ip.h"
#include "base/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* packet: magic 6, sender's disco key 32, nonce 24, box (tag 16, then the inner message)
 * inner:  type 1, version 1 (always 0), payload */
#define DISCO_MAGIC_SIZE    6
#define DISCO_HEADER_SIZE   62 /* magic, key, nonce */
#define DISCO_OVERHEAD      80 /* header, tag, type, version */
#define DISCO_TX_ID_SIZE    12
#define DISCO_ENDPOINT_SIZE 18  /* address 16 (IPv4 mapped), port 2 */
#define DISCO_PING_SIZE     124 /* a ping with node key and no padding, on the wire */
#define DISCO_PACKET_MAX    65507
#define DISCO_ENDPOINTS_MAX 1024 /* endpoints of one message that are looked at */

typedef enum
{
  DISCO_PING = 1,
  DISCO_PONG = 2,
  DISCO_CALL_ME_MAYBE = 3,
  DISCO_BIND = 4,              /* Geneve control: client to relay server */
  DISCO_BIND_CHALLENGE = 5,    /* Geneve control: relay server to client */
  DISCO_BIND_ANSWER = 6,       /* Geneve control: client to relay server */
  DISCO_CALL_ME_MAYBE_VIA = 7, /* DERP only, as the two below */
  DISCO_ALLOCATE_REQUEST = 8,
  DISCO_ALLOCATE_RESPONSE = 9,
} DiscoType;

typedef struct
{
  uint8_t bytes[DISCO_TX_ID_SIZE];
} DiscoTxId;

typedef struct
{
  uint32_t vni;
  uint32_t generation;
  DiscoPublic remote_key; /* the other peer, not the relay server */
  uint8_t challenge[32];
} DiscoBind;

typedef struct
{
  DiscoPublic server_key;
  DiscoPublic client_keys[2]; /* sorted bytewise */
  uint64_t lamport_id;
  uint32_t vni;
  uint64_t bind_lifetime_ns;
  uint64_t steady_state_lifetime_ns;
} DiscoRelayEndpoint;

/* One message, parsed or to be encoded. Only the fields of its type mean anything. */
typedef struct
{
  DiscoType type;
  uint8_t version;
  DiscoTxId tx_id;                /* ping, pong */
  NodePublic node_key;            /* ping; zero: not given */
  size_t padding;                 /* ping: zero bytes behind the node key */
  IpPort source;                  /* pong: where the ping was seen to come from */
  DiscoBind bind;                 /* types 4 to 6 */
  DiscoRelayEndpoint relay;       /* types 7 and 9 */
  uint32_t generation;            /* types 8 and 9 */
  DiscoPublic client_keys[2];     /* type 8 */
  const uint8_t *endpoints;       /* parsed types 3, 7, 9: n_endpoints of 18 bytes, borrowed */
  const IpPort *encode_endpoints; /* the same for encoding, borrowed */
  size_t n_endpoints;
} DiscoMessage;

/* True when BYTES look like a disco packet: magic and a whole header. */
bool disco_looks_like (const void *bytes, size_t size);

/* The sender's disco key as the packet claims it; false unless disco_looks_like. */
bool disco_sender (const void *bytes, size_t size, DiscoPublic *out);

/* Endpoint number I (< n_endpoints) of a parsed message, IPv4 unmapped. */
IpPort disco_message_endpoint (const DiscoMessage *message, size_t i);

/* Reads an inner message. False: malformed or of a type that is not known. OUT borrows INNER. */
bool disco_parse (const void *inner, size_t size, DiscoMessage *out);

/* Writes the inner message; returns its size, 0 when it does not fit into CAPACITY. */
size_t disco_encode (const DiscoMessage *message, void *out, size_t capacity);

/* Size of the packet that disco_seal makes of MESSAGE. */
size_t disco_sealed_size (const DiscoMessage *message);

/* Makes a whole packet from OWN_KEY to the peer that shares SHARED (box_shared) with us, under
 * NONCE. Returns its size, 0 when it does not fit. */
size_t
disco_seal (const DiscoMessage *message, const DiscoPublic *own_key, const uint8_t shared[32],
            const uint8_t nonce[BOX_NONCE_SIZE], void *out, size_t capacity);

/* Opens a packet into INNER (room for SIZE - 78 bytes); returns the inner size, 0 when it is not
 * authentic. */
size_t disco_open (const void *packet, size_t size, const uint8_t shared[32], void *inner);
