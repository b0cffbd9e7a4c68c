/* mac1, mac2 and cookies: what is checked before any public-key cryptography.
 *
 * Both sides of the cookie exchange; whether the device is under load is decided elsewhere
 * (wireguard/load.h). spec/wireguard-dataplane.md §3.1. Net thread. */
#pragma once

#include "base/ip.h"
#include "base/random.h"
#include "wireguard/handshake.h"

#define WG_SOURCE_ID_SIZE 33 /* a kind, then a node key, or an address and a port */

/* The server side: the secret from which cookies are made. */
typedef struct
{
  uint8_t secret[32];
  int64_t born_us; /* TIME_NEVER: none yet */
} WgCookieSecret;

/* The client side, one for each peer. */
typedef struct
{
  uint8_t cookie[WG_COOKIE_SIZE];
  int64_t received_us; /* 0: none */
  uint8_t last_mac1[WG_MAC_SIZE];
  bool sent; /* last_mac1 is set and not answered by a cookie yet */
} WgCookieJar;

void wg_cookie_secret_init (WgCookieSecret *secret);

/* Is mac1 of MESSAGE (type 1 or 2, SIZE bytes) right for us? Constant time. */
bool wg_mac1_valid (const WgIdentity *identity, const uint8_t *message, size_t size);

/* Is mac2 of MESSAGE made from the cookie that we gave to this source? */
bool wg_mac2_valid (const WgCookieSecret *secret, const uint8_t *message, size_t size,
                    const uint8_t source_id[WG_SOURCE_ID_SIZE], int64_t now_us);

/* Answers MESSAGE with a cookie for its source. */
void wg_cookie_reply_create (WgCookieSecret *secret, const WgIdentity *identity, Random *random,
                             const uint8_t *message, size_t size,
                             const uint8_t source_id[WG_SOURCE_ID_SIZE], int64_t now_us,
                             WgCookieReply *reply);

/* Writes both macs at the end of MESSAGE; mac2 is zero without a fresh cookie of that peer. */
void wg_macs_add (const WgRemote *remote, WgCookieJar *jar, uint8_t *message, size_t size,
                  int64_t now_us);

/* Keeps the cookie of REPLY when it answers what was sent last; false when it is not authentic. */
bool wg_cookie_reply_open (const WgRemote *remote, WgCookieJar *jar, const WgCookieReply *reply,
                           int64_t now_us);
