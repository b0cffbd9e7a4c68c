/* The inside of the engine, shared by the files that implement session/engine.h and nobody else. */
#pragma once

#include "control/control-io.h"
#include "host/firewalld.h"
#include "host/host.h"
#include "host/link-monitor.h"
#include "host/resolver.h"
#include "session/boot-timer.h"
#include "session/engine.h"
#include "session/farewell.h"

struct Engine
{
  char *state_dir;
  char *tun_name;
  uint16_t port;
  Store *store;
  LocalFacts *facts;
  MachinePrivate *machine_key; /* secret_new */
  char *machine_key_problem;   /* why it cannot be used, or NULL */
  DiscoPrivate *disco_key;     /* secret_new */
  GPtrArray *sessions;
  Session *active;
  Session *leaving; /* is removed once it is signed out; NULL: none */
  guint leave_source;
  GPtrArray *farewells; /* Farewell: of profiles that are gone from the list already */
  guint twin_source;
  guint rest_source;
  EngineListener listener;
  void *listener_data;
  bool pumping;
  GError *save_error; /* of the last save that failed, for the call that caused it */
  BootTimer *timer;

  Resolver *resolver;
  LinkMonitor *monitor;
  bool network_up;
  ControlIo *control;

  TunDevice tun;
  Tunnel *tunnel; /* from the first plan on, until the engine stops */
  Host *host;
  GDBusConnection *bus; /* NULL: none, then firewalld is not told */
  Firewalld *firewalld; /* while connected */
  guint tunnel_source;
  NodePublic tunnel_key; /* public half of the node key that the tunnel has */
  uint8_t reserved[PROFILE_HANDSHAKE_TIME_SIZE]; /* the tunnel's initiations are older than this */
  bool blocked_by_cleanup; /* kill switch left in place by the clean-up, until the first plan */
  int64_t retry_at_us;     /* when a plan that failed is tried again */
  uint64_t next_request;
  GHashTable *requests; /* id -> EngineRequest */
};

/* engine.c */
void engine_feed (Engine *e, Session *s, SessionEvent *event);

/* engine-tunnel.c */
void engine_apply (Engine *e, Session *s);
void engine_link_to_tunnel (Engine *e, bool major);
void engine_tell_proxies (Engine *e);
void engine_close_tunnel (Engine *e);
