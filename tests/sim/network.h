/* UDP between sites: NATs, loss, delay, reordering, duplicates. */
#pragma once

#include "world.h"

/* Makes the sites for N_NODES nodes. */
void sim_network_init (Sim *sim);
void sim_network_clear (Sim *sim);

/* A node's LAN address at SITE, or its public one. */
IpAddr sim_network_join (Sim *sim, SimSite *site);

/* NODE sends SIZE bytes from its PORT. */
void sim_network_send (Sim *sim, SimNode *node, uint16_t port, const IpPort *to,
                       const uint8_t *bytes, size_t size);

/* A relay answers a STUN request that came from TO. */
void sim_network_send_from_relay (Sim *sim, unsigned relay, const IpPort *to, const uint8_t *bytes,
                                  size_t size);

/* SIM_DATAGRAM: finds out whose it is. */
void sim_network_arrive (Sim *sim, const SimEvent *event);

/* One way, without jitter. */
int64_t sim_network_delay_us (const SimSite *site, double x, double y);

/* Could two sites be connected by UDP at all, by theory? */
bool sim_network_can_be_direct (const SimSite *a, const SimSite *b);

/* Could they by guessing ports (path/birthday.h)? */
bool sim_network_can_be_guessed (const SimSite *a, const SimSite *b);
