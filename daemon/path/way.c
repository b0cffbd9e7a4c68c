#include "path/way.h"

#define BONUS_LOOPBACK   50
#define BONUS_LINK_LOCAL 30
#define BONUS_PRIVATE    20
#define BONUS_IPV6       10

bool
way_is_set (const PathWay *way)
{
  return way->at.addr.family != 0;
}

static int64_t
place_bonus (const IpAddr *addr)
{
  if (ip_is_loopback (addr))
    return BONUS_LOOPBACK;
  if (ip_is_link_local (addr))
    return BONUS_LINK_LOCAL;
  if (ip_is_private (addr))
    return BONUS_PRIVATE;
  return 0;
}

static int64_t
bonus (const PathWay *way)
{
  return place_bonus (&way->at.addr) + (way->at.addr.family == 6 ? BONUS_IPV6 : 0);
}

bool
way_better (const PathWay *a, const PathWay *b)
{
  int64_t points_a = 0, points_b = 0;

  if (ip_port_equal (&a->at, &b->at) && a->vni == b->vni)
    return a->wire_mtu > b->wire_mtu;
  if (!way_is_set (b))
    return true;
  if (!way_is_set (a))
    return false;
  if ((a->vni == 0) != (b->vni == 0))
    return a->vni == 0;
  if (a->latency_us > b->latency_us)
    points_b = 100 - 100 * b->latency_us / a->latency_us;
  else if (b->latency_us > 0)
    points_a = 100 - 100 * a->latency_us / b->latency_us;
  points_a += bonus (a);
  points_b += bonus (b);
  if (points_a <= 1 && points_b == 0)
    return false;
  return points_a > points_b;
}

bool
way_same_class (const PathWay *a, const PathWay *b)
{
  return a->vni == 0 && b->vni == 0 && bonus (a) == bonus (b)
         && a->at.addr.family == b->at.addr.family;
}
