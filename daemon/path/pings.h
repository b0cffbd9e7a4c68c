/* Pings to one peer that wait for their pong. Net thread, inside path only. */
#pragma once

#include "base/clock.h"
#include "base/ip.h"
#include "path/disco.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PING_TIMEOUT_US  (5 * USEC_PER_SEC)
#define PING_MISS_MIN_US (700 * USEC_PER_MSEC)
#define PING_MISS_MAX_US (2 * USEC_PER_SEC)

typedef enum
{
  PING_DISCOVERY,
  PING_HEARTBEAT,
  PING_COMMAND,
} PingPurpose;

typedef struct
{
  DiscoTxId tx_id;
  IpPort to;         /* family 0: through a relay */
  uint16_t region;   /* then this one */
  uint32_t side;     /* side socket it left from, 0: the shared one */
  uint16_t wire_mtu; /* that a pong proves */
  PingPurpose purpose;
  uint32_t command; /* PING_COMMAND: id */
  int64_t sent_us;
  int64_t miss_us; /* a pong is expected by then, TIME_NEVER: already counted as missed */
} SentPing;

typedef struct
{
  SentPing *items;
  size_t count;
  size_t room;
} SentPings;

void pings_clear (SentPings *pings);

/* Remembers PING; the oldest goes when there are LIMIT already. */
void pings_add (SentPings *pings, const SentPing *ping, size_t limit);

/* Takes out the ping with TX_ID; false when there is none. */
bool pings_take (SentPings *pings, const DiscoTxId *tx_id, SentPing *out);

/* Takes out one ping that is older than PING_TIMEOUT_US. */
bool pings_take_expired (SentPings *pings, int64_t now_us, SentPing *out);

/* One whose pong is late, once each; the ping stays. NULL: none. */
const SentPing *pings_next_missed (SentPings *pings, int64_t now_us);

/* True when a ping of COMMAND still waits. */
bool pings_has_command (const SentPings *pings, uint32_t command);
void pings_drop_command (SentPings *pings, uint32_t command);

/* Forgets the pings of the side sockets [FIRST, FIRST + COUNT). */
void pings_drop_sides (SentPings *pings, uint32_t first, uint32_t count);

/* True when a heartbeat waits that is not counted as missed yet. */
bool pings_has_heartbeat (const SentPings *pings);

/* When something is to be looked at; TIME_NEVER when nothing waits. */
int64_t pings_next_deadline (const SentPings *pings);
