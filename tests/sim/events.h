/* What will happen in the simulated world, in order of time; equal times in order of planning.
 *
 * Every event that is taken goes into a running hash, the trace: two runs with one seed have equal
 * traces, or something in the cores depends on chance or memory addresses. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum
{
  SIM_DATAGRAM,      /* arrives at address to */
  SIM_LAN_DATAGRAM,  /* arrives at node target */
  SIM_STREAM_OPEN,   /* the relay answers the dial of stream target */
  SIM_STREAM_UP,     /* bytes of stream target arrive at the server */
  SIM_STREAM_DOWN,   /* bytes of stream target arrive at the node */
  SIM_STREAM_END_UP, /* the end of stream target arrives at the server */
  SIM_STREAM_END_DOWN,
  SIM_STREAM_RESET, /* bytes arrive for a stream that the server has forgotten */
  SIM_NODE_TICK,
  SIM_NODE_ANSWER, /* of an HTTPS or ICMP probe: serial is its number, value the latency */
  SIM_NODE_START,
  SIM_NODE_STOP,
  SIM_NODE_SUSPEND,
  SIM_NODE_RESUME,
  SIM_NODE_ROAM,
  SIM_RELAY_DOWN,
  SIM_RELAY_UP,
  SIM_RELAY_TICK,
  SIM_CONTROL_DOWN,
  SIM_CONTROL_UP,
  SIM_CONTROL_KEEP_ALIVE,
  SIM_CONTROL_NEWS, /* what nodes announced is passed on */
  SIM_UDP_BLOCK,    /* site target drops all UDP from now on */
  SIM_UDP_UNBLOCK,
  SIM_FLOW, /* flow target sends */
  SIM_FLOW_START,
  SIM_CHECK,
} SimEventType;

typedef struct
{
  int64_t time_us;
  uint64_t order;
  SimEventType type;
  uint32_t target;
  uint32_t serial; /* generation or number of what is meant; stale ones are ignored by the target */
  int64_t value;
  IpPort from;
  IpPort to;
  uint8_t *data; /* owned */
  size_t size;
} SimEvent;

typedef struct
{
  SimEvent *heap;
  size_t count;
  size_t capacity;
  uint64_t planned;
  uint64_t taken;
  uint64_t trace;
} SimEvents;

void sim_events_init (SimEvents *events);
void sim_events_clear (SimEvents *events);

/* Plans a copy of EVENT; SIZE bytes at DATA are copied. */
void sim_events_add (SimEvents *events, const SimEvent *event, const void *data, size_t size);

/* Takes the next event; false when nothing is planned. Free with sim_event_clear. */
bool sim_events_take (SimEvents *events, SimEvent *event);
void sim_event_clear (SimEvent *event);

/* Adds SIZE bytes to the trace. */
void sim_events_trace (SimEvents *events, const void *data, size_t size);
