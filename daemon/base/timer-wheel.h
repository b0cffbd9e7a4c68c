/* Many timers, few of which ever fire: a hierarchical wheel with intrusive nodes.
 *
 * Two levels of 64 slots (250 ms and 16 s) and an overflow list. Adding and removing cost O(1) and
 * never allocate; a node fires at its exact deadline and never before. Whoever wants wake-ups
 * merged rounds deadlines up (timer_round). Not a clock: the time is handed in. Belongs to one
 * thread. spec/wireguard-dataplane.md §10.6. */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_WHEEL_SLOTS    64
#define TIMER_WHEEL_TICK_US  (250 * USEC_PER_MSEC)
#define TIMER_WHEEL_TURN_US  (TIMER_WHEEL_TICK_US * TIMER_WHEEL_SLOTS)
#define TIMER_WHEEL_RANGE_US (TIMER_WHEEL_TURN_US * TIMER_WHEEL_SLOTS)

typedef struct TimerNode TimerNode;
struct TimerNode
{
  TimerNode *next; /* NULL while not armed */
  TimerNode *prev;
  int64_t deadline_us; /* TIME_NEVER while not armed */
  uint32_t kind;       /* the owner's own number, so that one wheel can hold several sorts */
  uint16_t slot;       /* where it hangs; the wheel's business */
};

typedef struct
{
  TimerNode levels[2][TIMER_WHEEL_SLOTS]; /* list heads */
  TimerNode overflow;
  TimerNode due;        /* deadline reached, not yet taken */
  uint64_t occupied[2]; /* a bit for each slot that is not empty */
  int64_t now_us;       /* how far the wheel has turned */
  int64_t next_us;      /* cached earliest deadline */
  bool next_known;
  size_t count; /* armed nodes */
} TimerWheel;

/* Starts an empty wheel at NOW_US. */
void timer_wheel_init (TimerWheel *wheel, int64_t now_us);

/* Prepares a node that is not armed. */
void timer_node_init (TimerNode *node, uint32_t kind);
bool timer_node_armed (const TimerNode *node);

/* Arms NODE for DEADLINE_US, or moves it there when it is armed. A deadline in the past fires at
 * the next timer_wheel_expire; TIME_NEVER disarms. */
void timer_wheel_set (TimerWheel *wheel, TimerNode *node, int64_t deadline_us);

/* Disarms NODE; harmless when it is not armed. */
void timer_wheel_remove (TimerWheel *wheel, TimerNode *node);

/* Takes one node whose deadline is at or before NOW_US, in no particular order among equals, and
 * disarms it; NULL when there is none. Call until NULL. */
TimerNode *timer_wheel_expire (TimerWheel *wheel, int64_t now_us);

/* The earliest deadline, exactly; TIME_NEVER when nothing is armed. */
int64_t timer_wheel_next (TimerWheel *wheel);

/* DEADLINE_US rounded up to the next tick: merges wake-ups of timers that need no precision. */
static inline int64_t
timer_round (int64_t deadline_us)
{
  if (deadline_us > TIME_NEVER - TIMER_WHEEL_TICK_US)
    return TIME_NEVER;
  return (deadline_us + TIMER_WHEEL_TICK_US - 1) / TIMER_WHEEL_TICK_US * TIMER_WHEEL_TICK_US;
}
