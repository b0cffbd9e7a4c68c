/* One profile come to life: what the user wants, what control, tunnel and host report, and from
 * both what should be done next (spec/local-services.md §1, DESIGN "How data moves").
 *
 * A core of five verbs: no disk, no socket, no bus; session/engine carries its actions out. An
 * inactive session only holds its profile. Actions borrow from the session until the next input.
 * Main thread. */
#pragma once

#include "control/control.h"
#include "host/link-state.h"
#include "session/health.h"
#include "session/local-facts.h"
#include "session/plan.h"
#include "session/problem.h"
#include "session/profile.h"
#include "session/state.h"
#include "tunnel/tunnel.h"

#define SESSION_LOGIN_URL_AGE_S   (7 * 86400 - 3600) /* a sign-in page is good for so long */
#define SESSION_CACHE_INTERVAL_US (300 * USEC_PER_SEC)
#define SESSION_SAVE_DELAY_US     (1 * USEC_PER_SEC) /* for what a kill may lose */
#define SESSION_RELAY_REGIONS_MAX 64

typedef struct Session Session;

typedef enum
{
  /* from the user, by the bus */
  SESSION_EVENT_CONNECT,
  SESSION_EVENT_DISCONNECT,
  SESSION_EVENT_PREFERENCES,
  SESSION_EVENT_LOGIN,
  SESSION_EVENT_CANCEL_LOGIN,
  SESSION_EVENT_LOGOUT,
  SESSION_EVENT_ACCEPT_KEY,
  /* from the daemon around it */
  SESSION_EVENT_ACTIVATE,   /* this profile owns the tunnel from now on */
  SESSION_EVENT_DEACTIVATE, /* not any more, or the daemon stops */
  SESSION_EVENT_LINK,
  SESSION_EVENT_CONTROL,
  SESSION_EVENT_TUNNEL,
  SESSION_EVENT_SAVED, /* answer to SESSION_ACTION_SAVE, before any other event */
  SESSION_EVENT_HOST,  /* how bringing the last plan about went */
  SESSION_EVENT_TICK,
} SessionEventType;

typedef struct
{
  SessionEventType type;
  WallTime wall; /* the date */
  union
  {
    const Preferences *preferences; /* wanted, logged_out and login_server of it are ignored */
    struct
    {
      const char *auth_key; /* NULL: by a page */
      bool force;           /* although the present key is good */
    } login;
    struct
    {
      Netmap *netmap;                  /* from disk, or NULL */
      DiscoPublic disco_key;           /* ours */
      const char *machine_key_problem; /* why no identity can be used, or NULL */
    } activate;
    struct
    {
      LinkState *state;
      bool major;
      bool woke;
    } link;
    const ControlAction *control; /* one of the actions that are for session */
    const TunnelEvent *tunnel;
    struct
    {
      uint32_t serial;
      bool ok;
      bool full; /* no space left */
      const char *text;
    } saved;
    struct
    {
      ProblemCode problem; /* PROBLEM_NONE: it worked */
      const char *text;
      unsigned warnings;          /* HostWarning bits */
      const char *blocking_chain; /* with HOST_WARNING_FIREWALL_BLOCKS */
      const char *local_dns;      /* name server that an exit node cuts off, or NULL */
    } host;
  };
} SessionEvent;

typedef enum
{
  SESSION_ACTION_SAVE,        /* write session_profile, then SESSION_EVENT_SAVED */
  SESSION_ACTION_SAVE_NETMAP, /* write this map to the cache */
  SESSION_ACTION_DROP_NETMAP, /* delete the cache */
  SESSION_ACTION_CONTROL,     /* feed this event to the control session */
  SESSION_ACTION_APPLY,       /* bring session_plan about; NULL: pass nothing, undo everything */
  SESSION_ACTION_LOGGED_OUT,  /* the profile's keys are gone */
  SESSION_ACTION_OPEN_URL,    /* the server asks that a person sees this page */
} SessionActionType;

typedef struct
{
  SessionActionType type;
  union
  {
    uint32_t serial;      /* SAVE */
    ControlEvent control; /* borrowed until the next input */
    const char *url;      /* OPEN_URL, borrowed likewise */
    Netmap *netmap;       /* SAVE_NETMAP, borrowed likewise */
  };
} SessionAction;

/* What the bus shows may have changed; bits of session_take_changes. */
typedef enum
{
  SESSION_CHANGED_STATE = 1 << 0, /* state, wanted, online, waiting, problem, login */
  SESSION_CHANGED_PREFERENCES = 1 << 1,
  SESSION_CHANGED_SELF = 1 << 2,       /* self, user, tailnet, exit node */
  SESSION_CHANGED_PEERS = 1 << 3,      /* any peer */
  SESSION_CHANGED_SOME_PEERS = 1 << 4, /* session_take_changed_peers tells which */
  SESSION_CHANGED_WARNINGS = 1 << 5,
} SessionChange;

/* PROFILE becomes the session's; FACTS are borrowed for its life. */
Session *session_new (Profile *profile, const LocalFacts *facts, Random *random);

/* A session for a profile that could not be read: it only shows its problem. */
Session *
session_new_refused (const char *id, const char *reason, const LocalFacts *facts, Random *random);
void session_input (Session *session, const SessionEvent *event, int64_t now_us);
bool session_next_action (Session *session, SessionAction *action);
int64_t session_next_deadline (const Session *session);
void session_free (Session *session);

const Profile *session_profile (const Session *session);

/* What of WireGuard's timestamps is reserved on disk from now on; the caller saves the profile. */
void session_set_handshake_time (Session *session, const uint8_t time[PROFILE_HANDSHAKE_TIME_SIZE]);

/* What a control session starts with; wipe it with control_identity_clear. */
void session_identity (const Session *session, ControlIdentity *out);
bool session_is_active (const Session *session);
bool session_is_refused (const Session *session);
SessionState session_state (const Session *session);
bool session_online (const Session *session);

/* "server", "netmap", "relay" or "". */
const char *session_waiting (const Session *session);

/* The problem to show: fatal ones first; code PROBLEM_NONE if there is none. */
const Problem *session_problem (const Session *session);

/* The page that waits for a person, NULL if none; *EXPIRES_S (may be NULL) is a Unix time. */
const char *session_login_url (const Session *session, int64_t *expires_s);

/* Borrowed; NULL when there is none. The map stays readable while disconnected. */
Netmap *session_netmap (const Session *session);
Plan *session_plan (const Session *session);

/* Our candidate endpoints and the last network report, as the tunnel told them. */
const TunnelEndpoint *session_endpoints (const Session *session, size_t *n);
const TunnelNetReport *session_net_report (const Session *session); /* NULL: none yet */

/* The exit node to suggest (spec/netmap-and-policy.md C.4), in the map of session_netmap; NULL:
 * none, or too early to tell. */
const Node *session_suggest_exit_node (const Session *session);

/* True when a connection to the home relay is up. */
bool session_relay_is_up (const Session *session);
bool session_network_is_up (const Session *session);

/* Warnings as of the last input. */
const Health *session_health (const Session *session);

/* Ids of peers that changed since the last call; borrowed until the next input. */
const NodeId *session_take_changed_peers (Session *session, size_t *n);

/* SessionChange bits since the last call. */
unsigned session_take_changes (Session *session);
