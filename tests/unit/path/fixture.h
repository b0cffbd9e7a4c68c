/* A core that knows its own endpoints, is connected to its home relay 1 and has one peer. */
#pragma once

#include "rig.h"

/* ---- a core that knows its own endpoints, is connected to its home relay 1 and has one peer ----
 */

#define PEER_AT "203.0.113.7:41641"

typedef struct
{
  Rig *rig;
  RigPeer *peer;
  IpPort at; /* PEER_AT */
  uint32_t relay;
} Fixture;

Fixture fixture_new (const char *endpoint);

/* The peer answers our ping: the path becomes direct. */
void fixture_go_direct (Fixture *f);

/* Pings over UDP and calls over the relay since the last rig_clear. */
unsigned fixture_pings (const Fixture *f);
unsigned fixture_calls (const Fixture *f);

/* Sends each second and answers each heartbeat. */
void fixture_run_answered (Fixture *f, int64_t span_us);

/* `warren ping`. */
void fixture_command (Fixture *f, uint32_t id, size_t size);
