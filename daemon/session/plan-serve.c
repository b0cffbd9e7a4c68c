/* Serving: which packets of peers are for this computer and for what it offers
 * (spec/netmap-and-policy.md B.3, spec/linux-host.md §8). */

#include "base/memory.h"
#include "session/plan-private.h"

#include <stdlib.h>
#include <string.h>

typedef struct
{
  IpPrefix *list;
  size_t n, room;
} Prefixes;

static void
append (Prefixes *p, const IpPrefix *prefix)
{
  p->list = mem_grow (p->list, p->n, &p->room, sizeof *p->list);
  p->list[p->n++] = *prefix;
}

static void
append_text (Prefixes *p, const char *text)
{
  IpPrefix prefix;

  if (ip_prefix_parse (text, strlen (text), &prefix))
    append (p, &prefix);
}

/* An exit node leads to the internet, not into the networks that this computer is on. */
static void
add_holes (const PlanInput *in, Prefixes *holes)
{
  static const char *const always[]
      = {"10.0.0.0/8",  "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8",
         "224.0.0.0/4", "100.64.0.0/10", "fe80::/10",      "ff00::/8",       "fd7a:115c:a1e0::/48"};

  for (size_t i = 0; i < sizeof always / sizeof *always; i++)
    append_text (holes, always[i]);
  for (size_t i = 0; in->link && i < in->link->n_addresses; i++) {
    IpPrefix network = ip_prefix_mask (in->link->addresses[i].prefix);
    if (!ip_prefix_is_single (&network))
      append (holes, &network);
  }
}

/* WHOLE without HOLES, as few prefixes as possible. At most 128 steps deep. */
static void
append_without (Prefixes *p, IpPrefix whole, const Prefixes *holes)
{
  bool touched = false;

  for (size_t i = 0; i < holes->n; i++) {
    if (ip_prefix_covers (&holes->list[i], &whole))
      return;
    touched = touched || ip_prefix_overlaps (&holes->list[i], &whole);
  }
  if (!touched) {
    append (p, &whole);
    return;
  }
  whole.bits++;
  append_without (p, whole, holes);
  whole.addr.bytes[(whole.bits - 1) / 8] |= (uint8_t)(0x80 >> (whole.bits - 1) % 8);
  append_without (p, whole, holes);
}

/* The internet, and the addresses by which the internet knows this computer. */
static void
append_internet (const PlanInput *in, Prefixes *p)
{
  static const char *const everything[] = {"0.0.0.0/0", "::/0"};
  Prefixes holes = {0};

  add_holes (in, &holes);
  for (size_t i = 0; i < 2; i++) {
    IpPrefix whole;
    ip_prefix_parse (everything[i], strlen (everything[i]), &whole);
    append_without (p, whole, &holes);
  }
  for (size_t i = 0; in->link && i < in->link->n_addresses; i++) {
    const IpAddr *addr = &in->link->addresses[i].prefix.addr;
    IpPrefix single = ip_single (addr);
    if (!ip_is_private (addr) && !ip_is_link_local (addr) && !ip_is_loopback (addr)
        && !ip_is_tailnet (addr))
      append (p, &single);
  }
  free (holes.list);
}

IpPrefix *
plan_local_set (const PlanInput *in, size_t *n)
{
  Prefixes p = {0};

  for (size_t i = 0; i < in->self->n_addresses; i++)
    append (&p, &in->self->addresses[i]);
  for (size_t i = 0; i < in->prefs->n_advertise_routes; i++)
    append (&p, &in->prefs->advertise_routes[i]);
  if (in->prefs->advertise_exit_node)
    append_internet (in, &p);
  *n = p.n;
  return p.list;
}

void
plan_forwarding (const PlanInput *in, HostConfigBuilder *b)
{
  const Preferences *prefs = in->prefs;
  bool forward4 = prefs->advertise_exit_node, forward6 = prefs->advertise_exit_node;

  for (size_t i = 0; i < prefs->n_advertise_routes; i++) {
    forward4 = forward4 || prefs->advertise_routes[i].addr.family == 4;
    forward6 = forward6 || prefs->advertise_routes[i].addr.family == 6;
  }
  host_config_builder_set_forward (b, forward4, forward6, prefs->snat_routes);
}

bool
plan_same_offers (const Preferences *a, const Preferences *b)
{
  return a->advertise_exit_node == b->advertise_exit_node && a->snat_routes == b->snat_routes
         && a->n_advertise_routes == b->n_advertise_routes
         && (a->n_advertise_routes == 0
             || memcmp (a->advertise_routes, b->advertise_routes,
                        a->n_advertise_routes * sizeof *a->advertise_routes)
                    == 0);
}
