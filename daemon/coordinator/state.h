/* The coordinator's decisions, as a core without I/O: who may join, what each node is told, what is
 * kept (spec/control-protocol.md §17, spec/netmap-and-policy.md §8).
 *
 * Requests come in with a number that the shell gave them; replies and map messages go out with it.
 * What must be on disk before a reply is sent comes out as a record in front of it: the shell holds
 * a reply back until the records before it are committed. State thread. */
#pragma once

#include "base/clock.h"
#include "coordinator/model.h"
#include "coordinator/oidc.h"
#include "coordinator/web.h"
#include "coordinator/work.h"
#include "netmap/derp-map.h"
#include "netmap/map-request.h"
#include "netmap/register.h"
#include "wire/rope.h"

typedef struct State State;

typedef struct
{
  const char *url;    /* base URL that nodes and people use; borrowed for state_new */
  DerpMap *derp_map;  /* handed to every node; a reference is taken */
  const char *listen; /* ADDRESS:PORT, to be shown; NULL: unknown */
  OidcConfig oidc;    /* identity provider; borrowed as long as the state lives */
} StateConfig;

typedef enum
{
  STATE_EVENT_REGISTER,
  STATE_EVENT_MAP,
  STATE_EVENT_GONE,    /* the request's connection or stream is over */
  STATE_EVENT_COMMAND, /* a person or program manages the network */
  STATE_EVENT_WEB,     /* a browser asks */
  STATE_EVENT_WORKED,  /* what STATE_ACTION_WORK asked for is done */
  STATE_EVENT_TICK,
} StateEventType;

typedef struct
{
  StateEventType type;
  uint64_t request; /* not used by TICK */
  WallTime wall;    /* the date */
  union
  {
    struct
    {
      MachinePublic machine; /* as the Noise session proved */
      const RegisterRequest *body;
      IpAddr from; /* the connection's other end; family 0: not known */
    } registration;
    struct
    {
      MachinePublic machine;
      const MapRequest *body;
    } map;
    struct
    {
      const char *const *words; /* "keys", "create", "--reusable" */
      size_t n_words;
      const char *input; /* the text that came with it (a policy), or NULL */
    } command;
    const WebRequest *web;
    const WorkResult *worked;
  };
} StateEvent;

typedef enum
{
  STATE_ACTION_RECORD,  /* keep this on disk */
  STATE_ACTION_REPLY,   /* answer a request, once the records before it are on disk */
  STATE_ACTION_OPEN,    /* a map stream begins: send the head of its answer */
  STATE_ACTION_MESSAGE, /* a map message for an open stream */
  STATE_ACTION_END,     /* end a stream */
  STATE_ACTION_ADMIT,   /* the relay may serve this node key, or not any more */
  STATE_ACTION_WORK,    /* a job for work.h, once the records before it are on disk */
} StateActionType;

typedef struct
{
  StateActionType type;
  uint64_t request;
  union
  {
    struct
    {
      const char *table; /* "node", "user", "key", "setting": static */
      char *name;        /* key of the record */
      char *value;       /* JSON, or NULL to delete */
    } record;
    struct
    {
      int status; /* HTTP; of a command its exit code */
      char *body;
      size_t size;
      const char *type; /* of the body, static; NULL: JSON */
      char *headers;    /* more of them in their wire form; NULL: none */
      bool no_promise;  /* it says nothing about what was changed */
    } reply;
    struct
    {
      Rope *rope; /* framed and compressed; shared by all that get the same */
    } message;
    struct
    {
      NodePublic key;
      bool allowed;
    } admit;
    WorkJob work;
  };
} StateAction;

State *state_new (const StateConfig *config, Random *random);
void state_free (State *state);

/* Before the first event: one record as it was written. False and *ERROR when it cannot be read. */
bool state_load (State *state, const char *table, const char *name, const char *value,
                 const char **error);

/* What the configuration fixes; NULL leaves it as it was. After the last record. */
typedef struct
{
  const char *name, *domain;
  const IpPrefix *prefix4, *prefix6; /* of devices that join from now on */
  int64_t key_days;                  /* -1: as it was */
} StateNetwork;

void state_configure (State *state, const StateNetwork *network);

/* After the last record. Makes an owner account when there is none. */
void state_start (State *state, WallTime wall, int64_t now_us);

void state_input (State *state, const StateEvent *event, int64_t now_us);
bool state_next_action (State *state, StateAction *action);
void state_action_clear (StateAction *action);
int64_t state_next_deadline (const State *state);

/* How many there are of what. Looks at every node: not for each event. */
typedef struct
{
  size_t nodes, online, users, pending, streams;
} StateFigures;

StateFigures state_figures (const State *state);
