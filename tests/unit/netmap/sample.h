/* The sample map of spec/netmap-and-policy.md A.11 and helpers to apply messages to it. */
#pragma once

#include "netmap/map-message.h"

#include <glib.h>
#include <string.h>

#define KEY_SELF   "nodekey:846953c38b830a2525eab536b9a5a1f36f9b8740a9569ec56316a0514c813aba"
#define KEY_WEB    "nodekey:94a3bd414a04de8e2089dd871629a3c4ac2d0b146d5abc164dd5cbce6944c429"
#define KEY_ROUTER "nodekey:76f57578ec2fa1f53101e821e7cc48d3de47e96629b6689d3d13154b832ac416"

static const char sample_map[]
    = "{\"Node\":{\"ID\":11,\"StableID\":\"n11CNTRL\",\"Name\":\"ada-laptop.corn.ts.net.\","
      "\"User\":1,"
      "\"Key\":\"" KEY_SELF "\",\"KeyExpiry\":\"2027-01-10T08:00:00Z\","
      "\"Addresses\":[\"100.64.0.11/32\",\"fd7a:115c:a1e0::11/128\"],\"MachineAuthorized\":true,"
      "\"CapMap\":{\"https://tailscale.com/cap/"
      "file-sharing\":null,\"tailnet-display-name\":[\"Corn\"]}},"
      "\"Domain\":\"example.com\",\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"corn.ts.net\"]},"
      "\"UserProfiles\":[{\"ID\":1,\"LoginName\":\"ada@example.com\",\"DisplayName\":\"Ada\"},{"
      "\"ID\":9,"
      "\"LoginName\":\"tagged-devices\",\"DisplayName\":\"Tagged Devices\"}],"
      "\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"100.64.0.21\",\"fd7a:115c:a1e0::21\"],"
      "\"DstPorts\":[{"
      "\"IP\":\"100.64.0.11\",\"Ports\":{\"First\":22,\"Last\":22}}],\"IPProto\":[6]}]},"
      "\"Peers\":[{\"ID\":14,\"StableID\":\"n14CNTRL\",\"Name\":\"web.corn.ts.net.\",\"User\":9,"
      "\"Tags\":["
      "\"tag:web\"],\"Cap\":131,\"Online\":true,\"HomeDERP\":900,\"Key\":\"" KEY_WEB "\","
      "\"DiscoKey\":\"discokey:c0848e90923a50bab27f81fedc24f9715bc5826da2f551abdb59771113512e58\","
      "\"Addresses\":[\"100.64.0.41/"
      "32\"],\"Endpoints\":[\"203.0.113.4:41641\"],\"Hostinfo\":{\"OS\":"
      "\"linux\",\"Hostname\":\"web\"}},{\"ID\":16,\"StableID\":\"n16CNTRL\",\"Name\":"
      "\"router.corn.ts.net.\",\"User\":9,\"Tags\":[\"tag:router\"],\"Online\":true,\"DERP\":"
      "\"127.3.3.40:900\",\"Key\":\"" KEY_ROUTER "\","
      "\"DiscoKey\":\"discokey:6868947d6940220bc1a21df30f62e3385862ed0f28998b4f2a7bf6861a8ecf25\","
      "\"Addresses\":[\"100.64.0.61/32\"],\"AllowedIPs\":[\"100.64.0.61/32\",\"192.168.7.0/24\"],"
      "\"PrimaryRoutes\":[\"192.168.7.0/"
      "24\"]}],\"DERPMap\":{\"Regions\":{\"900\":{\"RegionID\":900,"
      "\"RegionCode\":\"home\",\"RegionName\":\"Home\",\"Nodes\":[{\"Name\":\"900a\",\"RegionID\":"
      "900,"
      "\"HostName\":\"relay.example.com\"}]}}}}";

static inline WallTime
date (const char *text)
{
  WallTime t;

  g_assert_true (wall_time_parse (text, strlen (text), &t));
  return t;
}

static inline MapMessage *
message (const char *json)
{
  const char *error;
  MapMessage *m = map_message_decode (json, strlen (json), &error);

  if (!m)
    g_error ("%s: %s", error, json);
  return m;
}

/* The map after JSON arrived; MAP is consumed (may be NULL), CHANGES may be NULL. */
static inline Netmap *
apply_at (Netmap *map, const char *json, const char *now, NetmapChanges *changes)
{
  MapMessage *m = message (json);
  Netmap *next = netmap_apply (map, m, date (now), changes);

  map_message_free (m);
  netmap_unref (map);
  return next;
}

static inline Netmap *
apply (Netmap *map, const char *json)
{
  return apply_at (map, json, "2026-11-22T10:00:00Z", NULL);
}
