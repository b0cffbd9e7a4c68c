#include "path/portmap.h"

#include "base/log.h"
#include "base/memory.h"
#include "path/internal.h"

#include <stdlib.h>
#include <string.h>

#define PORT_MIN      1024 /* below it routers refuse */
#define RENEW_MIN_US  USEC_PER_SEC
#define EPOCH_SLACK_S 2

typedef enum
{
  PORTMAP_RESTING,
  PORTMAP_PROBING, /* who is there? */
  PORTMAP_MAPPING, /* a mapping is asked for or renewed */
} PortmapState;

struct Portmap
{
  PortmapState state;
  uint32_t side;  /* socket, 0: none */
  IpAddr gateway; /* family 0: none that could be asked */
  IpAddr own;
  uint16_t port;
  unsigned tries;
  int64_t next_us; /* another try, or the renewal; TIME_NEVER: neither */
  bool by_pcp;     /* the protocol in use */
  bool heard_pmp, heard_pcp;
  Tristate pmp, pcp;
  IpAddr outside; /* as NAT-PMP told */
  uint8_t nonce[PORTMAP_NONCE_SIZE];
  uint16_t wished;
  bool wished_any; /* the router refused our own port once */
  IpPort mapping;  /* family 0: none */
  int64_t until_us;
  bool has_epoch;
  uint32_t epoch_s;
  int64_t epoch_at_us;
  int64_t check_us; /* last answer that spoke for the mapping */
  int64_t absent_until_us;
  int64_t rest_us;
};

Portmap *
portmap_new (void)
{
  Portmap *m = mem_new (sizeof *m);

  m->next_us = TIME_NEVER;
  m->absent_until_us = m->check_us = LONG_AGO;
  return m;
}

void
portmap_free (Portmap *m)
{
  free (m);
}

const IpPort *
portmap_mapping (const Path *path)
{
  const Portmap *m = path->portmap;

  return m->mapping.addr.family != 0 ? &m->mapping : NULL;
}

void
portmap_report (const Path *path, NetcheckReport *report)
{
  report->pmp = path->portmap->pmp;
  report->pcp = path->portmap->pcp;
  report->port_mapped = portmap_mapping (path) != NULL;
}

bool
portmap_owns (const Path *path, uint32_t side)
{
  return side != 0 && side == path->portmap->side;
}

/* ---- requests ---- */

static void
send_request (Path *path, const uint8_t *request, size_t size)
{
  Portmap *m = path->portmap;

  if (m->side == 0) {
    m->side = ++path->last_side;
    PathAction *open = actions_add (&path->actions, PATH_ACTION_SIDE_OPEN);
    open->side_open.first = m->side;
    open->side_open.count = 1;
    open->side_open.raw = true;
  }
  PathAction *action = actions_add (&path->actions, PATH_ACTION_SEND_UDP);
  action->send_udp.destination = (IpPort){m->gateway, PORTMAP_PORT};
  action->send_udp.side = m->side;
  action->send_udp.data = mem_dup (request, size);
  action->send_udp.size = size;
}

static void
ask_pmp (Path *path)
{
  uint8_t request[PORTMAP_REQUEST_MAX];

  send_request (path, request, portmap_encode_pmp_address (request));
}

static void
ask_pcp (Path *path)
{
  uint8_t request[PORTMAP_REQUEST_MAX];

  send_request (path, request, portmap_encode_pcp_announce (&path->portmap->own, request));
}

static void
send_map (Path *path, uint32_t lifetime_s)
{
  Portmap *m = path->portmap;
  PcpMap map = {.own = m->own,
                .internal = m->port,
                .external = lifetime_s != 0 ? m->wished : 0,
                .lifetime_s = lifetime_s};
  uint8_t request[PORTMAP_REQUEST_MAX];

  memcpy (map.nonce, m->nonce, sizeof map.nonce);
  if (m->by_pcp)
    send_request (path, request, portmap_encode_pcp_map (&map, request));
  else
    send_request (path, request,
                  portmap_encode_pmp_map (map.internal, map.external, lifetime_s, request));
}

static void
set_try (Path *path)
{
  Portmap *m = path->portmap;

  m->next_us = path->now_us + (PORTMAP_TRY_US << m->tries++);
}

static void
probe (Path *path)
{
  path->portmap->state = PORTMAP_PROBING;
  ask_pmp (path);
  ask_pcp (path);
  set_try (path);
}

static void
begin_mapping (Path *path, bool by_pcp)
{
  Portmap *m = path->portmap;

  /* A strict router renews a mapping of PCP only for the nonce that made it. */
  if (m->mapping.addr.family == 0)
    random_fill (path->random, m->nonce, sizeof m->nonce);
  m->state = PORTMAP_MAPPING;
  m->by_pcp = by_pcp;
  m->tries = 0;
  m->wished_any = false;
  m->wished = m->mapping.addr.family != 0 ? m->mapping.port : m->port;
  send_map (path, PORTMAP_LIFETIME_S);
  set_try (path);
}

/* ---- what comes of it ---- */

static void
set_mapping (Path *path, const IpPort *at)
{
  Portmap *m = path->portmap;
  char text[IP_PORT_TEXT_MAX];

  if (ip_port_equal (at, &m->mapping))
    return;
  m->mapping = *at;
  if (at->addr.family != 0) {
    ip_port_format (at, text);
    log_debug ("path", "the router lets %s in by %s", text, m->by_pcp ? "PCP" : "NAT-PMP");
  }
  discovery_mapping_changed (path);
}

static void
give_up (Path *path)
{
  Portmap *m = path->portmap;

  m->state = PORTMAP_RESTING;
  m->next_us = TIME_NEVER;
  m->rest_us = m->rest_us == 0 ? PORTMAP_REST_US : time_min (2 * m->rest_us, PORTMAP_REST_MAX_US);
  m->absent_until_us = path->now_us + m->rest_us;
  set_mapping (path, &(IpPort){0});
}

static void
forget (Path *path, bool give_back)
{
  Portmap *m = path->portmap;

  if (give_back && m->mapping.addr.family != 0)
    send_map (path, 0);
  if (m->side != 0) {
    PathAction *action = actions_add (&path->actions, PATH_ACTION_SIDE_CLOSE);
    action->side_close.first = m->side;
    action->side_close.count = 1;
  }
  set_mapping (path, &(IpPort){0});
  *m = (Portmap){.next_us = TIME_NEVER, .absent_until_us = LONG_AGO, .check_us = LONG_AGO};
}

/* The address by which the gateway is reached. */
static IpAddr
find_own (const Path *path, const IpAddr *gateway)
{
  for (size_t i = 0; i < path->link.n_addresses; i++)
    if (ip_prefix_contains (&path->link.addresses[i].prefix, gateway))
      return path->link.addresses[i].prefix.addr;
  return (IpAddr){0};
}

void
portmap_update (Path *path)
{
  Portmap *m = path->portmap;
  bool may = path_udp_allowed (path) && path->has_link && path->link.up && path->port4 != 0;
  IpAddr gateway = may ? path->link.gateway4 : (IpAddr){0};
  IpAddr own
      = gateway.family == 4 && ip_is_private (&gateway) ? find_own (path, &gateway) : (IpAddr){0};

  if (own.family != 4)
    gateway = own = (IpAddr){0};
  if (ip_equal (&gateway, &m->gateway) && ip_equal (&own, &m->own)
      && (gateway.family == 0 || m->port == path->port4))
    return;
  forget (path, path->link.up && ip_equal (&gateway, &m->gateway));
  m->gateway = gateway;
  m->own = own;
  m->port = path->port4;
}

void
portmap_look (Path *path)
{
  Portmap *m = path->portmap;

  if (m->gateway.family == 0 || m->state != PORTMAP_RESTING)
    return;
  if (m->mapping.addr.family != 0) {
    if (path->now_us - m->check_us < PORTMAP_CHECK_US)
      return;
    if (m->by_pcp)
      ask_pcp (path);
    else
      ask_pmp (path);
  } else if (path->now_us >= m->absent_until_us) {
    m->tries = 0;
    m->heard_pmp = m->heard_pcp = false;
    probe (path);
  }
}

/* ---- answers ---- */

/* A clock that went back is a router that started anew, and has forgotten us. */
static bool
started_anew (Path *path, const PortmapAnswer *answer)
{
  Portmap *m = path->portmap;
  int64_t passed_s = (path->now_us - m->epoch_at_us) / USEC_PER_SEC;
  bool anew = m->has_epoch
              && (int64_t)answer->epoch_s + EPOCH_SLACK_S < (int64_t)m->epoch_s + passed_s * 7 / 8;

  m->has_epoch = true;
  m->epoch_s = answer->epoch_s;
  m->epoch_at_us = path->now_us;
  return anew;
}

static void
on_service (Path *path, const PortmapAnswer *answer, bool anew)
{
  Portmap *m = path->portmap;
  bool pcp = answer->type == PORTMAP_PCP_ANNOUNCE;

  if (!pcp)
    m->outside = answer->address;
  if (m->state == PORTMAP_PROBING) {
    m->heard_pcp |= pcp;
    m->heard_pmp |= !pcp;
    *(pcp ? &m->pcp : &m->pmp) = TRISTATE_TRUE;
    if (!pcp && m->outside.family == 4)
      begin_mapping (path, false);
    return;
  }
  if (m->state != PORTMAP_RESTING || m->mapping.addr.family == 0 || pcp != m->by_pcp)
    return;
  m->check_us = path->now_us;
  if (anew)
    begin_mapping (path, m->by_pcp);
  else if (!pcp && m->outside.family == 4)
    set_mapping (path, &(IpPort){m->outside, m->mapping.port});
}

static bool
is_usable (const IpPort *at)
{
  return at->addr.family == 4 && !ip_is_loopback (&at->addr) && at->port != 0;
}

static void
on_mapped (Path *path, const PortmapAnswer *answer)
{
  Portmap *m = path->portmap;
  IpPort at = {m->by_pcp ? answer->address : m->outside, answer->external};
  int64_t lifetime_us = answer->lifetime_s * USEC_PER_SEC;

  if (m->state != PORTMAP_MAPPING || answer->internal != m->port
      || (m->by_pcp && memcmp (answer->nonce, m->nonce, sizeof m->nonce) != 0))
    return;
  if (!is_usable (&at) || lifetime_us == 0) {
    give_up (path);
    return;
  }
  m->state = PORTMAP_RESTING;
  m->rest_us = 0;
  m->check_us = path->now_us;
  m->until_us = path->now_us + lifetime_us;
  m->next_us = path->now_us + (lifetime_us / 2 > RENEW_MIN_US ? lifetime_us / 2 : RENEW_MIN_US);
  set_mapping (path, &at);
}

static void
on_refused (Path *path, const PortmapAnswer *answer)
{
  Portmap *m = path->portmap;

  if (m->state != PORTMAP_MAPPING)
    return;
  if (m->wished_any) {
    give_up (path);
    return;
  }
  m->wished_any = true;
  m->wished = (uint16_t)random_between (path->random, PORT_MIN, 65536);
  send_map (path, PORTMAP_LIFETIME_S);
  set_try (path);
}

void
portmap_input (Path *path, const void *bytes, size_t size, const IpPort *source)
{
  Portmap *m = path->portmap;
  PortmapAnswer answer;

  if (m->gateway.family == 0 || source->port != PORTMAP_PORT
      || !ip_equal (&source->addr, &m->gateway) || !portmap_parse (bytes, size, &answer))
    return;
  bool map = answer.type == PORTMAP_PMP_MAP || answer.type == PORTMAP_PCP_MAP;
  if (map && (answer.type == PORTMAP_PCP_MAP) != m->by_pcp)
    return;
  if (answer.result != 0) {
    if (map)
      on_refused (path, &answer);
    return; /* a service that refuses to say where it is counts as none */
  }
  bool anew = started_anew (path, &answer);
  if (map)
    on_mapped (path, &answer);
  else
    on_service (path, &answer, anew);
}

/* ---- time ---- */

static void
on_probe_late (Path *path)
{
  Portmap *m = path->portmap;

  if (m->heard_pcp) {
    begin_mapping (path, true);
  } else if (m->tries < PORTMAP_TRIES) {
    probe (path);
  } else {
    m->pmp = m->heard_pmp ? TRISTATE_TRUE : TRISTATE_FALSE;
    m->pcp = TRISTATE_FALSE;
    give_up (path);
  }
}

static void
on_map_late (Path *path)
{
  Portmap *m = path->portmap;

  if (m->tries < PORTMAP_TRIES) {
    send_map (path, PORTMAP_LIFETIME_S);
    set_try (path);
  } else if (path->now_us + PORTMAP_REST_US < m->until_us) {
    m->state = PORTMAP_RESTING; /* what was granted still holds */
    m->next_us = path->now_us + PORTMAP_REST_US;
  } else {
    give_up (path);
  }
}

void
portmap_tick (Path *path)
{
  Portmap *m = path->portmap;

  if (path->now_us < m->next_us)
    return;
  switch (m->state) {
    case PORTMAP_RESTING:
      begin_mapping (path, m->by_pcp);
      break;
    case PORTMAP_PROBING:
      on_probe_late (path);
      break;
    case PORTMAP_MAPPING:
      on_map_late (path);
      break;
  }
}

int64_t
portmap_next_deadline (const Path *path)
{
  return path->portmap->next_us;
}
