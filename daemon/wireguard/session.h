/* One pair of transport keys and what guards their use: age, counters, replay window.
 *
 * Encryption itself is tunnel's (seal.c, open.c). The sending half may be used by any worker while
 * it is published: keys and indices never change and the counter is atomic. The receiving half and
 * the slots (wireguard/peer.h) belong to the owner. spec/wireguard-dataplane.md §4. */
#pragma once

#include "wireguard/messages.h"
#include "wireguard/replay.h"

#include <stdatomic.h>

typedef struct WgPeer WgPeer;
typedef struct WgSession WgSession;

/* What a finished handshake yields; net hands it to the owner of the peer. Wipe after use. */
typedef struct
{
  uint8_t send_key[AEAD_KEY_SIZE];
  uint8_t receive_key[AEAD_KEY_SIZE];
  uint32_t local_index;  /* in packets to us */
  uint32_t remote_index; /* in packets to the peer */
  bool initiator;        /* we sent message 1 */
  int64_t created_us;    /* when the keys were derived */
} WgSessionKeys;

struct WgSession
{
  uint8_t send_key[AEAD_KEY_SIZE];
  uint8_t receive_key[AEAD_KEY_SIZE];
  uint32_t local_index;
  uint32_t remote_index;
  int64_t created_us;
  WgPeer *peer;
  WgSession *next_retired; /* list of sessions that left their slot, see wg_peer_take_retired */
  bool initiator;
  bool rekey_on_receive_done;                 /* the 165 s test has fired for this session */
  _Alignas(64) _Atomic uint64_t send_counter; /* next counter to use */
  _Alignas(64) WgReplay replay;
};

/* A session with KEYS for PEER. wg_session_free wipes it; NULL is allowed. */
WgSession *wg_session_new (const WgSessionKeys *keys, WgPeer *peer);
void wg_session_free (WgSession *session);

/* Reserves up to COUNT consecutive counters for a run of packets. Returns how many were granted and
 * sets *FIRST; 0 when the session is too old or used up: then stage the packets and ask for a
 * handshake. Any worker. */
uint32_t wg_session_reserve (WgSession *session, int64_t now_us, uint32_t count, uint64_t *first);

/* True while the session may be used for sending at NOW_US. */
bool wg_session_can_send (const WgSession *session, int64_t now_us);

typedef enum
{
  WG_RECEIVE_OK,
  WG_RECEIVE_EXPIRED, /* older than 180 s, or erased */
  WG_RECEIVE_LIMIT,   /* counter at or above WG_REJECT_AFTER_MESSAGES */
  WG_RECEIVE_REPLAY,  /* seen before or too far behind */
} WgReceiveCheck;

/* May a packet with COUNTER be decrypted? Before decryption; changes nothing. */
WgReceiveCheck wg_session_check (const WgSession *session, uint64_t counter, int64_t now_us);

/* After decryption succeeded: marks COUNTER as seen. False: a duplicate (for example the copy that
 * came over the relay), to be dropped without any other effect. */
bool wg_session_accept (WgSession *session, uint64_t counter);
