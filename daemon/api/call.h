/* One method call from its arrival to its answer: limits, the caller's user, polkit, handler.
 *
 * Inside of api only. Main thread. */
#pragma once

#include "api/access.h"
#include "api/authority.h"
#include "api/bus-error.h"
#include "api/bus-service.h"
#include "warren-daemon-bus.h"

#define CALL_PARAMS_MAX     (256 * 1024) /* bytes of arguments */
#define CALLS_PER_CLIENT    64           /* under way at once */
#define OBJECT_PATH_SESSION BUS_PATH "/Session/"
#define OBJECT_PATH_MANAGER BUS_PATH "/Manager"

typedef struct NetworkObject NetworkObject;
typedef struct PeerFeed PeerFeed;
typedef struct SessionObject SessionObject;
struct SessionObject
{
  BusService *service;
  Session *session;
  char *path;
  WarrenBusObjectSkeleton *skeleton;
  WarrenBusSession *bus_session;
  WarrenBusPeers *bus_peers;
  WarrenBusDiagnostics *bus_diagnostics;
  PeerFeed *feed;
};

struct BusService
{
  Engine *engine;
  GDBusConnection *bus;
  GDBusObjectManagerServer *objects;
  WarrenBusManager *manager;
  WarrenBusDiagnostics *diagnostics; /* of the active session, or of none */
  GHashTable *sessions;              /* Session -> SessionObject */
  NetworkObject *network;            /* what this computer runs itself */
  Authority *authority;
  GHashTable *calls;   /* set of Call under way */
  GHashTable *watches; /* set of PeerWatch */
};

typedef struct Call Call;
struct Call
{
  BusService *service;
  SessionObject *object; /* NULL for the manager, or when the session has gone meanwhile */
  bool on_object;
  GDBusMethodInvocation *invocation;
  GVariant *params; /* borrowed */
  const char *sender;
  uint32_t uid;
  bool interactive;
  const AccessRow *access;
  void (*run) (Call *call);
};

typedef void (*CallHandler) (Call *call);

typedef struct
{
  const char *method;
  CallHandler run;
} CallRow;

/* Connects the handlers of ROWS to the skeleton of INTERFACE ("Manager"). Every method of the
 * interface must have a row. OBJECT is NULL for the manager. */
void call_connect (BusService *service, SessionObject *object, GDBusInterfaceSkeleton *skeleton,
                   const char *interface, const CallRow *rows, size_t n_rows);

/* Each of these answers and frees the call. VALUE is the tuple of results (floating is taken), NULL
 * for none. FD is closed. */
void call_return (Call *call, GVariant *value);
void call_return_fd (Call *call, int fd);
void call_fail (Call *call, BusError code, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
void call_fail_error (Call *call, GError *error);

/* The session that a call on .Diagnostics is about: the object's, on the manager the active one.
 * NULL when there is none. */
SessionObject *call_subject (Call *call);

/* The session at PATH, or NULL. */
SessionObject *call_session_at (BusService *service, const char *path);

/* Forgets OBJECT in calls that are still under way; drops everything that is under way. */
void calls_forget_object (BusService *service, SessionObject *object);
void calls_drop_all (BusService *service);
