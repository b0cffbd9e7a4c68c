/* A login at a relay that costs as little as can be, so that a storm of them measures the relay and
 * not the one who makes it: TLS 1.3 by hand, one key share for all, certificates not looked at,
 * everything that depends on nobody's answer computed beforehand.
 *
 * For measurements alone: nothing here is secret or checked. One thread. RFC 8446. */
#pragma once

#include "base/ip.h"
#include "base/key.h"
#include "derp/frame.h"
#include "wire/buffer.h"

#include <sodium.h>

typedef enum
{
  QUICK_CONNECTING,
  QUICK_SERVER_HELLO, /* awaited */
  QUICK_FINISHED,     /* the server's, awaited */
  QUICK_LOGGING_IN,
  QUICK_UP,
  QUICK_FAILED,
} QuickStage;

/* One direction's keys. */
typedef struct
{
  uint8_t key[16], iv[12];
  uint64_t sequence;
} QuickKeys;

typedef struct
{
  int fd; /* to be watched for reading and, while QUICK_CONNECTING, for writing */
  QuickStage stage;
  Buffer in;       /* records */
  Buffer messages; /* of the handshake, or frames */
  QuickKeys read, write;
  uint8_t secret[32], client_secret[32];
  crypto_hash_sha256_state transcript;
  size_t flight_size;
  uint8_t flight[320]; /* request, login and home in one record */
} QuickLogin;

/* Gets ready for logins at the relay AT, whose key is SERVER. False: the library fails. */
bool quick_login_begin (const IpPort *at, const DerpPublic *server);

/* A client with a new key; its first flight is computed. */
void quick_login_init (QuickLogin *q);

/* Begins to connect; false: no socket. */
bool quick_login_dial (QuickLogin *q);

/* The socket is ready. Look at stage afterwards. */
void quick_login_io (QuickLogin *q);

void quick_login_close (QuickLogin *q);
