#include "path/wireguard-only.h"

#include "base/memory.h"
#include "path/internal.h"

#include <stdlib.h>
#include <string.h>

#define TRUST_CHOSEN_US  (1 * USEC_PER_SEC)
#define TRUST_HEARD_US   (5 * USEC_PER_SEC)
#define ICMP_OLD_US      (5 * USEC_PER_SEC)
#define ICMP_INTERVAL_US (10 * USEC_PER_SEC)
#define MEASURED_MAX     16

typedef struct
{
  IpAddr addr;
  uint32_t probe; /* under way, 0: none */
  int64_t asked_us;
  int64_t latency_us; /* NETCHECK_NO_LATENCY: unknown */
} Measured;

struct WireguardOnly
{
  Measured items[MEASURED_MAX];
  size_t count;
  int64_t last_round_us;
};

WireguardOnly *
wireguard_only_new (void)
{
  WireguardOnly *w = mem_new (sizeof *w);

  w->last_round_us = LONG_AGO;
  return w;
}

void
wireguard_only_free (WireguardOnly *w)
{
  free (w);
}

static Measured *
measured (WireguardOnly *w, const IpAddr *addr)
{
  for (size_t i = 0; i < w->count; i++)
    if (ip_equal (&w->items[i].addr, addr))
      return &w->items[i];
  if (w->count == MEASURED_MAX)
    return NULL;
  w->items[w->count]
      = (Measured){.addr = *addr, .asked_us = LONG_AGO, .latency_us = NETCHECK_NO_LATENCY};
  return &w->items[w->count++];
}

static bool
family_usable (const Path *path, const IpAddr *addr)
{
  return (addr->family == 4 ? path->port4 : path->port6) != 0;
}

/* The fastest candidate, IPv6 when two are equal; any when none is measured. */
static const IpPort *
choose (Path *path, PeerPath *p)
{
  const PeerRecord *record = p->record;
  const IpPort *best = NULL;
  int64_t best_latency = TIME_NEVER;

  for (size_t i = 0; i < record->n_endpoints; i++) {
    const IpPort *at = &record->endpoints[i];
    const Measured *m = measured (p->wireguard_only, &at->addr);
    if (!m || m->latency_us < 0 || !family_usable (path, &at->addr))
      continue;
    if (m->latency_us < best_latency
        || (m->latency_us == best_latency && at->addr.family > best->addr.family)) {
      best = at;
      best_latency = m->latency_us;
    }
  }
  if (!best && record->n_endpoints > 0)
    best = &record->endpoints[random_below (path->random, record->n_endpoints)];
  return best;
}

/* Measures all candidates anew when there is a choice and the oldest measurement is old. */
static void
measure (Path *path, PeerPath *p)
{
  WireguardOnly *w = p->wireguard_only;
  bool old = false;

  if (p->record->n_endpoints < 2 || path->knobs.only_tcp_443
      || path->now_us - w->last_round_us < ICMP_INTERVAL_US)
    return;
  for (size_t i = 0; i < p->record->n_endpoints; i++) {
    const Measured *m = measured (w, &p->record->endpoints[i].addr);
    old |= m && path->now_us - m->asked_us > ICMP_OLD_US;
  }
  if (!old)
    return;
  w->last_round_us = path->now_us;
  for (size_t i = 0; i < p->record->n_endpoints; i++) {
    Measured *m = measured (w, &p->record->endpoints[i].addr);
    if (!m || !family_usable (path, &m->addr) || m->asked_us == path->now_us)
      continue;
    m->asked_us = path->now_us;
    m->probe = ++path->last_probe | PATH_OWN_PROBE;
    PathAction *action = actions_add (&path->actions, PATH_ACTION_ICMP_PING);
    action->icmp_ping.probe = m->probe;
    action->icmp_ping.destination = m->addr;
  }
}

static void
trust (Path *path, PeerPath *p, const IpPort *at, int64_t span_us)
{
  p->best = (PathWay){.at = *at, .wire_mtu = WAY_DEFAULT_MTU};
  p->trust_until_us = path->now_us + span_us;
}

void
wireguard_only_sent (Path *path, PeerPath *p)
{
  if (!p->wireguard_only)
    p->wireguard_only = wireguard_only_new ();
  if (!way_is_set (&p->best) || path->now_us > p->trust_until_us) {
    const IpPort *at = choose (path, p);
    if (at)
      trust (path, p, at, TRUST_CHOSEN_US);
  }
  measure (path, p);
}

void
wireguard_only_received (Path *path, PeerPath *p, const IpPort *source)
{
  trust (path, p, source, TRUST_HEARD_US);
}

bool
wireguard_only_latency (Path *path, PeerPath *p, uint32_t probe, int64_t latency_us)
{
  WireguardOnly *w = p->wireguard_only;

  for (size_t i = 0; w && i < w->count; i++)
    if (w->items[i].probe == probe && probe != 0) {
      w->items[i].probe = 0;
      w->items[i].latency_us = latency_us;
      return true;
    }
  return false;
}
