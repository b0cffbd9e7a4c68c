/* What arrives as a message of type 1, 2 or 3, from strangers and from peers that know their keys.
 *
 * The input is a list of steps: one byte that says what happens, then its argument. Raw datagrams
 * come as they are or with a repaired mac1; a real peer answers, calls and sends cookies, with one
 * byte of its message changed. The device has the private key of the specification's responder. */
#include "wireguard/cookie.h"
#include "wireguard/device.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define MAX_STEPS 14
#define MAX_FLOOD 250 /* in all: more costs time and shows nothing new */

enum
{
  STEP_RAW,
  STEP_MAC1,
  STEP_INITIATION,
  STEP_RESPONSE,
  STEP_COOKIE,
  STEP_WANT,
  STEP_CONFIRMED,
  STEP_ERASED,
  STEP_PEER,
  STEP_TIME,
  STEP_KEY,
  STEP_FLOOD,
  N_STEPS,
};

typedef struct
{
  WgDevice *device;
  WgIdentity self;
  WgIdentity peer;
  WgRemote self_as_remote; /* as the peer sees it */
  WgRemote peer_as_remote; /* as the device sees it */
  WgCookieJar jar;
  uint8_t last_sent[WG_INITIATION_SIZE]; /* by the device to the peer */
  size_t last_size;
  uint8_t cookie_reply[WG_COOKIE_REPLY_SIZE];
  bool have_cookie_reply;
  uint32_t installed; /* last local index */
  uint64_t clock;     /* of the peer, for timestamps */
  int64_t now_us;
  unsigned flooded;
  bool from_stranger; /* the message of this step had a wrong mac1 */
} Fuzz;

static void
drain (Fuzz *f)
{
  WgAction action;
  unsigned n = 0;

  while (wg_device_next_action (f->device, &action)) {
    assert (++n < 64);
    assert (!f->from_stranger);
    switch (action.type) {
      case WG_ACTION_SEND:
        assert (action.send.size <= sizeof action.send.bytes);
        if (action.send.to_source) {
          assert (action.send.size == WG_COOKIE_REPLY_SIZE);
          memcpy (f->cookie_reply, action.send.bytes, sizeof f->cookie_reply);
          f->have_cookie_reply = true;
        } else {
          memcpy (f->last_sent, action.send.bytes, action.send.size);
          f->last_size = action.send.size;
        }
        break;
      case WG_ACTION_INSTALL:
        f->installed = action.install.local_index;
        break;
      default:
        break;
    }
    wg_action_clear (&action);
  }
  WgDeviceStats stats = wg_device_stats (f->device);
  assert (stats.active_peers <= stats.known_peers + stats.indices);
  assert (stats.indices <= stats.sessions + 1);
}

static void
input (Fuzz *f, const WgEvent *event)
{
  wg_device_input (f->device, event, f->now_us);
  drain (f);
}

static void
datagram (Fuzz *f, const void *bytes, size_t size, uint8_t place)
{
  WgEvent event = {.type = WG_EVENT_DATAGRAM, .datagram = {.bytes = bytes, .size = size}};
  WgSource *source = &event.datagram.source;
  WgMessageType type = wg_message_classify (bytes, size);

  source->kind = place & 1 ? WG_SOURCE_DERP : WG_SOURCE_UDP;
  source->addr.addr = ip_from_v4 (place);
  if (place & 2) {
    memset (source->addr.addr.bytes, place, 16);
    source->addr.addr.family = 6;
  }
  f->from_stranger = (type == WG_MESSAGE_INITIATION || type == WG_MESSAGE_RESPONSE)
                     && !wg_mac1_valid (&f->self, bytes, size);
  input (f, &event);
  f->from_stranger = false;
}

/* Changes one byte of MESSAGE as the fuzzer says, gives it right macs and hands it in. */
static void
spoil_and_send (Fuzz *f, uint8_t *message, size_t size, ByteReader *r)
{
  size_t at = byte_reader_u8 (r);
  uint8_t change = byte_reader_u8 (r);

  if (at >= 4 && at < size)
    message[at] ^= change;
  if (size != WG_COOKIE_REPLY_SIZE)
    wg_macs_add (&f->self_as_remote, &f->jar, message, size, f->now_us);
  datagram (f, message, size, byte_reader_u8 (r));
}

static void
raw (Fuzz *f, ByteReader *r, bool repair)
{
  uint8_t copy[256];
  uint8_t place = byte_reader_u8 (r);
  size_t size = byte_reader_u8 (r);
  const uint8_t *bytes = byte_reader_take (r, size);

  if (!bytes)
    return;
  memcpy (copy, bytes, size);
  if (repair && size >= 2 * WG_MAC_SIZE)
    wg_macs_add (&f->self_as_remote, &f->jar, copy, size, f->now_us);
  datagram (f, copy, size, place);
}

static void
initiation (Fuzz *f, ByteReader *r)
{
  static const uint8_t private_key[KEY_SIZE] = {8, [31] = 0x40};
  uint8_t timestamp[WG_TIMESTAMP_SIZE] = {0};
  WgEphemeral ephemeral;
  WgInitiation message;
  WgInitiator state;

  f->clock += byte_reader_u8 (r) % 4;
  store_be64 (timestamp, f->clock);
  wg_ephemeral_init (&ephemeral, private_key);
  if (wg_initiation_create (&f->peer, &f->self_as_remote, &ephemeral, timestamp, byte_reader_u8 (r),
                            &message, &state))
    spoil_and_send (f, (uint8_t *)&message, sizeof message, r);
}

static void
response (Fuzz *f, ByteReader *r)
{
  static const uint8_t private_key[KEY_SIZE] = {16, [31] = 0x40}, psk[WG_PSK_SIZE];
  WgEphemeral ephemeral;
  WgInitiation message1;
  WgResponse message2;
  WgResponder state;
  WgSessionKeys keys;

  if (f->last_size != sizeof message1)
    return;
  memcpy (&message1, f->last_sent, sizeof message1);
  wg_ephemeral_init (&ephemeral, private_key);
  if (wg_initiation_open_static (&f->peer, &message1, &state)
      && wg_initiation_open_timestamp (&f->self_as_remote, &message1, &state)
      && wg_response_create (&f->self_as_remote, &state, &ephemeral, psk, 7, &message2, &keys))
    spoil_and_send (f, (uint8_t *)&message2, sizeof message2, r);
}

static void
cookie (Fuzz *f, ByteReader *r)
{
  uint8_t source[WG_SOURCE_ID_SIZE] = {4};
  SeededRandom random;
  WgCookieSecret secret;
  WgCookieReply reply;

  if (f->last_size == 0)
    return;
  seeded_random_init (&random, 5);
  wg_cookie_secret_init (&secret);
  wg_cookie_reply_create (&secret, &f->peer, &random.base, f->last_sent, f->last_size, source,
                          f->now_us, &reply);
  spoil_and_send (f, (uint8_t *)&reply, sizeof reply, r);
}

/* Takes the last cookie the device gave, and then more messages than it answers without one. */
static void
flood (Fuzz *f, ByteReader *r)
{
  uint8_t message[WG_RESPONSE_SIZE] = {WG_MESSAGE_RESPONSE};
  WgCookieReply reply;
  uint8_t count = byte_reader_u8 (r);

  if (f->have_cookie_reply) {
    memcpy (&reply, f->cookie_reply, sizeof reply);
    (void)wg_cookie_reply_open (&f->self_as_remote, &f->jar, &reply, f->now_us);
  }
  if (f->last_size == WG_INITIATION_SIZE)
    memcpy (message + 8, f->last_sent + 4, 4);
  wg_macs_add (&f->self_as_remote, &f->jar, message, sizeof message, f->now_us);
  for (; count > 0 && f->flooded < MAX_FLOOD; count--, f->flooded++)
    datagram (f, message, sizeof message, 0);
}

static void
step (Fuzz *f, ByteReader *r)
{
  WgPeerChange change = {.key = f->peer.public_key};
  WgEvent event = {0};

  switch (byte_reader_u8 (r) % N_STEPS) {
    case STEP_RAW:
      raw (f, r, false);
      break;
    case STEP_MAC1:
      raw (f, r, true);
      break;
    case STEP_INITIATION:
      initiation (f, r);
      break;
    case STEP_RESPONSE:
      response (f, r);
      break;
    case STEP_COOKIE:
      cookie (f, r);
      break;
    case STEP_WANT:
      event = (WgEvent){.type = WG_EVENT_WANT_HANDSHAKE, .want = {f->peer.public_key, f->now_us}};
      input (f, &event);
      break;
    case STEP_CONFIRMED:
      event = (WgEvent){.type = WG_EVENT_SESSION_CONFIRMED, .local_index = f->installed};
      input (f, &event);
      break;
    case STEP_ERASED:
      event = (WgEvent){.type = WG_EVENT_SESSION_ERASED, .local_index = f->installed};
      input (f, &event);
      break;
    case STEP_PEER:
      change.op = byte_reader_u8 (r) % 3;
      event = (WgEvent){.type = WG_EVENT_PEERS, .peers = {&change, 1}};
      input (f, &event);
      break;
    case STEP_TIME:
      f->now_us += (INT64_C (1) << byte_reader_u8 (r) % 34);
      input (f, &(WgEvent){.type = WG_EVENT_TICK});
      break;
    case STEP_KEY:
      event = (WgEvent){.type = WG_EVENT_PRIVATE_KEY, .private_key = {.key = &f->self.private_key}};
      input (f, &event);
      break;
    case STEP_FLOOD:
      flood (f, r);
      break;
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Fuzz f = {.now_us = USEC_PER_SEC, .clock = UINT64_C (0x4000000000000000)};
  NodePrivate peer_key = {.bytes = {0, 1, 2, 3, [31] = 0x5f}};
  WgDeviceConfig config = {.n_workers = 2, .wall_time = {1767225600, 0}, .now_us = f.now_us};
  SeededRandom random;

  for (int i = 0; i < 32; i++)
    config.private_key.bytes[i] = (uint8_t)(32 + i);
  config.private_key.bytes[31] |= 0x40;
  seeded_random_init (&random, 1);
  f.device = wg_device_new (&config, &random.base);
  wg_identity_init (&f.self, &config.private_key);
  wg_identity_init (&f.peer, &peer_key);
  if (!wg_remote_init (&f.self_as_remote, &f.peer, &f.self.public_key)
      || !wg_remote_init (&f.peer_as_remote, &f.self, &f.peer.public_key))
    return 0;
  WgPeerChange change = {.key = f.peer.public_key, .op = WG_PEER_ALLOW};
  input (&f, &(WgEvent){.type = WG_EVENT_PEERS, .peers = {&change, 1}});

  ByteReader r = byte_reader (data, size);
  for (int n = 0; n < MAX_STEPS && byte_reader_left (&r) > 0; n++)
    step (&f, &r);
  wg_device_free (f.device);
  return 0;
}
