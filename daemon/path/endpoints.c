#include "path/endpoints.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_MAX      48 /* reflexive endpoints remembered */
#define LOCAL_MAX     32 /* interface addresses advertised */
#define PER_SUBNET6   2
#define SUBNET6_BYTES 8

typedef struct
{
  Endpoint endpoint;
  int64_t until_us;
} Kept;

struct EndpointTracker
{
  Kept kept[KEPT_MAX];
  size_t n_kept;
  Endpoint list[ENDPOINTS_MAX];
  size_t count;
};

EndpointTracker *
endpoint_tracker_new (void)
{
  return mem_new (sizeof (EndpointTracker));
}

void
endpoint_tracker_free (EndpointTracker *tracker)
{
  free (tracker);
}

void
endpoint_tracker_reset (EndpointTracker *tracker)
{
  tracker->n_kept = 0;
}

const Endpoint *
endpoint_tracker_list (const EndpointTracker *tracker, size_t *count)
{
  *count = tracker->count;
  return tracker->list;
}

/* ---- interface addresses ---- */

typedef enum
{
  LOCAL_NEVER,
  LOCAL_LOOPBACK,  /* when there is nothing else at all */
  LOCAL_CONTAINER, /* likewise: of a bridge to containers or virtual machines */
  LOCAL_UNIQUE,    /* when nothing better is there: 169.254/16, IPv6 ULA */
  LOCAL_USABLE,
} LocalClass;

static bool
starts_with (const char *text, const char *prefix)
{
  return strncmp (text, prefix, strlen (prefix)) == 0;
}

static bool
is_container_interface (const char *name)
{
  static const char *const prefixes[] = {"docker", "br-", "virbr", "veth", "lxc", "cni", "podman"};

  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
    if (starts_with (name, prefixes[i]))
      return true;
  return false;
}

static LocalClass
classify (const PathAddress *a)
{
  const IpAddr *addr = &a->prefix.addr;

  /* Other mesh networks: each would carry the other for ever. */
  if (starts_with (a->interface, "zt") || strcmp (a->interface, "wt0") == 0)
    return LOCAL_NEVER;
  if (addr->family == 6 && ip_is_link_local (addr))
    return LOCAL_NEVER;
  if (ip_is_loopback (addr) || a->loopback)
    return LOCAL_LOOPBACK;
  /* A carrier's NAT uses the same IPv4 range as tailnets. */
  if (ip_is_tailnet (addr) && !(addr->family == 4 && a->default_route))
    return LOCAL_NEVER;
  if (is_container_interface (a->interface) && !a->default_route)
    return LOCAL_CONTAINER;
  if (ip_is_link_local (addr) || (addr->family == 6 && ip_is_private (addr)))
    return LOCAL_UNIQUE;
  return LOCAL_USABLE;
}

static bool
is_global6 (const IpAddr *addr)
{
  return addr->family == 6 && !ip_is_private (addr) && !ip_is_loopback (addr);
}

static int
compare_ports (const void *a, const void *b)
{
  return ip_port_compare (a, b);
}

static size_t
collect (const PathLink *link, LocalClass wanted, uint16_t port4, uint16_t port6, IpPort *out,
         size_t capacity)
{
  size_t n = 0;

  for (size_t i = 0; i < link->n_addresses && n < capacity; i++) {
    const PathAddress *a = &link->addresses[i];
    uint16_t port = a->prefix.addr.family == 4 ? port4 : port6;
    if (port == 0 || classify (a) != wanted)
      continue;
    size_t same = 0;
    for (size_t k = 0; k < n && is_global6 (&a->prefix.addr); k++)
      same += memcmp (out[k].addr.bytes, a->prefix.addr.bytes, SUBNET6_BYTES) == 0;
    if (same < PER_SUBNET6)
      out[n++] = (IpPort){a->prefix.addr, port};
  }
  qsort (out, n, sizeof *out, compare_ports);
  return n;
}

size_t
endpoint_local_list (const PathLink *link, uint16_t port4, uint16_t port6, IpPort *out,
                     size_t capacity)
{
  size_t n = 0;

  for (LocalClass wanted = LOCAL_USABLE; n == 0 && wanted > LOCAL_NEVER; wanted--)
    n = collect (link, wanted, port4, port6, out, capacity);
  return n;
}

/* ---- the list ---- */

static bool
listed (const Endpoint *list, size_t count, const IpPort *at)
{
  for (size_t i = 0; i < count; i++)
    if (ip_port_equal (&list[i].at, at))
      return true;
  return false;
}

static void
put (Endpoint *list, size_t *count, const IpPort *at, EndpointType type)
{
  if (*count < ENDPOINTS_MAX && at->addr.family != 0 && !listed (list, *count, at))
    list[(*count)++] = (Endpoint){*at, type};
}

static void
drop_kept (EndpointTracker *t, size_t i)
{
  memmove (&t->kept[i], &t->kept[i + 1], (t->n_kept - i - 1) * sizeof *t->kept);
  t->n_kept--;
}

/* Makes room at an address: the one that expires first goes. */
static void
evict (EndpointTracker *t, const IpAddr *addr)
{
  size_t n = 0, oldest = 0, oldest_here = t->n_kept;

  for (size_t i = 0; i < t->n_kept; i++) {
    if (t->kept[i].until_us < t->kept[oldest].until_us)
      oldest = i;
    if (!ip_equal (&t->kept[i].endpoint.at.addr, addr))
      continue;
    n++;
    if (oldest_here == t->n_kept || t->kept[i].until_us < t->kept[oldest_here].until_us)
      oldest_here = i;
  }
  if (n >= ENDPOINTS_PER_ADDRESS)
    drop_kept (t, oldest_here);
  else if (t->n_kept == KEPT_MAX)
    drop_kept (t, oldest);
}

static void
keep (EndpointTracker *t, const Endpoint *endpoint, int64_t now_us)
{
  for (size_t i = 0; i < t->n_kept; i++)
    if (ip_port_equal (&t->kept[i].endpoint.at, &endpoint->at)) {
      t->kept[i] = (Kept){*endpoint, now_us + ENDPOINT_KEPT_US};
      return;
    }
  evict (t, &endpoint->at.addr);
  t->kept[t->n_kept++] = (Kept){*endpoint, now_us + ENDPOINT_KEPT_US};
}

static bool
same_set (const Endpoint *a, size_t n_a, const Endpoint *b, size_t n_b)
{
  if (n_a != n_b)
    return false;
  for (size_t i = 0; i < n_a; i++) {
    size_t k = 0;
    while (k < n_b && !(ip_port_equal (&a[i].at, &b[k].at) && a[i].type == b[k].type))
      k++;
    if (k == n_b)
      return false;
  }
  return true;
}

bool
endpoint_tracker_update (EndpointTracker *t, const EndpointSources *s, int64_t now_us)
{
  Endpoint list[ENDPOINTS_MAX];
  IpPort local[LOCAL_MAX];
  size_t count = 0;

  for (size_t i = 0; i < s->n_found; i++) {
    keep (t, &s->found[i], now_us);
    put (list, &count, &s->found[i].at, s->found[i].type);
  }
  for (size_t i = 0; i < t->n_kept;)
    if (now_us >= t->kept[i].until_us) {
      drop_kept (t, i);
    } else {
      put (list, &count, &t->kept[i].endpoint.at, t->kept[i].endpoint.type);
      i++;
    }
  for (size_t i = 0; i < s->n_fixed; i++)
    put (list, &count, &s->fixed[i], ENDPOINT_EXPLICIT);
  size_t n_local
      = s->link ? endpoint_local_list (s->link, s->port4, s->port6, local, LOCAL_MAX) : 0;
  for (size_t i = 0; i < n_local; i++)
    put (list, &count, &local[i], ENDPOINT_LOCAL);
  bool changed = !same_set (list, count, t->list, t->count);
  memcpy (t->list, list, count * sizeof *list);
  t->count = count;
  return changed;
}
