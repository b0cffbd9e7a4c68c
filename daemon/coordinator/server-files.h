/* What the server keeps beside its database: keys and the relay's certificate, made at first use.
 */
#pragma once

#include "coordinator/relay.h"
#include "coordinator/server.h"
#include "netmap/derp-map.h"

/* The Curve25519 key in DIR/NAME, made when there is none. False after an error told on stderr. */
bool server_load_key (const char *dir, const char *name, uint8_t key[KEY_SIZE]);

/* Starts the relay of OPTIONS, if there is one, and describes it for the nodes: *RELAY and *MAP are
 * NULL without. False after an error told on stderr. */
bool server_open_relay (const ServerOptions *options, Relay **relay, DerpMap **map);
