#include "wireguard/session.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

WgSession *
wg_session_new (const WgSessionKeys *keys, WgPeer *peer)
{
  WgSession *session = aligned_alloc (_Alignof(WgSession), sizeof *session);

  if (!session)
    abort ();
  memset (session, 0, sizeof *session);
  memcpy (session->send_key, keys->send_key, sizeof session->send_key);
  memcpy (session->receive_key, keys->receive_key, sizeof session->receive_key);
  session->local_index = keys->local_index;
  session->remote_index = keys->remote_index;
  session->created_us = keys->created_us;
  session->initiator = keys->initiator;
  session->peer = peer;
  wg_replay_init (&session->replay);
  return session;
}

void
wg_session_free (WgSession *session)
{
  if (!session)
    return;
  sodium_memzero (session, sizeof *session);
  free (session);
}

bool
wg_session_can_send (const WgSession *session, int64_t now_us)
{
  return now_us - session->created_us < WG_REJECT_AFTER_TIME_US
         && atomic_load_explicit (&session->send_counter, memory_order_relaxed)
                < WG_REJECT_AFTER_MESSAGES;
}

uint32_t
wg_session_reserve (WgSession *session, int64_t now_us, uint32_t count, uint64_t *first)
{
  if (!wg_session_can_send (session, now_us))
    return 0;
  /* The room above the limit is larger than what all workers can add before they see it. */
  uint64_t start = atomic_fetch_add_explicit (&session->send_counter, count, memory_order_relaxed);
  if (start >= WG_REJECT_AFTER_MESSAGES)
    return 0;
  *first = start;
  uint64_t left = WG_REJECT_AFTER_MESSAGES - start;
  return left < count ? (uint32_t)left : count;
}

WgReceiveCheck
wg_session_check (const WgSession *session, uint64_t counter, int64_t now_us)
{
  if (now_us - session->created_us > WG_REJECT_AFTER_TIME_US)
    return WG_RECEIVE_EXPIRED;
  if (counter >= WG_REJECT_AFTER_MESSAGES)
    return WG_RECEIVE_LIMIT;
  return wg_replay_check (&session->replay, counter) ? WG_RECEIVE_OK : WG_RECEIVE_REPLAY;
}

bool
wg_session_accept (WgSession *session, uint64_t counter)
{
  return wg_replay_accept (&session->replay, counter);
}
