/* A node as the bus shows it: flags, row of the list, dictionary of everything (spec/desktop.md
 * §8.5). Reads netmap, plan and tunnel; changes nothing. Main thread. */
#pragma once

#include "session/engine.h"

#include <gio/gio.h>

#define PEER_ROW_TYPE  "(sssassstuxa{sv})"
#define PEER_ROWS_TYPE "a" PEER_ROW_TYPE

typedef enum
{
  PEER_ONLINE = 1 << 0,
  PEER_ACTIVE = 1 << 1,
  PEER_EXPIRED = 1 << 2,
  PEER_OFFERS_EXIT = 1 << 3,
  PEER_IS_EXIT = 1 << 4,
  PEER_TAGGED = 1 << 5,
  PEER_SHARED_IN = 1 << 6,
  PEER_HIDDEN = 1 << 7,
  PEER_TAKES_FILES = 1 << 8,
  PEER_HAS_SSH_KEYS = 1 << 9,
  PEER_SUBNET_ROUTER = 1 << 10,
  PEER_MINE = 1 << 11,
  PEER_PROVIDER = 1 << 12,
  PEER_DIRECT = 1 << 13,
  PEER_RELAYED = 1 << 14,
  PEER_BY_PEER_RELAY = 1 << 15,
  PEER_LOCKED_OUT = 1 << 16,
} PeerFlags;

/* Flags of NODE, a peer or the own node of SESSION; STATUS may be NULL. */
uint32_t peer_flags (Session *session, const Node *node, const TunnelPeerStatus *status);

/* Floating values of PEER_ROW_TYPE and a{sv}. */
GVariant *peer_row (Engine *engine, Session *session, const Node *node);
GVariant *peer_dictionary (Engine *engine, Session *session, const Node *node);

/* Where packets for the peer go: Path, Endpoint and Relay of a dictionary, and the counters. */
void peer_add_path (GVariantBuilder *b, Session *session, const TunnelPeerStatus *status);

/* The code of relay region ID in the session's map; "" unknown. */
const char *peer_region_code (Session *session, unsigned id);
