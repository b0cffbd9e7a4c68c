/* A client of the relay's core with the vectors of spec/derp.md §10. */
#pragma once

#include "coordinator/relay-client.h"

#define RIG_A_PUBLIC "879062e5b5a8e3d82ddfc00d54b7a83f9395350d8808aa916ab22088e3f60661"
#define RIG_B_PUBLIC "f401e8ca72886a1f087a5bd8f20a3af7f7bfd9144f0b38ccf8b61c86330b0332"
#define RIG_FAST                                                                                   \
  "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\nUpgrade: "        \
  "DERP\r\n\r\n"

typedef struct
{
  SeededRandom random;
  RelayBudget budget;
  RelayIdentity identity;
  RelayClient client;
  NodePublic a, b;
  uint8_t a_private[32], shared[32];
  Buffer plain; /* what was fed last: events point into it */
  Buffer out;   /* what the client wrote */
  int64_t now_us;
} RelayRig;

void relay_rig_init (RelayRig *rig);
void relay_rig_clear (RelayRig *rig);

/* Bytes of SIZE from the peer; the first event that comes of them. */
RelayEventType relay_rig_feed (RelayRig *rig, const void *data, size_t size, RelayEvent *event);
RelayEventType relay_rig_next (RelayRig *rig, RelayEvent *event);

/* A frame with a body of SIZE bytes. */
RelayEventType
relay_rig_frame (RelayRig *rig, uint8_t type, const void *body, size_t size, RelayEvent *event);

/* What the client has written since, into OUT. */
void relay_rig_take (RelayRig *rig);

/* ClientInfo of A with this JSON; its size. */
size_t relay_rig_info (const RelayRig *rig, const char *json, uint8_t *out, size_t room);

/* Logs A in by a fast start; OUT is empty afterwards. */
void relay_rig_log_in (RelayRig *rig, const char *json);
