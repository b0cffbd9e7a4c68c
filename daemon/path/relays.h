/* Which relay connections exist: home for ever, others while packets for their peers need them.
 *
 * One state machine per region that is in use; it chooses the node, backs off, falls over to the
 * next node and closes what is idle. The connection itself is a DerpClient in the tunnel.
 * spec/derp.md §5. Net thread, inside path only. */
#pragma once

#include "netmap/derp-map.h"
#include "path/actions.h"

#define RELAYS_SETUP_US       (10 * USEC_PER_SEC)
#define RELAYS_IDLE_US        (60 * USEC_PER_SEC)
#define RELAYS_BAD_NODE_US    (30 * USEC_PER_SEC)
#define RELAYS_MAX            16 /* beside home */
#define RELAYS_BACKOFF_MAX_US (5 * USEC_PER_SEC)
#define RELAYS_RESTART_MAX_US (10 * USEC_PER_SEC) /* asked for more: not waited for */
#define RELAYS_REFUSALS       3                   /* running, before it is said */

typedef struct Relays Relays;

Relays *relays_new (PathActions *actions, Random *random);
void relays_free (Relays *relays);

void relays_set_map (Relays *relays, DerpMap *map, int64_t now_us);

/* False: no key or no network; everything is closed. */
void relays_set_running (Relays *relays, bool running, int64_t now_us);

/* 0: no home. */
void relays_set_home (Relays *relays, uint16_t region, int64_t now_us);
uint16_t relays_home (const Relays *relays);
bool relays_home_is_up (const Relays *relays);

/* IPv6 gets a head start when it is known to work. */
void relays_set_ipv6 (Relays *relays, bool works);

/* Our node key changed: log in anew everywhere. */
void relays_restart (Relays *relays, int64_t now_us);

/* Something is about to be written to REGION. */
void relays_want (Relays *relays, uint16_t region, int64_t now_us);

/* The region to send through to a peer with HOME that was last heard on CONNECTION (0: never);
 * 0: no way. */
uint16_t relays_region_for (const Relays *relays, uint16_t home, uint32_t connection);

/* Events of connections; false (or 0) when CONNECTION is not a present one. */
bool relays_on_up (Relays *relays, uint32_t connection, const IpAddr *local, int64_t now_us);
bool relays_on_closed (Relays *relays, uint32_t connection, PathRelayClosed reason,
                       const char *text, int64_t now_us);

/* The relay goes away on purpose, by its own word for BACK_US: another node of the region is taken
 * at once, or this one again when it is back. */
bool relays_on_restarting (Relays *relays, uint32_t connection, int64_t back_us, int64_t now_us);
void relays_on_frame (Relays *relays, uint32_t connection, int64_t now_us);
uint16_t relays_region_of (const Relays *relays, uint32_t connection);

/* The network changed: connections from an address that is gone are made anew, others pinged. */
void relays_link_changed (Relays *relays, const PathLink *link, int64_t now_us);

/* The computer slept: every connection has to prove that it lives. */
void relays_ping_all (Relays *relays);

/* When a frame last came from REGION; 0: never, or not connected. */
int64_t relays_last_frame_us (const Relays *relays, uint16_t region);

void relays_tick (Relays *relays, int64_t now_us);
int64_t relays_next_deadline (const Relays *relays);
void relays_status (const Relays *relays, PathRelayStatus *out);
