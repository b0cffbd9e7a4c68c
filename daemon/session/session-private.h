/* The inside of a session, shared by the files that implement session/session.h and nobody else. */
#pragma once

#include "host/host.h"
#include "session/health.h"
#include "session/session.h"

/* What a save was for, and so what its failure undoes. */
typedef enum
{
  SAVE_IDENTITY,    /* control waits for it */
  SAVE_WISH,        /* carried out in any case */
  SAVE_PREFERENCES, /* taken back when it fails */
  SAVE_FACTS,       /* user, tailnet, lock record: tried again with the next save */
} SavePurpose;

typedef struct
{
  uint32_t serial;
  SavePurpose purpose;
  uint32_t control_serial;
  Preferences before; /* SAVE_PREFERENCES */
} PendingSave;

struct Session
{
  Profile *profile;
  const LocalFacts *facts;
  Random *random;
  bool refused;
  bool active;
  int64_t now_us;
  WallTime wall;

  SessionState state;
  unsigned changes;

  /* control */
  bool started; /* the control session has its START */
  bool resumed;
  bool logging_in;
  bool wanted_by_login; /* cancelling the login takes the wish back */
  ControlState control_state;
  bool must_sign_in; /* the server does not know us any more: holds until it takes us in again */
  bool online;
  Netmap *netmap;
  bool netmap_is_fresh; /* it came from the server in this run, not from disk */

  /* this computer */
  LinkState *link; /* NULL: not known yet */
  TunnelEndpoint endpoints[TUNNEL_ENDPOINTS_MAX];
  size_t n_endpoints;
  TunnelNetReport net_report;
  bool have_net_report;
  uint16_t relays_up[SESSION_RELAY_REGIONS_MAX];
  size_t n_relays_up;
  bool peer_seen; /* some peer was reached directly since the tunnel was configured */
  DiscoPublic disco_key;

  Problem control_problem;
  Problem local_problem; /* TUN, permission, lock, state files */
  Problem disk_problem;

  Health health;
  char *local_dns;       /* the host's name server if it can only be reached locally, else NULL */
  GArray *changed_peers; /* NodeId; see session_take_changed_peers */
  bool peers_taken;      /* they were, and can be forgotten with the next input */

  bool reconsider_exit; /* the automatic exit node is to be chosen anew */
  Plan *plan;           /* what was asked for last; NULL: nothing */
  bool applied;         /* an APPLY was emitted at all */

  /* announcing */
  Arena announce_arena; /* owns what `announced` and the last LOCAL_STATE point to */
  Hostinfo announced;
  IpPort announced_endpoints[TUNNEL_ENDPOINTS_MAX];
  uint8_t announced_types[TUNNEL_ENDPOINTS_MAX];
  size_t n_announced_endpoints;
  bool have_announced;

  /* disk */
  GQueue saves; /* PendingSave, oldest first */
  uint32_t next_serial;
  int64_t facts_dirty_us; /* since when the user's or the tailnet's name wait to be saved; 0: no */
  bool cache_dirty;
  int64_t cache_dirty_us; /* since when */
  int64_t cache_saved_us; /* 0: never in this run */

  /* actions; texts that they borrow */
  GQueue actions; /* SessionAction */
  char *auth_key; /* wiped with the next input */
  char *open_url;
  Netmap *cache_map;        /* for SAVE_NETMAP */
  ControlIdentity identity; /* for START; wiped with the next input */
  IpAddr *link_addresses;
};

/* session.c */
void session_push (Session *s, SessionActionType type);
ControlEvent *session_push_control (Session *s, ControlEventType type);
void
session_save (Session *s, SavePurpose purpose, uint32_t control_serial, const Preferences *before);
void session_changed (Session *s, unsigned bits);
/* A relay or a peer answers, or there is none to wait for. */
bool session_is_live (const Session *s);
/* What may be lost with a kill is saved a moment later, together with whatever comes until then. */
void session_save_soon (Session *s);
int64_t session_now_s (const Session *s);

/* Looks at everything anew: state, pause or resume, plan. CHANGES of the netmap, or NULL. */
void session_evaluate (Session *s, const NetmapChanges *changes);

/* session-control.c */
void session_control_event (Session *s, const ControlAction *action);
void session_start_control (Session *s, Netmap *cached);
void session_logged_out (Session *s);

/* session-health.c. MAP_CHANGED: the peers may be others than last time. */
void session_check_health (Session *s, bool map_changed);
void session_host_health (Session *s, unsigned warnings, const char *blocking_chain,
                          const char *local_dns);

/* session-exit-node.c. ANEW: the map, the latencies or the wish may be others than last time. */
void session_resolve_exit_node (Session *s, bool anew);

/* session-announce.c: tells control what this node is, if that changed. */
void session_announce (Session *s);
