#include "wireguard/device-internal.h"

#include <sodium.h>
#include <string.h>

/* In a tailnet the pre-shared key is always zero. */
static const uint8_t zero_psk[WG_PSK_SIZE];

static void
write_source_id (const WgSource *source, uint8_t out[WG_SOURCE_ID_SIZE])
{
  ByteWriter w = byte_writer (out, WG_SOURCE_ID_SIZE);

  switch (source->kind) {
    case WG_SOURCE_UDP:
      byte_writer_u8 (&w, source->addr.addr.family);
      byte_writer_copy (&w, source->addr.addr.bytes, sizeof source->addr.addr.bytes);
      byte_writer_be16 (&w, source->addr.port);
      byte_writer_zero (&w, WG_SOURCE_ID_SIZE - w.pos);
      break;
    case WG_SOURCE_DERP:
      byte_writer_u8 (&w, 0);
      byte_writer_copy (&w, source->derp_key.bytes, KEY_SIZE);
      break;
  }
}

/* Counts a message whose mac1 is right. Under load its source must first show, by mac2, that it
 * receives what we send to it; if it did not, it is told how. */
static bool
admit (WgDevice *device, const uint8_t *bytes, size_t size, const WgSource *source, int64_t now_us)
{
  uint8_t source_id[WG_SOURCE_ID_SIZE];
  WgCookieReply reply;

  if (!wg_load_count (&device->load, now_us))
    return true;
  write_source_id (source, source_id);
  if (wg_mac2_valid (&device->cookie_secret, bytes, size, source_id, now_us)) {
    if (wg_load_admit_source (&device->load, source_id, now_us))
      return true;
    device->stats.dropped_load++;
    return false;
  }
  device->stats.dropped_load++;
  device->stats.cookies_sent++;
  wg_cookie_reply_create (&device->cookie_secret, &device->identity, device->random, bytes, size,
                          source_id, now_us, &reply);
  WgAction *action = wg_device_push (device, WG_ACTION_SEND, NULL);
  action->send.to_source = true;
  action->send.source = *source;
  memcpy (action->send.bytes, &reply, sizeof reply);
  action->send.size = sizeof reply;
  return false;
}

static void
push_authentic (WgDevice *device, const WgActivePeer *peer, const WgSource *source)
{
  wg_device_push (device, WG_ACTION_AUTHENTIC, peer)->authentic = *source;
}

static void
push_install (WgDevice *device, WgActivePeer *peer, WgSessionKeys *keys, int64_t now_us)
{
  keys->created_us = now_us;
  wg_device_push (device, WG_ACTION_INSTALL, peer)->install = *keys;
  peer->n_sessions++;
  device->stats.sessions++;
}

/* Message 1 is from PEER and new: message 2 and a session that the peer's first data confirms. */
static void
respond (WgDevice *device, WgActivePeer *peer, const WgResponder *state, const WgSource *source,
         int64_t now_us)
{
  WgIndexTable *indices = device->indices[peer->worker];
  WgEphemeral ephemeral;
  WgSessionKeys keys;
  WgResponse message;

  uint32_t index = wg_index_table_allocate (indices, device->random, peer);
  if (index == 0) {
    device->stats.dropped_load++;
    return;
  }
  wg_device_take_ephemeral (device, &ephemeral);
  if (!wg_response_create (&peer->remote, state, &ephemeral, zero_psk, index, &message, &keys)) {
    wg_index_table_remove (indices, index);
    device->stats.dropped_bad++;
  } else {
    wg_macs_add (&peer->remote, &peer->jar, (uint8_t *)&message, sizeof message, now_us);
    push_authentic (device, peer, source);
    push_install (device, peer, &keys, now_us);
    WgAction *action = wg_device_push (device, WG_ACTION_SEND, peer);
    action->send.source = *source;
    memcpy (action->send.bytes, &message, sizeof message);
    action->send.size = sizeof message;
    peer->sent_us = now_us;
    device->stats.responses_sent++;
  }
  sodium_memzero (&ephemeral, sizeof ephemeral);
  sodium_memzero (&keys, sizeof keys);
}

/* Whether message 1 of KNOWN is authentic, new and not too soon. REMOTE is KNOWN's. */
static bool
accept_initiation (WgDevice *device, WgKnownPeer *known, const WgRemote *remote,
                   const WgInitiation *message, WgResponder *state, int64_t now_us)
{
  if (!wg_initiation_open_timestamp (remote, message, state)) {
    device->stats.dropped_bad++;
    return false;
  }
  /* The same message came over UDP and over the relay, or somebody replays an old one. */
  if (memcmp (state->timestamp, known->last_timestamp, WG_TIMESTAMP_SIZE) <= 0) {
    device->stats.dropped_replay++;
    return false;
  }
  if (known->active && known->active->accepted_us
      && now_us - known->active->accepted_us < WG_INITIATION_INTERVAL_US) {
    device->stats.dropped_rate++;
    return false;
  }
  return true;
}

static void
receive_initiation (WgDevice *device, const WgInitiation *message, const WgSource *source,
                    int64_t now_us)
{
  WgResponder state;
  WgRemote remote;

  if (!wg_initiation_open_static (&device->identity, message, &state)) {
    device->stats.dropped_bad++;
    sodium_memzero (&state, sizeof state);
    return;
  }
  WgKnownPeer *known = wg_known_peers_find (&device->known, &state.static_key);
  if (!known || !known->allowed) {
    device->stats.dropped_unknown++;
    sodium_memzero (&state, sizeof state);
    return;
  }
  /* Anybody can claim to be a known node: only proof makes state for it. */
  bool ok = true;
  if (known->active)
    remote = known->active->remote;
  else
    ok = wg_remote_init (&remote, &device->identity, &known->key);
  if (ok && accept_initiation (device, known, &remote, message, &state, now_us)) {
    WgActivePeer *peer = wg_device_activate (device, known, &remote);
    memcpy (known->last_timestamp, state.timestamp, WG_TIMESTAMP_SIZE);
    peer->accepted_us = now_us;
    respond (device, peer, &state, source, now_us);
    wg_device_release (device, peer);
  }
  sodium_memzero (&state, sizeof state);
  sodium_memzero (&remote, sizeof remote);
}

/* The peer whose unanswered message 1 had INDEX; counts what is not there. */
static WgActivePeer *
find_initiator (WgDevice *device, uint32_t index)
{
  WgActivePeer *peer = wg_device_by_index (device, index);

  if (peer && peer->initiator_set && peer->initiator.local_index == index)
    return peer;
  if (peer)
    device->stats.dropped_replay++; /* answered already: the index is a session's */
  else
    device->stats.dropped_unknown++;
  return NULL;
}

static void
receive_response (WgDevice *device, WgActivePeer *peer, const WgResponse *message,
                  const WgSource *source, int64_t now_us)
{
  WgSessionKeys keys;

  if (!wg_response_open (&device->identity, &peer->initiator, zero_psk, message, &keys)) {
    device->stats.dropped_bad++;
    sodium_memzero (&keys, sizeof keys);
    return;
  }
  /* The index lives on as the session's. */
  sodium_memzero (&peer->initiator, sizeof peer->initiator);
  peer->initiator_set = false;
  wg_device_attempt_done (device, peer, now_us);
  push_authentic (device, peer, source);
  push_install (device, peer, &keys, now_us);
  sodium_memzero (&keys, sizeof keys);
}

static void
receive_cookie (WgDevice *device, const WgCookieReply *message, int64_t now_us)
{
  WgActivePeer *peer = wg_device_by_index (device, load_le32 (&message->receiver));

  if (!peer || peer->detached)
    device->stats.dropped_unknown++;
  else if (!wg_cookie_reply_open (&peer->remote, &peer->jar, message, now_us))
    device->stats.dropped_bad++;
}

void
wg_device_datagram (WgDevice *device, const uint8_t *bytes, size_t size, const WgSource *source,
                    int64_t now_us)
{
  WgMessageType type = wg_message_classify (bytes, size);
  WgInitiation initiation;
  WgResponse response;
  WgCookieReply cookie;

  if ((type == WG_MESSAGE_INITIATION || type == WG_MESSAGE_RESPONSE)
      && !wg_mac1_valid (&device->identity, bytes, size)) {
    device->stats.dropped_mac1++;
    return;
  }
  switch (type) {
    case WG_MESSAGE_INITIATION:
      memcpy (&initiation, bytes, sizeof initiation);
      if (admit (device, bytes, size, source, now_us))
        receive_initiation (device, &initiation, source, now_us);
      break;
    case WG_MESSAGE_RESPONSE: {
      memcpy (&response, bytes, sizeof response);
      WgActivePeer *peer = find_initiator (device, load_le32 (&response.receiver));
      if (peer && admit (device, bytes, size, source, now_us))
        receive_response (device, peer, &response, source, now_us);
      break;
    }
    case WG_MESSAGE_COOKIE:
      memcpy (&cookie, bytes, sizeof cookie);
      receive_cookie (device, &cookie, now_us);
      break;
    case WG_MESSAGE_DATA:
    case WG_MESSAGE_NONE:
      device->stats.dropped_malformed++;
      break;
  }
}
