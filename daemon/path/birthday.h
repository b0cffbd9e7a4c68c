/* A hard NAT of ours against the easy NAT of a peer: many sockets, many guesses, one hit.
 *
 * Behind a NAT that gives each destination another port nobody can be told where we are. So we open
 * many sockets towards the peer's one address and let it ping guessed ports of ours in rounds of
 * CallMeMaybe, until one guess is a port that one of the sockets was given: that socket then
 * carries the path to this peer. Works with any peer that follows the disco protocol. One peer at a
 * time, with named limits. spec/path-finding.md §16.2, §16.3. Net thread, inside path only. */
#pragma once

#include "path/peer-path.h"

#define BIRTHDAY_SOCKETS 256
#define BIRTHDAY_GUESSES 256 /* in one CallMeMaybe */
#define BIRTHDAY_ROUNDS  4
#define BIRTHDAY_KNOWN_US                                                                          \
  (2500 * USEC_PER_MSEC)                      /* without a direct path, our NAT known as hard      \
                                               */
#define BIRTHDAY_LIKELY_US (5 * USEC_PER_SEC) /* the same, our NAT only looks hard */
#define BIRTHDAY_SPRAY_US  (250 * USEC_PER_MSEC)
#define BIRTHDAY_LEARN_US  (150 * USEC_PER_MSEC) /* for the last answers of STUN */
#define BIRTHDAY_ROUND_US  (2 * USEC_PER_SEC)
#define BIRTHDAY_REST_US   (1800 * USEC_PER_SEC) /* after an attempt in vain */
#define BIRTHDAY_AGAIN_US  (60 * USEC_PER_SEC) /* after a path that was found, should it be lost */

typedef struct Birthday Birthday;

/* PEER is in use and has no direct path: begins an attempt if there is hope. */
void birthday_consider (Path *path, PeerPath *peer);

/* Gives the attempt for PEER (NULL: for whomever) up, if one is under way. */
void birthday_stop (Path *path, const PeerPath *peer);

bool birthday_runs_for (const Path *path, const PeerPath *peer);

/* True while socket SIDE belongs to the attempt for PEER or carries its path. */
bool birthday_is_open (const Path *path, const PeerPath *peer, uint32_t side);

/* SIDE carries PEER's path now; the peer sees us there at SEEN_AT. */
void birthday_won (Path *path, PeerPath *peer, uint32_t side, const IpPort *seen_at);

/* The socket that carried PEER's path is not needed any more. */
void birthday_release (Path *path, PeerPath *peer);

/* An answer of STUN that came in through socket SIDE. */
void birthday_stun (Path *path, const void *bytes, size_t size, uint32_t side);

void birthday_tick (Path *path);
int64_t birthday_next_deadline (const Path *path);
