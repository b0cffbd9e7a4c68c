#include "wireguard/cookie.h"

#include <sodium.h>
#include <string.h>

static size_t
mac1_offset (size_t size)
{
  return size - 2 * WG_MAC_SIZE;
}

static size_t
mac2_offset (size_t size)
{
  return size - WG_MAC_SIZE;
}

static bool
fresh (const WgCookieSecret *secret, int64_t now_us)
{
  return secret->born_us != TIME_NEVER && now_us - secret->born_us < WG_COOKIE_LIFE_US;
}

void
wg_cookie_secret_init (WgCookieSecret *secret)
{
  sodium_memzero (secret, sizeof *secret);
  secret->born_us = TIME_NEVER;
}

bool
wg_mac1_valid (const WgIdentity *identity, const uint8_t *message, size_t size)
{
  uint8_t mac[WG_MAC_SIZE];

  blake2s_mac (identity->mac1_key, BLAKE2S_SIZE, message, mac1_offset (size), mac);
  return sodium_memcmp (mac, message + mac1_offset (size), WG_MAC_SIZE) == 0;
}

static void
make_cookie (const WgCookieSecret *secret, const uint8_t source_id[WG_SOURCE_ID_SIZE],
             uint8_t cookie[WG_COOKIE_SIZE])
{
  blake2s_mac (secret->secret, sizeof secret->secret, source_id, WG_SOURCE_ID_SIZE, cookie);
}

bool
wg_mac2_valid (const WgCookieSecret *secret, const uint8_t *message, size_t size,
               const uint8_t source_id[WG_SOURCE_ID_SIZE], int64_t now_us)
{
  uint8_t cookie[WG_COOKIE_SIZE], mac[WG_MAC_SIZE];

  if (!fresh (secret, now_us))
    return false;
  make_cookie (secret, source_id, cookie);
  blake2s_mac (cookie, sizeof cookie, message, mac2_offset (size), mac);
  return sodium_memcmp (mac, message + mac2_offset (size), WG_MAC_SIZE) == 0;
}

void
wg_cookie_reply_create (WgCookieSecret *secret, const WgIdentity *identity, Random *random,
                        const uint8_t *message, size_t size,
                        const uint8_t source_id[WG_SOURCE_ID_SIZE], int64_t now_us,
                        WgCookieReply *reply)
{
  uint8_t cookie[WG_COOKIE_SIZE];

  if (!fresh (secret, now_us)) {
    random_fill (random, secret->secret, sizeof secret->secret);
    secret->born_us = now_us;
  }
  make_cookie (secret, source_id, cookie);
  store_le32 (&reply->type, WG_MESSAGE_COOKIE);
  memcpy (&reply->receiver, message + offsetof (WgInitiation, sender), sizeof reply->receiver);
  random_fill (random, reply->nonce, sizeof reply->nonce);
  xaead_seal (identity->cookie_key, reply->nonce, message + mac1_offset (size), WG_MAC_SIZE, cookie,
              sizeof cookie, reply->sealed_cookie);
}

void
wg_macs_add (const WgRemote *remote, WgCookieJar *jar, uint8_t *message, size_t size,
             int64_t now_us)
{
  uint8_t *mac1 = message + mac1_offset (size);
  uint8_t *mac2 = message + mac2_offset (size);

  blake2s_mac (remote->mac1_key, BLAKE2S_SIZE, message, mac1_offset (size), mac1);
  memcpy (jar->last_mac1, mac1, WG_MAC_SIZE);
  jar->sent = true;
  if (jar->received_us && now_us - jar->received_us < WG_COOKIE_LIFE_US)
    blake2s_mac (jar->cookie, WG_COOKIE_SIZE, message, mac2_offset (size), mac2);
  else
    memset (mac2, 0, WG_MAC_SIZE);
}

bool
wg_cookie_reply_open (const WgRemote *remote, WgCookieJar *jar, const WgCookieReply *reply,
                      int64_t now_us)
{
  uint8_t cookie[WG_COOKIE_SIZE];

  if (!jar->sent
      || !xaead_open (remote->cookie_key, reply->nonce, jar->last_mac1, WG_MAC_SIZE,
                      reply->sealed_cookie, sizeof reply->sealed_cookie, cookie))
    return false;
  memcpy (jar->cookie, cookie, WG_COOKIE_SIZE);
  jar->received_us = now_us;
  return true;
}
