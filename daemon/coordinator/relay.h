/* The relay: DERP over TLS on workers of their own, and STUN (spec/derp.md §6, §8, §9).
 *
 * Only members are served unless it is open: keys come and go by relay_admit. The relay sees
 * ciphertext and public keys. Started and stopped by the server's thread; the rest from any
 * thread. */
#pragma once

#include "base/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_WORKERS_MAX 8

typedef struct Relay Relay;

typedef struct
{
  const char *listen;          /* ADDRESS:PORT */
  const char *certificate_pem; /* chain, borrowed for relay_new; NULL: TLS is done in front of us */
  const char *key_pem;
  const char *certificate_file; /* where both came from, to be read again when they change, */
  const char *key_file;         /* borrowed as long as the relay lives; NULL: nowhere */
  const uint8_t *private_key;   /* DERP key, 32 bytes, copied */
  const uint8_t *mesh_key;      /* of the region's relays, 32 bytes, copied; NULL: none */
  const char *const *peers;  /* those relays: ADDRESS:PORT, or ADDRESS:PORT=sha256-raw:HEX with the
                                pin of a self-made certificate; ends with NULL; NULL: none */
  const char *const *names;  /* whose addresses are told to whoever asks (relay-names.h), copied;
                                ends with NULL; NULL: none */
  uint64_t rate, rate_burst; /* bytes per second that a client may send, and at once; 0: any */
  unsigned workers;          /* threads; 0: as many as there are processors */
  uint16_t stun_port;        /* on the same address; 0: no STUN */
  bool open;                 /* strangers are served, too */
} RelayOptions;

/* NULL and *ERROR (malloc'd) when the sockets cannot be had. */
Relay *relay_new (const RelayOptions *options, char **error);

/* Ends the threads and closes every connection. */
void relay_free (Relay *relay);

/* Lets KEY in, or ends its connections. */
void relay_admit (Relay *relay, const NodePublic *key, bool allowed);

/* New connections get this certificate; old ones stay as they are. False and *ERROR (malloc'd) when
 * chain and key do not fit. */
bool relay_set_certificate (Relay *relay, const char *certificate_pem, const char *key_pem,
                            char **error);

typedef struct
{
  uint64_t accepted, refused, logins; /* connections so far */
  uint64_t packets_in, bytes_in;      /* of SendPacket frames */
  uint64_t packets_out, bytes_out;
  uint64_t dropped_unknown; /* packets: nobody has the key */
  uint64_t dropped_full;    /* the receiver's queue, or one between workers, was full */
  uint64_t dropped_gone;    /* the receiver went */
  uint64_t stalled;         /* clients closed because they took nothing */
  size_t clients;           /* keys that are connected */
  size_t connections;       /* logged in */
  size_t queued_bytes;
} RelayStatus;

void relay_status (Relay *relay, RelayStatus *out);
