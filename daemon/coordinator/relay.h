/* The relay: DERP over TLS, and STUN, on a thread of their own (spec/derp.md §6, §8).
 *
 * Only members are served: keys come and go by relay_admit. The relay sees ciphertext and public
 * keys. Started and stopped by the server's thread; relay_admit from any thread. */
#pragma once

#include "base/key.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Relay Relay;

typedef struct
{
  const char *listen;          /* ADDRESS:PORT */
  const char *certificate_pem; /* chain, borrowed for relay_new */
  const char *key_pem;
  const uint8_t *private_key; /* DERP key, 32 bytes, copied */
  uint16_t stun_port;         /* on the same address; 0: no STUN */
} RelayOptions;

/* NULL and *ERROR (malloc'd) when the sockets cannot be had. */
Relay *relay_new (const RelayOptions *options, char **error);

/* Ends the thread and closes every connection. */
void relay_free (Relay *relay);

/* Lets KEY in, or ends its connections. */
void relay_admit (Relay *relay, const NodePublic *key, bool allowed);
