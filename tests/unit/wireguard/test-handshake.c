#include "hex.h"
#include "vectors.h"
#include "wireguard/cookie.h"
#include "wireguard/timestamp.h"

#include <sodium.h>

static const uint8_t zero_psk[WG_PSK_SIZE];

typedef struct
{
  WgIdentity identity_i, identity_r;
  WgRemote remote_r, remote_i; /* R as I sees it, I as R sees it */
  WgEphemeral ephemeral_i, ephemeral_r;
  uint8_t timestamp[WG_TIMESTAMP_SIZE];
  WgInitiation message1;
  WgResponse message2;
  WgInitiator initiator;
  WgResponder responder;
  WgSessionKeys keys_i, keys_r;
} Vectors;

static void
run (Vectors *v, const uint8_t psk[WG_PSK_SIZE])
{
  uint8_t ephemeral[KEY_SIZE];
  NodePrivate private_i, private_r;
  WgCookieJar jar_i = {0}, jar_r = {0};

  memset (v, 0, sizeof *v);
  from_hex (V_PRIVATE_I, private_i.bytes, 32);
  from_hex (V_PRIVATE_R, private_r.bytes, 32);
  from_hex (V_EPHEMERAL_I, ephemeral, 32);
  wg_ephemeral_init (&v->ephemeral_i, ephemeral);
  from_hex (V_EPHEMERAL_R, ephemeral, 32);
  wg_ephemeral_init (&v->ephemeral_r, ephemeral);
  wg_timestamp_write ((WallTime){V_UNIX_TIME, V_UNIX_NANOS}, v->timestamp);
  wg_identity_init (&v->identity_i, &private_i);
  wg_identity_init (&v->identity_r, &private_r);
  g_assert_true (wg_remote_init (&v->remote_r, &v->identity_i, &v->identity_r.public_key));
  g_assert_true (wg_remote_init (&v->remote_i, &v->identity_r, &v->identity_i.public_key));

  g_assert_true (wg_initiation_create (&v->identity_i, &v->remote_r, &v->ephemeral_i, v->timestamp,
                                       V_INDEX_I, &v->message1, &v->initiator));
  wg_macs_add (&v->remote_r, &jar_i, (uint8_t *)&v->message1, sizeof v->message1, 1);
  g_assert_true (wg_initiation_open_static (&v->identity_r, &v->message1, &v->responder));
  g_assert_true (wg_initiation_open_timestamp (&v->remote_i, &v->message1, &v->responder));
  g_assert_true (wg_response_create (&v->remote_i, &v->responder, &v->ephemeral_r, psk, V_INDEX_R,
                                     &v->message2, &v->keys_r));
  wg_macs_add (&v->remote_i, &jar_r, (uint8_t *)&v->message2, sizeof v->message2, 1);
}

static void
test_public_values (void)
{
  Vectors v;

  run (&v, zero_psk);
  assert_hex (v.identity_i.public_key.bytes, 32, V_PUBLIC_I);
  assert_hex (v.identity_r.public_key.bytes, 32, V_PUBLIC_R);
  assert_hex (v.remote_r.hash, 32, V_H1);
  assert_hex (v.identity_r.hash, 32, V_H1);
  assert_hex (v.remote_r.static_shared, 32, V_SHARED);
  assert_hex (v.remote_i.static_shared, 32, V_SHARED);
  assert_hex (v.remote_r.mac1_key, 32, V_MAC1_KEY_R);
  assert_hex (v.identity_i.mac1_key, 32, V_MAC1_KEY_I);
  assert_hex (v.identity_r.cookie_key, 32, V_COOKIE_KEY);
  assert_hex (v.timestamp, 12, V_TIMESTAMP);
}

static void
test_messages (void)
{
  Vectors v;

  run (&v, zero_psk);
  assert_hex (&v.message1, sizeof v.message1, V_MESSAGE1);
  assert_hex (v.initiator.chain, 32, V_CK3);
  assert_hex (v.initiator.hash, 32, V_H4);
  assert_hex (v.responder.chain, 32, V_CK3);
  assert_hex (v.responder.hash, 32, V_H4);
  assert_hex (v.responder.static_key.bytes, 32, V_PUBLIC_I);
  assert_hex (v.responder.timestamp, 12, V_TIMESTAMP);
  assert_hex (&v.message2, sizeof v.message2, V_MESSAGE2);
  assert_hex (v.keys_r.receive_key, 32, V_KEY_I_TO_R);
  assert_hex (v.keys_r.send_key, 32, V_KEY_R_TO_I);
  g_assert_true (wg_response_open (&v.identity_i, &v.initiator, zero_psk, &v.message2, &v.keys_i));
  assert_hex (v.keys_i.send_key, 32, V_KEY_I_TO_R);
  assert_hex (v.keys_i.receive_key, 32, V_KEY_R_TO_I);
  g_assert_cmphex (v.keys_i.local_index, ==, V_INDEX_I);
  g_assert_cmphex (v.keys_i.remote_index, ==, V_INDEX_R);
  g_assert_cmphex (v.keys_r.local_index, ==, V_INDEX_R);
  g_assert_cmphex (v.keys_r.remote_index, ==, V_INDEX_I);
  g_assert_true (v.keys_i.initiator);
  g_assert_false (v.keys_r.initiator);
}

static void
test_psk (void)
{
  uint8_t psk[WG_PSK_SIZE];
  Vectors v;

  from_hex (V_PSK, psk, sizeof psk);
  run (&v, psk);
  assert_hex (v.message2.sealed_nothing, 16, V_PSK_NOTHING);
  assert_hex (v.keys_r.receive_key, 32, V_PSK_KEY_I_TO_R);
  assert_hex (v.keys_r.send_key, 32, V_PSK_KEY_R_TO_I);
  g_assert_false (wg_response_open (&v.identity_i, &v.initiator, zero_psk, &v.message2, &v.keys_i));
  g_assert_true (wg_response_open (&v.identity_i, &v.initiator, psk, &v.message2, &v.keys_i));
  assert_hex (v.keys_i.send_key, 32, V_PSK_KEY_I_TO_R);
}

static void
test_data (void)
{
  uint8_t message[80] = {0}, inner[32], nonce[12] = {0};
  WgTransport transport;
  Vectors v;

  run (&v, zero_psk);
  wg_transport_write (message, v.keys_r.local_index, 0);
  aead_seal (v.keys_r.receive_key, nonce, NULL, 0, NULL, 0, message + 16);
  assert_hex (message, 32, V_KEEPALIVE);

  from_hex (V_INNER, inner, sizeof inner);
  g_assert_cmpuint (wg_padded_size (V_INNER_SIZE, 1280), ==, sizeof inner);
  wg_transport_write (message, v.keys_r.local_index, 1);
  store_le64 (nonce + 4, 1);
  aead_seal (v.keys_r.receive_key, nonce, NULL, 0, inner, sizeof inner, message + 16);
  assert_hex (message, 64, V_DATA);
  g_assert_true (wg_transport_parse (message, 64, &transport));
  g_assert_cmphex (transport.receiver, ==, V_INDEX_R);
  g_assert_cmpuint (transport.counter, ==, 1);
  g_assert_cmpuint (transport.sealed_offset, ==, 16);
  g_assert_cmpuint (transport.sealed_size, ==, 48);
  g_assert_cmpint (wg_inner_size (inner, sizeof inner), ==, V_INNER_SIZE);
}

static void
test_cookie_vector (void)
{
  WgCookieReply reply;
  WgCookieJar jar = {0};
  Vectors v;

  run (&v, zero_psk);
  from_hex (V_MESSAGE3, &reply, sizeof reply);
  memcpy (jar.last_mac1, v.message1.mac1, sizeof jar.last_mac1);
  jar.sent = true;
  g_assert_true (wg_cookie_reply_open (&v.remote_r, &jar, &reply, 1000));
  assert_hex (jar.cookie, 16, V_COOKIE);
  wg_macs_add (&v.remote_r, &jar, (uint8_t *)&v.message1, sizeof v.message1, 2000);
  assert_hex (v.message1.mac2, 16, V_MAC2);

  /* The reply as we would make it: same key, nonce and cookie. */
  uint8_t cookie[16], nonce[24], sealed[32];
  from_hex (V_COOKIE, cookie, 16);
  from_hex (V_NONCE, nonce, 24);
  xaead_seal (v.identity_r.cookie_key, nonce, v.message1.mac1, 16, cookie, 16, sealed);
  g_assert_cmpmem (sealed, 32, reply.sealed_cookie, 32);
}

static void
test_cookie_lives_two_minutes (void)
{
  SeededRandom random;
  uint8_t source[WG_SOURCE_ID_SIZE] = {4, 10, 0, 0, 1}, other[WG_SOURCE_ID_SIZE] = {4, 10, 0, 0, 2};
  WgCookieSecret secret;
  WgCookieReply reply;
  WgCookieJar jar = {0};
  Vectors v;
  uint8_t *message = (uint8_t *)&v.message1;
  size_t size = sizeof v.message1;
  int64_t now = 5 * USEC_PER_SEC;

  run (&v, zero_psk);
  seeded_random_init (&random, 1);
  wg_cookie_secret_init (&secret);
  g_assert_true (wg_mac1_valid (&v.identity_r, message, size));
  g_assert_false (wg_mac1_valid (&v.identity_i, message, size));
  g_assert_false (wg_mac2_valid (&secret, message, size, source, now));

  wg_macs_add (&v.remote_r, &jar, message, size, now);
  wg_cookie_reply_create (&secret, &v.identity_r, &random.base, message, size, source, now, &reply);
  g_assert_cmphex (load_le32 (&reply.receiver), ==, V_INDEX_I);
  WgCookieReply forged = reply;
  forged.sealed_cookie[3] ^= 1;
  g_assert_false (wg_cookie_reply_open (&v.remote_r, &jar, &forged, now));
  g_assert_true (wg_cookie_reply_open (&v.remote_r, &jar, &reply, now));

  wg_macs_add (&v.remote_r, &jar, message, size, now + 1);
  g_assert_true (wg_mac2_valid (&secret, message, size, source, now + 1));
  g_assert_false (wg_mac2_valid (&secret, message, size, other, now + 1));
  g_assert_true (wg_mac2_valid (&secret, message, size, source, now + WG_COOKIE_LIFE_US - 1));
  g_assert_false (wg_mac2_valid (&secret, message, size, source, now + WG_COOKIE_LIFE_US));

  wg_macs_add (&v.remote_r, &jar, message, size, now + WG_COOKIE_LIFE_US - 1);
  g_assert_false (sodium_is_zero (v.message1.mac2, 16));
  wg_macs_add (&v.remote_r, &jar, message, size, now + WG_COOKIE_LIFE_US);
  g_assert_true (sodium_is_zero (v.message1.mac2, 16));
}

/* Points of small order make every Diffie-Hellman result zero. */
static void
test_zero_results_abort (void)
{
  uint8_t zero_point[32] = {0}, one_point[32] = {1};
  WgIdentity identity;
  WgRemote remote;
  Vectors v;

  run (&v, zero_psk);
  g_assert_false (wg_remote_init (&remote, &v.identity_i, (const NodePublic *)zero_point));
  g_assert_false (wg_remote_init (&remote, &v.identity_i, (const NodePublic *)one_point));

  WgInitiation message1 = v.message1;
  WgResponder responder;
  memcpy (message1.ephemeral, one_point, 32);
  g_assert_false (wg_initiation_open_static (&v.identity_r, &message1, &responder));

  responder = v.responder;
  memcpy (responder.ephemeral, zero_point, 32);
  g_assert_false (wg_response_create (&v.remote_i, &responder, &v.ephemeral_r, zero_psk, 1,
                                      &v.message2, &v.keys_r));
  remote = v.remote_i;
  memcpy (remote.public_key.bytes, zero_point, 32);
  g_assert_false (wg_response_create (&remote, &v.responder, &v.ephemeral_r, zero_psk, 1,
                                      &v.message2, &v.keys_r));

  WgResponse message2 = v.message2;
  memcpy (message2.ephemeral, zero_point, 32);
  g_assert_false (wg_response_open (&v.identity_i, &v.initiator, zero_psk, &message2, &v.keys_i));

  identity = v.identity_i;
  remote = v.remote_r;
  memcpy (remote.public_key.bytes, one_point, 32);
  g_assert_false (wg_initiation_create (&identity, &remote, &v.ephemeral_i, v.timestamp, 1,
                                        &message1, &v.initiator));
}

static void
test_any_flipped_bit_is_noticed (void)
{
  Vectors v;

  run (&v, zero_psk);
  for (size_t bit = 8 * 8; bit < 8 * offsetof (WgInitiation, mac1); bit++) {
    WgInitiation message = v.message1;
    WgResponder responder;
    ((uint8_t *)&message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    bool ok = wg_initiation_open_static (&v.identity_r, &message, &responder)
              && wg_initiation_open_timestamp (&v.remote_i, &message, &responder);
    /* X25519 ignores the top bit of a point, but the hash does not. */
    g_assert_false (ok);
    g_assert_false (wg_mac1_valid (&v.identity_r, (uint8_t *)&message, sizeof message));
  }
  for (size_t bit = 8 * 12; bit < 8 * offsetof (WgResponse, mac1); bit++) {
    WgResponse message = v.message2;
    ((uint8_t *)&message)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    g_assert_false (wg_response_open (&v.identity_i, &v.initiator, zero_psk, &message, &v.keys_i));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wireguard/handshake/derives-public-values", test_public_values);
  g_test_add_func ("/wireguard/handshake/messages-match-the-vectors", test_messages);
  g_test_add_func ("/wireguard/handshake/pre-shared-key-matches-the-vectors", test_psk);
  g_test_add_func ("/wireguard/handshake/data-matches-the-vectors", test_data);
  g_test_add_func ("/wireguard/handshake/cookie-matches-the-vectors", test_cookie_vector);
  g_test_add_func ("/wireguard/handshake/cookie-lives-two-minutes", test_cookie_lives_two_minutes);
  g_test_add_func ("/wireguard/handshake/zero-results-abort", test_zero_results_abort);
  g_test_add_func ("/wireguard/handshake/any-flipped-bit-is-noticed",
                   test_any_flipped_bit_is_noticed);
  return g_test_run ();
}
