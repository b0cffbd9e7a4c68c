#include "path/way.h"

#include <glib.h>
#include <string.h>

typedef struct
{
  const char *a;
  double latency_a; /* ms */
  uint16_t mtu_a;
  uint32_t vni_a;
  const char *b;
  double latency_b;
  uint16_t mtu_b;
  uint32_t vni_b;
  bool better;
} Row;

/* The table of spec/path-finding.md §6.5, and the rules without a row there. */
static const Row rows[] = {
    {"203.0.113.1:1", 20.0, 1360, 0, "203.0.113.2:1", 20.1, 1360, 0, false},
    {"203.0.113.1:1", 20.0, 1360, 0, "203.0.113.2:1", 20.5, 1360, 0, true},
    {"[2001:db8::1]:1", 22.0, 1360, 0, "203.0.113.2:1", 20.0, 1360, 0, false},
    {"203.0.113.1:1", 20.0, 1360, 0, "[2001:db8::1]:1", 22.3, 1360, 0, true},
    {"192.168.0.1:1", 2.4, 1360, 0, "203.0.113.2:1", 2.0, 1360, 0, true},
    {"192.168.0.1:1", 2.6, 1360, 0, "203.0.113.2:1", 2.0, 1360, 0, false},
    {"[fe80::1]:1", 2.8, 1360, 0, "203.0.113.2:1", 2.0, 1360, 0, true},
    {"[fd00::1]:1", 1.0, 1360, 0, "192.168.0.1:1", 1.0, 1360, 0, true},
    {"203.0.113.1:1", 1.0, 1360, 7, "203.0.113.2:1", 90.0, 1360, 0, false},
    {"203.0.113.2:1", 90.0, 1360, 0, "203.0.113.1:1", 1.0, 1360, 7, true},
    {"203.0.113.1:1", 20.0, 1500, 0, "203.0.113.1:1", 9.0, 1360, 0, true},
    {"203.0.113.1:1", 1.0, 1360, 0, "203.0.113.1:1", 9.0, 1360, 0, false},
    {"127.0.0.1:1", 1.9, 1360, 0, "203.0.113.2:1", 1.0, 1360, 0, true},
    {"100.64.0.1:1", 1.1, 1360, 0, "203.0.113.2:1", 1.0, 1360, 0, false},
    {"203.0.113.1:1", 5.0, 1360, 0, NULL, 0, 0, 0, true},
    {NULL, 0, 0, 0, "203.0.113.1:1", 5.0, 1360, 0, false},
    {"203.0.113.1:1", 5.0, 1360, 0, "203.0.113.2:1", 0, 1360, 0, false},
};

static PathWay
way (const char *at, double latency, uint16_t mtu, uint32_t vni)
{
  PathWay w = {.latency_us = (int64_t)(latency * 1000), .wire_mtu = mtu, .vni = vni};

  if (at)
    g_assert_true (ip_port_parse (at, strlen (at), &w.at));
  return w;
}

static void
test_better (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    const Row *r = &rows[i];
    PathWay a = way (r->a, r->latency_a, r->mtu_a, r->vni_a);
    PathWay b = way (r->b, r->latency_b, r->mtu_b, r->vni_b);
    if (way_better (&a, &b) != r->better)
      g_error ("row %zu: %s against %s", i, r->a, r->b);
  }
}

static void
test_class (void)
{
  PathWay a = way ("203.0.113.1:1", 1, 1360, 0), b = way ("198.51.100.1:1", 1, 1360, 0);
  PathWay local = way ("192.168.0.1:1", 1, 1360, 0), six = way ("[2001:db8::1]:1", 1, 1360, 0);

  g_assert_true (way_same_class (&a, &b));
  g_assert_false (way_same_class (&a, &local));
  g_assert_false (way_same_class (&a, &six));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/path/way/better-gives-the-table", test_better);
  g_test_add_func ("/path/way/class-is-family-and-place", test_class);
  return g_test_run ();
}
