/* A relay client and the relay's end of its stream, on simulated time. */
#pragma once

#include "derp/client.h"

#include <glib.h>

#define ROOM        (2 * DERP_BODY_MAX)
#define SECOND      USEC_PER_SEC
#define START       (1000 * SECOND)
#define SERVER_JSON "{\"version\":2}"

typedef struct
{
  DerpClient *client;
  SeededRandom random;
  Random fixed; /* gives 00, 01, 02… for byte-exact tests */
  uint8_t server_private[32];
  DerpPublic server_public;
  uint8_t node_private[32];
  NodePublic node_public;
  uint8_t shared[32];
  NodePublic peer;
  int64_t now;
  uint8_t written[ROOM];
  size_t n_written;
} Rig;

/* A client that is not connected yet. */
Rig *rig_new (bool home);
void rig_free (Rig *rig);
/* What the client is told: anything, the stream is open, bytes and frames from the relay. */
void input (Rig *rig, const DerpClientEvent *event);
void connected (Rig *rig, bool fast_start);
void feed (Rig *rig, const void *data, size_t size);
void feed_frame (Rig *rig, uint8_t type, const void *body, size_t size);
void feed_server_info (Rig *rig, const char *json);
/* What it does: the next action, none, one of TYPE, a close that is final. */
bool next (Rig *rig, DerpClientAction *action);
void assert_nothing (Rig *rig);
void expect (Rig *rig, DerpClientActionType type, DerpClientAction *action);
void expect_close (Rig *rig, DerpCloseReason reason);
/* Takes everything it has to write into WRITTEN; brings it up; queues a packet for the peer. */
void pull (Rig *rig);
void log_in (Rig *rig);
void send_packet (Rig *rig, const void *data, size_t size);
/* Number of frames of TYPE in WRITTEN; the last one in *LAST. */
unsigned count_frames (Rig *rig, uint8_t type, DerpFrame *last);
