/* The two JSON texts of a login at a relay, the server's side (spec/derp.md §4.3, §4.4).
 *
 * Pure functions; any thread, inside the relay only. */
#pragma once

#include "base/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  bool has_mesh_key;
  uint8_t mesh_key[KEY_SIZE];
  bool can_ack_pings;
  bool prober;
} RelayClientInfo;

/* Reads ClientInfo: names in any case, unknown ones ignored. False when it is no such object, or
 * its mesh key no key. */
bool relay_client_info_parse (const void *json, size_t size, RelayClientInfo *out);
