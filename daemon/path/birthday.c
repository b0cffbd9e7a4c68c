#include "path/birthday.h"

#include "base/log.h"
#include "base/memory.h"
#include "path/internal.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_EVERY 32 /* one socket in so many asks STUN which port it was given */
#define SAMPLES      (BIRTHDAY_SOCKETS / SAMPLE_EVERY)
#define SAMPLES_MIN  4
#define BLOCK_MAX    4096 /* ports that lie within so many come from a block or a counter */
#define BLOCK_BEFORE 16   /* ports guessed beyond those seen */
#define BLOCK_BEHIND 64
#define PORT_MIN     1024
#define PORTS        65536
#define STEP_US      (10 * USEC_PER_MSEC)
#define ALIVE_US     (10 * USEC_PER_SEC) /* the peer was heard through the relay since */

struct Birthday
{
  PeerPath *peer;
  IpPort target; /* the peer's address */
  IpAddr own;    /* ours, as STUN saw it */
  IpPort stun;   /* a server that answers */
  uint32_t first;
  unsigned n_sent; /* sockets that have sent */
  unsigned round;
  int64_t started_us;
  int64_t next_us;
  StunTxId asked[SAMPLES];
  uint16_t seen[SAMPLES]; /* 0: no answer */
  unsigned low, high;     /* ports to guess among */
  unsigned left;          /* of them, not guessed yet */
  uint8_t guessed[PORTS / 8];
};

bool
birthday_runs_for (const Path *path, const PeerPath *p)
{
  return path->birthday && path->birthday->peer == p;
}

bool
birthday_is_open (const Path *path, const PeerPath *p, uint32_t side)
{
  const Birthday *b = path->birthday;

  return side == p->side || (b && b->peer == p && side - b->first < BIRTHDAY_SOCKETS);
}

/* ---- whether to ---- */

/* A NAT that kept our port for a server keeps it for all, as far as one server can tell. */
static int64_t
patience (const Path *path, const NetcheckReport *report)
{
  if (report->mapping_varies == TRISTATE_TRUE)
    return BIRTHDAY_KNOWN_US;
  if (report->mapping_varies == TRISTATE_UNSET && report->global4.port != path->port4)
    return BIRTHDAY_LIKELY_US;
  return TIME_NEVER;
}

static bool
is_public4 (const IpAddr *addr)
{
  return addr->family == 4 && !ip_is_private (addr) && !ip_is_link_local (addr)
         && !ip_is_loopback (addr) && !ip_is_tailnet (addr) && !ip_is_multicast (addr);
}

/* The peer's address outside its NAT: what both netmap and newest call list is what stays. */
static const Candidate *
find_target (const PeerPath *p, const IpAddr *own)
{
  const Candidate *found = NULL;
  int best = -1;

  for (size_t i = 0; i < p->candidates.count; i++) {
    const Candidate *c = &p->candidates.items[i];
    int rank = 2 * c->in_call + c->in_netmap;
    if (is_public4 (&c->at.addr) && !ip_equal (&c->at.addr, own) && rank > best) {
      found = c;
      best = rank;
    }
  }
  return found;
}

static bool
is_alive (const Path *path, const PeerPath *p)
{
  return path->now_us - p->last_received_us <= ALIVE_US
         || path->now_us - p->last_heard_us <= ALIVE_US;
}

static void
begin (Path *path, PeerPath *p, const NetcheckReport *report, const Candidate *target)
{
  Birthday *b = mem_new (sizeof *b);

  *b = (Birthday){.peer = p,
                  .target = target->at,
                  .own = report->global4.addr,
                  .stun = report->server4,
                  .first = path->last_side + 1,
                  .started_us = path->now_us,
                  .next_us = path->now_us};
  path->last_side += BIRTHDAY_SOCKETS;
  path->birthday = b;
  PathAction *action = actions_add (&path->actions, PATH_ACTION_SIDE_OPEN);
  action->side_open.first = b->first;
  action->side_open.count = BIRTHDAY_SOCKETS;
}

void
birthday_consider (Path *path, PeerPath *p)
{
  const NetcheckReport *report = discovery_report (path);

  if (path->birthday || path->n_sides == PATH_SIDES_MAX || !report
      || report->global4.addr.family != 4 || path->port4 == 0 || p->side != 0
      || path->now_us < p->next_guess_us || !is_alive (path, p) || p->seeking_us == TIME_NEVER)
    return;
  int64_t wait = patience (path, report);
  if (wait == TIME_NEVER || path->now_us - p->seeking_us < wait)
    return;
  const Candidate *target = find_target (p, &report->global4.addr);
  if (target)
    begin (path, p, report, target);
}

/* ---- the end ---- */

static void
close_sockets (Path *path, uint32_t first, uint32_t count)
{
  if (count == 0)
    return;
  PathAction *action = actions_add (&path->actions, PATH_ACTION_SIDE_CLOSE);
  action->side_close.first = first;
  action->side_close.count = count;
}

void
birthday_stop (Path *path, const PeerPath *p)
{
  Birthday *b = path->birthday;

  if (!b || (p && b->peer != p))
    return;
  pings_drop_sides (&b->peer->pings, b->first, BIRTHDAY_SOCKETS);
  close_sockets (path, b->first, BIRTHDAY_SOCKETS);
  path->birthday = NULL;
  free (b);
}

void
birthday_won (Path *path, PeerPath *p, uint32_t side, const IpPort *seen_at)
{
  Birthday *b = path->birthday;
  char text[IP_PORT_TEXT_MAX];

  if (!birthday_runs_for (path, p) || side == p->side)
    return;
  p->side = side;
  path->n_sides++;
  p->seen_at = *seen_at;
  p->next_guess_us = path->now_us + BIRTHDAY_AGAIN_US;
  pings_drop_sides (&p->pings, b->first, BIRTHDAY_SOCKETS);
  close_sockets (path, b->first, side - b->first);
  close_sockets (path, side + 1, b->first + BIRTHDAY_SOCKETS - 1 - side);
  path->birthday = NULL;
  ip_port_format (seen_at, text);
  log_debug ("path", "a guess of round %u was right: we are seen at %s", b->round, text);
  free (b);
  peer_path_call (path, p, NULL, 0);
}

void
birthday_release (Path *path, PeerPath *p)
{
  if (p->side == 0)
    return;
  pings_drop_sides (&p->pings, p->side, 1);
  close_sockets (path, p->side, 1);
  p->side = 0;
  path->n_sides--;
  p->seen_at = (IpPort){0};
}

/* ---- opening our side ---- */

static void
ask_stun (Path *path, Birthday *b, unsigned i)
{
  if (i % SAMPLE_EVERY != SAMPLE_EVERY / 2 || b->stun.addr.family != 4)
    return;
  StunTxId *tx_id = &b->asked[i / SAMPLE_EVERY];
  random_fill (path->random, tx_id, sizeof *tx_id);
  PathAction *action = actions_add (&path->actions, PATH_ACTION_SEND_UDP);
  action->send_udp.destination = b->stun;
  action->send_udp.side = b->first + i;
  action->send_udp.data = mem_new (STUN_REQUEST_SIZE);
  action->send_udp.size = STUN_REQUEST_SIZE;
  stun_encode_request (tx_id, action->send_udp.data);
}

void
birthday_stun (Path *path, const void *bytes, size_t size, uint32_t side)
{
  Birthday *b = path->birthday;
  StunTxId tx_id;
  IpPort mapped;

  if (!b || side - b->first >= BIRTHDAY_SOCKETS
      || !stun_parse_response (bytes, size, &tx_id, &mapped) || mapped.addr.family != 4)
    return;
  unsigned k = (side - b->first) / SAMPLE_EVERY;
  if (memcmp (&tx_id, &b->asked[k], sizeof tx_id) == 0 && ip_equal (&mapped.addr, &b->own))
    b->seen[k] = mapped.port;
}

static void
spray (Path *path, Birthday *b)
{
  int64_t elapsed = path->now_us - b->started_us;
  int64_t due = elapsed * BIRTHDAY_SOCKETS / BIRTHDAY_SPRAY_US + 1;

  for (; b->n_sent < BIRTHDAY_SOCKETS && b->n_sent < due; b->n_sent++) {
    ask_stun (path, b, b->n_sent);
    peer_path_ping (path, b->peer, &b->target, b->first + b->n_sent);
  }
  b->next_us = path->now_us + (b->n_sent < BIRTHDAY_SOCKETS ? STEP_US : BIRTHDAY_LEARN_US);
}

/* ---- guessing ---- */

static void
choose_range (Birthday *b)
{
  unsigned n = 0, low = PORTS, high = 0;

  for (unsigned i = 0; i < SAMPLES; i++) {
    if (b->seen[i] == 0)
      continue;
    n++;
    low = b->seen[i] < low ? b->seen[i] : low;
    high = b->seen[i] > high ? b->seen[i] : high;
  }
  b->low = PORT_MIN;
  b->high = PORTS - 1;
  if (n >= SAMPLES_MIN && high - low < BLOCK_MAX) {
    b->low = low > PORT_MIN + BLOCK_BEFORE ? low - BLOCK_BEFORE : PORT_MIN;
    b->high = high + BLOCK_BEHIND < PORTS ? high + BLOCK_BEHIND : PORTS - 1;
  }
  b->left = b->high - b->low + 1;
}

/* A port not guessed before; there is one. */
static uint16_t
guess (Path *path, Birthday *b)
{
  unsigned port = b->low + (unsigned)random_below (path->random, b->high - b->low + 1);

  while (b->guessed[port / 8] >> port % 8 & 1)
    port = port < b->high ? port + 1 : b->low;
  b->guessed[port / 8] |= (uint8_t)(1u << port % 8);
  b->left--;
  return (uint16_t)port;
}

static void
next_round (Path *path, Birthday *b)
{
  IpPort guesses[BIRTHDAY_GUESSES];
  PeerPath *p = b->peer;
  size_t n = 0;

  if (b->round == 0)
    choose_range (b);
  if (b->round == BIRTHDAY_ROUNDS || b->left == 0) {
    p->next_guess_us = path->now_us + BIRTHDAY_REST_US;
    birthday_stop (path, p);
    peer_path_call (path, p, NULL, 0);
    return;
  }
  for (; n < BIRTHDAY_GUESSES && b->left > 0; n++)
    guesses[n] = (IpPort){b->own, guess (path, b)};
  b->round++;
  b->next_us = path->now_us + BIRTHDAY_ROUND_US;
  peer_path_call (path, p, guesses, n);
}

void
birthday_tick (Path *path)
{
  Birthday *b = path->birthday;

  if (!b || path->now_us < b->next_us)
    return;
  if (peer_path_is_direct (path, b->peer))
    birthday_stop (path, NULL); /* some other way was found */
  else if (b->n_sent < BIRTHDAY_SOCKETS)
    spray (path, b);
  else
    next_round (path, b);
}

int64_t
birthday_next_deadline (const Path *path)
{
  return path->birthday ? path->birthday->next_us : TIME_NEVER;
}
