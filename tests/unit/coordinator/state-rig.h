/* The coordinator's core without a network: devices that register, browsers with their cookie,
 * commands, and the work that it wants done elsewhere. For tests of who is let in. */
#pragma once

#include "coordinator/accounts.h"
#include "coordinator/pending.h"
#include "coordinator/state.h"
#include "netmap/map-message.h"

#include <glib.h>

#define URL      "https://net.example"
#define PASSWORD "correct horse battery"

typedef struct
{
  uint64_t request;
  MapMessage *message; /* NULL: the end of the stream */
  bool told;
} RigMessage;

typedef struct
{
  SeededRandom random;
  State *state;
  int64_t now_us;
  WallTime wall;
  uint64_t last_request;
  GHashTable *replies; /* request -> StateAction of the answer */
  GQueue heard;        /* of RigMessage: what map streams were sent */
  GQueue jobs;         /* of WorkJob */
  bool denied;         /* the last ADMIT said no */
  char cookie[ACCOUNTS_TOKEN_MAX];
} Rig;

void rig_open (Rig *rig);
void rig_close (Rig *rig);

/* One event; the number of its request. */
uint64_t rig_input (Rig *rig, StateEvent *event);
/* Time goes on. */
void rig_pass (Rig *rig, int64_t micros);
/* The answer to a request, NULL while there is none; and its text. */
const StateAction *rig_reply (Rig *rig, uint64_t request);
const char *rig_body (Rig *rig, uint64_t request);

/* ---- devices ---- */

typedef struct
{
  uint8_t machine, key, old_key; /* repeated make the keys */
  const char *auth_key, *followup, *hostname, *tag, *from;
  WallTime expiry;
} Asking;

/* A device registers. */
uint64_t rig_ask (Rig *rig, const Asking *asking);
void rig_read_answer (Rig *rig, uint64_t request, Arena *arena, RegisterResponse *out);
void rig_assert_accepted (Rig *rig, uint64_t request);
/* WHY is part of what the device is told. */
void rig_assert_refused (Rig *rig, uint64_t request, const char *why);
/* The link of the sign-in page in the answer; free with g_free. */
char *rig_link_of (Rig *rig, uint64_t request);
const CoNode *rig_node_of (Rig *rig, uint8_t key);

/* ---- map streams ---- */

typedef struct
{
  uint8_t machine, key, disco;
  const char *hostname;
  uint16_t port; /* of its endpoint; 0: none */
  int home;      /* region; 0: none */
  const char *route;
  bool lite;
} Polling;

/* A device asks for its map. */
uint64_t rig_poll (Rig *rig, const Polling *polling);
/* What the stream was sent since it was asked last, keep-alives left out: the parts, as RIG_… bits
 * together, and in *ONE the last message, which stays the rig's until this is called again. */
#define RIG_NODE    1u
#define RIG_PEERS   2u
#define RIG_CHANGED 4u
#define RIG_REMOVED 8u
#define RIG_PATCHES 16u
#define RIG_FILTERS 32u
#define RIG_DNS     64u
#define RIG_SSH     128u
#define RIG_DERP    256u
#define RIG_USERS   512u
#define RIG_ENDED   1024u
unsigned rig_hear (Rig *rig, uint64_t stream, const MapMessage **one);
/* The message that ROPE is. */
MapMessage *rig_decode (const Rope *rope, bool compressed);

/* A command that ends with STATUS; its text, free with g_free. */
char *rig_command (Rig *rig, int status, const char *const *words);
#define COMMAND(rig, status, ...)                                                                  \
  rig_command (rig, status, (const char *const[]){__VA_ARGS__, NULL})

/* ---- browsers ---- */

uint64_t
rig_browse (Rig *rig, const char *method, const char *link, const char *form, const char *from);
/* Keeps the cookie of an answer, as a browser does. */
void rig_keep_cookie (Rig *rig, uint64_t request);
/* Opens a page with a form; its token. */
void rig_get_page (Rig *rig, const char *link, char token[ACCOUNTS_TOKEN_MAX]);
/* Opens the page and sends its form with FIELDS. */
uint64_t rig_send_form (Rig *rig, const char *link, const char *fields);
/* Does the job at hand as the thread for it would, only cheaply: passwords are their own hashes. */
void rig_work (Rig *rig);
void rig_set_password (Rig *rig, const char *login);
