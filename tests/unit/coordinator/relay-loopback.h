/* A whole relay on loopback with certificate and key of its own, and clients of it. */
#pragma once

#include "coordinator/relay-certificate.h"
#include "coordinator/relay.h"
#include "derp-node.h"

#include <glib.h>

#define LOOPBACK_LIMIT_US (30 * USEC_PER_SEC) /* until what is awaited must have come about */

typedef struct
{
  Relay *relay;
  RelayCertificate certificate;
  TlsContext *context;
  IpPort at;
  uint8_t private_key[32];
} Loopback;

/* In two steps, when others must know where it will be. OPTIONS: what is not set here. */
void loopback_prepare (Loopback *rig);
void loopback_start (Loopback *rig, RelayOptions options);
void loopback_init (Loopback *rig, RelayOptions options);
void loopback_clear (Loopback *rig);

/* COUNT clients that are logged in, with PRIVATE_KEY or each with its own. */
void loopback_open (Loopback *rig, DerpNode *nodes, size_t count, const uint8_t *private_key);
void loopback_close (DerpNode *nodes, size_t count);
bool loopback_all_up (const DerpNode *nodes, size_t count);

/* Lets the nodes work until the condition holds. */
#define WAIT_FOR(nodes, count, condition)                                                          \
  G_STMT_START                                                                                     \
  {                                                                                                \
    for (int64_t until_ = clock_now_us () + LOOPBACK_LIMIT_US;                                     \
         !(condition) && clock_now_us () < until_;)                                                \
      derp_nodes_pump (nodes, count, 10);                                                          \
    g_assert_true (condition);                                                                     \
  }                                                                                                \
  G_STMT_END
