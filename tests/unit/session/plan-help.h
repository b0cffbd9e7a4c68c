/* Netmaps, links and comparisons for tests of session/plan. */
#pragma once

#include "filter/filter.h"
#include "netmap/map-message.h"
#include "session/plan.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define SELF                                                                                       \
  "\"Node\":{\"ID\":1,\"StableID\":\"self\",\"Name\":\"me.corn.ts.net.\",\"Key\":\"nodekey:"       \
  "ff00000000000000000000000000000000000000000000000000000000000000\",\"Addresses\":[\"100.64.0."  \
  "1/32\","                                                                                        \
  "\"fd7a:115c:a1e0::1/128\"],\"MachineAuthorized\":true}"

/* A usable peer NUMBER at 100.64.0.NUMBER and fd7a:115c:a1e0::NUMBER with MORE members (which begin
 * with a comma) and, if ALLOWED is not NULL, more allowed prefixes than its addresses. */
static inline char *
peer_json (int number, const char *allowed, const char *more)
{
  return g_strdup_printf ("{\"ID\":%d,\"StableID\":\"n%d\",\"Name\":\"p%d.corn.ts.net.\",\"Key\":"
                          "\"nodekey:%064x\",\"DiscoKey\":"
                          "\"discokey:%064x\",\"HomeDERP\":1,\"Addresses\":[\"100.64.%d.%d/"
                          "32\",\"fd7a:115c:a1e0::%x/128\"],"
                          "\"AllowedIPs\":[\"100.64.%d.%d/32\",\"fd7a:115c:a1e0::%x/128\"%s%s]%s}",
                          number, number, number, (unsigned)number, (unsigned)number, number / 256,
                          number % 256, (unsigned)number, number / 256, number % 256,
                          (unsigned)number, allowed ? "," : "", allowed ? allowed : "",
                          more ? more : "");
}

/* The map after JSON; MAP (may be NULL) is consumed. */
static inline Netmap *
next_map (Netmap *map, const char *json, NetmapChanges *changes)
{
  const char *error;
  MapMessage *m = map_message_decode (json, strlen (json), &error);

  if (!m)
    g_error ("%s: %s", error, json);
  Netmap *next = netmap_apply (map, m, (WallTime){1795000000, 0}, changes);
  map_message_free (m);
  netmap_unref (map);
  return next;
}

/* One interface per line of "NAME ADDRESS/BITS". */
static inline LinkState *
make_link (const char *const *lines)
{
  LinkState *link = calloc (1, sizeof *link);
  size_t n = g_strv_length ((char **)lines);

  link->references = 1;
  link->ipv6_enabled = link->have4 = link->have6 = true;
  link->interfaces = calloc (n, sizeof *link->interfaces);
  link->addresses = calloc (n, sizeof *link->addresses);
  for (size_t i = 0; i < n; i++) {
    g_auto (GStrv) words = g_strsplit (lines[i], " ", 2);
    LinkInterface *interface = &link->interfaces[link->n_interfaces++];
    LinkAddress *address = &link->addresses[link->n_addresses++];
    g_strlcpy (interface->name, words[0], sizeof interface->name);
    interface->index = address->interface = (uint32_t)i + 1;
    interface->up = true;
    interface->loopback = strcmp (words[0], "lo") == 0;
    g_assert_true (ip_prefix_parse (words[1], strlen (words[1]), &address->prefix));
  }
  return link;
}

/* The routes of PLAN as one text: "PREFIX", "PREFIX throw", "PREFIX unreachable", one a line. */
static inline char *
routes_text (const Plan *plan)
{
  static const char *const types[] = {"", " throw", " unreachable"};
  GString *out = g_string_new (NULL);

  for (size_t i = 0; i < plan->host->n_routes; i++) {
    char text[IP_PREFIX_TEXT_MAX];
    ip_prefix_format (&plan->host->routes[i].prefix, text);
    g_string_append_printf (out, "%s%s\n", text, types[plan->host->routes[i].type]);
  }
  return g_string_free (out, FALSE);
}

static inline char *
prefixes_text (const IpPrefix *list, size_t n)
{
  GString *out = g_string_new (NULL);

  for (size_t i = 0; i < n; i++) {
    char text[IP_PREFIX_TEXT_MAX];
    ip_prefix_format (&list[i], text);
    g_string_append_printf (out, "%s%s", i ? " " : "", text);
  }
  return g_string_free (out, FALSE);
}

static inline void
assert_routes (const Plan *plan, NodeId id, const char *routes, const char *sources)
{
  const TunnelPeer *peer = tunnel_config_peer (plan->tunnel, id);

  g_assert_nonnull (peer);
  g_autofree char *r = prefixes_text (peer->routes, peer->n_routes);
  g_autofree char *s = prefixes_text (peer->sources, peer->n_sources);
  g_assert_cmpstr (r, ==, routes);
  g_assert_cmpstr (s, ==, sources);
}

/* What an update computes is what a fresh plan says. */
static inline void
assert_same_plan (const Plan *a, const Plan *b)
{
  TunnelConfigIter ia = tunnel_config_iter (a->tunnel), ib = tunnel_config_iter (b->tunnel);
  const TunnelSettings *sa = tunnel_config_settings (a->tunnel),
                       *sb = tunnel_config_settings (b->tunnel);
  TunnelPeer *pa, *pb;

  do {
    pa = tunnel_config_iter_next (&ia);
    pb = tunnel_config_iter_next (&ib);
    g_assert_cmpint (pa == NULL, ==, pb == NULL);
    if (pa && !tunnel_peer_equal (pa, pb))
      g_error ("peers %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT " differ", pa->id, pb->id);
  } while (pa);
  g_assert_cmpint (sa->shut, ==, sb->shut);
  g_assert_cmpuint (sa->mtu, ==, sb->mtu);
  g_assert_true (ip_equal (&sa->address4, &sb->address4));
  g_assert_true (derp_map_equal (sa->derp_map, sb->derp_map));
  g_assert_cmpmem (&sa->knobs, sizeof sa->knobs, &sb->knobs, sizeof sb->knobs);
  g_assert_cmpint (filter_class (sa->filter), ==, filter_class (sb->filter));
  g_assert_true (host_config_equal (a->host, b->host));
  g_assert_true (dns_config_equal (a->dns, b->dns));
  g_assert_cmpint (a->exit_selected, ==, b->exit_selected);
  g_assert_cmpint (a->exit_node == NULL, ==, b->exit_node == NULL);
  if (a->exit_node)
    g_assert_cmpuint (node_diff (a->exit_node, b->exit_node), ==, 0);
  g_assert_cmpuint (a->n_conflicts, ==, b->n_conflicts);
  for (size_t i = 0; i < a->n_conflicts; i++) {
    g_assert_true (ip_prefix_equal (&a->conflicts[i].route, &b->conflicts[i].route));
    g_assert_cmpint (a->conflicts[i].peer, ==, b->conflicts[i].peer);
  }
}
