/* The two JSON texts of a relay login: ClientInfo as we send it, ServerInfo as we read it.
 *
 * spec/derp.md §4.3, §4.4. Pure functions; any thread, inside derp only. */
#pragma once

#include "derp/frame.h"

#define DERP_LOGIN_FRAME_MAX 256

typedef struct
{
  int64_t version;
  int64_t bytes_per_second; /* of SendPacket frames, 0: no limit */
  int64_t bytes_burst;
} DerpServerInfo;

/* The whole ClientInfo frame, with MESH_KEY (32 bytes) unless it is NULL; returns its size. */
size_t derp_login_encode (const NodePublic *key, const uint8_t shared[32],
                          const uint8_t nonce[BOX_NONCE_SIZE], const uint8_t *mesh_key, void *out,
                          size_t capacity);

/* Opens and reads ServerInfo; unknown members are ignored. */
bool derp_server_info_parse (const DerpFrame *frame, const uint8_t shared[32], DerpServerInfo *out);
