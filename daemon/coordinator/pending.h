/* Devices that wait for a person to let them in (spec/control-protocol.md §17.3 rows 5 and 7).
 *
 * At most PENDING_MAX at a time, each for PENDING_LIFE_US; who was let in or refused stays known
 * for the rest of that time, for the page that is still open and the device that asks again. State
 * thread. */
#pragma once

#include "coordinator/state-private.h"

#define PENDING_MAX            1024
#define PENDING_MAX_FROM       64 /* from one address, or one /64 of IPv6 */
#define PENDING_MAX_OF_MACHINE 4
#define PENDING_MAX_WAITERS    8
#define PENDING_LIFE_US        (15 * 60 * USEC_PER_SEC)
#define PENDING_ID_BYTES       16

typedef enum
{
  PENDING_WAITS,
  PENDING_APPROVED,
  PENDING_DENIED,
} PendingOutcome;

struct Pending
{
  char id[2 * PENDING_ID_BYTES + 1];
  PendingOutcome outcome;
  MachinePublic machine;
  NodePublic key;
  NodePublic old_key;
  IpAddr from;
  Arena arena;
  Hostinfo hostinfo;
  WallTime expiry; /* wished by the device */
  bool ephemeral;
  int32_t version;
  int64_t until_us;
  uint64_t waiters[PENDING_MAX_WAITERS]; /* requests that hold on, oldest first */
  size_t n_waiters;
};

Pending *pending_find (const State *state, const char *id);
/* How many wait for a person. */
size_t pending_count (const State *state);
/* Lets the waiting device in, for USER. NULL, or why that cannot be (static); then it still waits.
 */
const char *pending_approve (State *state, Pending *pending, const CoUser *user);
void pending_deny (State *state, Pending *pending);

/* A registration that only a person can decide. */
void state_wait_for_person (State *state, const StateEvent *event);
void state_forget_waiter (State *state, uint64_t request);
void state_expire_pending (State *state);
int64_t state_pending_deadline (const State *state);
void pending_free (Pending *pending);
