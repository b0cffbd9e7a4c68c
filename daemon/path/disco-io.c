/* Sealing what goes out, and deciding what of that which comes in may be believed: the checks of
 * spec/path-finding.md §4. */
#include "path/internal.h"

#include "base/crypto.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define RELAY_PSEUDO_IP 0x7f030328u /* 127.3.3.40: the address of relay number "port" */

bool
path_udp_allowed (const Path *path)
{
  return path->disco_private && !path->knobs.only_tcp_443;
}

const uint8_t *
path_shared_key (Path *path, PeerRecord *record)
{
  if (!record->shared && path->disco_private && !key_zero (&record->disco_key)) {
    record->shared = mem_new (KEY_SIZE);
    if (!box_shared (path->disco_private, record->disco_key.bytes, record->shared)) {
      free (record->shared);
      record->shared = NULL;
    }
  }
  return record->shared;
}

/* The packet in memory of its own; NULL when there is no key to seal it with. */
static uint8_t *
seal (Path *path, PeerRecord *record, const DiscoMessage *message, size_t *size)
{
  const uint8_t *shared = path_shared_key (path, record);
  uint8_t nonce[BOX_NONCE_SIZE];

  if (!shared)
    return NULL;
  *size = disco_sealed_size (message);
  uint8_t *packet = mem_new (*size);
  random_fill (path->random, nonce, sizeof nonce);
  if (disco_seal (message, &path->disco_public, shared, nonce, packet, *size) == 0) {
    free (packet);
    return NULL;
  }
  return packet;
}

void
path_send_disco (Path *path, PeerRecord *record, const DiscoMessage *message, const IpPort *to,
                 uint32_t side)
{
  size_t size;
  uint8_t *packet = path_udp_allowed (path) ? seal (path, record, message, &size) : NULL;

  if (!packet)
    return;
  PathAction *action = actions_add (&path->actions, PATH_ACTION_SEND_UDP);
  action->send_udp.destination = *to;
  action->send_udp.side = side;
  action->send_udp.data = packet;
  action->send_udp.size = size;
}

void
path_relay_disco (Path *path, PeerRecord *record, const DiscoMessage *message, uint16_t region)
{
  size_t size;
  uint8_t *packet = seal (path, record, message, &size);

  if (!packet)
    return;
  relays_want (path->relays, region, path->now_us);
  PathAction *action = actions_add (&path->actions, PATH_ACTION_SEND_RELAY);
  action->send_relay.region = region;
  action->send_relay.peer = record->key;
  action->send_relay.data = packet;
  action->send_relay.size = size;
}

/* ---- receiving ---- */

/* One packet on its way to whom it concerns. */
typedef struct
{
  DiscoPublic sender;
  const uint8_t *nonce;
  DiscoOrigin from;
  DiscoMessage message;
} Incoming;

/* The relay's word counts only for a peer that has the sender's disco key. */
static PeerRecord *
named_by_relay (Path *path, const Incoming *in)
{
  PeerRecord *record = in->from.node ? peer_table_find (&path->peers, in->from.node) : NULL;

  return record && key_same (&record->disco_key, &in->sender) ? record : NULL;
}

/* The one peer that sent a ping, or NULL when several share the key and nothing tells them apart.
 */
static PeerRecord *
pinging_peer (Path *path, const Incoming *in)
{
  PeerRecord *record = named_by_relay (path, in);

  if (record)
    return record;
  record = peer_table_find (&path->peers, &in->message.node_key);
  if (record && key_same (&record->disco_key, &in->sender))
    return record;
  record = peer_table_first_by_disco (&path->peers, &in->sender);
  return record && !peer_table_next_by_disco (record) ? record : NULL;
}

static void
pong_over_relay (Path *path, PeerRecord *record, const Incoming *in)
{
  DiscoMessage m = {.type = DISCO_PONG, .tx_id = in->message.tx_id};

  m.source.addr = ip_from_v4 (RELAY_PSEUDO_IP);
  m.source.port = in->from.region;
  path_relay_disco (path, record, &m, in->from.region);
}

static void
on_ping (Path *path, const Incoming *in)
{
  PeerRecord *record = pinging_peer (path, in);

  if (!in->from.source) {
    if (!record)
      record = peer_table_first_by_disco (&path->peers, &in->sender);
    if (record->path)
      record->path->last_heard_us = path->now_us;
    pong_over_relay (path, record, in);
    return;
  }
  PeerRecord *first = record ? record : peer_table_first_by_disco (&path->peers, &in->sender);
  if (peer_path_is_replay (path_of (path, first), in->nonce, in->from.source))
    return;
  if (record) {
    peer_path_got_ping (path, record->path, &in->message.tx_id, in->from.source, in->from.side);
    return;
  }
  /* Ambiguous: the address is a candidate for each of them. */
  for (record = first; record; record = peer_table_next_by_disco (record))
    peer_path_got_ping (path, path_of (path, record), &in->message.tx_id, in->from.source,
                        in->from.side);
}

static void
on_pong (Path *path, const Incoming *in)
{
  PeerRecord *record = peer_table_first_by_disco (&path->peers, &in->sender);

  while (
      record
      && !(record->path && peer_path_got_pong (path, record->path, &in->message, in->from.source)))
    record = peer_table_next_by_disco (record);
}

static void
on_call (Path *path, const Incoming *in)
{
  PeerRecord *record = in->from.source ? NULL : named_by_relay (path, in);

  if (record)
    peer_path_got_call (path, path_of (path, record), &in->message);
}

static void
dispatch (Path *path, const Incoming *in)
{
  switch (in->message.type) {
    case DISCO_PING:
      on_ping (path, in);
      break;
    case DISCO_PONG:
      on_pong (path, in);
      break;
    case DISCO_CALL_ME_MAYBE:
      on_call (path, in);
      break;
    case DISCO_BIND:
    case DISCO_BIND_CHALLENGE:
    case DISCO_BIND_ANSWER:
    case DISCO_CALL_ME_MAYBE_VIA:
    case DISCO_ALLOCATE_REQUEST:
    case DISCO_ALLOCATE_RESPONSE:
      break; /* of peer relays, which this node neither is nor uses */
  }
}

void
path_receive_disco (Path *path, const void *bytes, size_t size, const DiscoOrigin *origin)
{
  Incoming in = {.from = *origin};

  if (!path->disco_private || size < DISCO_OVERHEAD || size > DISCO_PACKET_MAX
      || (origin->source && path->knobs.only_tcp_443) || !disco_sender (bytes, size, &in.sender))
    return;
  PeerRecord *record = peer_table_first_by_disco (&path->peers, &in.sender);
  const uint8_t *shared = record ? path_shared_key (path, record) : NULL;
  if (!shared)
    return;
  in.nonce = (const uint8_t *)bytes + DISCO_MAGIC_SIZE + KEY_SIZE;
  uint8_t *inner = mem_resize (NULL, size);
  size_t inner_size = disco_open (bytes, size, shared, inner);
  if (inner_size > 0 && disco_parse (inner, inner_size, &in.message))
    dispatch (path, &in);
  free (inner);
}
