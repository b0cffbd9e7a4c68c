#include "network.h"

#include "node.h"
#include "relay.h"

#include <glib.h>
#include <math.h>

#define MAP_SIZE_MS      60.0
#define BASE_DELAY_US    2000
#define LAN_DELAY_US     300
#define EASY_LIFETIME_US (120 * USEC_PER_SEC)
#define HARD_LIFETIME_US (45 * USEC_PER_SEC)
#define LANS             4           /* so few that addresses of different sites collide */
#define SIM_SITE_NET     0x0b000000u /* 11.0.0.0/8: public */

typedef struct
{
  IpPort at;
  int64_t sent_us;
} Permit;

/* One mapping of a NAT. */
typedef struct SimNat
{
  uint32_t node;
  uint16_t inside;
  uint16_t outside;
  IpPort destination; /* hard NATs only */
  int64_t sent_us;
  GArray *permits; /* of Permit */
  struct SimNat *next;
} SimNat;

static SimNatKind
draw_nat (Sim *sim)
{
  uint64_t dice = random_below (&sim->random.base, 100);

  if (dice < 15)
    return SIM_NAT_NONE;
  if (dice < 65)
    return SIM_NAT_EASY;
  return dice < 88 ? SIM_NAT_HARD : SIM_NAT_BLOCKED;
}

void
sim_network_init (Sim *sim)
{
  /* A fifth of the nodes share a site with others. */
  sim->n_sites = MAX (4, sim->options.n_nodes * 4 / 5);
  sim->sites = g_new0 (SimSite, sim->n_sites);
  for (unsigned i = 0; i < sim->n_sites; i++) {
    SimSite *site = &sim->sites[i];
    site->id = i;
    site->nat = i < 4 ? (SimNatKind)i : draw_nat (sim);
    site->public_address = ip_from_v4 (SIM_SITE_NET + 256 * (i + 1) + 1);
    site->lan = 0xc0a80000u + 256 * (uint32_t)random_below (&sim->random.base, LANS);
    site->x = (double)random_below (&sim->random.base, 1000) * MAP_SIZE_MS / 1000;
    site->y = (double)random_below (&sim->random.base, 1000) * MAP_SIZE_MS / 1000;
    site->loss = (double)random_below (&sim->random.base, 20) / 1000;
    site->changed_us = 0;
  }
}

static void
free_mapping (SimNat *mapping)
{
  if (mapping->permits)
    g_array_unref (mapping->permits);
  g_free (mapping);
}

void
sim_network_clear (Sim *sim)
{
  for (unsigned i = 0; i < sim->n_sites; i++)
    while (sim->sites[i].mappings) {
      SimNat *mapping = sim->sites[i].mappings;
      sim->sites[i].mappings = mapping->next;
      free_mapping (mapping);
    }
  g_free (sim->sites);
}

IpAddr
sim_network_join (Sim *sim, SimSite *site)
{
  unsigned n = site->n_lan++;

  if (site->nat == SIM_NAT_NONE)
    return ip_from_v4 (ip_v4 (&site->public_address) + n);
  return ip_from_v4 (site->lan + 10 + n);
}

int64_t
sim_network_delay_us (const SimSite *site, double x, double y)
{
  return BASE_DELAY_US + (int64_t)(hypot (site->x - x, site->y - y) * 1000);
}

static int64_t
lifetime (const SimSite *site)
{
  return site->nat == SIM_NAT_HARD ? HARD_LIFETIME_US : EASY_LIFETIME_US;
}

static bool
outside_taken (const SimSite *site, uint16_t port)
{
  for (const SimNat *m = site->mappings; m; m = m->next)
    if (m->outside == port)
      return true;
  return false;
}

static void
expire_mappings (Sim *sim, SimSite *site)
{
  SimNat **link = &site->mappings;

  while (*link) {
    SimNat *mapping = *link;
    if (sim->now_us - mapping->sent_us > lifetime (site)) {
      *link = mapping->next;
      free_mapping (mapping);
    } else {
      link = &mapping->next;
    }
  }
}

static SimNat *
find_mapping (Sim *sim, SimSite *site, uint32_t node, uint16_t port, const IpPort *to)
{
  for (SimNat *m = site->mappings; m; m = m->next)
    if (m->node == node && m->inside == port
        && (site->nat != SIM_NAT_HARD || ip_port_equal (&m->destination, to)))
      return m;

  SimNat *m = g_new0 (SimNat, 1);
  m->node = node;
  m->inside = port;
  m->outside = port;
  m->destination = *to;
  m->permits = g_array_new (FALSE, TRUE, sizeof (Permit));
  while (site->nat == SIM_NAT_HARD || outside_taken (site, m->outside)) {
    m->outside = (uint16_t)(1024 + random_below (&sim->random.base, 64000));
    if (!outside_taken (site, m->outside))
      break;
  }
  m->next = site->mappings;
  site->mappings = m;
  return m;
}

/* The address that a datagram has after the NAT of SITE. */
static IpPort
translate_out (Sim *sim, SimSite *site, const SimNode *node, uint16_t port, const IpPort *to)
{
  if (site->nat == SIM_NAT_NONE)
    return (IpPort){sim_node_address (node), port};
  expire_mappings (sim, site);
  SimNat *m = find_mapping (sim, site, sim_node_id (node), port, to);
  m->sent_us = sim->now_us;
  for (guint i = 0; i < m->permits->len; i++) {
    Permit *permit = &g_array_index (m->permits, Permit, i);
    if (ip_port_equal (&permit->at, to)) {
      permit->sent_us = sim->now_us;
      return (IpPort){site->public_address, m->outside};
    }
  }
  Permit permit = {*to, sim->now_us};
  g_array_append_val (m->permits, permit);
  return (IpPort){site->public_address, m->outside};
}

/* One trip over the internet; called once for each copy. */
static void
carry (Sim *sim, const IpPort *from, const IpPort *to, int64_t delay_us, const uint8_t *bytes,
       size_t size)
{
  SimEvent event = {.type = SIM_DATAGRAM, .from = *from, .to = *to};

  event.time_us = sim->now_us + delay_us + sim_random_us (sim, 0, delay_us / 20 + 200);
  if (sim_one_in (sim, 100))
    event.time_us += sim_random_us (sim, 2000, 40000);
  sim_events_add (&sim->events, &event, bytes, size);
}

static bool
lost (Sim *sim, double chance)
{
  bool yes = random_below (&sim->random.base, 1000000) < (uint64_t)(chance * 1000000);

  sim->datagrams++;
  sim->lost += yes;
  return yes;
}

static SimSite *
site_at (Sim *sim, const IpAddr *address)
{
  uint32_t n = ip_v4 (address);
  uint32_t i = (n - SIM_SITE_NET) / 256;

  return n >= SIM_SITE_NET && i >= 1 && i <= sim->n_sites ? &sim->sites[i - 1] : NULL;
}

static SimNode *
lan_node (Sim *sim, const SimSite *site, const IpAddr *address)
{
  for (unsigned i = 0; i < sim->options.n_nodes; i++) {
    IpAddr at = sim_node_address (sim->nodes[i]);
    if (sim_node_site (sim->nodes[i]) == site && ip_equal (&at, address))
      return sim->nodes[i];
  }
  return NULL;
}

static void
send_lan (Sim *sim, SimNode *node, uint16_t port, const IpPort *to, const uint8_t *bytes,
          size_t size)
{
  SimNode *receiver = lan_node (sim, sim_node_site (node), &to->addr);
  SimEvent event = {.type = SIM_LAN_DATAGRAM, .from = {sim_node_address (node), port}, .to = *to};

  if (!receiver || receiver == node)
    return;
  event.target = sim_node_id (receiver);
  event.time_us = sim->now_us + LAN_DELAY_US;
  sim_events_add (&sim->events, &event, bytes, size);
}

static void
log_datagram (Sim *sim, const char *what, const SimNode *node, const IpPort *outside,
              const IpPort *other, const uint8_t *bytes, size_t size)
{
  char at[IP_PORT_TEXT_MAX], far[IP_PORT_TEXT_MAX];

  if (!sim->options.verbose)
    return;
  ip_port_format (outside, at);
  ip_port_format (other, far);
  sim_log (sim, "node %u (%s) %s %s: %zu bytes, first %02x", sim_node_id (node), at, what, far,
           size, bytes[0]);
}

void
sim_network_send (Sim *sim, SimNode *node, uint16_t port, const IpPort *to, const uint8_t *bytes,
                  size_t size)
{
  SimSite *site = sim_node_site (node);
  SimSite *far = site_at (sim, &to->addr);
  double loss = site->loss;
  int64_t delay_us;

  if (to->addr.family != 4)
    return;
  if (ip_is_private (&to->addr) || (site->nat == SIM_NAT_NONE && far == site)) {
    send_lan (sim, node, port, to, bytes, size);
    return;
  }
  int relay = sim_relay_at (sim, &to->addr);
  if (site->nat == SIM_NAT_BLOCKED || site->udp_blocked)
    return;
  IpPort from = translate_out (sim, site, node, port, to);
  if (relay >= 0) {
    delay_us = sim_relay_delay_us (sim->relays[relay], site);
  } else if (far && far != site) {
    delay_us = sim_network_delay_us (site, far->x, far->y);
    loss += far->loss;
  } else {
    return; /* nobody there, or a hairpin, which these NATs do not do */
  }
  bool gone = lost (sim, loss);
  log_datagram (sim, gone ? "loses to" : "sends to", node, &from, to, bytes, size);
  if (gone)
    return;
  carry (sim, &from, to, delay_us, bytes, size);
  if (sim_one_in (sim, 1000))
    carry (sim, &from, to, delay_us, bytes, size);
}

void
sim_network_send_from_relay (Sim *sim, unsigned relay, const IpPort *to, const uint8_t *bytes,
                             size_t size)
{
  SimSite *site = site_at (sim, &to->addr);
  IpPort from = {sim_relay_address (relay), SIM_STUN_PORT};

  if (site && !lost (sim, site->loss))
    carry (sim, &from, to, sim_relay_delay_us (sim->relays[relay], site), bytes, size);
}

/* The node behind SITE's NAT that may get a datagram from FROM at outside port TO, or NULL. */
static SimNode *
translate_in (Sim *sim, SimSite *site, const IpPort *from, IpPort *to)
{
  expire_mappings (sim, site);
  for (SimNat *m = site->mappings; m; m = m->next) {
    if (m->outside != to->port)
      continue;
    for (guint i = 0; i < m->permits->len; i++) {
      const Permit *permit = &g_array_index (m->permits, Permit, i);
      if (ip_port_equal (&permit->at, from) && sim->now_us - permit->sent_us <= lifetime (site)) {
        SimNode *node = sim->nodes[m->node];
        *to = (IpPort){sim_node_address (node), m->inside};
        return sim_node_site (node) == site ? node : NULL;
      }
    }
  }
  return NULL;
}

void
sim_network_arrive (Sim *sim, const SimEvent *event)
{
  IpPort to = event->to;
  int relay = sim_relay_at (sim, &to.addr);

  if (relay >= 0) {
    sim_relay_datagram (sim, (unsigned)relay, event);
    return;
  }
  SimSite *site = site_at (sim, &to.addr);
  if (!site || site->udp_blocked || site->nat == SIM_NAT_BLOCKED)
    return;
  SimNode *node = site->nat == SIM_NAT_NONE ? lan_node (sim, site, &to.addr)
                                            : translate_in (sim, site, &event->from, &to);
  if (node)
    log_datagram (sim, "receives from", node, &event->to, &event->from, event->data, event->size);
  if (node)
    sim_node_datagram (node, to.port, &event->from, event->data, event->size);
}

bool
sim_network_can_be_direct (const SimSite *a, const SimSite *b)
{
  if (a == b)
    return true;
  if (a->nat == SIM_NAT_BLOCKED || b->nat == SIM_NAT_BLOCKED || a->udp_blocked || b->udp_blocked)
    return false;
  if (a->nat == SIM_NAT_NONE || b->nat == SIM_NAT_NONE)
    return true;
  return a->nat == SIM_NAT_EASY && b->nat == SIM_NAT_EASY;
}

bool
sim_network_can_be_guessed (const SimSite *a, const SimSite *b)
{
  return !a->udp_blocked && !b->udp_blocked
         && ((a->nat == SIM_NAT_HARD && b->nat == SIM_NAT_EASY)
             || (a->nat == SIM_NAT_EASY && b->nat == SIM_NAT_HARD));
}
