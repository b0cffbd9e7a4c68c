#include "tunnel/live.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

LivePeer *
live_peer_new (const NodePublic *key, unsigned owner, TunnelPeer *config)
{
  LivePeer *peer = mem_new (sizeof *peer);

  peer->key = *key;
  peer->owner = (uint8_t)owner;
  atomic_init (&peer->config, tunnel_peer_ref (config));
  return peer;
}

void
live_peer_free (void *data)
{
  LivePeer *peer = data;

  if (peer == NULL)
    return;
  tunnel_peer_unref (atomic_load (&peer->config));
  free (atomic_load (&peer->destination));
  free (peer);
}

View *
view_new_empty (void)
{
  View *view = mem_new (sizeof *view);

  view->routes = prefix_table_new ();
  view->sources = prefix_table_new ();
  view->by_key = shared_map_new (NULL);
  view->settings.shut = true;
  view->settings.mtu = TUNNEL_MTU_DEFAULT;
  return view;
}

void
view_free (void *data)
{
  View *view = data;

  if (view == NULL)
    return;
  prefix_table_unref (view->routes);
  prefix_table_unref (view->sources);
  shared_map_unref (view->by_key);
  if (view->settings.filter != NULL)
    filter_unref (view->settings.filter);
  if (view->settings.derp_map != NULL)
    derp_map_unref (view->settings.derp_map);
  free (view);
}

uint64_t
view_key_hash (const NodePublic *key)
{
  /* Keys are uniform: any eight bytes of one are a hash. */
  return load_le64 (key->bytes);
}

LivePeer *
view_peer (const View *view, const NodePublic *key)
{
  uint64_t hash = view_key_hash (key);
  SharedMapIter iter = shared_map_seek (view->by_key, hash);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry) && entry.key == hash) {
    LivePeer *peer = (LivePeer *)(uintptr_t)entry.value;

    if (memcmp (peer->key.bytes, key->bytes, KEY_SIZE) == 0)
      return peer;
  }
  return NULL;
}

Sockets *
sockets_new (void)
{
  Sockets *sockets = mem_new (sizeof *sockets);

  for (unsigned i = 0; i < TUNNEL_WORKERS_MAX; i++)
    sockets->workers[i].v4.fd = sockets->workers[i].v6.fd = -1;
  return sockets;
}

void
sockets_free (void *data)
{
  Sockets *sockets = data;

  if (sockets == NULL)
    return;
  for (unsigned i = 0; i < TUNNEL_WORKERS_MAX; i++) {
    udp_close (&sockets->workers[i].v4);
    udp_close (&sockets->workers[i].v6);
  }
  free (sockets);
}

void
sockets_close_family (Sockets *sockets, uint8_t family)
{
  for (unsigned i = 0; i < TUNNEL_WORKERS_MAX; i++)
    udp_close (sockets_for (sockets, i, family));
}
