/* The list of devices for its subscribers: full once, then what changed, at a bounded rate
 * (spec/desktop.md §8.5, Peers.Subscribe and Changed).
 *
 * While nobody has subscribed it holds nothing and costs nothing. Main thread. */
#pragma once

#include "session/engine.h"

#include <gio/gio.h>

typedef struct PeerFeed PeerFeed;

PeerFeed *peer_feed_new (Engine *engine, Session *session, GDBusConnection *bus, const char *path);
void peer_feed_free (PeerFeed *feed);

/* The reply to Subscribe (floating); SENDER gets signals from now on until it unsubscribes or
 * leaves the bus. NULL when there are too many. */
GVariant *peer_feed_subscribe (PeerFeed *feed, const char *sender, uint64_t known_revision);
void peer_feed_unsubscribe (PeerFeed *feed, const char *sender);

/* What may look different now. */
void peer_feed_all_changed (PeerFeed *feed);
void peer_feed_ids_changed (PeerFeed *feed, const NodeId *ids, size_t n);
void peer_feed_peer_changed (PeerFeed *feed, const NodePublic *key);
