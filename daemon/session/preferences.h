/* What the user of one profile wants, as a plain value: the first input of session/plan.
 *
 * Not on disk by itself (session/store) and not on the bus (api/preference-keys). Keys and meaning:
 * spec/desktop.md §8.8, spec/local-services.md §2.1; exit node: spec/netmap-and-policy.md C.3.
 * Main thread; the struct may be copied with preferences_copy and handed to a pure function. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PREFERENCES_URL_MAX      512 /* characters of the server's base URL, with the NUL */
#define PREFERENCES_HOSTNAME_MAX 254
#define PREFERENCES_NODE_ID_MAX  128
#define PREFERENCES_TAG_MAX      128
#define PREFERENCES_TAGS_LIMIT   32   /* tags asked for at most */
#define PREFERENCES_ROUTES_LIMIT 256  /* subnets offered at most */
#define PREFERENCES_PROXY_MAX    1024 /* bytes of the proxy's URL, with the NUL */
#define PREFERENCES_PROXY_NONE   "none"
#define PREFERENCES_MTU_MIN      1280
#define PREFERENCES_MTU_MAX      9000

typedef enum
{
  EXIT_NODE_NONE,       /* default traffic stays outside */
  EXIT_NODE_BY_ID,      /* exit_node_id; a peer that is absent or offline blocks */
  EXIT_NODE_BY_ADDRESS, /* exit_node_addr, until a peer with it is known; blocks until then */
  EXIT_NODE_AUTO,       /* exit_node_id is the present choice; "" blocks until there is one */
} ExitNodeMode;

typedef struct
{
  char login_server[PREFERENCES_URL_MAX]; /* without a slash at the end; never empty */
  bool wanted;                            /* on/off */
  bool logged_out;                        /* the user signed out, or never signed in */

  ExitNodeMode exit_node_mode;
  char exit_node_id[PREFERENCES_NODE_ID_MAX]; /* stable id, for BY_ID and AUTO */
  IpAddr exit_node_addr;                      /* for BY_ADDRESS */
  bool exit_node_allow_lan;                   /* keep on-link networks local with an exit node */

  bool accept_dns;
  bool accept_routes; /* subnet routes of peers */
  bool shields_up;    /* nothing from peers comes in */
  bool auto_connect;  /* connect when the daemon starts, as it was left */
  bool ephemeral;     /* the server forgets this node when it goes offline */

  bool advertise_exit_node;   /* offer peers the way to the internet */
  bool snat_routes;           /* what peers send into what is offered leaves as if from this host */
  IpPrefix *advertise_routes; /* subnets offered: sorted, each once, no default route; owned */
  size_t n_advertise_routes;

  /* Proxy to the control server and to relays, a URL that may hold a password: never shown, never
   * logged. "" = as in the daemon's environment, PREFERENCES_PROXY_NONE = none. */
  char proxy[PREFERENCES_PROXY_MAX];

  char hostname[PREFERENCES_HOSTNAME_MAX]; /* "" = the computer's own name */
  char (*tags)[PREFERENCES_TAG_MAX];       /* "tag:x", owned */
  size_t n_tags;

  uint16_t port; /* UDP port, 0 = the program's choice */
  uint32_t mtu;  /* of the tunnel device, bytes; 0 = default (1280) */
} Preferences;

/* The values of a fresh profile for LOGIN_SERVER. */
void preferences_init (Preferences *prefs, const char *login_server);

/* Deep copy into uninitialised memory; clear frees what PREFS owns. */
void preferences_copy (Preferences *to, const Preferences *from);
void preferences_clear (Preferences *prefs);

/* Offers one more subnet. False when it has host bits, is a default route, or is one too many. */
bool preferences_offer_route (Preferences *prefs, const IpPrefix *route);

bool preferences_equal (const Preferences *a, const Preferences *b);
